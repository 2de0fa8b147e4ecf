"""Points on the body's surface, dense enough for a resolution: what `rendering` splats.

There are clouds of whole people, and of what close-ups show: a head with its shoulders, a hand with
its forearm.

Points are spread by Poisson-disc elimination (no two of one surface closer than a share of a
pixel), which leaves fewer holes than random points of the same number by far.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from posenb.world.body import Body, Points, load_body

SPACING = 0.6  # pixels between neighbours: below 0.7 hardly a pixel is missed
STEP = 1.12  # clouds exist for pixels of STEP**k metres
_CLOSE_SPACING = 0.75  # the same in close-ups, which have more points than pictures have holes
_OVERSAMPLING = {"body": 4.0}  # candidates a kept point
_INSET = 0.5  # pixels by which points lie under the skin: a pixel counts as soon as it is touched
PIECES = ("body", "head", "right_hand", "left_hand")
_FINEST = {"body": 1e-3}  # metres that a pixel must show at least
_HEAD = ("face", "scalp", "ears", "lips", "iris", "neck")
_REACH = {"head": 0.27}  # metres around the middle of the landmarks that close-ups show; 0.36
# Where detail is finer than the body's, points are denser, by these shares of the distance.
_FINER = {"face": 0.8, "lips": 0.6, "iris": 0.4, "ears": 0.8}
_FINER_CLOSE = {"lips": 0.6, "iris": 0.6, "scalp": 0.75}
_LIDS = (0.013, 0.5)  # metres around the eyes where skin stretches as they close, and its share
# Metres ahead, up and aside: lids and lips close over what is farther back; MakeHuman's teeth end
# above the edge of the lip, where nobody sees them.
_BEHIND = {"eyes": (-0.003, 0.0, 0.0), "teeth": (-0.006, -0.005, 0.0)}

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
        shape: displacement by each shape direction, and for heads by each move of the face too,
            (K, 3 P).
        weights: share of each bone in the motion, (B, P).
        palm_weights: of the bones that are in no finger, for the first points, (PALM, fingerless).
        normals: outward, at rest, (3, P).
        fingerless: so many points come first that no finger moves; the rest is hands.
        layer: number in `body.layers`, (P,).
        region: number in `body.regions`, (P,).
        part: number in PARTS, (P,).
        places: places at rest, on the skin, (P, 3), metres: textures are painted there.
        bare: whether there is skin under the sleeves too; otherwise tights stand for it.
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
    bare: bool

    def __len__(self) -> int:
        """Number of points."""
        return len(self.part)


def level(pixel: Tensor, piece: Tensor) -> Tensor:
    """Number of the coarsest cloud that is dense enough where a pixel shows `pixel` metres.

    Of close-ups (`piece` is the number in PIECES, as of each pixel), every third cloud is used.
    """
    number = torch.log(pixel).div(np.log(STEP)).floor().long()
    return torch.where(piece > 0, number - number % 3, number)


@lru_cache(maxsize=24)  # a hand's at 128 pixels takes 50 MB
def cloud(number: int, device: str = "cpu", piece: str = "body") -> Cloud:
    """The cloud for pixels of STEP**number metres; the same points on every machine.

    Args:
        number: see `level`.
        device: where its tensors are.
        piece: one of PIECES.

    Raises:
        ValueError: for pixels under a millimetre (a quarter of one in close-ups): somebody is
            right before the camera.
    """
    pixel, finest = STEP**number, _FINEST.get(piece, 2.5e-4)
    if pixel < finest:
        raise ValueError(
            f"a pixel would show {1000 * pixel:.2f} mm of a person, expected {1000 * finest:g} mm "
            "at least: move the camera away, widen the crop or render fewer pixels"
        )
    body = load_body()
    spacing = SPACING if piece == "body" else _CLOSE_SPACING
    corners, shares = spread(body, spacing * pixel, piece)
    points = body.skin.between(corners, shares)
    main = corners.gather(1, shares.argmax(1, keepdim=True))[:, 0]  # (P,) nearest vertices
    palm = palm_bones(body)
    held = points.weights[:, palm].sum(1) < 1 - 1e-5
    order = held.to(torch.int8).argsort(stable=True)
    points, main = points[order], main[order]
    normals = (vertex_normals(body)[corners[order]] * shares[order][..., None]).sum(1)  # (P, 3)
    normals = torch.nn.functional.normalize(normals, dim=-1)
    part = _parts(body)[body.region[main]]
    inset = torch.full_like(points.mean[:, :1], _INSET * pixel)
    if piece == "body":  # fingers would get too thin
        hand = torch.tensor([PARTS.index("left_hand"), PARTS.index("right_hand")])
        inset[torch.isin(part, hand)] /= 2
    rest = points.mean - inset * normals
    if piece == "head":
        for name, move in _BEHIND.items():
            rest[body.layer[main] == body.layers.index(name)] += torch.tensor(move)
    shape = torch.cat([points.shape, points.expression]) if piece == "head" else points.shape
    made = Cloud(
        pixel=pixel,
        rest=rest.T.contiguous(),
        shape=shape.transpose(1, 2).flatten(1).contiguous(),  # (K, 3 P)
        weights=points.weights.T.contiguous(),
        palm_weights=points.weights[~held[order]][:, palm].T.contiguous(),
        normals=normals.T.contiguous(),
        fingerless=int((~held).sum()),
        layer=body.layer[main],
        region=body.region[main],
        part=part,
        places=points.mean,
        bare=piece.endswith("hand"),
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


def shown(body: Body, piece: str = "body") -> Tensor:
    """Triangles that can be seen on a dressed person, (T,): tights stand for the skin below."""
    first = body.triangles[:, 0]
    region, layer = body.region[first], body.layer[first]

    def among(number: Tensor, known: tuple[str, ...], names: Iterable[str]) -> Tensor:
        return torch.isin(number, torch.tensor([known.index(name) for name in names]))

    bare = among(region, body.regions, (*_HEAD, "left_hand", "right_hand"))
    seen = bare & (layer == body.layers.index("skin"))
    seen |= among(layer, body.layers, ("eyes", "clothes", "skirt", "hair"))
    if piece == "body":
        return seen
    name = "FACE68" if piece == "head" else piece
    near = body.skin.mean[first] - body.landmarks[name].mean.mean(0)
    near = near.norm(dim=-1) < _REACH.get(piece, 0.36)
    arm = [name for name in body.regions if name.endswith(("hand", "forearm", "upper_arm"))]
    if piece == "head":
        # The lower teeth and the tongue do not follow the jaw well: only the upper teeth. Height
        # would not tell, for the rows overlap.
        jaw = body.skin.expression[body.expressions.index("jaw_open"), first].norm(dim=-1)
        seen |= among(layer, body.layers, ("mouth",))
        seen |= among(layer, body.layers, ("teeth",)) & (jaw < 1e-3)
        return seen & near & ~among(region, body.regions, arm)
    arm = [name for name in arm if name.startswith(piece.removesuffix("hand"))]
    seen |= layer == body.layers.index("skin")  # a sleeve may end anywhere
    return seen & near & among(region, body.regions, arm)


def spread(body: Body, distance: float, piece: str = "body") -> tuple[Tensor, Tensor]:
    """Points on the surface, at least `distance` metres apart (less on faces).

    Returns:
        Corners of their triangles (P, 3) and the corners' shares (P, 3).
    """
    random = np.random.default_rng(0)
    triangles = body.triangles[shown(body, piece)]
    first = triangles[:, 0]
    finer = _FINER if piece == "body" else _FINER_CLOSE
    fine = torch.tensor([finer.get(region, 1.0) for region in body.regions])[body.region[first]]
    if piece == "head":
        eyes = body.landmarks["FACE68"].mean[36:48]
        near = torch.cdist(body.skin.mean[first], eyes).amin(1) < _LIDS[0]
        fine[near] = _LIDS[1]
    fine[body.layer[first] == body.layers.index("eyes")] = finer["iris"]
    surface = body.layer[first].numpy() * 10 + fine.numpy()
    normals, chosen = vertex_normals(body), []
    for value in np.unique(surface):
        members = triangles[torch.from_numpy(surface == value)]
        radius = distance * float(fine[torch.from_numpy(surface == value)][0])
        amount = _OVERSAMPLING.get(piece, 2.5)
        corners, shares = _candidates(body.skin, members, radius, amount, random)
        places = (body.skin.mean[corners] * shares[..., None]).sum(1).numpy()
        outward = (normals[corners] * shares[..., None]).sum(1).numpy()
        keep = torch.from_numpy(_eliminate(places, outward, radius, random))
        chosen.append((corners[keep], shares[keep]))
    return torch.cat([c for c, _ in chosen]), torch.cat([s for _, s in chosen])


def _candidates(
    skin: Points, triangles: Tensor, radius: float, amount: float, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Evenly many random points an area: corners and shares, (M, 3) each."""
    a, b, c = skin.mean[triangles].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=-1).numpy() / 2  # (T,)
    total = area.cumsum()
    count = max(8, int(amount * total[-1] / radius**2))
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
