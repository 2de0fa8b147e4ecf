"""Videos: one person, one background, a motion that goes on, labels that project."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from posenb.world import domains
from posenb.world.clips import FPS, video_pairs, videos
from posenb.world.filming import film, shots
from posenb.world.looks import LAB, LOOKS, SYNTHETIC, Look
from posenb.world.rendering import render

pytestmark = pytest.mark.slow

SIZE = 40
BODIES = ("synthetic", "lab", "outdoor")
# What changes from frame to frame beside the person: the sensor's noise, and shadows.
CALM = {"noise": 0.0, "compression": 0.0, "shadow": 0.0}


def calm(name: str) -> Look:
    return dataclasses.replace(LOOKS[name], **CALM)


@pytest.mark.parametrize("name", BODIES)
def test_pairs_are_frames_of_one_video_and_deterministic(name: str) -> None:
    """A pair at stride 6 is the first and the last of seven frames, and of three at stride 3."""
    pairs = video_pairs(name, 3, 6, 0, SIZE)
    again = video_pairs(name, 3, 6, 0, SIZE)
    assert torch.equal(pairs.base.images, again.base.images)
    assert torch.equal(pairs.driving.images, again.driving.images)
    assert not torch.equal(pairs.base.keypoints, video_pairs(name, 3, 6, 1, SIZE).base.keypoints)
    assert len(pairs) == 3 and pairs.base.images.shape == (3, 3, SIZE, SIZE)
    for frames, stride in ((7, 1), (3, 3)):
        whole = videos(name, 3, frames, 0, 16, stride)
        assert whole.fps == FPS / stride and len(whole) == 3 and len(whole[0]) == frames
        assert (whole.action, whole.subject) == (pairs.action, pairs.subject)
        for number, video in enumerate(whole):
            torch.testing.assert_close(video.joints3d[0], pairs.base.joints3d[number])
            torch.testing.assert_close(video.joints3d[-1], pairs.driving.joints3d[number])


@pytest.mark.parametrize("name", BODIES)
def test_points_of_the_world_project_to_the_labels(name: str) -> None:
    pairs = video_pairs(name, 4, 5, 2, 16)
    for frame, camera in (
        (pairs.base, pairs.base_camera),
        (pairs.driving, pairs.driving_camera),
    ):
        torch.testing.assert_close(camera.project(frame.joints3d), frame.keypoints)
    still = torch.equal(pairs.base_camera.rotation, pairs.driving_camera.rotation)
    assert still == (name != "outdoor")
    torch.testing.assert_close(pairs.base_camera.focal, pairs.driving_camera.focal)


@pytest.mark.parametrize("name", [*BODIES, "hands_real"])
def test_a_close_crop_shows_the_same_people_nearer(name: str) -> None:
    """The joints of both frames fill 1 / margin of it; people, poses and cameras stay."""
    wide, close = (video_pairs(name, 3, 8, 1, 32, margin=margin) for margin in (None, 1.25))
    for one, other in ((wide.base, close.base), (wide.driving, close.driving)):
        torch.testing.assert_close(one.joints3d, other.joints3d)
    both = torch.cat([close.base.keypoints, close.driving.keypoints], 1)  # (N, 2 J, 2)
    low, high = both.amin(1), both.amax(1)
    torch.testing.assert_close((high - low).amax(-1), torch.full((3,), 1 / 1.25))
    torch.testing.assert_close((low + high) / 2, torch.full((3, 2), 0.5), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        close.driving_camera.project(close.driving.joints3d), close.driving.keypoints
    )


@pytest.mark.parametrize("name", ["synthetic", "lab"])
def test_the_background_stands_still(name: str) -> None:
    pairs = video_pairs(name, 4, 8, 3, SIZE, look=calm(name))
    parts = torch.stack([pairs.base.parts, pairs.driving.parts]) > 0
    near = torch.nn.functional.max_pool2d(parts.float().amax(0)[:, None], 5, 1, 2) > 0
    background = ~near.expand(-1, 3, -1, -1)
    assert background.float().mean() > 0.3
    assert torch.equal(pairs.base.images[background], pairs.driving.images[background])
    assert not torch.equal(pairs.base.images, pairs.driving.images)


def test_noise_is_new_in_every_frame() -> None:
    grain = dataclasses.replace(SYNTHETIC, noise=1.0)
    pair = video_pairs("lab", 1, 1, 0, SIZE, look=grain)
    assert (pair.base.images - pair.driving.images).abs()[..., :8, :8].amin() > 0


def test_the_person_stays_the_same() -> None:
    """Bones keep their lengths and people their shapes, looks and clothes."""
    taken = film(domains.get("outdoor"), 3, range(0, 12, 4), 0).shots
    for part in (taken.shape, taken.woman, taken.eye, taken.chances[:, :40]):
        frames = part.unflatten(0, (3, 3))
        assert torch.equal(frames, frames[:, :1].expand_as(frames))
    thighs = videos("lab", 2, 4, 1, 16, 4, look=dataclasses.replace(LAB, convention=0.0))
    lengths = (thighs.frames.joints3d[:, 1] - thighs.frames.joints3d[:, 2]).norm(dim=-1)
    lengths = lengths.view(2, 4)
    torch.testing.assert_close(lengths, lengths[:, :1].expand(2, 4), atol=1e-4, rtol=0)


def test_motion_goes_on_with_the_stride() -> None:
    """The farther apart two frames, the more people have moved."""
    moved = []
    for stride in (1, 4, 12):
        pairs = video_pairs("lab", 24, stride, 0, 8)
        moved.append((pairs.driving.joints3d - pairs.base.joints3d).norm(dim=-1).mean().item())
    assert 0.005 < moved[0] < moved[1] / 2 < moved[2] / 3


@pytest.mark.parametrize("split", ["train", "test"])
def test_people_are_in_the_picture_and_on_the_floor(split: domains.Split) -> None:
    for name in BODIES:
        frames = videos(name, 6, 3, 4, 16, 3, split=split).frames
        inside = ((frames.keypoints >= 0) & (frames.keypoints < 1)).all(-1)
        assert inside.float().mean() > 0.9 and not (frames.visible & ~inside).any()
        assert frames.joints3d[..., 1].amin() > -0.02


def test_bad_input_is_named() -> None:
    for count, frames, stride in ((0, 2, 1), (1, 0, 1), (1, 2, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            videos("lab", count, frames, 0, 16, stride)
    for frames in ((), (1, 2), (0, 4, 2), (0, 0)):
        for name in ("lab", "hands_real", "faces_wild"):
            with pytest.raises(ValueError, match="at least one, ascending from 0"):
                film(name, 2, frames, 0)
    with pytest.raises(ValueError, match=r"longer than every take .* a second"):
        video_pairs("lab", 1, 500, 0, 16)
    with pytest.raises(ValueError, match="no domain 'moon'"):
        video_pairs("moon", 1, 1, 0)
    with pytest.raises(ValueError, match="margin must be at least 1"):
        video_pairs("lab", 1, 5, 0, SIZE, margin=0.9)
    narrow = dataclasses.replace(domains.get("lab"), margin=0.02)
    with pytest.raises(ValueError, match=r"out of the picture in \d+ of 12 frames"):
        videos(narrow, 4, 3, 0, 16, 5)
    inside = dataclasses.replace(domains.get("lab"), distance=(0.05, 0.06), area=0.0)
    with pytest.raises(ValueError, match="in the body or too near"):
        render(inside, 2, 0, 16)


def test_a_domain_may_be_given_by_its_name() -> None:
    by_name, given = (shots(domain, 2, seed=3) for domain in ("lab", domains.get("lab")))
    assert torch.equal(by_name.root, given.root) and torch.equal(by_name.chances, given.chances)
    with pytest.raises(ValueError, match="nowhere"):
        shots("nowhere", 2, seed=3)
