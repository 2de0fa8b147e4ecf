"""Files that come with the package, each checked against its SHA-256 before it is read.

`manifest.json` holds one line an asset: its name (a relative path with forward slashes) and the
SHA-256 of its bytes. A folder of a user's own weights is laid out alike, with its own manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


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
    expected = manifest(folder).get(name)
    if expected is None:
        known = ", ".join(sorted(manifest(folder))) or "nothing"
        raise ValueError(f"asset {name} is not in manifest.json, which lists {known}; {cure}")
    file = (folder or FOLDER) / name
    if not file.is_file():
        raise ValueError(f"asset {name} is missing: expected a file at {file}; {cure}")
    found = digest(file)
    if found != expected:
        raise ValueError(
            f"asset {name} is altered: expected sha256 {expected}, found {found} "
            f"({file.stat().st_size} bytes); {cure}"
        )
    return file


def register(name: str, folder: Path | None = None) -> None:
    """Write the digest of an asset, as it lies in its folder now, into the manifest there.

    Raises:
        ValueError: if there is no such file.
    """
    home = folder or FOLDER
    file = home / name
    if not file.is_file():
        raise ValueError(f"cannot register asset {name}: there is no file at {file}")
    entries = manifest(folder) | {name: digest(file)}
    text = json.dumps(entries, indent=2, sort_keys=True) + "\n"
    write_atomically(home / "manifest.json", text.encode())


def manifest(folder: Path | None = None) -> dict[str, str]:
    """Asset names and their SHA-256 digests in hexadecimal; empty before the first asset."""
    file = (folder or FOLDER) / "manifest.json"
    if not file.exists():
        return {}
    try:
        entries = json.loads(file.read_bytes())
    except ValueError as error:
        cure = (
            "restore it with `git checkout -- posenb/assets/manifest.json`"
            if folder is None
            else "delete it and repeat the training command, which writes the weights anew"
        )
        raise ValueError(f"{file} is not valid JSON ({error}); {cure}") from error
    return dict(entries)


def digest(file: Path) -> str:
    """SHA-256 of a file in hexadecimal, computed once while its time and size stay the same."""
    status = file.stat()
    return _digest(file, status.st_mtime_ns, status.st_size)


def write_atomically(file: Path, data: bytes) -> None:
    """Write a whole file or nothing: a reader, or a crash, never meets half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's files are private
        os.replace(temporary, file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@lru_cache(maxsize=256)
def _digest(file: Path, modified: int, size: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
