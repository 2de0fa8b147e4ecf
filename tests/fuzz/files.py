"""Damages valid tiny files of every format that is read, and counts how reading them ends.

    python tests/fuzz/files.py [--count 12000] [--only NAME ...] [--seed 0]

A damaged file may be read right, with what is not known masked, or be refused with our own error.
Status 1 if any ends in another exception, ends or blocks the process, takes more than 500 MB, or
gives poses that nobody could have. `--keep FOLDER` keeps the files that ended so.
"""

from __future__ import annotations

import argparse
import copy
import functools
import io
import json
import logging
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.io import savemat

from posenb.world import domains
from posenb.world.cameras import look_at
from posenb.world.datasets import (
    DatasetError,
    coco,
    detections,
    human36m,
    lsp,
    mocap,
    mpi_inf_3dhp,
    mpii,
    threedpw,
)
from posenb.world.poses import PoseSet
from posenb.world.skeletons import (
    BODY17,
    COCO17,
    DHP17,
    DHP28,
    LSP14,
    MPII16,
    OPENPOSE18,
    SMPL24,
    convert,
)

FRAMES = 3
MOST = 500e6  # bytes that reading may add to the process
SLOWEST = 120.0  # seconds for one file
WELL = ("right", "other values", "refused")
BADLY = ("no pose of anybody", "raw exception", "over 500 MB", "too slow", "dead")
MASKS = "masked"

Random = np.random.Generator


@dataclass(frozen=True)
class Format:
    """A format: what a valid file holds, how that is written, and how it is read.

    Attributes:
        content: an object of containers, arrays, strings and numbers.
        dump: its bytes.
        read: from a path to the poses in it.
        name: of the file.
        share: how many files of it are tried, against others; a MATLAB file takes a process.
        unpack: whether the bytes inside of the archive are damaged too, under a right checksum.
    """

    content: Callable[[], Any]
    dump: Callable[[Any], bytes]
    read: Callable[[Path], list[PoseSet]]
    name: str
    share: float = 1.0
    unpack: bool = False


def people(seed: int = 0) -> torch.Tensor:
    """Somebody invented, metres, y up, (F, 17, 3)."""
    return domains.get("stage").sample(FRAMES, seed).joints3d.double()


def pixels(seed: int = 0) -> torch.Tensor:
    """Somebody in pictures of 400 pixels, (F, 17, 2)."""
    return domains.get("wild").sample(FRAMES, seed).keypoints.double() * 300 + 50


def npz(content: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **content)
    return stream.getvalue()


