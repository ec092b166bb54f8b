"""What all tests share: one thread for arithmetic, the same property-test examples each time."""

from __future__ import annotations

import os

from hypothesis import settings

# Before NumPy or torch is imported, here or in a process a test starts: sums then come in one
# order, and small matrices do not wait for a second thread.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# No deadline: the time of an example depends on what else the machine is doing.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
