"""Time and peak memory of `mmd2`, beside the straightforward broadcast, in one run.

    python tests/benchmarks/bench_mmd2.py [--poses 50000] [--broadcast 2000] [--repeats 3]

Each case runs in its own process, so that its peak memory is its own; the parent imports no torch
for the same reason. The broadcast is compared at a size that fits into memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Case = dict[str, float]


def broadcast_mmd2(a: Tensor, b: Tensor, bandwidth: float) -> float:
    """The definition written down: every pair of poses at once, (n, m, features)."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        squared = (x[:, None] - y[None]).square().sum(-1)  # (n, m)
        return (-squared / (2 * bandwidth**2)).exp()

    n, m = len(a), len(b)
    within_a = (kernel(a, a).sum() - n) / (n * (n - 1))
    within_b = (kernel(b, b).sum() - m) / (m * (m - 1))
    return float(within_a + within_b - 2 * kernel(a, b).mean())


def peak_mebibytes() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def run_case(method: str, poses: int, repeats: int) -> Case:
    import torch

    from posenb.measure.distributions import mmd2

    random = torch.Generator().manual_seed(0)
    a = 0.5 + 0.1 * torch.randn(poses, 34, generator=random)
    b = 0.5 + 0.11 * torch.randn(poses, 34, generator=random)
    function = {"tiles": mmd2, "broadcast": broadcast_mmd2}[method]
    bandwidth = 0.87
    function(a[:100], b[:100], bandwidth)
    before = peak_mebibytes()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = function(a, b, bandwidth)
        seconds.append(time.perf_counter() - start)
    return {
        "value": value,
        "seconds": min(seconds),
        "memory": peak_mebibytes() - before,
        "threads": torch.get_num_threads(),
    }


def in_own_process(method: str, poses: int, repeats: int) -> Case:
    command = [sys.executable, __file__, "--case", method, str(poses), str(repeats)]
    case: Case = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    print(
        f"{method:<10} {poses:>7,} x {poses:<7,} {case['seconds']:>8.2f} s "
        f"{case['memory']:>8.0f} MiB above the inputs   MMD^2 {case['value']:.7f}",
        flush=True,
    )
    return case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--poses", type=int, default=50_000)
    parser.add_argument("--broadcast", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        method, poses, repeats = arguments.case
        print(json.dumps(run_case(method, int(poses), int(repeats))))
        return
    slow = in_own_process("broadcast", arguments.broadcast, arguments.repeats)
    fast = in_own_process("tiles", arguments.broadcast, arguments.repeats)
    full = in_own_process("tiles", arguments.poses, arguments.repeats)
    print(
        f"at {arguments.broadcast:,} poses, {full['threads']:.0f} thread(s): tiles take "
        f"{slow['seconds'] / fast['seconds']:.1f} times less time and "
        f"{slow['memory'] / max(fast['memory'], 1):.0f} times less memory; the broadcast would "
        f"need {slow['memory'] / 1024 * (arguments.poses / arguments.broadcast) ** 2:,.0f} GiB "
        f"at {arguments.poses:,}"
    )


if __name__ == "__main__":
    main()