def mat(content: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    savemat(stream, content)
    return stream.getvalue()


def text(content: Any) -> bytes:
    return json.dumps(content, default=lambda value: np.asarray(value).tolist()).encode()


def takes_36m() -> Any:
    joints = np.zeros((FRAMES, 32, 3), np.float32)
    joints[:, list(human36m.KEPT)] = people().numpy() @ np.array(human36m.Y_UP)
    return {"positions_3d": {"S9": {"Walking": joints}}}


def companion_36m() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "takes.npz"
        path.write_bytes(npz(takes_36m()))
        found = [film.keypoints.numpy() for film in human36m.sequences(path)]
    sides = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    scored = [np.concatenate([view, np.full((FRAMES, 17, 1), 0.9)], -1) for view in found]
    return {
        "positions_2d": {"S9": {"Walking": scored}},
        "metadata": {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": sides},
    }


def read_companion(path: Path) -> list[PoseSet]:
    takes = path.with_name("takes.npz")
    if not takes.exists():
        takes.write_bytes(npz(takes_36m()))
    return [human36m.load(takes, keypoints=path)]


def film_3dhp(view: str) -> dict[str, np.ndarray]:
    camera = mpi_inf_3dhp.camera(view)
    official = convert(people(), BODY17, DHP17).keypoints
    return {
        "data_2d": camera.project(official).numpy(),
        "data_3d": 1000 * camera.to_camera(official).numpy(),
    }


def test_3dhp() -> Any:
    return {
        "data": {view: {**film_3dhp(view), "valid": np.ones(FRAMES)} for view in ("TS1", "TS5")}
    }


def official_3dhp() -> Any:
    film = {key: value.transpose(2, 1, 0)[:, :, None] for key, value in film_3dhp("TS1").items()}
    deep = film["data_3d"]
    valid = np.ones((FRAMES, 1))
    return {"annot2": film["data_2d"], "annot3": deep, "univ_annot3": deep, "valid_frame": valid}


def cells(arrays: list[Any]) -> np.ndarray:
    made = np.empty((len(arrays), 1), object)
    for number, value in enumerate(arrays):
        made[number, 0] = value
    return made


def take_3dhp() -> Any:
    flat, deep = [], []
    for view in ("0", "1"):
        film = film_3dhp(view)
        whole = [np.full((FRAMES, 28, size), 9.0) for size in (2, 3)]
        for part, key in zip(whole, ("data_2d", "data_3d"), strict=True):
            part[:, [DHP28.index(joint) for joint in DHP17.joints]] = film[key]
        flat.append(whole[0].reshape(FRAMES, -1))
        deep.append(whole[1].reshape(FRAMES, -1))
    return {"annot2": cells(flat), "annot3": cells(deep), "univ_annot3": cells(deep)}


def film_3dpw() -> Any:
    way = torch.linspace(-1.0, 1.0, FRAMES).double()
    eye = torch.stack([way, torch.full_like(way, 1.6), torch.full_like(way, 6.0)], -1)
    rotation, translation = look_at(eye, torch.tensor([0.0, 1.0, 0.0]).double())
    poses = torch.eye(4).double().repeat(FRAMES, 1, 1)
    poses[:, :3, :3], poses[:, :3, 3] = rotation, translation
    smpl = convert(people(), BODY17, SMPL24).keypoints.nan_to_num(1.0).reshape(FRAMES, 72)
    found = convert(convert(pixels(), BODY17, COCO17).keypoints, COCO17, OPENPOSE18).keypoints
    seen = ~found.isnan().any(-1, keepdim=True)
    detected = torch.cat([found, 0.7 * seen], -1).where(seen, 0.0).mT.numpy()
    return {
        "sequence": "downtown",
        "jointPositions": [smpl.numpy()] * 2,
        "poses2d": [detected] * 2,
        "cam_poses": poses.numpy(),
        "cam_intrinsics": np.array([[1961.0, 0, 540], [0, 1969.0, 960], [0, 0, 1]]),
        "campose_valid": [np.ones(FRAMES, int)] * 2,
    }


def people_coco() -> Any:
    points = convert(pixels(), BODY17, COCO17).keypoints.nan_to_num(120.0)
    annotations = []
    for number, pose in enumerate(points.tolist(), 1):
        x, y = zip(*pose, strict=True)
        box = [min(x), min(y), max(x) - min(x), max(y) - min(y)]
        flat = [value for point in pose for value in (*point, 2)]
        person = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": box}
        annotations.append({**person, "keypoints": flat, "num_keypoints": 17, "area": 9.0})
    sizes = {"width": 400, "height": 400}
    images = [{"id": n, "file_name": f"{n}.jpg", **sizes} for n in range(1, FRAMES + 1)]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}


def people_mpii() -> Any:
    entries = []
    points = convert(pixels(), BODY17, MPII16).keypoints.nan_to_num(120.0)
    for number, pose in enumerate(points.tolist()):
        entry = {"joints_vis": [1] * 16, "joints": pose, "image": f"{number}.jpg"}
        entries.append({**entry, "scale": 1.5, "center": [200.0, 180.0]})
    return entries


def structs(records: list[dict[str, Any]]) -> np.ndarray:
    made = np.empty((1, len(records)), [(name, object) for name in records[0]])
    for number, record in enumerate(records):
        for name, value in record.items():
            made[name][0, number] = value
    return made


def release_mpii() -> Any:
    images, acts = [], []
    for entry in people_mpii():
        points = structs([{"x": x, "y": y, "id": j} for j, (x, y) in enumerate(entry["joints"])])
        rect = {"annopoints": structs([{"point": points}]), "scale": 1.5}
        rect["objpos"] = structs([{"x": 200.0, "y": 180.0}])
        name = structs([{"name": entry["image"]}])
        images.append({"image": name, "annorect": structs([rect])})
        acts.append({"act_name": "walking"})
    training = np.ones((1, FRAMES), np.uint8)
    parts = {"annolist": structs(images), "img_train": training, "act": structs(acts)}
    return {"RELEASE": structs([parts])}


def seen_coco() -> list[list[list[float]]]:
    """x, y and score of somebody's joints in each of the frames."""
    points = convert(pixels(), BODY17, COCO17).keypoints.nan_to_num(120.0)
    return torch.cat([points, torch.full_like(points[..., :1], 0.8)], -1).tolist()


def alphapose() -> Any:
    return [
        {
            "image_id": f"{number}.jpg",
            "category_id": 1,
            "keypoints": [value for point in pose for value in point],
            "score": 2.9,
            "box": [40.0, 40.0, 300.0, 300.0],
            "idx": 1,
        }
        for number, pose in enumerate(seen_coco())
    ]


def openpose() -> Any:
    bodies = [[*pose, *[[1.0 + n, 5.0, 0.4] for n in range(8)]] for pose in seen_coco()]
    flat = [[value for point in body for value in point] for body in bodies]
    return {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": f} for f in flat]}


def columns() -> Any:
    names = [f"{joint}_{axis}" for joint in COCO17.joints for axis in ("x", "y", "score")]
    rows = [[value for point in pose for value in point] for pose in seen_coco()]
    return [["frame", *names], *[[number, *row] for number, row in enumerate(rows)]]


def table(content: Any) -> bytes:
    return "\n".join(",".join(map(str, row)) for row in content).encode(errors="replace")


def people_lsp() -> Any:
    points = convert(pixels(), BODY17, LSP14).keypoints.nan_to_num(120.0)  # (F, 14, 2)
    whole = torch.cat([points, torch.zeros_like(points[..., :1])], -1)
    return {"joints": whole.permute(2, 1, 0).numpy()}  # (3, 14, F), the third says hidden


RIG = """Hips - 0 90 0
Spine Hips 0 25 0
Neck Spine 0 25 0
Head Neck 0 10 0
LeftUpLeg Hips -9 0 0
LeftLeg LeftUpLeg 0 -42 0
LeftFoot LeftLeg 0 -41 0
RightUpLeg Hips 9 0 0
RightLeg RightUpLeg 0 -42 0
RightFoot RightLeg 0 -41 0
LeftArm Spine -18 24 0
LeftForeArm LeftArm -28 0 0
LeftHand LeftForeArm -26 0 0
RightArm Spine 18 24 0
RightForeArm RightArm 28 0 0
RightHand RightForeArm 26 0 0"""


def motion_bvh() -> Any:
    """Words of the lines of a BVH file of somebody who turns."""
    bones = [line.split() for line in RIG.split("\n")]
    lines: list[list[Any]] = [["HIERARCHY"]]

    def visit(bone: list[str]) -> None:
        turns = ["Zrotation", "Xrotation", "Yrotation"]
        places = ["Xposition", "Yposition", "Zposition"] if bone[1] == "-" else []
        lines.append(["JOINT" if places == [] else "ROOT", bone[0]])
        lines.append(["{"])
        lines.append(["OFFSET", *map(float, bone[2:])])
        lines.append(["CHANNELS", len(places + turns), *places, *turns])
        below = [other for other in bones if other[1] == bone[0]]
        for other in below:
            visit(other)
        if not below:
            lines.extend([["End", "Site"], ["{"], ["OFFSET", 0.0, 15.0, 0.0], ["}"]])
        lines.append(["}"])

    visit(bones[0])
    lines += [["MOTION"], ["Frames:", FRAMES], ["Frame", "Time:", 0.04]]
    rows = [[0.0, 90.0, 0.0, *[5.0 * frame] * (3 * len(bones))] for frame in range(FRAMES)]
    return lines + rows


def words(content: Any) -> bytes:
    return "\n".join(
        " ".join(map(str, line if isinstance(line, list) else [line])) for line in content
    ).encode(errors="replace")


def read_bvh(path: Path) -> list[PoseSet]:
    found = mocap.load(path)
    labels = ("unknown",) * len(found)
    flat = found.joints3d[..., :2]
    return [PoseSet(flat, found.joints3d, None, labels, labels, BODY17, found.valid)]


FORMATS = {
    "bvh": Format(motion_bvh, words, read_bvh, "film.bvh"),
    "lsp": Format(people_lsp, mat, lambda p: [lsp.load(p)], "joints.mat", 0.1),
    "detections alphapose": Format(alphapose, text, lambda p: [detections.load(p)], "result.json"),
    "detections openpose": Format(openpose, text, lambda p: [detections.load(p)], "film_1.json"),
    "detections csv": Format(columns, table, lambda p: [detections.load(p)], "film.csv"),
    "detections npz": Format(
        lambda: {"keypoints": np.array(seen_coco())},
        *(npz, lambda p: [detections.load(p)], "film.npz", 0.5, True),
    ),
    "human36m": Format(takes_36m, npz, lambda p: [human36m.load(p)], "takes.npz", 1, True),
    "human36m keypoints": Format(companion_36m, npz, read_companion, "keypoints.npz", 1, True),
    "mpi_inf_3dhp train": Format(
        lambda: {"data": {"S1 Seq1": [{"0": film_3dhp("0"), "2": film_3dhp("2")}, 25]}},
        *(npz, lambda p: [mpi_inf_3dhp.load(p)], "data_train_3dhp.npz", 1, True),
    ),
    "mpi_inf_3dhp test": Format(
        test_3dhp, npz, lambda p: [mpi_inf_3dhp.load(p)], "data_test_3dhp.npz", 1, True
    ),
    "mpi_inf_3dhp annot_data.mat": Format(
        official_3dhp, mat, lambda p: [mpi_inf_3dhp.load(p)], "TS1/annot_data.mat", 0.1
    ),
    "mpi_inf_3dhp annot.mat": Format(
        take_3dhp, mat, lambda p: [mpi_inf_3dhp.load(p)], "S1/Seq1/annot.mat", 0.1
    ),
    "threedpw": Format(
        film_3dpw,
        lambda content: pickle.dumps(content, 2),
        lambda p: [threedpw.load(p), threedpw.load(p, detected=True)],
        "downtown.pkl",
        2,
    ),
    "coco": Format(people_coco, text, lambda p: [coco.load(p)], "people.json", 2),
    "mpii json": Format(people_mpii, text, lambda p: [mpii.load(p)], "train.json"),
    "mpii mat": Format(release_mpii, mat, lambda p: [mpii.load(p)], "release.mat", 0.2),
}

NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, -1e300, 6e6, 1e5, 5e3, 0.5)
THINGS = (None, True, "", "x", "12", [], {}, [1, 2], [[]], {"a": 1}, *NUMBERS)


@functools.cache
def valid(kind: Format) -> Any:
    """The content of a valid file, to be copied."""
    return kind.content()


def damaged(kind: Format, random: Random) -> bytes:
    """A valid file with something wrong: in its content, its bytes, or both."""
    content = copy.deepcopy(valid(kind))
    way = random.integers(4)  # 0 and 3: content, 1: bytes, 2: both
    if way != 1:
        for _ in range(random.integers(1, 4)):
            content = changed(content, random)
    try:
        raw = kind.dump(content)
    except Exception:  # SciPy and JSON cannot write everything that was put there
        raw = kind.dump(valid(kind))
        way = 1
    if way in (0, 3):
        return raw
    if kind.unpack and random.integers(2):
        return repacked(raw, random)
    return torn(raw, random)


def changed(value: Any, random: Random) -> Any:
    """A part of a tree, chosen at random, in another form."""
    if isinstance(value, dict) and value and random.random() < 0.98:
        key = list(value)[random.integers(len(value))]
        way = random.random()
        if way < 0.02:
            del value[key]
        elif way < 0.03:
            value[f"{key}/{key}"] = value.pop(key)
        else:
            value[key] = changed(value[key], random)
        return value
    if isinstance(value, list) and value and random.random() < 0.98:
        place, way = random.integers(len(value)), random.random()
        if way < 0.02:
            del value[place]
        elif way < 0.04:
            value.insert(place, copy.deepcopy(value[place]))
        else:
            value[place] = changed(value[place], random)
        return value
    if isinstance(value, np.ndarray) and value.size and random.random() < 0.98:
        return changed_array(value, random)
    if isinstance(value, int | float) and not isinstance(value, bool) and random.random() < 0.8:
        return NUMBERS[random.integers(len(NUMBERS))]
    return THINGS[random.integers(len(THINGS))]


def changed_array(value: np.ndarray, random: Random) -> np.ndarray:
    """An array with other entries, another shape or another type."""
    value = value.copy()
    if value.dtype.names:
        name, place = value.dtype.names[random.integers(len(value.dtype.names))], value.ravel()
        record = place[random.integers(len(place))]
        record[name] = changed(record[name], random)
        return value
    flat = value.reshape(-1)
    if value.dtype.hasobject:
        place = random.integers(len(flat))
        flat[place] = changed(flat[place], random)
        return value
    if value.dtype.kind not in "biuf":  # changed twice
        return value[: random.integers(len(value) + 1)] if value.ndim else value
    way = random.integers(16)
    number = NUMBERS[random.integers(len(NUMBERS))]
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        if way < 10:
            places = random.integers(len(flat), size=random.integers(1, 6))
            flat[places] = np.asarray(number).astype(value.dtype)
        elif way == 10:
            value[random.integers(len(value))] = np.asarray(number).astype(value.dtype)
        elif way == 11:
            return value[: random.integers(len(value) + 1)]
        elif way == 12:
            return value * np.asarray(random.choice([1e-3, 1e3, -1.0, 1e30])).astype(value.dtype)
        elif way == 13:
            return value.astype(random.choice(["i1", "f2", "c8", "U8", "?", ">f8"]))
        else:
            return value.T if random.integers(2) else value.reshape(-1)
    return value


def chance(name: str, seed: int, number: int) -> Random:
    """What decides how a file is damaged: the same in every process."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), number])


def torn(raw: bytes, random: Random) -> bytes:
    """Bytes with some of them cut off, changed, doubled, exchanged or lost."""
    data = bytearray(raw)
    for _ in range(random.integers(1, 3)):
        if not data:
            break
        place, way = int(random.integers(len(data))), random.integers(7)
        length = int(random.integers(1, 1 + max(1, len(data) // 8)))
        if way == 0:
            del data[place:]
        elif way == 1:
            for where in random.integers(len(data), size=random.integers(1, 30)):
                data[where] = random.integers(256)
        elif way == 2:
            data[place] ^= 1 << int(random.integers(8))
        elif way == 3:
            del data[place : place + length]
        elif way == 4:
            data[place:place] = data[place : place + length]
        elif way == 5:
            filling = int(random.choice([0, 255, 127, 48]))
            short = min(length, 8)
            data[place : place + short] = bytes([filling]) * len(data[place : place + short])
        else:
            other = int(random.integers(len(data)))
            data[place : place + length], data[other : other + length] = (
                data[other : other + length],
                data[place : place + length],
            )
    return bytes(data)


def repacked(raw: bytes, random: Random) -> bytes:
    """An archive whose entries are damaged, though their checksums are right."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            new.writestr(name, torn(old.read(name), random))
    return stream.getvalue()


def same(found: list[PoseSet], wanted: list[PoseSet]) -> bool:
    return [len(poses) for poses in found] == [len(poses) for poses in wanted] and all(
        torch.equal(one.keypoints, other.keypoints)
        for one, other in zip(found, wanted, strict=True)
    )


def impossible(poses: PoseSet) -> str:
    """Why nobody can have these poses, or an empty string."""
    if poses.joints3d is not None:
        seen = (
            torch.ones(poses.keypoints.shape[:2]).bool() if poses.visible is None else poses.visible
        )
        known = seen.unsqueeze(-1)
        low = poses.joints3d.where(known, torch.inf).amin(1)
        high = poses.joints3d.where(known, -torch.inf).amax(1)
        if float((high - low).max()) > 4.5 or float(poses.joints3d.abs().max()) > 2000:
            return f"a body of {float((high - low).max()):g} m"
    if poses.crop is not None and float(poses.pixels().abs().max()) > 1.1e5:
        return f"a joint at {float(poses.pixels().abs().max()):g} pixels"
    return ""


def outcome(kind: Format, path: Path, wanted: list[PoseSet]) -> tuple[str, str]:
    """How reading a file ends, and the details of what ends badly."""
    try:
        found = kind.read(path)
    except MemoryError:
        return "over 500 MB", "MemoryError"
    except (DatasetError, ValueError) as error:
        if "MemoryError" in str(error):
            return "over 500 MB", str(error)
        if len(str(error)) > 1200:
            return "raw exception", f"a message of {len(str(error))} characters"
        str(error).encode()
        return "refused", ""
    except Exception:
        return "raw exception", traceback.format_exc()
    why = " ".join(filter(None, map(impossible, found)))
    if why:
        return "no pose of anybody", why
    if same(found, wanted):
        return "right", ""
    hidden = any(p.visible is not None and not p.visible.all() for p in found)
    fewer = sum(map(len, found)) < sum(map(len, wanted))
    return (MASKS if hidden or fewer else "other values"), ""


def taken() -> float:
    """Most memory that this process has had, bytes."""
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def bound() -> None:
    """Far above what is allowed, so that it is measured; below what a small machine has."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 1_500_000_000, size + 1_500_000_000))
    except (ImportError, OSError):
        return


def work(name: str, seed: int, first: int, last: int, folder: Path) -> None:
    """Try files one after the other; a line of JSON before and after each."""
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    kind = FORMATS[name]
    path = folder / kind.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(kind.dump(valid(kind)))
    wanted = kind.read(path)
    bound()
    before = taken()
    for number in range(first, last):
        path.write_bytes(damaged(kind, chance(name, seed, number)))
        print(json.dumps([number]), flush=True)
        what, details = outcome(kind, path, wanted)
        more = taken() - before
        if more > MOST:
            what, details = "over 500 MB", f"{more / 1e6:.0f} MB, then {what}"
        print(json.dumps([number, what, details]), flush=True)
        if more > MOST:  # what follows could not be measured
            return


def watch(
    name: str, seed: int, count: int, keep: Path | None
) -> tuple[str, Counter[str], list[str]]:
    """All files of a format, in as many processes as it takes."""
    tally: Counter[str] = Counter()
    stories: list[str] = []
    first = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)

        def note(number: int, what: str, details: str) -> None:
            tally[what] += 1
            if what in BADLY:
                stories.append(f"{name} {number}: {what}: {details.strip()}")
                if keep is not None:
                    copied = keep / f"{name} {number}" / FORMATS[name].name
                    copied.parent.mkdir(parents=True, exist_ok=True)
                    copied.write_bytes(damaged(FORMATS[name], chance(name, seed, number)))

        while first < count:
            command = [sys.executable, __file__, "--work", name, str(seed), str(first), str(count)]
            with (folder / "errors.txt").open("w") as errors:
                process = subprocess.Popen(
                    [*command, str(folder)], stdout=subprocess.PIPE, stderr=errors, text=True
                )
            lines: queue.Queue[str] = queue.Queue()
            reader = threading.Thread(target=_listen, args=(process, lines), daemon=True)
            reader.start()
            begun = -1
            while True:
                try:
                    line = lines.get(timeout=SLOWEST + 60 * (begun < 0))
                except queue.Empty:
                    process.kill()
                    process.wait()
                    note(begun, "too slow", f"more than {SLOWEST} s")
                    first = begun + 1
                    break
                if not line:
                    process.wait()
                    said = (folder / "errors.txt").read_text()
                    if begun < first:
                        if process.returncode and begun < 0:
                            raise RuntimeError(f"{name} cannot be tried: {said}")
                        break
                    note(begun, "dead", f"status {process.returncode} {said[-300:]}")
                    first = begun + 1
                    break
                number, *rest = json.loads(line)
                begun = number
                if rest:
                    note(number, *rest)
                    first = number + 1
    return name, tally, stories


def _listen(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    """Pass on the lines of a process, and an empty one after its last."""
    if process.stdout is not None:
        for line in process.stdout:
            lines.put(line)
    lines.put("")


def main(arguments: list[str]) -> int:
    """Try them all, print a table, give the status."""
    if arguments[:1] == ["--work"]:
        _, name, seed, first, last, folder = arguments
        work(name, int(seed), int(first), int(last), Path(folder))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=12_000)
    parser.add_argument("--only", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args(arguments)
    whole = sum(FORMATS[name].share for name in asked.only)
    counts = {name: round(asked.count * FORMATS[name].share / whole) for name in asked.only}
    columns = (*WELL[:1], MASKS, *WELL[1:], *BADLY)
    print(f"{'':28}" + "".join(f"{column:>20}" for column in columns))
    total: Counter[str] = Counter()
    told: list[str] = []
    with ThreadPoolExecutor(asked.jobs) as pool:
        jobs = [
            pool.submit(watch, name, asked.seed, count, asked.keep)
            for name, count in counts.items()
        ]
        for job in as_completed(jobs):
            name, tally, stories = job.result()
            print(f"{name:28}" + "".join(f"{tally[column]:20}" for column in columns), flush=True)
            total += tally
            told += stories
    print(f"{'all ' + str(total.total()):28}" + "".join(f"{total[c]:20}" for c in columns))
    for story in told:
        print(story)
    return int(any(total[column] for column in BADLY))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
