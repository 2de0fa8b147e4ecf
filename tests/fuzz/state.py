"""Damage the files that posenb itself keeps, and look at how reading them ends.

`python tests/fuzz/state.py 1200` tries that many of each kind: result cards, partial cards,
checkpoints, manifests, and the record and tensors of weights. Right is: read, or refused by a
ValueError of at most a few hundred characters that names the file. `tests/train/test_fuzz_state.py`
runs a few of each.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import io
import json
import random
import resource
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from posenb.course.teach import cards
from posenb.experiments import sweep
from posenb.train import checkpoints, loop

ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**400, 1e308, float("nan"), float("inf"), "", "text", "x" * 5000),
    *([], {}, [[]], {"a": 1}, [None], 3.5, 2**62, "../a", "\0", "1"),
)
ROWS = [{"method": "ours", "layer": 3}, {"method": "theirs", "layer": 1}]


class Tiny(loop.Saved):
    """A training of one layer, with an average and a schedule."""

    parts = ("network", "ema", "optimizer", "schedule")

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        self.ema = loop.Ema(self.network)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.01)
        self.schedule = torch.optim.lr_scheduler.LinearLR(self.optimizer)

    def step(self, step: int) -> dict[str, Tensor]:
        """One step on numbers of its own."""
        x = torch.linspace(-1, 1, 12).reshape(4, 3) + step / 10
        loss = self.network(x).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"loss": loss}


def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
    """Numbers of a cell."""
    return {"FD": row["layer"] + seed / 10, "recall": 0.5}


def table(folder: Path) -> dict[str, Any]:
    """The table of the tests, made or gone on with."""
    return sweep.run_table("prior.tiny", ROWS, [0, 1], measure, folder=folder, progress=False)


def train(checkpoint: Path, steps: int) -> loop.History:
    """The training of the tests, begun or gone on with."""
    identity = {"seed": 0, "shape": [3, 2]}
    return loop.fit(
        Tiny(), steps, checkpoint=checkpoint, log_every=2, progress=False, identity=identity
    )


def read_card(folder: Path) -> None:
    """Read the card, and quote all that can be quoted."""
    card = cards.load("prior.tiny", folder)
    cards.table(card)
    cards.provenance(card)
    for row in card["rows"]:
        for name in row["metrics"]:
            cards.intervals(card, name)


def read_weights(folder: Path) -> None:
    """Build the network of the weights."""
    checkpoints.built("tiny", lambda c, _: nn.Linear(c["width"], c["sizes"]["out"]), folder)


def originals(folder: Path) -> dict[str, tuple[Path, Callable[[Path], Any]]]:
    """Of each kind a sound file, and what reads it, given the folder."""
    table(folder / "card")
    keys = [sweep._key({}, row, seed) for row in ROWS for seed in (0, 1)]
    cells = {key: {"FD": 1.5, "recall": 0.5} for key in keys[:3]}
    partial = folder / "partial" / "prior" / "tiny.partial.json"
    partial.parent.mkdir(parents=True)
    partial.write_text(json.dumps({"wall_seconds": 1.5, "cells": cells}))
    train(folder / "checkpoint" / "tiny.pt", 5)
    record: dict[str, Any] = dict.fromkeys(checkpoints.PROVENANCE, "text")
    record |= {"configuration": {"width": 3, "sizes": {"out": 2}}, "losses": {"loss": 1.0}}
    record |= {"seed": 0, "wall_seconds": 1.0}
    for kind in ("manifest", "record", "tensors"):
        weights = nn.Linear(3, 2).state_dict()
        checkpoints.save_weights("tiny", weights, record, folder=folder / kind)
    return {
        "card": (Path("card/prior/tiny.json"), lambda f: read_card(f / "card")),
        "partial": (Path("partial/prior/tiny.partial.json"), lambda f: table(f / "partial")),
        "checkpoint": (Path("checkpoint/tiny.pt"), lambda f: train(f / "checkpoint/tiny.pt", 7)),
        "manifest": (Path("manifest/manifest.json"), lambda f: read_weights(f / "manifest")),
        "record": (Path("record/weights/tiny.json"), lambda f: read_weights(f / "record")),
        "tensors": (
            Path("tensors/weights/tiny.safetensors"),
            lambda f: read_weights(f / "tensors"),
        ),
    }


def damaged(data: bytes, draw: random.Random) -> bytes:
    """Bytes flipped, cut off, doubled, or something else altogether."""
    kind = draw.randrange(6)
    if kind == 0 and data:
        some = bytearray(data)
        for _ in range(draw.choice([1, 4, 64])):
            some[draw.randrange(len(some))] ^= 1 << draw.randrange(8)
        return bytes(some)
    if kind == 1:
        return data[: draw.randrange(len(data) + 1)]
    if kind == 2:
        at = draw.randrange(len(data) + 1)
        return data[:at] + draw.randbytes(draw.randrange(1, 40)) + data[at:]
    if kind == 3:
        other = draw.choice([b"", b"null", b"[" * 100_000, b"\xff\xfe", b"{}", b'{"a": 1e999}'])
        return bytes(other)
    if kind == 4:
        return json.dumps(draw.choice(ODD)).encode()
    buffer = io.BytesIO()
    torch.save(draw.choice([torch.ones(3), [1], {"a": 1}, {"step": torch.ones(2)}]), buffer)
    return buffer.getvalue()


def altered(tree: Any, draw: random.Random) -> Any:
    """A tree with one to three of its parts exchanged, removed, added or renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.randrange(1, 4)):
        holder = draw.choice([tree, *(h for h in _holders(tree))])
        place = draw.choice(list(holder)) if isinstance(holder, dict) and holder else None
        if isinstance(holder, list) and holder:
            place = draw.randrange(len(holder))
        if place is None:
            continue
        action = draw.randrange(4)
        if action == 0:
            del holder[place]
        elif action == 1 and isinstance(holder, dict):
            holder[draw.choice(["other", "0", place])] = holder.pop(place)
        elif action == 2 and isinstance(holder, list):
            holder.append(draw.choice(ODD))
        else:
            holder[place] = _odd(holder[place], draw)
    return tree


