"""Points on the body's surface, dense enough for a resolution: what `rendering` splats.

Points are spread by Poisson-disc elimination (no two of one surface closer than a share of a
pixel), which leaves fewer holes than random points of the same number by far.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from posenb.world.body import Body, Points, load_body

SPACING = 0.6  # pixels between neighbours: below 0.7 hardly a pixel is missed
STEP = 1.12  # clouds exist for pixels of STEP**k metres
_OVERSAMPLING = 4  # candidates a kept point
_INSET = 0.5  # pixels by which points lie under the skin: a pixel counts as soon as it is touched
_HEAD = ("face", "scalp", "ears", "lips", "iris", "neck")
# Where detail is finer than the body's, points are denser, by these shares of the distance.
_FINER = {"face": 0.8, "lips": 0.6, "iris": 0.4, "ears": 0.8}

PARTS = (
    "background", "head", "torso", "hips",
    "left_upper_arm", "left_forearm", "left_hand", "left_thigh", "left_shank", "left_foot",
    "right_upper_arm", "right_forearm", "right_hand", "right_thigh", "right_shank", "right_foot",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cloud:
    """P points in planar layout: all x, then all y, then all z, which is fastest to move.

    Attributes:
        pixel: metres that a pixel may show at least, for this many points.
        rest: places on the mean person, shifted under the skin, (3, P), metres.
        shape: displacement by each shape direction, (K, 3 P).
        weights: share of each bone in the motion, (B, P).
        palm_weights: of the bones that are in no finger, for the first points, (PALM, fingerless).
        normals: outward, at rest, (3, P).
        fingerless: so many points come first that no finger moves; the rest is hands.
        layer: number in `body.layers`, (P,).
        region: number in `body.regions`, (P,).
        part: number in PARTS, (P,).
        places: places at rest, on the skin, (P, 3), metres: textures are painted there.
    """

    pixel: float
    rest: Tensor
    shape: Tensor
    weights: Tensor
    palm_weights: Tensor
    normals: Tensor
    fingerless: int
    layer: Tensor
    region: Tensor
    part: Tensor
    places: Tensor

    def __len__(self) -> int:
        """Number of points."""
        return len(self.part)


def level(pixel: Tensor) -> Tensor:
    """Number of the coarsest cloud that is dense enough where a pixel shows `pixel` metres."""
    return torch.log(pixel).div(np.log(STEP)).floor().long()


@cache
def cloud(number: int, device: str = "cpu") -> Cloud:
    """The cloud for pixels of STEP**number metres; the same points on every machine.

    Raises:
        ValueError: for pixels under a millimetre: somebody stands right before the camera.
    """
    pixel = STEP**number
    if pixel < 1e-3:
        raise ValueError(
            f"a pixel would show {1000 * pixel:.2f} mm of a person, expected 1 mm at least: move "
            "the camera away, widen the crop or render fewer pixels"
        )
    body = load_body()
    corners, shares = spread(body, SPACING * pixel)
    points = body.skin.between(corners, shares)
    main = corners.gather(1, shares.argmax(1, keepdim=True))[:, 0]  # (P,) nearest vertices
    palm = palm_bones(body)
    held = points.weights[:, palm].sum(1) < 1 - 1e-5
    order = held.to(torch.int8).argsort(stable=True)
    points, main = points[order], main[order]
    normals = (vertex_normals(body)[corners[order]] * shares[order][..., None]).sum(1)  # (P, 3)
    normals = torch.nn.functional.normalize(normals, dim=-1)
    part = _parts(body)[body.region[main]]
    slim = torch.where(
        (part == PARTS.index("left_hand")) | (part == PARTS.index("right_hand")), 0.5, 1.0
    )
    rest = points.mean - (_INSET * pixel * slim)[:, None] * normals
    made = Cloud(
        pixel=pixel,
        rest=rest.T.contiguous(),
        shape=points.shape.transpose(1, 2).flatten(1).contiguous(),  # (K, 3 P)
        weights=points.weights.T.contiguous(),
        palm_weights=points.weights[~held[order]][:, palm].T.contiguous(),
        normals=normals.T.contiguous(),
        fingerless=int((~held).sum()),
        layer=body.layer[main],
        region=body.region[main],
        part=part,
        places=points.mean,
    )
    values = {field.name: getattr(made, field.name) for field in fields(Cloud)}
    tensors = {name: v.to(device) for name, v in values.items() if isinstance(v, Tensor)}
    return Cloud(**(values | tensors))


def palm_bones(body: Body) -> list[int]:
    """Bones that are not in fingers."""
    return [i for i, name in enumerate(body.bones) if name[-1] not in "123" or "spine" in name]


def vertex_normals(body: Body) -> Tensor:
    """Outward normals of the vertices at rest, (V, 3)."""
    a, b, c = body.skin.mean[body.triangles].unbind(1)  # (T, 3) each
    across = torch.linalg.cross(b - a, c - a)[:, None].expand(-1, 3, 3)  # (T, 3, 3)
    total = torch.zeros_like(body.skin.mean)
    total.index_add_(0, body.triangles.flatten(), across.flatten(0, 1))
    return torch.nn.functional.normalize(total, dim=-1)


def shown(body: Body) -> Tensor:
    """Triangles that can be seen on a dressed person, (T,): tights stand for the skin below."""
    first = body.triangles[:, 0]
    head_or_hand = [i for i, r in enumerate(body.regions) if r in _HEAD or r.endswith("hand")]
    bare = torch.isin(body.region[first], torch.tensor(head_or_hand))
    layer = body.layer[first]
    skin = (layer == body.layers.index("skin")) & bare
    worn = [body.layers.index(name) for name in ("eyes", "clothes", "skirt", "hair")]
    return skin | torch.isin(layer, torch.tensor(worn))


def spread(body: Body, distance: float) -> tuple[Tensor, Tensor]:
    """Points on the surface, at least `distance` metres apart (less on faces).

    Returns:
        Corners of their triangles (P, 3) and the corners' shares (P, 3).
    """
    random = np.random.default_rng(0)
    triangles = body.triangles[shown(body)]
    first = triangles[:, 0]
    fine = torch.tensor([_FINER.get(region, 1.0) for region in body.regions])[body.region[first]]
    fine[body.layer[first] == body.layers.index("eyes")] = _FINER["iris"]
    surface = body.layer[first].numpy() * 10 + fine.numpy()
    normals, chosen = vertex_normals(body), []
    for value in np.unique(surface):
        members = triangles[torch.from_numpy(surface == value)]
        radius = distance * float(fine[torch.from_numpy(surface == value)][0])
        corners, shares = _candidates(body.skin, members, radius, random)
        places = (body.skin.mean[corners] * shares[..., None]).sum(1).numpy()
        outward = (normals[corners] * shares[..., None]).sum(1).numpy()
        keep = torch.from_numpy(_eliminate(places, outward, radius, random))
        chosen.append((corners[keep], shares[keep]))
    return torch.cat([c for c, _ in chosen]), torch.cat([s for _, s in chosen])


def _candidates(
    skin: Points, triangles: Tensor, radius: float, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Evenly many random points an area: corners and shares, (M, 3) each."""
    a, b, c = skin.mean[triangles].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=-1).numpy() / 2  # (T,)
    total = area.cumsum()
    count = max(8, int(_OVERSAMPLING * total[-1] / radius**2))
    at = (np.arange(count) + random.random(count)) / count * total[-1]
    chosen = np.searchsorted(total, at).clip(0, len(area) - 1)
    root, second = np.sqrt(random.random(count)), random.random(count)
    shares = np.stack([1 - root, root * (1 - second), root * second], 1)
    return triangles[torch.from_numpy(chosen)], torch.from_numpy(shares).float()


