"""Images a second of the prior's training: `python tests/benchmarks/bench_training.py`.

One full round of 16 steps (one with R1), at 32 and 64 pixels, in float32 and, where
the device has it, in bfloat16, turn about in one run; the best of three rounds counts.
"""

from __future__ import annotations

import argparse
import time

import torch

from posenb.prior.networks import Discriminator, Generator
from posenb.prior.training import PriorRecipe, PriorTask, training_poses
from posenb.train import runtime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    keypoints = training_poses(PriorRecipe(poses=5000)).keypoints
    tasks = {}
    for size in (32, 64):
        for autocast in (False, True)[: 1 + runtime.has_bfloat16(device)]:
            recipe = PriorRecipe(resolution=size)
            networks = Generator(size), Discriminator(size)
            tasks[size, autocast] = PriorTask(recipe, keypoints, *networks, device, autocast)
    best = dict.fromkeys(tasks, 0.0)
    for task in tasks.values():
        task.step(1)
    for _ in range(3):
        for key, task in tasks.items():
            began = time.perf_counter()
            for step in range(16):
                task.step(step)
            if device.type == "cuda":
                torch.cuda.synchronize()
            best[key] = max(best[key], 16 * task.batch / (time.perf_counter() - began))
    slowest = best[64, False]
    print(f"{device}, torch threads: {torch.get_num_threads()}")
    for (size, autocast), value in best.items():
        kind = "bfloat16" if autocast else "float32"
        print(f"{size} px  {kind:8s} {value:7.0f} images/s   x {value / slowest:.2f}")


if __name__ == "__main__":
    main()
