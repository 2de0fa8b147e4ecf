"""Who computes the cells of a table: processes of this machine, or a Dask cluster's workers.

`python -m posenb table NAME --cluster ADDRESS`: the workers see the files of this machine at the
same paths (checkpoints, data), and have the same versions. Each has one thread, because what torch
is told holds for a whole process: `dask worker ADDRESS --nworkers 4 --nthreads 1`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import joblib

from posenb.train import runtime

PATIENCE = 30  # seconds for the scheduler, and for its workers, to answer


class Home(NamedTuple):
    """What a measurement elsewhere has to have as it is here: folder, and variables POSENB_*."""

    folder: Path
    variables: dict[str, str]

    @classmethod
    def here(cls) -> Home:
        """That of this process."""
        ours = {name: value for name, value in os.environ.items() if name.startswith("POSENB_")}
        return cls(Path.cwd(), ours)

    @contextlib.contextmanager
    def like(self) -> Iterator[None]:
        """Inside the block, this process has them too."""
        before = dict(os.environ)
        os.environ.update(self.variables)
        try:
            with contextlib.chdir(self.folder):
                yield
        finally:
            for name in self.variables:
                os.environ.pop(name, None)
            os.environ.update(before)


class Crew(NamedTuple):
    """Who computes.

    Attributes:
        run: (call, arguments of each time) -> what it returned, in the order of the finish.
        device: what it computes on.
    """

    run: Callable[[Callable[..., Any], Iterable[tuple[Any, ...]]], Iterable[Any]]
    device: str


def processes(jobs: int) -> Crew:
    """So many processes of this machine; 1: this one."""

    def run(call: Callable[..., Any], each: Iterable[tuple[Any, ...]]) -> Iterable[Any]:
        tasks = (joblib.delayed(call)(*arguments) for arguments in each)
        return joblib.Parallel(jobs, return_as="generator_unordered")(tasks)

    return Crew(run, runtime.device_name(runtime.device()))


@contextlib.contextmanager
def workers(address: str) -> Iterator[Crew]:
    """The workers of a Dask cluster. What one of them leaves when it dies, another does again.

    With Dask's own futures: joblib's Dask backend waits for ever for a call that cannot be
    unpickled, or that kills every worker.

    Raises:
        ValueError: if Dask is not installed, nobody answers, or a worker is not fit: it has other
            versions, several threads, or not the folder from which this process runs; in the block,
            if a call killed several workers.
    """
    try:
        from dask.distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise ValueError(
            "a cluster needs Dask, which is not here: python -m pip install 'dask[distributed]'"
        ) from error
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:  # its time-outs are of OSError
        raise ValueError(
            f"found no Dask scheduler at {address!r} ({error}): start one with `dask scheduler`"
        ) from error

    def run(call: Callable[..., Any], each: Iterable[tuple[Any, ...]]) -> Iterable[Any]:
        futures = [client.submit(call, *arguments, pure=False) for arguments in each]
        try:
            for done in as_completed(futures, loop=client.loop):
                yield done.result()
        except KilledWorker as error:
            raise ValueError(f"the cluster gave up: {error}") from error

    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise ValueError(
                f"found no workers at {address}: start some with `dask worker {address} "
                "--nworkers 2 --nthreads 1`"
            ) from error
        found = client.run(_look, Path.cwd())
        for name, threads in client.nthreads().items():
            if threads != 1:
                raise ValueError(f"worker {name} has {threads} threads: start it with --nthreads 1")
        for name, (versions, _, at_home) in found.items():
            if versions != runtime.versions():
                raise ValueError(
                    f"worker {name} has {versions}, this process {runtime.versions()}: numbers of "
                    "both do not belong on one card"
                )
            if not at_home:
                raise ValueError(
                    f"worker {name} has no folder {Path.cwd()}: it must see the files of this "
                    "machine at the same paths"
                )
        yield Crew(run, ", ".join(sorted({device for _, device, _ in found.values()})))


def _look(folder: Path) -> tuple[dict[str, str], str, bool]:
    """What a worker says of itself: versions, device, whether it sees the folder."""
    return runtime.versions(), runtime.device_name(runtime.device()), folder.is_dir()
