"""Contact sheets of everything that is rendered, and of the real clip, for figures/people.

Run as `python -m posenb.build.sheets [name ...]`; see SHEETS for the names. Half of the pictures on
a sheet show their labels too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from posenb.train.cards import repository
from posenb.world.clips import load_real_clip, videos
from posenb.world.drawing import draw_skeletons
from posenb.world.rendering import Rendered, render
from posenb.world.skeletons import BODY17, FACE68, HAND21, Skeleton

__all__ = ["SHEETS", "films", "labelled", "real", "rendered", "write"]

SHEETS = (
    "synthetic", "lab", "outdoor", "hands_rendered", "hands_real", "faces_video", "faces_wild",
    "real_clip", "films",
)  # fmt: skip
SIZE = 176  # pixels of a picture
STRIP = 112  # and of a frame of a film
COUNT, COLUMNS = 16, 4
GAP = 3  # white pixels between pictures
SEED = 7


def labelled(images: Tensor, keypoints: Tensor, visible: Tensor, skeleton: Skeleton) -> Tensor:
    """Pictures (N, 3, S, S) with their skeletons (N, J, 2) in [0, 1] drawn over them."""
    size = images.shape[-1]
    thickness = 0.008 if skeleton is FACE68 else 0.014
    lines = draw_skeletons(keypoints, skeleton, size, thickness, visible)
    cover = lines.amax(1, keepdim=True).clamp(0, 1)  # (N, 1, S, S)
    return images * (1 - cover) + lines


def rendered(name: str) -> Tensor:
    """Pictures of a domain, (COUNT, 3, SIZE, SIZE), every second row with its labels."""
    result: Rendered = render(name, COUNT, SEED, SIZE)
    skeleton = {21: HAND21, 68: FACE68}.get(result.keypoints.shape[1], BODY17)
    inside = ((result.keypoints > -1) & (result.keypoints < 2)).all(-1)
    drawn = labelled(result.images, result.keypoints, inside, skeleton)
    second = torch.arange(COUNT) // COLUMNS % 2 == 1
    return torch.where(second[:, None, None, None], drawn, result.images)


def real() -> Tensor:
    """The real clip: four views at four moments, with the keypoints that can be trusted."""
    clip = load_real_clip(stride=25, size=SIZE)
    rows = (
        part.transpose(0, 1).flatten(0, 1) for part in (clip.images, clip.keypoints, clip.valid)
    )
    images, keypoints, valid = rows  # a moment after the other
    return labelled(images, keypoints / SIZE, valid, clip.skeleton)


def films() -> Tensor:
    """Strips of eight frames, 1 / 15 to 2 / 15 seconds apart: lab, outdoor, a hand and a face."""
    strips = [
        videos(name, 1, 8, seed, STRIP, stride).frames.images
        for name, seed, stride in (
            ("lab", 5, 4),
            ("outdoor", 4, 2),
            ("hands_real", 6, 3),
            ("faces_video", 6, 3),
        )  # fmt: skip
    ]
    return torch.cat(strips)  # (32, 3, STRIP, STRIP)


def write(images: Tensor, columns: int, path: Path) -> None:
    """Save pictures (N, 3, S, S) as one PNG with 256 colours."""
    count, _, size, _ = images.shape
    step, rows = size + GAP, -(-count // columns)
    sheet = np.full((rows * step - GAP, columns * step - GAP, 3), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * step, number % columns * step
        pixels = (image.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
        sheet[top : top + size, left : left + size] = pixels
    few = Image.fromarray(sheet).quantize(256, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    few.save(path, optimize=True)


def main() -> None:
    """Write the sheets that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SHEETS], default=[], metavar="name")
    parser.add_argument("--folder", type=Path, help="default: figures/people of the repository")
    options = parser.parse_args()
    folder = options.folder or repository() / "figures" / "people"
    for name in options.names or SHEETS:
        images = {"real_clip": real, "films": films}.get(name, lambda n=name: rendered(n))()
        path = folder / f"{name}.png"
        write(images, 8 if name == "films" else COLUMNS, path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
