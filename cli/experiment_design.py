"""What the catalog promises of the experiment that the data in a store came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.demo_dir import demo_catalog
from flows.catalogs import CatalogFileError, catalog_of
from reports.run_report import ExperimentDesign
from state.catalog.parse import CatalogError

if TYPE_CHECKING:
    from flows.settings import Settings
    from reports.facts import Facts

_BIGGEST = "SELECT tenant_id FROM activation ORDER BY people DESC, tenant_id LIMIT 1"


def biggest_tenant(facts: Facts) -> str:
    """Return the tenant with most users; ``default`` where there is none."""
    return next((str(row["tenant_id"]) for row in facts.rows(_BIGGEST)), "default")


def design(facts: Facts, settings: Settings, tenant: str) -> ExperimentDesign:
    """Read it off the tenant's catalog in the settings, if the newest decision was made with that one; else nothing is promised."""
    newest = facts.rows(
        "SELECT argMax(catalog_version, decided_at) AS version FROM decisions_final WHERE tenant_id = {tenant:String}", tenant=tenant
    )
    try:
        catalog = catalog_of(demo_catalog(settings.data_dir) or settings.catalog, tenant)
    except (CatalogFileError, CatalogError):
        return ExperimentDesign()
    return ExperimentDesign.of(catalog) if newest[0]["version"] == f"{catalog.id}@{catalog.version}" else ExperimentDesign()
