from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.transform import Rotation
from sklearn.metrics import mean_squared_error as sklearn_mse
from sklearn.metrics.pairwise import cosine_similarity as sklearn_cosine
from torch import Tensor

from posenb.measure import keypoints as K

PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)  # Human3.6M order
TRIPLETS = K.joint_triplets(PARENTS)
SEEDS = st.integers(0, 2**31)


def pair(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    target = torch.rand(*shape, generator=random, dtype=dtype)
    return target + 0.1 * torch.randn(*shape, generator=random, dtype=dtype), target


def mask(*shape: int, seed: int = 0) -> Tensor:
    """Mostly visible; every pose and every joint has at least three visible."""
    visible = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) > 0.2
    visible[..., :3] = True
    visible[0] = True
    return visible


def scores(predicted: Tensor, target: Tensor, visible: Tensor | None = None) -> list[Tensor]:
    """Every metric once, for what all of them have in common."""
    return [
        K.pck(predicted, target, 0.1, visible),
        K.mean_squared_error(predicted, target, 128, visible),
        K.mpjpe(predicted, target, visible),
        K.pa_mpjpe(predicted, target, visible),
        K.auc(predicted, target, visible),
        K.eval_pose(predicted, target, TRIPLETS, visible),
    ]


Metric = Callable[..., Tensor]
METRICS: dict[str, Metric] = {
    "pck": lambda p, t, v=None: K.pck(p, t, 0.1, v),
    "mean_squared_error": lambda p, t, v=None: K.mean_squared_error(p, t, 128, v),
    "mpjpe": K.mpjpe,
    "pa_mpjpe": K.pa_mpjpe,
    "auc": K.auc,
    "eval_pose": lambda p, t, v=None: K.eval_pose(p, t, TRIPLETS, v),
}


# ---- values, against slow loops and other libraries


def test_distances_against_a_slow_loop() -> None:
    predicted, target = pair(6, 17, 2)
    visible = mask(6, 17)
    hits, squares, distances = [], [], []
    for n in range(6):
        for j in range(17):
            if visible[n, j]:
                dx, dy = (predicted[n, j] - target[n, j]).tolist()
                distance = math.hypot(dx, dy)
                hits.append(distance <= 0.1)
                squares.append((dx * 200) ** 2 + (dy * 100) ** 2)
                distances.append(distance)
    assert K.pck(predicted, target, 0.1, visible).item() == pytest.approx(np.mean(hits))
    assert K.mpjpe(predicted, target, visible).item() == pytest.approx(np.mean(distances))
    error = K.mean_squared_error(predicted, target, (200, 100), visible).item()
    assert error == pytest.approx(np.mean(squares))


def test_mean_squared_error_sums_over_coordinates() -> None:
    predicted, target = pair(5, 17, 2)
    half = sklearn_mse(128 * target.reshape(5, -1), 128 * predicted.reshape(5, -1))
    assert K.mean_squared_error(predicted, target, 128).item() == pytest.approx(2 * half)
    assert K.mean_squared_error(128 * predicted, 128 * target).item() == pytest.approx(2 * half)


def test_per_joint_scores_against_each_joint_alone() -> None:
    predicted, target = pair(6, 17, 3)
    visible = mask(6, 17)
    aligned = K.procrustes(predicted, target, visible)
    for j in range(17):
        one = (predicted[:, j : j + 1], target[:, j : j + 1], visible[:, j : j + 1])
        torch.testing.assert_close(K.mpjpe(*one), K.mpjpe(predicted, target, visible, False)[j])
        torch.testing.assert_close(K.auc(*one), K.auc(predicted, target, visible, False)[j])
        torch.testing.assert_close(
            K.pck(*one[:2], 0.1, one[2]), K.pck(predicted, target, 0.1, visible, False)[j]
        )
        torch.testing.assert_close(
            K.mean_squared_error(*one[:2], 64, one[2]),
            K.mean_squared_error(predicted, target, 64, visible, False)[j],
        )
        torch.testing.assert_close(
            K.mpjpe(aligned[:, j : j + 1], *one[1:]),
            K.pa_mpjpe(predicted, target, visible, False)[j],
        )


