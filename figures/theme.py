"""Colours and number formats shared by every figure and page.

One rule holds the palette together: each colour keeps a contrast of at least 3 to 1 against both
page backgrounds, so a feature has one colour everywhere, in the light theme and in the dark one.
Colour is never the only sign: features carry their number, statuses an icon and a word.
The rule is for marks, and so for marks at full opacity: no colour has much to give away. Where
marks overlap, they are hollow or small rather than faint. Words are set in `TEXT`, beside a mark
in the colour they speak of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LIGHT_BACKGROUND = "#ffffff"
DARK_BACKGROUND = "#12161d"
"""The two page backgrounds; `.streamlit/config.toml` states the same values."""

TEXT = "currentColor"
"""Colour of words inside a figure: that of the text around it, in both themes."""
CANVAS_TEXT = "#727B88"
"""The same where a figure is painted on canvas, which knows no surrounding text: the grey that is
as strong as one colour can be on both backgrounds."""
PAGE_TEXT = ("#1d2530", "#e5e9ee")
"""Colours of text on the two pages; `.streamlit/config.toml` states the same values."""
CANVAS_INK = (
    f"luminance(background) > 0.5 ? '{PAGE_TEXT[0]}' : luminance(background) >= 0 ? "
    f"'{PAGE_TEXT[1]}' : '{CANVAS_TEXT}'"
)
"""A Vega expression for words on canvas that are to be as strong as those of the page: its colour
of text, known by its background, and `CANVAS_TEXT` where a figure has no background."""

# The first four are Okabe and Ito's blue, vermillion, bluish green and reddish purple, unchanged.
# Their orange, yellow, sky blue and black are too light or too dark for one of the backgrounds;
# the other four replace them and were searched for the largest smallest distance between any two
# colours, in OKLab, for normal sight and for simulated protanopia, deuteranopia and tritanopia.
_FEATURES = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#8954E5",
    "#8C5D2B",
    "#1B97F4",
    "#5F6A7B",
)

FAMILY_COLOURS: dict[str, str] = {
    "linear": "#8C929F",
    "relu-output": "#157079",
    "relu-hidden": "#DB6C66",
    "absolute-value": "#737415",
}
"""A colour for each model family; grey for the linear model, where nothing surprising happens."""

DIVERGING = ("#B2431E", "#E9A083", "#F4F4F2", "#84B4D6", "#0B5F96")
"""Negative to positive through a neutral middle, for heat maps of W^T W."""

SEQUENTIAL = ("#E6EEF5", "#A9C9E2", "#5F9FCB", "#0072B2", "#0A3F66")
"""Small to large, for heat maps of one-signed quantities."""


@dataclass(frozen=True)
class StatusStyle:
    """How the status of a claim is shown: never by colour alone."""

    label: str
    symbol: str
    icon: str
    colour: str
    badge: str
    """Streamlit's own name of the nearest colour, as `st.badge` takes it."""


STATUS_STYLES: dict[str, StatusStyle] = {
    "holds": StatusStyle("holds", "✓", ":material/check_circle:", "#1E8449", "green"),
    "holds with a caveat": StatusStyle(
        "holds with a caveat", "≈", ":material/contrast:", "#B26A00", "orange"
    ),
    "does not hold": StatusStyle("does not hold", "✗", ":material/cancel:", "#C8453B", "red"),
}


def feature_colours(count: int) -> list[str]:
    """One hex colour for each of `count` features, in order of their index.

    Up to eight features take fixed, colour-blind safe colours, so that a feature keeps its colour
    on every page. More take a ramp from blue through magenta to orange whose lightness rises with
    the index: neighbours look alike, and the order can be read without telling hues apart.
    Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"feature_colours: expected at least 1 feature, got {count}.")
    if count <= len(_FEATURES):
        return list(_FEATURES[:count])
    return [_ramp_colour(index / (count - 1)) for index in range(count)]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two hex colours, from 1 to 21 (WCAG 2, relative luminance)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def format_density(density: float) -> str:
    """A density p as text, three significant digits and never an exponent: 1, 0.3, 0.0178."""
    return _plain(density, 3)


def format_sparsity(density: float) -> str:
    """The sparsity S = 1 - p as text, with as many decimals as the density itself shows."""
    shown = format_density(density)
    decimals = len(shown.partition(".")[2])
    return _trim(f"{1 - float(shown):.{decimals}f}")


def density_in_words(density: float) -> str:
    """What stands above a figure of one density: both conventions."""
    return f"density p = {format_density(density)} (sparsity S = {format_sparsity(density)})"


def format_number(value: float, digits: int = 3) -> str:
    """A measured number as text with `digits` significant digits; 2.1×10⁻⁵ when very small."""
    if not math.isfinite(value):
        return "–"
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        return _minus(_plain(value, digits))
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    powers = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return _minus(f"{_trim(mantissa)}×10{powers}")


def _minus(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text


def _plain(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return _trim(f"{value:.{decimals}f}")


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _luminance(colour: str) -> float:
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _ramp_colour(position: float) -> str:
    """The ramp at a position from 0 to 1, in OKLCh (Ottosson's OKLab in polar coordinates)."""
    lightness = 0.53 + 0.11 * position
    hue = math.radians(262 + 163 * position)
    chroma = 0.16
    while True:
        red, green, blue = _oklab_to_linear(
            lightness, chroma * math.cos(hue), chroma * math.sin(hue)
        )
        if min(red, green, blue) >= 0 and max(red, green, blue) <= 1:
            return "#" + "".join(f"{_gamma(value):02X}" for value in (red, green, blue))
        # Greyer until the colour exists on a screen; grey itself always does.
        chroma -= 0.005


def _oklab_to_linear(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _gamma(value: float) -> int:
    encoded = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * encoded)
