"""Films of real data sets as source and target (PoSynDA, Tables 1, 2 and 4), and the real clip.

Keypoints are the ground truth's, as in the paper: projected joints, or what 3DHP's files hold. All
windows are in units `screen` (see `windows`), on which published lifters are trained; on the plane
z = 1 the focal length would be gone, and with it part of what there is to adapt to. Windows lie
side by side, at the films' own frame rates (50, 25 to 50, and 30 a second; the paper takes 3DPW
at 25).
What adapts itself learns from films that it is not scored on. (The published code learns from the
2D of the very test set that it is scored on.)
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posenb.posynda import windows
from posenb.posynda.windows import Windows
from posenb.train import checkpoints, runtime
from posenb.world.cameras import Camera, concatenate
from posenb.world.clips import SMALLEST, VALID_PIXELS, RealClip, load_real_clip
from posenb.world.datasets import DatasetError, human36m, mpi_inf_3dhp, parse, short_name, threedpw
from posenb.world.datasets.sequences import Sequence3D
from posenb.world.domains import Split
from posenb.world.skeletons import BODY17

KINDS = ("human36m", "mpi_inf_3dhp", "threedpw")
TRAINING, HELD_OUT = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")  # of Human3.6M
MISSING = {"threedpw": ("nose", "head_top")}  # joints that SMPL does not have
CLIP_WIDTH = 1920  # original pixels: the longer side of the real clip's pictures
CLIP_STRIDE = 1  # frames from one window that is learned from to the next
AGREEING = 3  # views, of four, that have to agree on a joint of the clip if it is to count
FARTHEST = 8.0  # half image widths from the principal point; beyond, nothing was seen


@dataclass(frozen=True)
class Recorded:
    """A data set on disk.

    3DHP is a folder with `data_train_3dhp.npz` and `data_test_3dhp.npz` (TS1 to TS6), 3DPW one
    with the official folders `train` and `test`. Human3.6M is one file, and split by subjects; if
    these are the same on both sides, every other take of each of their actions is held out.

    Attributes:
        name: `human36m:PATH`, `mpi_inf_3dhp:PATH` or `threedpw:PATH`.
        train: subjects of Human3.6M to learn from.
        test: subjects of Human3.6M to be scored on.
    """

    name: str
    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Which data set it is."""
        return parse(self.name)[0]

    @property
    def label(self) -> str:
        """The kind, and who is scored."""
        return " ".join((self.kind, *self.test))

    @property
    def complete(self) -> bool:
        """Whether all joints of BODY17 are known."""
        return self.kind not in MISSING

    def sample(self, count: int, seed: int, frames: int, split: Split = "train") -> Windows:
        """Windows drawn without replacement, all if there are no more than `count`.

        Of the test films, joints that are not known are 0 in 3D. Where some are never known,
        windows to learn from have no 3D at all.

        Raises:
            DatasetError: if a file is missing, damaged, or has no such window.
        """
        everything, _ = _windows(self, frames, split)
        chosen = _chosen(len(everything), count, seed)
        return everything if chosen is None else everything[chosen]

    def counted(self, count: int, seed: int, frames: int) -> Tensor:
        """Which joints of `sample`'s test windows are scored, (N, T, J) bool.

        Those known in 3D, in frames whose root is known, and not in the padding of a film's end.
        """
        everything, counted = _windows(self, frames, "test")
        chosen = _chosen(len(everything), count, seed)
        return counted if chosen is None else counted[chosen]

    def describe(self, frames: int) -> dict[str, Any]:
        """What a card says of it: no path, but how many windows there are, and their hash."""
        parts: dict[Split, Windows] = {s: _windows(self, frames, s)[0] for s in ("train", "test")}
        sizes = {f"{split} windows": len(part) for split, part in parts.items()}
        digest = checkpoints.state_hash([part.keypoints for part in parts.values()])
        subjects = {"train": list(self.train), "test": list(self.test)}
        return {"data": short_name(self.name), **subjects, **sizes, "digest": digest}


