"""The moving geometry: the columns W_i of many small models as arrows, moved by a slider.

All frames travel to the browser once, and the slider is answered there, without a round trip to
the server. The browser's part is moving_geometry.js; this module checks the arrays, packs them,
and mounts the component.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import streamlit as st
from numpy.typing import ArrayLike, NDArray

from figures.theme import feature_colours

Payload: TypeAlias = dict[str, Any]

_SCHEMA = 1
_FOLDER = Path(__file__).parent
_HTML, _CSS, _JS = (
    (_FOLDER / f"moving_geometry.{kind}").read_text(encoding="utf-8")
    for kind in ("html", "css", "js")
)
_mount = st.components.v2.component("moving_geometry", html=_HTML, css=_CSS, js=_JS)


@dataclass(frozen=True, eq=False)
class Trajectories:
    """The training of every frame, for the play button.

    directions: (F, T, m, n), W of each frame after each recorded step, in the same basis as the
        frame itself, so that the last snapshot is the frame.
    steps: (T,) optimiser steps of the snapshots, rising.
    losses: (F, T) or None, the loss at each snapshot.
    """

    directions: NDArray[np.floating[Any]]
    steps: Sequence[int] | NDArray[np.integer[Any]]
    losses: NDArray[np.floating[Any]] | None = None


@dataclass(frozen=True, eq=False)
class Frames:
    """One track: the same kind of model at F values of one quantity.

    directions: (F, m, n), the matrix W of each frame; m is 1, 2 or 3. Rotate neighbouring frames
        onto each other first (`superposition.geometry.align_to`), or the arrows will jump.
    values: (F,) the value of the slider's quantity in each frame, in the slider's order.
    labels: (F,) the same values as the reader should see them.
    name: what the track is called, needed when several tracks are shown.
    losses: (F,) or None, one number per frame to read out.
    biases: (F, n) or None, the output biases b.
    trajectories: None, or the training of every frame.
    """

    directions: NDArray[np.floating[Any]]
    values: Sequence[float] | NDArray[np.floating[Any]]
    labels: Sequence[str]
    name: str = ""
    losses: Sequence[float] | NDArray[np.floating[Any]] | None = None
    biases: NDArray[np.floating[Any]] | None = None
    trajectories: Trajectories | None = None


@dataclass(frozen=True)
class Shown:
    """What the component shows, as far as the server knows.

    track, frame: indices into the frames given. value, label: those of the frame.
    Up to date when the component reports. Otherwise the start, or what the address said when
    Streamlit last looked at it, which may be before the reader moved the slider.
    """

    track: int
    frame: int
    value: float
    label: str


def moving_geometry(
    frames: Frames | Sequence[Frames],
    *,
    key: str,
    axis_title: str = "density p",
    end_words: tuple[str, str] | None = None,
    subject: str | None = None,
    feature_names: Sequence[str] | None = None,
    hidden_names: Sequence[str] | None = None,
    loss_title: str = "loss",
    start: int = 0,
    start_track: int = 0,
    threshold: float = 0.5,
    report: bool = False,
    url_parameter: str | None = None,
    track_parameter: str | None = None,
) -> Shown:
    """Draw the directions of one of many frames, with a slider over the frames.

    frames: one track, or several of the same m and n for the reader to switch between. A single
        frame has no slider; calling again with the same key and new numbers moves the arrows.
    key: Streamlit key; keep it the same from run to run, or the figure starts afresh.
    axis_title: name of the slider's quantity.
    end_words: what the first and the last label of the slider mean, in a word or two each.
    subject: the word before the label in the caption ("Density 0.1: ..."); by default axis_title
        without its symbol. An empty string leaves the label alone.
    feature_names: (n,) short names; by default 1 to n.
    hidden_names: (m,) names of the hidden dimensions, for models where the axes mean something.
        Without them the axes are not drawn.
    start, start_track: what is shown at first. A later change moves the figure there.
    threshold: norm above which a feature counts as represented.
    report: send the frame to the server when the reader lets go of the slider, which reruns the
        page or the surrounding fragment. Off, moving the slider never reaches the server.
    url_parameter, track_parameter: names of query parameters that hold the slider's value and the
        track. The browser writes them when the reader lets go; here they are read, and win over
        `start` and `start_track`. A value that fits no frame gets a message and the default.
        Do not also bind a widget to them, and set `report` where the page computes from them.

    Returns what is shown. Raises ValueError, naming the array and the shape expected, for arrays
    that do not fit together.
    """
    tracks = (frames,) if isinstance(frames, Frames) else tuple(frames)
    messages: list[str] = []
    if track_parameter is not None:
        start_track, message = track_in_url(
            tracks, st.query_params.get(track_parameter), start_track
        )
        messages.append(message)
    if url_parameter is not None and 0 <= start_track < len(tracks):
        start, message = frame_in_url(
            tracks[start_track], st.query_params.get(url_parameter), start, axis_title
        )
        messages.append(message)
    data = payload(
        tracks,
        axis_title=axis_title,
        end_words=end_words,
        subject=subject,
        feature_names=feature_names,
        hidden_names=hidden_names,
        loss_title=loss_title,
        start=start,
        start_track=start_track,
        threshold=threshold,
        report=report,
        url_parameter=url_parameter,
        track_parameter=track_parameter,
    )
    for message in filter(None, messages):
        st.info(message, icon=":material/link:")
    if report:
        result = _mount(key=key, data=data, on_shown_change=_note_change)
        start_track, start = _reported(tracks, result.get("shown"), start_track, start)
    else:
        _mount(key=key, data=data)
    track = tracks[start_track]
    return Shown(start_track, start, float(track.values[start]), str(track.labels[start]))


def payload(
    frames: Frames | Sequence[Frames],
    *,
    axis_title: str = "density p",
    end_words: tuple[str, str] | None = None,
    subject: str | None = None,
    feature_names: Sequence[str] | None = None,
    hidden_names: Sequence[str] | None = None,
    loss_title: str = "loss",
    start: int = 0,
    start_track: int = 0,
    threshold: float = 0.5,
    report: bool = False,
    url_parameter: str | None = None,
    track_parameter: str | None = None,
) -> Payload:
    """What the browser receives: JSON, the arrays in base64. Equal arguments give equal payloads.

    Weights are float32. Trajectories are rounded to 16 bits of their largest weight, an error
    below one part in 60,000, which no picture shows. Arguments and errors as `moving_geometry`.
    """
    tracks = (frames,) if isinstance(frames, Frames) else tuple(frames)
    if not tracks:
        raise ValueError("frames: expected at least one track, got none.")
    packed = [_pack_track(track, _where(tracks, index)) for index, track in enumerate(tracks)]
    n_hidden, n_features = packed[0]["shape"][1:]
    for index, track in enumerate(packed[1:], start=1):
        if track["shape"][1:] != [n_hidden, n_features]:
            raise ValueError(
                f"{_where(tracks, index)}.directions: expected shape (frames, {n_hidden}, "
                f"{n_features}) like the first track, got {tuple(track['shape'])}."
            )
    if len({track["slug"] for track in packed}) < len(packed):
        raise ValueError(
            "frames: several tracks need different names, "
            f"got {[track.name for track in tracks]}. Set Frames.name."
        )
    if not 0 <= start_track < len(tracks):
        raise ValueError(
            f"start_track: expected an index from 0 to {len(tracks) - 1}, got {start_track}."
        )
    last = len(packed[start_track]["labels"]) - 1
    if not 0 <= start <= last:
        raise ValueError(f"start: expected a frame index from 0 to {last}, got {start}.")
    names = _names("feature_names", feature_names, n_features) or [
        str(index + 1) for index in range(n_features)
    ]
    return {
        "schema": _SCHEMA,
        "hidden": n_hidden,
        "features": n_features,
        "names": names,
        "hiddenNames": _names("hidden_names", hidden_names, n_hidden),
        "colours": feature_colours(n_features),
        "axis": axis_title,
        "ends": None if end_words is None else list(end_words),
        "subject": _subject(axis_title) if subject is None else subject,
        "lossTitle": loss_title,
        "threshold": float(threshold),
        "tracks": packed,
        "start": {"track": start_track, "frame": start},
        "report": bool(report),
        "url": {"frame": url_parameter, "track": track_parameter},
    }


def frame_in_url(
    frames: Frames, text: str | None, default: int, axis_title: str = "value"
) -> tuple[int, str]:
    """The index of the frame that a query parameter asks for, and a message for the reader.

    The value nearest to the one asked for wins if it is within a hundredth of it; otherwise, and
    for text that is no number, the default comes back with a message. No message is "".
    """
    if text is None:
        return default, ""
    values = np.asarray(frames.values, dtype=float)
    try:
        wanted = float(text)
    except ValueError:
        wanted = float("nan")
    if np.isfinite(wanted):
        nearest = int(np.argmin(np.abs(values - wanted)))
        if np.isclose(values[nearest], wanted, rtol=0.01, atol=1e-9):
            return nearest, ""
    return default, (
        f"The address asks for {axis_title} = {text[:40]}, which is not among the models here. "
        f"Showing {frames.labels[default]} instead."
    )


def track_in_url(tracks: Sequence[Frames], text: str | None, default: int) -> tuple[int, str]:
    """The index of the track that a query parameter asks for, and a message, as `frame_in_url`."""
    if text is None:
        return default, ""
    slugs = [_slug(track.name) for track in tracks]
    if text in slugs:
        return slugs.index(text), ""
    return default, (
        f"The address asks for “{text[:40]}”, which is not shown here. "
        f"Showing {tracks[default].name} instead."
    )


def _pack_track(track: Frames, where: str) -> Payload:
    directions = _finite(f"{where}.directions", track.directions)
    if directions.ndim != 3 or directions.shape[1] not in (1, 2, 3) or 0 in directions.shape:
        hint = " For one frame, pass W[None]." if directions.ndim == 2 else ""
        raise ValueError(
            f"{where}.directions: expected shape (frames, m, n) with m of 1, 2 or 3, "
            f"got {directions.shape}.{hint}"
        )
    count, n_hidden, n_features = directions.shape
    values = _shaped(f"{where}.values", track.values, (count,), "frames")
    if len(track.labels) != count:
        raise ValueError(
            f"{where}.labels: expected {count}, one for each frame, got {len(track.labels)}."
        )
    packed: Payload = {
        "name": track.name,
        "slug": _slug(track.name),
        "shape": [count, n_hidden, n_features],
        "values": values.tolist(),
        "texts": [f"{value:.6g}" for value in values],
        "labels": [str(label) for label in track.labels],
        "directions": _base64(directions.astype("<f4")),
        "biases": None,
        "losses": None,
        "training": None,
    }
    if track.biases is not None:
        biases = _shaped(f"{where}.biases", track.biases, (count, n_features), "frames, n")
        packed["biases"] = _base64(biases.astype("<f4"))
    if track.losses is not None:
        packed["losses"] = _losses(f"{where}.losses", track.losses, (count,), "frames")
    if track.trajectories is not None:
        packed["training"] = _pack_training(
            track.trajectories, (count, n_hidden, n_features), f"{where}.trajectories"
        )
    return packed


def _pack_training(trajectories: Trajectories, shape: tuple[int, int, int], where: str) -> Payload:
    count, n_hidden, n_features = shape
    snapshots = len(trajectories.steps)
    if snapshots < 2:
        raise ValueError(f"{where}.steps: expected at least 2 recorded steps, got {snapshots}.")
    expected = (count, snapshots, n_hidden, n_features)
    directions = _shaped(
        f"{where}.directions", trajectories.directions, expected, "frames, steps, m, n"
    )
    largest = float(np.abs(directions).max()) or 1.0
    losses = None
    if trajectories.losses is not None:
        losses = _losses(
            f"{where}.losses", trajectories.losses, (count, snapshots), "frames, steps"
        )
    return {
        "steps": [int(step) for step in trajectories.steps],
        "largest": largest,
        "directions": _base64(np.rint(directions * (32767 / largest)).astype("<i2")),
        "losses": losses,
    }


def _losses(name: str, values: ArrayLike, shape: tuple[int, ...], meaning: str) -> list[Any]:
    """Losses as nested lists of four significant digits; None where one is unknown."""
    array = np.asarray(values, dtype=float)
    _shaped(name, np.nan_to_num(array), shape, meaning)
    rounded = [float(f"{value:.4g}") if np.isfinite(value) else None for value in array.flat]
    if array.ndim == 1:
        return rounded
    return [rounded[row : row + shape[1]] for row in range(0, len(rounded), shape[1])]


def _shaped(
    name: str, values: ArrayLike, shape: tuple[int, ...], meaning: str
) -> NDArray[np.float64]:
    array = _finite(name, values)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape ({meaning}) = {shape}, got {array.shape}.")
    return array


def _finite(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=float)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity.")
    return array


def _names(name: str, names: Sequence[str] | None, count: int) -> list[str] | None:
    if names is None:
        return None
    if len(names) != count:
        raise ValueError(f"{name}: expected {count} names, got {len(names)}.")
    return [str(entry) for entry in names]


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _slug(name: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


def _subject(axis_title: str) -> str:
    words = axis_title.split()
    if len(words) > 1 and len(words[-1]) == 1:
        words.pop()
    return " ".join(words)


def _where(tracks: Sequence[Frames], index: int) -> str:
    return "Frames" if len(tracks) == 1 else f"Frames {tracks[index].name or index!r}"


def _reported(
    tracks: Sequence[Frames], shown: Any, start_track: int, start: int
) -> tuple[int, int]:
    """The track and frame that the browser reported, or the start if they no longer exist."""
    if not isinstance(shown, dict):
        return start_track, start
    track, frame = shown.get("track"), shown.get("frame")
    if not isinstance(track, int) or not isinstance(frame, int):
        return start_track, start
    if not (0 <= track < len(tracks) and 0 <= frame < len(tracks[track].labels)):
        return start_track, start
    return track, frame


def _note_change() -> None:
    """Streamlit keeps a component's state only if a callback is named for it."""
