from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from posenb.world import domains
from posenb.world.cameras import Camera, look_at
from posenb.world.poses import PoseSet, recrop
from posenb.world.skeletons import BODY17, COCO17


def poses(count: int = 5, seed: int = 0, full: bool = True) -> PoseSet:
    generator = torch.Generator().manual_seed(seed)
    joints = torch.rand(count, 17, 3, generator=generator) - 0.5
    rotation, translation = look_at(torch.tensor([[0.0, 1.0, 5.0]] * count), torch.zeros(3))
    camera = Camera(rotation, translation, torch.tensor([2.5, 2.5]), torch.tensor([0.5, 0.5]))
    return PoseSet(
        camera.project(joints),
        joints if full else None,
        camera if full else None,
        tuple(f"action {i}" for i in range(count)),
        tuple(f"subject {i}" for i in range(count)),
        BODY17,
        None if full else torch.rand(count, 17, generator=generator) > 0.5,
    )


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (2, [2]),
        (-1, [4]),
        (slice(1, 4), [1, 2, 3]),
        (slice(None, None, 2), [0, 2, 4]),
        (torch.tensor([True, False, False, True, False]), [0, 3]),
        (torch.tensor([4, 0, 4]), [4, 0, 4]),
        ([3, -2], [3, 3]),
    ],
)
@pytest.mark.parametrize("full", [True, False])
def test_indexing_keeps_everything_together(index: object, expected: list[int], full: bool) -> None:
    whole = poses(full=full)
    part = whole[index]  # type: ignore[index]
    assert len(part) == len(expected) and part.skeleton is BODY17
    assert part.action == tuple(f"action {i}" for i in expected)
    assert part.subject == tuple(f"subject {i}" for i in expected)
    assert torch.equal(part.keypoints, whole.keypoints[expected])
    if full:
        assert part.camera is not None and part.joints3d is not None
        torch.testing.assert_close(part.camera.project(part.joints3d), part.keypoints)
        assert part.visible is None
    else:
        assert part.camera is None and part.joints3d is None
        assert torch.equal(part.visible, whole.visible[expected])


@pytest.mark.parametrize("index", [torch.tensor(1), np.int64(1)])
def test_a_position_may_be_a_scalar_of_another_library(index: Any) -> None:
    assert poses(3)[index].subject == ("subject 1",)


def test_iteration_gives_single_poses() -> None:
    assert [pose.subject for pose in poses(3)] == [("subject 0",), ("subject 1",), ("subject 2",)]


def test_selecting_nobody_or_a_stranger_is_an_error() -> None:
    for nothing in (slice(5, 9), torch.zeros(5, dtype=torch.bool), []):
        with pytest.raises(ValueError, match="at least one pose, found none"):
            poses()[nothing]
    for stranger in (5, -6, [5]):
        with pytest.raises(IndexError):
            poses()[stranger]


def test_concatenation() -> None:
    both = poses(2, 1) + poses(3, 2)
    assert len(both) == 5 and both.action[:3] == ("action 0", "action 1", "action 0")
    assert both.camera is not None and both.joints3d is not None and both.visible is None
    torch.testing.assert_close(both.camera.project(both.joints3d), both.keypoints)


def test_concatenation_of_unlike_sets_keeps_what_both_have() -> None:
    real, simulated = poses(2, full=False), poses(3)
    for both in (real + simulated, simulated + real):
        assert both.joints3d is None and both.camera is None
    assert real.visible is not None and (real + simulated).visible is not None
    expected = torch.cat([real.visible, torch.ones(3, 17, dtype=torch.bool)])
    assert torch.equal((real + simulated).visible, expected)
    with pytest.raises(ValueError, match="BODY17 and COCO17"):
        real + dataclasses.replace(real, skeleton=COCO17)


