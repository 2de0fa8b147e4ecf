"""Seconds for 30,000 poses of each domain: `python tests/benchmarks/bench_domains.py`."""

from __future__ import annotations

import time

import torch

from posenb.world import domains


def main() -> None:
    """Print the table."""
    print(f"torch threads: {torch.get_num_threads()}")
    domains.get("wild").sample(10, 0)  # loads the motion
    slowest = 0.0
    times = {}
    for name in domains.names():
        began = time.perf_counter()
        domains.get(name).sample(30_000, 0)
        times[name] = time.perf_counter() - began
        slowest = max(slowest, times[name])
    for name, seconds in times.items():
        print(f"{name:11s} {seconds:6.2f} s   {seconds / slowest:4.2f} of the slowest")


if __name__ == "__main__":
    main()
