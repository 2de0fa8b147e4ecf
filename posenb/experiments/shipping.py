"""What stands beside shipped weights: how they were made."""

from __future__ import annotations

import shlex
from typing import Any

import torch

from posenb.train import runtime


def command(*words: str | int) -> str:
    """The command line `python -m posenb train ...`."""
    return shlex.join(["python", "-m", "posenb", "train", *map(str, words)])


def record(
    made_by: str,
    configuration: dict[str, Any],
    seed: int,
    data_hash: str,
    losses: dict[str, Any],
    device: torch.device,
    seconds: float,
) -> dict[str, Any]:
    """Provenance for `checkpoints.save_weights`, of which all but the versions are given."""
    return {
        "command": made_by,
        "configuration": configuration,
        "seed": seed,
        "data_hash": data_hash,
        "losses": losses,
        "device": runtime.device_name(device),
        "wall_seconds": round(seconds, 1),
    }
