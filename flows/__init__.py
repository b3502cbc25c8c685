"""The deployable job: its graph (``onboarding``), settings, wiring, and how it runs.

``run`` runs it in this process for ``onramp run`` and ``onramp demo``; ``main`` is the entry for ``python -m bytewax.run``. ``settings``
reads the environment.
"""

import os

from threadpoolctl import threadpool_limits

# One thread for linear algebra. The learners' matrices are small: threads cost several times what they save. The threaded routines of
# OpenBLAS also need more stack than Bytewax's worker threads have; with two workers the job ended in a segmentation fault.
# The variable takes effect if numpy is loaded later, the call if numpy is loaded already.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
threadpool_limits(1, user_api="blas")
