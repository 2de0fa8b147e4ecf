"""What training keeps: checkpoints to go on from, and weights to ship."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from posenb import assets
from posenb.train import runtime

PROVENANCE = (
    "command",
    "configuration",
    "seed",
    "data_hash",
    "losses",
    "device",
    "wall_seconds",
)

# What reading raises on other bytes than were written, depending on where they break.
_DAMAGE = (
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state atomically: a crash leaves the previous file whole.

    Args:
        path: file to write; its folder is made.
        state: nested dictionaries and lists of tensors, numbers, strings, booleans and None.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    assets.write_atomically(Path(path), buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, its tensors on the CPU. No code in the file is run.

    Raises:
        ValueError: if there is no such file, or it is truncated, altered or no checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no checkpoint at {path}")
    data = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            broken = archive.testzip()  # compares checksums, which torch.load does not
        if broken is not None:
            raise zipfile.BadZipFile(f"the checksum of {broken} is wrong")
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise ValueError(
            f"{path} ({len(data)} bytes) is truncated, altered or no checkpoint ({error}); "
            "delete it to start the training anew"
        ) from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}: expected a dictionary")
    return state


def save_weights(
    name: str,
    module_state: Mapping[str, Tensor],
    provenance: Mapping[str, Any],
    half: bool = False,
    folder: Path | None = None,
) -> None:
    """Ship weights: `assets/weights/<name>.safetensors`, its JSON, and both digests.

    Args:
        name: of the asset, without folder and ending.
        module_state: for example `module.state_dict()`.
        provenance: how the weights were made, as plain JSON data; the keys of PROVENANCE must
            be there. The versions of the packages are added.
        half: store floats as float16, at half the size.
        folder: write there, laid out alike, and leave the package's assets as they are.

    Raises:
        ValueError: if the provenance lacks a key, or a tensor holds a number that is not finite.
    """
    missing = [key for key in PROVENANCE if key not in provenance]
    if missing:
        raise ValueError(f"the provenance of {name} lacks {', '.join(missing)}")
    tensors = {key: _shippable(value, half) for key, value in module_state.items()}
    broken = [key for key, value in tensors.items() if not value.isfinite().all()]
    if broken:
        raise ValueError(f"weights {name} hold NaN or infinity in {', '.join(broken)}: not saved")
    record = {**provenance, "versions": runtime.versions()}
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    files = {
        f"weights/{name}.safetensors": safetensors.torch.save(tensors),
        f"weights/{name}.json": text.encode(),
    }
    for asset, data in files.items():
        assets.write_atomically((folder or assets.FOLDER) / asset, data)
    for asset in files:
        assets.register(asset, folder)


def load_weights(name: str, folder: Path | None = None) -> dict[str, Tensor]:
    """Shipped weights, or those of a folder, on the CPU, verified; float16 comes as float32.

    Raises:
        ValueError: if the weights are missing, truncated or altered.
    """
    tensors = safetensors.torch.load_file(assets.path(f"weights/{name}.safetensors", folder))
    return {
        key: value.float() if value.dtype == torch.float16 else value
        for key, value in tensors.items()
    }


def load_provenance(name: str, folder: Path | None = None) -> dict[str, Any]:
    """How weights were made: the JSON beside them, verified.

    Raises:
        ValueError: if it is missing, truncated or altered.
    """
    return dict(json.loads(assets.path(f"weights/{name}.json", folder).read_bytes()))


def weights_names(start: str, end: str = "", folder: Path | None = None) -> tuple[str, ...]:
    """What stands between `start` and `end` in the names of all weights there are, sorted."""
    head, tail = f"weights/{start}", f"{end}.safetensors"
    found = (name for name in assets.manifest(folder) if name.startswith(head))
    return tuple(sorted(n.removeprefix(head).removesuffix(tail) for n in found if n.endswith(tail)))


def state_hash(state: Any) -> str:
    """SHA-256 of a tensor, or of nested dictionaries and lists of tensors and plain values.

    It depends on every bit, on types and shapes, and not on the order of keys or the device.
    """
    digest = hashlib.sha256()
    _feed(digest, state)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, state: Any) -> None:
    if isinstance(state, Tensor):
        digest.update(f"tensor {state.dtype} {tuple(state.shape)} ".encode())
        flat = state.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    elif isinstance(state, Mapping):
        digest.update(f"dict {len(state)} ".encode())
        for key in sorted(state, key=str):
            digest.update(f"{key!r} ".encode())
            _feed(digest, state[key])
    elif isinstance(state, list | tuple):
        digest.update(f"list {len(state)} ".encode())
        for value in state:
            _feed(digest, value)
    else:
        digest.update(f"{state!r} ".encode())


def _shippable(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu()
    if half and value.is_floating_point():
        value = value.half()
    return value.clone(memory_format=torch.contiguous_format)  # safetensors: no shared memory
