"""Files that come with the package, each checked against its SHA-256 before it is read.

`manifest.json` holds one line an asset: its name (a relative path with forward slashes) and the
SHA-256 of its bytes. A folder of a user's own weights is laid out alike, with its own manifest.
What all that write files share is here too: whole files or none, and one process at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import filelock

_HOME = Path(__file__).resolve().parent
FOLDER = _HOME
_STAGED = re.compile(r"(.+)\.([0-9a-f]{16})\.new")  # an asset that is not yet at its own place

log = logging.getLogger(__name__)


def path(name: str, folder: Path | None = None) -> Path:
    """Path of an asset, after its bytes were compared with the manifest.

    Args:
        name: relative to the assets folder, for example "weights/wild.safetensors".
        folder: one with a manifest of its own; default that of the package.

    Raises:
        ValueError: if the asset is not in the manifest, missing, truncated or altered.
    """
    cure = (
        f"restore it with `git checkout -- posenb/assets/{name}`, or make it again: motion, "
        "body and clip with `python -m posenb assets build` as NOTICE says, weights with the "
        "command in the JSON file beside them"
        if folder is None
        else "make it again with the command in the JSON file beside the weights"
    )
    entries = manifest(folder)
    expected = entries.get(name)
    if expected is None:
        known = ", ".join(sorted(entries)) or "nothing"
        known = known if len(known) < 200 else f"{len(entries)} others"
        raise ValueError(f"asset {name} is not in manifest.json, which lists {known}; {cure}")
    home = folder or FOLDER
    file = home / name
    for place in (file, _staged(home, name, expected), file):  # it may move while we look
        if place.is_file() and digest(place) == expected:
            return place
    if manifest(folder).get(name) != expected:
        return path(name, folder)  # it was written anew while we looked
    if not file.is_file():
        raise ValueError(f"asset {name} is missing: expected a file at {file}; {cure}")
    raise ValueError(
        f"asset {name} is altered: expected sha256 {expected}, found {digest(file)} "
        f"({file.stat().st_size} bytes); {cure}"
    )


def ship(files: Mapping[str, bytes], folder: Path | None = None) -> None:
    """Write assets and their digests: all of them, or none.

    The new bytes go beside the old under names of their own. Then the manifest is replaced, which
    is the one moment from which they count; then they take their places. `path` finds them in
    either, so a crash or a full disk at any point leaves all that was there or all that is new.
    Another process that writes to the same folder waits.

    Args:
        files: bytes of each asset by its name.
        folder: one with a manifest of its own; default that of the package.

    Raises:
        OSError: if they cannot be written; what was there stays.
        ValueError: if the manifest there is damaged.
    """
    home = folder or FOLDER
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    with locked(home / "manifest.json", wait=True):
        text = json.dumps(manifest(folder) | digests, indent=2, sort_keys=True) + "\n"
        try:
            for name, data in files.items():
                write_atomically(_staged(home, name, digests[name]), data)
            write_atomically(home / "manifest.json", text.encode())
        finally:
            _settle(home)


def manifest(folder: Path | None = None) -> dict[str, str]:
    """Asset names and their SHA-256 digests in hexadecimal; empty before the first asset.

    Raises:
        ValueError: if the file is no such list.
    """
    file = (folder or FOLDER) / "manifest.json"
    cure = (
        "restore it with `git checkout -- posenb/assets/manifest.json`"
        if folder is None
        else "delete it and repeat the training command, which writes the weights anew"
    )
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return {}
    entries = parse_json(data, file, cure)
    if not isinstance(entries, dict) or not all(map(_is_entry, entries.items())):
        raise ValueError(
            f"{file} is no manifest: expected relative names and the SHA-256 of each; {cure}"
        )
    return dict(entries)


def parse_json(data: bytes, file: Path, cure: str) -> Any:
    """Content of a JSON file of ours.

    Raises:
        ValueError: if it is not JSON; with the name of the file, and the cure.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not valid JSON ({str(error)[:80]}); {cure}") from error