def route(source: str, target: str) -> tuple[Recorded, Recorded]:
    """Source and target by their names (Sec. 4.1).

    From Human3.6M to itself: from S1 to S5, S6, S7 and S8 (the lower half of Table 1), where the
    paper learns from all takes that it is scored on. Else its source are the five usual subjects,
    and S9 and S11 say what the lifters are worth at home.

    Raises:
        ValueError: for other kinds of data, or a source that does not know all joints in 3D.
    """
    for name in (source, target):
        if parse(name)[0] not in KINDS:
            raise ValueError(f"expected films ({', '.join(f'{k}:PATH' for k in KINDS)}): {name!r}")
    first, second = Recorded(source), Recorded(target)
    own = first.kind == second.kind
    if own and first.kind != "human36m":
        raise ValueError(f"source and target are both {first.kind}: only human36m has such a route")
    if not first.complete:
        missing = ", ".join(MISSING[first.kind])
        raise ValueError(f"{first.kind} does not know {missing} in 3D: it cannot be a source")
    if first.kind == "human36m":
        first = Recorded(source, TRAINING[:1] if own else TRAINING, HELD_OUT)
    if second.kind == "human36m":
        learned, scored = (TRAINING[1:], TRAINING[1:]) if own else (TRAINING, HELD_OUT)
        second = Recorded(target, learned, scored)
    return first, second


@functools.lru_cache(maxsize=4)  # either split of a source and a target
def _windows(data: Recorded, frames: int, split: Split) -> tuple[Windows, Tensor]:
    """All windows of a split, and which of their joints count, (N, T, J).

    Those to learn from are in a random order, so that the first of them show everybody.
    """
    known = [j for j, name in enumerate(BODY17.joints) if name not in MISSING.get(data.kind, ())]
    parts = [_cut(film, frames, known, split) for film in _films(data, split)]
    if not parts:  # two takes of an action are needed to hold one out
        reason = f"there is none to {'be scored on' if split == 'test' else 'learn from'}"
        raise DatasetError(parse(data.name)[1], f"{split} films", reason)
    keypoints, joints, root, counted, cameras, whose = zip(*parts, strict=True)
    names = [pair for pairs in whose for pair in pairs]
    if not names:
        reason = f"found no window of {frames} frames in which the {len(known)} joints are seen"
        raise DatasetError(parse(data.name)[1], f"{split} films", reason)
    scored = split == "test"
    found = Windows(
        torch.cat(keypoints),
        concatenate(cameras),
        torch.cat(joints) if scored or data.complete else None,
        None if scored else torch.cat(root),
        tuple(action for action, _ in names),
        tuple(subject for _, subject in names),
    )
    if scored:
        return found, torch.cat(counted)
    order = torch.randperm(len(found), generator=runtime.generator(0))
    return found[order], torch.cat(counted)[order]


def _films(data: Recorded, split: Split) -> Iterator[Sequence3D]:
    """The films of a split."""
    kind, path = parse(data.name)
    if kind == "mpi_inf_3dhp":
        return mpi_inf_3dhp.sequences(Path(path) / f"data_{split}_3dhp.npz")
    if kind == "threedpw":
        return threedpw.sequences(Path(path) / split)
    found = human36m.sequences(path, subjects=getattr(data, split))
    return found if data.train != data.test else _every_other_take(found, split)


def _every_other_take(films: Iterator[Sequence3D], split: Split) -> Iterator[Sequence3D]:
    """Of each subject's takes of an action, the first, third, ... to learn from, or the others."""
    takes: dict[tuple[str, str], list[str]] = {}
    for film in films:
        take = film.source.rpartition("/")[0]  # what stands behind it is the camera
        seen = takes.setdefault((film.subject, film.action), [])
        if take not in seen:
            seen.append(take)
        if (seen.index(take) % 2 == 1) == (split == "test"):
            yield film


