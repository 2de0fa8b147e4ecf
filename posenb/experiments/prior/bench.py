"""What poses are compared with: held-out poses of a domain, and the rulers they set."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from posenb.experiments import sweep
from posenb.measure import plausibility
from posenb.measure.distributions import (
    frechet_distance,
    median_bandwidth,
    mmd2,
    precision,
    recall,
    spread_ratio,
)
from posenb.measure.keypoints import joint_triplets
from posenb.world import domains
from posenb.world.domains import Split
from posenb.world.poses import PoseSet

NEIGHBOURS = 10_000  # poses on either side where neighbours are searched


class Target(Protocol):
    """Where poses come from: a domain, or real ones (`experiments.flexpose.bench`)."""

    def sample(self, count: int, seed: int, split: Split = "train") -> PoseSet:
        """Poses of one split."""
        ...

    def __hash__(self) -> int:
        """Needed to keep its reference poses."""
        ...


@dataclass(frozen=True)
class Reference:
    """Held-out poses of a target, and the rulers that all rows of a table share.

    Attributes:
        real: (count, J, 2).
        other: another half of the held-out poses.
        bandwidth: of MMD^2.
        limits: what is plausible among the target's poses.
    """

    real: Tensor
    other: Tensor
    bandwidth: float
    limits: plausibility.Plausibility

    def measure(self, poses: Tensor) -> dict[str, float]:
        """Distances of poses (count, J, 2) to the held-out ones; see notebook 00.

        Returns:
            FD and MMD^2 (in units of the crop, squared; one kernel width for all rows), recall and
            precision, spread ratio, and the shares of poses with an impossible bone, size or joint.
        """
        few = min(NEIGHBOURS, len(self.real), len(poses))
        return {
            "FD": frechet_distance(self.real, poses),
            "MMD2": mmd2(self.real, poses, self.bandwidth),
            "recall": recall(self.real[:few], poses[:few]),
            "precision": precision(self.real[:few], poses[:few]),
            "spread": spread_ratio(poses, self.real),
            "bone violations": float(self.limits.bone_violations(poses).float().mean()),
            "size violations": float(self.limits.size_violations(poses).float().mean()),
            "joint violations": float(self.limits.joint_violations(poses).float().mean()),
        }


@functools.lru_cache(maxsize=8)  # five seeds of one target
def reference(target: Target, seed: int, count: int) -> Reference:
    """The held-out poses of one seed."""
    held_out = target.sample(2 * count, seed, "test").keypoints
    real, other = held_out.tensor_split(2)
    training = target.sample(count, 2000 + seed)
    triplets = joint_triplets(training.skeleton.parents)
    limits = plausibility.learn(training.keypoints, other, training.skeleton.bones, triplets)
    return Reference(real, other, median_bandwidth(real, other), limits)


@dataclass(frozen=True)
class Bench(sweep.Bench):
    """What the shipped generator of `wild` is measured on.

    Attributes:
        count: poses on either side.
        pairs: of latents whose layers are exchanged.
    """

    count: int = 50_000
    pairs: int = 500

    @property
    def ruler(self) -> Reference:
        """Held-out poses: other takes and other people than those of the training."""
        return reference(domains.get("wild"), self.seed, self.count)

    def training(self) -> Tensor:
        """Poses of the training takes and people, (count, 17, 2)."""
        return domains.get("wild").sample(self.count, 1000 + self.seed).keypoints
