from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.nearest import did_you_mean, nearest_ids, nearest_names
from zoo.specs import ModelSpec

GRIDS = {
    "bottleneck-5x2": tuple(
        ModelSpec(family, 5, 2, p, importance_decay=0.9, seed=seed)
        for family in ("relu-output", "linear")
        for p in (1.0, 0.3, 0.1, 0.01)
        for seed in range(16)
    ),
    "sizes": tuple(
        ModelSpec("relu-output", n, m, p) for n in (4, 5, 6) for m in (2, 3) for p in (0.1, 0.2)
    ),
    "rare-feature": tuple(
        ModelSpec("relu-output", 5, 4, 0.2, rare_ratio=r) for r in (1.0, 0.1, 0.01)
    ),
    "co-occurrence": tuple(
        ModelSpec("relu-hidden", 8, 4, 0.1, correlation=c, set_size=2) for c in (-1.0, 0.0, 1.0)
    ),
    "empty": (),
}


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("bottleneck-5x2/linear/n5-m2-p0.12-i0.9/s03", "bottleneck-5x2/linear/n5-m2-p0.1-i0.9/s03"),
        ("bottleneck-5x2/linear/n5-m2-p.1-i.9/s3", "bottleneck-5x2/linear/n5-m2-p0.1-i0.9/s03"),
        ("bottleneck-5x2/linear/n5-m2-p0.1-i0.9/s99", "bottleneck-5x2/linear/n5-m2-p0.1-i0.9/s15"),
        ("bottleneck-5x2/linear/n5-m2-p0.1-i0.9", "bottleneck-5x2/linear/n5-m2-p0.1-i0.9/s00"),
        ("botleneck/relu/n5-m2-p0.05-i0.9/s01", "bottleneck-5x2/relu-output/n5-m2-p0.1-i0.9/s01"),
        (
            "bottleneck-5x2/linear/n5-m2-p1e-2-i0.9/s02",
            "bottleneck-5x2/linear/n5-m2-p0.01-i0.9/s02",
        ),
        ("sizes/relu-output/n5-m2-p0.3-i1/s00", "sizes/relu-output/n5-m2-p0.2-i1/s00"),
        ("sizes/relu-output/n9-m2-p0.1-i1/s00", "sizes/relu-output/n6-m2-p0.1-i1/s00"),
        (
            "rare-feature/relu-output/n5-m4-p0.2-rare0.02-i1/s00",
            "rare-feature/relu-output/n5-m4-p0.2-rare0.01-i1/s00",
        ),
        (
            "co-occurrence/relu-hidden/n8-m4-p0.1-sets2-c-0.9-i1/s00",
            "co-occurrence/relu-hidden/n8-m4-p0.1-sets2-c-1-i1/s00",
        ),
    ],
)
def test_the_nearest_model_comes_first(asked: str, meant: str) -> None:
    assert nearest_ids(asked, GRIDS)[0] == meant


def test_a_density_between_two_suggests_both_with_the_same_seed() -> None:
    assert set(nearest_ids("bottleneck-5x2/linear/n5-m2-p0.2-i0.9/s03", GRIDS, 2)) == {
        "bottleneck-5x2/linear/n5-m2-p0.1-i0.9/s03",
        "bottleneck-5x2/linear/n5-m2-p0.3-i0.9/s03",
    }


@given(st.text(max_size=60))
def test_any_text_has_a_nearest_model(text: str) -> None:
    ids = {spec.model_id(grid) for grid, specs in GRIDS.items() for spec in specs}
    assert set(nearest_ids(text, GRIDS)) <= ids


@given(
    st.from_regex(r"sizes/relu-output/n[0-9.e-]{1,9}-m[0-9]{1,400}-p[0-9.]{1,400}/s-?[0-9]{1,9}")
)
def test_absurd_numbers_are_answered(text: str) -> None:
    assert len(nearest_ids(text, GRIDS)) == 3


def test_an_empty_zoo_has_none() -> None:
    assert nearest_ids("a/b", {}) == ()
    assert nearest_ids("a/b", {"empty": ()}) == ()


def test_names_that_look_alike() -> None:
    names = ("bottleneck-5x2", "bottleneck-20x5", "sizes")
    assert nearest_names("bottleneck-5x3", names)[0] == "bottleneck-5x2"
    assert nearest_names("size", names) == ("sizes",)
    assert nearest_names("qqqq", names) == ()


def test_the_question() -> None:
    assert did_you_mean([]) == ""
    assert did_you_mean(["a"]) == "; did you mean a?"
    assert did_you_mean(["a", "b", "c"]) == "; did you mean a, b or c?"
