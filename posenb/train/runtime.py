"""Where and how things run: device, profile, randomness, threads, processes, progress."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy
import torch
from tqdm import tqdm

import posenb

PROFILES = ("quick", "full")


class Process(NamedTuple):
    """Place of this process among those that `torchrun` started; (0, 1, 0) without it."""

    rank: int
    world_size: int
    local_rank: int


def device(name: str | None = None) -> torch.device:
    """Device to compute on.

    Args:
        name: "cpu", "cuda", "cuda:1", ...; by default the environment variable POSENB_DEVICE,
            and without it CUDA where there is one, else the CPU. Under `torchrun`, "cuda" is the
            GPU of this process.

    Raises:
        ValueError: if the name is no device, or names a GPU that this machine does not have.
    """
    name = name or os.environ.get("POSENB_DEVICE") or None
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"unknown device {name!r}: expected cpu, cuda or cuda:<number>") from error
    if chosen.type != "cuda":
        return chosen
    if not torch.cuda.is_available():
        raise ValueError(
            f"device {name!r} was asked for, but torch {torch.__version__} finds no CUDA GPU here; "
            "use POSENB_DEVICE=cpu, or install a CUDA build of torch and its driver"
        )
    index = process().local_rank if chosen.index is None else chosen.index
    if index >= torch.cuda.device_count():
        raise ValueError(
            f"device cuda:{index} was asked for, but there are only {torch.cuda.device_count()} "
            "GPUs, numbered from 0"
        )
    return torch.device("cuda", index)


def profile() -> str:
    """Read POSENB_PROFILE: "quick" (default; minutes on two CPU cores) or "full".

    Raises:
        ValueError: if the variable holds anything else.
    """
    name = os.environ.get("POSENB_PROFILE") or "quick"
    if name not in PROFILES:
        raise ValueError(f"POSENB_PROFILE is {name!r}: expected quick or full")
    return name


def generator(seed: int | tuple[int, ...], device: torch.device | str = "cpu") -> torch.Generator:
    """Local random generator.

    What is seeded is a hash. Else the latents of seed 0 would be the very numbers that a network's
    first weights of seed 0 were, and such latents give distorted pictures.

    Args:
        seed: a number, or several, such as (seed, rank, step), for independent streams.
        device: where its random numbers are drawn.
    """
    several = (seed,) if isinstance(seed, int) else tuple(seed)
    hashed = int.from_bytes(hashlib.sha256(repr(several).encode()).digest()[:8], "little")
    return torch.Generator(device).manual_seed(hashed)


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use `count` CPU threads inside the block.

    Raises:
        ValueError: if the count is below 1.
    """
    if count < 1:
        raise ValueError(f"found {count} threads: expected at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; elsewhere it is slower than float32.

    Without AVX-512-BF16, which few laptops have, torch falls back to loops (on a CPU with AVX2 the
    generator is some seven times slower); GPUs before Ampere emulate it.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def autocast(device: torch.device, enabled: bool) -> torch.autocast:
    """Context that multiplies matrices and convolves in bfloat16, where the device has it."""
    enabled = enabled and has_bfloat16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def process() -> Process:
    """This process's rank, the number of processes, and its number on this machine."""
    values = (os.environ.get("RANK", 0), os.environ.get("WORLD_SIZE", 1))
    return Process(int(values[0]), int(values[1]), int(os.environ.get("LOCAL_RANK", 0)))


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[Process]:
    """Join the other processes of `torchrun` inside the block; without it, do nothing."""
    here = process()
    if here.world_size == 1:
        yield here
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield here
    finally:
        torch.distributed.destroy_process_group()


def versions() -> dict[str, str]:
    """Versions of Python, torch, numpy and posenb."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # it is of a class of its own
        "numpy": numpy.__version__,
        "posenb": posenb.__version__,
    }


def device_name(where: torch.device) -> str:
    """Name of the GPU with its memory, or the number of CPU cores."""
    if where.type != "cuda":
        return f"{os.cpu_count()} CPU cores"
    gpu = torch.cuda.get_device_properties(where)
    return f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)"


def describe(where: torch.device | None = None) -> str:
    """One sentence on the machine, for people; `where` is `device()` by default."""
    where = where or device()
    gpu = "" if where.type == "cuda" else ", without a GPU"
    return (
        f"Python {platform.python_version()} and torch {torch.__version__} compute on "
        f"{device_name(where)}{gpu}."
    )


class Progress:
    """Progress bar that redraws one line.

    In a notebook the line is one plain-text output, updated in place: it needs no widget, and
    what is stored is the last state. In a terminal it is an ordinary bar. Into a file goes a line
    every half minute.
    """

    def __init__(self, total: int, label: str, initial: int = 0, enabled: bool = True) -> None:
        """Draw the bar of `total` things, of which `initial` are already done."""
        self.total, self.label, self.initial, self.count = total, label, initial, initial
        self.note = ""
        self._began = self._drawn = time.monotonic()
        self._enabled = enabled and process().rank == 0
        self._handle = self._notebook_output() if self._enabled else None
        self._pause = 0.2 if self._handle or sys.stderr.isatty() else 30.0

    def update(self, count: int, note: str | None = None) -> None:
        """Say that `count` of `total` are done, and put `note` behind the bar."""
        self.count = count
        self.note = self.note if note is None else note
        if self._enabled and time.monotonic() - self._drawn >= self._pause:
            self._draw("")

    def __enter__(self) -> Self:
        """Start; the bar is already there."""
        return self

    def __exit__(self, *_: object) -> None:
        """Draw the last state and end the line."""
        if self._enabled:
            self._draw("\n")

    def __str__(self) -> str:
        """Return the bar as one line of text."""
        line: str = tqdm.format_meter(
            self.count,
            self.total,
            time.monotonic() - self._began,
            initial=self.initial,
            ncols=100,
            prefix=self.label,
            postfix=self.note,
        )
        return line

    def _draw(self, end: str) -> None:
        self._drawn = time.monotonic()
        if self._handle is not None:
            self._handle.update({"text/plain": str(self)}, raw=True)
        elif sys.stderr.isatty():
            print(f"\r{self}", end=end, file=sys.stderr, flush=True)
        else:
            print(self, file=sys.stderr, flush=True)

    def _notebook_output(self) -> Any:
        ipython = sys.modules.get("IPython")
        if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
            return None
        return ipython.display.display({"text/plain": str(self)}, raw=True, display_id=True)
