"""What training keeps: checkpoints to go on from, and weights to ship."""

from __future__ import annotations

import hashlib
import io
import json
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from posenb import assets
from posenb.train import runtime

Module = TypeVar("Module", bound=nn.Module)
Build = Callable[[dict[str, Any], dict[str, Tensor]], Module]

PROVENANCE: dict[str, type | tuple[type, ...]] = {
    "command": str,
    "configuration": dict,
    "seed": int,
    "data_hash": str,
    "losses": dict,
    "device": str,
    "wall_seconds": (int, float),
}

_REMAKE = "make it again with the training command that wrote it"

# All that the pickle of a state may name. Anything else is not ours, and could run code or ask for
# any amount of memory.
_NAMED = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"}
_NAMED |= {
    f"torch {kind}Storage"
    for kind in ("Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float")
} | {"torch DoubleStorage"}


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
    cure = "delete it to start the training anew"
    try:
        _check_archive(data)
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if isinstance(state, dict):
            _check_plain(state)
    except Exception as error:  # torch's reader raises nearly anything on other bytes than its own
        raise ValueError(
            f"{path} ({len(data)} bytes) is truncated, altered or no checkpoint "
            f"({str(error)[:120]}); {cure}"
        ) from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}: expected a dictionary; {cure}")
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
        OSError: if they cannot be written; what was there stays.
        ValueError: if the provenance lacks a key, or a tensor holds a number that is not finite.
    """
    assets.ship(packed(name, module_state, provenance, half), folder)


def packed(
    name: str, module_state: Mapping[str, Tensor], provenance: Mapping[str, Any], half: bool = False
) -> dict[str, bytes]:
    """Both files of weights for `assets.ship`, for several that belong together.

    Args:
        name: as in `save_weights`, like all others.
        module_state: tensors.
        provenance: how they were made.
        half: store floats as float16.

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
    return {
        f"weights/{name}.safetensors": safetensors.torch.save(tensors),
        f"weights/{name}.json": text.encode(),
    }


def load_weights(name: str, folder: Path | None = None) -> dict[str, Tensor]:
    """Shipped weights, or those of a folder, on the CPU, verified; float16 comes as float32.

    Raises:
        ValueError: if the weights are missing, truncated or altered.
    """
    file = assets.path(f"weights/{name}.safetensors", folder)
    try:
        tensors = safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _unfit(file, str(error)) from error
    return {
        key: value.float() if value.dtype == torch.float16 else value
        for key, value in tensors.items()
    }


def load_provenance(name: str, folder: Path | None = None) -> dict[str, Any]:
    """How weights were made: the JSON beside them, verified.

    Raises:
        ValueError: if it is missing, truncated or altered, or lacks what `save_weights` writes.
    """
    file = assets.path(f"weights/{name}.json", folder)
    found = assets.parse_json(file.read_bytes(), file, _REMAKE)
    wrong = [
        key
        for key, kind in PROVENANCE.items()
        if not isinstance(found, dict) or not isinstance(found.get(key), kind)
    ]
    if wrong:
        raise _unfit(file, f"{', '.join(wrong)} missing, or of another type")
    return dict(found)


def built(name: str, build: Build[Module], folder: Path | None = None) -> Module:
    """A network with its weights.

    Args:
        name: of the weights.
        build: makes the network from the configuration in the provenance and the weights. It is
            called twice, first where tensors have shapes and no memory: a configuration that is
            not of these weights must not ask for more than there is.
        folder: as in `load_weights`.

    Raises:
        ValueError: if the weights are missing or altered, or do not fit the network.
    """
    state = load_weights(name, folder)
    configuration = load_provenance(name, folder)["configuration"]
    try:
        with torch.device("meta"):
            wanted = {key: v.shape for key, v in build(configuration, state).state_dict().items()}
        if wanted != {key: value.shape for key, value in state.items()}:
            raise ValueError("names or shapes differ from those of the network")
        network = build(configuration, state)
        network.load_state_dict(state)
    except Exception as error:  # a foreign configuration fails anywhere in a network's making
        raise _unfit(f"weights {name}", f"{type(error).__name__}: {error}") from error
    return network


def weights_names(start: str, end: str = "", folder: Path | None = None) -> tuple[str, ...]:
    """What stands between `start` and `end` in the names of all weights there are, sorted."""
    head, tail = f"weights/{start}", f"{end}.safetensors"
    found = (name for name in assets.manifest(folder) if name.startswith(head))
    return tuple(sorted(n.removeprefix(head).removesuffix(tail) for n in found if n.endswith(tail)))


def digests(*names: str, folder: Path | None = None) -> dict[str, str]:
    """Beginning of the SHA-256 of weights, shipped or in a folder: a card says what it measured."""
    files = {name: assets.path(f"weights/{name}.safetensors", folder) for name in names}
    return {name: assets.digest(file)[:12] for name, file in files.items()}


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


def _unfit(what: str | Path, reason: str) -> ValueError:
    return ValueError(f"{what}: not what these weights need ({reason[:160]}); {_REMAKE}")


def _check_archive(data: bytes) -> None:
    """Refuse an archive with damaged or packed parts, or a pickle that names what is not ours."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("its parts are packed: torch stores them as they are")
        if sum(part.file_size for part in parts) > len(data):
            raise ValueError("its parts are larger than the file")
        broken = archive.testzip()  # compares checksums, which torch.load does not
        if broken is not None:
            raise ValueError(f"the checksum of {broken} is wrong")
        for part in parts:
            if part.filename.endswith(".pkl"):
                _check_pickle(archive.read(part))


def _check_pickle(code: bytes) -> None:
    for operation, argument, _ in pickletools.genops(code):
        if operation.name == "GLOBAL" and argument not in _NAMED:
            raise ValueError(f"it holds {argument}: expected tensors and plain values only")
        if operation.name in ("INST", "STACK_GLOBAL", "NEWOBJ", "EXT1", "EXT2", "EXT4"):
            raise ValueError("it holds objects: expected tensors and plain values only")


def _check_plain(state: Any) -> None:
    """Refuse what is neither a whole tensor nor plain, at any depth."""
    if isinstance(state, Tensor):
        if state.numel() * state.element_size() > state.untyped_storage().nbytes():
            raise ValueError("a tensor is larger than its bytes")
    elif isinstance(state, Mapping):
        for key, value in state.items():
            if not isinstance(key, str | int):
                raise ValueError(f"a key is a {type(key).__name__}")
            _check_plain(value)
    elif isinstance(state, list | tuple):
        for value in state:
            _check_plain(value)
    elif state is not None and not isinstance(state, bool | int | float | str):
        raise ValueError(f"it holds a {type(state).__name__}")


def _shippable(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu()
    if half and value.is_floating_point():
        value = value.half()
    return value.clone(memory_format=torch.contiguous_format)  # safetensors: no shared memory
