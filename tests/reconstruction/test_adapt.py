"""Fine-tuning without labels of the target: what learns, from what, and what is refused."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from posenb.reconstruction.adapt import (
    PAPER_RECIPE,
    Adaptation,
    AdaptTask,
    FramePairs,
    _back,
    _forth,
    adapt,
    draw_pairs,
)
from posenb.reconstruction.generation import Reconstructor
from posenb.reconstruction.kinematics import KinematicRanges, measure
from posenb.reconstruction.networks import KeypointDetector
from posenb.reconstruction.training import Labelled, labelled, similarity, warp
from posenb.train import loop
from posenb.world.cameras import Camera
from posenb.world.clips import video_pairs
from posenb.world.rendering import render
from posenb.world.skeletons import BODY17

SIZE = 32
TINY = Adaptation(steps=4, batch=2, warm_up=0.5, unite=0.5)


@pytest.fixture(scope="module")
def detector() -> KeypointDetector:
    network = KeypointDetector(BODY17, SIZE, (8, 8, 16, 16))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return Reconstructor(BODY17, SIZE).requires_grad_(False)


@pytest.fixture(scope="module")
def source() -> Labelled:
    return labelled(render("synthetic", 6, 0, SIZE), BODY17)


@pytest.fixture(scope="module")
def ranges() -> KinematicRanges:
    return measure(render("synthetic", 200, 1, 16).joints3d, BODY17)


@pytest.fixture(scope="module")
def target() -> FramePairs:
    pairs = video_pairs("lab", 5, 10, 0, SIZE)
    cameras = pairs.base_camera, pairs.driving_camera
    return FramePairs(pairs.base.images, pairs.driving.images, *cameras)


def weights(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def changed(after: torch.nn.Module, before: torch.nn.Module) -> bool:
    return not same(weights(after), weights(before))


def cameras(count: int) -> Camera:
    focal, middle = torch.full((count, 2), 2.0), torch.full((count, 2), 0.5)
    return Camera(torch.eye(3), torch.zeros(3), focal, middle)


# --- Pairs ---------------------------------------------------------------------------------------


def test_pairs_are_of_one_video_and_so_many_frames_apart() -> None:
    """Every pixel of a frame tells the video and the time."""
    lengths = (4, 30, 12)  # the first is too short for any pair
    videos = [
        torch.stack([torch.full((3, 2, 2), 100.0 * v + t) for t in range(n)])
        for v, n in enumerate(lengths)
    ]
    views = replace(cameras(3), focal=torch.tensor([[1.0], [2.0], [3.0]]).expand(3, 2))
    drawn = draw_pairs(videos, views, 300, (5, 15), seed=1)
    base, driving = drawn.base[:, 0, 0, 0], drawn.driving[:, 0, 0, 0]
    which = (base // 100).long()
    assert torch.equal(which, (driving // 100).long())
    assert set(which.tolist()) == {1, 2}
    strides = (driving - base).long()
    assert strides.min() == 5 and strides[which == 1].max() == 15
    assert strides[which == 2].max() == 11  # as far as the video reaches
    assert set((base[which == 1] - 100).long().tolist()) >= {0, 14}
    assert torch.equal(drawn.base_camera.focal[:, 0], 1.0 + which)
    again = draw_pairs(videos, views, 300, (5, 15), seed=1)
    assert torch.equal(again.base, drawn.base)


def test_pairs_that_cannot_be_drawn() -> None:
    video = torch.zeros(5, 3, 8, 8)
    with pytest.raises(ValueError, match="needs a video of 6; the longest of 1 has 5"):
        draw_pairs([video], cameras(1), 2, (5, 15))
    with pytest.raises(ValueError, match="strides 1 <= least <= largest"):
        draw_pairs([video], cameras(1), 2, (4, 3))
    with pytest.raises(ValueError, match="one size with a camera each"):
        draw_pairs([video, torch.zeros(5, 3, 9, 9)], cameras(2), 2, (1, 2))
    with pytest.raises(ValueError, match="one size with a camera each"):
        draw_pairs([video], cameras(2), 2, (1, 2))


# --- What learns ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_detector_learns_a_copy_and_all_else_stays(
    detector: KeypointDetector,
    source: Labelled,
    target: FramePairs,
    ranges: KinematicRanges,
    reconstructor: Reconstructor,
) -> None:
    before = weights(detector), weights(reconstructor)
    adapted = adapt(detector, source, target, ranges, reconstructor, TINY, progress=False)
    assert same(before[0], weights(detector)) and same(before[1], weights(reconstructor))
    assert changed(adapted.network, detector) and changed(adapted.teacher, detector)
    assert changed(adapted.network, adapted.teacher)
    assert not adapted.network.training and not adapted.teacher.training
    assert {"heat", "depth", "pseudo", "rebuilding", "left_out"} <= adapted.history.rows[-1].keys()
    other = adapt(detector, source, target, ranges, reconstructor, TINY, 1, progress=False)
    assert changed(adapted.network, other.network)


def test_the_error_of_rebuilding_reaches_every_weight_and_nothing_frozen(
    detector: KeypointDetector,
    source: Labelled,
    target: FramePairs,
    ranges: KinematicRanges,
    reconstructor: Reconstructor,
) -> None:
    task = AdaptTask(detector, source, target, ranges, reconstructor, TINY, 0)
    found = task.network(target.base[:2]).keypoints
    keypoints = torch.cat([found, task.network(target.driving[:2]).keypoints])
    error, left_out = task.rebuilding_error(target.base[:2], target.driving[:2], keypoints)
    error.backward()
    assert error > 0 and left_out == 0
    assert task.network.stem[0].weight.grad.abs().sum() > 0
    heat = task.network.head.weight.grad[: len(BODY17)]
    assert (heat.flatten(1).abs().sum(1) > 0).all()  # of every keypoint
    assert task.reconstructor is not None
    for frozen in (task.reconstructor, task.features, task.teacher.module):
        assert all(weight.grad is None for weight in frozen.parameters())


def test_the_reconstructor_learns_on_where_it_is_asked_to(
    detector: KeypointDetector,
    source: Labelled,
    target: FramePairs,
    ranges: KinematicRanges,
    reconstructor: Reconstructor,
) -> None:
    recipe = replace(TINY, steps=2, warm_up=0.0, reconstructor_rate=1e-3)
    task = AdaptTask(detector, source, target, ranges, reconstructor, recipe, 0)
    task.step(0)
    assert task.reconstructor is not None
    assert changed(task.reconstructor, reconstructor)


def test_lambda_is_the_share_of_the_gradients(
    detector: KeypointDetector, source: Labelled, target: FramePairs, ranges: KinematicRanges
) -> None:
    """Of gradients that are known: those of squares of the last layer's weights."""
    recipe = replace(TINY, rebuild=False, rebuild_share=0.25)
    task = AdaptTask(detector, source, target, ranges, None, recipe, 0)
    squares = task.network.head.weight.square().sum()
    assert task._measured_weight(3.0 * squares, 2.0 * squares) == pytest.approx(0.25 * 3 / 2)


