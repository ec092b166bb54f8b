"""The training curve: what is drawn, and that redrawing changes nothing but the data."""

from __future__ import annotations

import numpy as np
import pytest

from figures.training_curve import describe_training_curve, training_curve

STEPS = [0, 10, 20]
LOSSES = np.array([[1.0, 2.0], [0.5, np.nan], [0.25, 0.0]])


def rows(**options: object) -> list[dict[str, object]]:
    spec = training_curve(STEPS, LOSSES, total=100, **options).to_dict()  # type: ignore[arg-type]
    return spec["datasets"]["curve"]


def test_draws_every_positive_loss_of_every_model() -> None:
    drawn = rows(shown=1)
    assert [(r["step"], r["loss"]) for r in drawn if r["kind"] == "other"] == [
        (0, 1.0), (10, 0.5), (20, 0.25),
    ]  # fmt: skip
    assert [(r["step"], r["loss"]) for r in drawn if r["kind"] == "shown"] == [(0, 2.0)]


def test_reference_goes_all_the_way_across() -> None:
    across = [r for r in rows(reference=0.2) if r["kind"] == "reference"]
    assert [(r["step"], r["loss"]) for r in across] == [(0, 0.2), (100, 0.2)]


def test_more_frames_change_the_data_alone() -> None:
    before = training_curve(STEPS[:1], LOSSES[:1], total=100, reference=0.2).to_dict()
    after = training_curve(STEPS, LOSSES, total=100, reference=0.2).to_dict()
    assert before.pop("datasets") != after.pop("datasets")
    assert before == after


def test_nothing_trained_yet_is_an_empty_picture() -> None:
    empty = training_curve([], np.zeros((0, 1)), total=100).to_dict()
    # Fewer points than a line needs, and yet a loss for the scale.
    (row,) = empty["datasets"]["curve"]
    assert row["loss"] == 1
    assert "nothing has been trained" in describe_training_curve([], np.zeros((0, 1)))


def test_no_layer_is_ever_without_rows() -> None:
    """Vega warns in the console where a scale reaches over nothing."""
    for chart in (
        training_curve([], np.zeros((0, 1)), total=100),
        training_curve(STEPS, LOSSES[:, :1], total=100),
    ):
        spec = chart.to_dict()
        assert all("transform" not in layer for layer in spec["layer"])
        # And where a size stands for what has no order.
        assert spec["layer"][0]["encoding"]["strokeWidth"]["type"] == "ordinal"
        assert all(
            layer.get("data", spec.get("data")) == {"name": "curve"} for layer in spec["layer"]
        )


def test_the_shown_model_is_drawn_last() -> None:
    kinds = [row["kind"] for row in rows(shown=0, reference=0.2)]
    assert kinds == ["other"] + ["reference"] * 2 + ["shown"] * 3


def test_misfit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 2\); expected \(2 steps, models\)"):
        training_curve(STEPS[:2], LOSSES, total=100)


def test_description_says_where_it_starts_and_ends() -> None:
    words = describe_training_curve(
        STEPS, LOSSES, shown=0, reference=0.2, reference_name="the zoo's nearest"
    )
    assert "from 1 at step 0 to 0.25 at step 20" in words
    assert "1 more models" not in words
    assert "1 more model from another seed is" in words
    assert "the zoo's nearest, 0.2" in words