def test_pck_counts_a_distance_equal_to_the_threshold() -> None:
    target = torch.zeros(1, 3, 2)
    predicted = torch.tensor([[[0.25, 0.0], [0.0, 0.5], [0.75, 0.0]]])
    assert K.pck(predicted, target, 0.5).item() == pytest.approx(2 / 3)
    assert K.pck(predicted, target, 0.5, reduce=False).tolist() == [1, 1, 0]
    assert K.pck(target, target, 0).item() == 1


def test_pck_takes_one_threshold_a_pose() -> None:
    target = torch.zeros(2, 1, 2)
    predicted = torch.full((2, 1, 2), 0.3)
    assert K.pck(predicted, target, torch.tensor([0.4, 0.5])).item() == 0.5


def test_joints_at_the_edge_of_the_image_count() -> None:
    """RegDA's published PCK leaves out true joints with x <= 1 or y <= 1."""
    target = torch.tensor([[[0.0, 0.5], [1.0, 1.0], [0.5, 0.0], [0.5, 0.5]]])
    predicted = target + torch.tensor([0.2, 0.0])
    predicted[0, 3] = target[0, 3]
    assert K.pck(predicted, target, 0.05).item() == 0.25
    assert K.pck(predicted, target, 0.05, reduce=False).tolist() == [0, 0, 0, 1]


def test_auc_against_the_mean_of_the_curve() -> None:
    predicted, target = pair(40, 17, 3)
    distance = np.linalg.norm(predicted.numpy() - target.numpy(), axis=-1)
    curve = [(distance <= limit / 1000).mean() for limit in range(0, 151, 5)]
    assert len(curve) == 31
    assert K.auc(predicted, target).item() == pytest.approx(np.mean(curve))
    millimetres = K.auc(1000 * predicted, 1000 * target, thresholds=torch.arange(0, 151, 5))
    assert millimetres.item() == pytest.approx(np.mean(curve))
    assert K.auc(target, target).item() == 1
    assert K.auc(target + 1, target).item() == 0


@pytest.mark.parametrize("dims", [2, 3])
def test_pa_mpjpe_against_scipy(dims: int) -> None:
    """Where no reflection is needed, SciPy's orthogonal Procrustes finds the same alignment."""
    predicted, target = pair(20, 17, dims)
    for p, t in zip(predicted.numpy(), target.numpy(), strict=True):
        standard_t, standard_p, _ = scipy_procrustes(t, p)
        size = np.linalg.norm(t - t.mean(0))  # SciPy scales the target to unit size
        expected = size * np.linalg.norm(standard_t - standard_p, axis=1).mean()
        found = K.pa_mpjpe(torch.from_numpy(p), torch.from_numpy(t)).item()
        assert found == pytest.approx(expected, abs=1e-12)


def test_pa_mpjpe_ignores_invisible_joints_like_a_smaller_pose() -> None:
    predicted, target = pair(1, 17, 3)
    visible = mask(1, 17, seed=3)
    visible[0, 12:] = False
    small = K.pa_mpjpe(predicted[:, visible[0]], target[:, visible[0]])
    predicted[~visible] = 7.0
    target[~visible] = float("nan")
    torch.testing.assert_close(K.pa_mpjpe(predicted, target, visible), small)


def test_procrustes_never_mirrors() -> None:
    _, target = pair(1, 17, 3)
    mirrored = target * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    rotation, _ = orthogonal_procrustes(
        (mirrored - mirrored.mean(1))[0].numpy(), (target - target.mean(1))[0].numpy()
    )
    assert np.linalg.det(rotation) < 0  # SciPy does mirror here, with error 0
    assert K.pa_mpjpe(mirrored, target).item() > 0.05
    # ... and what we return is the best proper rotation: no small turn of it is better.
    aligned = K.procrustes(mirrored, target)
    best = (aligned - target).square().sum()
    for turn in Rotation.random(50, random_state=0).as_rotvec():
        small = torch.from_numpy(Rotation.from_rotvec(0.05 * turn).as_matrix())
        center = aligned.mean(1, keepdim=True)
        turned = (aligned - center) @ small.T + center
        assert (turned - target).square().sum() >= best


