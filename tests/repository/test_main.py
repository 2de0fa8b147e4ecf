"""The command line answers what a user got wrong in one line, with status 2."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from posenb import __main__ as command
from posenb import assets


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("posenb: ")
    return lines[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["flexpose", "--shots", "shots.json", "--out"],
        ["train", "detector", "--domain", "synthetic", "--folder"],
        ["train", "lifter", "--denoiser", "MixSTE", "--folder"],
        ["train", "flexpose", "--folder"],
        ["train", "prior", "--domain", "wild", "--folder"],
    ],
)
def test_a_folder_that_cannot_be_made(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for folder in (taken, taken / "below"):
        assert command.main([*arguments, str(folder)]) == 2
        assert "taken" in one_line(capsys)
    assert taken.read_text() == "a file"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_disk_that_takes_nothing(
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"poses\.npz"):
        assets.write_atomically(tmp_path / "poses.npz", b"poses")
    monkeypatch.setattr(
        command, "_build", lambda _: assets.write_atomically(tmp_path / "poses.npz", b"poses")
    )
    assert command.main(["assets", "build"]) == 2
    line = one_line(capsys)
    assert "poses.npz" in line and os.strerror(number) in line
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    for fault in (OSError("no number of the system"), KeyError("x"), TypeError("y")):

        def fail(_: object, fault: Exception = fault) -> int:
            raise fault

        monkeypatch.setattr(command, "_build", fail)
        with pytest.raises(type(fault)):
            command.main(["assets", "build"])


def test_home_is_understood_behind_an_equals_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert command.main(["flexpose", "--shots=~/none.json", "--out=~/result"]) == 2
    assert str(tmp_path / "none.json") in one_line(capsys)
    assert not (tmp_path / "~").exists()
    assert command.main(["assets", "build", "--motion=~/motions"]) == 2
    assert str(tmp_path / "motions") in one_line(capsys)


def test_long_messages_keep_beginning_and_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise ValueError("begins " + "so\n" * 30_000 + "do this")

    monkeypatch.setattr(command, "_build", fail)
    assert command.main(["assets", "build"]) == 2
    line = one_line(capsys)
    assert len(line) < 800 and "begins" in line and line.endswith("do this")
