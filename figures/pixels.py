"""Charts laid out in pixels: square planes side by side, whatever the width of the page.

Angles can only be read off a plane whose axes have one scale, and a chart that fits its
container has another width on every screen. So these charts have no scales for their axes:
the browser works out each position from the width it finds. A plane's own coordinates go
from −1 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt

GREY = "#7C8696"
FAINT = "#8C929F"

X = alt.X("px:Q", scale=None, axis=None)
Y = alt.Y("py:Q", scale=None, axis=None)
X2 = alt.X2("px2:Q")
Y2 = alt.Y2("py2:Q")


@dataclass(frozen=True)
class Planes:
    """Two square planes beside each other, below a head of some lines of text.

    Positions are Vega expressions. A row of data says which plane it is in by `panel`, 0 or 1.

    Attributes:
        head: pixels above the planes.
        largest: pixels that a plane is wide at most.
        gap: pixels between the planes at least.
    """

    head: int
    largest: int
    gap: int = 16

    @property
    def side(self) -> str:
        """The width of a plane."""
        return f"min((width - {self.gap}) / 2, {self.largest})"

    @property
    def bottom(self) -> str:
        """Where the planes end."""
        return f"({self.head} + {self.side})"

    def x(self, value: str) -> str:
        """The horizontal position of a coordinate from −1 to 1."""
        return f"(width / 4 + datum.panel * width / 2 + ({value}) * {self.side} / 2)"

    def y(self, value: str) -> str:
        """The vertical position of a coordinate from −1 to 1."""
        return f"({self.head} + {self.side} / 2 - ({value}) * {self.side} / 2)"


def of_kind(table: alt.Chart, kind: str) -> alt.Chart:
    """The rows of one kind."""
    return table.transform_filter(f"datum.kind == '{kind}'")


def placed(
    chart: alt.Chart, x: str, y: str, x2: str | None = None, y2: str | None = None
) -> alt.Chart:
    """The chart with its pixel positions worked out."""
    fields = {"px": x, "py": y}
    if x2 is not None:
        fields["px2"] = x2
    if y2 is not None:
        fields["py2"] = y2
    return chart.transform_calculate(**fields)
