"""Images a second of `rendering.photograph`, where the time goes, and the peak of memory.

Run as `python tests/benchmarks/bench_rendering.py [--threads 2] [--device cpu] [--cpu-time]`. The
best of three rounds counts; clouds and backgrounds are made before. Skinning takes the points into
the camera's frame, splatting finds the nearest, shading is all the rest. On a machine that is busy
with other things, `--threads 1 --cpu-time` counts the seconds of the processor instead of those of
the clock.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import torch

from posenb.world import looks, rendering

COUNT = 96


class Clock:
    """Seconds that a function takes, while it stands in for it in `rendering`."""

    def __init__(self, name: str) -> None:
        self.function: Callable[..., Any] = getattr(rendering, name)
        self.seconds = 0.0
        setattr(rendering, name, self)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        began = now()
        result = self.function(*arguments, **named)
        self.seconds += now() - began
        return result


clock = time.perf_counter


def now() -> float:
    """Seconds, once a GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("domains", nargs="*", default=["synthetic", "lab", "outdoor"])
    options = parser.parse_args()
    global clock
    clock = time.process_time if options.cpu_time else time.perf_counter
    torch.set_num_threads(options.threads)
    print(f"torch threads: {options.threads}, device: {options.device}, {COUNT} images a round")
    skinning, splatting = Clock("_skin"), Clock("splat")
    for size in (64, 96, 128):
        for name in options.domains:
            people = rendering.shots(rendering.find(name), COUNT, 0).to(options.device)
            rendering.photograph(people, looks.LOOKS[name], size)
            rounds = []
            for _ in range(3):
                skinning.seconds = splatting.seconds = 0.0
                began = now()
                rendering.photograph(people, looks.LOOKS[name], size)
                rounds.append((now() - began, skinning.seconds, splatting.seconds))
            total, skin, splat = min(rounds)
            shares = skin / total, splat / total, 1 - (skin + splat) / total
            print(
                f"{size:4d} px  {name:14s} {COUNT / total:7,.0f} images/s  "
                f" skinning {shares[0]:4.0%}  splatting {shares[1]:4.0%}  shading {shares[2]:4.0%}"
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
