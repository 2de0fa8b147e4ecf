"""Distances between two sets of poses (explained in notebook 00).

Every set is (poses, joints, dims) or (poses, features); a pose is one point of keypoint space, its
coordinates in a row, and distances are Euclidean there. The same keypoints in other units give
other figures (FD grows with the square of the unit; MMD^2, recall and precision do not change),
so compare figures of one unit only. Pairs of poses are visited in tiles: memory stays bounded
whatever the size of the sets, and nothing is subsampled unless a docstring says so. What is no
tensor raises ValueError, NumPy arrays included: `torch.as_tensor` makes tensors of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from posenb.measure.shapes import check_tensor

__all__ = [
    "frechet_distance",
    "gaussian_like",
    "median_bandwidth",
    "mmd2",
    "precision",
    "recall",
    "spread_ratio",
]

# A tile of 512 x 1024 float32 is 2 MB: it stays in a CPU's second-level cache between the passes.
TILE_CPU = (512, 1024)
# A GPU wants few large kernels instead: 256 MB.
TILE_GPU = (8192, 8192)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets (FD in FlexPose, Table 1).

    |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), as in FID, but on keypoints. C is the
    covariance with n - 1. It sees mean and covariance only: a Gaussian cloud of broken poses can
    have FD 0, so show `mmd2` and `recall` beside it.

    Args:
        a: poses, (poses, joints, dims) or (poses, features).
        b: poses of the same joints and units; their number may differ.

    Returns:
        The distance in squared units of the input, at least 0; computed in float64 on the CPU.

    Raises:
        ValueError: if a set has fewer than 2 poses, is not finite, or the two do not fit together.
    """
    a, b = (x.cpu().double() for x in _as_points(a=a, b=b))
    factor_a, factor_b = _covariance_factor(a), _covariance_factor(b)
    # tr (C_a C_b)^(1/2) is the sum of the singular values of F_a' F_b where C = F F'. Taking
    # them directly, not as roots of eigenvalues, keeps all digits for singular covariances.
    shared = torch.linalg.svdvals(factor_a.T @ factor_b).sum()
    spread = factor_a.square().sum() + factor_b.square().sum()  # tr C_a + tr C_b
    distance = (a.mean(0) - b.mean(0)).square().sum() + spread - 2 * shared
    return max(float(distance), 0.0)


def mmd2(a: Tensor, b: Tensor, bandwidth: float | None = None) -> float:
    """Unbiased squared maximum mean discrepancy with an RBF kernel (Gretton et al. 2012, Eq. 3).

    Mean of k over the pairs i != j within a, plus the same within b, minus twice the mean of k
    over all pairs between them, with k(x, y) = exp(-|x - y|^2 / (2 bandwidth^2)). All pairs count:
    50,000 against 50,000 needs less than 100 MB on a CPU. It is 0 on average for two samples of one
    distribution, so it may well be negative.

    float32 input is multiplied in float32 and summed in float64, which is accurate to about 1e-7
    for any bandwidth near the data's own spread; give float64 input for more, where `bandwidth`
    is below a hundredth of the spread, or where `torch.set_float32_matmul_precision` allows less.

    Args:
        a: poses, (poses, joints, dims) or (poses, features).
        b: poses of the same joints and units; their number may differ.
        bandwidth: kernel width in the units of the input; default `median_bandwidth(a, b)`. To
            compare several sets with one target, fix it once: each bandwidth is another ruler.

    Returns:
        MMD^2, without a unit.

    Raises:
        ValueError: if a set has fewer than 2 poses, is not finite, the two do not fit together,
            or the bandwidth is not positive.
    """
    a, b = _as_points(a=a, b=b)
    width = median_bandwidth(a, b) if bandwidth is None else float(bandwidth)
    if not 0 < width < float("inf"):
        raise ValueError(f"bandwidth is {bandwidth}: expected a positive number")
    center = torch.cat((a.mean(0, keepdim=True), b.mean(0, keepdim=True))).mean(0)
    a, b = (a - center) / width, (b - center) / width  # small numbers lose fewest digits
    n, m = len(a), len(b)
    within_a = _kernel_sum(a, a, distinct=True) / (n * (n - 1))
    within_b = _kernel_sum(b, b, distinct=True) / (m * (m - 1))
    return within_a + within_b - 2 * _kernel_sum(a, b, distinct=False) / (n * m)


