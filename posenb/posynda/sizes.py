"""How large lifted people are, and what adults can be (notebook 06).

A picture does not tell a small person near by from a tall one far away, so a lifter answers with
the size that people had where it learned. Where they differ, or where the image scale does, whole
lifts are too large or too small by one factor. Nothing in 2D gives it away; a body does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from posenb.world.skeletons import BODY17, Skeleton

# Lengths of limbs as shares of standing height, by the joints at their ends: Drillis and Contini
# (1966), as printed in Winter, Biomechanics and Motor Control of Human Movement. Limbs only: they
# end in joints that data sets agree on; hips, neck and head are marked at other places in each.
LIMBS = {
    ("hip", "knee"): 0.245,
    ("knee", "ankle"): 0.246,
    ("shoulder", "elbow"): 0.186,
    ("elbow", "wrist"): 0.146,
}
# Metres: from where 5 % of women are shorter to where 5 % of men are taller, of 6,000 adults
# measured in the survey ANSUR II (Gordon et al., 2014).
ADULTS = (1.52, 1.87)
_TALLEST = 3.0  # metres: beyond this a height was given in other units

Body = Literal["adult"] | float | Tensor


@dataclass(frozen=True)
class Sized:
    """Poses brought to a size.

    Attributes:
        joints3d: root-relative, metres, (N, T, J, 3).
        factor: what they were multiplied by, (N,).
        height: standing height that their limbs now have, metres, (N,); NaN where no limb is seen.
    """

    joints3d: Tensor
    factor: Tensor
    height: Tensor


def height(joints3d: Tensor, skeleton: Skeleton = BODY17, valid: Tensor | None = None) -> Tensor:
    """Standing height that the limbs of people tell, in metres: one of each person.

    The sum of a frame's limbs by the sum of their shares of an adult's height; of a person, the
    median of the frames. True limbs of one adult tell it within some 4 %: people are proportioned
    differently. A mean of hypotheses has shorter limbs than a body, by some 5 %.

    Args:
        joints3d: of N people, metres, (N, T, J, 3); NaN where a joint is missing.
        skeleton: of the J joints.
        valid: frames that count, (N, T); default all.

    Returns:
        (N,); NaN for somebody of whom no frame has a limb.

    Raises:
        ValueError: for other shapes, or a skeleton without limbs.
    """
    if joints3d.ndim != 4 or joints3d.shape[2:] != (len(skeleton), 3):
        raise ValueError(
            f"poses have shape {tuple(joints3d.shape)}, expected (N, T, {len(skeleton)}, 3): one "
            "film of one person is poses[None]"
        )
    names = skeleton.joints
    limbs = [
        (names.index(f"{side}_{upper}"), names.index(f"{side}_{lower}"), share)
        for side in ("left", "right")
        for (upper, lower), share in LIMBS.items()
        if f"{side}_{upper}" in names and f"{side}_{lower}" in names
    ]
    if not limbs:
        raise ValueError(f"skeleton {skeleton.name} has no limbs to tell a height by")
    first, last, share = zip(*limbs, strict=True)
    length = (joints3d[..., list(first), :] - joints3d[..., list(last), :]).norm(dim=-1)
    shares = torch.tensor(share).to(length).expand_as(length).where(~length.isnan(), 0.0)
    tall = length.nansum(-1) / shares.sum(-1)  # (N, T): NaN without a limb
    if valid is not None:
        if valid.shape != tall.shape:
            raise ValueError(f"valid {tuple(valid.shape)}: expected {tuple(tall.shape)}, (N, T)")
        tall = tall.where(valid, torch.nan)
    return tall.nanmedian(1).values  # (N,)


def resize(
    joints3d: Tensor,
    body: Body,
    skeleton: Skeleton = BODY17,
    valid: Tensor | None = None,
) -> Sized:
    """Poses of N people, each multiplied by one factor so that the person is as tall as known.

    Args:
        joints3d: root-relative, metres, (N, T, J, 3); NaN where a joint is missing.
        body: `adult`: who is shorter or taller than `ADULTS` is brought to the nearer end, and
            nobody else is touched; or standing heights in metres, one or N. A height moves the
            limbs to the length that such a person usually has.
        skeleton: of the J joints.
        valid: frames that tell the size, (N, T); default all. All frames are resized.

    Returns:
        Poses, factors, heights; people of whom no limb is seen keep their size.

    Raises:
        ValueError: for other words, heights that no person has, or other shapes.
    """
    tall = height(joints3d, skeleton, valid)  # (N,)
    if isinstance(body, str):
        if body != "adult":
            raise ValueError(f"body must be 'adult' or a height in metres, found {body!r}")
        wanted = tall.clamp(*ADULTS)
    else:
        wanted = torch.as_tensor(body).to(tall)
        if wanted.shape not in ((), tall.shape):
            raise ValueError(f"found {tuple(wanted.shape)} heights for {len(tall)} people")
        if not ((wanted > 0) & (wanted <= _TALLEST)).all():
            raise ValueError(
                f"a body height must be in metres, above 0 and up to {_TALLEST:g}, found "
                f"{float(wanted.min()):g} to {float(wanted.max()):g}"
            )
    factor = (wanted / tall).nan_to_num(1.0, posinf=1.0)
    return Sized(joints3d * factor[:, None, None, None], factor, tall * factor)


def change(before: Tensor, after: Tensor, skeleton: Skeleton = BODY17) -> float:
    """By how much the same people (N, T, J, 3) have grown: 1.1 is 10 % taller (median)."""
    return float((height(after, skeleton) / height(before, skeleton)).nanmedian())
