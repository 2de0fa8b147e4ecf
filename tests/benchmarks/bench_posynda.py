"""Milliseconds to lift with H = 5, K = 5, T = 27: `python tests/benchmarks/bench_posynda.py`.

The obvious loop takes one hypothesis after the other, embeds the keypoints anew at every step,
writes attention out (softmax of q k^T times v), and lets autograd keep everything. Ours computes
the hypotheses in one batch and the keypoints' part once, with fused attention, in inference mode.
The row between them is the loop in inference mode with fused attention: what batching alone gives.
All lift the same windows with the same number of network steps. Turn about, best of three
rounds in one run.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator
from unittest import mock

import torch
from torch import Tensor

from posenb.posynda import Denoiser, GaussianDiffusion, MixSTE, VideoPose, lift, windows
from posenb.train import runtime

HYPOTHESES, STEPS = 5, 5


def obvious(model: Denoiser, keypoints: Tensor, diffusion: GaussianDiffusion) -> Tensor:
    """Hypothesis by hypothesis, step by step."""
    random = runtime.generator(0)
    found = []
    for _ in range(HYPOTHESES):
        start = torch.randn(len(keypoints), 1, *keypoints.shape[1:3], 3, generator=random)

        def denoise(noisy: Tensor, t: int) -> Tensor:
            return model(noisy, keypoints, torch.full((len(keypoints),), t))

        found.append(diffusion.ddim(denoise, start, random, STEPS))
    return torch.cat(found, 1)


def textbook(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention as it is written in papers."""
    return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v


@contextlib.contextmanager
def textbook_attention() -> Iterator[None]:
    """Let the networks use it."""
    with mock.patch("torch.nn.functional.scaled_dot_product_attention", textbook):
        yield


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    diffusion = GaussianDiffusion()
    print(f"torch threads: {torch.get_num_threads()}; H = {HYPOTHESES}, K = {STEPS}, T = 27")
    for model in (MixSTE(), VideoPose()):
        model.eval()
        for count in (1, 8):
            some = windows.sample(windows.domain("stage"), count, 0)
            best: dict[str, float] = {}
            for _ in range(3):
                for name in ("obvious", "loop", "ours"):
                    began = time.perf_counter()
                    if name == "obvious":
                        with textbook_attention():
                            obvious(model, some.keypoints, diffusion)
                    elif name == "loop":
                        with torch.inference_mode():
                            obvious(model, some.keypoints, diffusion)
                    else:
                        lift(model, some.keypoints, some.camera, HYPOTHESES, STEPS)
                    seconds = time.perf_counter() - began
                    best[name] = min(best.get(name, seconds), seconds)
            for name, seconds in best.items():
                print(
                    f"{type(model).__name__:9s} {count:2d} windows  {name:8s} "
                    f"{1000 * seconds:7.1f} ms   {best['obvious'] / seconds:4.1f} times faster"
                )


if __name__ == "__main__":
    main()
