"""Rendered people with everything known about them (notebook 00 shows how).

A person is a cloud of points that the bones move (`clouds`), the nearest point of each pixel wins
(`splatting`), and only those that won get a colour (`looks`) before a background (`rooms`). The
same people, poses and cameras can be seen in any look, at any strength: a gap that one can dial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache

import torch
from torch import Tensor

from posenb.world import clouds, looks, photography
from posenb.world.body import load_body
from posenb.world.clouds import PARTS, Cloud
from posenb.world.domains import annotated
from posenb.world.filming import AnyDomain, Shots, find, shots
from posenb.world.looks import LOOKS, Dressed, Look, chance
from posenb.world.recipes import Split
from posenb.world.skeletons import BODY17
from posenb.world.splatting import splat

__all__ = ["PARTS", "Rendered", "Shots", "find", "look_of", "photograph", "render", "shots"]

_CHUNK = 400_000  # points at once: they stay near the processor
_NEAREST = 0.3  # metres between the camera's plane and the nearest place of a body
_SEEN = 0.3  # a normal may point away from the camera so far (cosine) and its point be drawn
# A joint lies in flesh: it counts as seen if its pixel shows one of its own PARTS (of its side), at
# most so many metres before it. Whatever else is before it hides it.
FLESH = {
    "pelvis": (0.24, "hips torso left_thigh right_thigh"), "hip": (0.25, "hips torso thigh"),
    "knee": (0.17, "thigh shank"), "ankle": (0.2, "shank foot"), "spine": (0.26, "torso hips"),
    "neck": (0.24, "torso head"), "nose": (0.07, "head"), "head_top": (0.2, "head"),
    "shoulder": (0.2, "torso upper_arm"), "elbow": (0.15, "upper_arm forearm"),
    "wrist": (0.15, "forearm hand"),
}  # fmt: skip
_FLESH_HAND, _FLESH_FACE = 0.02, 0.012
_GAPS = {"body": 0.04}  # metres between surfaces; in close-ups they are finer
# What is labelled in pictures of each of clouds.PIECES.
_LANDMARKS = {
    "body": "BODY17", "head": "FACE68", "right_hand": "right_hand", "left_hand": "left_hand",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Rendered:
    """N pictures and their labels; joints are those of BODY17, HAND21 or FACE68.

    Attributes:
        images: RGB in [0, 1], (N, 3, S, S).
        keypoints: in [0, 1] of the picture, x right, y down, (N, J, 2); outside of it they are
            not clipped.
        depth: metres behind the first joint (pelvis, wrist, end of the jaw), (N, J).
        joints3d: metres, world frame, y up, (N, J, 3), where this look's annotators put them.
        visible: (N, J) bool: in the picture, and hidden by nothing but their own flesh (FLESH).
        parts: number in PARTS of what each pixel shows of the person, (N, S, S); 0 is the rest.
    """

    images: Tensor
    keypoints: Tensor
    depth: Tensor
    joints3d: Tensor
    visible: Tensor
    parts: Tensor

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.images)

    def __getitem__(self, index: int | slice | Tensor) -> Rendered:
        """Some of the pictures, or the labels of one."""
        return Rendered(*(getattr(self, field.name)[index] for field in fields(self)))


def render(
    domain: str | AnyDomain,
    count: int,
    seed: int,
    size: int = 128,
    strength: float = 1.0,
    look: Look | None = None,
    split: Split = "train",
    device: torch.device | str = "cpu",
) -> Rendered:
    """Render people of a domain.

    Args:
        domain: who, in which poses, filmed from where; a name or a variant.
        count: number of pictures N.
        seed: the same seed gives the same people, poses and cameras in every look.
        size: S, pixels.
        strength: how far the look is from the synthetic one: 0 is synthetic, 1 the full look.
        look: another look than the domain's own (`looks.LOOKS`).
        split: `train` or `test`: other takes of the recordings, other people.
        device: where to render.

    Returns:
        Pictures and labels on that device.

    Raises:
        ValueError: for a count or size below 1, an unknown domain or split, a strength outside of
            [0, 1], or a domain of the user's own without a look.
    """
    recipe = find(domain)
    look = look_of(recipe.name) if look is None else look
    return photograph(shots(recipe, count, seed, split).to(device), look.scaled(strength), size)


def look_of(name: str) -> Look:
    """The look of the domain of that name.

    Raises:
        ValueError: if it has none.
    """
    if name not in LOOKS:
        raise ValueError(
            f"domain {name!r} has no look of its own: give one of those of {', '.join(LOOKS)} as "
            "`look=looks.LOOKS[...]`"
        )
    return LOOKS[name]


def photograph(shots: Shots, look: Look, size: int = 128) -> Rendered:
    """Take the pictures, each as if it were the only one.

    Args:
        shots: who stands how before which camera.
        look: in which look.
        size: S, pixels.

    Raises:
        ValueError: if there is nothing to photograph, a size is below 8, a camera is distorted, or
            one is in the body, or so near that parts of the body are behind it, or if a picture
            shows nothing of its person. Who is partly out of the picture has invisible joints.
    """
    if len(shots) < 1 or size < 8:
        raise ValueError(f"expected a shot and 8 pixels at least, found {len(shots)} and {size}")
    if shots.camera.distortion is not None:
        raise ValueError("cameras with lens distortion cannot be rendered: undistort them first")
    body = load_body().to(shots.root.device)
    transforms, bones = body.transforms(shots.shape, shots.rotations, shots.root)
    whole = shots.piece == clouds.PIECES.index("body")
    if whole.any():
        _require_before(shots.camera[whole].to_camera(bones[whole])[..., 2] - 0.1)
    nearest = shots.camera.to_camera(shots.root[:, None])[..., 0, 2] - 0.2
    for number in shots.piece.unique().tolist():
        if clouds.PIECES[number] != "body":
            some = shots.piece == number
            marks = body.landmarks[_LANDMARKS[clouds.PIECES[number]]]
            places = marks.move(transforms[some], shots.shape[some])
            far = shots.camera[some].to_camera(places)[..., 2]
            _require_before(far)
            nearest[some] = far.amin(1) - 0.03
    pixel = nearest.clamp_min(_NEAREST) / (shots.camera.focal.amax(-1) * size)  # (N,) metres
    kinds = clouds.level(pixel, shots.piece) * len(clouds.PIECES) + shots.piece
    order = torch.argsort(kinds, stable=True)
    pieces = []
    for kind in kinds.unique().tolist():
        alike = order[kinds[order] == kind]
        number, piece = divmod(kind, len(clouds.PIECES))
        key = number, str(shots.root.device), clouds.PIECES[piece]
        points, on = clouds.cloud(*key), looks.canvas(*key)
        for some in alike.split(max(1, _CHUNK // len(points))):
            outfit = looks.dress(shots.chances[some], shots.woman[some])
            people = Dressed(points, on, outfit)
            pieces.append(_photograph(shots[some], transforms[some], people, look, size))
    back = torch.argsort(order, stable=True)
    taken = Rendered(
        *(torch.cat([getattr(p, field.name) for p in pieces])[back] for field in fields(Rendered))
    )
    _require_inside(taken)
    return taken


def _photograph(
    shots: Shots, transforms: Tensor, people: Dressed, look: Look, size: int
) -> Rendered:
    """Pictures of shots that one cloud serves."""
    piece, points = clouds.PIECES[int(shots.piece[0])], people.cloud
    x, y, z, facing, blended = _skin(shots, transforms, points, people.outwards(look.loose))
    if piece == "body":
        _require_before(z)
    zoom = shots.camera.focal[:, :, None] * size  # (N, 2, 1)
    middle = shots.camera.center[:, :, None] * size
    inverse = 1 / z
    shown = people.shown() & (facing < _SEEN) & (z > _NEAREST / 2)
    seen = splat(
        torch.addcmul(middle[:, 0], x * zoom[:, 0], inverse),
        torch.addcmul(middle[:, 1], y * zoom[:, 1], inverse),
        z, size, shown, closing=2, gap=_GAPS.get(piece, 0.008),
    )  # fmt: skip
    person, row, column = (seen.point >= 0).nonzero(as_tuple=True)
    point = seen.point[person, row, column]
    normal = _normals(blended, points, point, person)
    color = people.paint(point, person, look.pattern)
    color = _light(color, normal, people, point, person, shots, look)
    images = photography.background(shots.camera, shots.eye, shots.chances, look, size)
    if look.shadow:
        world = (x[:, ::2], y[:, ::2], z[:, ::2])
        dark = photography.shadow(world, shots.camera, _lamp(shots.chances), size)
        images = images * (1 - 0.55 * look.shadow * dark[..., None])
    images[person, row, column] = color
    parts = torch.zeros_like(seen.point)
    parts[person, row, column] = points.part[point]
    depth = seen.depth
    if look.occluders:
        images, hidden = photography.occlude(images, shots.chances, look.occluders)
        parts, depth = parts * ~hidden, torch.where(hidden, _NEAREST, depth)
    images = photography.develop(images.permute(0, 3, 1, 2), shots.chances, look)
    return Rendered(images, *_labels(shots, transforms, depth, parts, look, piece), parts)


def _require_before(depth: Tensor) -> None:
    """ValueError unless all depths (N, P) in the camera's frame are far enough."""
    behind = int((depth.amin(1) < _NEAREST).sum())
    if behind:
        raise ValueError(
            f"{behind} cameras are in the body or too near (a part of it is less than {_NEAREST} m "
            "before the camera, or behind it): move them away, or the people"
        )


