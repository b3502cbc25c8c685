"""The deployable jobs, one a file, and the ``onramp`` command."""

import os

from threadpoolctl import threadpool_limits

# One thread for linear algebra. The learners' matrices are small, so that threads cost several times what they save; and the threaded
# routines of OpenBLAS want more stack than Bytewax's worker threads have: with two workers the job died of a segmentation fault.
# The variable holds for a numpy that is still to be loaded, the call for one that already is.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
threadpool_limits(1, user_api="blas")
