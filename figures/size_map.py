"""The map of sizes: one cell per n × m, coloured by how densely its features are packed.

Every density and both families travel in the chart, and its own controls move through them,
so that a drag is answered in the browser. The page hears of it afterwards, through the
selection `cell`, which holds the controls and the chosen cell together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from figures.theme import FAMILY_COLOURS, SEQUENTIAL, format_density, format_sparsity

SELECTION = "cell"
"""Name of the chart's selection; its fields are those of `Cell`."""


@dataclass(frozen=True)
class Measure:
    """A quantity that the map can be coloured by: a column of the index, over `divisor`."""

    column: str
    title: str
    """As the reader sees it, on the control and above the map."""
    divisor: str | None = None

    def values(self, table: pd.DataFrame) -> np.ndarray:
        """The measure of each row, (rows,)."""
        values = table[self.column].to_numpy(dtype=float)
        return values if self.divisor is None else values / table[self.divisor].to_numpy(float)


MEASURES: Mapping[str, Measure] = {
    "represented": Measure(
        "features_represented", "features represented, per dimension", divisor="n_hidden"
    ),
    "packing": Measure("features_per_dimension", "features per dimension, ‖W‖² / m"),
    "d-star": Measure("dimensions_per_feature", "dimensions per feature, D* = m / ‖W‖²"),
    "loss": Measure("loss_per_density", "loss per density, L / p"),
}

FIRST_MEASURE = "represented"

# Few to many features for each dimension. Thin lines need 3 : 1 against a light page and a dark
# one, which no ramp from pale to dark has.
_COMPETITION = ("#3D93C7", "#5C6FC0", "#8A4FB0", "#B5478F")

FAMILIES: Mapping[str, str] = {"relu-output": "ReLU", "linear": "linear"}
"""The families of the map, and what its control calls them."""


@dataclass(frozen=True)
class Cell:
    """What the map shows and which of its cells is chosen.

    Attributes:
        step: index into the densities, from the highest down.
        n, m: the chosen size.
        family: a key of `FAMILIES`.
        measure: a key of `MEASURES`.
    """

    step: int
    n: int
    m: int
    family: str = "relu-output"
    measure: str = FIRST_MEASURE


def densities_of(table: pd.DataFrame) -> list[float]:
    """The densities of the map, from 1 down."""
    return sorted(table["density"].unique().tolist(), reverse=True)


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """A row per cell: family, step, n, m, and each measure, None where it is not finite.

    table: the best seed of every setting of the grid, with the columns of the index.
    """
    densities = densities_of(table)
    rows = pd.DataFrame(
        {
            "family": table["family"].to_numpy(),
            "step": [densities.index(density) for density in table["density"]],
            "n": table["n_features"].to_numpy(),
            "m": table["n_hidden"].to_numpy(),
        }
    )
    for name, measure in MEASURES.items():
        values = measure.values(table)
        rows[name] = [round(v, 4) if np.isfinite(v) else None for v in values.tolist()]
    return rows


