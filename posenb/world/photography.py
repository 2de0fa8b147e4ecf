"""What is around a person in a picture, and what a camera does to it.

Pictures are (N, S, S, 3) until they are developed. All that differs between pictures follows from
their numbers in [0, 1] (`looks.CHANCES`), so a picture is the same in every batch.
"""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from posenb.world import rooms
from posenb.world.backdrops import backdrop
from posenb.world.cameras import Camera
from posenb.world.looks import Look, chance, hsv

_GRAIN = 512  # side of the noise that all pictures cut theirs from


def background(camera: Camera, eye: Tensor, chances: Tensor, look: Look, size: int) -> Tensor:
    """What is behind the people, (N, S, S, 3): between a collage and the setting.

    Args:
        camera: N cameras in units of the crop.
        eye: from which eye of its place each sees the setting, (N,); see `rooms.plate`.
        chances: (N, C), from `looks.chances`.
        look: says which setting, and how much of it.
        size: S, pixels.
    """
    if look.setting == "nowhere" or not look.scenery:
        return backdrop(chances, size)
    scenery = _scenery(camera, eye, chances, look.setting, size)
    return scenery if look.scenery == 1 else backdrop(chances, size).lerp_(scenery, look.scenery)


def _scenery(
    camera: Camera, eye: Tensor, chances: Tensor, setting: rooms.Setting, size: int
) -> Tensor:
    """The setting as the cameras see it, (N, S, S, 3): cut out of the plates of their places."""
    place = (chance(chances, "place") * rooms.SITES).long()
    side = rooms.plate_side(setting, size)
    count = len(chances)
    wanted, which = torch.unique(place * rooms.EYES + eye, return_inverse=True)
    plates = [
        _plate(setting, number // rooms.EYES, number % rooms.EYES, size, str(chances.device))
        for number in wanted.tolist()
    ]
    turn = torch.stack([rotation for _, rotation in plates])[which]  # (N, 3, 3)
    pixels = torch.stack([picture for picture, _ in plates]).view(-1, 3)
    lens = torch.zeros(count, 3, 3, device=chances.device)  # from the picture to rays
    lens[:, 0, 0], lens[:, 1, 1] = (1 / (size * camera.focal)).unbind(-1)
    lens[:, :2, 2] = (0.5 / size - camera.center) / camera.focal
    lens[:, 2, 2] = 1
    zoom = torch.tensor([rooms.VIEWS[setting].focal * size] * 2 + [1.0], device=chances.device)
    matrix = zoom[:, None] * (turn @ camera.rotation.mT @ lens)  # (N, 3, 3)
    axis = torch.arange(size, device=chances.device, dtype=chances.dtype)
    row, column = axis[:, None], axis
    u, v, w = (
        (m[:, 0, None, None] * column).add(m[:, 1, None, None] * row).add(m[:, 2, None, None])
        for m in matrix.unbind(1)
    )
    inverse = 1 / w.clamp_min(1e-3)
    x, y = ((t * inverse + side / 2).clamp(0, side - 1).int() for t in (u, v))
    at = y * side + x + (which * side * side)[:, None, None]
    return pixels.index_select(0, at.flatten()).view(count, size, size, 3)


@cache
def _plate(
    setting: rooms.Setting, place: int, eye: int, size: int, device: str
) -> tuple[Tensor, Tensor]:
    picture, rotation = rooms.plate(setting, place, eye, size)
    return picture.to(device), rotation.to(device)


def shadow(
    points: tuple[Tensor, Tensor, Tensor], camera: Camera, lamp: Tensor, size: int
) -> Tensor:
    """Where the people's shadows fall on the floor y = 0, (N, S, S), 0 to 1.

    Args:
        points: of the people in the camera's frame, x, y and z (N, P) each.
        camera: N cameras in units of the crop.
        lamp: directions to the light, world, (N, 3).
        size: S, pixels.
    """
    half = size // 2
    rotation, position = camera.rotation, camera.position
    up = rotation[:, :, 1, None]  # (N, 3, 1)
    x, y, z = points
    height = x * up[:, 0] + y * up[:, 1] + z * up[:, 2] + position[:, 1:2]
    ray = (rotation @ (lamp / lamp[:, 1:2])[..., None])[..., 0, None]  # (N, 3, 1), a metre up
    x, y, z = (torch.addcmul(p, height, ray[:, k], value=-1) for k, p in enumerate(points))
    inverse = half / z.clamp_min(0.1)
    u = x * inverse * camera.focal[:, :1] + half * camera.center[:, :1]
    v = y * inverse * camera.focal[:, 1:] + half * camera.center[:, 1:]
    inside = (u >= 0) & (u < half) & (v >= 0) & (v < half)
    count = len(u)
    first = torch.arange(count, device=u.device)[:, None] * half * half
    at = torch.where(inside, v, 0).int() * half + torch.where(inside, u, 0).int() + first
    mask = torch.zeros(count * half * half + 1, device=u.device)
    mask[torch.where(inside, at, count * half * half).flatten()] = 1
    soft = mask[:-1].view(count, 1, half, half)
    for _ in range(2):
        soft = functional.avg_pool2d(soft, 3, 1, 1)
    return functional.interpolate(soft, (size, size), mode="bilinear")[:, 0]


def occlude(images: Tensor, chances: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Put a hedge, a post or a passing edge before two of three people.

    Returns:
        Pictures (N, S, S, 3) and which pixels are covered, (N, S, S).
    """
    size = images.shape[1]
    axis = (torch.arange(size, device=images.device) + 0.5) / size
    row, column = axis[:, None], axis
    kind = (chance(chances, "occluder_kind") * 3).long()[:, None, None]
    place = chance(chances, "occluder_place")[:, None, None]
    reach = strength * chance(chances, "occluder_reach")[:, None, None]
    leaves = _leaves(str(images.device))  # (L, L) around 0
    y, x = ((t * 220).long() % len(leaves) for t in (row + place, column + 3 * place))
    leaf = leaves[y, x]  # (N, S, S)
    wave = 0.03 * torch.sin(9 * column + 20 * place) + 0.04 * leaf
    hedge = (row > 1 - 0.36 * reach + wave) & (kind == 0)
    off = (column - 0.15 - 0.7 * place) / (0.015 + 0.04 * reach)  # -1 to 1 across the post
    post = (off.abs() < 1) & (kind == 1) & (reach > 0)
    left = torch.where(place < 0.5, column, 1 - column)
    edge = (left < 0.34 * reach) & (row > 0.45 - 0.4 * place) & (kind == 2)
    hidden = (hedge | post | edge) & (chance(chances, "occluder") < 2 / 3)[:, None, None]
    hue = chance(chances, "occluder_hue")[:, None]
    tones = torch.cat([0.24 + 0.06 * hue, 0.05 + 0.06 * hue, hue], 1).gather(1, kind[:, 0])
    vivid = torch.where(kind[:, 0] == 0, 0.45 + 0.15 * hue, 0.12 + 0.2 * hue)
    color = hsv(tones, vivid, 0.38 + 0.25 * hue)[:, None, None]
    lit = 1.05 - 0.35 * (off + 0.3).square()  # a round post in light from the left
    shade = torch.where(kind == 0, 1 + 0.55 * leaf, torch.where(kind == 1, lit, 1.1 - 0.3 * left))
    return torch.where(hidden[..., None], color * shade[..., None], images), hidden


@cache
def _leaves(device: str) -> Tensor:
    """Light and dark leaves, (256, 256), about -1 to 1."""
    random = np.random.default_rng(0)
    image = np.full((256, 256), -0.9, np.float32)
    for _ in range(9000):
        at, tilt = random.integers(256, size=2).tolist(), float(random.uniform(0, 180))
        light = float(random.uniform(-0.8, 0.9))
        cv2.ellipse(image, at, (int(random.integers(3, 6)), 2), tilt, 0, 360, light, -1)
    return torch.from_numpy(image).to(device)


def develop(images: Tensor, chances: Tensor, look: Look) -> Tensor:
    """What the camera does: blur, tint, noise and compression; (N, 3, S, S) in [0, 1]."""
    soft = 0.12 + look.blur * chance(chances, "softness", 0.0, 0.13)
    shake = look.blur * chance(chances, "shake", 0.0, 0.1)
    images = _soften(images, (soft + shake).clamp_max(0.3), soft)
    if look.cast:
        tint = torch.stack([chance(chances, c, -0.1, 0.1) for c in ("red", "green", "blue")], -1)
        gain = 1 + look.cast * (tint + chance(chances, "exposure", -0.12, 0.15)[:, None])
        curve = look.cast * chance(chances, "gamma", -0.15, 0.2)[:, None, None, None]
        images = images.mul_(gain[..., None, None]).clamp_(0, 1)
        images = torch.addcmul(images, curve, images - images.square())
    if look.noise:
        _add_grain(images, chances, look.noise)
    images = images.clamp_(0, 1)
    if look.compression:
        coarse = look.compression * chance(chances, "quality", 0.15, 1.0)
        images = compress(images, coarse)
    return images


def _soften(images: Tensor, across: Tensor, along: Tensor) -> Tensor:
    """Blend each pixel with its neighbours, so much of each, (N,), sideways and upright."""
    images = images.contiguous()
    for share, dim in ((across, -1), (along, -2)):
        weight = share[:, None, None, None]
        last = images.shape[dim] - 1
        side = images * weight
        images = images - 2 * side
        images.narrow(dim, 1, last).add_(side.narrow(dim, 0, last))
        images.narrow(dim, 0, last).add_(side.narrow(dim, 1, last))
        for end in (0, last):  # beyond the border, it goes on as at the border
            images.narrow(dim, end, 1).add_(side.narrow(dim, end, 1))
    return images


def _add_grain(images: Tensor, chances: Tensor, strength: float) -> None:
    """Add noise to images, in place: each gets its own piece of one large field."""
    size = images.shape[-1]
    field = _field(str(images.device))
    times = math.ceil(size / _GRAIN)
    field = field.repeat(1, times, times)
    room = field.shape[-1] - size + 1
    tops, lefts = ((chance(chances, f"grain_{k}") * room).long().tolist() for k in "yx")
    amounts = (strength * chance(chances, "noise", 0.006, 0.03)).tolist()
    for image, top, left, amount in zip(images, tops, lefts, amounts, strict=True):
        image.add_(field[:, top : top + size, left : left + size], alpha=amount)


@cache
def _field(device: str) -> Tensor:
    noise = torch.randn(3, _GRAIN, _GRAIN, generator=torch.Generator().manual_seed(0))
    shared = noise.mean(0, keepdim=True) * math.sqrt(3)  # most of a sensor's noise is brightness
    return (0.8 * shared + 0.6 * noise).to(device)


# Steps of the quantisation of JPEG (ITU-T T.81, table K.1), brightness, at quality 50.
_STEPS = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


def compress(images: Tensor, amount: Tensor) -> Tensor:
    """Round the cosine transform of 8 x 8 blocks, as JPEG does, in brightness and two colours.

    Args:
        images: (N, 3, S, S) in [0, 1].
        amount: share of the steps of quality 50, (N,); 0 leaves a picture as it is.
    """
    count, _, size, _ = images.shape
    blocks = math.ceil(size / 8)
    if size % 8:
        images = functional.pad(images, (0, 8 * blocks - size) * 2, mode="replicate")
    transform, back, colors = _transforms(str(images.device))
    yuv = (colors @ images.flatten(2)).view(count, 3, blocks, 8, blocks, 8)
    coded = yuv.transpose(3, 4).reshape(count, -1, 64) @ transform  # (N, 3 B B, 64)
    steps = torch.tensor(_STEPS, device=images.device) / 255
    scale = torch.ones(3, 1, 1, device=images.device)
    scale[1:] = 2.0  # colours are coarser
    step = (scale * steps).expand(3, blocks * blocks, 64).reshape(1, -1, 64)
    step = step * amount[:, None, None].clamp_min(1e-4)
    coded = (coded / step).round_().mul_(step)
    yuv = (coded @ back).view(count, 3, blocks, blocks, 8, 8).transpose(3, 4).reshape(count, 3, -1)
    images = (torch.linalg.inv(colors) @ yuv).view(count, 3, 8 * blocks, 8 * blocks)
    return images[..., :size, :size].clamp(0, 1)


@cache
def _transforms(device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine transform of a flat block (64, 64), its inverse, and RGB to YCbCr (3, 3)."""
    k = torch.arange(8, dtype=torch.float64)
    cosine = torch.cos(math.pi / 8 * (k[:, None] + 0.5) * k) * math.sqrt(2 / 8)
    cosine[:, 0] /= math.sqrt(2)
    both = torch.kron(cosine, cosine).float()  # (64, 64), orthonormal
    colors = torch.tensor([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    return both.to(device), both.T.contiguous().to(device), colors.to(device)
