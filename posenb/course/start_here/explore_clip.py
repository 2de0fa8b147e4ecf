"""The explorer "the real man" of notebook 00: one moment of the clip in four views and in 3D."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from posenb.course.show import figures, people
from posenb.course.show.explorer import Controls, Slider, checked
from posenb.course.show.style import FAINT
from posenb.world.clips import RealClip, load_real_clip
from posenb.world.skeletons import BODY17

SIZE = 128  # pixels

CONTROLS: Controls = {
    "frame": Slider("frame (60 a second)", 0, 99, 30, 1),
    "turn": Slider("skeleton seen from around, °", -180, 180, -40, 10),
}


@dataclass(frozen=True, eq=False)
class Moment:
    """What the explorer shows: one frame.

    Attributes:
        images: (4, 3, SIZE, SIZE) in [0, 1].
        keypoints: in [0, 1] of the pictures, (4, 17, 2); NaN where nothing was found.
        valid: (4, 17) bool.
        skeleton: the joints seen from the chosen side, metres to the right and up, (17, 2).
        second: since the clip began.
    """

    images: Tensor
    keypoints: Tensor
    valid: Tensor
    skeleton: Tensor
    second: float


def compute(parameters: Mapping[str, Any]) -> Moment:
    """One frame of the clip.

    Args:
        parameters: a value for each of `CONTROLS`.

    Raises:
        ValueError: if a control is missing, unknown or beyond its range.
    """
    values = checked(CONTROLS, parameters)
    clip, frame = _clip(), round(values["frame"])
    turn = math.radians(values["turn"])
    right = torch.tensor([math.sin(turn), 0.0, math.cos(turn)])
    joints = clip.joints3d[frame] - clip.joints3d.new_tensor(middle())
    return Moment(
        images=clip.images[:, frame],
        keypoints=found(clip)[:, frame],
        valid=clip.valid[:, frame],
        skeleton=torch.stack([joints @ right, joints[:, 1]], -1),  # (17, 2)
        second=frame / clip.fps,
    )


def draw(state: Moment, figure: Figure) -> None:
    """Draw a state: four views with the labels, and the skeleton in space."""
    views, space = figure.subplots(1, 2, width_ratios=(4, 1))
    titles = [f"camera {number}" for number in range(len(state.images))]
    people.show_film(views, state.images[None], state.keypoints[None], state.valid[None], titles)
    space.axhline(0, color=FAINT, linewidth=1.5)
    figures.draw_pose(space, state.skeleton, BODY17, 4.0)
    space.set(xlim=(-1.05, 1.05), ylim=(-0.12, 1.98), aspect="equal")
    space.set_axis_off()
    space.set_title(f"in space, {state.second:.2f} s", loc="center", fontsize=13, weight="normal")


def found(clip: RealClip) -> Tensor:
    """The clip's keypoints in [0, 1] of its pictures, NaN where there are none, (C, T, 17, 2)."""
    places = clip.keypoints / clip.images.shape[-1]
    return torch.where(clip.confidence[..., None] > 0, places, torch.nan)


@cache
def middle() -> tuple[float, float, float]:
    """The place on the floor that the skeleton is drawn around, world, metres."""
    x, _, z = _clip().joints3d.mean((0, 1)).tolist()
    return x, 0.0, z


@cache
def _clip() -> RealClip:
    return load_real_clip(size=SIZE)