def test_a_collapsed_prediction_lands_on_the_mean() -> None:
    _, target = pair(4, 17, 3)
    collapsed = torch.full_like(target, 0.3)
    expected = K.mpjpe(target.mean(1, keepdim=True).expand_as(target), target)
    torch.testing.assert_close(K.pa_mpjpe(collapsed, target), expected)


def test_root_relative() -> None:
    predicted, target = pair(4, 17, 3)
    moved = predicted + torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert (K.root_relative(moved, 4)[:, 4] == 0).all()
    torch.testing.assert_close(
        K.mpjpe(K.root_relative(moved), K.root_relative(target)),
        K.mpjpe(K.root_relative(predicted), K.root_relative(target)),
    )


# ---- EvalPose


def test_triplets_of_the_body() -> None:
    assert len(TRIPLETS) == 13
    assert (0, 1, 2) in TRIPLETS and (7, 8, 14) in TRIPLETS
    assert all(PARENTS[child] == joint and PARENTS[joint] == up for up, joint, child in TRIPLETS)


@pytest.mark.parametrize("dims", [2, 3])
def test_eval_pose_against_the_formula(dims: int) -> None:
    predicted, target = pair(5, 17, dims)
    visible = mask(5, 17)

    def angle(pose: np.ndarray, triplet: tuple[int, int, int]) -> float:
        end, vertex, other = (pose[j] for j in triplet)
        v1, v2 = end - vertex, other - vertex
        return np.arccos(np.dot(v1, v2) / np.linalg.norm(v1) / np.linalg.norm(v2))

    expected = []
    for p, t, v in zip(predicted.numpy(), target.numpy(), visible, strict=True):
        seen = [triplet for triplet in TRIPLETS if v[list(triplet)].all()]
        angles = [[angle(pose, triplet) for triplet in seen] for pose in (p, t)]
        expected.append(sklearn_cosine(angles)[0, 1])
    found = K.eval_pose(predicted, target, TRIPLETS, visible, reduce=False)
    np.testing.assert_allclose(found, expected)
    mean = K.eval_pose(predicted, target, TRIPLETS, visible).item()
    assert mean == pytest.approx(np.mean(expected))


def test_angles_keep_their_digits_near_straight_and_folded() -> None:
    bend = torch.tensor([1e-4, 1e-3, 0.5, math.pi - 1e-3])
    pose = torch.zeros(4, 3, 2)
    pose[:, 0, 0] = 2.0
    pose[:, 2] = torch.stack((torch.cos(bend), torch.sin(bend)), 1)
    torch.testing.assert_close(K.joint_angles(pose, [(0, 1, 2)])[:, 0], bend, rtol=1e-5, atol=1e-6)


def test_bones_without_length_have_defined_angles() -> None:
    pose = torch.zeros(2, 3, 2)
    pose[0, 0, 0] = 1.0
    assert K.joint_angles(pose, [(0, 1, 2)]).flatten().tolist() == pytest.approx([math.pi / 2, 0])
    target = torch.rand(1, 17, 2, generator=torch.Generator().manual_seed(0))
    assert K.eval_pose(torch.zeros(1, 17, 2), target, TRIPLETS).item() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_poses_score_one_and_no_more(dtype: torch.dtype) -> None:
    _, target = pair(2000, 17, 3, dtype=dtype)
    for poses in (target, 1000 * target, target * target.new_tensor([1.0, 1.0, 0.0])):
        found = K.eval_pose(poses, poses, TRIPLETS, reduce=False)
        assert found.max() <= 1
        torch.testing.assert_close(found, torch.ones_like(found))


