"""`python -m posenb flexpose` and `train flexpose`, as a user types them, with few steps."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posenb import __main__ as command_line
from posenb import assets, prior
from posenb.experiments.flexpose import shipping
from posenb.flexpose import files, weights
from posenb.flexpose.adapt import AdaptTask, Readers
from posenb.flexpose.weights import Variant
from posenb.train import checkpoints
from posenb.world import domains

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six poses of a user's own."""
    folder = tmp_path_factory.mktemp("own")
    files.write_poses(domains.get("wild").sample(6, seed=1), folder)
    return folder / "poses.json"


def few(own: Path, out: Path, *more: str) -> list[str]:
    command = ["flexpose", "--shots", str(own), "--out", str(out), "--steps", "2"]
    return [*command, "--layers", "2", "--objective", "paper", *more]


def press_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do it during the first step of every adaptation."""
    real = AdaptTask.step

    def pressed(self: AdaptTask, step: int) -> Any:
        if step == 0:
            signal.raise_signal(signal.SIGINT)
        return real(self, step)

    monkeypatch.setattr(AdaptTask, "step", pressed)


def test_own_poses_in_generated_poses_out(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(few(own, tmp_path / "out", "--count", "7")) == 0
    told = capsys.readouterr().out
    assert "6 people of" in told and "the nearest is taken" in told and "mixtures" in told
    assert "3 times more" in told and "written already" in told
    assert "to 6 people held out" in told
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert report["rows"].keys() == {"source", "adapted", "bare shots", "mixtures"}
    assert report["held_out"] == 6 and report["source"] == min(
        report["ranking"], key=report["ranking"].__getitem__
    )
    assert report["told"][0] in told
    for name in ("npz", "csv", "json", "png"):
        assert f"wrote {tmp_path / 'out' / 'poses'}.{name}" in told
    with np.load(tmp_path / "out" / "poses.npz") as arrays:
        assert arrays["keypoints"].shape == (7, 17, 2)
    assert len(files.read_shots(tmp_path / "out" / "poses.json")) == 7


def test_ctrl_c_keeps_what_there_is_and_the_same_command_goes_on(
    own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = ["--source", "wild"]
    whole, cut = (few(own, tmp_path / name, *plain) for name in ("whole", "cut"))
    with monkeypatch.context() as patch:
        press_ctrl_c(patch)
        assert command_line.main([*cut, "--count", "3"]) == 130
    assert "goes on" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["adapting.pt"]
    assert command_line.main([*cut, "--count", "3"]) == 0
    assert command_line.main([*whole, "--count", "3"]) == 0
    for name in ("npz", "csv", "json", "png"):
        first, second = (tmp_path / part / f"poses.{name}" for part in ("whole", "cut"))
        assert first.read_bytes() == second.read_bytes()

    def never(*_: Any) -> Any:
        raise AssertionError("it learned again")

    monkeypatch.setattr(AdaptTask, "step", never)
    assert command_line.main([*cut, "--count", "5"]) == 0  # more poses of the same


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--source", "faces_wild"], "no generator 'faces_wild'"),
        (["--source", "faces_video"], "FACE68"),
        (["--source", "nobody"], "there are: wild"),
        (["--count", "0"], "--count"),
        (["--steps", "0"], "--steps"),
        (["--layers", "12"], "layer 12 is out of range"),
        (["--shots", "nowhere.json"], "cannot be read"),
    ],
)
def test_bad_commands_say_what_is_wrong(
    own: Path, tmp_path: Path, more: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(few(own, tmp_path, *more)) == 2
    assert word in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["", "deeper"])
def test_results_need_a_folder(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], below: str
) -> None:
    (tmp_path / "file").write_text("mine")
    assert command_line.main(few(own, tmp_path / "file" / below)) == 2
    assert "folder" in capsys.readouterr().err and (tmp_path / "file").read_text() == "mine"


def test_one_pose_is_too_few(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(own.read_bytes())
    content["annotations"] = content["annotations"][:1]
    (tmp_path / "one.json").write_text(json.dumps(content))
    assert command_line.main(few(tmp_path / "one.json", tmp_path / "out")) == 2
    assert "holds 1 person, expected at least 2" in capsys.readouterr().err


def test_the_explorers_matrices_are_learned_and_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, readers = prior.load_generator("wild"), Readers.load("wild")
    domains.get("lab").sample(1, 0)  # reads the motion that lies among the assets
    variants = (Variant("paper", (3,), 15), Variant("paper", (2, 4), 30))
    monkeypatch.setattr(prior, "load_generator", lambda *_: source)
    monkeypatch.setattr(Readers, "load", lambda *_, **__: readers)
    monkeypatch.setattr(checkpoints, "digests", lambda *names: dict.fromkeys(names, "0"))
    for module in (shipping, weights):
        monkeypatch.setattr(module, "VARIANTS", variants)
    monkeypatch.setattr(assets, "FOLDER", tmp_path / "assets")
    command = ["train", "flexpose", "--steps", "2", "--folder", str(tmp_path / "runs")]
    with monkeypatch.context() as patch:
        press_ctrl_c(patch)
        assert command_line.main(command) == 130
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["paper_3_15.pt"]
    assert not (tmp_path / "assets").exists()
    assert command_line.main([*command, "--no-ship"]) == 0
    assert not (tmp_path / "assets").exists()
    assert command_line.main(command) == 0
    assert tuple(weights.load_taus(source)) == variants
    record = checkpoints.load_provenance(weights.ASSET)
    assert record["command"] == "python -m posenb train flexpose --steps 2 --seed 0"
    assert record["configuration"]["variants"] == [variant.key for variant in variants]
    assert record["losses"].keys() == {variant.key for variant in variants}
