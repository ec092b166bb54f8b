"""For `dask worker --preload`: notes each shard that a worker begins, and can hold it there.

In the folder `$GATE`, a line of `begun-PID` for each shard. While the file `hold` is
there, a worker stays in the third shard it begins, and says so by the file `holding-PID`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from training import build as building

FOLDER = Path(os.environ["GATE"])


def dask_setup(worker: object) -> None:
    """Put the gate before the builder's `train_shard`; Dask calls this once."""
    train_behind_the_gate = building.train_shard
    begun_on_hold = 0

    def train_shard(shard: building.Shard, device: str = "cpu") -> bytes:
        nonlocal begun_on_hold
        hold = FOLDER / "hold"
        begun_on_hold = begun_on_hold + 1 if hold.exists() else 0
        with open(FOLDER / f"begun-{os.getpid()}", "a") as file:
            file.write(f"{shard.name}\n")
        while begun_on_hold >= 3 and hold.exists():
            (FOLDER / f"holding-{os.getpid()}").touch()
            time.sleep(0.02)
        return train_behind_the_gate(shard, device)

    building.train_shard = train_shard
