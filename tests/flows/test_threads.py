"""Worker threads have small stacks: linear algebra must not be spread over threads there, whoever loaded numpy first."""

from __future__ import annotations

import subprocess
import sys

import pytest

SOLVE_ON_A_SMALL_STACK = """
import threading
import numpy as np
threading.stack_size(2 << 20)  # what a Rust thread has
for size in (20, 60, 200, 600):
    matrix = np.eye(size) * size + np.ones((size, size))
    for work in (np.linalg.inv, np.linalg.eigh, lambda a: np.linalg.solve(a, a[0])):
        thread = threading.Thread(target=work, args=(matrix,))
        thread.start()
        thread.join(60)
"""


@pytest.mark.parametrize("first", ["import numpy\nimport flows", "import flows\nimport numpy"])
def test_a_worker_thread_survives_the_learners_linear_algebra(first: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"{first}\n{SOLVE_ON_A_SMALL_STACK}"], check=False, timeout=60)
    assert done.returncode == 0