def _odd(value: Any, draw: random.Random) -> Any:
    if isinstance(value, Tensor) and draw.random() < 0.7:
        shape = draw.choice([(), (1,), (2, 2), (5, 3), (0,)])
        other = torch.ones(shape, dtype=draw.choice([torch.float64, torch.int64, torch.float32]))
        return draw.choice([other, value.double(), torch.ones(1).expand(2**30)])
    return draw.choice(ODD)


def _holders(tree: Any) -> Iterator[Any]:
    """All dictionaries and lists in a tree."""
    if isinstance(tree, dict | list):
        yield tree
        for part in list(tree.values()) if isinstance(tree, dict) else tree:
            yield from _holders(part)


def mutated(kind: str, data: bytes, draw: random.Random) -> bytes:
    """One damaged file of a kind."""
    if draw.random() < 0.4:
        return damaged(data, draw)
    if kind == "checkpoint":
        state = torch.load(io.BytesIO(data), weights_only=True)
        buffer = io.BytesIO()
        torch.save(altered(json_like(state), draw), buffer)
        return buffer.getvalue()
    if kind == "tensors":
        found = altered(dict(safetensors.torch.load(data)), draw)
        only = {str(name): v for name, v in found.items() if isinstance(v, Tensor)}
        return bytes(
            safetensors.torch.save({n: v.clone() for n, v in only.items() if v.numel() < 99})
        )
    return json.dumps(altered(json.loads(data), draw)).encode()


def json_like(state: Any) -> Any:
    """Dictionaries and lists in place of their kin, so that they can be altered."""
    if isinstance(state, dict):
        return {key: json_like(value) for key, value in state.items()}
    return [json_like(v) for v in state] if isinstance(state, list | tuple) else state


def trial(kind: str, sound: Path, where: tuple[Path, Callable[[Path], Any]], seed: int) -> str:
    """How reading one damaged file ends: "read", "refused", or a complaint."""
    name, read = where
    draw = random.Random(f"{kind} {seed}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copytree(sound / name.parts[0], folder / name.parts[0])
        file = folder / name
        data = mutated(kind, file.read_bytes(), draw)
        file.write_bytes(data)
        if kind in ("record", "tensors") and draw.random() < 0.8:  # as if it had been shipped so
            manifest = file.parents[1] / "manifest.json"
            entries = json.loads(manifest.read_bytes())
            entries[f"weights/{name.name}"] = hashlib.sha256(data).hexdigest()
            manifest.write_text(json.dumps(entries))
        try:
            read(folder)
        except (ValueError, FloatingPointError) as error:
            named = "tiny" in str(error) or "manifest" in str(error)
            if isinstance(error, FloatingPointError) or (named and len(str(error)) < 900):
                return "refused"
            return f"seed {seed}: {len(str(error))} characters: {str(error)[:200]}"
        except Exception:
            return f"seed {seed}: {traceback.format_exc(limit=-3)}"
        return "read"


def run(kind: str, count: int, folder: Path, first: int = 0) -> dict[str, int]:
    """Try `count` damaged files of a kind; how often reading ended in which way."""
    sound = folder / "sound"
    where = _originals(sound)[kind]
    ends: dict[str, int] = {}
    for seed in range(first, first + count):
        end = trial(kind, sound, where, seed)
        ends[end] = ends.get(end, 0) + 1
    return ends


@functools.cache
def _originals(sound: Path) -> dict[str, tuple[Path, Callable[[Path], Any]]]:
    return originals(sound)


KINDS = ("card", "partial", "checkpoint", "manifest", "record", "tensors")

if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    failed = False
    with tempfile.TemporaryDirectory() as place:
        for kind in KINDS:
            ends = run(kind, count, Path(place))
            print(kind, {end: n for end, n in ends.items() if end in ("read", "refused")})
            for end in (end for end in ends if end not in ("read", "refused")):
                failed = True
                print(end)
    if sys.platform != "win32":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"at most {peak / 1024:.0f} MB")
    sys.exit(failed)
