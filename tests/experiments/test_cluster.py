"""Rows on a Dask cluster of two workers on this machine, which know nothing of who asks them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from dask.distributed import Client
from tiny_scales import TINY_POSYNDA

from posenb import __main__ as command
from posenb.experiments import cluster, sweep
from posenb.experiments.posynda import tables
from posenb.train import runtime

pytestmark = pytest.mark.slow


def start(*words: str, folder: Path) -> subprocess.Popen[bytes]:
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("POSENB_")}
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words], cwd=folder, env=quiet, stdout=log, stderr=log
        )


def address_of(folder: Path) -> str:
    for _ in range(600):
        file = folder / "scheduler.json"
        if file.exists() and (text := file.read_text()).strip().endswith("}"):
            return str(json.loads(text)["address"])
        time.sleep(0.1)
    raise AssertionError((folder / "log.txt").read_text())


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a scheduler of two workers."""
    folder = tmp_path_factory.mktemp("dask")
    here = ("--host", "127.0.0.1", "--no-dashboard")
    processes = [start("scheduler", *here, "--port", "0", "--scheduler-file", "scheduler.json",
                       folder=folder)]  # fmt: skip
    try:
        address = address_of(folder)
        processes.append(start("worker", address, *here, "--nworkers", "2", "--nthreads", "1",
                               folder=folder))  # fmt: skip
        yield address
    finally:
        stop(processes)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where cards go."""
    real = sweep.run_table
    monkeypatch.setattr(
        sweep, "run_table", lambda *given, **more: real(*given, **more, folder=tmp_path)
    )
    return tmp_path


def kill_one_of(address: str, partial: Path, over: threading.Event, cells: list[int]) -> None:
    """Kill a worker as soon as some cells are done."""
    with Client(address, set_as_default=False) as client:
        pid = next(iter(client.run(os.getpid).values()))
        while not (partial.exists() or over.wait(0.02)):
            pass
        if partial.exists():
            cells.append(len(json.loads(partial.read_text())["cells"]))
            os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(900)
def test_the_card_is_that_of_one_machine_though_a_worker_is_killed(
    scheduler: str, results: Path
) -> None:
    def run(place: str, **where: Any) -> dict[str, Any]:
        return tables.TABLES["table7"]((0,), scale=TINY_POSYNDA, folder=results / place, **where)

    expected, cells, over = run("here"), list[int](), threading.Event()
    partial = results / "posynda" / "table7.partial.json"
    killer = threading.Thread(target=kill_one_of, args=(scheduler, partial, over, cells))
    killer.start()
    try:
        card = run("there", cluster=scheduler)
    finally:
        over.set()
        killer.join()
    assert 0 < cells[0] < 6  # in the middle
    for part in ("name", "rows", "seeds", "configuration", "versions"):
        assert card[part] == expected[part], part
    assert not partial.exists()
    names = [
        sorted(file.name for file in (results / place).iterdir()) for place in ("here", "there")
    ]
    assert names[0] == names[1]


def test_workers_are_as_the_process_that_asks(
    scheduler: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folder, profile, one thread; a failure names its cell, and what is finished is kept."""
    monkeypatch.setenv("POSENB_PROFILE", "full")
    monkeypatch.chdir(results)
    experiments = sweep.Experiments("prior", sweep.Bench, (0, 1))

    @experiments.card([{"fails": ""}, {"fails": "fails"}])
    def asked(bench: sweep.Bench, fails: str) -> dict[str, float]:
        if Path(fails).exists() and fails:
            raise RuntimeError("no convergence")
        return {
            "full": runtime.profile() == "full",
            "threads": torch.get_num_threads(),
            "process": os.getpid(),
            "here": Path.cwd().samefile(os.environ["POSENB_PROFILE"] + "/.."),
        }

    Path("full").mkdir()
    Path("fails").touch()
    partial = results / "prior" / "asked.partial.json"
    with pytest.raises(RuntimeError, match="no convergence") as caught:
        experiments["asked"](cluster=scheduler)
    assert "'fails': 'fails'" in caught.value.__notes__[0]
    kept = json.loads(partial.read_text())["cells"] if partial.exists() else {}
    Path("fails").unlink()
    card = experiments["asked"](cluster=scheduler)
    assert card["device"] == runtime.device_name(runtime.device())
    for row in card["rows"]:
        values = {name: value["values"] for name, value in row["metrics"].items()}
        assert values["full"] == values["threads"] == values["here"] == [1.0, 1.0]
        assert os.getpid() not in values["process"]
    found = [value for row in card["rows"] for value in row["metrics"]["process"]["values"]]
    assert all(cell["process"] in found for cell in kept.values())


def test_clusters_that_do_not_fit_are_refused(
    scheduler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused() -> str:
        with pytest.raises(ValueError) as caught, cluster.workers(scheduler):
            pass
        return str(caught.value)

    monkeypatch.setattr(runtime, "versions", lambda: {"torch": "1.0"})
    assert "do not belong on one card" in refused()
    monkeypatch.undo()
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "elsewhere")
    assert f"has no folder {tmp_path / 'elsewhere'}" in refused()
    monkeypatch.undo()
    monkeypatch.setattr(cluster, "PATIENCE", 2)
    with start("worker", scheduler, "--nthreads", "2", "--no-dashboard", folder=tmp_path) as third:
        with Client(scheduler, set_as_default=False) as client:
            client.wait_for_workers(3, timeout=60)
        assert "2 threads: start it with --nthreads 1" in refused()
        third.terminate()
    nobody, folder = ["--cluster", "127.0.0.1:9"], ["--folder", str(tmp_path / "runs")]
    assert command.main(["table", "posynda.table7", *nobody, *folder]) == 2
    assert "found no Dask scheduler at '127.0.0.1:9'" in capsys.readouterr().err
    assert command.main(["table", "prior.layers", *folder]) == 2
    assert "prior.layers has no --folder" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_call_that_kills_its_workers_is_given_up(scheduler: str) -> None:
    """And one that they cannot read is an error: neither may wait for ever."""

    class Unreadable:
        def __reduce__(self) -> tuple[Any, ...]:
            return __import__, ("nowhere_to_be_found",)

    with cluster.workers(scheduler) as crew:
        assert sorted(crew.run(abs, [(-1,), (2,)])) == [1, 2]
        with pytest.raises(ValueError, match="the cluster gave up"):
            list(crew.run(os._exit, [(1,)]))
        with pytest.raises(Exception, match="nowhere_to_be_found|deserializ"):
            list(crew.run(id, [(Unreadable(),)]))


def test_a_cluster_without_workers_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 2)
    alone = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                  "--scheduler-file", "scheduler.json", folder=tmp_path)  # fmt: skip
    try:
        with pytest.raises(ValueError, match=r"found no workers at tcp.*--nthreads 1"):
            cluster.workers(address_of(tmp_path)).__enter__()
    finally:
        stop([alone])
