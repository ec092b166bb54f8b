"""One model as an ordinary state dict that says what it was trained on."""

from __future__ import annotations

import json
import os

from zoo.format import safetensors_bytes, write_atomically
from zoo.records import Model

_FORWARD = {
    "linear": "y = x @ W.T @ W + b",
    "relu-output": "y = torch.relu(x @ W.T @ W + b)",
    "relu-hidden": "y = torch.relu(torch.relu(x @ W.T) @ W + b)",
    "absolute-value": "y = torch.relu(torch.relu(x @ W_in.T) @ W_out.T + b)",
}


def export_model(model: Model, path: str | os.PathLike[str]) -> None:
    """Write `state_dict_bytes(model)` to `path`, whole or not at all."""
    write_atomically(path, state_dict_bytes(model))


def state_dict_bytes(model: Model) -> bytes:
    """A safetensors file with one model's tensors and, as text, all about it.

    Tensors: `W` (m, n) and `b` (n,), or `W_in` (m, n), `W_out` (n, m) and `b` (n,), float32.
    The metadata holds `spec`, `distribution` (arguments of
    `superposition.distributions.FeatureDistribution`, to sample the data again) and
    `importances` (n numbers) as JSON. The same model always gives the same bytes.
    """
    return safetensors_bytes(model.parameters, metadata(model))


def metadata(model: Model) -> dict[str, str]:
    """What an exported file says about its model."""
    spec = model.spec
    return {
        "format": "pt",
        "model_id": model.model_id,
        "zoo_version": model.zoo_version,
        "family": spec.family,
        "forward": spec.model_family.summary,
        "spec": json.dumps(spec.to_dict()),
        "distribution": json.dumps(spec.distribution.to_dict()),
        "importances": json.dumps(spec.importances.tolist()),
        "loss": json.dumps(model.record["loss"]),
        "loss_method": model.record["loss_method"],
        "loss_standard_error": json.dumps(model.record["loss_standard_error"]),
    }


def usage_snippet(model: Model, path: str = "model.safetensors") -> str:
    """A few lines of PyTorch that load the exported file and compute its outputs."""
    spec = model.spec
    n = spec.n_features
    shapes = spec.model_family.parameter_shapes(n, spec.n_hidden)
    names = ", ".join(shapes)
    lookups = ", ".join(f'state["{name}"]' for name in shapes)
    comment = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    lines = [
        "import torch",
        "from safetensors.torch import load_file",
        "",
        f'state = load_file("{path}")',
        f"{names} = {lookups}  # {comment}",
        *_inputs(model),
        f"{_FORWARD[spec.family]}  # {spec.model_family.summary}",
    ]
    return "\n".join(lines) + "\n"


def _inputs(model: Model) -> list[str]:
    """Lines that draw 1000 inputs as the model was trained on."""
    spec = model.spec
    n, density = spec.n_features, repr(float(spec.density))
    size = f"(1000, {n})"
    low, high = spec.model_family.value_range
    values = f"torch.rand{size}" if low == 0 else f"torch.empty{size}.uniform_({low:g}, {high:g})"
    draw = f"x = {values} * (torch.rand{size} < {density})"
    if spec.set_size > 1 and spec.correlation != 0:
        # Sets of features that come together, or never do, take more than a line to draw.
        return [
            f"# The training data has sets of {spec.set_size} that depend on each other: see",
            '# "distribution" in the metadata. Here each feature is drawn for itself.',
            draw,
        ]
    if spec.rare_ratio is None:
        return [f"{draw}  # each feature is on with probability {spec.density:g}"]
    return [
        f"density = torch.tensor([{density}] * {n - 1} + [{spec.densities[-1]!r}])",
        f"x = {values} * (torch.rand{size} < density)  # the last feature is rare",
    ]
