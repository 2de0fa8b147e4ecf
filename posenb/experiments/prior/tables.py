"""The chapter's experiments (`python -m posenb table prior.quality`, `.layers`, `.stand_ins`)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from posenb.experiments.sweep import run_table
from posenb.measure import plausibility
from posenb.measure.distributions import (
    frechet_distance,
    gaussian_like,
    median_bandwidth,
    mmd2,
    precision,
    recall,
    spread_ratio,
)
from posenb.measure.keypoints import joint_angles, joint_triplets
from posenb.prior.networks import Generator, KeypointRegressor
from posenb.prior.weights import generators, load_generator, load_regressor, sample
from posenb.train import checkpoints, runtime
from posenb.world import domains
from posenb.world.datasets import full_poses, short_name
from posenb.world.drawing import draw_skeletons
from posenb.world.poses import recrop
from posenb.world.skeletons import BODY17

POSES = 50_000
NEIGHBOURS = 10_000  # poses on either side where neighbours are searched
STAND_INS = 5_000  # poses of each domain whose shape is compared with that of real people
REAL = "real people"
UPRIGHT = 45.0  # degrees between trunk and the picture's vertical, at most
PAIRS = 500  # pairs of latents whose layers are exchanged

ROWS = {
    "floor": "another half of the held-out poses (floor)",
    "training": "poses of the training takes and people",
    "reread": "the same, drawn and read by beta",
    "gaussian": "a Gaussian fitted to them",
}


def quality(seeds: Sequence[int] = (0, 1, 2), jobs: int = 1) -> dict[str, Any]:
    """Card `prior.quality`: how close are generated poses to held-out ones of `wild`?

    Every row is compared with 50,000 held-out poses: other takes and other people than those the
    prior was trained on. The poses of the floor also set the tolerance of what is implausible, so
    that row shows the tolerance. The seed moves the held-out poses and all samples, not the
    training of the shipped generator.
    """
    rows = [{"poses": label} for label in ROWS.values()] + [{"poses": "the generator, wild"}]
    return run_table(
        "prior.quality",
        rows,
        seeds,
        lambda row, seed: quality_row(row["poses"], seed),
        jobs=jobs,
        configuration={
            "poses": POSES,
            "neighbours": NEIGHBOURS,
            "domain": "wild",
            "weights": checkpoints.digests("prior_wild", "prior_regressor"),
        },
    )


def quality_row(row: str, seed: int, count: int = POSES) -> dict[str, float]:
    """Distances of one row's poses to the held-out poses of `wild`.

    Args:
        row: label of the row as in the card.
        seed: of the samples.
        count: number of poses on either side.

    Returns:
        FD and MMD^2 (in units of the crop, squared; one kernel width for all rows), recall and
        precision, spread ratio, and the shares of poses with an impossible bone or joint.

    Raises:
        ValueError: for an unknown row.
    """
    real, other, limits = _held_out(seed, count)
    poses = _row_poses(row, seed, count, other)
    few = min(count, NEIGHBOURS)
    return {
        "FD": frechet_distance(real, poses),
        "MMD2": mmd2(real, poses, median_bandwidth(real, other)),
        "recall": recall(real[:few], poses[:few]),
        "precision": precision(real[:few], poses[:few]),
        "spread": spread_ratio(poses, real),
        "bone violations": float(limits.bone_violations(poses).float().mean()),
        "joint violations": float(limits.joint_violations(poses).float().mean()),
    }


def _row_poses(row: str, seed: int, count: int, other: Tensor) -> Tensor:
    training = functools.partial(domains.get("wild").sample, count, 1000 + seed)
    if row == ROWS["floor"]:
        return other
    if row == ROWS["training"]:
        return training().keypoints
    if row == ROWS["reread"]:
        return _reread(training().keypoints, load_regressor())
    if row == ROWS["gaussian"]:
        return gaussian_like(training().keypoints, count, runtime.generator(seed))
    name = row.removeprefix("the generator, ")
    if name not in generators():
        raise ValueError(f"there is no row {row!r}")
    return sample(load_generator(name), load_regressor(), count, seed)


@functools.lru_cache(maxsize=8)
def _held_out(seed: int, count: int) -> tuple[Tensor, Tensor, plausibility.Plausibility]:
    """Two disjoint halves of the held-out poses, and what is plausible among real poses."""
    poses = domains.get("wild").sample(2 * count, seed, "test").keypoints
    training = domains.get("wild").sample(count, 2000 + seed).keypoints
    triplets = joint_triplets(BODY17.parents)
    real, other = poses[:count], poses[count:]
    return real, other, plausibility.learn(training, other, BODY17.bones, triplets)


@torch.no_grad()
def _reread(keypoints: Tensor, regressor: KeypointRegressor) -> Tensor:
    """beta(alpha(y)) of poses (N, 17, 2)."""
    parts = [regressor(draw_skeletons(part, BODY17, 64)) for part in keypoints.split(256)]
    return torch.cat(parts)


def layers(seeds: Sequence[int] = (0, 1, 2, 3, 4), jobs: int = 1) -> dict[str, Any]:
    """Card `prior.layers`: what changes when one layer alone gets another latent's style?"""
    count = load_generator("wild").layers
    return run_table(
        "prior.layers",
        [{"layer": layer} for layer in range(1, count + 1)],
        seeds,
        lambda row, seed: layer_effect(load_generator(), load_regressor(), row["layer"], seed),
        jobs=jobs,
        configuration={
            "pairs": PAIRS,
            "generator": "wild",
            "weights": checkpoints.digests("prior_wild", "prior_regressor"),
        },
    )


