"""Bone transforms beside softmax regions with SVD; steps of fine-tuning with and without L_rec.

Run as `python tests/benchmarks/bench_reconstruction.py [--threads 1]`. The regions are those of
"Motion Representations for Articulated Animation" (Siarohin et al. 2021), written here from the
paper: a softmax over the pixels of each heat map, mean and covariance, `torch.linalg.svd`, and
`torch.linalg.inv` of the driving transform. Both ways by maps get theirs ready made: the network
that predicts heat maps there is not counted, nor the drawing of bone maps here. All ways transform
the same poses in the same run, turn about, and the best of five rounds counts. The last lines say
how steep each is at a round region, whose singular values are equal, and at bones without length.
Then come steps of Eq. 11, in processor time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from posenb.experiments.reconstruction.adapting import AdaptBench
from posenb.reconstruction.adapt import Adaptation, AdaptTask, FramePairs
from posenb.reconstruction.bones import (
    bone_maps,
    directed_transforms,
    pixel_centres,
    sampling_transforms,
    svd_transforms,
)
from posenb.reconstruction.kinematics import source_ranges
from posenb.reconstruction.weights import load_reconstructor
from posenb.world import domains
from posenb.world.skeletons import BODY17

TEMPERATURE = 0.1


def regions(heat: Tensor) -> tuple[Tensor, Tensor]:
    """U S^(1/2), (N, J, 2, 2), and means, (N, J, 2), of heat maps (N, J, h, w)."""
    weight = (heat / TEMPERATURE).flatten(2).softmax(-1)  # (N, J, h w)
    pixels = pixel_centres(heat.shape[-2], heat.shape[-1], heat).flatten(0, 1)
    mean = weight @ pixels
    away = pixels - mean[..., None, :]  # (N, J, h w, 2)
    covariance = torch.einsum("njp,njpa,njpb->njab", weight, away, away)
    u, s, _ = torch.linalg.svd(covariance)
    return u * s.sqrt()[..., None, :], mean


def by_regions(base: Tensor, driving: Tensor) -> Tensor:
    """T of heat maps (N, J, h, w) of both pictures."""
    (a, mean_a), (b, mean_b) = regions(base), regions(driving)
    linear = a @ torch.linalg.inv(b)
    return torch.cat([linear, mean_a[..., None] - linear @ mean_b[..., None]], -1)


def by_svd(base: Tensor, driving: Tensor) -> Tensor:
    """Eq. 7 as printed, of bone maps (N, J, h, w), with the SVD in closed form."""
    middle = torch.zeros(*base.shape[:2], 2)
    return sampling_transforms(svd_transforms(base, middle), svd_transforms(driving, middle))


def directed(base: Tensor, driving: Tensor) -> Tensor:
    """The default: of keypoints (N, K, 2)."""
    return sampling_transforms(*(directed_transforms(pose, BODY17) for pose in (base, driving)))


def seconds(way: Callable[[Tensor, Tensor], Tensor], base: Tensor, driving: Tensor) -> float:
    """Of one round, with the gradient of what goes in."""
    inputs = [given.clone().requires_grad_() for given in (base, driving)]
    began = time.perf_counter()
    way(*inputs).square().sum().backward()
    return time.perf_counter() - began


def at_a_round_region() -> dict[str, float]:
    """Largest slope of each way where both singular values are equal."""
    pixels = pixel_centres(16, 16, torch.zeros(()))
    spot = torch.exp(-pixels.square().sum(-1) / 0.1)[None, None]
    slopes = {}
    for name, way in (
        ("softmax regions, SVD", lambda maps: regions(maps)[0]),
        ("bone maps, closed SVD", lambda maps: svd_transforms(maps, torch.zeros(1, 1, 2))),
    ):
        maps = spot.clone().requires_grad_()
        found = way(maps)
        (found * torch.arange(found.numel()).view_as(found)).sum().backward()
        assert maps.grad is not None
        slopes[name] = float(maps.grad.abs().max())
    point = torch.full((1, 17, 2), 0.5, requires_grad=True)  # all bones without length
    directed_transforms(point, BODY17).sum().backward()
    assert point.grad is not None
    return slopes | {"directed bones": float(point.grad.abs().max())}


def fine_tuning(rounds: int = 6) -> dict[str, float]:
    """Processor seconds of a step of Eq. 11 at 96 pixels, 16 pairs, in turn; the least of each."""
    bench = AdaptBench(pairs=32)
    start, pairs = bench.start(), bench.filmed("train", 96)
    cameras = pairs.base_camera, pairs.driving_camera
    frames = FramePairs(pairs.base.images, pairs.driving.images, *cameras)
    given = start, bench.known(96), frames, source_ranges("synthetic", BODY17, 500)
    tasks = {
        "without L_rec": AdaptTask(*given, None, Adaptation(rebuild=False), 0),
        "with L_rec": AdaptTask(*given, load_reconstructor(), Adaptation(warm_up=0.0), 0),
    }
    best = dict.fromkeys(tasks, float("inf"))
    for step in range(rounds):
        for name, task in tasks.items():
            began = time.process_time()
            task.step(step)
            if step:  # the first warms up
                best[name] = min(best[name], time.process_time() - began)
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    keypoints = domains.get("wild").sample(64, 0).keypoints
    poses = list(keypoints.split(32))
    ways = {
        "softmax regions, SVD": by_regions,
        "bone maps, closed SVD": by_svd,
        "directed bones": directed,
    }
    print(f"torch threads: {torch.get_num_threads()}; 32 pairs, forwards and backwards")
    for size in (32, 64):
        maps = [bone_maps(pose, BODY17, size, size) for pose in poses]
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(5):
            for name, way in ways.items():
                best[name] = min(best[name], seconds(way, *(poses if way is directed else maps)))
        for name, value in best.items():
            ratio = best["softmax regions, SVD"] / value
            print(f"{size:4d} px  {name:22s} {1000 * value:8.2f} ms   {ratio:6.1f} times as fast")
    for name, slope in at_a_round_region().items():
        print(f"slope at equal singular values  {name:22s} {slope:.3g}")
    best = fine_tuning()
    for name, value in best.items():
        ratio = value / best["without L_rec"]
        print(f"fine-tuning step {name:14s} {1000 * value:6.0f} ms of a core   {ratio:4.2f} times")


if __name__ == "__main__":
    main()
