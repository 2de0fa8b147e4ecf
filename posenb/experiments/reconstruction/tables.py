"""The chapter's experiments (`python -m posenb table reconstruction.detector`, and so on).

Their detectors are trained by the command of `training.command`, in `runs/reconstruction`; those
that are not there yet are trained first, about 20 minutes each on one core.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posenb.experiments.sweep import run_table
from posenb.measure.keypoints import pck
from posenb.reconstruction.lifting import bone_scale
from posenb.reconstruction.networks import Detection, KeypointDetector
from posenb.reconstruction.training import DetectorRecipe, labelled, train_detector
from posenb.train import loop
from posenb.world.clips import SMALLEST, load_real_clip
from posenb.world.rendering import render
from posenb.world.skeletons import BODY17

RUNS = Path("runs/reconstruction")  # checkpoints, where `train detector` leaves them
PICTURES = 1000  # of other people in other takes than those of the training
CLIP_STRIDE = 2  # every second frame of the real clip, 50 in each of four views
THRESHOLD = 0.05  # of the picture's side: PCK@0.05
WIDE = 0.1
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

SOURCE, ORACLE = "source only", "oracle"
LEARNED_FROM = {SOURCE: "synthetic", ORACLE: "lab"}
CLIP = "real clip"
MEANS = {f"mean pose of {domain}": domain for domain in LEARNED_FROM.values()}
SCORED_ON = ("synthetic", "lab", "outdoor", CLIP)
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


def detector(
    seeds: Sequence[int] = (0, 1, 2), jobs: int = 1, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `reconstruction.detector`: PCK@0.05 of joint groups, here and there.

    The seed moves the training and the rendered pictures. The oracle learned from labels of `lab`,
    other people in other takes. On the real clip the labels are detections themselves, those that
    four views agree on; pelvis, spine and neck are means of hips and shoulders there, and OpenPose
    puts hips and the top of the head elsewhere than the renderer does, so that `trunk`, `hips` and
    `head` hold a difference of convention, which `limbs` leaves out.
    """
    recipes = [DetectorRecipe(d, seed=s) for d in LEARNED_FROM.values() for s in seeds]
    _train(recipes, folder)
    rows = [{"detector": d, "pictures": p} for d in LEARNED_FROM for p in SCORED_ON]
    return run_table(
        "reconstruction.detector",
        rows,
        seeds,
        lambda row, seed: detector_row(row["detector"], row["pictures"], seed, folder),
        jobs=jobs,
        configuration=_configuration() | {"clip_stride": CLIP_STRIDE},
    )


def mean_pose(seeds: Sequence[int] = (0, 1, 2), jobs: int = 1) -> dict[str, Any]:
    """Card `reconstruction.mean_pose`: what somebody finds who never looks at the picture.

    A constant answer, the mean keypoints and depths of a domain's training crops, on the pictures
    of card `reconstruction.detector` and scored alike, with PCK@0.1 besides. The seed moves crops
    and rendered pictures.
    """

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        scene = scene_of(row["pictures"], seed, SMALLEST)
        found = constant(MEANS[row["detector"]], seed, len(scene.images))
        wide = _percent(found.keypoints, scene, BODY17.joints, WIDE)
        return judge(found, scene) | {"PCK@0.1": wide}

    rows = [{"detector": d, "pictures": p} for d in MEANS for p in SCORED_ON]
    shared = {"pictures": PICTURES, "threshold": THRESHOLD, "clip_stride": CLIP_STRIDE}
    return run_table(
        "reconstruction.mean_pose", rows, seeds, measure, jobs=jobs, configuration=shared
    )


def constant(domain: str, seed: int, answers: int, count: int = PICTURES) -> Detection:
    """The mean pose of `count` training crops of a domain, as an answer to so many pictures."""
    keypoints, depth = _middle(domain, seed, count)
    return Detection(
        keypoints.expand(answers, -1, -1),
        torch.ones(answers, len(depth)),
        depth.expand(answers, -1),
    )