def test_moving_takes_all_tensors_along() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for whole in (poses(3), poses(3, full=False)):
        moved = whole.to(device)
        tensors = [moved.keypoints, moved.joints3d, moved.visible]
        if moved.camera is not None:
            tensors.append(moved.camera.rotation)
        assert {t.device.type for t in tensors if t is not None} == {device}
        assert torch.equal(moved[torch.tensor([2, 0])].keypoints.cpu(), whole.keypoints[[2, 0]])
        assert moved.action == whole.action


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": torch.rand(5, 17, 3)}, r"shape \(5, 17, 3\), expected \(N, J, 2\)"),
        ({"keypoints": torch.rand(5, 16, 2)}, "found 16 joints a pose, but BODY17 has 17"),
        ({"keypoints": torch.rand(0, 17, 2)}, "at least one pose, found none"),
        ({"joints3d": torch.rand(5, 17, 2)}, r"joints3d has shape .*expected \(5, 17, 3\)"),
        ({"joints3d": torch.full((5, 17, 3), torch.inf)}, "joints3d of 5 of 5 poses"),
        ({"camera": poses(4).camera}, r"camera has shape \(4,\), expected \(5,\)"),
        ({"action": ("walk",)}, r"action has shape \(1,\), expected \(5,\)"),
        ({"subject": ("a",) * 6}, r"subject has shape \(6,\)"),
        ({"visible": torch.ones(5, 16, dtype=torch.bool)}, "visible has shape"),
        ({"visible": torch.ones(5, 17)}, "must be bool"),
        ({"picture": ("a.jpg",)}, r"picture has shape \(1,\), expected \(5,\)"),
        ({"crop": torch.zeros(5, 3, 3)}, r"crop has shape .*expected \(5, 2, 3\)"),
        ({"crop": torch.full((5, 2, 3), torch.nan)}, "crop of 5 of 5 poses are not finite"),
    ],
)
def test_parts_that_do_not_fit_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(poses(), **change)


def test_nan_is_counted_and_located() -> None:
    keypoints = poses().keypoints.clone()
    keypoints[3, 2, 0] = torch.nan
    keypoints[4, 7] = torch.inf
    with pytest.raises(ValueError, match="keypoints of 2 of 5 poses .* first at index 3"):
        dataclasses.replace(poses(), keypoints=keypoints)


def test_recropped_poses_fill_their_pictures_alike() -> None:
    poses = recrop(domains.get("lab").sample(200, 0), margin=1.25)
    low, high = poses.keypoints.amin(1), poses.keypoints.amax(1)
    torch.testing.assert_close((high - low).amax(1), torch.full((200,), 0.8))
    torch.testing.assert_close((low + high) / 2, torch.full((200, 2), 0.5))
    again = recrop(poses, margin=1.25)
    torch.testing.assert_close(again.keypoints, poses.keypoints)


def photographed(count: int = 4) -> PoseSet:
    """Poses whose crops lie in pictures at known places: sides 100, 110, ... from (10 n, 20 n)."""
    crop = torch.zeros(count, 2, 3)
    crop[:, 0, 0] = crop[:, 1, 1] = 100 + 10 * torch.arange(count)
    crop[:, 0, 2], crop[:, 1, 2] = 10.0 * torch.arange(count), 20.0 * torch.arange(count)
    names = tuple(f"{n}.jpg" for n in range(count))
    return dataclasses.replace(poses(count), picture=names, crop=crop)


def test_pixels_are_where_the_crop_was_cut() -> None:
    known = photographed()
    x, y = known.keypoints[2, 5].tolist()
    torch.testing.assert_close(known.pixels()[2, 5], torch.tensor([20 + 120 * x, 40 + 120 * y]))
    hidden = torch.ones(4, 17, dtype=torch.bool)
    hidden[1, 3] = False
    masked = dataclasses.replace(known, visible=hidden).pixels()
    assert (masked[1, 3] == 0).all() and torch.equal(masked[0], known.pixels()[0])
    with pytest.raises(ValueError, match="do not know their crops"):
        poses().pixels()


def test_picture_and_crop_follow_their_poses() -> None:
    known = photographed()
    part = known[[3, 1]]
    assert part.picture == ("3.jpg", "1.jpg")
    assert torch.equal(part.pixels(), known.pixels()[[3, 1]])
    joined = known + part
    assert joined.picture == (*known.picture, "3.jpg", "1.jpg")  # type: ignore[misc]
    assert torch.equal(joined.pixels()[4:], part.pixels())
    assert (known + poses()).picture is None and (poses() + known).crop is None
    assert torch.equal(known.to("cpu").pixels(), known.pixels())


def test_cutting_out_anew_leaves_the_pixels_where_they_are() -> None:
    known = photographed()
    again = recrop(known, margin=1.5)
    assert again.picture == known.picture
    assert (again.keypoints - known.keypoints).abs().amax() > 0.01
    torch.testing.assert_close(again.pixels(), known.pixels(), rtol=1e-4, atol=1e-2)
    assert recrop(poses()).crop is None
