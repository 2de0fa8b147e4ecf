from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from posenb.posynda import windows
from posenb.world import domains
from posenb.world.cameras import Camera

NAMES = ["lab", "stage", "stage_far", "outdoor"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("units", windows.UNITS)
def test_keypoints_are_projections_of_the_joints(name, units):
    recipe = replace(windows.domain(name), noise=0.0)
    moving = windows.sample(recipe, 20, 0, 9, units=units)
    assert moving.keypoints.shape == (20, 9, 17, 2)
    assert moving.joints3d.shape == (20, 9, 17, 3) and not moving.joints3d[:, :, 0].any()
    placed = moving.joints3d + moving.root[:, :, None]  # camera frame
    plane = placed[..., :2] / placed[..., 2:]
    focal, center = moving.camera.focal[:, None, None], moving.camera.center[:, None, None]
    torch.testing.assert_close(moving.keypoints, plane * focal + center, rtol=1e-4, atol=1e-4)
    if units == "plane":
        assert (moving.camera.focal == 1).all()
    if units == "screen":
        assert moving.camera.focal[0, 0] == pytest.approx(recipe.focal / 500)
    assert (placed[..., 2] > 0.5).all()


@pytest.mark.parametrize("name", NAMES)
def test_windows_are_of_one_body_that_moves(name):
    moving = windows.sample(windows.domain(name), 100, 0, 27)
    knee = (moving.joints3d[:, :, 2] - moving.joints3d[:, :, 3]).norm(dim=-1)  # a shank
    torch.testing.assert_close(knee, knee[:, :1].expand_as(knee), rtol=1e-4, atol=1e-4)
    step = (moving.joints3d[:, 1:] - moving.joints3d[:, :-1]).norm(dim=-1)
    assert 0.005 < step.mean() < 0.05 and step.max() < 0.5
    assert (moving.root[:, 1:] - moving.root[:, :-1]).norm(dim=-1).max() < 0.2


def test_noise_is_as_large_as_the_domain_says():
    recipe = windows.domain("outdoor")
    noisy = windows.sample(recipe, 300, 0, 9)
    clean = windows.sample(replace(recipe, noise=0.0), 300, 0, 9)
    assert torch.equal(noisy.joints3d, clean.joints3d)
    box = (clean.keypoints.amax((1, 2)) - clean.keypoints.amin((1, 2))).amax(-1)
    ratio = (noisy.keypoints - clean.keypoints) / box[:, None, None, None]
    assert float(ratio.std()) == pytest.approx(recipe.noise * recipe.margin, rel=0.02)


def test_a_seed_gives_the_same_windows_and_splits_share_no_subject():
    lab = windows.domain("lab")
    one, same, other = (windows.sample(lab, 200, seed, 9) for seed in (0, 0, 1))
    assert torch.equal(one.keypoints, same.keypoints)
    assert not torch.equal(one.keypoints, other.keypoints)
    test = windows.sample(lab, 200, 0, 9, "test")
    assert not set(one.subject) & set(test.subject)


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_window_leaves_its_take(monkeypatch, split):
    """Frames that `interpolate` is asked for lie in one take each, back and forth where short."""
    asked = []
    real = domains.interpolate
    monkeypatch.setattr(domains, "interpolate", lambda r, f: asked.append(f) or real(r, f))
    windows.sample(windows.domain("stage"), 300, 0, 27, split)
    takes = domains._takes(split)
    for frames in asked:
        frames = frames.reshape(300, 27)
        inside = (frames[..., None] >= takes.starts - 1e-3) & (
            frames[..., None] <= takes.starts + takes.lengths - 1 + 1e-3
        )
        assert inside.all(1).any(-1).all()
        assert (frames.diff(dim=1).abs() < 3.0).all()


def test_targets_differ_from_the_source_as_their_names_say():
    size, high = {}, {}
    for name in NAMES:
        moving = windows.sample(windows.domain(name), 500, 0, 3)
        box = moving.keypoints.amax(2) - moving.keypoints.amin(2)
        size[name] = float(box.mean())
        high[name] = float(moving.camera.position[:, 1].std())
    assert 0.7 < size["stage"] / size["lab"] < 1
    assert size["stage_far"] < 0.55 * size["lab"]
    assert high["stage"] > 3 * high["lab"]
    with pytest.raises(ValueError, match="no domain 'moon'"):
        windows.domain("moon")


def test_a_lens_is_straightened():
    lens = torch.tensor([-0.2, 0.05, 0.001, -0.001, 0.0])
    points = torch.rand(2, 12, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    points[..., 2] += 3
    focal, center = torch.tensor([1100.0, 1120.0]), torch.tensor([520.0, 480.0])
    eye = torch.eye(3).expand(2, 3, 3)
    bent = Camera(eye, torch.zeros(2, 3), focal, center, lens)
    straight = Camera(eye, torch.zeros(2, 3), focal, center)
    seen = bent.project(points).unflatten(1, (3, 4))
    seen[0, 0, 0] = torch.nan
    found, camera = windows.to_screen(seen, bent, 1000)
    expected = (straight.project(points).unflatten(1, (3, 4)) - center) / 500
    assert found[0, 0, 0].isnan().all()
    known = ~found.isnan()
    torch.testing.assert_close(found[known], expected[known], rtol=1e-4, atol=1e-5)
    assert camera.distortion is None
    torch.testing.assert_close(camera.focal, (focal / 500).expand(2, 2))
    one, _ = windows.to_screen(seen[:1], bent[0], 1000)
    torch.testing.assert_close(one, found[:1], equal_nan=True)
    with pytest.raises(ValueError, match="width"):
        windows.to_screen(seen, bent, 0)


@pytest.mark.parametrize(("length", "count"), [(1, 1), (9, 1), (10, 2), (27, 3)])
def test_cut_pads_with_the_last_frame(length, count):
    sequence = torch.arange(length)[:, None].float()
    cut = windows.cut(sequence, 9)
    assert cut.shape == (count, 9, 1)
    whole = cut.flatten().tolist()
    assert whole == [min(i, length - 1) for i in range(9 * count)]


def test_cut_with_overlap():
    assert windows.cut(torch.arange(7), 4, 2).tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 6]]
    for sequence, frames in ((torch.zeros(0), 4), (torch.zeros(3), 0)):
        with pytest.raises(ValueError, match="expected frames to cut"):
            windows.cut(sequence, frames)