def size_map(table: pd.DataFrame, start: Cell) -> alt.LayerChart:
    """The map, with controls for density, family, measure and size below it.

    table: the best seed of every setting; columns of the index.
    start: what is shown and chosen at first.

    The selection `cell` reports a `Cell`: pass it to `cell_of`.
    """
    rows = cells(table)
    densities = densities_of(table)
    sizes, depths = sorted(rows["n"].unique().tolist()), sorted(rows["m"].unique().tolist())
    base = (
        alt.Chart(alt.InlineData(values=_records(rows)))
        .transform_filter(f"datum.step == {SELECTION}_step && datum.family == {SELECTION}_family")
        .transform_calculate(
            # A click on a cell chooses all that the selection holds from the cell's own fields.
            measure=f"{SELECTION}_measure",
            value=f"datum[{SELECTION}_measure]",
            share=f"isValid(datum.value) ? datum.value / {_tops(rows)} : null",
            text="isValid(datum.value) ? format(datum.value, width < 400 ? '.1f' : '.2f') : ''",
            size="datum.n + ' features in ' + datum.m + (datum.m == 1 ? ' dimension'"
            " : ' dimensions')",
        )
        .encode(
            # By which the browser moves the cells that it has drawn, instead of drawing all anew.
            key="size:N",
            x=alt.X(
                "n:O",
                title="features, n",
                scale=alt.Scale(domain=sizes, paddingInner=0.06, paddingOuter=0.03),
                axis=alt.Axis(labelAngle=0, domain=False, ticks=False),
            ),
            y=alt.Y(
                "m:O",
                title="dimensions, m",
                scale=alt.Scale(domain=depths[::-1], paddingInner=0.06, paddingOuter=0.03),
                axis=alt.Axis(domain=False, ticks=False, labelOverlap=False),
            ),
        )
    )
    legend_label = f"format(datum.value * {_tops(rows)}, '.2~f')"
    squares = base.mark_rect(cornerRadius=3, cursor="pointer").encode(
        color=alt.Color(
            "share:Q",
            scale=alt.Scale(
                domain=[0, 0.25, 0.5, 0.75, 1],
                range=list(SEQUENTIAL),
                clamp=True,
                interpolate="rgb",
            ),
            legend=alt.Legend(
                title=None,
                orient="top",
                direction="horizontal",
                values=[0, 0.25, 0.5, 0.75, 1],
                labelExpr=legend_label,
                gradientLength=220,
                gradientThickness=10,
            ),
        ),
        tooltip=[
            alt.Tooltip("size:N", title="size"),
            *(
                alt.Tooltip(f"{name}:Q", title=measure.title, format=".3~f")
                for name, measure in MEASURES.items()
            ),
        ],
    )
    chosen = alt.selection_point(
        name=SELECTION,
        # Vega puts the control of the last field on top.
        fields=["m", "n", "measure", "family", "step"],
        # A click beside the cells would otherwise empty the selection, and the map with it.
        on="rect:click",
        clear=False,
        toggle=False,
        empty=False,
        value=[
            {
                "step": start.step,
                "family": start.family,
                "measure": start.measure,
                "n": start.n,
                "m": start.m,
            }
        ],
        bind=_controls(densities, sizes, depths),
    )
    ring = (
        base.transform_filter(f"datum.n == {SELECTION}_n && datum.m == {SELECTION}_m")
        .mark_rect(cornerRadius=3, fillOpacity=0, strokeWidth=3)
        .encode(stroke=alt.value(FAMILY_COLOURS["relu-hidden"]))
    )
    numbers = base.mark_text(fontSize=alt.ExprRef("width < 400 ? 9 : 11")).encode(
        text="text:N",
        # A number that does not fit its cell is worse than none; the tooltip has it.
        opacity=alt.condition(f"width / {len(sizes)} < 19", alt.value(0), alt.value(1)),
        color=alt.condition("datum.share > 0.6", alt.value("#ffffff"), alt.value("#12161d")),
    )
    return (
        alt.LayerChart(layer=[squares.add_params(chosen), numbers, ring])
        .properties(
            height=34 * len(depths) + 150,
            title=alt.TitleParams(
                # Two lines: what the colour means, and of which models.
                text=alt.ExprRef(
                    f"[{_choose({k: v.title for k, v in MEASURES.items()}, 'measure')}, "
                    f"{_choose({k: f'{v} models' for k, v in FAMILIES.items()}, 'family')}"
                    f" + ', ' + {_texts(densities)}[{SELECTION}_step]]"
                ),
                fontSize=14,
                offset=10,
            ),
        )
        .configure_view(strokeWidth=0)
    )


def cell_of(selection: Any, table: pd.DataFrame, default: Cell) -> Cell:
    """The `Cell` that the browser reported; `default` where the report makes no sense.

    selection: the list of points that Streamlit returns for `cell`.
    """
    if not isinstance(selection, list | tuple) or not selection:
        return default
    point = selection[-1]
    try:
        cell = Cell(
            int(point["step"]),
            int(point["n"]),
            int(point["m"]),
            str(point["family"]),
            str(point["measure"]),
        )
    except (KeyError, TypeError, ValueError):
        return default
    known = cell.family in FAMILIES and cell.measure in MEASURES
    return cell if known and 0 <= cell.step < len(densities_of(table)) else default


def describe_size_map(table: pd.DataFrame, cell: Cell) -> str:
    """What the map shows, in words."""
    density = densities_of(table)[cell.step]
    rows = table[(table["family"] == cell.family) & (table["density"] == density)]
    measure = MEASURES[cell.measure]
    values = pd.Series(measure.values(rows), index=rows.index)
    low, high = rows.loc[values.idxmin()], rows.loc[values.idxmax()]
    return (
        f"A grid of cells, features n from {rows['n_features'].min()} to "
        f"{rows['n_features'].max()} across and dimensions m from {rows['n_hidden'].min()} to "
        f"{rows['n_hidden'].max()} upwards, coloured by {measure.title}, for the "
        f"{FAMILIES[cell.family]} models at density {format_density(density)}. The values go "
        f"from {values.min():.2f} at {low['n_features']} × {low['n_hidden']} to "
        f"{values.max():.2f} at {high['n_features']} × {high['n_hidden']}. Below it are controls "
        "for density, model, colour, n and m."
    )