def test_angles_of_missing_joints_are_missing() -> None:
    _, pose = pair(3, 17, 2)
    pose[1, 5] = math.nan
    missing = K.joint_angles(pose, TRIPLETS).isnan()
    expected = torch.tensor([5 in triplet for triplet in TRIPLETS])
    assert expected.any() and not missing[[0, 2]].any()
    assert (missing[1] == expected).all()


def test_angles_of_whole_numbers() -> None:
    pose = torch.tensor([[0, 0], [4, 0], [4, 3]])
    assert K.joint_angles(pose, [(0, 1, 2)]).item() == pytest.approx(math.pi / 2)


@pytest.mark.parametrize(
    "function", [K.root_relative, lambda poses: K.joint_angles(poses, TRIPLETS)]
)
def test_single_sets_of_another_layout(function: Callable[[Tensor], Tensor]) -> None:
    for shape in ((50, 51), (50, 3, 17), (3, 17), (51,)):
        with pytest.raises(ValueError, match=r"keypoints has shape .* 2 or 3 coordinates last"):
            function(torch.zeros(shape))
    with pytest.raises(ValueError, match="ndarray"):
        function(np.zeros((50, 17, 3)))


def test_the_root_must_exist() -> None:
    _, poses = pair(3, 17, 2)
    for root in (17, -18):
        with pytest.raises(ValueError, match=f"joint {root}, but there are 17"):
            K.root_relative(poses, root)


@pytest.mark.parametrize("angles", [1, 2, 5, 13, 40])
def test_chance_level_against_sampling(angles: int) -> None:
    random = np.random.default_rng(angles)
    x, y = random.uniform(0, np.pi, (2, 200_000, angles))
    cosine = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    error = cosine.std() / np.sqrt(len(cosine))
    assert K.eval_pose_chance(angles) == pytest.approx(cosine.mean(), abs=5 * error + 1e-6)


def test_chance_level_has_its_limits() -> None:
    assert K.eval_pose_chance(1) == pytest.approx(1, abs=1e-6)
    assert K.eval_pose_chance(1) <= 1
    assert K.eval_pose_chance(2000) == pytest.approx(0.75, abs=1e-3)
    # two angles: m = E[cos] over the square, in polar coordinates
    m = (math.log(1 + math.sqrt(2)) + math.sqrt(2) - 1) / 2
    assert K.eval_pose_chance(2) == pytest.approx(2 * m**2, abs=1e-6)


# ---- properties


def similarity(seed: int, dims: int) -> tuple[Tensor, float, Tensor]:
    random = np.random.default_rng(seed)
    if dims == 3:
        rotation = Rotation.random(random_state=seed).as_matrix()
    else:
        angle = random.uniform(0, 2 * np.pi)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = torch.from_numpy(random.normal(size=dims))
    return torch.from_numpy(rotation), float(random.uniform(0.2, 5)), shift


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, dims=st.sampled_from([2, 3]))
def test_similarities_of_the_prediction_change_nothing(seed: int, dims: int) -> None:
    predicted, target = pair(3, 17, dims, seed=seed)
    rotation, scale, shift = similarity(seed, dims)
    moved = scale * predicted @ rotation.T + shift
    torch.testing.assert_close(K.pa_mpjpe(moved, target), K.pa_mpjpe(predicted, target))
    torch.testing.assert_close(
        K.eval_pose(moved, target, TRIPLETS), K.eval_pose(predicted, target, TRIPLETS)
    )
    assert K.pa_mpjpe(scale * target @ rotation.T + shift, target).item() < 1e-12
    assert K.eval_pose(scale * target @ rotation.T + shift, target, TRIPLETS).item() > 1 - 1e-9


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS)
def test_alignment_never_hurts_the_squared_error(seed: int) -> None:
    predicted, target = pair(3, 17, 3, seed=seed)
    aligned = K.procrustes(predicted, target)
    assert K.mean_squared_error(aligned, target) <= K.mean_squared_error(predicted, target)


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, small=st.floats(0, 0.5), more=st.floats(0, 0.5))
def test_pck_grows_with_its_threshold(seed: int, small: float, more: float) -> None:
    predicted, target = pair(4, 17, 2, seed=seed)
    assert K.pck(predicted, target, small) <= K.pck(predicted, target, small + more)
    assert 0 <= K.auc(predicted, target) <= 1
    assert 0 <= K.eval_pose(predicted, target, TRIPLETS) <= 1


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_order_of_poses_and_batch_shape_do_not_matter(seed: int) -> None:
    predicted, target = pair(6, 17, 3, seed=seed)
    visible = mask(6, 17, seed=seed)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    expected = scores(predicted, target, visible)
    torch.testing.assert_close(scores(predicted[order], target[order], visible[order]), expected)
    shaped = (predicted.reshape(2, 3, 17, 3), target.reshape(2, 3, 17, 3))
    torch.testing.assert_close(scores(*shaped, visible.reshape(2, 3, 17)), expected)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, junk=st.sampled_from([0.0, 1e6, math.nan, math.inf]))
