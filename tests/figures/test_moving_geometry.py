"""What the moving geometry sends to the browser, and what it refuses to send."""

from __future__ import annotations

import base64
import json
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from figures import theme
from figures.moving_geometry import (
    Frames,
    Trajectories,
    frame_in_url,
    payload,
    track_in_url,
)

F, T, M, N = 27, 41, 2, 5


def frames(name: str = "ReLU", seed: int = 0, **changes: Any) -> Frames:
    rng = np.random.default_rng(seed)
    values = np.logspace(0, -3, F)
    parts: dict[str, Any] = {
        "directions": rng.normal(size=(F, M, N)),
        "values": values,
        "labels": [theme.format_density(value) for value in values],
        "name": name,
        "losses": rng.random(F),
        "biases": rng.normal(size=(F, N)),
        "trajectories": Trajectories(
            rng.normal(size=(F, T, M, N)), np.arange(T) * 100, rng.random((F, T))
        ),
    }
    return Frames(**{**parts, **changes})


def unpack(text: str, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind).reshape(shape)


def test_weights_arrive_as_they_were() -> None:
    track = frames()
    sent = payload(track)["tracks"][0]
    weights = unpack(sent["directions"], "<f4", (F, M, N))
    np.testing.assert_array_equal(weights, track.directions.astype(np.float32))
    assert track.biases is not None
    np.testing.assert_array_equal(
        unpack(sent["biases"], "<f4", (F, N)), track.biases.astype(np.float32)
    )


def test_trajectories_arrive_within_the_stated_rounding() -> None:
    track = frames()
    assert track.trajectories is not None
    assert track.trajectories.losses is not None
    sent = payload(track)["tracks"][0]["training"]
    packed = unpack(sent["directions"], "<i2", (F, T, M, N)) * (sent["largest"] / 32767)
    wanted = track.trajectories.directions
    assert np.abs(packed - wanted).max() <= np.abs(wanted).max() / 60_000
    assert sent["steps"] == list(range(0, 4100, 100))
    np.testing.assert_allclose(sent["losses"], track.trajectories.losses, rtol=1e-3)


def test_payload_is_the_same_each_time_and_light() -> None:
    one = json.dumps(payload([frames(), frames("linear", 1)]))
    two = json.dumps(payload([frames(), frames("linear", 1)]))
    assert one == two
    assert len(one) < 200_000


def test_words_for_the_ends_of_the_slider_are_sent() -> None:
    assert payload(frames(), end_words=("dense", "sparse"))["ends"] == ["dense", "sparse"]
    assert payload(frames())["ends"] is None


def test_payload_is_strict_json_even_where_a_loss_is_unknown() -> None:
    losses = np.full(F, np.nan)
    losses[0] = 0.25
    text = json.dumps(payload(frames(losses=losses)), allow_nan=False)
    assert json.loads(text)["tracks"][0]["losses"][:2] == [0.25, None]


