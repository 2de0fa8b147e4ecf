"""The bench of the experiments with the 2.5D detector: its training, pictures and scores.

Detectors are trained by the command of `shipping.command`, in `runs/reconstruction`; those that
are not there yet are trained first, about 20 minutes each on one core.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posenb.experiments import sweep
from posenb.measure.keypoints import pck
from posenb.reconstruction.lifting import bone_scale
from posenb.reconstruction.networks import Detection, KeypointDetector
from posenb.reconstruction.training import DetectorRecipe, labelled, train_detector
from posenb.train import loop
from posenb.world.clips import SMALLEST, load_real_clip
from posenb.world.rendering import render
from posenb.world.skeletons import BODY17

RUNS = Path("runs/reconstruction")  # checkpoints, where `train detector` leaves them
CLIP = "real clip"
CLIP_STRIDE = 2  # every second frame of the real clip, 50 in each of four views
THRESHOLD, WIDE = 0.05, 0.1  # of the picture's side: PCK@0.05, PCK@0.1
GROUPS = {
    "head": ("nose", "head_top"),
    "trunk": ("pelvis", "spine", "neck"),
    "shoulders": ("left_shoulder", "right_shoulder"),
    "elbows": ("left_elbow", "right_elbow"),
    "wrists": ("left_wrist", "right_wrist"),
    "hips": ("left_hip", "right_hip"),
    "knees": ("left_knee", "right_knee"),
    "ankles": ("left_ankle", "right_ankle"),
}
LIMBS = ("elbows", "wrists", "knees", "ankles")


class Scene(NamedTuple):
    """What a detector is scored on.

    Attributes:
        images: (N, 3, S, S).
        keypoints: in [0, 1] of the picture, (N, 17, 2).
        depth: metres behind the pelvis, (N, 17).
        scale: metres, (N,), see `bone_scale`.
        counted: (N, 17) bool; joints of rendered people count if they are in the picture, hidden
            or not, as in Human3.6M.
    """

    images: Tensor
    keypoints: Tensor
    depth: Tensor
    scale: Tensor
    counted: Tensor


@dataclass(frozen=True)
class Bench(sweep.Bench):
    """What a measurement stands on; the seed moves the training and the rendered pictures.

    Attributes:
        folder: of the checkpoints.
        pictures: of other people in other takes than those of the training.
        training: of a detector, whose domain and seed are set by those who train it.
    """

    folder: Path = RUNS
    pictures: int = 1000
    training: DetectorRecipe = DetectorRecipe()

    def train(self, domain: str, progress: bool = False) -> KeypointDetector:
        """A detector of a domain, in the half precision in which it is shipped.

        Raises:
            Interrupted: if its training was.
        """
        recipe = replace(self.training, domain=domain, seed=self.seed)
        with loop.whole():
            task, _ = train_detector(recipe, self.folder, progress=progress)
        return task.network.half().float().requires_grad_(False)

    def scene(self, pictures: str, size: int, strength: float = 1.0) -> Scene:
        """People of a domain's test split, or CLIP."""
        if pictures == CLIP:
            return filmed(size)
        people = render(pictures, self.pictures, self.seed, size, strength, split="test")
        inside = ((people.keypoints >= 0) & (people.keypoints <= 1)).all(-1)
        scale = bone_scale(people.joints3d, BODY17)
        return Scene(people.images, people.keypoints, people.depth, scale, inside)

    def constant(self, domain: str, answers: int) -> Detection:
        """The mean pose of a domain's training crops, as an answer to so many pictures."""
        keypoints, depth = _middle(domain, self.seed, self.pictures)
        return Detection(
            keypoints.expand(answers, -1, -1),
            torch.ones(answers, len(depth)),
            depth.expand(answers, -1),
        )

    def facts(self, *more: str) -> dict[str, Any]:
        """What all rows of a card share, and `training` or `clip_stride` where they matter."""
        recipe = {k: v for k, v in asdict(self.training).items() if k not in ("domain", "seed")}
        known = {"training": recipe, "clip_stride": CLIP_STRIDE}
        shared = {"pictures": self.pictures, "threshold": THRESHOLD}
        return shared | {name: known[name] for name in more}


@functools.cache
def _middle(domain: str, seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Mean keypoints (17, 2) and depths (17,); they are the same in pictures of any size."""
    people = labelled(render(domain, count, seed, SMALLEST, split="train"), BODY17)
    return people.keypoints.mean(0), people.depth.mean(0)


def filmed(size: int) -> Scene:
    """The real man in four views, where they agree."""
    clip = load_real_clip(stride=CLIP_STRIDE, size=size)
    views, frames = clip.valid.shape[:2]
    far = torch.stack([clip.cameras[v].to_camera(clip.joints3d)[..., 2] for v in range(views)])
    scale = bone_scale(clip.joints3d, BODY17).expand(views, frames)
    pelvis = BODY17.index("pelvis")
    depth = far - far[..., pelvis, None]  # (C, T, 17)
    parts = (clip.images, clip.keypoints / size, depth, scale, clip.valid)
    return Scene(*(part.flatten(0, 1) for part in parts))


def score(network: KeypointDetector, scene: Scene) -> dict[str, float]:
    """What `judge` says of a detector's answers."""
    return judge(detect(network, scene.images), scene)


@torch.no_grad()
def detect(network: KeypointDetector, images: Tensor, batch: int = 100) -> Detection:
    """Keypoints of many pictures, a batch at a time; where the network is, and back."""
    device = next(network.parameters()).device
    parts = [network(some.to(device)) for some in images.split(batch)]
    return Detection(*(torch.cat(part).to(images.device) for part in zip(*parts, strict=True)))


def judge(found: Detection, scene: Scene) -> dict[str, float]:
    """PCK@0.05 in per cent, over all joints and each group, and the error of depth.

    Returns:
        `PCK` of all joints, `limbs` (elbows, wrists, knees, ankles), each of GROUPS, and
        `depth (mm)`: the mean error of depth behind the pelvis, the person's size being known.
    """
    limbs = [joint for group in LIMBS for joint in GROUPS[group]]
    parts: dict[str, Sequence[str]] = {"PCK": BODY17.joints, "limbs": limbs, **GROUPS}
    scores = {name: percent(found.keypoints, scene, joints) for name, joints in parts.items()}
    off = (found.depth * scene.scale[:, None] - scene.depth).abs()
    return scores | {"depth (mm)": 1000 * float(off[scene.counted].mean())}


def percent(
    keypoints: Tensor, scene: Scene, joints: Sequence[str], threshold: float = THRESHOLD
) -> float:
    """PCK in per cent of some joints."""
    index = [BODY17.index(joint) for joint in joints]
    found, target, counted = (x[:, index] for x in (keypoints, scene.keypoints, scene.counted))
    return 100 * float(pck(found, target, threshold, counted))