def test_invisible_joints_count_nowhere(seed: int, junk: float) -> None:
    predicted, target = pair(6, 17, 3, seed=seed)
    visible = mask(6, 17, seed=seed)
    expected = scores(predicted, target, visible)
    predicted[~visible] = junk
    target[~visible] = junk
    torch.testing.assert_close(scores(predicted, target, visible), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_of_the_result(dtype: torch.dtype) -> None:
    predicted, target = pair(4, 17, 3)
    for low, exact in zip(
        scores(predicted.to(dtype), target.to(dtype)), scores(predicted, target), strict=True
    ):
        assert low.dtype in (torch.float32, torch.float64)
        # a share jumps when rounding carries a joint over its threshold
        torch.testing.assert_close(low.double(), exact.double(), rtol=0.05, atol=0.05)


def test_a_mask_may_be_one_for_all_poses() -> None:
    predicted, target = pair(4, 17, 2)
    one = mask(1, 17, seed=1)[0]
    one[5] = False
    torch.testing.assert_close(
        scores(predicted, target, one), scores(predicted, target, one.expand(4, 17))
    )


# ---- bad input


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
class TestBadInput:
    def test_nan(self, metric: Metric) -> None:
        predicted, target = pair(4, 17, 2)
        spoiled = predicted.clone()
        spoiled[1, 2, 0] = math.nan
        spoiled[3, 3, 1] = math.inf
        with pytest.raises(ValueError, match="predicted has 2 NaN or infinite values of 136"):
            metric(spoiled, target)
        with pytest.raises(ValueError, match="target has 2 NaN or infinite values of 136"):
            metric(predicted, spoiled)

    def test_shapes(self, metric: Metric) -> None:
        predicted, target = pair(4, 17, 2)
        with pytest.raises(ValueError, match=r"\(4, 16, 2\).*\(4, 17, 2\)"):
            metric(predicted[:, :16], target)

    @pytest.mark.parametrize(
        ("shape", "remedy"),
        [
            ((), "coordinates last$"),
            ((3,), "coordinates last$"),
            ((50, 17), "coordinates last$"),
            ((50, 51), r"reshape\(50, 17, 3\)"),
            ((50, 48), r"reshape\(50, 16, 3\)"),
            ((50, 34), r"reshape\(50, 17, 2\)"),
            ((4, 27, 51), r"reshape\(4, 27, 17, 3\)"),
            ((3, 17), r"\.mT"),
            ((2, 34), r"\.mT; rows of 2D poses: \w+\.reshape\(2, 17, 2\)"),
            ((50, 3, 17), r"\.mT$"),
            ((50, 2, 17), r"\.mT$"),
            ((5, 50, 3, 17), r"\.mT$"),
            ((3, 14, 1000), r"permute\(2, 1, 0\)$"),
            ((50, 17, 1), "coordinates last$"),
            ((50, 17, 4), "expected"),
        ],
        ids=str,
    )
    def test_layouts(self, metric: Metric, shape: tuple[int, ...], remedy: str) -> None:
        predicted, target = torch.zeros(2, *shape)
        with pytest.raises(ValueError, match=r"expected \(\.\.\., joints, dims\)") as told:
            metric(predicted, target)
        assert f"shape {shape}" in str(told.value) and re.search(remedy, str(told.value))

    def test_no_tensors(self, metric: Metric) -> None:
        predicted, target = pair(4, 17, 2)
        shown = np.ones((4, 17), dtype=bool)
        with pytest.raises(ValueError, match=r"predicted is of type ndarray.*as_tensor"):
            metric(predicted.numpy(), target.numpy())
        with pytest.raises(ValueError, match=r"target is of type ndarray.*as_tensor"):
            metric(predicted, target.numpy())
        with pytest.raises(ValueError, match=r"predicted is of type list"):
            metric(predicted.tolist(), target)
        with pytest.raises(ValueError, match=r"visible is of type ndarray.*as_tensor"):
            metric(predicted, target, shown)

    def test_empty(self, metric: Metric) -> None:
        predicted, target = pair(4, 17, 2)
        with pytest.raises(ValueError, match="empty"):
            metric(predicted[:0], target[:0])

    def test_nothing_visible(self, metric: Metric) -> None:
        predicted, target = pair(4, 17, 2)
        with pytest.raises(ValueError, match="no joint is visible"):
            metric(predicted, target, torch.zeros(4, 17, dtype=torch.bool))

    def test_masks(self, metric: Metric) -> None:
        predicted, target = pair(4, 17, 2)
        with pytest.raises(ValueError, match="expected bool"):
            metric(predicted, target, torch.ones(4, 17))
        with pytest.raises(ValueError, match=r"visible has shape \(4, 16\)"):
            metric(predicted, target, torch.ones(4, 16, dtype=torch.bool))


def test_a_joint_that_is_never_visible_has_no_mean() -> None:
    predicted, target = pair(4, 17, 2)
    visible = torch.ones(4, 17, dtype=torch.bool)
    visible[:, [3, 9]] = False
    assert K.pck(predicted, target, 0.1, visible).isfinite()
    for score in (K.mpjpe, K.pa_mpjpe, K.auc, K.mean_squared_error):
        with pytest.raises(ValueError, match=r"joints \[3, 9\] are visible in no pose"):
            score(predicted, target, visible=visible, reduce=False)


def test_poses_that_cannot_be_scored_are_not_skipped() -> None:
    predicted, target = pair(4, 17, 2)
    visible = torch.ones(4, 17, dtype=torch.bool)
    visible[2, 2:] = False
    with pytest.raises(ValueError, match="1 of 4 poses have fewer than 3 visible joints"):
        K.pa_mpjpe(predicted, target, visible)
    with pytest.raises(ValueError, match="1 of 4 poses have no angle"):
        K.eval_pose(predicted, target, TRIPLETS, visible)


@pytest.mark.parametrize("threshold", [-0.1, math.nan, math.inf])
def test_bad_thresholds(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold is"):
        K.pck(*pair(4, 17, 2), threshold)


def test_bad_options() -> None:
    predicted, target = pair(4, 17, 2)
    with pytest.raises(ValueError, match=r"threshold has shape \(3,\)"):
        K.pck(predicted, target, torch.ones(3))
    with pytest.raises(ValueError, match="image_size is 0"):
        K.mean_squared_error(predicted, target, 0)
    with pytest.raises(ValueError, match="one for each of the 2"):
        K.mean_squared_error(predicted, target, (1, 2, 3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="thresholds has shape"):
        K.auc(predicted, target, thresholds=torch.ones(0))
    with pytest.raises(ValueError, match="triplets"):
        K.eval_pose(predicted, target, [])
    with pytest.raises(ValueError, match="up to 17, but there are 17"):
        K.eval_pose(predicted, target, [(0, 1, 17)])
    with pytest.raises(ValueError, match="parent and a child"):
        K.joint_triplets((-1, 0, 0))
    with pytest.raises(ValueError, match="angles is 0"):
        K.eval_pose_chance(0)
