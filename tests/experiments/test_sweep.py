from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats

from posenb.course.teach import cards
from posenb.experiments import sweep
from posenb.experiments.cluster import processes
from posenb.train import loop

ROWS = [{"method": "ours", "layer": 3}, {"method": "theirs", "layer": 1}]
SEEDS = [0, 1, 2]


def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
    return {"error": row["layer"] + seed**2 / 10, "threads": torch.get_num_threads()}


def run(folder: Path, **changes: Any) -> dict[str, Any]:
    call: dict[str, Any] = {"rows": ROWS, "seeds": SEEDS, "measure": measure} | changes
    return sweep.run_table("flexpose.table1", folder=folder, progress=False, **call)


def partial(folder: Path) -> Path:
    return folder / "flexpose" / "table1.partial.json"


def test_the_card(tmp_path: Path) -> None:
    card = run(tmp_path, configuration={"shots": 30})
    assert json.loads((tmp_path / "flexpose" / "table1.json").read_text()) == card
    assert not partial(tmp_path).exists()
    assert [(row["method"], row["layer"]) for row in card["rows"]] == [("ours", 3), ("theirs", 1)]
    error = card["rows"][0]["metrics"]["error"]
    assert error["values"] == [3.0, 3.1, 3.4]
    low, high = stats.t.interval(0.95, 2, loc=error["mean"], scale=stats.sem(error["values"]))
    assert error["low"] == pytest.approx(low, rel=1e-5)
    assert error["high"] == pytest.approx(high, rel=1e-5)
    assert card["rows"][0]["metrics"]["threads"]["mean"] == 1
    assert card["configuration"] == {"shots": 30} and card["seeds"] == SEEDS
    assert {"name", "versions", "device", "wall_seconds"} <= card.keys()


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    error = run(tmp_path, seeds=[4])["rows"][1]["metrics"]["error"]
    assert error == {"mean": 2.6, "low": None, "high": None, "values": [2.6]}


@pytest.mark.parametrize("count", [2, 3, 10])
def test_interval_is_students(count: int) -> None:
    values = torch.randn(count, generator=torch.Generator().manual_seed(count)).tolist()
    mean = sum(values) / count
    expected = stats.t.interval(0.9, count - 1, loc=mean, scale=stats.sem(values))
    assert sweep.t_interval(values, 0.9) == pytest.approx(expected)