def median_bandwidth(a: Tensor, b: Tensor, subsample: int = 1000) -> float:
    """Median heuristic: the median distance between two poses of the pooled sets.

    At most `subsample` poses of each set are pooled, evenly spaced by index, so the value is the
    same in every run and does not depend on which set is named first. A pose is not paired with
    itself; of an even number of pairs the lower median is taken.

    Args:
        a: poses, (poses, joints, dims) or (poses, features).
        b: poses of the same joints and units.
        subsample: largest number of poses taken of each set.

    Returns:
        The bandwidth in the units of the input.

    Raises:
        ValueError: for bad sets as in `mmd2`, or if half of all pairs coincide (median 0).
    """
    if subsample < 2:
        raise ValueError(f"subsample is {subsample}: expected at least 2 poses of each set")
    pooled = torch.cat([_evenly_spaced(x, subsample) for x in _as_points(a=a, b=b)])
    median = torch.pdist(pooled).median().item()
    if median == 0:
        raise ValueError(
            "half of all pairs of poses coincide, so the median distance is 0: remove the "
            "repeated poses, or give `bandwidth`"
        )
    return median


def recall(real: Tensor, generated: Tensor, radius: float | None = None) -> float:
    """Share of real poses that have a generated neighbour nearer than `radius`.

    The default radius is the median, over the real poses, of the distance to the nearest other
    real pose. A generator that is as good as a second real sample of the same size scores about
    one half, one that has lost a mode scores 0 there; copies of `real` score 1. More generated
    poses raise it: compare at equal numbers.

    Args:
        real: held-out real poses, (poses, joints, dims) or (poses, features).
        generated: poses of the same joints and units.
        radius: distance in the units of the input; default as above.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: for bad sets as in `mmd2`, if the radius is not positive, or if half of the
            real poses have an exact twin (median 0).
    """
    real, generated = _as_points(real=real, generated=generated)
    return _share_within(real, generated, _radius(real, radius))


def precision(real: Tensor, generated: Tensor, radius: float | None = None) -> float:
    """Share of generated poses that have a real neighbour nearer than `radius`.

    The counterpart of `recall`, with the same arguments, default radius (that of the real poses)
    and errors: recall falls when modes are lost, precision when implausible poses appear.
    """
    real, generated = _as_points(real=real, generated=generated)
    return _share_within(generated, real, _radius(real, radius))


def spread_ratio(a: Tensor, b: Tensor) -> float:
    """Total variance of `a` over that of `b`: tr C_a / tr C_b; below 1, `a` has shrunk.

    Args:
        a: poses, (poses, joints, dims) or (poses, features), such as generated ones.
        b: poses of the same joints and units, such as real ones.

    Returns:
        The ratio, without a unit.

    Raises:
        ValueError: for bad sets as in `mmd2`, or if all poses of `b` are the same.
    """
    a, b = _as_points(a=a, b=b)
    total = b.var(0).sum().item()
    if total == 0:
        raise ValueError("all poses of b are the same: there is no spread to compare with")
    return a.var(0).sum().item() / total


