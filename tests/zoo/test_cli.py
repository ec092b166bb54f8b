from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load, load_file, save

from zoo.claims import LEDGER, measure_claims
from zoo.cli import main
from zoo.export import usage_snippet
from zoo.reading import Zoo

ROOT = Path(__file__).parents[2]
MODEL = "tiny-bottleneck/linear/n5-m2-p0.1-i0.9/s01"

Capture = pytest.CaptureFixture[str]
Forge = Callable[[str, bytes], None]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zoo", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_list_has_a_row_per_grid(zoo: Zoo, zoo_folder: Path, capsys: Capture) -> None:
    assert main(["list", "--zoo", str(zoo_folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["grid", "models", "families"]
    assert [line.split()[0] for line in lines[1:6]] == list(zoo.grids)
    assert lines[1].split()[1] == "18"
    assert lines[-1] == f"64 models, {lines[-1].split(', ')[1]}, zoo version {zoo.version}"

    assert main(["list", "--zoo", str(zoo_folder), "--format", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [fact["grid"] for fact in facts] == list(zoo.grids)
    assert facts[0] == {
        "grid": "tiny-bottleneck",
        "question": "What is kept | dropped?",
        "models": 18,
        "families": ["relu-output", "linear"],
        "sizes": ["5 × 2"],
        "densities": [1.0, 0.1, 0.001],
        "seeds": "3",
        "trajectories": True,
        "bytes": sum(f.bytes for f in zoo.manifest.grids["tiny-bottleneck"].files.values()),
    }


def test_show_tells_all_about_a_model(zoo: Zoo, zoo_folder: Path, capsys: Capture) -> None:
    assert main(["show", MODEL, "--zoo", str(zoo_folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{MODEL}\nlinear: y' = WᵀWx + b\n")
    record = zoo.model(MODEL).record
    values = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  "))
    assert float(values["loss"]) == pytest.approx(record["loss"], rel=1e-5)
    assert values["solution"] == record["solution"]
    assert values["rare_ratio"] == "–"
    assert values["W"] == "2 × 5"
    assert "training trajectory: kept" in out
    assert usage_snippet(zoo.model(MODEL)) in out

    assert main(["show", MODEL, "--zoo", str(zoo_folder), "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {name: shown[name] for name in record} == record
    assert shown["tensors"] == {"W": [2, 5], "b": [5]}
    assert shown["has_trajectory"] is True
    assert shown["distribution"]["densities"] == [0.1] * 5
    assert shown["importances"] == pytest.approx([0.9**i for i in range(5)])


def test_export_writes_a_state_dict(
    zoo: Zoo, zoo_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "new folder" / "model.safetensors"
    assert main(["export", MODEL, str(path), "--zoo", str(zoo_folder)]) == 0
    assert capsys.readouterr().out == f"wrote {path} ({path.stat().st_size:,} bytes)\n"
    np.testing.assert_array_equal(load_file(path)["W"], zoo.model(MODEL).parameters["W"])
    (tmp_path / "file").write_text("")
    assert main(["export", MODEL, str(tmp_path / "file" / "x"), "--zoo", str(zoo_folder)]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert main(["export", MODEL, str(tmp_path), "--zoo", str(zoo_folder)]) == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["show"], ["export"]])
def test_an_unknown_model_suggests_the_nearest(zoo_folder: Path, command: list[str]) -> None:
    wrong = "tiny-bottleneck/linear/n5-m2-p0.12-i0.9/s01"
    target = ["out.safetensors"] if command == ["export"] else []
    done = run(*command, wrong, *target, "--zoo", str(zoo_folder))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: there is no model '{wrong}' in this zoo; did you mean ")
    assert f"mean {MODEL}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_without_a_zoo(tmp_path: Path) -> None:
    for command in ("list", "verify", "claims"):
        done = run(command, "--zoo", str(tmp_path))
        assert done.returncode in (1, 2)
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["verify", "--sample", "-1"], ["verify", "--sample", "many"], ["show"]],
)
def test_wrong_arguments(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_verify_accepts_a_sound_zoo(zoo_folder: Path, capsys: Capture) -> None:
    assert main(["verify", "--zoo", str(zoo_folder), "--sample", "20", "--seed", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("tiny-bottleneck: 18 models in 3 files: hashes")
    assert lines[-1] == "the losses of 20 models agree with Monte Carlo"


def test_verify_names_the_damaged_file(own_folder: Path) -> None:
    path = own_folder / "grids" / "tiny-sizes" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(bytes(data))
    done = run("verify", "--zoo", str(own_folder))
    assert done.returncode == 1
    assert done.stdout.startswith("tiny-bottleneck: 18 models")
    assert str(path) in done.stderr
    assert "SHA-256" in done.stderr
    assert done.stderr.count("\n") == 1


def test_verify_names_a_loss_that_is_wrong(own_folder: Path, forge: Forge, capsys: Capture) -> None:
    name = "grids/tiny-rare/index.parquet"
    table = pq.read_table(own_folder / name)
    losses = table["loss"].to_pylist()
    losses[2] *= 1.1
    column = table.column_names.index("loss")
    path = own_folder / name
    pq.write_table(table.set_column(column, "loss", pa.array(losses)), path)
    forge(name, path.read_bytes())
    assert main(["verify", "--zoo", str(own_folder), "--sample", "64"]) == 1
    err = capsys.readouterr().err
    wrong = table["model_id"][2].as_py()
    assert f"the loss is not what sampling gives: {wrong}: stored loss" in err


def test_verify_names_a_measure_that_is_wrong(
    own_folder: Path, forge: Forge, capsys: Capture
) -> None:
    name = "grids/tiny-absolute/weights.safetensors"
    tensors = {key: values * 2 for key, values in load((own_folder / name).read_bytes()).items()}
    forge(name, save(tensors))
    assert main(["verify", "--zoo", str(own_folder)]) == 1
    err = capsys.readouterr().err
    assert "tiny-absolute/" in err
    assert "measured on the weights" in err


def test_claims_are_a_table(zoo_folder: Path, capsys: Capture) -> None:
    wanted = measure_claims(Zoo.open())
    assert main(["claims"]) == 0
    out = capsys.readouterr().out
    table = out.splitlines()[1 : len(wanted) + 1]
    for line, claim in zip(table, wanted, strict=True):
        assert line.startswith(claim.id)
        assert line.endswith(claim.status)
        assert claim.value in line
        assert f"{claim.id}: {claim.sentence}" in out
    assert main(["claims", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [claim.to_dict() for claim in wanted]
    # A zoo without the grids that claims are measured on has those alone that need none.
    assert main(["claims", "--zoo", str(zoo_folder), "--format", "json"]) == 0
    alone = [claim.to_dict() for claim in measure_claims(Zoo.open(zoo_folder))]
    assert json.loads(capsys.readouterr().out) == alone
    assert {claim["id"] for claim in alone} == {e.id for e in LEDGER if not e.grids}


def test_a_closed_pipe_is_quiet(zoo_folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "list", "--format", "json", "--zoo", str(zoo_folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 141


def test_reading_a_zoo_imports_no_torch(zoo_folder: Path) -> None:
    code = (
        "import sys\n"
        "from zoo.cli import main\n"
        f"main(['show', {MODEL!r}, '--zoo', {str(zoo_folder)!r}])\n"
        f"main(['verify', '--sample', '2', '--zoo', {str(zoo_folder)!r}])\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