def _cut(
    film: Sequence3D, frames: int, known: list[int], split: Split
) -> tuple[Tensor, Tensor, Tensor, Tensor, Camera, list[tuple[str, str]]]:
    """Usable windows of a film: keypoints, joints, root, what counts, cameras, (action, subject).

    In all frames the known joints have to be seen and, of what is learned from, known in 3D too.
    """
    pixels = film.keypoints.where(film.visible[..., None], torch.nan)
    screen, camera = windows.to_screen(pixels[None], film.camera[:1], film.width)
    screen = screen[0].where(screen[0].abs() < FARTHEST, torch.nan)  # (F, J, 2)
    inside = film.camera.to_camera(film.joints3d)  # (F, J, 3)
    valid = film.valid & film.valid[:, :1]
    joints = (inside - inside[:, :1]).where(valid[..., None], 0.0)
    number = windows.cut(torch.arange(len(film)), frames)  # (W, T)
    fresh = number.diff(prepend=number[:, :1] - 1) > 0  # padding repeats the last frame
    usable = ~screen[:, known].isnan().any(-1).any(-1)  # (F,)
    if split == "train":
        usable = usable & valid[:, known].all(-1)
    counted = valid[number] & fresh[..., None]  # (W, T, J)
    kept = usable[number].all(1) & counted.flatten(1).any(1)
    chosen = number[kept]
    count = len(chosen)
    eye, origin = torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3)
    lens = Camera(eye, origin, camera.focal.expand(count, 2), camera.center.expand(count, 2))
    whose = [(film.action, film.subject)] * count
    return screen[chosen], joints[chosen], inside[chosen][..., 0, :], counted[kept], lens, whose


def _chosen(available: int, count: int, seed: int) -> Tensor | None:
    """Which windows are drawn; None: all."""
    if available <= count:
        return None
    return torch.randperm(available, generator=runtime.generator((seed, 11)))[:count]


# --- The real clip -------------------------------------------------------------------------------


class Seen(NamedTuple):
    """What is known of a target without labels: keypoints (N, T, J, 2), and N cameras."""

    keypoints: Tensor
    camera: Camera

    def to(self, device: torch.device | str) -> Seen:
        """The same on another device."""
        return Seen(self.keypoints.to(device), self.camera.to(device))


def seen(views: Sequence[int], fps: float) -> Seen:
    """Detections in some views of the real clip (S, F, 17, 2), NaN where none, and the cameras.

    In halves of the longer side of the picture, which is upright, from the principal point,
    straightened, as lifters take them. The clip has 60 frames a second; a view makes 60 / fps
    sequences that take turns in its frames.

    Raises:
        ValueError: if the clip cannot be shared out among sequences of that rate.
    """
    film = _film()
    known = film.keypoints.where((film.confidence > 0)[..., None], torch.nan)  # (4, F, 17, 2)
    parts = [
        windows.to_screen(
            known[v : v + 1], film.cameras[v : v + 1], CLIP_WIDTH / float(film.pixel[v])
        )
        for v in views
    ]
    keypoints, cameras = zip(*parts, strict=True)
    turns = _turns(torch.cat(keypoints), fps)
    each = torch.arange(len(views)).repeat_interleave(len(turns) // len(views))
    return Seen(turns, concatenate(cameras)[each])


def unlabelled(views: Sequence[int], frames: int, fps: float) -> Seen:
    """Windows (M, T, 17, 2) of detections in some views, and M cameras without their places."""
    keypoints, camera = seen(views, fps)
    parts = [windows.cut(view, frames, CLIP_STRIDE) for view in keypoints]
    index = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(p) for p in parts]))
    eye, origin = torch.eye(3).expand(len(index), 3, 3), torch.zeros(len(index), 3)
    return Seen(torch.cat(parts), Camera(eye, origin, camera.focal[index], camera.center[index]))


def labels(views: Sequence[int], fps: float) -> tuple[Tensor, Tensor]:
    """Triangulated joints in each camera's frame, roots aligned (S, F, 17, 3); which count.

    In the order of `seen`.
    """
    film = _film()
    agree = (film.reprojection_error < VALID_PIXELS).sum(0) >= AGREEING  # (F, 17)
    inside = torch.stack([film.cameras[v].to_camera(film.joints3d) for v in views])
    counted = agree.expand(len(views), -1, -1)
    return _turns(inside - inside[:, :, :1], fps), _turns(counted, fps)


def _turns(views: Tensor, fps: float) -> Tensor:
    """Sequences (S, F, ...) at a rate below the clip's, of views (C, frames, ...)."""
    every = _film().fps / fps
    if every != round(every) or views.shape[1] % round(every):
        raise ValueError(
            f"the clip's {views.shape[1]} frames at {_film().fps:g} a second make no sequences of "
            f"{fps:g}: take a rate that divides both, such as 15 or 30"
        )
    return views.unflatten(1, (-1, round(every))).transpose(1, 2).flatten(0, 1)


@functools.cache
def _film() -> RealClip:
    return load_real_clip(size=SMALLEST)  # nobody looks at the pictures here
