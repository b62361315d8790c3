"""What all tests share: one thread, so that results do not depend on the machine's number of cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
