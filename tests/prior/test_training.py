"""Training: resumes to the same bits after kill -9, learns, and ships what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from posenb import __main__ as command_line
from posenb import assets
from posenb.prior import training
from posenb.prior.networks import Discriminator, Generator, KeypointRegressor
from posenb.prior.training import PriorRecipe, PriorTask, corrupt, train_prior, widened
from posenb.train import checkpoints, loop
from posenb.world.drawing import draw_skeletons
from posenb.world.skeletons import BODY17

CPU = torch.device("cpu")
TINY = PriorRecipe(
    resolution=64, small_images=8 * 20, images=8 * 12, poses=300, batch=8, width=0.1, seed=1
)


def tiny_task(resolution: int = 16, autocast: bool = False, **changes: object) -> PriorTask:
    recipe = PriorRecipe(resolution=resolution, poses=300, batch=8, width=0.1, **changes)  # type: ignore[arg-type]
    keypoints = training.training_poses(recipe).keypoints
    generator = Generator(resolution, width=0.1, seed=0)
    discriminator = Discriminator(resolution, 0.1, 1)
    return PriorTask(recipe, keypoints, generator, discriminator, CPU, autocast)


SCRIPT = """
import sys, time
from pathlib import Path
import torch
import test_training
from posenb.prior import training
from posenb.train import checkpoints, loop
torch.set_num_threads(1)
folder, pause = Path(sys.argv[1]), float(sys.argv[2])
step = training.PriorTask.step
def slow(self, number):
    time.sleep(pause)
    return step(self, number)
training.PriorTask.step = slow
fit = loop.fit
loop.fit = lambda *a, **k: fit(*a, **{**k, "save_every_seconds": 0.0, "progress": False})
task, history = training.train_prior(test_training.TINY, folder, device=torch.device("cpu"))
print(checkpoints.state_hash(task.state_dict()), history.step)
"""


def start(folder: Path, pause: float) -> subprocess.Popen[str]:
    paths = [str(Path(__file__).parent), str(Path(training.__file__).resolve().parents[2])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(pause)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")
@pytest.mark.parametrize("stage", ["32px.pt", "64px.pt"])
def test_kill_9_and_resume_gives_the_same_weights(tmp_path: Path, stage: str) -> None:
    whole = start(tmp_path / "whole", 0.0)
    killed = start(tmp_path / "killed", 0.15)
    checkpoint = tmp_path / "killed" / stage
    began = time.monotonic()
    while True:  # kill somewhere in the middle of the stage
        assert time.monotonic() - began < 120 and killed.poll() is None
        if checkpoint.exists() and checkpoints.load_checkpoint(checkpoint)["step"] >= 4:
            break
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    step = checkpoints.load_checkpoint(checkpoint)["step"]
    assert 4 <= step < 20
    resumed, _ = start(tmp_path / "killed", 0.0).communicate(timeout=120)
    expected, _ = whole.communicate(timeout=120)
    assert len(expected.split()[0]) == 64
    assert resumed == expected


def test_growing_goes_through_both_resolutions(tmp_path: Path) -> None:
    seen: list[int] = []
    task, history = train_prior(
        TINY, tmp_path, device=CPU, callback=lambda task, _: seen.append(task.generator.resolution)
    )
    assert seen == [32, 64] and task.generator.resolution == 64
    assert history.step == 12 and not history.interrupted
    assert (tmp_path / "32px.pt").exists() and (tmp_path / "64px.pt").exists()


def test_growing_leaves_the_poses_alone(tmp_path: Path) -> None:
    """The second stage trains the new layers only: those of 32 pixels are the first stage's."""
    task, _ = train_prior(TINY, tmp_path, device=CPU)
    first = checkpoints.load_checkpoint(tmp_path / "32px.pt")["task"]["ema"]
    grown = task.ema.module.state_dict()
    for name in first:
        if name != "w_mean":
            assert torch.equal(first[name], grown[name])
    assert not torch.equal(grown["convolutions.8.weight"], Generator(64, width=0.1, seed=1)
                           .state_dict()["convolutions.8.weight"])  # fmt: skip


def test_a_small_game_learns_where_people_are() -> None:
    """After a few hundred steps the mean image is closer to that of real skeletons."""
    task = tiny_task(resolution=16)
    real = draw_skeletons(task.keypoints, BODY17, 16).mean(0)

    def gap() -> float:
        z = task.generator.sample_z(300, torch.Generator().manual_seed(0))
        with torch.no_grad():
            return float((task.ema.module(z).mean(0) - real).square().mean())

    before = gap()
    loop.fit(task, 250, progress=False)
    assert gap() < 0.1 * before