def test_a_given_lambda_is_taken_and_a_measured_one_kept(
    detector: KeypointDetector,
    source: Labelled,
    target: FramePairs,
    ranges: KinematicRanges,
    reconstructor: Reconstructor,
) -> None:
    given = AdaptTask(detector, source, target, ranges, reconstructor, PAPER_RECIPE, 0)
    assert float(given.weight) == pytest.approx(0.1)
    task = AdaptTask(detector, source, target, ranges, reconstructor, TINY, 0)
    task.step(0)
    task.step(1)
    assert task.weight == 0
    task.step(2)
    measured = float(task.weight)
    task.step(3)
    assert measured > 0 and float(task.weight) == measured
    assert float(task.state_dict()["weight"]) == measured


def test_with_all_off_no_loss_of_the_target_is_left(
    detector: KeypointDetector, source: Labelled, target: FramePairs, ranges: KinematicRanges
) -> None:
    """Its pictures then count through batch normalisation alone."""
    recipe = replace(TINY, labels="none", rebuild=False)
    first = AdaptTask(detector, source, target, ranges, None, recipe, 0).step(0)
    assert set(first) == {"heat", "depth"}


def test_masks_by_heat_maps_alone_leave_kinematics_out(
    detector: KeypointDetector, source: Labelled, target: FramePairs, ranges: KinematicRanges
) -> None:
    recipe = replace(TINY, labels="activation", rebuild=False)
    task = AdaptTask(detector, source, target, ranges, None, recipe, 0)
    both = torch.cat([target.driving[:2], target.base[:2]])
    views = target.base_camera[torch.tensor([0, 1, 0, 1])]
    labels, matrix, pictures = task._labelled(both, views, torch.Generator().manual_seed(0))
    assert labels is not None and not labels.mask_3d.any() and labels.mask_2d.any()
    assert torch.equal(matrix[:2], matrix[2:])  # both frames of a pair move alike
    assert pictures.shape == both.shape and not torch.equal(pictures, both)


def test_places_move_as_pictures_do() -> None:
    draw = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    matrix = similarity(draw[0], 1 + draw[1], draw[2:].T - 0.5)
    places = torch.rand(3, 17, 2, generator=torch.Generator().manual_seed(1))
    moved = _forth(places, matrix)
    blank = torch.zeros(3, 3, 4, 4)
    torch.testing.assert_close(moved, warp(Labelled(blank, places, places[..., 0]), matrix)[1])
    torch.testing.assert_close(_back(moved, matrix), places)


