"""Training of W and G: pairs stay pairs, resumed runs give the same numbers, weights return."""

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
from posenb.reconstruction import rebuild
from posenb.reconstruction.features import PerceptualFeatures
from posenb.reconstruction.generation import Reconstructor, Widths
from posenb.reconstruction.networks import KeypointDetector
from posenb.reconstruction.rebuild import (
    Pairs,
    ReconstructorRecipe,
    ReconstructorTask,
    labelled_pairs,
    varied,
)
from posenb.train import checkpoints, loop
from posenb.world.cameras import Camera, look_at
from posenb.world.clips import VideoPairs, video_pairs
from posenb.world.rendering import Rendered
from posenb.world.skeletons import BODY17, HAND21

CPU = torch.device("cpu")
TINY = ReconstructorRecipe(pairs=24, views=1, size=32, widths=Widths((8, 16), (8, 16)), batch=4)


@pytest.fixture(scope="module")
def features() -> PerceptualFeatures:
    return PerceptualFeatures.of_detector(KeypointDetector(size=32, widths=(8, 8, 16, 16)))


@pytest.fixture(scope="module")
def filmed() -> VideoPairs:
    """Pairs that need no renderer: noise, and poses."""
    random = torch.Generator().manual_seed(0)

    def frames() -> Rendered:
        images = torch.rand(6, 3, 32, 32, generator=random)
        poses = 0.2 + 0.6 * torch.rand(6, 17, 2, generator=random)
        seen = torch.ones(6, 17)
        return Rendered(images, poses, 0 * seen, torch.zeros(6, 17, 3), seen > 0, images[:, 0] > 2)

    camera = look_at(torch.tensor([[0.0, 1.0, 4.0]]), torch.zeros(1, 3))
    still = Camera(*camera, torch.ones(1, 2), torch.zeros(1, 2))
    return VideoPairs(frames(), frames(), still, still, ("walk",) * 6, ("nobody",) * 6)


def state(task: ReconstructorTask) -> str:
    return checkpoints.state_hash(task.state_dict())


def test_pairs_without_a_person_are_left_out_and_counted(filmed: VideoPairs) -> None:
    pairs, left_out = labelled_pairs(filmed, BODY17)
    assert left_out == 0 and len(pairs.base) == 6
    poses = filmed.driving.keypoints.clone()
    poses[2] += 4  # out of the picture
    poses[4, 0, 0] = math.nan
    poses[5] = 0.5  # in one place
    gone = replace(filmed, driving=replace(filmed.driving, keypoints=poses))
    pairs, left_out = labelled_pairs(gone, BODY17)
    assert left_out == 3
    for kept, whole in zip(pairs, labelled_pairs(filmed, BODY17)[0], strict=True):
        assert torch.equal(kept, whole[torch.tensor([0, 1, 3])])


def test_both_pictures_of_a_pair_change_alike() -> None:
    """Dots drawn at the keypoints are there after every change, and colours stay equal."""
    count, size = 200, 34
    random = torch.Generator().manual_seed(0)
    cells = torch.randint(size, (2, count, 17, 2), generator=random)
    images = torch.full((2, count, 3, size, size), 0.3)
    frame = torch.arange(count)[:, None]
    for picture, cell in zip(images, cells, strict=True):
        picture[frame, :, cell[..., 1], cell[..., 0]] = 0.8
    images[1, :, 0, 0, 0] = images[0, :, 0, 0, 0] = 0.3
    pairs = Pairs(images[0], images[1], *((cells + 0.5) / size))
    first, same = (varied(pairs, BODY17, torch.Generator().manual_seed(1)) for _ in range(2))
    for one, two in zip(first, same, strict=True):
        assert torch.equal(one, two)
    for picture, pose in ((first.base, first.base_keypoints), (first.driving, first[3])):
        place = (pose * size).long()
        at_joints = picture[frame, :, place[..., 1], place[..., 0]].mean((1, 2))
        assert (at_joints > picture.mean((1, 2, 3)) + 0.1).all()
    darkest = [picture.amin((2, 3)) for picture in (first.base, first.driving)]
    torch.testing.assert_close(*darkest)
    wrist = BODY17.index("left_wrist"), BODY17.index("right_wrist")
    was = torch.stack([pairs.base_keypoints, pairs.driving_keypoints])
    swapped, mirrored = 0, 0
    for number in range(count):
        flipped = was[:, number, wrist[1]] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
        now = first.base_keypoints[number, wrist[0]]
        where = [torch.allclose(now, p, atol=1e-6) for p in (*was[:, number, wrist[0]], *flipped)]
        assert any(where)
        swapped += where[1] or where[3]
        mirrored += where[2] or where[3]
    assert 0.4 < swapped / count < 0.6 and 0.4 < mirrored / count < 0.6


@pytest.mark.slow
def test_resumed_training_ends_with_the_same_bits(
    tmp_path: Path, features: PerceptualFeatures
) -> None:
    recipe = replace(TINY, views=2)

    def fit(steps: int, name: str) -> str:
        task = ReconstructorTask(recipe, CPU, features=features)
        loop.fit(task, steps, checkpoint=tmp_path / name, progress=False, log_every=2)
        return state(task)

    whole = fit(6, "whole.pt")
    fit(3, "parts.pt")
    assert fit(6, "parts.pt") == whole
    other = ReconstructorTask(replace(recipe, seed=4), CPU, features=features)
    loop.fit(other, 6, progress=False)
    assert state(other) != whole


