"""The small product as the population reads it."""

from __future__ import annotations

import msgspec

from population.product import Product
from tests.population.play import PRODUCT


def product() -> Product:
    return msgspec.convert(PRODUCT, Product)
