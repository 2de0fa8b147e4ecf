"""Making the motion asset from the recordings of the package pybullet 3.2.7."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path

import numpy as np

from posenb import assets
from posenb.world.motion import ASSET

# Where a frame of the source files keeps the rotation of a joint: (joint, first column, kind).
_SOURCE_COLUMNS = (
    (0, 4, "quaternion"),  # root
    (7, 8, "quaternion"),  # chest
    (8, 12, "quaternion"),  # neck
    (1, 16, "quaternion"),  # right hip
    (2, 20, "hinge"),  # right knee
    (3, 21, "quaternion"),  # right ankle
    (14, 25, "quaternion"),  # right shoulder
    (15, 29, "hinge"),  # right elbow
    (4, 30, "quaternion"),  # left hip
    (5, 34, "hinge"),  # left knee
    (6, 35, "quaternion"),  # left ankle
    (11, 39, "quaternion"),  # left shoulder
    (12, 43, "hinge"),  # left elbow
)


def build(folder: Path | None = None) -> Path:
    """Make the motion asset again from pybullet's data (`python -m posenb assets build`).

    Args:
        folder: the folder `pybullet_data/data/motions`; found in the installed package if None.

    Raises:
        ValueError: if the files cannot be found, or one is not that of pybullet 3.2.7; the asset
            stays as it was.
    """
    folder = _source_folder() if folder is None else Path(folder)
    assets.check_sources("motion", folder)
    files = [*sorted(folder.glob("humanoid3d_*.txt")), *sorted(folder.glob("walker/*.txt"))]
    clips = [_read_source(file) for file in files]
    names = [file.stem if file.stem[0] == "h" else f"walker_{file.stem}" for file in files]
    content = io.BytesIO()
    np.savez_compressed(
        content,
        names=np.array(names),
        actions=np.array([_action(name) for name in names]),
        fps=np.array([fps for fps, _, _ in clips]),
        lengths=np.array([len(root) for _, root, _ in clips]),
        root=np.concatenate([root for _, root, _ in clips]).astype(np.float32),
        rotations=np.concatenate([rotation for _, _, rotation in clips]).astype(np.float32),
    )
    assets.ship({ASSET: content.getvalue()})
    return assets.FOLDER / ASSET


def _source_folder() -> Path:
    spec = importlib.util.find_spec("pybullet_data")
    if spec is None or spec.origin is None:
        raise ValueError("pybullet is not installed: pip install pybullet==3.2.7, then build again")
    return Path(spec.origin).parent / "data" / "motions"


def _action(name: str) -> str:
    """Action of a recording: `humanoid3d_spinkick` -> `spinkick`; walkers walk or turn."""
    if name.startswith("walker_"):
        return "turn" if "turn" in name else "walk"
    return name.removeprefix("humanoid3d_")


def _read_source(file: Path) -> tuple[float, np.ndarray, np.ndarray]:
    """Frames a second, root (F, 3) and quaternions (F, 17, 4) of one source file."""
    try:
        frames = np.array(json.loads(file.read_text())["Frames"], dtype=np.float64)  # (F, 44)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: expected JSON with lists of numbers in 'Frames'") from error
    if frames.ndim != 2 or frames.shape[1] != 44 or len(frames) < 2:
        raise ValueError(
            f"{file}: expected two frames or more of 44 numbers, found shape {frames.shape}"
        )
    rotations = np.zeros((len(frames), 17, 4))
    rotations[..., 0] = 1
    for joint, column, kind in _SOURCE_COLUMNS:
        if kind == "quaternion":
            rotations[:, joint] = frames[:, column : column + 4]
        else:  # a hinge about z
            rotations[:, joint, 0] = np.cos(frames[:, column] / 2)
            rotations[:, joint, 3] = np.sin(frames[:, column] / 2)
    lengths = np.linalg.norm(rotations, axis=-1, keepdims=True)
    if not np.isfinite(frames).all() or not lengths.all():
        raise ValueError(f"{file}: a number is not finite, or a rotation has length 0")
    rotations /= lengths
    # The last frame's duration is a placeholder in these files, so it does not count.
    return 1.0 / float(frames[:-1, 0].mean()), frames[:, 1:4], rotations
