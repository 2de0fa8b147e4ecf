"""Could a 2D pose be a person's? Bones and joints compared with what real poses show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from posenb.measure.shapes import check_coordinates


@dataclass(frozen=True)
class Plausibility:
    """Limits learned from real poses by `learn`.

    Attributes:
        bones: (parent, child) joints of each bone.
        chains: (parent, joint, child): two bones that meet.
        longest: length that nearly all real bones stay below, (bones,), in the units of the
            keypoints.
        least: length that the bones of nearly all real poses reach in all, in the same units.
        trees: for each chain, the real pairs of bone vectors.
        reach: for each chain, the distance within which a real pair has a real neighbour.
        joints: number of joints J.
    """

    bones: Sequence[tuple[int, int]]
    chains: Sequence[tuple[int, int, int]]
    longest: Tensor
    least: float
    trees: Sequence[cKDTree]
    reach: Sequence[float]
    joints: int

    def bone_violations(self, keypoints: Tensor) -> Tensor:
        """Whether some bone is longer than nearly all real ones, (N,) bool.

        Seen from a camera a bone may look as short as it likes, so only length tells; for bodies
        that are short in all bones at once, see `size_violations`.

        Args:
            keypoints: poses (N, J, 2).

        Raises:
            ValueError: if a value is not finite, or the joints are not those of the real poses.
        """
        _check(keypoints, self.joints)
        return (_lengths(keypoints, self.bones) > self.longest).any(-1)

    def size_violations(self, keypoints: Tensor) -> Tensor:
        """Whether all bones together are shorter than those of nearly all real poses, (N,) bool.

        Crumpled bodies have no bone that is too long and no joint that is bent too far.

        Args:
            keypoints: poses (N, J, 2).

        Raises:
            ValueError: if a value is not finite, or the joints are not those of the real poses.
        """
        _check(keypoints, self.joints)
        return _lengths(keypoints, self.bones).sum(-1) < self.least

    def joint_violations(self, keypoints: Tensor) -> Tensor:
        """Whether some joint is bent as hardly a real one is, (N,) bool.

        A joint's two bones, as seen in the image, are a point in four dimensions. The joint is
        implausible if no real point lies as near as real points lie to each other.

        Args:
            keypoints: poses (N, J, 2).

        Raises:
            ValueError: if a value is not finite, or the joints are not those of the real poses.
        """
        _check(keypoints, self.joints)
        found = torch.zeros(len(keypoints), dtype=torch.bool)
        for chain, tree, reach in zip(self.chains, self.trees, self.reach, strict=True):
            distance, _ = tree.query(_pair(keypoints, chain).numpy(force=True), workers=-1)
            found |= torch.from_numpy(distance) > reach
        return found.to(keypoints.device)


def learn(
    reference: Tensor,
    held_out: Tensor,
    bones: Sequence[tuple[int, int]],
    chains: Sequence[tuple[int, int, int]],
    share: float = 0.999,
) -> Plausibility:
    """Learn what is plausible from real poses.

    Args:
        reference: real poses, (N, J, 2).
        held_out: other real poses of the same kind, (M, J, 2); they set the tolerance.
        bones: (parent, child) joints.
        chains: (parent, joint, child) joints.
        share: of the held-out poses that counts as plausible, for each bone and each chain alone.

    Raises:
        ValueError: if there are no poses, a value is not finite, or the joints of the two sets
            differ.
    """
    for name, poses in (("reference", reference), ("held_out", held_out)):
        check_coordinates(name, poses)
    if not len(reference) or not len(held_out) or reference.shape[1:] != held_out.shape[1:]:
        raise ValueError(
            "expected two sets of real poses with equal joints, found "
            f"{tuple(reference.shape)} and {tuple(held_out.shape)}"
        )
    for poses in (reference, held_out):
        _check(poses, reference.shape[1])
    lengths = torch.cat([_lengths(reference, bones), _lengths(held_out, bones)])
    trees = [cKDTree(_pair(reference, chain).numpy(force=True)) for chain in chains]
    reach = []
    for chain, tree in zip(chains, trees, strict=True):
        distance, _ = tree.query(_pair(held_out, chain).numpy(force=True), workers=-1)
        reach.append(float(torch.quantile(torch.from_numpy(distance), share)))
    longest = torch.quantile(lengths, share, dim=0)
    least = float(torch.quantile(lengths.sum(-1), 1 - share))
    return Plausibility(bones, chains, longest, least, trees, reach, reference.shape[1])


def _check(keypoints: Tensor, joints: int) -> None:
    check_coordinates("keypoints", keypoints)
    if keypoints.ndim != 3 or keypoints.shape[1:] != (joints, 2):
        raise ValueError(f"expected poses (N, {joints}, 2), found {tuple(keypoints.shape)}")
    bad = (~keypoints.isfinite()).flatten(1).any(1).nonzero()
    if len(bad):
        raise ValueError(f"pose {int(bad[0])} has a joint that is not finite")


def _lengths(keypoints: Tensor, bones: Sequence[tuple[int, int]]) -> Tensor:
    parents, children = torch.tensor(bones, device=keypoints.device).T
    return (keypoints[:, children] - keypoints[:, parents]).norm(dim=-1)  # (N, bones)


def _pair(keypoints: Tensor, chain: tuple[int, int, int]) -> Tensor:
    """The two bone vectors that meet in a joint, (N, 4)."""
    parent, joint, child = chain
    upper, lower = (
        keypoints[:, joint] - keypoints[:, parent],
        keypoints[:, child] - keypoints[:, joint],
    )
    return torch.cat([upper, lower], dim=1)
