"""Pictures of people with what is known about them (used from notebook 00 on).

All axes are filled with pictures whose sides go from 0 to 1, so keypoints can be drawn over them as
they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from torch import Tensor

from posenb.course.show.figures import draw_pose
from posenb.course.show.style import INK
from posenb.world.clouds import PARTS
from posenb.world.skeletons import BODY17, Skeleton

if TYPE_CHECKING:
    from posenb.world.rendering import Rendered

__all__ = ["part_colors", "show_film", "show_image", "show_joints", "show_labels"]

Array = NDArray[Any]

# The bone that lends a part its colour, by the joint at its end, and how dark it gets.
_BONES = {
    "head": ("nose", 1.0), "torso": ("neck", 1.0), "hips": ("spine", 1.0),
    "upper_arm": ("elbow", 1.0), "forearm": ("wrist", 1.0), "hand": ("wrist", 0.7),
    "thigh": ("knee", 1.0), "shank": ("ankle", 1.0), "foot": ("ankle", 0.6),
}  # fmt: skip


def show_image(axes: Axes, image: Tensor, title: str = "", faded: float = 0.0) -> None:
    """A picture without ticks, its sides from 0 to 1, in its own proportions.

    Keypoints in pixels, such as `PoseSet.pixels`, are drawn over it once divided by (W, H).

    Args:
        axes: where.
        image: (3, H, W) in [0, 1].
        title: above it, in the middle.
        faded: how far it is on its way to white, for drawing over it.
    """
    pixels = image.detach().float().cpu().permute(1, 2, 0).numpy().clip(0, 1)  # (H, W, 3)
    if faded:
        grey = pixels.mean(-1, keepdims=True)
        pixels = (1 - faded) * np.broadcast_to(grey, pixels.shape) + faded
    height, width, _ = pixels.shape
    aspect = height / width  # of a unit up to a unit across: both are the whole picture
    axes.imshow(pixels, extent=(0, 1, 1, 0), interpolation="nearest", aspect=aspect)
    axes.set(xlim=(0, 1), ylim=(1, 0), xticks=(), yticks=())
    axes.set_axis_off()
    axes.set_title(title, loc="center", fontsize=13, fontweight="normal")


def show_joints(
    axes: Axes,
    keypoints: Tensor,
    visible: Tensor,
    skeleton: Skeleton = BODY17,
    width: float = 3.0,
) -> None:
    """Bones in their colours, with a full dot at every visible joint and a ring at the others.

    Args:
        axes: filled by `show_image`.
        keypoints: in [0, 1] of the picture, (J, 2); a NaN is left out, what is outside cut off.
        visible: (J,) bool.
        skeleton: names the bones.
        width: of a bone, points.
    """
    draw_pose(axes, keypoints, skeleton, width, joints=False)
    for seen, fill in ((visible, INK), (~visible, "white")):
        x, y = keypoints[seen].detach().cpu().T
        axes.scatter(x, y, s=(1.8 * width) ** 2, c=fill, edgecolors=INK, linewidths=1.2, zorder=5)


def show_film(
    axes: Axes,
    images: Tensor,
    keypoints: Tensor,
    visible: Tensor,
    columns: Sequence[str],
    rows: Sequence[str] = (),
    width: float = 2.2,
) -> None:
    """Pictures in rows and columns with their keypoints, all in the same axes, which is fast.

    Args:
        axes: where; its unit is one picture.
        images: (R, C, 3, S, S) in [0, 1].
        keypoints: in [0, 1] of each picture, (R, C, J, 2), of BODY17; NaN where there is none.
        visible: (R, C, J) bool: a full dot, or a ring.
        columns: titles, C of them.
        rows: names, R of them, or none.
        width: of a bone, points.

    Raises:
        ValueError: if the shapes or the number of titles do not fit.
    """
    high, wide = images.shape[:2]
    if keypoints.shape[:2] != (high, wide) or len(columns) != wide or len(rows) not in (0, high):
        raise ValueError(
            f"{high} x {wide} pictures, but keypoints of {tuple(keypoints.shape)}, "
            f"{len(columns)} titles and {len(rows)} row names"
        )
    sheet = torch.cat([torch.cat(list(row), -1) for row in images], -2)  # (3, R S, C S)
    axes.imshow(sheet.permute(1, 2, 0).cpu().numpy().clip(0, 1), extent=(0, wide, high, 0))
    for row in range(high):
        for column in range(wide):
            place = keypoints.new_tensor([column, row])
            show_joints(axes, keypoints[row, column] + place, visible[row, column], width=width)
    axes.hlines(range(1, high), 0, wide, colors="white", linewidths=5, zorder=6)
    axes.vlines(range(1, wide), 0, high, colors="white", linewidths=5, zorder=6)
    axes.set(xlim=(0, wide), ylim=(high, 0))
    axes.set_xticks([column + 0.5 for column in range(wide)], columns)
    axes.set_yticks([row + 0.5 for row in range(len(rows))], rows, rotation=90, va="center")
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)


def show_labels(row: Sequence[Axes], person: Rendered) -> None:
    """What is known about one picture: keypoints, depth, and which part a pixel shows.

    Args:
        row: three axes.
        person: one picture of `rendering.render`, such as `rendered[0]`.
    """
    joints, depth, parts = row
    show_image(joints, person.images, "keypoints (ring: hidden)")
    show_joints(joints, person.keypoints, person.visible)
    show_image(depth, person.images, "depth behind the pelvis", faded=0.6)
    draw_pose(depth, person.keypoints, BODY17, 2.0, color="#BBBBBB", joints=False)
    x, y = person.keypoints.cpu().T
    reach = max(0.1, float(person.depth.abs().max()))
    dots = depth.scatter(
        x, y, c=person.depth.cpu(), s=70, cmap="cividis_r", norm=Normalize(-reach, reach),
        edgecolors=INK, linewidths=0.8, zorder=5,
    )  # fmt: skip
    # inside the panel, so that all three stay equally large
    bar = joints.figure.colorbar(
        dots, cax=depth.inset_axes((0.08, 0.07, 0.5, 0.035)), orientation="horizontal"
    )
    bar.set_ticks([-reach, 0, reach], labels=[f"{-reach:.1f}", "0", f"{reach:.1f} m"])
    bar.ax.tick_params(labelsize=10, length=0, pad=2)
    show_image(parts, _colored(person.parts), "part of each pixel")


def part_colors() -> Array:
    """Colours of `clouds.PARTS`, (P, 3), taken from the bones; what is no person is pale grey."""
    bones = {
        BODY17.joints[child]: color
        for (_, child), color in zip(BODY17.bones, BODY17.colors, strict=True)
    }
    colors = [np.full(3, 0.93)]
    for part in PARTS[1:]:
        side = next((s for s in ("left_", "right_") if part.startswith(s)), "")
        joint, shade = _BONES[part.removeprefix(side)]
        colors.append(shade * np.array(bones[f"{side}{joint}"]))
    return np.array(colors)


def _colored(parts: Tensor) -> Tensor:
    """A part mask (H, W) as a picture (3, H, W)."""
    return torch.from_numpy(part_colors())[parts.cpu().long()].permute(2, 0, 1)
