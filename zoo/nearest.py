"""What a mistyped name was probably meant to be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import islice

from zoo.specs import ModelSpec

_SETTING = re.compile(r"(rare|sets|n|m|p|c|i|s)(-?[0-9.]+(?:e-?[0-9]+)?)")
_FIELDS = {
    "n": "n_features",
    "m": "n_hidden",
    "p": "density",
    "i": "importance_decay",
    "c": "correlation",
    "sets": "set_size",
    "rare": "rare_ratio",
    "s": "seed",
}
# A wrong size is a worse fit than a wrong density.
_WEIGHT = {
    "n_features": 4.0,
    "n_hidden": 4.0,
    "set_size": 4.0,
    "importance_decay": 2.0,
    "correlation": 2.0,
    "density": 1.0,
    "rare_ratio": 1.0,
}


def nearest_names(name: str, names: Sequence[str], count: int = 3) -> tuple[str, ...]:
    """Names that look like `name`, the likeliest first; none if none does."""
    alike = {other: SequenceMatcher(None, name, other).ratio() for other in names}
    # Names of grids share words: one much better match leaves no doubt about the others.
    cutoff = max(0.6, max(alike.values(), default=0.0) - 0.1)
    ranked = sorted(alike, key=lambda other: -alike[other])
    return tuple(islice((other for other in ranked if alike[other] >= cutoff), count))


def nearest_ids(
    model_id: str, grids: Mapping[str, Sequence[ModelSpec]], count: int = 3
) -> tuple[str, ...]:
    """Ids of the models nearest to what `model_id` asks for, best first.

    Args:
        grids: name -> specs of the models there are.

    An id is taken apart: its grid and family are matched by spelling, and its setting by
    value, so that a density that is not there leads to the nearest that is.
    """
    if not any(grids.values()):
        return ()
    parts = model_id.split("/")
    grid = _alike(parts[0], [name for name, specs in grids.items() if specs])
    specs = grids[grid]
    family = _alike(
        parts[1] if len(parts) > 1 else "", list(dict.fromkeys(s.family for s in specs))
    )
    specs = [spec for spec in specs if spec.family == family]
    wanted = _setting(parts[2:])
    ranked = sorted(specs, key=lambda spec: _distance(spec, wanted))
    return tuple(islice((spec.model_id(grid) for spec in ranked), count))


def did_you_mean(names: Sequence[str]) -> str:
    """`; did you mean a, b or c?` for the end of a message, or nothing."""
    if not names:
        return ""
    listed = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"; did you mean {listed}?"


def _alike(name: str, names: Sequence[str]) -> str:
    """The one of `names` that looks most like `name`; the first of equals."""
    return max(names, key=lambda other: SequenceMatcher(None, name, other).ratio())


def _setting(parts: Sequence[str]) -> dict[str, float]:
    """The numbers of `n5-m2-p0.1-i0.9` and `s03`, by field; what cannot be read is left out."""
    wanted = {}
    for part in parts:
        for piece in re.split(r"-(?=[a-z])", part):
            if match := _SETTING.fullmatch(piece):
                try:
                    wanted[_FIELDS[match[1]]] = float(match[2])
                except ValueError:
                    continue
    return wanted


def _distance(spec: ModelSpec, wanted: Mapping[str, float]) -> float:
    """How far a spec is from the wanted values; probabilities are compared as logarithms."""
    total = 0.0
    for name, value in wanted.items():
        have = getattr(spec, name)
        if have is None:
            total += 8.0
        elif name == "seed":
            # The same seed at the next density is of more use than another seed at this one.
            total += 2.0 * (have != value) + 0.001 * abs(have - value)
        elif name in ("density", "rare_ratio"):
            total += _WEIGHT[name] * abs(_log(have) - _log(value))
        else:
            total += _WEIGHT[name] * abs(have - value)
    return total


def _log(probability: float) -> float:
    return math.log(min(max(probability, 1e-12), 1e12))
