"""Experiments over rows and seeds, and the result cards that notebooks read.

A chapter's `tables.py` registers its experiments in `Experiments`: rows, and a function that
measures one of them on a `Bench`, which is what all rows share.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posenb import assets
from posenb.experiments.cluster import Crew, Home, processes, workers
from posenb.measure.intervals import t_interval
from posenb.train import loop, runtime
from posenb.train.cards import card_path, is_number

Row = Mapping[str, Any]
Measure = Callable[[dict[str, Any], int], Mapping[str, float]]
Measured = Callable[..., Mapping[str, float]]  # of a bench and the labels of a row
Ready = Callable[[Any], Iterable[Callable[[bool], Any]]]


@dataclass(frozen=True)
class Bench:
    """What all rows of an experiment stand on. A chapter adds fields and what is done with them.

    Attributes:
        seed: of all draws.
    """

    seed: int = 0

    @property
    def suffix(self) -> str:
        """Behind the name of a card: what is not as usual."""
        return ""


def grid(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows of all combinations of labels; the last axis runs fastest."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


@dataclass(frozen=True)
class Experiment:
    """One table; a call measures it and gives its card, see `run_table`.

    Attributes:
        name: "<chapter>.<table>", the card's without the bench's suffix.
        measure: (bench of a seed, **labels of a row) -> named numbers.
        bench: makes the bench; its parameters are the options of a call.
        rows: labels, or makes them of the bench.
        seeds: of a call that names none.
        ready: of a bench, what has to be there before any cell starts, because cells share it:
            calls with one argument, whether to show progress.
        facts: of a bench, the card's configuration.
    """

    name: str
    measure: Measured
    bench: Callable[..., Any]
    rows: Sequence[Row] | Callable[[Any], Sequence[Row]]
    seeds: Sequence[int]
    ready: Ready
    facts: Callable[[Any], Mapping[str, Any]]

    @property
    def options(self) -> set[str]:
        """Names of what a call takes."""
        return {"seeds", "jobs", "cluster", *inspect.signature(self.bench).parameters} - {"seed"}

    def __call__(
        self,
        seeds: Sequence[int] | None = None,
        jobs: int = 1,
        cluster: str | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Run what is not finished, and write the card.

        Args:
            seeds: of every row; default the experiment's own.
            jobs: processes at a time.
            cluster: address of a Dask scheduler, whose workers then take the place of processes.
            options: of the bench.
        """
        bench, seeds, home = self.bench(**options), seeds or self.seeds, Home.here()
        facts = self.facts(bench)  # what cannot be read is known before anything is trained
        early = [part for s in seeds for part in self.ready(dataclasses.replace(bench, seed=s))]
        alone = jobs == 1 and cluster is None
        with workers(cluster) if cluster else contextlib.nullcontext(processes(jobs)) as crew:
            for _ in crew.run(_prepared, [(home, part, alone) for part in early]):
                pass
            return run_table(
                self.name + bench.suffix,
                self.rows(bench) if callable(self.rows) else self.rows,
                seeds,
                functools.partial(_on, self.measure, bench),
                crew=crew,
                configuration=facts,
            )


def _on(measure: Measured, bench: Any, row: Row, seed: int) -> Mapping[str, float]:
    return measure(dataclasses.replace(bench, seed=seed), **row)


class Experiments(dict[str, Experiment]):
    """A chapter's experiments by the names of their tables.

    Args:
        chapter: first half of the cards' names.
        bench: of those that name no other.
        seeds: of those that name no others.
    """

    def __init__(self, chapter: str, bench: Callable[..., Any], seeds: Sequence[int]) -> None:
        super().__init__()
        self.chapter, self.bench, self.seeds = chapter, bench, seeds

    def card(
        self,
        rows: Sequence[Row] | Callable[[Any], Sequence[Row]],
        seeds: Sequence[int] | None = None,
        ready: Ready = lambda bench: (),
        facts: Callable[[Any], Mapping[str, Any]] = lambda bench: {},
        bench: Callable[..., Any] | None = None,
    ) -> Callable[[Measured], Measured]:
        """Register the decorated `measure` under its own name; see `Experiment`."""

        def register(measure: Measured) -> Measured:
            name = measure.__name__
            self[name] = Experiment(
                f"{self.chapter}.{name}",
                measure,
                bench or self.bench,
                rows,
                seeds or self.seeds,
                ready,
                facts,
            )
            return measure

        return register