def gaussian_like(poses: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw from the Gaussian with the mean and covariance of `poses`: the yardstick to beat.

    Its FD to `poses` is nearly 0 by construction, although it knows nothing about bodies; a
    generative model should beat it on MMD^2 and on bones.

    Args:
        poses: (poses, joints, dims) or (poses, features).
        count: number of samples.
        generator: source of randomness; it may live on another device than `poses`.

    Returns:
        Samples (count, joints, dims) or (count, features) in the units of `poses`.

    Raises:
        ValueError: if there are fewer than 2 poses, they are not finite, or `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}: expected at least 1")
    (points,) = _as_points(poses=poses)
    points = points.cpu().double()
    factor = _covariance_factor(points)  # (features, features)
    noise = torch.randn(
        count, len(factor), generator=generator, device=generator.device, dtype=torch.float32
    )
    samples = points.mean(0) + noise.cpu().double() @ factor.T  # (count, features)
    return samples.to(poses).reshape(count, *poses.shape[1:])


def _as_points(**sets: Tensor) -> list[Tensor]:
    """Check the named sets, and give each as (poses, features), detached, at least float32."""
    dtype = torch.float32
    points = []
    for name, poses in sets.items():
        check_tensor(name, poses)
        if poses.ndim < 2 or 0 in poses.shape[1:]:
            raise ValueError(
                f"{name} has shape {tuple(poses.shape)}: expected (poses, joints, dims) or "
                "(poses, features)"
            )
        if len(poses) < 2:
            raise ValueError(f"{name} has {len(poses)} poses: a distribution needs at least 2")
        bad = int((~torch.isfinite(poses)).flatten(1).any(1).sum())
        if bad:
            raise ValueError(
                f"{name} has NaN or infinite values in {bad} of {len(poses)} poses: leave these "
                "poses out, or their missing joints in both sets"
            )
        dtype = torch.promote_types(dtype, poses.dtype)
        points.append(poses.detach().flatten(1))  # (poses, features)
    if len({x.shape[1] for x in points}) > 1:
        shapes = " and ".join(f"{name} {tuple(x.shape)}" for name, x in sets.items())
        raise ValueError(f"poses of different size, {shapes}: expected the same joints and dims")
    return [x.to(dtype) for x in points]


def _covariance_factor(points: Tensor) -> Tensor:
    """F with F F' = covariance of the points (n - 1), (features, features); may be singular."""
    centered = points - points.mean(0)
    covariance = centered.T @ centered / (len(points) - 1)  # (features, features)
    values, vectors = torch.linalg.eigh(covariance)
    factor: Tensor = vectors * values.clamp(min=0).sqrt()
    return factor


def _evenly_spaced(points: Tensor, limit: int) -> Tensor:
    count = min(len(points), limit)
    return points[torch.arange(count, device=points.device) * len(points) // count]


def _tiles(points: Tensor, height: int) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(points), height):
        yield start, points[start : start + height]


def _tile_shape(points: Tensor) -> tuple[int, int]:
    return TILE_CPU if points.device.type == "cpu" else TILE_GPU


def _kernel_sum(a: Tensor, b: Tensor, distinct: bool) -> float:
    """Sum of exp(-|x - y|^2 / 2) over all pairs of (n, features) and (m, features).

    With `distinct`, `a` and `b` are one set, and the pairs of a point with itself are left out;
    k is symmetric, so only tiles on and above the diagonal are computed.
    """
    height, width = _tile_shape(a)
    # One product gives the whole exponent: [x, -|x|^2/2, 1] . [y, 1, -|y|^2/2].
    rows = torch.cat((a, -a.square().sum(1, keepdim=True) / 2, torch.ones_like(a[:, :1])), 1)
    columns = torch.cat((b, torch.ones_like(b[:, :1]), -b.square().sum(1, keepdim=True) / 2), 1)
    buffer = rows.new_empty(height * width)
    total = torch.zeros((), dtype=torch.float64, device=a.device)
    for start, row in _tiles(rows, height):
        stop = start + len(row)
        if distinct:
            own = (row @ columns[start:stop].T).exp_()
            total += own.sum(dtype=torch.float64) - own.diagonal().sum(dtype=torch.float64)
        for _, column in _tiles(columns[stop:] if distinct else columns, width):
            out = buffer[: len(row) * len(column)].view(len(row), len(column))
            # Rounding may leave an exponent a little above 0, which does no harm.
            tile = torch.mm(row, column.T, out=out).exp_()
            total += (2 if distinct else 1) * tile.sum(dtype=torch.float64)
    return total.item()


def _nearest_distance(queries: Tensor, references: Tensor, distinct: bool) -> Tensor:
    """Distance from each query to its nearest reference, (queries,).

    With `distinct` both are one set, and a point is not its own neighbour. The neighbour is found
    through matrix products, whose rounding hides distances below about 1e-3 of the spread in
    float32; the distance to it is then taken directly, which is exact.
    """
    height, width = _tile_shape(queries)
    center = references.mean(0)
    queries, references = queries - center, references - center
    halves = references.square().sum(1) / 2  # (references,)
    nearest = []
    for start, query in _tiles(queries, height):
        best = query.new_full((len(query),), float("inf"))
        index = torch.zeros(len(query), dtype=torch.long, device=query.device)
        for offset, reference in _tiles(references, width):
            # |x - y|^2 / 2 without |x|^2 / 2, which is the same for all references
            gap = torch.addmm(
                halves[offset : offset + len(reference)], query, reference.T, alpha=-1
            )  # (query, reference)
            if distinct:
                gap.diagonal(start - offset).fill_(float("inf"))
            value, place = gap.min(1)
            index = torch.where(value < best, place + offset, index)
            best = torch.minimum(best, value)
        nearest.append((query - references[index]).norm(dim=1))
    return torch.cat(nearest)


def _radius(real: Tensor, radius: float | None) -> float:
    if radius is None:
        radius = _nearest_distance(real, real, distinct=True).median().item()
        if radius == 0:
            raise ValueError(
                "half of the real poses have an exact twin, so the median neighbour distance is "
                "0: remove the repeated poses, or give `radius`"
            )
    if not 0 < radius < float("inf"):
        raise ValueError(f"radius is {radius}: expected a positive distance")
    return radius


def _share_within(queries: Tensor, references: Tensor, radius: float) -> float:
    near = _nearest_distance(queries, references, distinct=False) < radius
    return near.float().mean().item()
