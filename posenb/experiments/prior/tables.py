"""The chapter's experiments (`python -m posenb table prior.quality`, `.layers`, `.stand_ins`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from posenb.experiments import sweep
from posenb.experiments.prior.bench import NEIGHBOURS, Bench
from posenb.experiments.sweep import grid
from posenb.measure.distributions import gaussian_like
from posenb.measure.keypoints import joint_angles, joint_triplets
from posenb.prior.networks import Generator, KeypointRegressor
from posenb.prior.weights import generators, load_generator, load_regressor, sample
from posenb.train import checkpoints, runtime
from posenb.world import domains
from posenb.world.datasets import full_poses, short_name
from posenb.world.drawing import draw_skeletons
from posenb.world.poses import recrop
from posenb.world.skeletons import BODY17

REAL = "real people"
UPRIGHT = 45.0  # degrees between trunk and the picture's vertical, at most

ROWS = {
    "floor": "another half of the held-out poses (floor)",
    "training": "poses of the training takes and people",
    "reread": "the same, drawn and read by beta",
    "gaussian": "a Gaussian fitted to them",
    "generator": "the generator, wild",
}
TABLES = sweep.Experiments("prior", Bench, (0, 1, 2, 3, 4))


@TABLES.card(
    grid(poses=ROWS.values()),
    seeds=(0, 1, 2),
    facts=lambda bench: {
        "poses": bench.count,
        "neighbours": NEIGHBOURS,
        "domain": "wild",
        "weights": checkpoints.digests("prior_wild", "prior_regressor"),
    },
)
def quality(bench: Bench, poses: str) -> dict[str, float]:
    """How close are generated poses to held-out ones of `wild`?

    Every row is compared with 50,000 held-out poses: other takes and other people than those the
    prior was trained on. The poses of the floor also set the tolerance of what is implausible, so
    that row shows the tolerance. The seed moves the held-out poses and all samples, not the
    training of the shipped generator.

    Raises:
        ValueError: for an unknown row.
    """
    found = bench.ruler.measure(_poses(bench, poses))
    del found["size violations"]
    return found


def _poses(bench: Bench, row: str) -> Tensor:
    if row == ROWS["floor"]:
        return bench.ruler.other
    if row == ROWS["training"]:
        return bench.training()
    if row == ROWS["reread"]:
        return _reread(bench.training(), load_regressor())
    if row == ROWS["gaussian"]:
        return gaussian_like(bench.training(), bench.count, runtime.generator(bench.seed))
    name = row.removeprefix("the generator, ")
    if name not in generators():
        raise ValueError(f"there is no row {row!r}")
    return sample(load_generator(name), load_regressor(), bench.count, bench.seed)


@torch.no_grad()
def _reread(keypoints: Tensor, regressor: KeypointRegressor) -> Tensor:
    """beta(alpha(y)) of poses (N, 17, 2)."""
    parts = [regressor(draw_skeletons(part, BODY17, 64)) for part in keypoints.split(256)]
    return torch.cat(parts)


@TABLES.card(
    lambda bench: grid(layer=range(1, load_generator("wild").layers + 1)),
    facts=lambda bench: {
        "pairs": bench.pairs,
        "generator": "wild",
        "weights": checkpoints.digests("prior_wild", "prior_regressor"),
    },
)
def layers(bench: Bench, layer: int) -> dict[str, float]:
    """What changes when one layer alone gets another latent's style?"""
    return layer_effect(load_generator(), load_regressor(), layer, bench.seed, bench.pairs)


@torch.no_grad()
def layer_effect(
    generator: Generator,
    regressor: KeypointRegressor,
    layer: int,
    seed: int,
    pairs: int,
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
    lengths = BODY17.bone_lengths(keypoints)
    return lengths / lengths.sum(1, keepdim=True)


@dataclass(frozen=True)
class RealPeople(sweep.Bench):
    """Real people, for whom the domains' people stand in.

    Attributes:
        data: short name of the file.
        keypoints: of those who have all joints, (N, 17, 2).
        count: poses of each domain.
    """

    data: str = ""
    keypoints: Tensor = torch.zeros(0, 17, 2)
    count: int = 5_000

    @classmethod
    def of(cls, target: str = "") -> RealPeople:
        """Those of a file, such as `coco:person_keypoints_val2017.json`.

        Raises:
            ValueError: without a file.
        """
        if not target:
            raise ValueError("prior.stand_ins compares with real people: --target coco:PATH")
        return cls(data=short_name(target), keypoints=full_poses(target).keypoints)


@TABLES.card(
    grid(people=(*domains.names(), REAL)),
    bench=RealPeople.of,
    facts=lambda bench: {
        "poses": bench.count,
        "data": bench.data,
        "real people": len(bench.keypoints),
        "digest": checkpoints.state_hash([bench.keypoints]),
    },
)
def stand_ins(bench: RealPeople, people: str) -> dict[str, float]:
    """Are the domains' people shaped and turned as real ones are?

    Everybody is cut out by a square around the joints. The seed draws the domain's poses, and
    resamples the real people.
    """
    if people != REAL:
        return shape(recrop(domains.get(people).sample(bench.count, bench.seed)).keypoints)
    real, random = bench.keypoints, runtime.generator(bench.seed)
    return shape(real[torch.randint(len(real), (len(real),), generator=random)])


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