def run_table(
    name: str,
    rows: Sequence[Row],
    seeds: Sequence[int],
    measure: Measure,
    *,
    folder: Path | None = None,
    crew: Crew | None = None,
    configuration: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Measure every row with every seed, and write the result card.

    A finished (row, seed) is kept in `<table>.partial.json` beside the card until the table is
    whole: after an interruption the same call goes on from there, unless the row, the
    configuration or a package version changed. Each measurement computes on one thread, so that
    numbers do not depend on who computes beside it.

    Args:
        name: "<chapter>.<table>", for example "flexpose.table1".
        rows: labels of the rows, as plain JSON data.
        seeds: seeds of every row.
        measure: (labels of a row, seed) -> named numbers.
        folder: root of the cards; `<repository>/figures/results` by default.
        crew: who computes; default this process.
        configuration: what all rows share, as plain JSON data; kept in the card.
        progress: show a progress bar.

    Returns:
        The card: name, rows (their labels and "metrics": for each the mean, the 95 % t interval
        "low" to "high" or None with one seed, and the "values" in the order of the seeds), seeds,
        configuration, versions, device, wall_seconds.

    Raises:
        Interrupted: if a training of a measurement was, which then does not count.
        OSError: if a file cannot be written.
        ValueError: if the name is malformed, rows or seeds are empty or repeat, a number is not
            finite, metrics differ between the seeds of a row, the partial card is damaged, or
            another process is making this card.
    """
    path = card_path(name, folder)
    configuration = dict(configuration or {})
    cells = {_key(configuration, row, seed): (dict(row), seed) for row in rows for seed in seeds}
    if not cells or len(cells) != len(rows) * len(seeds):
        raise ValueError(f"table {name}: expected rows and seeds, at least one each, none twice")
    with assets.locked(path):
        finished, seconds = _finished(path, cells)
        began, home, crew = time.monotonic() - seconds, Home.here(), crew or processes(1)
        left = [(home, measure, k, *cell) for k, cell in cells.items() if k not in finished]
        with runtime.Progress(len(cells), name, len(finished), progress) as bar:
            for key, metrics in crew.run(_measure, left):
                finished[key] = metrics
                partial = {"wall_seconds": time.monotonic() - began, "cells": finished}
                _write(_partial_path(path), partial)
                bar.update(len(finished))
        card = {
            "name": name,
            "rows": [
                {
                    **row,
                    "metrics": _summary(
                        [finished[_key(configuration, row, s)] for s in seeds], path
                    ),
                }
                for row in rows
            ],
            "seeds": list(seeds),
            "configuration": configuration,
            "versions": runtime.versions(),
            "device": crew.device,
            "wall_seconds": round(time.monotonic() - began, 1),
        }
        _write(path, card)
        _partial_path(path).unlink(missing_ok=True)
        return card


def _measure(
    home: Home, measure: Measure, key: str, row: dict[str, Any], seed: int
) -> tuple[str, dict[str, float]]:
    try:
        metrics = {name: float(value) for name, value in _whole(home, measure, row, seed).items()}
    except Exception as error:
        error.add_note(f"in row {row} with seed {seed}")
        raise
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if broken:
        raise ValueError(f"{', '.join(broken)} of row {row} with seed {seed} is not finite")
    return key, metrics


def _whole(home: Home, call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns, computed on one thread, of trainings that came to their ends."""
    with home.like(), runtime.threads(1), loop.whole():
        return call(*arguments)


def _prepared(home: Home, part: Callable[[bool], Any], progress: bool) -> None:
    _whole(home, part, progress)  # what it gives is kept in files, and may be large


def _key(configuration: Row, row: Row, seed: int) -> str:
    content = [configuration, row, seed, runtime.versions()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _finished(path: Path, cells: Mapping[str, Any]) -> tuple[dict[str, dict[str, float]], float]:
    """Cells of this table that an interrupted run left, and the time they took."""
    file = _partial_path(path)
    if not file.exists():
        return {}, 0.0
    cure = "delete it to start anew"
    partial = assets.parse_json(file.read_bytes(), file, cure)
    if not _is_partial(partial):
        raise ValueError(
            f"{file} is no partial card: expected wall_seconds and, in cells, finite numbers by "
            f"their names; {cure}"
        )
    finished = {key: value for key, value in partial["cells"].items() if key in cells}
    if len({frozenset(value) for value in finished.values()}) > 1:
        for row in {json.dumps(row, sort_keys=True) for row, _ in cells.values()}:
            some = [
                m for k, m in finished.items() if json.dumps(cells[k][0], sort_keys=True) == row
            ]
            if len({frozenset(metrics) for metrics in some}) > 1:
                raise ValueError(f"{file} holds seeds of one row with other metrics each; {cure}")
    return finished, partial["wall_seconds"] if finished else 0.0


def _is_partial(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and is_number(found.get("wall_seconds"))
        and found["wall_seconds"] >= 0
        and isinstance(found.get("cells"), dict)
        and all(
            isinstance(cell, dict) and cell and all(map(is_number, cell.values()))
            for cell in found["cells"].values()
        )
    )


def _partial_path(path: Path) -> Path:
    return path.with_suffix(".partial.json")


def _summary(measured: Sequence[Mapping[str, float]], path: Path) -> dict[str, Any]:
    for first, second in itertools.pairwise(measured):
        if first.keys() != second.keys():
            raise ValueError(
                f"{path}: seeds of one row gave {sorted(first)} and {sorted(second)}; if some are "
                f"of an earlier run, delete {_partial_path(path).name}"
            )
    return {metric: _statistics([m[metric] for m in measured]) for metric in measured[0]}


def _statistics(values: list[float]) -> dict[str, Any]:
    low, high = t_interval(values) if len(values) > 1 else (None, None)
    summary = {"mean": statistics.fmean(values), "low": low, "high": high}
    rounded = {key: None if value is None else _round(value) for key, value in summary.items()}
    return {**rounded, "values": [_round(value) for value in values]}


def _round(value: float) -> float:
    return float(f"{value:.6g}")  # what can be told apart; the rest is noise in diffs


def _write(path: Path, content: Mapping[str, Any]) -> None:
    assets.write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
