"""Somebody's own film, as a 2D detector wrote it, to 3D: `python -m posenb lift FILE`.

The lifters are at home at 15 frames a second, in `screen` units and with whole people. This module
brings a film there and the answer back: other skeletons, rates and picture sizes, joints and frames
in which nothing was found, and the size of a body, which no picture tells.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from posenb import assets
from posenb.posynda import sizes, windows
from posenb.posynda.adapt import Adaptation, adapt
from posenb.posynda.hypotheses import Aggregate, estimate_root
from posenb.posynda.lifting import lift, somebody
from posenb.posynda.networks import Denoiser, merged
from posenb.posynda.weights import RATE, load_lifter
from posenb.train import loop, runtime
from posenb.world.cameras import Camera
from posenb.world.datasets.detections import Track
from posenb.world.skeletons import BODY17, convert

FOCAL = 1.145  # longer sides of the picture: Human3.6M's, and so that of the lifters' source
SOURCE = 2000  # windows of the source that an adaptation goes on learning from
_PIECE = 320  # frames lifted between two marks of the progress bar

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Film3D:
    """A person in 3D through the F frames of a film, in the camera's frame (x right, y down).

    Attributes:
        joints3d: of BODY17, from the pelvis, metres, (F, 17, 3); finite everywhere.
        valid: frames in which the person was seen, (F,); a guess stands in the others.
        visible: joints that were seen, or made of seen ones, (F, 17).
        root: place of the pelvis, metres, (F, 3); as good as the focal length is.
        keypoints: the 2D that was lifted, pixels, (F, 17, 2); filled in where not `visible`.
        fps: frames a second.
        size: (width, height) of the picture in pixels.
        focal: length in pixels.
        factor: what the size was multiplied by (`sizes.resize`).
        source: the file.
    """

    joints3d: Tensor
    valid: Tensor
    visible: Tensor
    root: Tensor
    keypoints: Tensor
    fps: float
    size: tuple[float, float]
    focal: float
    factor: float
    source: str

    def __len__(self) -> int:
        """Number of frames F."""
        return len(self.joints3d)


def lift_film(
    track: Track,
    fps: float,
    size: tuple[float, float] | None = None,
    *,
    height: float | None = None,
    focal: float | None = None,
    lifter: str = "mixste",
    hypotheses: int = 5,
    aggregate: Aggregate = "mean",
    adaptation: Adaptation | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Film3D:
    """Lift one person of a film.

    The film is sampled at `RATE`, between its frames where need be, lifted, and the poses are
    sampled again at its own rate. Measured once (in no card) on 16 people each of our stand-ins, 3
    s at 30 frames a second, MPJPE in mm with the size that the lifter finds / of adults / of the
    known height: `lab` 89 / 90 / 92, `stage` 128 / 127 / 130, `outdoor` 95 / 90 / 81. At the film's
    own rate the last are 92, 128 and 83, and joints jump twice as far from frame to frame as they
    should (51 mm off an even path, where the truth is 21 off, and 20 so). A focal length of 1.145
    where the lens has .73 leaves the poses alone and puts people 1.5 times as far away.

    The real man of `world.clips`, in four views at 60: 129 mm as lifted, 105 with his height (1.64
    by his limbs), 107 so at the film's own rate; `mixste_stage` 119 and 114. An adaptation to his
    1.7 seconds took 101 to 88 mm in one view and 99 to 114 in another: look at the scene of both.

    Args:
        track: from `datasets.detections.track`; any skeleton from which `skeletons.convert` makes
            BODY17.
        fps: of the film, frames a second.
        size: (width, height) of the picture in pixels; default that of the track.
        height: of the person, standing, metres; default: any that adults have (`sizes.resize`).
        focal: length in pixels; default `FOCAL` longer sides. The poses do not depend on it but
            for the aggregates that look at rays; `root` is as far away as it is long.
        lifter: a name for `load_lifter`.
        hypotheses: how many, as for `lift`.
        aggregate: how one pose is made of them, as for `lift`.
        adaptation: adapts the lifter to this film first; None leaves it as it is.
        checkpoint: file that an adaptation resumes from and saves to.
        seed: of the noise.
        progress: show a bar.

    Raises:
        ValueError: for a rate, size, height or focal length that cannot be, joints from which no
            BODY17 is made, or if nobody is seen.
    """
    size = size or track.size
    _check(fps, size, focal)
    assert size is not None
    long = max(size)
    focal = FOCAL * long if focal is None else focal
    found = body17(track)  # (F, 17, 2), pixels, NaN where not seen
    valid = somebody(found[None], track.source)[0]  # (F,)
    _say_jumps(found[valid], track.source)
    visible = ~found.isnan().any(-1)  # (F, 17)
    whole = completed(windows.fill(found[None])[0])
    lens = Camera(
        torch.eye(3), torch.zeros(3), torch.full((2,), float(focal)), torch.tensor(size) / 2
    )
    screen, camera = windows.to_screen(whole[None].float(), lens, long)  # (1, F, 17, 2)
    ratio = fps / RATE  # frames of the film a frame of the lifter
    times = torch.arange(0.0, max(len(found) - 1, 0) + 1e-6, ratio)  # (T,), in frames of the film
    slow = at(screen[0], times)  # (T, 17, 2)
    model = load_lifter(lifter)
    if adaptation is not None:
        model = adapted(model, slow, camera, adaptation, seed, checkpoint, progress)
    poses = _lift(model, slow, camera, hypotheses, aggregate, seed, progress)  # (T, 17, 3)
    poses = at(poses, torch.arange(len(found)) / ratio)  # (F, 17, 3)
    sized = sizes.resize(
        poses[None], "adult" if height is None else float(height), valid=valid[None]
    )
    seen = screen.where(visible[None, ..., None], torch.nan)
    root = estimate_root(sized.joints3d[:, None], seen, camera)[0, 0]  # (F, 3)
    return Film3D(
        sized.joints3d[0],
        valid,
        visible,
        root,
        whole,
        fps,
        size,
        float(focal),
        float(sized.factor),
        track.source,
    )


def body17(track: Track) -> Tensor:
    """Keypoints (F, 17, 2) of BODY17, pixels; NaN where they were not seen.

    Raises:
        ValueError: if the track's joints have no names that make BODY17's limbs.
    """
    known = track.keypoints.where(track.visible[..., None], torch.nan)
    converted = convert(known, track.skeleton, BODY17)
    limbs = [j for j in BODY17.joints if j.startswith(("left", "right"))]
    missing = [j for j in limbs if converted.status[BODY17.index(j)] == "missing"]
    if len(missing) > len(limbs) / 2:
        raise ValueError(
            f"{track.source}: the joints {', '.join(track.skeleton.joints[:6])}, ... do not make "
            f"the body that is lifted: no {', '.join(missing[:4])}, ..."
        )
    return converted.keypoints.float()


def _say_jumps(found: Tensor, source: str) -> None:
    """Warn if most frames (F, 17, 2) show somebody elsewhere: pictures, and no film."""
    low = found.nan_to_num(torch.inf).amin(1)
    high = found.nan_to_num(-torch.inf).amax(1)  # (F, 2)
    middle, size = (low + high) / 2, (high - low).amax(1)
    far = (middle[1:] - middle[:-1]).norm(dim=1) > 0.5 * torch.maximum(size[1:], size[:-1])
    if far.sum() > len(far) / 2:
        log.warning(
            "%s: in %d of %d steps from frame to frame the person is more than half a body away: "
            "is this one film? Single pictures cannot be lifted together",
            *(source, int(far.sum()), len(far)),
        )


def at(frames: Tensor, times: Tensor) -> Tensor:
    """Frames (F, ...) at times (T,), counted in frames, between them where need be; (T, ...)."""
    last = len(frames) - 1
    before = times.clamp(0, last).floor().long()
    share = (times.clamp(0, last) - before).to(frames).view(-1, *[1] * (frames.ndim - 1))
    return frames[before] + share * (frames[(before + 1).clamp(max=last)] - frames[before])


def completed(keypoints: Tensor) -> Tensor:
    """Keypoints (F, 17, 2) with a guess for joints that no frame shows, such as legs below a desk.

    The usual person of the lifters' source, upright, is put over what is seen, frame by frame. The
    lifters were taught on whole people, and a missing joint spoils their answer to all others.
    """
    never = keypoints.isnan().any(-1)  # (F, 17)
    if not never.any() or never.all():
        return keypoints
    usual = windows.sample(windows.domain("lab"), 256, 0, 1).keypoints[:, 0]  # (256, 17, 2)
    usual = (usual - usual[:, :1]).mean(0).to(keypoints)  # (17, 2)
    there = ~never[0]  # the same joints in all frames
    seen, like = keypoints[:, there], usual[there]
    seen_mean, like_mean = seen.mean(1, keepdim=True), like.mean(0)
    spread = (like - like_mean).square().sum().clamp(min=1e-9)
    scale = ((seen - seen_mean) * (like - like_mean)).sum((1, 2)) / spread  # (F,)
    extent = (seen - seen_mean).norm(dim=-1).mean(1) / (like - like_mean).norm(dim=-1).mean()
    scale = scale.where(scale > 0.3 * extent, extent)[:, None, None]  # who lies is not upside down
    guess = seen_mean + scale * (usual - like_mean)  # (F, 17, 2)
    return keypoints.where(~never[..., None], guess)


def adapted(
    model: Denoiser,
    slow: Tensor,
    camera: Camera,
    recipe: Adaptation,
    seed: int,
    checkpoint: Path | None,
    progress: bool,
) -> Denoiser:
    """The lifter, adapted to keypoints (T, 17, 2) of a film in `screen` units.

    Raises:
        Interrupted: if it was stopped; the next call goes on from the checkpoint.
    """
    some = windows.sample(windows.domain("lab"), SOURCE, seed, model.frames, fps=RATE)
    target = windows.cut(slow, model.frames, 1)  # (M, frames, 17, 2)
    with loop.whole():
        learned = adapt(
            *(model, some, target, camera, recipe, seed), checkpoint=checkpoint, progress=progress
        )
    return merged(learned.model)


def _lift(
    model: Denoiser,
    slow: Tensor,
    camera: Camera,
    hypotheses: int,
    aggregate: Aggregate,
    seed: int,
    progress: bool,
) -> Tensor:
    """Poses (T, 17, 3) of keypoints (T, 17, 2) at the lifter's rate, piece by piece."""
    poses = []
    with runtime.Progress(len(slow), "lifting", enabled=progress) as bar:
        for piece in slow.split(_PIECE - _PIECE % model.frames):
            found = lift(model, piece[None], camera, hypotheses, aggregate=aggregate, seed=seed)
            poses.append(found.joints3d[0])
            bar.update(len(piece))
    return torch.cat(poses)