# --- Interrupted, and refused --------------------------------------------------------------------


@pytest.mark.slow
def test_an_interrupted_adaptation_resumes_to_the_same_numbers(
    tmp_path: Path,
    detector: KeypointDetector,
    source: Labelled,
    target: FramePairs,
    ranges: KinematicRanges,
    reconstructor: Reconstructor,
) -> None:
    recipe = replace(TINY, reconstructor_rate=1e-3)
    parts = (detector, source, target, ranges, reconstructor, recipe, 3)
    whole = AdaptTask(*parts)
    loop.fit(whole, 4, progress=False)
    kept = tmp_path / "a.pt"
    first = AdaptTask(*parts)
    loop.fit(first, 3, checkpoint=kept, progress=False, identity=first.identity())
    again = adapt(*parts, checkpoint=kept, progress=False)
    assert same(weights(again.network), weights(whole.network))
    assert same(weights(again.teacher), weights(whole.teacher.module))
    with pytest.raises(ValueError, match="another folder"):
        adapt(*parts[:-1], 4, checkpoint=kept, progress=False)
    other = Reconstructor(BODY17, SIZE, seed=1)
    with pytest.raises(ValueError, match="reconstructor ="):
        adapt(*parts[:4], other, *parts[5:], checkpoint=kept, progress=False)
    with pytest.raises(ValueError, match="detector ="):
        adapt(KeypointDetector(BODY17, SIZE, (8, 8, 16, 16), seed=1), *parts[1:],
              checkpoint=kept, progress=False)  # fmt: skip


def test_pairs_without_a_person_are_left_out_and_counted(
    detector: KeypointDetector,
    source: Labelled,
    target: FramePairs,
    ranges: KinematicRanges,
    reconstructor: Reconstructor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    task = AdaptTask(detector, source, target, ranges, reconstructor, TINY, 0)
    places = torch.rand(2 * 2, 17, 2, generator=torch.Generator().manual_seed(0))
    nowhere = places.clone()
    nowhere[1] = 0.5  # all in one place: the second driving frame shows nobody
    error, left_out = task.rebuilding_error(target.base[:2], target.driving[:2], nowhere)
    assert left_out == 1 and error > 0
    alone, _ = task.rebuilding_error(target.base[:1], target.driving[:1], places[[0, 2]])
    torch.testing.assert_close(error, alone)
    nowhere[:] = 0.5
    error, left_out = task.rebuilding_error(target.base[:2], target.driving[:2], nowhere)
    assert left_out == 2 and error == 0
    blind = KeypointDetector(BODY17, SIZE, (8, 8, 16, 16))
    with torch.no_grad():
        blind.head.weight.zero_()  # all keypoints in the middle
    recipe = replace(TINY, steps=1, warm_up=0.0)
    with caplog.at_level(logging.WARNING):
        adapt(blind, source, target, ranges, reconstructor, recipe, progress=False)
    assert "2.0 pairs of 2 a step" in caplog.text


def test_what_cannot_be_adapted_to(
    detector: KeypointDetector,
    source: Labelled,
    target: FramePairs,
    ranges: KinematicRanges,
    reconstructor: Reconstructor,
) -> None:
    def refused(match: str, **changes: object) -> None:
        parts = {"detector": detector, "source": source, "target": target, "ranges": ranges}
        parts |= {"reconstructor": reconstructor, "recipe": TINY}
        with pytest.raises(ValueError, match=match):
            adapt(**(parts | changes), progress=False)  # type: ignore[arg-type]

    holes = target.base.clone()
    holes[3, 0, 2, 2] = torch.nan
    refused("1 base pictures hold NaN or infinity, the first is number 3",
            target=target._replace(base=holes))  # fmt: skip
    refused("driving pictures must be", target=target._replace(driving=target.driving[..., :16]))
    refused("as many driving frames and cameras as the 5 base",
            target=target._replace(driving=target.driving[:4]))  # fmt: skip
    refused("as many driving frames and cameras",
            target=target._replace(base_camera=target.base_camera[:2]))  # fmt: skip
    refused("source pictures must be", source=Labelled(*(part[:0] for part in source)))
    refused("nothing to rebuild pictures with", reconstructor=None)


@pytest.mark.parametrize(
    "wrong",
    [{"labels": "some"}, {"steps": 0}, {"batch": 0}, {"warm_up": 1.1}, {"unite": -0.1},
     {"label_weight": -1.0}, {"rebuild_weight": -1.0}, {"teacher_decay": float("nan")}],
)  # fmt: skip
def test_numbers_out_of_range(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="found"):
        Adaptation(**wrong)  # type: ignore[arg-type]
