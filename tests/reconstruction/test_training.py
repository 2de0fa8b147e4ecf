"""Training: labels move with pictures, a resumed run gives the same numbers, weights come back."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from posenb import __main__ as command_line
from posenb import reconstruction
from posenb.experiments.reconstruction import shipping
from posenb.reconstruction import training, weights
from posenb.reconstruction.networks import KeypointDetector
from posenb.reconstruction.training import (
    DetectorRecipe,
    DetectorTask,
    Labelled,
    augment,
    degrade,
    mirror,
    recolor,
    similarity,
    warp,
)
from posenb.train import checkpoints, loop
from posenb.world.rendering import Rendered, render
from posenb.world.skeletons import BODY17

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
TINY = DetectorRecipe(images=48, size=32, batch=8, seed=3)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that a test can train."""
    widths = (16, 16, 32, 32)
    monkeypatch.setattr(
        DetectorRecipe,
        "network",
        lambda self: KeypointDetector(self.skeleton, self.size, widths, self.seed),
    )
    monkeypatch.setattr(weights, "_build", lambda c, _: DetectorRecipe(**c).network())


def spots(count: int = 17, size: int = 64) -> Labelled:
    """Picture k shows a spot where its joint k is; all its joints have places and depths."""
    random = torch.Generator().manual_seed(0)
    keypoints = 0.35 + 0.3 * torch.rand(count, 17, 2, generator=random)
    own = keypoints[range(count), range(count)]
    at = (torch.arange(size) + 0.5) / size
    x, y = (-((at - own[:, axis, None]) / 0.03).square() / 2 for axis in (0, 1))
    images = (y.exp()[:, :, None] * x.exp()[:, None, :])[:, None].expand(-1, 3, -1, -1)
    return Labelled(images.contiguous(), keypoints, torch.randn(count, 17, generator=random))


def middle(images: torch.Tensor) -> torch.Tensor:
    """Centre of mass of pictures (N, 3, S, S), (N, 2)."""
    light, size = images.mean(1), images.shape[-1]
    at = (torch.arange(size) + 0.5) / size
    total = light.sum((1, 2))
    return torch.stack([(light.sum(1) * at).sum(1) / total, (light.sum(2) * at).sum(1) / total], 1)


def test_mirrored_pictures_show_the_joint_of_the_other_side() -> None:
    batch = spots()
    mirrored = mirror(batch, BODY17)
    for joint, name in enumerate(BODY17.joints):
        side, _, rest = name.partition("_")
        swapped = {"left": f"right_{rest}", "right": f"left_{rest}"}
        other = BODY17.index(swapped.get(side, name))
        place = mirrored.keypoints[joint, other]
        torch.testing.assert_close(middle(mirrored.images)[joint], place, atol=2e-3, rtol=0)
        assert mirrored.depth[joint, other] == batch.depth[joint, joint]
    twice = mirror(mirrored, BODY17)
    for before, after in zip(batch, twice, strict=True):
        torch.testing.assert_close(after, before)


def test_keypoints_move_with_the_picture() -> None:
    batch, random = spots(), torch.Generator().manual_seed(1)
    draw = torch.rand(4, 17, generator=random)
    matrix = similarity(draw[0] - 0.5, 0.75 + 0.5 * draw[1], 0.1 * (draw[2:].T - 0.5))
    moved = warp(batch, matrix)
    own = moved.keypoints[range(17), range(17)]
    torch.testing.assert_close(middle(moved.images), own, atol=2e-3, rtol=0)
    assert (moved.keypoints - batch.keypoints).norm(dim=-1).max() > 0.05
    still = warp(batch, similarity(torch.zeros(17), torch.ones(17), torch.zeros(17, 2)))
    torch.testing.assert_close(still.images, batch.images, atol=1e-5, rtol=0)


def test_a_turn_is_clockwise_about_the_middle() -> None:
    matrix = similarity(torch.tensor([math.pi / 2]), torch.ones(1), torch.zeros(1, 2))
    right = torch.tensor([0.9, 0.5, 1.0])
    torch.testing.assert_close(matrix[0] @ right, torch.tensor([0.5, 0.9]))


def test_augmentation_mirrors_half_and_follows_from_its_generator() -> None:
    batch = Labelled(*(part[:1].expand(400, *part.shape[1:]) for part in spots(size=32)))
    first, same = (augment(batch, BODY17, torch.Generator().manual_seed(5)) for _ in range(2))
    for one, two in zip(first, same, strict=True):
        assert torch.equal(one, two)
    knee, other = BODY17.index("left_knee"), BODY17.index("right_knee")
    mirrored = first.depth[:, knee] == batch.depth[:, other]
    assert 0.4 < mirrored.float().mean() < 0.6
    assert first.images.min() >= 0 and first.images.max() <= 1


def test_recoloring_leaves_labels_alone() -> None:
    batch = spots()
    changed = recolor(batch, torch.Generator().manual_seed(0))
    assert torch.equal(changed.keypoints, batch.keypoints)
    assert torch.equal(changed.depth, batch.depth)
    assert not torch.equal(changed.images, batch.images)


