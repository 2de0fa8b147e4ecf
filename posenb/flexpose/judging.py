"""How near poses are to a few shots: which source suits them, and whether adapting has helped.

Nobody knows the target but by the shots, so some are held out, and everything is said about those.
Shots may lack joints. A generated pose is then compared with a shot as far as that shot shows it
(`shots.seen_through`): the energy score of each shot's own joints is proper, so its mean is least
for the right distribution of what can be seen, whatever is missing, and says nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pdist

from posenb import prior
from posenb.flexpose import baselines
from posenb.flexpose.adapt import PoseSource, Readers
from posenb.flexpose.shots import seen_through
from posenb.measure.intervals import t_interval
from posenb.prior.networks import Generator
from posenb.prior.weights import skeleton_of
from posenb.train import runtime
from posenb.world.poses import PoseSet

DRAWN = 500  # poses of each kind that are compared with the shots
MOST = 200  # shots that are compared: what their pairs take grows with the square
FEWEST, MANY = 6, 24  # shots of which some can be held out; from MANY on one split is enough
SOURCE, ADAPTED, BARE, MIXTURES = "source", "adapted", "bare shots", "mixtures"


@dataclass(frozen=True)
class Nearness:
    """What some poses are to some shots.

    Attributes:
        scores: energy score 2 E|x - y_i| - E|x - x'| of each shot y_i, (M,).
        nearest: distance of each shot to the nearest pose, (M,).
        spread: mean squared distance between two of the poses, seen as the shots are.
    """

    scores: Tensor
    nearest: Tensor
    spread: float


def nearness(poses: Tensor, shots: PoseSet) -> Nearness:
    """Compare poses (N, J, 2) with shots, each as far as it shows a pose.

    Raises:
        ValueError: if there are fewer than 2 poses, or they have other joints.
    """
    if len(poses) < 2 or poses.shape[1:] != shots.keypoints.shape[1:]:
        raise ValueError(
            f"expected at least 2 poses of {len(shots.skeleton)} joints, found {tuple(poses.shape)}"
        )
    masks, which = _visible(shots).unique(dim=0, return_inverse=True)
    scores, nearest, squares = (torch.zeros(len(shots)) for _ in range(3))
    for number, mask in enumerate(masks):
        mine = which == number  # (M,)
        seen = seen_through(poses, mask).flatten(1)  # (N, 2J)
        own = pdist(seen)
        gaps = torch.cdist(seen_through(shots.keypoints[mine], mask).flatten(1), seen)  # (m, N)
        scores[mine] = 2 * gaps.mean(1) - own.mean()
        nearest[mine], squares[mine] = gaps.amin(1), own.square().mean()
    return Nearness(scores, nearest, float(squares.mean()))


def among(shots: PoseSet, reference: Tensor) -> Tensor:
    """Distances between shots over the joints that both show, (M, M); NaN where there are none.

    Two shots share fewer joints than either shows, and cut out around fewer joints poses look
    larger and more unlike. By how much is measured on other poses, and taken back.

    Args:
        shots: M poses.
        reference: poses of any kind, (R, J, 2), of which 50 are used.
    """
    visible = _visible(shots)
    both = visible[:, None] & visible  # (M, M, J)
    enough = both.sum(-1) >= 2
    both = both | ~enough[..., None]
    first = seen_through(shots.keypoints[:, None].expand(*both.shape, 2), both)
    gaps = (first - first.transpose(0, 1)).square().sum((-1, -2)).sqrt()
    masks, which = both.flatten(0, 1).unique(dim=0, return_inverse=True)
    usual = torch.stack([_usual(mask, reference[:50]) for mask in masks])[which].view_as(gaps)
    alone = usual.diagonal()  # each with itself: all that it shows
    return (gaps * (alone[:, None] + alone) / 2 / usual).where(enough, torch.nan)


def _usual(mask: Tensor, reference: Tensor) -> Tensor:
    """Mean distance of reference poses as far as these joints show them."""
    return pdist(seen_through(reference, mask).flatten(1)).mean()


def energy(poses: Tensor, shots: PoseSet, apart: Tensor | None = None) -> float:
    """Energy distance of poses (N, J, 2) to at least 2 shots; equal to `losses.energy_distance`.

    Equal where nothing is hidden and all are cropped around their joints. With joints missing,
    `apart`, E|y - y'| of the shots, comes from `among`, by default with the poses as reference;
    give one where several are compared. Nearly unbiased for what is seen, so it may be negative.
    """
    apart = _pairs(among(shots, poses)).mean() if apart is None else apart
    return float(nearness(poses, shots).scores.mean() - apart)


def rank_sources(
    shots: PoseSet, names: Sequence[str] | None = None, seed: int = 0
) -> list[tuple[str, float]]:
    """Priors by their energy distance to the shots, the nearest first.

    Args:
        shots: at least 2 poses, of which 200 are looked at.
        names: of generators; default all that are shipped for the skeleton.
        seed: of the poses drawn.

    Raises:
        ValueError: if there is no generator of that skeleton.
    """
    names = prior.generators(shots.skeleton) if names is None else names
    if not names:
        raise ValueError(f"there is no prior of {shots.skeleton.name}")
    device, shots = runtime.device(), _few(shots)
    drawn = {}
    for name in names:
        beta = prior.load_regressor(device, skeleton_of(name))
        poses = prior.sample(prior.load_generator(name, device), beta, DRAWN, seed)
        drawn[name] = poses.float().cpu()
    reference = torch.cat(list(drawn.values()))[:: len(drawn)]
    apart = _pairs(among(shots, reference)).mean()
    found = [(name, energy(poses, shots, apart)) for name, poses in drawn.items()]
    return sorted(found, key=lambda pair: pair[1])


def hold_out(shots: PoseSet, seed: int = 0) -> list[tuple[PoseSet, PoseSet]]:
    """Pairs of shots to learn from and shots held out; people of one picture stay together.

    A third is held out, at most 200. Of fewer than 24 shots that is too little to tell anything,
    so every third is held out once; of fewer than 6 none can be spared: no pairs.
    """
    if len(shots) < FEWEST:
        return []
    groups = shots.picture or tuple(name.split(" / ")[0] for name in shots.subject)
    if len(set(groups)) < FEWEST:  # frames of one film, or people of one picture
        groups = tuple(map(str, range(len(shots))))
    names = sorted(set(groups))
    order = torch.randperm(len(names), generator=runtime.generator((seed, 6))).tolist()
    part = {names[i]: place % 3 for place, i in enumerate(order)}
    numbers = torch.tensor([part[group] for group in groups])  # (M,)
    pairs = [(shots[numbers != k], _few(shots[numbers == k])) for k in range(3)]
    return pairs[: 1 if len(shots) >= MANY else 3]


def judge(
    shots: PoseSet,
    generator: Generator,
    readers: Readers,
    adapt: Callable[[PoseSet, int], PoseSource],
    seed: int = 0,
) -> dict[str, Any]:
    """Hold shots out, learn from the others, and say how near everything is to those held out.

    Args:
        shots: all there are.
        generator: the source.
        readers: of the source.
        adapt: (shots to learn from, number of the split) -> what is adapted to them.
        seed: of splits and poses.

    Returns:
        For a card: `shots`, `held_out`, `splits`, and `rows`: the energy distance, spread (variance
        over that of the shots) and recall (shots that have a pose nearer than the median shot has
        another shot) of each kind. `gain`: by how much adapting lowers the energy score of a shot,
        with the 95 % t interval `low` to `high` over the shots. Without held-out shots, no rows.
    """
    splits = hold_out(shots, seed)
    report: dict[str, Any] = {"shots": len(shots), "held_out": 0, "splits": len(splits), "rows": {}}
    if not splits:
        return report
    found: dict[str, list[Nearness]] = {}
    for number, (known, held_out) in enumerate(splits):
        options: dict[str, Any] = {"seed": seed, "readers": readers}
        kinds: dict[str, PoseSource] = {
            SOURCE: baselines.source_only(generator, known, **options),
            ADAPTED: adapt(known, number),
            BARE: baselines.bootstrap(generator, known, **options),
            MIXTURES: baselines.bootstrap(generator, known, shots_mixed=1000, **options),
        }
        for kind, poses in kinds.items():
            drawn = poses.sample(DRAWN, seed).float().cpu()
            found.setdefault(kind, []).append(nearness(drawn, held_out))
    tested = splits[0][1]
    for _, more in splits[1:]:
        tested = tested + more
    gaps = among(tested, prior.sample(generator, readers.regressor, 50, seed).float().cpu())
    pairs = _pairs(gaps)
    alone = gaps.fill_diagonal_(torch.inf).nan_to_num(torch.inf, posinf=torch.inf).amin(1)
    radius = alone.median()
    for kind, parts in found.items():
        near = torch.cat([part.nearest for part in parts])
        scores = torch.cat([part.scores for part in parts])
        spread = sum(part.spread for part in parts) / len(parts)
        report["rows"][kind] = {
            "distance": round(float(scores.mean() - pairs.mean()), 4),
            "spread": round(spread / float(pairs.square().mean()), 3),
            "recall": round(float((near < radius).float().mean()), 3),
        }
    report["held_out"] = len(tested)
    source, adapted = (torch.cat([p.scores for p in found[k]]) for k in (SOURCE, ADAPTED))
    gains = (source - adapted).tolist()
    low, high = t_interval(gains)
    ends = {"mean": sum(gains) / len(gains), "low": low, "high": high}
    report["gain"] = {name: round(value, 4) for name, value in ends.items()}
    return report


def verdict(report: Mapping[str, Any]) -> list[str]:
    """What a report of `judge` says, in sentences; a warning starts with "Warning"."""
    rows = report["rows"]
    if not rows:
        return [
            f"{report['shots']} shots are too few to hold some out: whether adapting has helped "
            f"cannot be told. Give at least {FEWEST}, better {MANY}."
        ]
    gain, distance = report["gain"], {kind: row["distance"] for kind, row in rows.items()}
    sure = (
        "" if gain["low"] > 0 or gain["high"] < 0 else ", within what chance does to so few shots"
    )
    said = f"{distance[SOURCE]:.3f} -> {distance[ADAPTED]:.3f}{sure}"
    if distance[ADAPTED] > distance[SOURCE]:
        told = [f"Warning: adapted poses are farther from held-out shots than the source: {said}"]
    else:
        told = [f"Adapting brought the source nearer to held-out shots: {said}"]
    best = min((BARE, MIXTURES), key=lambda kind: distance[kind])
    if distance[best] < distance[ADAPTED]:
        told.append(
            f"Repeating the {best} is nearer ({distance[best]:.3f}): a generator is worth it here "
            f"only for variety (recall {rows[ADAPTED]['recall']:.2f} against "
            f"{rows[best]['recall']:.2f})."
        )
    return told


def table(report: Mapping[str, Any]) -> str:
    """The rows of a report in columns, and what these say."""
    if not report["rows"]:
        return ""
    lines = [f"{'':12}{'distance':>10}{'spread':>8}{'recall':>8}"]
    for kind, row in report["rows"].items():
        lines.append(f"{kind:12}{row['distance']:10.3f}{row['spread']:8.2f}{row['recall']:8.2f}")
    lines.append(
        f"(to {report['held_out']} people held out: energy distance, 0 is best; spread, 1 is "
        "theirs; share of them who have a pose near them)"
    )
    return "\n".join(lines)


def _few(shots: PoseSet) -> PoseSet:
    """Some of many, evenly spread."""
    return shots[torch.linspace(0, len(shots) - 1, min(MOST, len(shots))).round().long()]


def _visible(shots: PoseSet) -> Tensor:
    if shots.visible is None:
        return torch.ones(shots.keypoints.shape[:2], dtype=torch.bool)
    return shots.visible


def _pairs(gaps: Tensor) -> Tensor:
    """Distances of different shots, of those that share joints, (pairs,)."""
    upper = gaps[tuple(torch.triu_indices(len(gaps), len(gaps), offset=1))]
    return upper[~upper.isnan()]