@pytest.mark.parametrize("n_hidden", [1, 2, 3])
def test_one_two_and_three_dimensions_are_drawn(n_hidden: int) -> None:
    sent = payload(Frames(np.ones((1, n_hidden, 4)), [0.1], ["0.1"]))
    assert (sent["hidden"], sent["features"]) == (n_hidden, 4)
    assert sent["names"] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"directions": np.ones((M, N))}, r"expected shape \(frames, m, n\).*W\[None\]"),
        ({"directions": np.ones((F, 4, N))}, "m of 1, 2 or 3"),
        ({"directions": np.full((F, M, N), np.nan)}, "directions: expected finite"),
        ({"values": np.ones(F + 1)}, r"values: expected shape \(frames\) = \(27,\), got \(28,\)"),
        ({"labels": ["a"]}, "labels: expected 27, one for each frame, got 1"),
        ({"losses": np.ones(3)}, r"losses: expected shape \(frames\) = \(27,\)"),
        ({"biases": np.ones((F, N + 1))}, r"biases: expected shape \(frames, n\) = \(27, 5\)"),
        (
            {"trajectories": Trajectories(np.ones((F, T, N, M)), np.arange(T))},
            r"trajectories.directions: expected shape .* = \(27, 41, 2, 5\), got \(27, 41, 5, 2\)",
        ),
        (
            {"trajectories": Trajectories(np.ones((F, T, M, N)), np.arange(T), np.ones((T, F)))},
            r"trajectories.losses: expected shape .* = \(27, 41\), got \(41, 27\)",
        ),
        (
            {"trajectories": Trajectories(np.ones((F, 1, M, N)), [0])},
            "expected at least 2 recorded steps",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        payload(frames(**changes))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"start": F}, "start: expected a frame index from 0 to 26"),
        ({"start_track": 1}, "start_track: expected an index from 0 to 0"),
        ({"feature_names": ["a"]}, "feature_names: expected 5 names, got 1"),
        ({"hidden_names": ["a"]}, "hidden_names: expected 2 names, got 1"),
    ],
)
def test_options_that_do_not_fit_are_named(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        payload(frames(), **arguments)


def test_tracks_must_share_a_shape_and_differ_in_name() -> None:
    with pytest.raises(ValueError, match="at least one track"):
        payload([])
    with pytest.raises(ValueError, match="need different names"):
        payload([frames("same"), frames("Same", 1)])
    other = Frames(np.ones((2, 3, N)), [1, 2], ["1", "2"], "other")
    with pytest.raises(ValueError, match=r"'?other'?.directions: expected shape \(frames, 2, 5\)"):
        payload([frames(), other])


def test_subject_is_the_axis_title_without_its_symbol() -> None:
    assert payload(frames(), axis_title="density p")["subject"] == "density"
    assert payload(frames(), axis_title="importance")["subject"] == "importance"
    assert payload(frames(), subject="")["subject"] == ""


def test_frame_in_url_takes_what_is_there_and_is_gentle_otherwise() -> None:
    track = frames()
    assert frame_in_url(track, None, 4) == (4, "")
    for index, value in enumerate(track.values):
        assert frame_in_url(track, f"{value:.6g}", 4) == (index, "")
        assert frame_in_url(track, track.labels[index], 4) == (index, "")
    for text in ("", "abc", "nan", "inf", "-1", "7"):
        index, message = frame_in_url(track, text, 4, "density p")
        assert index == 4
        assert "density p" in message
        assert track.labels[4] in message


@given(st.text(max_size=60))
def test_no_text_in_the_address_raises(text: str) -> None:
    index, _ = frame_in_url(frames(), text, 0)
    assert 0 <= index < F


def test_track_in_url() -> None:
    both = [frames("ReLU output"), frames("linear", 1)]
    assert track_in_url(both, None, 1) == (1, "")
    assert track_in_url(both, "relu-output", 1) == (0, "")
    index, message = track_in_url(both, "tanh", 1)
    assert index == 1
    assert "tanh" in message
    assert "linear" in message


PAGE = """
import streamlit

from figures.moving_geometry import moving_geometry
from tests.figures.test_moving_geometry import frames

shown = moving_geometry([frames(), frames("linear", 1)], key="figure", **{arguments})
streamlit.text(f"{{shown.track}} {{shown.frame}} {{shown.label}}")
"""


def app(**arguments: Any) -> AppTest:
    """A page with only the figure on it."""
    return AppTest.from_string(PAGE.format(arguments=arguments), default_timeout=30)


def sent_to_browser(test: AppTest) -> Any:
    element = next(item for item in test.main if item.type == "bidi_component")
    return json.loads(element.proto.json)


def test_page_mounts_the_figure_and_sends_the_same_again() -> None:
    test = app(start=3).run()
    assert not test.exception
    first = sent_to_browser(test)
    assert first == json.loads(json.dumps(payload([frames(), frames("linear", 1)], start=3)))
    assert test.text[0].value == "0 3 0.451"
    assert sent_to_browser(test.run()) == first


def test_address_decides_the_start() -> None:
    test = app(url_parameter="p", track_parameter="model")
    test.query_params["p"] = "0.001"
    test.query_params["model"] = "linear"
    test.run()
    assert test.text[0].value == "1 26 0.001"
    assert sent_to_browser(test)["start"] == {"track": 1, "frame": 26}
    assert not test.info


def test_bad_address_gets_a_message_and_the_default() -> None:
    test = app(url_parameter="p", track_parameter="model", start=2)
    test.query_params["p"] = "lots"
    test.query_params["model"] = "none"
    test.run()
    assert not test.exception
    assert test.text[0].value.startswith("0 2 ")
    assert ["none" in test.info[0].value, "lots" in test.info[1].value] == [True, True]


@pytest.mark.parametrize("count", [1, 5, 8, 9, 20, 80])
def test_feature_colours_are_distinct_and_readable_in_both_themes(count: int) -> None:
    colours = theme.feature_colours(count)
    assert len(set(colours)) == count
    for colour in colours:
        assert theme.contrast(colour, theme.LIGHT_BACKGROUND) >= 3
        assert theme.contrast(colour, theme.DARK_BACKGROUND) >= 3


def test_a_feature_keeps_its_colour() -> None:
    assert theme.feature_colours(8)[:5] == theme.feature_colours(5)
    with pytest.raises(ValueError, match="at least 1"):
        theme.feature_colours(0)


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def oklab(colour: str, sight: str) -> np.ndarray:
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(SIGHTS[sight]) @ linear, 0, 1)
    cones = np.cbrt(
        np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        )
        @ seen
    )
    return (
        np.array(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ]
        )
        @ cones
    )


@pytest.mark.parametrize("sight", SIGHTS)
def test_first_eight_colours_differ_for_every_kind_of_sight(sight: str) -> None:
    colours = [oklab(colour, sight) for colour in theme.feature_colours(8)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(colours, 2)) > 0.06


def test_family_and_status_colours_are_readable_in_both_themes() -> None:
    colours = [*theme.FAMILY_COLOURS.values()]
    colours += [style.colour for style in theme.STATUS_STYLES.values()]
    for colour in colours:
        assert theme.contrast(colour, theme.LIGHT_BACKGROUND) >= 3
        assert theme.contrast(colour, theme.DARK_BACKGROUND) >= 3
    styles = theme.STATUS_STYLES.values()
    assert len({style.symbol for style in styles}) == len({style.icon for style in styles}) == 3


@pytest.mark.parametrize(
    ("density", "text", "sparsity"),
    [(1, "1", "0"), (0.3, "0.3", "0.7"), (0.017783, "0.0178", "0.9822"), (0.001, "0.001", "0.999")],
)
def test_densities_as_text(density: float, text: str, sparsity: str) -> None:
    assert theme.format_density(density) == text
    assert theme.format_sparsity(density) == sparsity


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (-1.25, "−1.25"), (2.1e-5, "2.1×10⁻⁵"), (float("nan"), "–")],
)
def test_numbers_as_text(value: float, text: str) -> None:
    assert theme.format_number(value) == text
