from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor

from posenb.measure import distributions as D

SEEDS = st.integers(0, 2**31)


def cloud(
    count: int, features: int = 34, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Correlated and skewed, in about [0, 1] like keypoints."""
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(features, features, generator=torch.Generator().manual_seed(99))
    points = torch.randn(count, features, generator=random) @ mix
    return (0.5 + 0.02 * points + 0.002 * points.square()).to(dtype)


def reference_mmd2(a: Tensor, b: Tensor, bandwidth: float) -> float:
    def mean_kernel(x: Tensor, y: Tensor, distinct: bool) -> float:
        kernel = rbf_kernel(x.double().numpy(), y.double().numpy(), 1 / (2 * bandwidth**2))
        off = ~np.eye(len(x), dtype=bool) if distinct else np.ones(kernel.shape, dtype=bool)
        return kernel[off].mean()

    return mean_kernel(a, a, True) + mean_kernel(b, b, True) - 2 * mean_kernel(a, b, False)


# ---- Frechet distance


def test_frechet_distance_against_scipy() -> None:
    a, b = cloud(300), 1.2 * cloud(500, seed=1) + 0.05
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    expected = (a.mean(0) - b.mean(0)).square().sum().item() + np.trace(
        np.cov(a.T) + np.cov(b.T) - 2 * root.real
    )
    assert D.frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)
    poses = [x.reshape(-1, 17, 2) for x in (a, b)]
    assert D.frechet_distance(*poses) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_of_axis_aligned_gaussians() -> None:
    """Where covariances commute, it is |m - n|^2 + sum of (s - t)^2 over standard deviations."""
    signs = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners = signs.double() * math.sqrt(7 / 8)  # 8 points of mean 0 and covariance I
    s, t = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([3.0, 0.5, 0.25])
    mean = torch.tensor([0.1, -0.4, 2.0])
    expected = (mean.square() + (s - t).square()).sum().item()
    assert D.frechet_distance(corners * s, corners * t + mean) == pytest.approx(expected)


def test_frechet_distance_of_a_shifted_set_is_the_squared_shift() -> None:
    a = cloud(200)
    assert D.frechet_distance(a, a + 0.1) == pytest.approx(34 * 0.01)


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, count=st.integers(2, 80), rank=st.integers(1, 34))
def test_frechet_distance_properties(seed: int, count: int, rank: int) -> None:
    a = cloud(count, seed=seed)
    a[:, rank:] = 0.5  # singular, as when the root joint is the origin
    b = 1.1 * cloud(50, seed=seed + 1)
    spread = a.var(0).sum().item()
    assert D.frechet_distance(a, a) <= 1e-10 * spread
    assert D.frechet_distance(a, b) == pytest.approx(D.frechet_distance(b, a), rel=1e-9)
    assert D.frechet_distance(a, b) > 0
    turn = torch.linalg.qr(cloud(34, seed=seed))[0]
    assert D.frechet_distance(a @ turn, b @ turn) == pytest.approx(D.frechet_distance(a, b))
    assert D.frechet_distance(3 * a, 3 * b) == pytest.approx(9 * D.frechet_distance(a, b))


# ---- MMD^2


@pytest.mark.parametrize("sizes", [(2, 3), (40, 30), (513, 1025), (1500, 700)])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-7), (torch.float64, 1e-12)])
def test_mmd2_against_sklearn(sizes: tuple[int, int], dtype: torch.dtype, tolerance: float) -> None:
    a = cloud(sizes[0], dtype=dtype)
    b = cloud(sizes[1], seed=1, dtype=dtype) + 0.02
    for bandwidth in (0.2, 0.8):
        expected = reference_mmd2(a, b, bandwidth)
        assert D.mmd2(a, b, bandwidth) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("tile", [(1, 1), (3, 7), (64, 16)])
def test_tiles_do_not_change_the_result(
    tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = cloud(50), cloud(41, seed=1)
    expected = D.mmd2(a, b), D.recall(a, b), D.precision(a, b)
    monkeypatch.setattr(D, "TILE_CPU", tile)
    assert (D.mmd2(a, b), D.recall(a, b), D.precision(a, b)) == pytest.approx(expected, abs=1e-12)


def test_mmd2_of_far_away_sets_keeps_its_digits() -> None:
    """Without centring, float32 products of coordinates near 1,000 would leave nothing."""
    a, b = cloud(400), cloud(300, seed=1) + 0.02
    expected = reference_mmd2(a, b, 0.5)
    moved = (a + 1000).float(), (b + 1000).float()
    assert D.mmd2(*moved, 0.5) == pytest.approx(expected, abs=2e-5)  # float32 of the input itself
    assert D.mmd2(a + 1000, b + 1000, 0.5) == pytest.approx(expected, abs=1e-9)


def test_mmd2_is_unbiased() -> None:
    """The mean over draws is 0 for one distribution; the biased estimate's would be above."""
    draws = [D.mmd2(cloud(30, seed=2 * i), cloud(30, seed=2 * i + 1), 0.5) for i in range(400)]
    error = np.std(draws) / math.sqrt(len(draws))
    assert abs(np.mean(draws)) < 4 * error
    assert min(draws) < 0 < max(draws)
    assert error < 0.1 / 30  # the bias would be 2 (1 - mean k) / 30


def test_mmd2_against_its_closed_form_for_gaussians() -> None:
    """E k = (h^2 / (h^2 + s^2 + t^2))^(d/2) exp(-|m|^2 / (2 (h^2 + s^2 + t^2)))."""
    d, h, s, t, m = 4, 1.5, 1.0, 1.3, 0.7

    def mean_kernel(variance: float, squared: float) -> float:
        total = h**2 + variance
        return (h**2 / total) ** (d / 2) * math.exp(-squared / (2 * total))

    expected = (
        mean_kernel(2 * s**2, 0) + mean_kernel(2 * t**2, 0) - 2 * mean_kernel(s**2 + t**2, m**2)
    )
    random = torch.Generator().manual_seed(0)
    a = s * torch.randn(8000, d, generator=random)
    b = t * torch.randn(8000, d, generator=random)
    b[:, 0] += m
    assert D.mmd2(a, b, h) == pytest.approx(expected, rel=0.03)


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, n=st.integers(2, 60), m=st.integers(2, 60), scale=st.floats(0.01, 100))
def test_mmd2_properties(seed: int, n: int, m: int, scale: float) -> None:
    a, b = cloud(n, seed=seed), cloud(m, seed=seed + 1)
    value = D.mmd2(a, b)
    assert value == pytest.approx(D.mmd2(b, a), abs=1e-12)
    assert value == pytest.approx(D.mmd2(scale * a + 1, scale * b + 1), abs=1e-9)
    assert value == pytest.approx(D.mmd2(a.reshape(n, 17, 2), b.reshape(m, 17, 2)), abs=1e-12)
    assert -2 < value <= 2