@pytest.mark.slow
def test_training_learns(features: PerceptualFeatures) -> None:
    recipe = replace(TINY, pairs=8 * 60, batch=8, views=15)
    task = ReconstructorTask(recipe, CPU, features=features)
    history = loop.fit(task, 60, progress=False, log_every=10)
    _, pixels = history.series("pixels")
    assert pixels[-1] < 0.6 * pixels[0]
    _, left_out = history.series("left out")
    assert set(left_out) == {0.0}


def test_strides_and_margin_are_those_of_the_recipe(
    monkeypatch: pytest.MonkeyPatch, features: PerceptualFeatures, filmed: VideoPairs
) -> None:
    asked: list[tuple[object, ...]] = []

    def noted(*arguments: object, **options: object) -> VideoPairs:
        asked.append((*arguments, options["margin"]))
        return filmed

    monkeypatch.setattr(rebuild, "video_pairs", noted)
    task = ReconstructorTask(replace(TINY, strides=(3, 5), margin=1.5), CPU, features=features)
    for number in range(24):
        task.pool(number)
        task.pool(number)  # is kept
    assert len(asked) == 24
    assert {call[2] for call in asked} == {3, 4, 5}
    assert len({call[3] for call in asked}) == 24
    assert {(call[0], call[1], call[4], call[5]) for call in asked} == {("synthetic", 16, 32, 1.5)}


@pytest.mark.slow
def test_shipped_weights_come_back(tmp_path: Path) -> None:
    task, history = rebuild.train_reconstructor(TINY, tmp_path, device=CPU, progress=False)
    again, same = rebuild.train_reconstructor(TINY, tmp_path, device=CPU, progress=False)
    assert same.rows == history.rows and state(again) == state(task)
    home = tmp_path / "home"
    shipping.ship_reconstructor(task, history, home)
    assert reconstruction.reconstructors(home) == ("synthetic",)
    network = reconstruction.load_reconstructor("synthetic", folder=home)
    assert isinstance(network, Reconstructor) and not network.training
    assert not any(p.requires_grad for p in network.parameters())
    pairs, _ = labelled_pairs(video_pairs("synthetic", 2, 8, 5, 32, margin=1.3), BODY17)
    with torch.no_grad():
        wanted, found = (
            net(pairs.base, pairs.base_keypoints, pairs.driving_keypoints).images
            for net in (task.network, network)
        )
    torch.testing.assert_close(found, wanted, atol=5e-3, rtol=0)
    record = checkpoints.load_provenance("reconstructor_synthetic", home)
    options = command_line._parser().parse_args(record["command"].split()[3:])
    asked = json.loads(json.dumps(asdict(command_line.reconstructor_recipe(options))))
    different = {name for name in asked if asked[name] != record["configuration"][name]}
    assert different == {"size", "batch", "views", "widths"}  # those of every reconstructor
    with pytest.raises(ValueError, match="learning_rate"):
        rebuild.train_reconstructor(
            replace(TINY, learning_rate=1e-3), tmp_path, device=CPU, progress=False
        )


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["synthetic", "lab"])
def test_the_shipped_weights_rebuild_people_whom_they_did_not_see(domain: str) -> None:
    """On their pixels, nearer to the truth than the base picture, and than with another pose."""
    network = reconstruction.load_reconstructor()
    filmed = video_pairs(domain, 16, 10, 7, network.size, split="test", margin=1.3)
    pairs, _ = labelled_pairs(filmed, BODY17)
    ours, shuffled = (
        network(pairs.base, pairs.base_keypoints, pose).images
        for pose in (pairs.driving_keypoints, pairs.driving_keypoints.roll(1, 0))
    )
    person = filmed.driving.parts > 0
    copied, right, wrong = (
        float((picture - pairs.driving).square().mean(1)[person].mean())
        for picture in (pairs.base, ours, shuffled)
    )
    assert right < 0.75 * min(copied, wrong)


def test_missing_weights_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no reconstructor 'wild'.*train reconstructor --domain wild"
    ):
        reconstruction.load_reconstructor("wild")


def test_hands_are_rebuilt_by_their_own_bones() -> None:
    assert ReconstructorRecipe("hands_rendered").network().skeleton is HAND21


def test_bad_recipes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"at least one batch \(16\)"):
        ReconstructorRecipe(pairs=3)
    with pytest.raises(ValueError, match=r"ascending, found \(9, 3\)"):
        ReconstructorRecipe(strides=(9, 3))
    words = ["train", "reconstructor", "--domain", "moon", "--folder", str(tmp_path), "--no-ship"]
    assert command_line.main(words) == 2
    assert "domain must be one of synthetic, lab" in capsys.readouterr().err


def test_the_command_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReconstructorTask, "step", lambda self, step: {"pixels": 1.0})
    words = ["train", "reconstructor", "--domain", "lab", "--pairs", "32", "--no-ship"]
    assert command_line.main([*words, "--folder", str(tmp_path), "--threads", "1"]) == 0
    assert checkpoints.load_checkpoint(tmp_path / "reconstructor-lab-0.pt")["step"] == 2
