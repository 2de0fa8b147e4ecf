"""Pseudo-labels: masks, the loss of Eq. 3 against a loop, and the share of correct ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from posenb.reconstruction import Detection, Maps, bone_scale
from posenb.reconstruction.kinematics import KinematicRanges, measure
from posenb.reconstruction.losses import pseudo_label_loss
from posenb.reconstruction.networks import DEVIATION, read
from posenb.reconstruction.pseudo_labels import (
    PseudoLabels,
    Selection,
    corrected_pose,
    mask_2d,
    mask_3d,
    pseudo_labels,
    share_correct,
)
from posenb.world import domains
from posenb.world.cameras import Camera
from posenb.world.skeletons import BODY17

SIDE = 6  # cells of a map


@pytest.fixture(scope="module")
def scene() -> tuple[Detection, Camera, KinematicRanges, torch.Tensor]:
    """True answers, cameras, ranges that hold all of these poses, and joints in metres."""
    poses = domains.get("stage").sample(80, 0)
    assert poses.joints3d is not None and poses.camera is not None
    joints = poses.joints3d
    far = poses.camera.to_camera(joints)[..., 2]
    depth = (far - far[:, :1]) / bone_scale(joints, BODY17)[:, None]
    confidence = torch.rand(80, 17, generator=torch.Generator().manual_seed(0))
    found = Detection(poses.camera.project(joints), confidence, depth)
    return found, poses.camera, measure(joints, BODY17, share=1.0), joints


def some_labels(seed: int, count: int = 3) -> tuple[Maps, PseudoLabels]:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(count, 17, *shape, generator=random, dtype=torch.float64)

    maps = Maps(4 * draw(SIDE, SIDE), draw(SIDE, SIDE))
    return maps, PseudoLabels(draw(2), draw(3), draw() < 0.5, draw() < 0.4)


def answers(maps: Maps) -> torch.Tensor:
    found = read(maps, BODY17)
    return torch.cat([found.keypoints, found.depth[..., None]], -1).detach()


def slow(maps: Maps, labels: PseudoLabels, united: bool, weight: float) -> float:
    """Eq. 3 by loops over keypoints and cells, with our distance of heat maps."""

    def heat_off(n: int, k: int) -> float:
        u, v = labels.keypoints[n, k].tolist()
        logits = maps.heat[n, k].tolist()
        ideal, given_ = {}, {}
        for row in range(SIDE):
            for column in range(SIDE):
                x, y = (column + 0.5) / SIDE, (row + 0.5) / SIDE
                square = ((x - u) ** 2 + (y - v) ** 2) / DEVIATION**2
                ideal[row, column] = math.exp(-square / 2)
                given_[row, column] = math.exp(logits[row][column])
        total, mass = sum(ideal.values()), sum(given_.values())
        return sum(
            p / total * math.log((p / total) / (given_[cell] / mass))
            for cell, p in ideal.items()
            if p > 0
        )

    def place(n: int, k: int) -> list[float]:
        mass = x = y = depth = 0.0
        for row in range(SIDE):
            for column in range(SIDE):
                p = math.exp(maps.heat[n, k, row, column])
                mass += p
                x, y = x + p * (column + 0.5) / SIDE, y + p * (row + 0.5) / SIDE
                depth += p * float(maps.depth[n, k, row, column])
        return [x / mass, y / mass, depth / mass]

    def pose_off(n: int, k: int) -> float:
        u, v, depth = place(n, k)
        return math.dist([u, v, depth - place(n, 0)[2]], labels.corrected[n, k].tolist())

    one, two = labels.mask_2d.nonzero().tolist(), labels.mask_3d.nonzero().tolist()
    if united:
        one = two = sorted({tuple(cell) for cell in one} | {tuple(cell) for cell in two})
    heat = sum(heat_off(n, k) for n, k in one) / max(len(one), 1)
    return heat + weight * sum(pose_off(n, k) for n, k in two) / max(len(two), 1)


@pytest.mark.parametrize("united", [False, True])
def test_the_loss_is_equation_3(united: bool) -> None:
    maps, labels = some_labels(0)
    loss = pseudo_label_loss(maps, labels, BODY17, united, 0.3)
    assert float(loss.total) == pytest.approx(slow(maps, labels, united, 0.3), rel=1e-6)
    torch.testing.assert_close(loss.total, loss.heat + 0.3 * loss.pose)
    usual = pseudo_label_loss(maps, labels, BODY17, united)
    torch.testing.assert_close(usual.total, loss.heat + 0.1 * loss.pose)


@pytest.mark.parametrize("united", [False, True])
def test_what_no_mask_chose_teaches_nothing(united: bool) -> None:
    maps, labels = some_labels(1)
    heat, depth = (part.clone().requires_grad_() for part in maps)
    none = torch.zeros_like(labels.mask_2d)
    broken = PseudoLabels(labels.keypoints * torch.nan, labels.corrected * torch.nan, none, none)
    loss = pseudo_label_loss(Maps(heat, depth), broken, BODY17, united)
    assert loss.total == 0
    loss.total.backward()
    assert heat.grad is not None and not heat.grad.any() and not depth.grad.any()  # 0, not NaN

    single = none.clone()
    single[1, 4] = True
    corrected = torch.where(single[..., None], labels.corrected, torch.nan)
    some = labels._replace(corrected=corrected, mask_2d=none, mask_3d=single)
    pseudo_label_loss(Maps(heat, depth), some, BODY17, united).total.backward()
    touched = heat.grad.flatten(2).any(-1) | depth.grad.flatten(2).any(-1)
    assert heat.grad.isfinite().all() and depth.grad.isfinite().all()
    assert touched[1, 4] and touched.sum() <= 2  # it, and the root behind which its depth is


def test_a_pose_that_could_not_be_lifted_still_teaches_heat_maps() -> None:
    """Heat maps vouch for its keypoints; united, they must not ask for a 3D place that is NaN."""
    maps, labels = some_labels(3)
    heat, depth = (part.clone().requires_grad_() for part in maps)
    corrected = labels.corrected.clone()
    corrected[1] = torch.nan
    believed, no = torch.ones_like(labels.mask_2d), torch.zeros_like(labels.mask_2d)
    flat = PseudoLabels(labels.keypoints, corrected, believed, no)
    loss = pseudo_label_loss(Maps(heat, depth), flat, BODY17, united=True)
    rest = believed.clone()
    rest[1] = False
    others = labels._replace(mask_2d=no, mask_3d=rest)
    torch.testing.assert_close(loss.pose, pseudo_label_loss(maps, others, BODY17, False).pose)
    loss.total.backward()
    assert heat.grad is not None and heat.grad.isfinite().all()
    assert heat.grad[1].flatten(1).any(1).all()


def test_labels_without_error_give_finite_gradients() -> None:
    maps, labels = some_labels(2)
    heat = maps.heat.requires_grad_()
    pose = answers(Maps(heat, maps.depth))
    every = torch.ones_like(labels.mask_2d)
    perfect = PseudoLabels(pose[..., :2], pose, every, every)
    loss = pseudo_label_loss(Maps(heat, maps.depth), perfect, BODY17, True)
    assert loss.pose == 0
    loss.total.backward()
    assert heat.grad is not None and heat.grad.isfinite().all()


def test_labels_moved_out_of_the_picture_do_not_count() -> None:
    maps, labels = some_labels(3)
    outside = labels.keypoints.clone()
    outside[0] += 1.5
    moved = labels._replace(keypoints=outside)
    without = labels._replace(
        mask_2d=labels.mask_2d & (torch.arange(3) > 0)[:, None],
        mask_3d=labels.mask_3d & (torch.arange(3) > 0)[:, None],
    )
    for united in (False, True):
        one, two = (pseudo_label_loss(maps, x, BODY17, united) for x in (moved, without))
        torch.testing.assert_close(one.total, two.total)


@given(seed=st.integers(0, 2**31), quantile=st.floats(0, 1))
def test_a_quantile_leaves_its_share_out(seed: int, quantile: float) -> None:
    confidence = torch.rand(6, 17, generator=torch.Generator().manual_seed(seed))
    chosen = mask_2d(confidence, quantile)
    assert abs(float(chosen.float().mean()) - (1 - quantile)) <= 1.01 / confidence.numel()
    ordered = sorted(confidence.flatten().tolist(), reverse=True)
    assert float(confidence[chosen].min()) == ordered[int(chosen.sum()) - 1]  # the surest ones


def test_a_constant_threshold_is_an_option() -> None:
    confidence = torch.tensor([[0.2, 0.5, 0.9]])
    assert mask_2d(confidence, threshold=0.5).tolist() == [[False, True, True]]
    assert not mask_2d(confidence, threshold=0.95).any()
    assert mask_2d(torch.empty(0, 17)).shape == (0, 17)


def test_feasible_answers_are_their_own_labels(
    scene: tuple[Detection, Camera, KinematicRanges, torch.Tensor],
) -> None:
    found, camera, ranges, _ = scene
    labels = pseudo_labels(found, camera, ranges, BODY17)
    wanted = torch.cat([found.keypoints, found.depth[..., None]], -1)
    torch.testing.assert_close(labels.corrected, wanted, atol=1e-3, rtol=0)
    assert labels.mask_3d.all() and labels.mask_3d.dtype == torch.bool
    assert torch.equal(labels.mask_2d, found.confidence >= np.median(found.confidence))
    assert torch.equal(labels.union, labels.mask_2d | labels.mask_3d)


def test_a_wrong_ankle_is_corrected_and_not_believed(
    scene: tuple[Detection, Camera, KinematicRanges, torch.Tensor],
) -> None:
    found, camera, ranges, _ = scene
    ankle = BODY17.index("left_ankle")
    wrong = found.keypoints.clone()
    wrong[:, ankle] += 1.0 * (wrong[:, ankle] - wrong[:, BODY17.index("left_knee")])
    far = (wrong - found.keypoints)[:, ankle].norm(dim=-1) > 0.1
    assert far.sum() > 20
    labels = pseudo_labels(
        found._replace(keypoints=wrong), camera, ranges, BODY17, Selection(threshold=2.0)
    )
    assert not labels.mask_2d.any()
    assert not labels.mask_3d[far, ankle].any()
    assert labels.mask_3d[:, [BODY17.index("right_wrist"), BODY17.index("head_top")]].any()
    off = (labels.corrected[..., :2] - found.keypoints).norm(dim=-1)[far, ankle]
    assert (off < (wrong - found.keypoints).norm(dim=-1)[far, ankle]).all()
    shift = (labels.corrected[..., :2] - wrong).norm(dim=-1)
    assert torch.equal(labels.mask_3d, shift <= Selection().shift)
    assert mask_3d(wrong, labels.corrected, 10.0).all()


def test_what_cannot_be_lifted_has_no_label_in_3d(
    scene: tuple[Detection, Camera, KinematicRanges, torch.Tensor],
) -> None:
    found, camera, ranges, _ = scene
    keypoints = found.keypoints.clone()
    keypoints[3] = torch.nan
    keypoints[5] = 0.5  # all in one place
    depth = found.depth.clone()
    depth[5] = 0
    labels = pseudo_labels(Detection(keypoints, found.confidence, depth), camera, ranges, BODY17)
    assert labels.corrected[[3, 5]].isnan().all() and not labels.mask_3d[[3, 5]].any()
    others = [n for n in range(80) if n not in (3, 5)]
    assert labels.corrected[others].isfinite().all() and labels.mask_3d[others].all()
    nobody = Detection(*(part[[3]] for part in (keypoints, found.confidence, depth)))
    assert corrected_pose(nobody, camera[[3]], ranges, BODY17).isnan().all()


def test_the_share_of_correct_labels_counts_what_is_used_and_right() -> None:
    truth = torch.full((1, 4, 2), 0.5)
    truth[0, 3] = 1.5  # not in the picture
    keypoints = truth + torch.tensor([[[0.0, 0.04], [0.0, 0.06], [0.03, 0.0], [0.0, 0.0]]])
    yes, no = True, False
    labels = PseudoLabels(
        keypoints,
        torch.zeros(1, 4, 3),
        torch.tensor([[yes, yes, no, yes]]),
        torch.tensor([[no, no, yes, no]]),
    )
    assert share_correct(labels, truth) == pytest.approx(2 / 3)
    assert share_correct(labels, truth, united=False) == pytest.approx(1 / 3)
    assert share_correct(labels, truth, threshold=0.1) == 1
    with pytest.raises(ValueError, match="no true keypoint"):
        share_correct(labels, truth + 5)
    with pytest.raises(ValueError, match=r"\(1, 4, 2\), found \(1, 3, 2\)"):
        share_correct(labels, truth[:, :3])


def test_bad_selections_are_named() -> None:
    with pytest.raises(ValueError, match="quantile must be in"):
        Selection(quantile=1.5)
    with pytest.raises(ValueError, match="shift at least 0"):
        Selection(shift=-1.0)