def packing_lines(table: pd.DataFrame, chosen: tuple[int, int] | None = None) -> alt.LayerChart:
    """Features per dimension against density: a line per size, ReLU coloured by n / m.

    table: the best seed of every setting; columns of the index. chosen: n and m of the size whose
    ReLU line stands out; it is a data set of its own, so that choosing another moves that line.
    """
    rows = pd.DataFrame(
        {
            "family": [FAMILIES[family] for family in table["family"]],
            "size": [
                f"{n} × {m}" for n, m in zip(table["n_features"], table["n_hidden"], strict=True)
            ],
            "ratio": (table["n_features"] / table["n_hidden"]).round(3).to_numpy(),
            "density": table["density"].to_numpy(),
            "packing": table["features_per_dimension"].astype(float).round(4).to_numpy(),
        }
    )
    relu, linear = (rows[rows["family"] == FAMILIES[name]] for name in FAMILIES)
    ticks = [1, 0.1, 0.01, 0.001]
    x = alt.X(
        "density:Q",
        title="density p (sparser to the right)",
        scale=alt.Scale(
            type="log", domain=[rows["density"].min(), rows["density"].max()], reverse=True
        ),
        axis=alt.Axis(values=ticks, format="~g", grid=False),
    )
    y = alt.Y(
        "packing:Q", title="squared norms per dimension, ‖W‖² / m", scale=alt.Scale(zero=True)
    )
    tooltip = [
        alt.Tooltip("size:N", title="size, n × m"),
        alt.Tooltip("family:N", title="model"),
        alt.Tooltip("density:Q", title="density", format="~g"),
        alt.Tooltip("packing:Q", title="features per dimension", format=".2f"),
    ]
    near = alt.selection_point(
        name="near", fields=["size"], on="pointerover", clear="pointerout", empty=False
    )
    relu_lines = (
        alt.Chart(relu)
        .mark_line(strokeCap="round")
        .encode(
            x=x,
            y=y,
            detail="size:N",
            tooltip=tooltip,
            color=alt.Color(
                "ratio:Q",
                scale=alt.Scale(type="log", range=list(_COMPETITION)),
                legend=alt.Legend(
                    title="n / m", orient="right", values=[1, 2, 4, 8, 16], format="~g"
                ),
            ),
            strokeWidth=alt.condition(near, alt.value(4), alt.value(1.4)),
        )
        .add_params(near)
    )
    linear_lines = (
        alt.Chart(linear)
        .mark_line(strokeDash=[4, 3], color=FAMILY_COLOURS["linear"], strokeWidth=1.4)
        .encode(x=x, y=y, detail="size:N", tooltip=tooltip)
    )
    layers = [linear_lines, relu_lines]
    if chosen is not None:
        one = relu[relu["size"] == f"{chosen[0]} × {chosen[1]}"]
        line = alt.Chart(one).mark_line(color=FAMILY_COLOURS["relu-hidden"], strokeWidth=3)
        layers.append(line.encode(x=x, y=y, tooltip=tooltip))
    return alt.LayerChart(layer=layers).properties(height=360)


def describe_packing_lines(table: pd.DataFrame) -> str:
    """What `packing_lines` shows, in words."""
    densities = densities_of(table)
    parts = []
    for family, name in FAMILIES.items():
        rows = table[table["family"] == family]
        ends = [
            rows.loc[rows["density"] == density, "features_per_dimension"].astype(float)
            for density in (densities[0], densities[-1])
        ]
        parts.append(
            f"{name} models go from between {ends[0].min():.2f} and {ends[0].max():.2f} at "
            f"density {format_density(densities[0])} to between {ends[1].min():.2f} and "
            f"{ends[1].max():.2f} at density {format_density(densities[-1])}"
        )
    return (
        "Features per dimension against density, one line for each size, sparser to the right. "
        + "; ".join(parts)
        + "."
    )


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Plain values: what is not a number is None, and JSON's null."""
    return [
        {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}
        for row in rows.to_dict("records")
    ]


def _controls(densities: Sequence[float], sizes: Sequence[int], depths: Sequence[int]) -> Any:
    """An input for each field of the selection."""
    return {
        "step": alt.binding_range(name="Sparser →", min=0, max=len(densities) - 1, step=1),
        "family": alt.binding_radio(
            name="Model", options=list(FAMILIES), labels=list(FAMILIES.values())
        ),
        "measure": alt.binding_select(
            name="Colour", options=list(MEASURES), labels=[m.title for m in MEASURES.values()]
        ),
        "n": alt.binding_range(name="Features n", min=sizes[0], max=sizes[-1], step=1),
        "m": alt.binding_range(name="Dimensions m", min=depths[0], max=depths[-1], step=1),
    }


def _choose(options: Mapping[str, str], field: str) -> str:
    """A Vega expression: the text of the option that `field` of the selection has."""
    table = ", ".join(f"'{key}': '{text}'" for key, text in options.items())
    return f"{{{table}}}[{SELECTION}_{field}]"


def _texts(densities: Sequence[float]) -> str:
    texts = (
        f"'density p = {format_density(p)}, sparsity S = {format_sparsity(p)}'" for p in densities
    )
    return f"[{', '.join(texts)}]"


def round_top(largest: float) -> float:
    """The end of a scale from 0 that reaches `largest` and has round numbers at its quarters."""
    if largest <= 0:
        return 1.0
    unit = 10.0 ** np.floor(np.log10(largest / 4))
    quarters = (unit * step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10))
    return float(4 * next(step for step in quarters if 4 * step >= largest * (1 - 1e-9)))


def _tops(rows: pd.DataFrame) -> str:
    """A Vega expression: where the colours of the chosen measure end; all begin at 0."""
    tops = {name: round_top(float(np.nanmax(rows[name].to_numpy(float)))) for name in MEASURES}
    table = ", ".join(f"'{name}': {value:.6g}" for name, value in tops.items())
    return f"({{{table}}}[{SELECTION}_measure])"