@torch.no_grad()
def layer_effect(
    generator: Generator,
    regressor: KeypointRegressor,
    layer: int,
    seed: int,
    pairs: int = PAIRS,
) -> dict[str, float]:
    """Mean change of pose when one layer sees another latent, over pairs of latents.

    Args:
        generator: g.
        regressor: beta.
        layer: 1..L, coarsest first.
        seed: of the pairs.
        pairs: number of pairs.

    Returns:
        Change of the trunk's direction in the image (pivot orientation, degrees), of the angles
        between neighbouring bones (joint rotation, degrees), of each bone's share in the sum of
        bone lengths (bone ratio, percent of that share's mean), and the joints' mean way in
        percent of the image.
    """
    random = runtime.generator(seed)
    first, second = (generator.mapping(generator.sample_z(pairs, random)) for _ in range(2))
    mixed = [second if number == layer else first for number in range(1, generator.layers + 1)]
    chunks = first.split(250)
    before = torch.cat([regressor(generator.synthesis(generator.affine(w))) for w in chunks])
    images = (
        generator.synthesis(generator.affine([w[part] for w in mixed]))
        for part in torch.arange(pairs).split(250)
    )
    after = torch.cat([regressor(image) for image in images])
    return pose_change(before, after)


def pose_change(before: Tensor, after: Tensor) -> dict[str, float]:
    """Mean change between poses (N, 17, 2) and (N, 17, 2); see `layer_effect`."""
    pelvis, neck = BODY17.index("pelvis"), BODY17.index("neck")
    turned = [torch.atan2(*(p[:, neck] - p[:, pelvis]).unbind(-1)) for p in (before, after)]
    pivot = torch.remainder(turned[1] - turned[0] + torch.pi, 2 * torch.pi) - torch.pi
    triplets = joint_triplets(BODY17.parents)
    angles = [joint_angles(p, triplets) for p in (before, after)]
    shares = [_bone_shares(p) for p in (before, after)]
    return {
        "pivot orientation": float(torch.rad2deg(pivot).abs().mean()),
        "joint rotation": float(torch.rad2deg((angles[1] - angles[0]).abs()).mean()),
        "bone ratio": 100 * float(((shares[1] - shares[0]).abs() / shares[0].mean(0)).mean()),
        "joint shift": 100 * float((after - before).norm(dim=-1).mean()),
    }


def _bone_shares(keypoints: Tensor) -> Tensor:
    """Each bone's share in the sum of bone lengths, (N, bones)."""
    parents, children = torch.tensor(BODY17.bones).T
    lengths = (keypoints[:, children] - keypoints[:, parents]).norm(dim=-1)
    return lengths / lengths.sum(1, keepdim=True)


def stand_ins(
    seeds: Sequence[int] = (0, 1, 2, 3, 4), jobs: int = 1, target: str = ""
) -> dict[str, Any]:
    """Card `prior.stand_ins`: are the domains' people shaped and turned as real ones are?

    Everybody is cut out by a square around the joints. The seed draws the domain's poses, and
    resamples the real people.

    Args:
        seeds: of both.
        jobs: processes at a time.
        target: real people, such as `coco:person_keypoints_val2017.json`; those who have all
            joints count.

    Raises:
        ValueError: without real people to compare with.
    """
    if not target:
        raise ValueError("prior.stand_ins compares with real people: --target coco:PATH")
    real = full_poses(target).keypoints

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        if row["people"] == REAL:
            random = runtime.generator(seed)
            return shape(real[torch.randint(len(real), (len(real),), generator=random)])
        return shape(recrop(domains.get(row["people"]).sample(STAND_INS, seed)).keypoints)

    rows = [{"people": people} for people in (*domains.names(), REAL)]
    configuration = {
        "poses": STAND_INS,
        "data": short_name(target),
        "real people": len(real),
        "digest": checkpoints.state_hash([real]),
    }
    return run_table(
        "prior.stand_ins", rows, seeds, measure, jobs=jobs, configuration=configuration
    )


def shape(keypoints: Tensor) -> dict[str, float]:
    """How people are built and turned, of poses (N, 17, 2) in squares around their joints.

    Returns:
        Mean lengths in per cent of the crop; the shares whose trunk is upright in the picture, and
        who face the camera (their left shoulder on the right).
    """
    joints = {name: keypoints[:, number] for number, name in enumerate(BODY17.joints)}
    pairs = {
        "hips": ("left_hip", "right_hip"),
        "shoulders": ("left_shoulder", "right_shoulder"),
        "trunk": ("pelvis", "neck"),
        "head": ("neck", "head_top"),
        "thighs": ("left_hip", "left_knee"),
        "shins": ("left_knee", "left_ankle"),
        "upper arms": ("left_shoulder", "left_elbow"),
        "forearms": ("left_elbow", "left_wrist"),
    }
    made = {
        name: 100 * float((joints[a] - joints[b]).norm(dim=-1).mean())
        for name, (a, b) in pairs.items()
    }
    up = joints["pelvis"] - joints["neck"]
    lean = torch.rad2deg(torch.atan2(up[:, 0].abs(), up[:, 1]))
    facing = joints["left_shoulder"][:, 0] > joints["right_shoulder"][:, 0]
    return made | {
        "upright": float((lean <= UPRIGHT).float().mean()),
        "facing": float(facing.float().mean()),
    }


TABLES: dict[str, Callable[..., dict[str, Any]]] = {
    "quality": quality,
    "layers": layers,
    "stand_ins": stand_ins,
}