@contextlib.contextmanager
def locked(file: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes from writing a file inside the block; a process that dies lets go.

    Args:
        file: what is to be written; its folder is made.
        wait: until another process has finished, and say so; else refuse.

    Raises:
        ValueError: if another process has it, and we do not wait.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    guard = file.parent / f".{file.name}.lock"
    lock = filelock.FileLock(guard)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        if not wait:
            raise ValueError(
                f"another process is writing {file}: wait until it has ended, or stop it"
            ) from None
        log.warning("another process is writing %s: waiting until it has ended", file)
        lock.acquire()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes it itself
            guard.unlink()  # while we have it: who gets the removed one then, tries again
        lock.release()


def check_sources(kind: str, folder: Path) -> None:
    """Make sure that a folder holds the very files that an asset was made of.

    `sources.json` lists them: a pattern in the folder, and the SHA-256 of the names and bytes of
    all files that it finds. Another version of a package would give another asset under the same
    name, by which weights and cards would silently be of something else.

    Args:
        kind: motion, body or clip.
        folder: as its `build` takes it.

    Raises:
        ValueError: naming the first that is missing or differs.
    """
    for pattern, expected in json.loads(path("sources.json", _HOME).read_bytes())[kind].items():
        found = source_digest(folder, pattern)
        if found != expected:
            what = "has no" if found is None else "has other bytes in"
            raise ValueError(
                f"{folder} {what} {pattern}: expected the files that the {kind} asset was made "
                "of, those of the package in the version that NOTICE names; nothing was written"
            )


def source_digest(folder: Path, pattern: str) -> str | None:
    """SHA-256 of the names and bytes of the files that a pattern finds; None if there are none."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.glob(pattern)}
    lines = [f"{name} {digest(files[name])}\n" for name in sorted(files) if files[name].is_file()]
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else None


def digest(file: Path) -> str:
    """SHA-256 of a file in hexadecimal, computed once while its time and size stay the same."""
    status = file.stat()
    return _digest(file, status.st_mtime_ns, status.st_size)


def write_atomically(file: Path, data: bytes) -> None:
    """Write a whole file or nothing: a reader, or a crash, never meets half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with _named(file):
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with _named(file):
            _fill(descriptor, temporary, data)
            os.replace(temporary, file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_all(folder: str | Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files of a folder by their names, each as a whole or not at all; their paths."""
    paths = tuple(Path(folder) / name for name in files)
    for path, data in zip(paths, files.values(), strict=True):
        write_atomically(path, data)
    return paths


def _fill(descriptor: int, temporary: str, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(temporary, 0o644)  # mkstemp's files are private


@contextlib.contextmanager
def _named(file: Path) -> Iterator[None]:
    """An error inside the block names the file that was to be written, not a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(file)) from error


def _staged(home: Path, name: str, digest: str) -> Path:
    return home / f"{name}.{digest[:16]}.new"


def _settle(home: Path) -> None:
    """Give what the manifest lists its place, and remove what an interrupted `ship` left."""
    entries = manifest(home)
    for found in list(home.rglob("*.new")):
        match = _STAGED.fullmatch(found.relative_to(home).as_posix())
        if match is None:
            continue
        with contextlib.suppress(OSError):  # in use, on Windows: `path` finds it where it is
            if entries.get(match[1], "").startswith(match[2]):
                os.replace(found, home / match[1])
            else:
                found.unlink()
    for begun in (".*.new.*", ".manifest.json.????????"):  # by a process that died
        for found in list(home.rglob(begun)):
            with contextlib.suppress(OSError):
                found.unlink()


def _is_entry(item: tuple[Any, Any]) -> bool:
    name, found = item
    inside = not name.startswith("/") and not {"..", ""} & set(re.split(r"[/\\:]", name))
    return inside and isinstance(found, str) and re.fullmatch("[0-9a-f]{64}", found) is not None


@lru_cache(maxsize=256)
def _digest(file: Path, modified: int, size: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
