from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posenb import assets


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    return tmp_path


def registered(folder: Path, name: str, data: bytes) -> Path:
    assets.ship({name: data})
    return folder / name


def test_a_registered_asset_is_found(folder: Path) -> None:
    second = registered(folder, "weights/b.safetensors", b"second")
    first = registered(folder, "a.npz", b"first")
    assert assets.path("a.npz") == first
    assert assets.path("weights/b.safetensors") == second
    assert list(json.loads((folder / "manifest.json").read_text())) == [
        "a.npz",
        "weights/b.safetensors",
    ]


@pytest.mark.parametrize("data", [b"0123456789 altered", b"01234", b""])
def test_an_altered_or_truncated_asset_is_refused(folder: Path, data: bytes) -> None:
    file = registered(folder, "a.npz", b"0123456789")
    assets.path("a.npz")  # the digest of the good file is known by now
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.npz is altered: expected sha256 84d8.*git checkout"):
        assets.path("a.npz")
    assets.ship({"a.npz": data})
    assert assets.path("a.npz") == file and file.read_bytes() == data


def test_a_missing_asset_is_named(folder: Path) -> None:
    registered(folder, "a.npz", b"first").unlink()
    with pytest.raises(ValueError, match=r"a\.npz is missing.*assets build"):
        assets.path("a.npz")
    with pytest.raises(ValueError, match=r"b\.npz is not in manifest\.json, which lists a\.npz"):
        assets.path("b.npz")


def test_a_broken_manifest_is_named(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"a.npz": ')
    with pytest.raises(ValueError, match=r"manifest\.json is not valid JSON"):
        assets.path("a.npz")


def test_a_failed_write_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = registered(folder, "a.npz", b"first")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        assets.write_atomically(file, b"second")
    assert file.read_bytes() == b"first"
    assert {entry.name for entry in folder.iterdir()} == {"a.npz", "manifest.json"}


OLD = {"weights/a.safetensors": b"old weights", "weights/a.json": b"old record"}
NEW = {
    "weights/a.safetensors": b"new weights",
    "weights/a.json": b"new record",
    "weights/a_critic.json": b"a third, which is new",
}
CALLS = ("open", "fdopen", "fsync", "chmod", "replace", "unlink", "mkdir")  # of os, in a write


def content(folder: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: assets.path(name, folder).read_bytes() for name in files}


def counting(monkeypatch: pytest.MonkeyPatch, at: int, fail: Callable[[], Any]) -> list[str]:
    """Let the call number `at` of all that a write asks of the system end in `fail`."""
    calls: list[str] = []

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == at + 1:
                fail()
            return call(*arguments, **options)

        return run

    for name in CALLS:
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    return calls


def test_shipping_is_all_or_nothing_wherever_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    outcomes, at, reached = set(), 0, True
    while reached:
        folder = tmp_path / str(at)
        assets.ship(OLD, folder)
        with monkeypatch.context() as patch:
            calls = counting(patch, at, full)
            try:
                assets.ship(NEW, folder)
            except OSError as error:
                assert error.errno == errno.ENOSPC
        reached = len(calls) > at
        whole = {name in assets.manifest(folder) for name in NEW} == {True}
        assert content(folder, NEW if whole else OLD) == (NEW if whole else OLD), calls[at]
        outcomes.add(whole)
        assets.ship(NEW, folder)  # the next time it works, and nothing is left over
        assert content(folder, NEW) == NEW
        left = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}
        assert left == {*NEW, "manifest.json"}
        at += 1
    assert outcomes == {True, False} and at > 20


KILLED = """
import os, sys
from pathlib import Path
from posenb import assets
sys.path.insert(0, sys.argv[2])
calls = 0
def watched(call):
    def run(*arguments, **options):
        global calls
        calls += 1
        if calls == int(sys.argv[1]):
            os._exit(9)
        return call(*arguments, **options)
    return run
for name in {names}:
    setattr(os, name, watched(getattr(os, name)))
assets.ship({new}, Path(sys.argv[2]))
"""


@pytest.mark.parametrize("at", range(1, 40, 3))
def test_a_killed_process_leaves_all_the_old_or_all_the_new(tmp_path: Path, at: int) -> None:
    assets.ship(OLD, tmp_path)
    script = KILLED.format(names=CALLS, new=NEW)
    done = subprocess.run([sys.executable, "-c", script, str(at), str(tmp_path)], check=False)
    assert done.returncode in (0, 9)
    whole = "weights/a_critic.json" in assets.manifest(tmp_path)
    assert content(tmp_path, NEW if whole else OLD) == (NEW if whole else OLD)
    assert whole or done.returncode == 9
    assets.ship(NEW, tmp_path)
    assert content(tmp_path, NEW) == NEW
    left = {f.relative_to(tmp_path).as_posix() for f in tmp_path.rglob("*") if f.is_file()}
    assert left == {*NEW, "manifest.json"}


WRITER = """
import sys
from pathlib import Path
from posenb import assets
for number in range(20):
    assets.ship({f"{sys.argv[1]}/{number}.json": sys.argv[1].encode()}, Path(sys.argv[2]))
"""


def test_two_processes_that_ship_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER]
    running = [subprocess.Popen([*command, name, str(tmp_path)]) for name in ("one", "two")]
    assert [process.wait() for process in running] == [0, 0]
    expected = {f"{who}/{n}.json": who.encode() for who in ("one", "two") for n in range(20)}
    assert assets.manifest(tmp_path).keys() == expected.keys()
    assert content(tmp_path, expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "3",
        '{"a": 1}',
        '{"a": "abc"}',
        '{"../a": "%s"}' % ("0" * 64),
        '{"": "%s"}' % ("0" * 64),
    ],
)
def test_a_manifest_of_other_content_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json is no manifest: expected"):
        assets.path("a.npz")


def test_every_shipped_asset_is_whole() -> None:
    for name in assets.manifest():
        assert assets.path(name).is_file()
