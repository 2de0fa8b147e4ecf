"""The bench of the experiments with adaptation: one start, one target without labels, one test.

All methods start from the shipped detector of `synthetic` and see the same pictures; the seed moves
those, the pairs and the steps, not the detector's own training.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posenb.experiments import sweep
from posenb.experiments.reconstruction.bench import Scene, score
from posenb.reconstruction.adapt import Adaptation, AdaptTask, FramePairs
from posenb.reconstruction.kinematics import source_ranges
from posenb.reconstruction.lifting import bone_scale
from posenb.reconstruction.networks import KeypointDetector
from posenb.reconstruction.pseudo_labels import Selection
from posenb.reconstruction.training import Labelled, labelled
from posenb.reconstruction.weights import load_detector, load_reconstructor
from posenb.train import loop
from posenb.world.cameras import concatenate
from posenb.world.clips import VideoPairs, video_pairs
from posenb.world.recipes import Split
from posenb.world.rendering import Rendered, render
from posenb.world.skeletons import BODY17

SOURCE = "synthetic"
HELD_OUT = 1_000_000  # added to the seed of the pictures that are scored


class ShuffledTask(AdaptTask):
    """A control: each picture is rebuilt, and compared with that of another pair.

    Its error tells nothing of where keypoints are. What it gains, any further loss would gain.
    """

    def rebuilding_error(
        self, base: Tensor, driving: Tensor, keypoints: Tensor
    ) -> tuple[Tensor, Tensor]:
        """L_rec against a wrong picture."""
        return super().rebuilding_error(base, driving.roll(1, 0), keypoints)


class Method(NamedTuple):
    """One way to adapt.

    Attributes:
        changes: of the bench's recipe.
        task: what is trained.
        knows: the target's labels are given, as if it were the source.
    """

    changes: dict[str, Any] | None = None
    task: type[AdaptTask] = AdaptTask
    knows: bool = False


_SUPERVISED: dict[str, Any] = {"labels": "none", "rebuild": False}
METHODS = {
    "source only": Method(None),
    "source only, longer": Method(_SUPERVISED),
    "mean teacher, constant threshold": Method(
        {"labels": "activation", "rebuild": False, "selection": Selection(threshold=0.5)}
    ),
    "mean teacher, quantile": Method({"labels": "activation", "rebuild": False}),
    "integrated pseudo-labels": Method({"rebuild": False}),
    "with reconstruction": Method({}),
    "W and G learning on": Method({"reconstructor_rate": 5e-4}),
    "control: shuffled pictures": Method({}, ShuffledTask),
    "oracle": Method(_SUPERVISED, knows=True),
}


@dataclass(frozen=True)
class AdaptBench(sweep.Bench):
    """What all methods share.

    Attributes:
        target: the domain without labels.
        pairs: of frames of the target that are learned from, and so many pictures of the source.
        held_out: pairs of other people in other takes that are scored, both frames of each.
        strides: frames between the two of a pair, least and largest.
        margin: how many times as wide as the person a crop is.
        recipe: that methods change.
    """

    target: str = "lab"
    pairs: int = 800
    held_out: int = 1000
    strides: tuple[int, int] = (5, 15)
    margin: float = 1.3
    recipe: Adaptation = field(default_factory=Adaptation)

    @property
    def suffix(self) -> str:
        """The target, where it is not `lab`."""
        return "" if self.target == "lab" else f"_{self.target}"

    def start(self) -> KeypointDetector:
        """The detector that all methods start from."""
        return load_detector(SOURCE)

    def adapted(self, method: str, progress: bool = False) -> KeypointDetector:
        """What becomes of it by a method.

        Raises:
            Interrupted: if its training was.
        """
        way, start = METHODS[method], self.start()
        if way.changes is None:
            return start
        recipe = replace(self.recipe, **way.changes)
        pairs = self.filmed("train", start.size)
        cameras = pairs.base_camera, pairs.driving_camera
        task = way.task(
            start,
            self.known(start.size) if not way.knows else _labels(pairs),
            FramePairs(pairs.base.images, pairs.driving.images, *cameras),
            source_ranges(SOURCE, BODY17, seed=self.seed),
            load_reconstructor(SOURCE) if recipe.rebuild else None,
            recipe,
            self.seed,
        )
        with loop.whole():
            loop.fit(task, recipe.steps, progress=progress, label=method)
        return task.network.eval().requires_grad_(False)

    def known(self, size: int) -> Labelled:
        """Labelled pictures of the source."""
        return _known(2 * self.pairs, self.seed, size)

    def filmed(self, split: Split, size: int) -> VideoPairs:
        """Pairs of the target."""
        train = split == "train"
        count = self.pairs if train else self.held_out
        seed = self.seed if train else self.seed + HELD_OUT
        return _filmed(self.target, count, self.strides, seed, size, self.margin, split)

    def scene(self, size: int) -> Scene:
        """Both frames of every held-out pair."""
        pairs = self.filmed("test", size)
        people = pairs.base, pairs.driving

        def both(part: Callable[[Rendered], Tensor]) -> Tensor:
            return torch.cat([part(one) for one in people])

        keypoints = both(lambda one: one.keypoints)
        inside = ((keypoints >= 0) & (keypoints <= 1)).all(-1)
        scale = bone_scale(both(lambda one: one.joints3d), BODY17)
        images, depth = both(lambda one: one.images), both(lambda one: one.depth)
        return Scene(images, keypoints, depth, scale, inside)

    def measure(self, method: str) -> dict[str, float]:
        """Scores of the adapted detector, see `bench.judge`."""
        network = self.adapted(method)
        return score(network, self.scene(network.size))

    def facts(self) -> dict[str, Any]:
        """What all rows of a card share."""
        shared = {name: getattr(self, name) for name in ("target", "pairs", "held_out", "margin")}
        return shared | {"strides": list(self.strides), "recipe": asdict(self.recipe)}


def _labels(pairs: VideoPairs) -> Labelled:
    """Pictures of the target with their labels, for the oracle."""
    parts = zip(*(labelled(people, BODY17) for people in (pairs.base, pairs.driving)), strict=True)
    return Labelled(*(torch.cat(part) for part in parts))


@functools.lru_cache(2)
def _known(count: int, seed: int, size: int) -> Labelled:
    return labelled(render(SOURCE, count, seed, size), BODY17)


@functools.lru_cache(2)
def _filmed(
    domain: str,
    count: int,
    strides: tuple[int, int],
    seed: int,
    size: int,
    margin: float,
    split: Split,
) -> VideoPairs:
    """Pairs of every stride, about as many of each."""
    steps = range(strides[0], strides[1] + 1)
    counts = [count // len(steps) + (i < count % len(steps)) for i in range(len(steps))]
    parts = [
        video_pairs(domain, number, stride, seed + 1000 * stride, size, split=split, margin=margin)
        for stride, number in zip(steps, counts, strict=True)
        if number
    ]
    return VideoPairs(
        _joined([part.base for part in parts]),
        _joined([part.driving for part in parts]),
        concatenate([part.base_camera for part in parts]),
        concatenate([part.driving_camera for part in parts]),
        tuple(action for part in parts for action in part.action),
        tuple(subject for part in parts for subject in part.subject),
    )


def _joined(parts: Sequence[Rendered]) -> Rendered:
    names = [field.name for field in fields(Rendered)]
    return Rendered(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