@functools.cache
def _middle(domain: str, seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Mean keypoints (17, 2) and depths (17,); they are the same in pictures of any size."""
    people = labelled(render(domain, count, seed, SMALLEST, split="train"), BODY17)
    return people.keypoints.mean(0), people.depth.mean(0)


def gap(seeds: Sequence[int] = (0, 1, 2), jobs: int = 1, folder: Path = RUNS) -> dict[str, Any]:
    """Card `reconstruction.gap`: what the look of `lab` costs the source-only detector.

    The same people, poses and cameras at every strength; only the look and the annotators'
    convention come in.
    """
    _train([DetectorRecipe(LEARNED_FROM[SOURCE], seed=seed) for seed in seeds], folder)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        network = trained(DetectorRecipe(LEARNED_FROM[SOURCE], seed=seed), folder)
        return score(network, rendered("lab", seed, network.size, strength=row["strength"]))

    rows = [{"strength": strength} for strength in STRENGTHS]
    return run_table(
        "reconstruction.gap", rows, seeds, measure, jobs=jobs, configuration=_configuration()
    )


def detector_row(
    name: str, pictures: str, seed: int, folder: Path = RUNS, count: int = PICTURES
) -> dict[str, float]:
    """Scores of one detector on one kind of pictures.

    Args:
        name: key of LEARNED_FROM.
        pictures: one of SCORED_ON.
        seed: of the training and of rendered pictures.
        folder: with the checkpoint.
        count: number of rendered pictures.
    """
    network = trained(DetectorRecipe(LEARNED_FROM[name], seed=seed), folder)
    return score(network, scene_of(pictures, seed, network.size, count))


def scene_of(pictures: str, seed: int, size: int, count: int = PICTURES) -> Scene:
    """One of SCORED_ON."""
    return recorded(size) if pictures == CLIP else rendered(pictures, seed, size, count)


def score(network: KeypointDetector, scene: Scene) -> dict[str, float]:
    """What `judge` says of a detector's answers."""
    return judge(detect(network, scene.images), scene)


def judge(found: Detection, scene: Scene) -> dict[str, float]:
    """PCK@0.05 in per cent, over all joints and each group, and the error of depth.

    Returns:
        `PCK` of all joints, `limbs` (elbows, wrists, knees, ankles), each of GROUPS, and
        `depth (mm)`: the mean error of depth behind the pelvis, the person's size being known.
    """
    scores = {"PCK": _percent(found.keypoints, scene, BODY17.joints)}
    limbs = [joint for g in ("elbows", "wrists", "knees", "ankles") for joint in GROUPS[g]]
    scores["limbs"] = _percent(found.keypoints, scene, limbs)
    for group, joints in GROUPS.items():
        scores[group] = _percent(found.keypoints, scene, joints)
    off = (found.depth * scene.scale[:, None] - scene.depth).abs()
    return scores | {"depth (mm)": 1000 * float(off[scene.counted].mean())}


def rendered(
    domain: str, seed: int, size: int, count: int = PICTURES, strength: float = 1.0
) -> Scene:
    """People of a domain's test split."""
    people = render(domain, count, seed, size, strength, split="test")
    inside = ((people.keypoints >= 0) & (people.keypoints <= 1)).all(-1)
    scale = bone_scale(people.joints3d, BODY17)
    return Scene(people.images, people.keypoints, people.depth, scale, inside)


def recorded(size: int) -> Scene:
    """The real man in four views, where they agree."""
    clip = load_real_clip(stride=CLIP_STRIDE, size=size)
    views, frames = clip.valid.shape[:2]
    far = torch.stack([clip.cameras[v].to_camera(clip.joints3d)[..., 2] for v in range(views)])
    scale = bone_scale(clip.joints3d, BODY17).expand(views, frames)
    pelvis = BODY17.index("pelvis")
    depth = far - far[..., pelvis, None]  # (C, T, 17)
    parts = (clip.images, clip.keypoints / size, depth, scale, clip.valid)
    return Scene(*(part.flatten(0, 1) for part in parts))


@torch.no_grad()
def detect(network: KeypointDetector, images: Tensor, batch: int = 100) -> Detection:
    """Keypoints of many pictures, a batch at a time; where the network is, and back."""
    device = next(network.parameters()).device
    parts = [network(some.to(device)) for some in images.split(batch)]
    return Detection(*(torch.cat(part).to(images.device) for part in zip(*parts, strict=True)))


@loop.whole()
def trained(recipe: DetectorRecipe, folder: Path = RUNS) -> KeypointDetector:
    """A finished detector, in the half precision in which it is shipped.

    Raises:
        Interrupted: if its training was.
    """
    task, _ = train_detector(recipe, folder, progress=False)
    return task.network.half().float().requires_grad_(False)


@loop.whole()
def _train(recipes: Sequence[DetectorRecipe], folder: Path) -> None:
    """Train what is not finished, one after the other: cells of a table may run side by side."""
    for recipe in recipes:
        train_detector(recipe, folder)


def _configuration() -> dict[str, Any]:
    training = {k: v for k, v in asdict(DetectorRecipe()).items() if k not in ("domain", "seed")}
    return {"pictures": PICTURES, "threshold": THRESHOLD, "training": training}


def _percent(
    keypoints: Tensor, scene: Scene, joints: Sequence[str], threshold: float = THRESHOLD
) -> float:
    index = [BODY17.index(joint) for joint in joints]
    found, target, counted = (x[:, index] for x in (keypoints, scene.keypoints, scene.counted))
    return 100 * float(pck(found, target, threshold, counted))


TABLES: dict[str, Callable[..., dict[str, Any]]] = {
    "detector": detector,
    "gap": gap,
    "mean_pose": mean_pose,
}
