from __future__ import annotations

import json
from pathlib import Path

import pytest

from posenb import assets


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    return tmp_path


def registered(folder: Path, name: str, data: bytes) -> Path:
    file = folder / name
    assets.write_atomically(file, data)
    assets.register(name)
    return file


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
    assets.register("a.npz")
    assert assets.path("a.npz") == file


def test_a_missing_asset_is_named(folder: Path) -> None:
    registered(folder, "a.npz", b"first").unlink()
    with pytest.raises(ValueError, match=r"a\.npz is missing.*assets build"):
        assets.path("a.npz")
    with pytest.raises(ValueError, match=r"b\.npz is not in manifest\.json, which lists a\.npz"):
        assets.path("b.npz")
    with pytest.raises(ValueError, match=r"cannot register asset b\.npz"):
        assets.register("b.npz")


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


def test_every_shipped_asset_is_whole() -> None:
    for name in assets.manifest():
        assert assets.path(name).is_file()
