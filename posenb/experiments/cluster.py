"""Experiments on a Dask cluster: `python -m posenb table NAME --cluster ADDRESS`.

The workers see the files of this machine at the same paths (checkpoints, data), and have the same
versions. Each has one thread, because what torch is told holds for a whole process:
`dask worker ADDRESS --nworkers 4 --nthreads 1`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
        """Inside the block, this process is there too, and starts no processes of its own."""
        before = dict(os.environ)
        os.environ.update(self.variables)
        try:
            with contextlib.chdir(self.folder), joblib.parallel_config("sequential"):
                yield
        finally:
            for name in self.variables:
                os.environ.pop(name, None)
            os.environ.update(before)


class _Worker(NamedTuple):
    versions: dict[str, str]
    device: str
    at_home: bool


def _look(folder: Path) -> _Worker:
    """A worker on itself."""
    device = runtime.device_name(runtime.device())
    return _Worker(runtime.versions(), device, folder.is_dir())


@contextlib.contextmanager
def workers(address: str | None) -> Iterator[str]:
    """Inside the block, joblib sends its calls to a cluster, or keeps them here if that is None.

    Yields:
        Names of the devices that compute.

    Raises:
        ValueError: if Dask is not installed, nobody answers, or a worker is not fit: it has other
            versions, several threads, or not the folder from which this process runs.
    """
    if address is None:
        yield runtime.device_name(runtime.device())
        return
    try:
        from dask.distributed import Client
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
    with client:
        try:
            client.wait_for_workers(2, timeout=PATIENCE)  # with one, joblib would stay here
        except TimeoutError as error:
            count = len(client.nthreads())
            raise ValueError(
                f"found {count} workers at {address}, expected at least 2: start them with `dask "
                f"worker {address} --nworkers 2 --nthreads 1`"
            ) from error
        found = client.run(_look, Path.cwd())
        for name, threads in client.nthreads().items():
            if threads != 1:
                raise ValueError(f"worker {name} has {threads} threads: start it with --nthreads 1")
        for name, worker in found.items():
            if worker.versions != runtime.versions():
                raise ValueError(
                    f"worker {name} has {worker.versions}, this process {runtime.versions()}: "
                    "numbers of both do not belong on one card"
                )
            if not worker.at_home:
                raise ValueError(
                    f"worker {name} has no folder {Path.cwd()}: it must see the files of this "
                    "machine at the same paths"
                )
        with joblib.parallel_config("dask", client=client):
            yield ", ".join(sorted({worker.device for worker in found.values()}))
