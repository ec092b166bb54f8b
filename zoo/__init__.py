"""The zoo: what is in it, how it lies on disk, and how to read it.

>>> from zoo import Zoo
>>> zoo = Zoo.open()
>>> model = zoo.model("bottleneck-5x2/relu-output/n5-m2-p0.1-i0.9/s04")
>>> model.parameters["W"].shape
(2, 5)
"""

from zoo.errors import (
    CorruptZoo,
    HubError,
    NoTrajectory,
    UnknownGrid,
    UnknownModel,
    UnknownSchema,
    ZooError,
    ZooNotFound,
)
from zoo.reading import GridView, Zoo
from zoo.records import Model, Result, Trajectory
from zoo.specs import Grid, ModelSpec, log_spaced

__all__ = [
    "CorruptZoo",
    "Grid",
    "GridView",
    "HubError",
    "Model",
    "ModelSpec",
    "NoTrajectory",
    "Result",
    "Trajectory",
    "UnknownGrid",
    "UnknownModel",
    "UnknownSchema",
    "Zoo",
    "ZooError",
    "ZooNotFound",
    "log_spaced",
]