def _require_inside(taken: Rendered) -> None:
    """ValueError unless something of the person, a pixel or a joint, is in each picture."""
    joint = ((taken.keypoints >= 0) & (taken.keypoints < 1)).all(-1).any(-1)  # occluders hide all
    out = int((~joint & (taken.parts == 0).all(-1).all(-1)).sum())
    if out:
        raise ValueError(
            f"the person is out of the picture in {out} of {len(taken)} shots: turn the cameras to "
            "the people, move the people, or widen the crop"
        )


def _skin(
    shots: Shots, transforms: Tensor, points: Cloud, outwards: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Points in the camera's frame: x, y, z and the normals' z, (N, P) each, and the matrices.

    The camera is multiplied into the bones, so a point is moved once; see `Points.move`.
    """
    count, bones = len(shots), transforms.shape[1]
    rotation = shots.camera.rotation[:, None]
    folded = rotation @ transforms  # (N, B, 3, 4)
    folded[..., 3] += shots.camera.translation[:, None]
    flat = folded.permute(2, 3, 0, 1).reshape(12 * count, bones)
    # Most bones are in the fingers, and most points are not.
    split = points.fingerless
    blended = flat.new_empty(12 * count, len(points))
    palm = clouds.palm_bones(load_body())
    torch.mm(flat[:, palm], points.palm_weights, out=blended[:, :split])
    torch.mm(flat, points.weights[:, split:], out=blended[:, split:])
    blended = blended.view(3, 4, count, len(points))
    form = torch.cat([shots.shape, shots.expression], 1)[:, : len(points.shape)]
    rest = torch.addmm(points.rest.reshape(1, -1), form, points.shape)  # (N, 3 P)
    rest = torch.addcmul(rest.view(count, 3, -1), outwards[:, None], points.normals)  # (N, 3, P)
    a, b, c = rest.unbind(1)
    x, y, z = (
        torch.addcmul(row[3], row[0], a).addcmul_(row[1], b).addcmul_(row[2], c) for row in blended
    )
    n, row = points.normals, blended[2]
    facing = (row[0] * n[0]).addcmul_(row[1], n[1]).addcmul_(row[2], n[2])  # (N, P)
    return x, y, z, facing, blended


def _normals(blended: Tensor, points: Cloud, point: Tensor, person: Tensor) -> Tensor:
    """Normals in the camera's frame of points that won, (3, H)."""
    at = person * len(points) + point
    rest = [axis[point] for axis in points.normals]
    turned = [
        sum(row[k].flatten().index_select(0, at) * rest[k] for k in range(3)) for row in blended
    ]
    return _unit(torch.stack(turned))


def _unit(vectors: Tensor) -> Tensor:
    """Vectors (3, H) of length 1."""
    return vectors * vectors.square().sum(0).clamp_min(1e-12).rsqrt()


def _lamp(chances: Tensor) -> Tensor:
    """Where the light comes from, (N, 3), world; steep, so that shadows stay near."""
    azimuth = chance(chances, "lamp_azimuth", 0, 2 * math.pi)
    height = chance(chances, "lamp_height", 0.9, 1.4)
    across = height.cos()
    return torch.stack([across * azimuth.cos(), height.sin(), across * azimuth.sin()], -1)


def _light(
    color: Tensor, normal: Tensor, people: Dressed, point: Tensor, person: Tensor,
    shots: Shots, look: Look,
) -> Tensor:  # fmt: skip
    """Colours (H, 3) in the light: from the camera in the synthetic look, a lamp's in full ones."""
    on = people.canvas
    if look.folds:
        cloth = looks.among(on.material[point], "cloth", "skirt") * (0.3 * look.folds)
        normal = _unit(normal + cloth * on.folds[people.outfit.cloth[person], :, point].T)
    flat = 0.66 + 0.36 * (-normal[2]).clamp_min(0)
    if look.shading:
        rotation = shots.camera.rotation
        lamp = (rotation @ _lamp(shots.chances)[..., None])[..., 0]  # (N, 3)
        above, direct = (
            sum(n * d.index_select(0, person) for n, d in zip(normal, way.T, strict=True))
            for way in (rotation[:, :, 1], lamp)
        )
        ambient = chance(shots.chances, "ambient", 0.58, 0.68)[person]
        power = chance(shots.chances, "lamp_power", 0.45, 0.75)[person]
        full = ambient * (0.9 + 0.25 * above) + power * (0.2 + 0.8 * direct).clamp_min(0)
        full = full * (0.8 + 0.2 * (-normal[2]).clamp(0, 1))
        if shots.piece[0] > 0:  # close-ups are taken where the light is good
            full = 1.1 * full
        flat = flat.lerp(full, look.shading)
    if shots.piece[0] == clouds.PIECES.index("head"):  # little light falls through narrow lips
        jaw = shots.expression[:, load_body().expressions.index("jaw_open")]
        teeth = looks.among(on.material[point], "teeth")
        flat = torch.where(teeth, flat * (5 * jaw).clamp(0.25, 1)[person], flat)
    return (color * flat[:, None]).clamp_max(1)


def _labels(
    shots: Shots, transforms: Tensor, depth: Tensor, parts: Tensor, look: Look, piece: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keypoints (N, J, 2), depth (N, J), joints (N, J, 3) and which are visible (N, J)."""
    marks = load_body().to(shots.root.device).landmarks[_LANDMARKS[piece]]
    true = marks.move(transforms, shots.shape, shots.expression)  # (N, J, 3)
    joints = annotated(true, shots.convention, look.convention)
    keypoints = shots.camera.project(joints)
    far = shots.camera.to_camera(joints)[..., 2]
    seen = visibility(keypoints, far, depth, parts, _flesh(piece, far.shape[1]).to(far))
    return keypoints, far - far[:, :1], joints, seen


@cache
def _flesh(piece: str, joints: int) -> Tensor:
    """Metres of each part that may lie before each joint without hiding it, (J, PARTS)."""
    if piece != "body":
        return torch.full((joints, len(PARTS)), _FLESH_FACE if piece == "head" else _FLESH_HAND)
    flesh = torch.zeros(joints, len(PARTS))
    for row, name in zip(flesh, BODY17.joints, strict=True):
        side, _, paired = name.partition("_")
        metres, own = FLESH.get(paired) or FLESH[name]
        for part in own.split():
            row[PARTS.index(part if part in PARTS else f"{side}_{part}")] = metres
    return flesh


def visibility(
    keypoints: Tensor, far: Tensor, depth: Tensor, parts: Tensor, flesh: Tensor
) -> Tensor:
    """Which joints are in the picture and hidden by nothing but their own flesh, (N, J).

    Args:
        keypoints: (N, J, 2) in [0, 1] of the picture.
        far: their depth, metres, (N, J).
        depth: of what each pixel shows, (N, S, S), infinite where it shows nothing.
        parts: number in PARTS of what each pixel shows, (N, S, S); 0 is the rest.
        flesh: metres of each part that may lie before each joint, (J, PARTS).
    """
    size = depth.shape[-1]
    inside = ((keypoints >= 0) & (keypoints < 1)).all(-1)
    pixel = (keypoints * size).nan_to_num().clamp(0, size - 1).long()
    picture = torch.arange(len(depth), device=depth.device)[:, None]
    at = picture, pixel[..., 1], pixel[..., 0]
    own = flesh[torch.arange(len(flesh), device=depth.device), parts[at]]  # (N, J)
    return inside & (depth[at] > far - own)
