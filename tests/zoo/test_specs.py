from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.format import GridEntry, Manifest, _entry_from_dict, _entry_to_dict
from zoo.specs import Grid, ModelSpec, log_spaced

probabilities = st.floats(1e-6, 1.0)


@st.composite
def model_specs(draw: st.DrawFn) -> ModelSpec:
    set_size = draw(st.integers(1, 4))
    # Adding zero makes the negative zero positive: the two are equal, and one number.
    correlation = draw(st.floats(-1.0, 1.0)) + 0.0 if set_size > 1 else 0.0
    return ModelSpec(
        family=draw(st.sampled_from(["linear", "relu-output", "relu-hidden", "absolute-value"])),
        n_features=set_size * draw(st.integers(1, 30)),
        n_hidden=draw(st.integers(1, 50)),
        density=draw(probabilities),
        importance_decay=draw(st.floats(0.01, 10.0)),
        seed=draw(st.integers(0, 10_000)),
        correlation=correlation,
        set_size=set_size,
        rare_ratio=draw(st.none() | st.floats(0.0, 1.0).map(abs)),
    )


@given(model_specs())
def test_a_spec_survives_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@given(model_specs(), model_specs())
def test_two_specs_never_share_an_id(one: ModelSpec, other: ModelSpec) -> None:
    assert (one.model_id("grid") == other.model_id("grid")) == (one == other)


@given(model_specs(), st.data())
def test_changing_one_field_changes_the_id(spec: ModelSpec, data: st.DataObject) -> None:
    changed = data.draw(
        st.sampled_from(
            [
                ModelSpec.from_dict({**spec.to_dict(), name: value})
                for name, value in {
                    "n_hidden": spec.n_hidden + 1,
                    "density": spec.density / 2,
                    "importance_decay": spec.importance_decay * (1 + 1e-15),
                    "seed": spec.seed + 1,
                    "rare_ratio": 0.5 if spec.rare_ratio is None else None,
                }.items()
            ]
        )
    )
    assert (changed == spec) == (changed.model_id("grid") == spec.model_id("grid"))


@given(st.lists(model_specs(), min_size=1, max_size=12, unique=True))
def test_a_grid_survives_the_manifest(specs: list[ModelSpec]) -> None:
    grid = Grid("some-grid", 'Does it "survive"? Σ', tuple(specs), keep_trajectories=True)
    entry = _entry_to_dict(GridEntry(grid, {}))
    files = {
        f"grids/some-grid/{name}": {"sha256": "0" * 64, "bytes": 1}
        for name in ("index.parquet", "weights.safetensors")
    }
    again = _entry_from_dict("some-grid", json.loads(json.dumps({**entry, "files": files})))
    assert again.grid == grid


@given(st.lists(model_specs(), min_size=1, max_size=5, unique=True))
def test_the_manifest_is_json_whatever_its_line_breaks(specs: list[ModelSpec]) -> None:
    grid = Grid("some-grid", "Why?", tuple(specs))
    text = Manifest("1", {"some-grid": GridEntry(grid, {})}).to_json()
    assert json.loads(text)["grids"]["some-grid"] == _entry_to_dict(GridEntry(grid, {}))


def test_an_id_reads_like_its_setting() -> None:
    spec = ModelSpec("relu-output", 5, 2, 0.1, importance_decay=0.9, seed=3)
    assert spec.model_id("bottleneck-5x2") == "bottleneck-5x2/relu-output/n5-m2-p0.1-i0.9/s03"


def test_a_grid_declares_each_model_once() -> None:
    spec = ModelSpec("linear", 3, 2, 0.5)
    with pytest.raises(ValueError, match="more than once"):
        Grid("twice", "?", (spec, spec))


def test_log_spaced_holds_its_ends_and_the_extra_values() -> None:
    values = log_spaced(1, 0.001, 25, also=(0.2, 0.1))
    assert values[0] == 1
    assert values[-1] == 0.001
    assert {0.2, 0.1} <= set(values)
    assert list(values) == sorted(set(values), reverse=True)