def _check(fps: float, size: tuple[float, float] | None, focal: float | None) -> None:
    """Raise a ValueError for what no film has."""
    if not 1 <= fps <= 1000:
        raise ValueError(f"a film has 1 to 1000 frames a second, found fps {fps:g}")
    if size is None:
        raise ValueError(
            "the file does not say how large the picture is: give its width and height in pixels "
            "(--width 1920 --height 1080)"
        )
    if not all(1 <= side < 1e5 for side in size):
        raise ValueError(f"width and height are pixels, found {size[0]:g} x {size[1]:g}")
    if focal is not None and not 0.1 * max(size) <= focal <= 20 * max(size):
        raise ValueError(
            f"a focal length is in pixels, for most lenses 0.6 to 3 times the longer side of the "
            f"picture ({max(size):g}), found {focal:g}"
        )


def write(film: Film3D, folder: str | Path) -> tuple[Path, ...]:
    """Write a film for other programs; equal films give equal numbers.

    - `lifted.npz`: the attributes of `Film3D`, and `joints`, their names; no pickles.
    - `lifted.csv`: a row a frame: number, seconds, 1 where somebody was seen, place of the pelvis,
      then three columns a joint, metres from the pelvis; empty where nobody was seen.

    The command `lift` writes a scene and a sheet of pictures as well (`course.posynda.film.write`).

    Args:
        film: from `lift_film`.
        folder: made if it is not there; files of these names in it are replaced.

    Returns:
        The files written.
    """
    files = {"lifted.npz": _npz(film), "lifted.csv": _csv(film)}
    return assets.write_all(folder, files)


def _npz(film: Film3D) -> bytes:
    buffer = io.BytesIO()
    content: Mapping[str, np.ndarray] = {
        name: value.numpy() if isinstance(value, Tensor) else np.array(value)
        for name, value in vars(film).items()
    }
    names = {"joints": np.array(BODY17.joints), "skeleton": np.array(BODY17.name)}
    np.savez_compressed(buffer, **content, **names)  # type: ignore[arg-type]
    return buffer.getvalue()


def _csv(film: Film3D) -> bytes:
    names = [f"{joint}_{axis}" for joint in ("root", *BODY17.joints) for axis in "xyz"]
    lines = [",".join(["frame", "seconds", "valid", *names])]
    rows = torch.cat([film.root[:, None], film.joints3d], 1).flatten(1).tolist()  # (F, 54)
    for frame, (row, there) in enumerate(zip(rows, film.valid.tolist(), strict=True)):
        cells = [f"{value:.4f}" if there else "" for value in row]
        lines.append(",".join([str(frame), f"{frame / film.fps:.4f}", str(int(there)), *cells]))
    return ("\n".join(lines) + "\n").encode()