class Counting:
    """Measures, counts its calls, and is interrupted at one of them."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls: list[tuple[str, int]] = []
        self.stop_at = stop_at

    def __call__(self, row: dict[str, Any], seed: int) -> dict[str, float]:
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        self.calls.append((row["method"], seed))
        return measure(row, seed)


def test_an_interrupted_table_goes_on(tmp_path: Path) -> None:
    expected = run(tmp_path / "whole")
    first, second = Counting(stop_at=4), Counting()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, measure=first)
    assert partial(tmp_path).exists() and not (tmp_path / "flexpose" / "table1.json").exists()
    card = run(tmp_path, measure=second)
    assert first.calls + second.calls == [(row["method"], s) for row in ROWS for s in SEEDS]
    assert card["rows"] == expected["rows"]
    assert not partial(tmp_path).exists()


class Training:
    """A task without state that receives Ctrl-C at its second step, if it is told to."""

    def __init__(self, stopped: bool) -> None:
        self.stopped = stopped

    def step(self, step: int) -> dict[str, float]:
        if self.stopped and step == 1:
            signal.raise_signal(signal.SIGINT)
        return {"loss": 0.0}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def test_a_training_cut_short_is_no_measurement(tmp_path: Path) -> None:
    """Ctrl-C ends a training early and in order; what it had learned must not fill the cell."""
    calls: list[tuple[str, int]] = []

    def trains(row: dict[str, Any], seed: int) -> dict[str, float]:
        calls.append((row["method"], seed))
        history = loop.fit(Training(len(calls) == 2), 5, progress=False)
        return {"steps": history.step}

    with pytest.raises(loop.Interrupted):
        run(tmp_path, measure=trains)
    assert len(json.loads(partial(tmp_path).read_bytes())["cells"]) == 1
    card = run(tmp_path, measure=trains)
    assert calls[1] == calls[2]
    assert all(row["metrics"]["steps"]["values"] == [5.0] * len(SEEDS) for row in card["rows"])


def test_another_configuration_starts_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, measure=Counting(stop_at=4), configuration={"shots": 30})
    again = Counting()
    run(tmp_path, measure=again, configuration={"shots": 10})
    assert len(again.calls) == 6


def test_two_jobs_give_the_same_numbers(tmp_path: Path) -> None:
    assert run(tmp_path, crew=processes(2))["rows"] == run(tmp_path)["rows"]


def test_a_failure_names_its_cell_and_keeps_the_others(tmp_path: Path) -> None:
    def fails(row: dict[str, Any], seed: int) -> dict[str, float]:
        if row["method"] == "theirs":
            raise RuntimeError("no convergence")
        return measure(row, seed)

    with pytest.raises(RuntimeError, match="no convergence") as caught:
        run(tmp_path, measure=fails)
    assert "'theirs'" in caught.value.__notes__[0] and "seed 0" in caught.value.__notes__[0]
    assert len(json.loads(partial(tmp_path).read_text())["cells"]) == 3


def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for changes in ({"rows": []}, {"seeds": []}, {"rows": ROWS + ROWS[:1]}, {"seeds": [1, 1]}):
        with pytest.raises(ValueError, match="none twice"):
            run(tmp_path, **changes)
    with pytest.raises(ValueError, match=r"error of row .*'ours'.* seed 0 is not finite"):
        run(tmp_path, measure=lambda row, seed: {"error": float("nan")})
    with pytest.raises(ValueError, match="seeds of one row gave"):
        run(tmp_path, measure=lambda row, seed: {f"error{seed}": 1.0})
    partial(tmp_path).write_text("{")
    with pytest.raises(ValueError, match=r"table1\.partial\.json is not valid JSON"):
        run(tmp_path)
    for name in ("table1", "a.b.c", "../x.table", "flexpose."):
        with pytest.raises(ValueError, match="expected <chapter>.<table>"):
            sweep.card_path(name, tmp_path)
    monkeypatch.setattr("posenb.__path__", [str(tmp_path / "site" / "posenb")])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="found no checkout"):
        sweep.card_path("flexpose.table1")


def test_cards_lie_in_the_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = repository / "figures" / "results" / "flexpose" / "table1.json"
    assert sweep.card_path("flexpose.table1") == expected
    monkeypatch.setattr("posenb.__path__", ["/nowhere/posenb"])  # installed, not editable
    monkeypatch.chdir(repository / "tests")
    assert sweep.card_path("flexpose.table1") == expected


@pytest.mark.slow
def test_two_processes_do_not_make_one_card(tmp_path: Path) -> None:
    def meanwhile(row: dict[str, Any], seed: int) -> dict[str, float]:
        with pytest.raises(ValueError, match=r"another process is writing .*table1\.json: wait"):
            run(tmp_path)
        return measure(row, seed)

    def elsewhere(row: dict[str, Any], seed: int) -> dict[str, float]:
        script = (
            "import sys; from pathlib import Path; from posenb.experiments import sweep; "
            "sweep.run_table('flexpose.table1', [{'a': 1}], [0], None, folder=Path(sys.argv[1]))"
        )
        command = [sys.executable, "-c", script, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "another process is writing" in done.stderr
        return measure(row, seed)

    for some in (meanwhile, elsewhere):
        card = run(tmp_path, measure=some, seeds=[0])
        assert cards.load("flexpose.table1", tmp_path) == card
        assert [file.name for file in (tmp_path / "flexpose").iterdir()] == ["table1.json"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"wall_seconds": "1", "cells": {}}',
        '{"wall_seconds": 1e999, "cells": {}}',
        '{"wall_seconds": 1, "cells": []}',
        '{"wall_seconds": 1, "cells": {"a": 3}}',
        '{"wall_seconds": 1, "cells": {"a": {"error": null}}}',
        "[" * 100_000,
    ],
)
def test_a_foreign_partial_card_is_named(tmp_path: Path, content: str) -> None:
    partial(tmp_path).parent.mkdir()
    partial(tmp_path).write_text(content)
    with pytest.raises(
        ValueError, match=r"table1\.partial\.json is no(t valid JSON| partial card).*delete it"
    ):
        run(tmp_path)


@dataclass(frozen=True)
class Scales(sweep.Bench):
    """A bench with an option, which gives its cards another name."""

    folder: Path = Path()
    unit: str = "m"

    @property
    def suffix(self) -> str:
        return "" if self.unit == "m" else f"_{self.unit}"

    def prepare(self, progress: bool) -> None:
        (self.folder / f"{self.seed}").write_text(str(progress))


def tables_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> sweep.Experiments:
    tables = sweep.Experiments("prior", functools.partial(Scales, folder=folder), (0, 1))

    @tables.card(
        lambda bench: sweep.grid(weight=(1, 2), tare=(0, bench.unit)),
        ready=lambda bench: [bench.prepare],
        facts=lambda bench: {"unit": bench.unit},
    )
    def scales(bench: Scales, weight: int, tare: int | str) -> dict[str, float]:
        assert (bench.folder / f"{bench.seed}").exists()
        return {"weight": weight + bench.seed / 10 + 100 * (tare == bench.unit)}

    real = sweep.run_table
    monkeypatch.setattr(
        sweep, "run_table", lambda *given, **more: real(*given, **more, folder=folder)
    )
    return tables


def test_rows_of_a_grid() -> None:
    assert sweep.grid(a=(1, 2), b="xy") == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_experiment_measures_its_rows_on_the_bench_of_each_seed(
    jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After what its cells share is there; a card of other options has another name."""
    tables = tables_of(tmp_path, monkeypatch)
    card = tables["scales"](jobs=jobs)
    assert card["name"] == "prior.scales" and card["configuration"] == {"unit": "m"}
    assert [(row["weight"], row["tare"]) for row in card["rows"]] == [
        (1, 0),
        (1, "m"),
        (2, 0),
        (2, "m"),
    ]
    values = [row["metrics"]["weight"]["values"] for row in card["rows"]]
    assert values == [[1.0, 1.1], [101.0, 101.1], [2.0, 2.1], [102.0, 102.1]]
    assert (tmp_path / "1").read_text() == str(jobs == 1)
    card = tables["scales"](seeds=[4], unit="kg")
    assert card["name"] == "prior.scales_kg" and card["seeds"] == [4]
    assert (tmp_path / "prior" / "scales_kg.json").exists()
