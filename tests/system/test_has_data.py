"""Waiting for data on a descriptor."""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterator

import pytest

from system.has_data import has_data

HIGH = 1_500
"""More than ``select`` can take."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose reading end has a high number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * HIGH), hard))
    low, write_end = os.pipe()
    read_end = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, HIGH)
    os.close(low)
    yield read_end, write_end
    os.close(read_end)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_data_and_the_end_are_seen_on_a_descriptor_of_any_number(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    assert read_end >= HIGH
    assert not has_data(read_end, timeout_s=0)
    os.write(write_end, b"a")
    assert has_data(read_end, timeout_s=30)
    assert os.read(read_end, 1) == b"a"
    os.close(write_end)
    assert has_data(read_end, timeout_s=30)


def test_a_file_and_the_null_device_always_have_data_or_end() -> None:
    for path in (__file__, os.devnull):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            assert has_data(descriptor, timeout_s=0)
        finally:
            os.close(descriptor)