def test_the_mean_of_w_is_tracked() -> None:
    task = tiny_task()
    loop.fit(task, 200, progress=False)
    z = task.generator.sample_z(2000, torch.Generator().manual_seed(0))
    with torch.no_grad():
        w = task.generator.mapping(z)
    error = (task.generator.w_mean - w.mean(0)).norm()
    assert error < 0.5 * w.mean(0).norm() + 0.1 * w.std(0).norm()


def test_r1_is_applied_every_sixteenth_step(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    penalty = training.r1_penalty

    def counted(logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return penalty(logits, images)

    monkeypatch.setattr(training, "r1_penalty", counted)
    task = tiny_task()
    for step in range(33):
        task.step(step)
    assert len(calls) == 3


def test_bfloat16_stays_close_to_float32() -> None:
    exact, coarse = tiny_task(autocast=False), tiny_task(autocast=True)
    for step in (1, 2):
        one, two = exact.step(step), coarse.step(step)
        assert one["D"].item() == pytest.approx(two["D"].item(), rel=0.05)


def test_the_union_takes_equal_parts() -> None:
    poses = training.training_poses(PriorRecipe(sources=training.SOURCES, poses=300))
    origins = [subject.split("-")[0] for subject in poses.subject]
    assert {name: origins.count(name) for name in training.SOURCES} == dict.fromkeys(
        training.SOURCES, 100
    )


def test_readers_see_no_target_domain() -> None:
    poses = widened(90, 0)
    assert {subject.split("-")[0] for subject in poses.subject} == set(training.SOURCES)
    assert (poses.keypoints >= 0).all() and (poses.keypoints <= 1).all()


def test_damage_is_seeded_and_moderate() -> None:
    images = draw_skeletons(widened(32, 0).keypoints, BODY17, 64)
    damaged = corrupt(images, torch.Generator().manual_seed(0))
    assert torch.equal(damaged, corrupt(images, torch.Generator().manual_seed(0)))
    assert 0.001 < (damaged - images).square().mean() < 0.05


@pytest.mark.parametrize("name", ["regressor", "features"])
def test_readers_resume(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "widened", lambda count, seed: widened(600, seed))
    task, history = training.train_reader(name, tmp_path, steps=30, device=CPU)
    again, resumed = training.train_reader(name, tmp_path, steps=30, device=CPU)
    assert resumed.step == 30 and resumed.rows == history.rows
    assert checkpoints.state_hash(again.state_dict()) == checkpoints.state_hash(task.state_dict())
    with pytest.raises(ValueError, match="found 'gamma'"):
        training.train_reader("gamma", tmp_path)


def test_beta_learns_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "widened", lambda count, seed: widened(900, seed))
    task = training.RegressorTask(KeypointRegressor(seed=0), 0, 80, CPU, batch=16)
    losses = [float(task.step(step)["loss"]) for step in range(80)]
    assert sum(losses[-10:]) < 0.75 * sum(losses[:10])


def test_the_command_trains_and_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "FOLDER", tmp_path / "assets")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "manifest.json").write_text("{}")
    monkeypatch.setattr(
        training, "training_poses", lambda recipe, real=training.training_poses: real(TINY)
    )
    common = ["train", "prior", "--folder", str(tmp_path), "--small-images", "64", "--images", "32"]
    assert command_line.main([*common, "--domain", "wild"]) == 0
    record = checkpoints.load_provenance("prior_wild")
    assert record["configuration"]["sources"] == ["wild"]
    assert "--domain wild --small-images 64 --images 32" in record["command"]
    weights = checkpoints.load_weights("prior_wild")
    Generator(64).load_state_dict(weights)
    started = [*common, "--domain", "union", "--start", "wild"]
    assert command_line.main(started) == 0
    assert set(json.loads((tmp_path / "assets" / "manifest.json").read_text())) == {
        f"weights/prior_{name}{part}.{ending}"
        for name in ("wild", "union")
        for part in ("", "_discriminator_32", "_discriminator_64")
        for ending in ("json", "safetensors")
    }


def test_bad_commands_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["table", "prior.nonsense"]) == 2
    assert "it has: quality" in capsys.readouterr().err
    assert command_line.main(["table", "nonsense.quality"]) == 2
    assert "no chapter 'nonsense'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command_line.main(["train", "prior", "--domain", "coco"])
