"""A model in words: what it was trained on, and the address that opens it."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from figures.theme import format_number
from zoo.specs import ModelSpec

FAMILY_NAMES = {
    "linear": "linear bottleneck",
    "relu-output": "ReLU bottleneck",
    "relu-hidden": "ReLU layer",
    "absolute-value": "absolute value",
}
"""A family's id, as addresses and files have it -> what a reader sees."""


def family_name(family: str) -> str:
    """What a family is called on pages; its id where it has no other name."""
    return FAMILY_NAMES.get(family, family)


def data_sentence(spec: ModelSpec) -> str:
    """The data a model was trained on, in words."""
    low, high = spec.model_family.value_range
    text = (
        f"Each of the {spec.n_features} features is 0 with probability "
        f"S = {format_number(spec.sparsity, 4)}, otherwise uniform on "
        f"[{format_number(low)}, {format_number(high)}]"
    )
    if spec.rare_ratio is not None:
        text += f", but the last is on with probability {format_number(spec.densities[-1], 4)}"
    if spec.set_size > 1 and spec.correlation:
        how = {-1.0: "are never on together", 1.0: "are always on together"}.get(
            spec.correlation, f"are drawn together with co-activity {spec.correlation:g}"
        )
        text += f". Features in sets of {spec.set_size} {how}; sets are independent"
    else:
        text += ", independently of the others"
    if spec.importance_decay == 1:
        return text + ". All features have importance 1."
    return (
        f"{text}. The first feature has importance 1, and each next one "
        f"{spec.importance_decay:g} times that of the one before."
    )


def link_to(model_id: str, url: str | None) -> str:
    """The address of this page with a model open. url: of the page as it is now."""
    query = f"model={quote(model_id, safe='/')}"
    if not url:
        return f"/models?{query}"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{query}"