def test_windows_check_their_parts():
    moving = windows.sample(windows.domain("lab"), 4, 0, 3)
    part = moving[torch.tensor([2, 0])]
    assert len(part) == 2 and torch.equal(part.root[1], moving.root[0])
    assert part.subject == (moving.subject[2], moving.subject[0])
    with pytest.raises(ValueError, match="convert other skeletons"):
        replace(moving, keypoints=moving.keypoints[..., :16, :])
    with pytest.raises(ValueError, match="joints3d"):
        replace(moving, joints3d=moving.joints3d / 0)
    with pytest.raises(ValueError, match="as many cameras"):
        replace(moving, camera=moving.camera[:2])
    for options in ({"units": "feet"}, {"split": "dev"}, {"fps": 0.0}, {"frames": 0}):
        with pytest.raises(ValueError, match="must be"):
            windows.sample(windows.domain("lab"), 2, 0, **options)


def test_joints_are_filled_in_against_numpy():
    """As np.interp, joint by joint; what no frame shows stays missing."""
    random = torch.Generator().manual_seed(0)
    whole = torch.rand(6, 9, 4, 2, generator=random, dtype=torch.float64)
    missing = torch.rand(6, 9, 4, generator=random) < torch.linspace(0, 0.95, 6)[:, None, None]
    missing[0, :, 2] = True
    holes = whole.masked_fill(missing[..., None], torch.nan)
    holes[5, 3, 0, 0] = torch.nan  # half a point is none
    found = windows.fill(holes)
    for n, j, axis in itertools.product(range(6), range(4), range(2)):
        seen = ~holes[n, :, j].isnan().any(-1).numpy()
        if not seen.any():
            assert found[n, :, j].isnan().all()
            continue
        times = np.arange(9)
        expected = np.interp(times, times[seen], holes[n, seen, j, axis].numpy())
        np.testing.assert_allclose(found[n, :, j, axis].numpy(), expected, rtol=1e-12)
    assert torch.equal(windows.fill(whole), whole)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("111", [0, 1, 2]),
        ("000", [-1, -1, -1]),
        ("010", [1, 1, 1]),
        ("1001", [0, 0, 3, 3]),
        ("10001", [0, 0, 0, 4, 4]),
        ("00100", [2, 2, 2, 2, 2]),
    ],
)
def test_the_nearest_frame_is_the_earlier_of_two(seen, expected):
    frames = torch.tensor([[letter == "1" for letter in seen]])
    assert windows.nearest(frames).tolist() == [expected]