def _eliminate(
    places: np.ndarray, outward: np.ndarray, radius: float, random: np.random.Generator
) -> np.ndarray:
    """Indices of a largest set of places with distances of at least the radius.

    Places with opposite normals are on two sides of something thin and do not count as near.
    """
    pairs = cKDTree(places).query_pairs(radius, output_type="ndarray")
    pairs = pairs[(outward[pairs[:, 0]] * outward[pairs[:, 1]]).sum(1) > 0]
    # Of every pair the first in a random order stays, unless one before it took it away.
    rank = random.permutation(len(places))
    ahead = rank[pairs[:, 0]] < rank[pairs[:, 1]]
    first, second = np.where(ahead, pairs.T, pairs.T[::-1])
    keep = np.zeros(len(places), bool)
    free = ~keep
    while free.any():
        safe = free.copy()
        safe[second] = False
        keep |= safe
        free &= ~safe
        free[second[safe[first]]] = False
        left = free[first] & free[second]
        first, second = first[left], second[left]
    return np.flatnonzero(keep)


def _parts(body: Body) -> Tensor:
    """Number in PARTS of each region, (R,)."""
    alias = dict.fromkeys(_HEAD, "head") | {"neck": "torso"}
    return torch.tensor([PARTS.index(alias.get(region, region)) for region in body.regions])
