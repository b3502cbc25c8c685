"""The deployable jobs, one a file, and the ``onramp`` command."""

import os

# The learners' matrices are small: threads of the linear algebra library cost them several times what they save, and take the cores from
# the workers. Must be said before numpy is loaded; whoever sets it otherwise is heard.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
