"""Fine-tuning on videos of the target without labels (Geometric Reconstruction, Sec. 3.3, Eq. 11).

A step shows the detector labelled pictures of the source and pairs of frames of the target. A
teacher, the moving average of the detector, makes pseudo-labels for the target's frames (Eq. 3);
after a warm start, W and G rebuild one frame of each pair from the other through the keypoints that
were found, and the error of that corrects them (Eq. 9). All randomness comes from `seed`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from posenb.reconstruction.bones import missing
from posenb.reconstruction.features import PerceptualFeatures
from posenb.reconstruction.generation import Reconstructor
from posenb.reconstruction.kinematics import KinematicRanges
from posenb.reconstruction.losses import pseudo_label_loss, reconstruction_loss, supervised_loss
from posenb.reconstruction.networks import KeypointDetector, Maps, read
from posenb.reconstruction.pseudo_labels import PseudoLabels, Selection, pseudo_labels
from posenb.reconstruction.training import Labelled, augment, degrade, recolor, similarity, warp
from posenb.train import checkpoints, loop, runtime
from posenb.world.cameras import Camera, concatenate

log = logging.getLogger(__name__)

Labels = Literal["integrated", "activation", "none"]
LABELS = ("integrated", "activation", "none")
_LARGEST_GRADIENT = 5.0  # norm; longer ones are cut


class FramePairs(NamedTuple):
    """N pairs of frames, each of one video: nothing here is a label.

    Attributes:
        base: RGB in [0, 1], (N, 3, S, S).
        driving: frames of the same videos, (N, 3, S, S).
        base_camera: N, in units of the crop.
        driving_camera: N, in units of the crop; the same ones where the camera stands still.
    """

    base: Tensor
    driving: Tensor
    base_camera: Camera
    driving_camera: Camera


def draw_pairs(
    videos: Sequence[Tensor],
    cameras: Camera,
    count: int,
    strides: tuple[int, int] = (5, 15),
    seed: int = 0,
) -> FramePairs:
    """Pairs of frames of videos, never of two videos (Sec. 4.4, "Stride Strategy").

    Args:
        videos: of a camera that stands still, RGB in [0, 1], (T, 3, S, S) each.
        cameras: one for each video, in units of the crop.
        count: number of pairs N.
        strides: the least and the largest number of frames between the two of a pair.
        seed: the same seed draws the same pairs.

    Raises:
        ValueError: if no video is longer than the least stride, videos differ in size, or there are
            not as many cameras.
    """
    least, most = strides
    if count < 1 or not 1 <= least <= most:
        raise ValueError(
            f"expected at least one pair and strides 1 <= least <= largest, found {count} pairs "
            f"and strides {strides}"
        )
    sizes = {tuple(video.shape[1:]) for video in videos}
    if cameras.shape != (len(videos),) or len(sizes) != 1:
        raise ValueError(
            f"expected videos of one size with a camera each, found cameras "
            f"{tuple(cameras.shape)} and videos {[tuple(video.shape) for video in videos]}"
        )
    long = [number for number, video in enumerate(videos) if len(video) > least]
    if not long:
        raise ValueError(
            f"a pair with {least} frames between needs a video of {least + 1}; the longest of "
            f"{len(videos)} has {max(map(len, videos))}: lower strides"
        )
    random = runtime.generator((seed, 21))
    draw = torch.rand(3, count, generator=random, dtype=torch.float64)
    base, driving, chosen = [], [], []
    for which, how_far, where in draw.T.tolist():
        number = long[int(which * len(long))]
        frames = len(videos[number])
        stride = least + int(how_far * (min(most, frames - 1) - least + 1))
        first = int(where * (frames - stride))
        base.append(videos[number][first])
        driving.append(videos[number][first + stride])
        chosen.append(number)
    camera = cameras[torch.tensor(chosen)]
    return FramePairs(torch.stack(base), torch.stack(driving), camera, camera)


@dataclass(frozen=True)
class Adaptation:
    """How a detector adapts itself; each part can be switched off.

    Attributes:
        steps: number of steps.
        batch: pairs a step, and as many pictures of the source.
        learning_rate: the highest of Adam; it falls in a straight line to a tenth.
        labels: pseudo-labels by heat maps and by kinematics (`integrated`, Eq. 3), by heat maps
            alone (`activation`, UniFrame's), or `none`.
        selection: which pseudo-labels are believed.
        label_weight: lambda_p of Eq. 11.
        pose_weight: lambda_y of Eq. 3.
        unite: share of the steps after which the two masks are united (epoch T of Eq. 3).
        rebuild: whether pictures are rebuilt (L_rec of Eq. 9).
        warm_up: share of the steps before L_rec joins (the warm start of Sec. 3.3.2).
        rebuild_weight: lambda_r of Eq. 11. None: what makes the gradient that L_rec sends to the
            detector's last layer `rebuild_share` of that of all else, measured when it joins. The
            paper's 0.1 belongs to sums over features of VGG-19, and says nothing of other losses.
        rebuild_share: see there.
        reconstructor_rate: learning rate of W and G, which go on learning with the target's
            pictures; 0: they stay as they are.
        teacher_decay: after a step the teacher is decay * teacher + (1 - decay) * detector.
        depth_weight: lambda_d of Eq. 1.
    """

    steps: int = 600
    batch: int = 16
    learning_rate: float = 3e-4
    labels: Labels = "integrated"
    selection: Selection = field(default_factory=Selection)
    label_weight: float = 0.5
    pose_weight: float = 0.1
    unite: float = 0.5
    rebuild: bool = True
    warm_up: float = 0.4
    rebuild_weight: float | None = None
    rebuild_share: float = 0.5
    reconstructor_rate: float = 0.0
    teacher_decay: float = 0.99
    depth_weight: float = 0.5

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range.
        """
        if self.labels not in LABELS:
            raise ValueError(f"labels must be one of {LABELS}, found {self.labels!r}")
        if self.steps < 1 or self.batch < 1:
            raise ValueError(
                f"steps and batch must be at least 1, found {self.steps} and {self.batch}"
            )
        shares = ("unite", "warm_up", "teacher_decay")
        wrong = [name for name in shares if not 0 <= getattr(self, name) <= 1]
        weights = ("label_weight", "pose_weight", "rebuild_share", "reconstructor_rate")
        wrong += [name for name in weights if not getattr(self, name) >= 0]
        if self.rebuild_weight is not None and not self.rebuild_weight >= 0:
            wrong.append("rebuild_weight")
        if wrong:
            raise ValueError(
                f"{', '.join(shares)} must be in [0, 1] and weights at least 0, found "
                + ", ".join(f"{name}={getattr(self, name)}" for name in wrong)
            )


# Sec. 4.2, for the paper's own sizes of networks, pictures and data; its 80 epochs are not steps of
# ours, and T is not printed.
PAPER_RECIPE = Adaptation(
    batch=32, learning_rate=1e-4, label_weight=0.1, pose_weight=0.1, rebuild_weight=0.1
)


class Adapted(NamedTuple):
    """What came of it.

    Attributes:
        network: the detector, for evaluation.
        teacher: its moving average.
        history: of the training; `left_out` counts pairs without a person, which no picture was
            rebuilt from.
    """

    network: KeypointDetector
    teacher: KeypointDetector
    history: loop.History


def adapt(
    detector: KeypointDetector,
    source: Labelled,
    target: FramePairs,
    ranges: KinematicRanges,
    reconstructor: Reconstructor | None = None,
    recipe: Adaptation | None = None,
    seed: int = 0,
    *,
    features: PerceptualFeatures | None = None,
    **watch: Unpack[loop.Watch],
) -> Adapted:
    """Fine-tune a detector on pairs of frames without labels (Eq. 11).

    No label of the target can come in: there is no argument for one.

    Args:
        detector: trained on the source; it stays as it is.
        source: labelled pictures, against forgetting (L_sup).
        target: pairs of frames, of the detector's size.
        ranges: of the source's poses (`kinematics.source_ranges`), for 3D pseudo-labels.
        reconstructor: W and G (`load_reconstructor`); it stays as it is, too. Not needed where
            `recipe.rebuild` is False.
        recipe: what is switched on, and numbers.
        seed: of pictures, pairs and augmentations.
        features: phi of Eq. 9; default those of the detector as it was.
        **watch: checkpoint, progress, callback; see `loop.Watch`.

    Raises:
        ValueError: for pictures of another size, a number that is not finite, no reconstructor
            where one is needed, or one of another skeleton.
    """
    recipe = recipe or Adaptation()
    task = AdaptTask(detector, source, target, ranges, reconstructor, recipe, seed, features)
    history = loop.fit(
        task, recipe.steps, label="adapting the detector", identity=task.identity(), **watch
    )
    left_out = sum(row.get("left_out", 0.0) for row in history.rows)
    if left_out:
        log.warning(
            "in %.1f pairs of %d a step, on average, the detector found nobody to rebuild; they "
            "were left out: are there pictures without a person, or cut off?",
            left_out / len(history.rows),
            recipe.batch,
        )
    task.network.eval().requires_grad_(False)
    return Adapted(task.network, task.teacher.module, history)


class AdaptTask(loop.Saved):
    """Eq. 11, for `train.loop.fit`; the draws of step k are a function of (seed, k)."""

    parts: tuple[str, ...] = ("network", "teacher", "optimizer", "schedule", "weight")

    def __init__(
        self,
        detector: KeypointDetector,
        source: Labelled,
        target: FramePairs,
        ranges: KinematicRanges,
        reconstructor: Reconstructor | None,
        recipe: Adaptation,
        seed: int,
        features: PerceptualFeatures | None = None,
    ) -> None:
        _check(detector, source, target, reconstructor, recipe)
        self.recipe, self.seed, self.ranges = recipe, seed, ranges
        self.source, self.target = source, target
        self.skeleton = detector.skeleton
        self.device = next(detector.parameters()).device
        self.network = loop.Ema(detector).module.requires_grad_(True)  # a copy
        self.teacher = loop.Ema(detector)
        self.features = features or PerceptualFeatures.of_detector(detector)
        learned: list[dict[str, Any]] = [{"params": list(self.network.parameters())}]
        self.reconstructor = reconstructor if recipe.rebuild else None
        if self.reconstructor is not None:
            learns = recipe.reconstructor_rate > 0
            self.reconstructor = loop.Ema(self.reconstructor).module.requires_grad_(learns)
            if learns:
                weights = list(self.reconstructor.parameters())
                learned.append({"params": weights, "lr": recipe.reconstructor_rate})
                self.parts = (*self.parts, "reconstructor")
        networks = {
            "detector": detector,
            "reconstructor": self.reconstructor,
            "features": self.features,
        }
        self._begun_with = {
            name: network and checkpoints.state_hash(network.state_dict())
            for name, network in networks.items()
        }
        self.optimizer = torch.optim.Adam(learned, recipe.learning_rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: 1 - 0.9 * step / recipe.steps
        )
        self.weight = torch.tensor(recipe.rebuild_weight or 0.0, device=self.device)  # lambda_r
        self.begin = round(recipe.warm_up * recipe.steps)
        self.united = round(recipe.unite * recipe.steps)

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of Eq. 11."""
        recipe, count = self.recipe, self.recipe.batch
        random = runtime.generator((self.seed, step))
        known = self._known(random)
        base, driving, cameras = self._pairs(random)
        both = torch.cat([driving, base])  # (2 B, 3, S, S)
        labels, matrix, changed = self._labelled(both, cameras, random)
        self.network.train()
        # Source and target in one batch, so that normalisation sees both.
        with runtime.autocast(self.device, True):
            maps = self.network.maps(torch.cat([known.images, changed]))
        here, there = (
            Maps(*(m[part] for m in maps)) for part in (slice(count), slice(count, None))
        )
        supervised = supervised_loss(
            here, known.keypoints, known.depth, self.skeleton, recipe.depth_weight
        )
        scalars = {"heat": supervised.heat, "depth": supervised.depth}
        loss = supervised.total
        if labels is not None:
            united = step >= self.united and recipe.labels == "integrated"
            pose_weight = recipe.pose_weight if recipe.labels == "integrated" else 0.0
            believed = pseudo_label_loss(there, labels, self.skeleton, united, pose_weight)
            loss = loss + recipe.label_weight * believed.total
            scalars["pseudo"] = believed.total
        if self.reconstructor is not None and step >= self.begin:
            keypoints = _back(read(there, self.skeleton).keypoints, matrix)
            error, left_out = self.rebuilding_error(base, driving, keypoints)
            if recipe.rebuild_weight is None and step == self.begin:
                self.weight.fill_(self._measured_weight(loss, error))
            loss = loss + self.weight * error
            scalars |= {"rebuilding": error, "left_out": left_out}
        self._learn(loss)
        return scalars

    def identity(self) -> dict[str, Any]:
        """What a checkpoint has to have been made with."""
        target, ranges = self.target, self.ranges
        cameras = [(c.focal, c.center) for c in (target.base_camera, target.driving_camera)]
        parts = {
            "source": list(self.source),
            "target": [target.base, target.driving, *cameras],
            "ranges": [ranges.lengths, ranges.axes, ranges.angles],
        }
        hashes = {name: checkpoints.state_hash(part) for name, part in parts.items()}
        return {"recipe": asdict(self.recipe), "seed": self.seed} | hashes | self._begun_with

    def _known(self, random: torch.Generator) -> Labelled:
        """Pictures of the source, augmented."""
        chosen = torch.randint(len(self.source.images), (self.recipe.batch,), generator=random)
        batch = Labelled(*(part[chosen].to(self.device) for part in self.source))
        return augment(batch, self.skeleton, random)

    def _pairs(self, random: torch.Generator) -> tuple[Tensor, Tensor, Camera]:
        """Base and driving frames (B, 3, S, S), half of the pairs the other way round in time.

        The cameras are those of the driving and then of the base frames, 2 B.
        """
        count, target = self.recipe.batch, self.target
        chosen = torch.randint(len(target.base), (count,), generator=random)
        swapped = torch.rand(count, generator=random) < 0.5
        first, second = target.base[chosen], target.driving[chosen]
        other = swapped[:, None, None, None]
        base, driving = torch.where(other, second, first), torch.where(other, first, second)
        every, pairs = concatenate([target.base_camera, target.driving_camera]), len(target.base)
        after = torch.where(swapped, chosen, chosen + pairs)
        before = torch.where(swapped, chosen + pairs, chosen)
        cameras = every[torch.cat([after, before])]
        return base.to(self.device), driving.to(self.device), cameras.to(self.device)

    @torch.no_grad()
    def _labelled(
        self, images: Tensor, cameras: Camera, random: torch.Generator
    ) -> tuple[PseudoLabels | None, Tensor, Tensor]:
        """The teacher's labels of pictures, moved with them; how; and the changed pictures."""
        count = len(images) // 2
        draw = torch.rand(4, count, generator=random).to(images)
        angle = math.radians(20) * (2 * draw[0] - 1)
        zoom = 0.85 * (1.15 / 0.85) ** draw[1]
        # Both frames of a pair are moved alike: what moves between them is the person.
        matrix = similarity(angle, zoom, 0.08 * (draw[2:].T - 0.5)).repeat(2, 1, 1)
        nothing = images.new_zeros(len(images), 1, 2)
        moved = warp(Labelled(images, nothing, nothing[..., 0]), matrix)
        changed = degrade(recolor(moved, random), random).images
        if self.recipe.labels == "none":
            return None, matrix, changed
        with runtime.autocast(self.device, True):
            maps = self.teacher.module.maps(images)
        found = read(maps, self.skeleton)
        labels = pseudo_labels(found, cameras, self.ranges, self.skeleton, self.recipe.selection)
        if self.recipe.labels == "activation":
            labels = labels._replace(mask_3d=torch.zeros_like(labels.mask_3d))
        places, depth = labels.corrected[..., :2], labels.corrected[..., 2:]
        corrected = torch.cat([_forth(places, matrix), depth], -1)
        keypoints = _forth(labels.keypoints, matrix)
        return labels._replace(keypoints=keypoints, corrected=corrected), matrix, changed

    def rebuilding_error(
        self, base: Tensor, driving: Tensor, keypoints: Tensor
    ) -> tuple[Tensor, Tensor]:
        """L_rec (Eq. 9) of the pairs in which somebody is found, and how many are left out."""
        assert self.reconstructor is not None
        size = self.reconstructor.size
        after, before = keypoints.chunk(2)  # (B, K, 2) each
        gone = missing(before, self.skeleton) | missing(after, self.skeleton)
        left_out = gone.sum().float()
        if gone.all():
            return keypoints.sum() * 0.0, left_out
        base, driving, before, after = (part[~gone] for part in (base, driving, before, after))
        base, driving = (F.interpolate(x, (size, size), mode="area") for x in (base, driving))
        with runtime.autocast(self.device, True):
            rebuilt = self.reconstructor(base, before, after).images
        return reconstruction_loss(rebuilt.float(), driving, self.features).total.mean(), left_out

    def _measured_weight(self, loss: Tensor, error: Tensor) -> float:
        """lambda_r by the ratio of gradients at the detector's last layer."""
        last = self.network.head.weight
        others, ours = (
            torch.autograd.grad(part, last, retain_graph=True)[0].norm() for part in (loss, error)
        )
        return float(self.recipe.rebuild_share * others / ours.clamp_min(1e-12))

    def _learn(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        self.optimizer.step()
        self.schedule.step()
        self.teacher.step(self.network, self.recipe.teacher_decay)


def _forth(places: Tensor, matrix: Tensor) -> Tensor:
    """Places (N, K, 2) moved by matrices (N, 2, 3) of `training.similarity`."""
    return places @ matrix[..., :2].mT + matrix[:, None, :, 2]


def _back(places: Tensor, matrix: Tensor) -> Tensor:
    """The reverse of `_forth`."""
    return (places - matrix[:, None, :, 2]) @ torch.linalg.inv(matrix[..., :2]).mT


def _check(
    detector: KeypointDetector,
    source: Labelled,
    target: FramePairs,
    reconstructor: Reconstructor | None,
    recipe: Adaptation,
) -> None:
    """What would fail late, or pass silently."""
    frame = (3, detector.size, detector.size)
    for name, images in (("source", source.images), *target._asdict().items()):
        if not isinstance(images, Tensor):
            continue
        if images.ndim != 4 or not len(images) or tuple(images.shape[1:]) != frame:
            raise ValueError(
                f"{name} pictures must be (N, 3, {detector.size}, {detector.size}), N at least 1, "
                f"found {tuple(images.shape)}"
            )
        broken = ~images.flatten(1).isfinite().all(1)
        if broken.any():
            raise ValueError(
                f"{int(broken.sum())} {name} pictures hold NaN or infinity, the first is number "
                f"{int(broken.nonzero()[0])}: leave them out"
            )
    pairs = (len(target.base),)
    if len(target.driving) != pairs[0] or not (
        target.base_camera.shape == target.driving_camera.shape == pairs
    ):
        raise ValueError(
            f"expected as many driving frames and cameras as the {pairs[0]} base frames, found "
            f"{len(target.driving)}, {tuple(target.base_camera.shape)} and "
            f"{tuple(target.driving_camera.shape)}"
        )
    if not recipe.rebuild:
        return
    if reconstructor is None:
        raise ValueError(
            "nothing to rebuild pictures with: give reconstructor=load_reconstructor(), or "
            "Adaptation(rebuild=False)"
        )
    if reconstructor.skeleton != detector.skeleton:
        raise ValueError(
            f"the detector finds {detector.skeleton.name}, but the reconstructor moves "
            f"{reconstructor.skeleton.name}"
        )
