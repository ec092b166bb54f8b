"""The Lab's settings as query parameters: a link to the Lab says what to train.

link("pages/lab.py", "Train it yourself", query=query_from_settings(settings))
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pages.parts.model_words import family_name
from pages.parts.url_state import plain_text

if TYPE_CHECKING:
    from training.live import LiveSettings
    from zoo.specs import ModelSpec

# Query parameter -> setting, and what the reader knows it as.
PARAMETERS: dict[str, tuple[str, str]] = {
    "family": ("family", "the model family"),
    "n": ("n_features", "n"),
    "m": ("n_hidden", "m"),
    "p": ("densities", "the density"),
    "decay": ("importance_decay", "the importance ratio"),
    "optimiser": ("optimiser", "the optimiser"),
    "lr": ("learning_rate", "the learning rate"),
    "steps": ("steps", "the number of steps"),
    "seed": ("seed", "the seed"),
    "seeds": ("seeds", "the number of seeds"),
}
_WHOLE = ("n", "m", "steps", "seed", "seeds")
_REAL = ("decay", "lr")
# Neurons that share badly are slow to be freed.
_STEPS = {"relu-output": 400, "relu-hidden": 1500, "absolute-value": 3000}


def settings_from_query(query: Mapping[str, str]) -> tuple[LiveSettings, tuple[str, ...]]:
    """The settings that an address asks for, and what to tell the reader about it.

    Whatever the address holds, there is a result: numbers beyond a limit come back at the
    limit, anything else that cannot be used as the default, each with a message.
    """
    from superposition.families import FAMILIES
    from training.live import LIMITS, OPTIMISER_NAMES, OPTIMISERS, LiveSettings

    defaults = LiveSettings()
    values: dict[str, Any] = {}
    messages: list[str] = []
    shown = {name: family_name(name) for name in FAMILIES} | OPTIMISER_NAMES
    for parameter, options in (("family", tuple(FAMILIES)), ("optimiser", OPTIMISERS)):
        asked = query.get(parameter)
        name, words = PARAMETERS[parameter]
        if asked in options:
            values[name] = asked
        elif asked is not None:
            messages.append(_not_usable(words, asked, shown[getattr(defaults, name)]))
    for parameter in (*_WHOLE, *_REAL):
        asked = query.get(parameter)
        if asked is None:
            continue
        name, words = PARAMETERS[parameter]
        value = _number(asked)
        if value is None or (parameter in _WHOLE and not value.is_integer()):
            messages.append(_not_usable(words, asked, getattr(defaults, name)))
            continue
        low, high = getattr(LIMITS, name)
        kept = min(max(value, low), high)
        if kept != value:
            messages.append(_out_of_range(words, asked, low, high, kept))
        values[name] = int(kept) if parameter in _WHOLE else kept
    if "p" in query:
        n = values.get("n_features", defaults.n_features)
        densities, message = _densities(query["p"], n, LIMITS.density, defaults.densities)
        values["densities"] = densities
        messages.extend(message)
    return LiveSettings(**values), tuple(messages)


def query_from_settings(settings: LiveSettings) -> dict[str, str]:
    """Query parameters of these settings: only what differs from the defaults."""
    from training.live import LiveSettings

    defaults = LiveSettings()
    query: dict[str, str] = {}
    for parameter, (name, _) in PARAMETERS.items():
        value = getattr(settings, name)
        if value == getattr(defaults, name):
            continue
        if name == "densities":
            query[parameter] = ",".join(_text(density) for density in value)
        else:
            query[parameter] = value if isinstance(value, str) else _text(value)
    return query


def query_for_spec(spec: ModelSpec) -> dict[str, str] | None:
    """Query parameters to train a model of the zoo again, or None if the Lab cannot."""
    settings = settings_for_spec(spec)
    return None if settings is None else query_from_settings(settings)


def settings_for_spec(spec: ModelSpec) -> LiveSettings | None:
    """Settings to train a model of the zoo again, or None if live training cannot.

    It cannot where the model is larger than the limits of a run, a density is outside them, or
    features depend on each other. The recipe is that of the Lab, with as many steps as the family
    needs to come close to the zoo's.
    """
    from training.live import LiveSettings

    if spec.correlation != 0:
        return None
    densities = spec.densities if spec.rare_ratio is not None else (spec.density,)
    try:
        return LiveSettings(
            family=spec.family,
            n_features=spec.n_features,
            n_hidden=spec.n_hidden,
            densities=densities,
            importance_decay=spec.importance_decay,
            steps=_STEPS.get(spec.family, LiveSettings.steps),
            seed=spec.seed,
        )
    except ValueError:
        return None


def _densities(
    text: str, n: int, limits: tuple[float, float], default: tuple[float, ...]
) -> tuple[tuple[float, ...], list[str]]:
    """One density, or n of them with commas between."""
    low, high = limits
    words = PARAMETERS["p"][1]
    # Texts of absurd length are not worth reading to their end.
    parts = text[:2000].split(",")
    numbers = [_number(part) for part in parts]
    asked = [number for number in numbers if number is not None]
    if len(asked) < len(parts):
        return default, [_not_usable(words, text, default[0])]
    if len(asked) not in (1, n):
        return default, [
            f"The address asks for {len(asked)} densities; expected one for all features, or "
            f"{n}, one for each. Showing {_text(default[0])} instead."
        ]
    kept = tuple(min(max(number, low), high) for number in asked)
    if kept != tuple(asked):
        return kept, [_out_of_range(words, text, low, high, kept[0] if len(kept) == 1 else None)]
    return kept, []


def _number(text: str) -> float | None:
    """A finite number to six digits, as many as the address will hold, or None."""
    try:
        value = float(f"{float(text):.6g}")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _not_usable(words: str, asked: str, instead: object) -> str:
    shown = instead if isinstance(instead, str) else f"{instead:g}"
    return (
        f"The address asks for {words} “{plain_text(asked)}”, which cannot be used. "
        f"Showing {shown} instead."
    )


def _out_of_range(words: str, asked: str, low: float, high: float, kept: float | None) -> str:
    shown = "what is nearest" if kept is None else f"{kept:g}"
    return (
        f"The address asks for {words} “{plain_text(asked)}”; the Lab takes {low:g} to {high:g}. "
        f"Showing {shown} instead."
    )


def _text(value: float) -> str:
    return f"{value:.6g}"