def lower_median(values: np.ndarray) -> float:
    return float(np.sort(values)[(len(values) - 1) // 2])


def test_median_bandwidth() -> None:
    a, b = cloud(300), cloud(201, seed=1)
    assert D.median_bandwidth(a, b) == pytest.approx(lower_median(pdist(torch.cat((a, b)))))
    big = cloud(5000), cloud(3000, seed=1)
    few = torch.cat((big[0][::5], big[1][::3]))
    assert D.median_bandwidth(*big) == pytest.approx(lower_median(pdist(few)))
    assert D.median_bandwidth(*big) == D.median_bandwidth(*big[::-1])
    assert D.mmd2(*big) == D.mmd2(*big, bandwidth=D.median_bandwidth(*big))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' /proc")
def test_mmd2_needs_little_memory() -> None:
    """A matrix of all 20,000 x 20,000 kernel values alone would take 1.6 GB.

    VmHWM is the peak of this one process image; getrusage's would include its parent's.
    """
    program = """
import torch
from posenb.measure.distributions import mmd2, recall
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
random = torch.Generator().manual_seed(0)
a = torch.randn(20_000, 17, 2, generator=random)
b = torch.randn(20_000, 17, 2, generator=random)
mmd2(a[:100], b[:100]), recall(a[:100], b[:100])
before = peak()
mmd2(a, b), recall(a, b)
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert int(done.stdout) < 300_000  # KiB


# ---- recall, precision, spread, Gaussian


def reference_share(queries: Tensor, references: Tensor, real: Tensor) -> float:
    distances = cdist(real, real)
    np.fill_diagonal(distances, np.inf)
    radius = lower_median(distances.min(1))
    return float((cdist(queries, references).min(1) < radius).mean())


@pytest.mark.parametrize("sizes", [(50, 60), (700, 1300), (1100, 300)])
def test_recall_and_precision_against_scipy(sizes: tuple[int, int]) -> None:
    real, generated = cloud(sizes[0]), 0.95 * cloud(sizes[1], seed=1) + 0.02
    assert 0 < D.recall(real, generated) < 1
    assert D.recall(real, generated) == pytest.approx(reference_share(real, generated, real))
    assert D.precision(real, generated) == pytest.approx(reference_share(generated, real, real))


def test_a_second_sample_recalls_about_half() -> None:
    real, generated = cloud(2000, 6), cloud(2000, 6, seed=1)
    assert D.recall(real, generated) == pytest.approx(0.5, abs=0.05)
    assert D.precision(real, generated) == pytest.approx(0.5, abs=0.05)


def test_a_lost_mode_and_an_invented_one() -> None:
    one, other = cloud(200, 6), cloud(200, 6, seed=1) + 10
    both = torch.cat((one, other))
    fresh = cloud(400, 6, seed=2)
    lost = D.recall(both, fresh), D.precision(both, fresh)
    assert lost[0] < 0.45 and lost[1] > lost[0] + 0.1
    invented = torch.cat((fresh, fresh + 100))
    assert D.precision(one, invented) <= 0.5 < D.recall(one, invented) + 0.1


def test_copies_are_recalled_and_their_distance_is_exact() -> None:
    real = cloud(300, dtype=torch.float32) + 100  # products alone would round the 0 away
    assert D.recall(real, real) == 1
    assert D.recall(real, real, radius=1e-7) == 1
    assert D.recall(real, real + 1, radius=1e-7) == 0


def test_spread_ratio() -> None:
    a = cloud(200)
    assert D.spread_ratio(0.5 * a + 3, a) == pytest.approx(0.25)
    assert D.spread_ratio(a, a) == 1


def test_gaussian_like_has_the_same_mean_and_covariance() -> None:
    poses = cloud(400, dtype=torch.float32).reshape(400, 17, 2)
    poses[:, 0] = 0.5  # singular
    samples = D.gaussian_like(poses, 20_000, torch.Generator().manual_seed(0))
    assert samples.shape == (20_000, 17, 2) and samples.dtype == torch.float32
    torch.testing.assert_close(samples[:, 0], torch.full((20_000, 2), 0.5))
    spread = poses.flatten(1).var(0).sum().item()
    assert D.frechet_distance(samples, poses) < 0.005 * spread
    again = D.gaussian_like(poses, 20_000, torch.Generator().manual_seed(0))
    assert torch.equal(samples, again)


# ---- bad input

Measure = Callable[..., float]
PAIRS: dict[str, Measure] = {
    "frechet_distance": D.frechet_distance,
    "mmd2": D.mmd2,
    "median_bandwidth": D.median_bandwidth,
    "spread_ratio": D.spread_ratio,
    "recall": D.recall,
    "precision": D.precision,
}


@pytest.mark.parametrize("measure", PAIRS.values(), ids=PAIRS.keys())
class TestBadInput:
    def test_nan(self, measure: Measure) -> None:
        a, b = cloud(20), cloud(20, seed=1)
        b[3, 4:9] = math.nan
        b[5, 0] = math.inf
        with pytest.raises(ValueError, match="(b|generated) has NaN .* in 2 of 20 poses"):
            measure(a, b)

    def test_too_few(self, measure: Measure) -> None:
        a, b = cloud(20), cloud(20, seed=1)
        with pytest.raises(ValueError, match="(b|generated) has 1 poses"):
            measure(a, b[:1])
        with pytest.raises(ValueError, match="(a|real) has 0 poses"):
            measure(a[:0], b)

    def test_shapes(self, measure: Measure) -> None:
        a, b = cloud(20), cloud(20, seed=1)
        with pytest.raises(ValueError, match=r"\(20, 34\).*\(20, 30\)"):
            measure(a, b[:, :30])
        with pytest.raises(ValueError, match="expected .poses, joints, dims"):
            measure(a[0], b[0])
        with pytest.raises(ValueError, match="expected .poses, joints, dims"):
            measure(a[:, :0], b[:, :0])

    def test_no_tensors(self, measure: Measure) -> None:
        a, b = cloud(20), cloud(20, seed=1)
        with pytest.raises(ValueError, match="(a|real) is of type ndarray.*as_tensor"):
            measure(a.numpy(), b.numpy())
        with pytest.raises(ValueError, match="(b|generated) is of type list"):
            measure(a, b.tolist())

    def test_input_is_left_alone(self, measure: Measure) -> None:
        a, b = cloud(20), cloud(20, seed=1)
        before = a.clone(), b.clone()
        measure(a.requires_grad_(), b)
        assert torch.equal(a, before[0]) and torch.equal(b, before[1])

    def test_low_precision_and_integers_are_accepted(self, measure: Measure) -> None:
        a, b = (100 * cloud(40)).round(), (100 * cloud(40, seed=1)).round()
        expected = pytest.approx(measure(a, b), abs=1e-4, rel=1e-4)
        assert measure(a.to(torch.float16), b.to(torch.float16)) == expected
        assert measure(a.long(), b.long()) == expected


def test_bad_options() -> None:
    a, b = cloud(20), cloud(20, seed=1)
    for bandwidth in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="bandwidth is"):
            D.mmd2(a, b, bandwidth)
        with pytest.raises(ValueError, match="radius is"):
            D.recall(a, b, bandwidth)
    with pytest.raises(ValueError, match="subsample is 1"):
        D.median_bandwidth(a, b, 1)
    same = a[:1].expand(20, -1)
    with pytest.raises(ValueError, match="half of all pairs"):
        D.mmd2(same, same)
    with pytest.raises(ValueError, match="exact twin"):
        D.recall(same, b)
    with pytest.raises(ValueError, match="all poses of b are the same"):
        D.spread_ratio(a, same)
    with pytest.raises(ValueError, match="count is 0"):
        D.gaussian_like(a, 0, torch.Generator())
    with pytest.raises(ValueError, match="poses has NaN"):
        D.gaussian_like(a * math.nan, 5, torch.Generator())
