"""Images a second of `draw_skeletons` beside a loop over cv2.line and the plain broadcast.

Run as `python tests/benchmarks/bench_drawing.py [--threads 2]`. All ways draw the same poses in
the same run, turn about, and the best of five rounds counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from posenb.world import domains
from posenb.world.drawing import draw_skeletons
from posenb.world.skeletons import BODY17

SUPERSAMPLING = 4
THICKNESS = 0.05


def with_opencv(keypoints: Tensor, size: int) -> Tensor:
    """cv2.line on four times the resolution, shrunk: what most code in the field does."""
    images = []
    for pose in keypoints.numpy() * size * SUPERSAMPLING:
        canvas = np.zeros((size * SUPERSAMPLING, size * SUPERSAMPLING, 3), np.uint8)
        for (parent, child), color in zip(BODY17.bones, BODY17.colors, strict=True):
            cv2.line(
                canvas,
                tuple(map(int, pose[parent])),
                tuple(map(int, pose[child])),
                tuple(255 * channel for channel in color),
                max(1, round(THICKNESS * size * SUPERSAMPLING)),
                cv2.LINE_AA,
            )
        images.append(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def with_broadcast(keypoints: Tensor, size: int) -> Tensor:
    """Every pixel against every bone, all at once."""
    ticks = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    pixel = torch.stack([x, y], -1)
    parents, children = torch.tensor(BODY17.bones).T
    a, b = (keypoints[:, j, None, None] for j in (parents, children))  # (N, bones, 1, 1, 2)
    bone = b - a
    share = ((pixel - a) * bone).sum(-1) / bone.square().sum(-1).clamp_min(1e-8)
    distance = (pixel - a - share.clamp(0, 1)[..., None] * bone).norm(dim=-1)
    cover = ((THICKNESS / 2 - distance) * size + 0.5).clamp(0, 1)  # (N, bones, S, S)
    image = torch.zeros(len(keypoints), 3, size, size)
    for number, color in enumerate(BODY17.colors):
        image = image.lerp(torch.tensor(color)[:, None, None], cover[:, number, None])
    return image


def rate(draw: Callable[[Tensor, int], Tensor], keypoints: Tensor, size: int) -> float:
    """Images a second of one round."""
    began = time.perf_counter()
    draw(keypoints, size)
    return len(keypoints) / (time.perf_counter() - began)


def with_gradient(keypoints: Tensor, size: int) -> Tensor:
    """`draw_skeletons` forwards and backwards."""
    leaf = keypoints.clone().requires_grad_()
    draw_skeletons(leaf, BODY17, size, THICKNESS).sum().backward()
    return leaf


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    keypoints = domains.get("wild").sample(4096, 0).keypoints
    ways: dict[str, tuple[Callable[[Tensor, int], Tensor], int]] = {
        "draw_skeletons": (lambda k, s: draw_skeletons(k, BODY17, s, THICKNESS), 4096),
        "with gradient": (with_gradient, 2048),
        "cv2.line loop": (with_opencv, 1024),
        "plain broadcast": (with_broadcast, 64),
    }
    print(f"torch threads: {torch.get_num_threads()}")
    for size in (32, 64, 128):
        best = dict.fromkeys(ways, 0.0)
        for _ in range(5):
            for name, (draw, count) in ways.items():
                best[name] = max(best[name], rate(draw, keypoints[:count], size))
        for name, value in best.items():
            ratio = best["draw_skeletons"] / value
            print(f"{size:4d} px  {name:16s} {value:9,.0f} images/s   1/{ratio:.1f}")


if __name__ == "__main__":
    main()