def test_half_of_the_pictures_get_a_piece_of_another_and_labels_stay() -> None:
    black_or_white = (torch.arange(400) % 2).view(-1, 1, 1, 1).expand(-1, 3, 48, 48).float()
    labels = torch.zeros(400, 17, 2), torch.zeros(400, 17)
    changed = degrade(Labelled(black_or_white, *labels), torch.Generator().manual_seed(0))
    assert changed.keypoints is labels[0] and changed.depth is labels[1]
    foreign = ((changed.images - black_or_white).mean(1).abs() > 0.5).float().mean((1, 2))  # (400,)
    assert 0.4 < (foreign > 0).float().mean() < 0.6
    assert foreign.max() < 0.18 and foreign[foreign > 0].mean() > 0.03  # sides of 0.1 to 0.4
    assert changed.images.min() >= 0 and changed.images.max() <= 1


def test_degraded_pictures_are_softer_and_noisier() -> None:
    random = torch.Generator().manual_seed(0)
    board = (torch.arange(48) % 2).float().expand(200, 3, 48, 48)
    grey = torch.full_like(board, 0.5)
    labels = torch.zeros(200, 17, 2), torch.zeros(200, 17)
    contrast = degrade(Labelled(board, *labels), random).images.std((1, 2, 3))
    assert contrast.min() < 0.3 and 0.4 < contrast.max() < 0.51
    noise = degrade(Labelled(grey, *labels), random).images.std((1, 2, 3))
    assert noise.min() < 0.005 and 0.04 < noise.max() < 0.065


def test_labels_are_in_units_of_the_person() -> None:
    people = render("synthetic", 4, 0, 32)
    labels = training.labelled(people, BODY17)
    metres = labels.depth * reconstruction.bone_scale(people.joints3d, BODY17)[:, None]
    torch.testing.assert_close(metres, people.depth)
    assert (labels.depth[:, 0] == 0).all()


def test_resumed_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    def fit(steps: int, name: str) -> str:
        task = DetectorTask(TINY, CPU)
        checkpoint = tmp_path / name
        loop.fit(task, steps, checkpoint=checkpoint, progress=False, log_every=2)
        return checkpoints.state_hash(task.state_dict())

    whole = fit(6, "whole.pt")
    fit(3, "parts.pt")
    assert fit(6, "parts.pt") == whole
    assert TINY.views * training.POOL > 3  # in the middle of a pool
    other = DetectorTask(replace(TINY, seed=4), CPU)
    loop.fit(other, 6, progress=False)
    assert checkpoints.state_hash(other.state_dict()) != whole


def test_a_picture_is_seen_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(domain: str, count: int, seed: int, size: int, device: torch.device) -> Rendered:
        asked.append(count)
        return render(domain, count, seed, size, device=device)

    monkeypatch.setattr(training, "render", counted)
    task = DetectorTask(replace(TINY, images=8 * 24, views=2), CPU)
    loop.fit(task, 24, progress=False)
    assert asked == [training.POOL * 8] * 3  # 96 pictures for 192 that were seen
    assert not torch.equal(task.pool(0).images, task.pool(1).images)


def test_a_finished_training_is_not_repeated_and_another_is_refused(tmp_path: Path) -> None:
    task, history = training.train_detector(TINY, tmp_path, device=CPU, progress=False)
    again, same = training.train_detector(TINY, tmp_path, device=CPU, progress=False)
    assert same.step == history.step == 6 and same.rows == history.rows
    assert checkpoints.state_hash(again.state_dict()) == checkpoints.state_hash(task.state_dict())
    with pytest.raises(ValueError, match="learning_rate"):
        training.train_detector(
            replace(TINY, learning_rate=1e-3), tmp_path, device=CPU, progress=False
        )


def test_training_learns() -> None:
    task = DetectorTask(replace(TINY, images=16 * 60, batch=16, learning_rate=5e-3), CPU)
    history = loop.fit(task, 60, progress=False, log_every=10)
    _, heat = history.series("heat")
    assert heat[-1] < 0.75 * heat[0]


def test_shipped_weights_come_back(tmp_path: Path) -> None:
    task, history = training.train_detector(TINY, tmp_path, device=CPU, progress=False)
    home = tmp_path / "home"
    shipping.ship_detector(task, history, home)
    assert reconstruction.detectors(home) == ("synthetic",)
    network = reconstruction.load_detector("synthetic", folder=home)
    images = render("synthetic", 4, 0, 32).images
    with torch.no_grad():
        wanted, found = task.network(images), network(images)
    torch.testing.assert_close(found.keypoints, wanted.keypoints, atol=5e-3, rtol=0)
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    record = checkpoints.load_provenance("detector_synthetic", home)
    options = command_line._parser().parse_args(record["command"].split()[3:])
    asked = json.loads(json.dumps(asdict(command_line.detector_recipe(options))))
    different = {name for name in asked if asked[name] != record["configuration"][name]}
    assert different == {"size", "batch"}  # the command has those of every detector


def test_missing_weights_name_the_command() -> None:
    with pytest.raises(ValueError, match=r"no detector 'wild'.*train detector --domain wild"):
        reconstruction.load_detector("wild")


def test_bad_recipes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"at least one batch \(32\)"):
        DetectorRecipe(images=3)
    words = ["train", "detector", "--domain", "moon", "--folder", str(tmp_path), "--no-ship"]
    assert command_line.main(words) == 2
    assert "domain must be one of synthetic, lab" in capsys.readouterr().err


def test_the_command_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DetectorTask, "step", lambda self, step: {"heat": 1.0})
    words = ["train", "detector", "--domain", "lab", "--images", "64", "--no-ship"]
    assert command_line.main([*words, "--folder", str(tmp_path), "--threads", "1"]) == 0
    state = checkpoints.load_checkpoint(tmp_path / "lab-0.pt")
    assert state["step"] == 2
