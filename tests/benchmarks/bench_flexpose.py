"""Seconds of an adaptation against the obvious loop: `python tests/benchmarks/bench_flexpose.py`.

The obvious loop paints every image from its latent code, computes gradients for all weights, asks
Gamma about the target images again at every step, and does so in float32 with channels first. Ours
computes gradients for U alone, knows Gamma of the targets, and paints with channels last, in
bfloat16 where the CPU has it. Both take the same batches
of Eq. 5 and end with nearly the same loss, which is printed. Turn about in one run, best of three
rounds. Ratios are of whole adaptations of the default number of steps, preparation included. The
last lines are the default objective's step, and poses sampled a second.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch
from torch import Tensor

from posenb import flexpose, prior
from posenb.experiments.flexpose.bench import alike, shots
from posenb.flexpose.adapt import USUAL, AdaptTask, Readers
from posenb.flexpose.networks import AdaptedGenerator
from posenb.prior.losses import perceptual_loss
from posenb.train import runtime
from posenb.world.drawing import draw_skeletons
from posenb.world.skeletons import BODY17

PAIRS, STEPS = 1000, 10


def obvious(task: AdaptTask, network: AdaptedGenerator, readers: Readers, images: Tensor) -> float:
    """STEPS steps of the obvious loop on the batches of `task`; the last loss."""
    optimizer = torch.optim.Adam(
        network.transfer.parameters(), task.recipe.learning_rate, (0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        random = runtime.generator((task.seed, 2, step), task.device)
        chosen = torch.randperm(len(task.z), generator=random)[: task.recipe.batch]
        loss = perceptual_loss(readers.features, network(task.z[chosen]), images[chosen]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return float(loss.detach())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    generator, readers = prior.load_generator(), Readers.load()
    guides = shots(alike("lab"), 2, 0)
    random = runtime.generator(0)
    target = flexpose.pose_mixup(guides.keypoints, PAIRS, random)
    images = draw_skeletons(target, BODY17, 64)
    recipe = replace(USUAL["paper"], steps=STEPS)
    best: dict[str, float] = {}
    before: dict[str, float] = {}
    losses: dict[str, float] = {}
    for _ in range(3):
        for name in ("obvious", "ours", "default"):
            network = AdaptedGenerator.of(generator, (3,))
            objective = "distribution" if name == "default" else "paper"
            began = time.perf_counter()
            task = AdaptTask(network, target, BODY17, objective, recipe, 0, readers)
            prepared = time.perf_counter() - began
            before[name] = min(before.get(name, prepared), prepared)
            if name == "obvious":
                network.requires_grad_(True).to(memory_format=torch.contiguous_format)
            began = time.perf_counter()
            if name == "obvious":
                losses[name] = obvious(task, network, readers, images)
            else:
                losses[name] = [float(task.step(i)["loss"].detach()) for i in range(STEPS)][-1]
            seconds = (time.perf_counter() - began) / STEPS
            best[name] = min(best.get(name, seconds), seconds)
    print(f"torch threads: {torch.get_num_threads()}; seconds a step of {recipe.batch} images")
    before["obvious"] = 0.0  # it prepares nothing
    total = {name: before[name] + USUAL["paper"].steps * seconds for name, seconds in best.items()}
    for name, seconds in best.items():
        ratio = total["obvious"] / total[name]
        print(
            f"{name:8s} {seconds:6.3f} s after {before[name]:4.1f} s; whole {total[name]:4.0f} s, "
            f"{ratio:4.1f} times faster   loss {losses[name]:.3f}"
        )
    kinds = (("float32", False), ("bfloat16", True))
    for name, half in kinds[: 1 + runtime.has_bfloat16(torch.device("cpu"))]:
        began = time.perf_counter()
        with runtime.autocast(torch.device("cpu"), half):
            prior.sample(generator, readers.regressor, 1024, seed=0)
        print(f"sampling {name:8s} {1024 / (time.perf_counter() - began):5.0f} poses/s")


if __name__ == "__main__":
    main()
