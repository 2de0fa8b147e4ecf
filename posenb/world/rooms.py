"""Backgrounds: rooms and streets in perspective, as the cameras around a person see them.

A scene is a set of textured rectangles (`Panel`). `plate` looks at them from one eye and gives a
wide picture; `photography` cuts out of it what each camera sees by turning it (a homography). So a
camera's background stands still, and all pictures of one place show the same place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from posenb.world.cameras import AIM, look_at

Setting = Literal["room", "street"]
Array = np.ndarray
EYES = 8  # directions around the person, 45 degrees apart
SITES = 4  # rooms and streets that there are


@dataclass(frozen=True)
class View:
    """How wide, how fine and from where a setting is seen: see `plate`."""

    tangent: float  # of half the angle of view
    focal: float  # in sizes of the pictures that are cut out of it
    distance: float  # metres from the aim
    elevation: float  # degrees


VIEWS: dict[Setting, View] = {
    "room": View(0.95, 2.1, 5.1, 15.0),
    "street": View(1.5, 1.6, 3.5, 9.0),
}


@dataclass(frozen=True)
class Panel:
    """A rectangle from `corner` along `right` and `down` (3,), metres, with a texture (H, W, 4).

    It is seen from the side where `right` points to the right. Textures are RGB and cover, in
    [0, 1].
    """

    corner: Array
    right: Array
    down: Array
    texture: Array


def eye(position: Tensor) -> Tensor:
    """Numbers (N,) of the eyes nearest to places (N, 3) around the aim."""
    azimuth = torch.atan2(position[:, 2], position[:, 0]) / (2 * math.pi)
    return (azimuth * EYES).round().long() % EYES


@cache
def plate(setting: Setting, place: int, eye: int, size: int) -> tuple[Tensor, Tensor]:
    """What one eye sees of a place.

    Args:
        setting: `room` or `street`.
        place: which one, 0 to SITES - 1.
        eye: direction in which the eye stands, 0 to EYES - 1, in turns of 45 degrees.
        size: of the pictures that shall be cut out of it, pixels.

    Returns:
        The picture, (H, H, 3) in [0, 1], and the rotation (3, 3) from the world to this eye. The
        point (x, y, 1) of the eye's frame is at pixels H / 2 + focal * size * (x, y).
    """
    view = VIEWS[setting]
    azimuth, elevation = 2 * math.pi * eye / EYES, math.radians(view.elevation)
    across = math.cos(elevation)
    outward = across * math.cos(azimuth), math.sin(elevation), across * math.sin(azimuth)
    position = torch.tensor(AIM) + view.distance * torch.tensor(outward)
    rotation, _ = look_at(position, torch.tensor(AIM))
    panels, sky = _furnish(setting, place)
    pixels = plate_side(setting, size)
    fine = pixels * 3 // 2  # for smooth edges
    focal = view.focal * size * fine / pixels
    image = _look(panels, sky, position.numpy(), rotation.numpy(), fine, focal)
    image = cv2.resize(image, (pixels, pixels), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(image.clip(0, 1)), rotation


def plate_side(setting: Setting, size: int) -> int:
    """Height and width of the plates of a setting, pixels."""
    view = VIEWS[setting]
    return 2 * int(view.tangent * view.focal * size)


def _look(
    panels: Sequence[Panel], sky: Array, eye: Array, rotation: Array, size: int, focal: float
) -> Array:
    """Picture (size, size, 3) of panels before a sky (bands from zenith to nadir, (B, 3))."""
    axis = ((np.arange(size) + 0.5 - size / 2) / focal).astype(np.float32)

    def along(vector: Array, window: tuple[slice, slice]) -> Array:
        """Dot product of a vector with the ray of each pixel, which is affine in the pixel."""
        across, downwards, ahead = (rotation @ vector).astype(np.float32)
        return axis[None, window[1]] * across + (axis[window[0], None] * downwards + ahead)

    whole = slice(0, size), slice(0, size)
    height = along(np.array([0.0, 1.0, 0.0]), whole)
    height = height / np.sqrt(axis[None] ** 2 + axis[:, None] ** 2 + 1)  # sine above the horizon
    image = sky[((1 - height) / 2 * (len(sky) - 1)).astype(np.int32)]
    nearest = np.full((size, size), np.inf, np.float32)
    for panel in sorted(panels, key=lambda p: -np.linalg.norm(_middle(p) - eye)):
        normal, start = np.cross(panel.right, panel.down), eye - panel.corner
        window = _window(panel, eye, rotation, size, focal)
        if start @ normal >= 0 or window is None:
            continue
        far = nearest[window]
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.float32(-start @ normal) / along(normal, window)  # (h, w)
            a, b = (
                np.float32(start @ edge / (edge @ edge)) + t * along(edge / (edge @ edge), window)
                for edge in (panel.right, panel.down)
            )
            hit = (t > 0.05) & (t < far) & (a >= 0) & (a < 1) & (b >= 0) & (b < 1)
        if not hit.any():
            continue
        rows, columns = panel.texture.shape[:2]
        texel = panel.texture[(b[hit] * rows).astype(np.int32), (a[hit] * columns).astype(np.int32)]
        cover = texel[:, 3:]
        if panel.texture[..., 3].min() < 1:
            texel = image[window][hit] * (1 - cover) + texel[:, :3] * cover
        image[window][hit] = texel[:, :3]
        far[hit] = np.where(cover[:, 0] > 0.5, t[hit], far[hit])
    return image


def _middle(panel: Panel) -> Array:
    return panel.corner + (panel.right + panel.down) / 2


def _window(
    panel: Panel, eye: Array, rotation: Array, size: int, focal: float
) -> tuple[slice, slice] | None:
    """Rows and columns that a panel can cover; None if none."""
    c, r, d = panel.corner, panel.right, panel.down
    corners = (np.stack([c, c + r, c + d, c + r + d]) - eye) @ rotation.T
    if (corners[:, 2] < 0.1).all():
        return None
    if (corners[:, 2] < 0.1).any():
        return slice(0, size), slice(0, size)
    spots = corners[:, :2] / corners[:, 2:] * focal + size / 2
    low = np.floor(spots.min(0)).clip(0, size).astype(int)
    high = np.ceil(spots.max(0)).clip(0, size).astype(int)
    if (high <= low).any():
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


# --- Things ------------------------------------------------------------------------------------


def _rgb(*channels: float) -> Array:
    return np.array(channels, np.float32)


# Planks and tiles; paving, a lawn, sand, asphalt.
_FLOORS: Array = np.array(
    [(0.62, 0.5, 0.38), (0.55, 0.56, 0.58), (0.5, 0.42, 0.36), (0.42, 0.48, 0.55)], np.float32
)
_GROUNDS: Array = np.array(
    [(0.58, 0.57, 0.55), (0.5, 0.55, 0.38), (0.64, 0.6, 0.53), (0.52, 0.52, 0.54)], np.float32
)
Paint = Callable[[Array], None]  # changes a texture (H, W, 3)


def _texture(width: float, height: float, color: Array, *paints: Paint, fine: int = 60) -> Array:
    """Texture (H, W, 4) of a surface of so many metres, `fine` texels a metre."""
    rows, columns = (int(np.clip(length * fine, 4, 900)) for length in (height, width))
    image = np.ones((rows, columns, 3), np.float32) * np.float32(color)
    for paint in paints:
        paint(image)
    return np.concatenate([image.clip(0, 1), np.ones((rows, columns, 1), np.float32)], -1)


def _box(
    place: Sequence[float], extent: Sequence[float], color: Array, *paints: Paint, fine: int = 60
) -> list[Panel]:
    """Sides and top of a box: middle of its bottom, (width, height, depth); sides are painted."""
    (x, y, z), (w, h, d) = place, extent
    up = np.array([0.0, -h, 0.0])
    panels = []
    for dx, dz, light in ((1, 0, 0.88), (0, 1, 1.0), (-1, 0, 0.8), (0, -1, 0.92)):
        span = d if dx else w
        right = np.array([-dz, 0.0, dx]) * -span
        corner = np.array([x + dx * w / 2, y + h, z + dz * d / 2]) - right / 2
        texture = _texture(span, h, color * light, *paints, fine=fine)
        panels.append(Panel(corner, right, up, texture))
    top = np.array([x - w / 2, y + h, z - d / 2])
    lid = _texture(w, d, np.minimum(color * 1.12, 1))
    panels.append(Panel(top, np.array([w, 0.0, 0.0]), np.array([0.0, 0.0, d]), lid))
    return panels


def _spots(image: Array, random: np.random.Generator, amount: float, cell: int) -> None:
    """Uneven brightness, as of anything real."""
    rows, columns = image.shape[:2]
    coarse = random.normal(0, amount, (rows // cell + 2, columns // cell + 2)).astype(np.float32)
    image *= 1 + cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR)[..., None]


def _grid(image: Array, across: int, along: int, color: Array, width: int = 1) -> None:
    """Joints between tiles, panes or panels."""
    rows, columns = image.shape[:2]
    for k in range(1, across):
        image[:, max(k * columns // across - width // 2, 0) :][:, :width] = color
    for k in range(1, along):
        image[max(k * rows // along - width // 2, 0) :][:width] = color


def _planks(image: Array, random: np.random.Generator) -> None:
    rows, columns = image.shape[:2]
    width = max(rows // 40, 2)
    for start in range(0, rows, width):
        image[start : start + width] *= random.uniform(0.9, 1.08)
        image[start : start + 1] *= 0.8
        image[start : start + width, random.integers(columns)] *= 0.75


def _books(image: Array, random: np.random.Generator) -> None:
    """Boards with books of many colours between them."""
    rows, columns = image.shape[:2]
    shelves = max(rows // 24, 1)
    for k in range(shelves):
        top, bottom = k * rows // shelves, (k + 1) * rows // shelves - 2
        image[top:bottom, 1:-1] *= 0.55
        x = 1
        while x < columns - 3:
            width = int(random.integers(2, 6))
            if random.random() < 0.85:
                head = top + int(random.uniform(0.1, 0.45) * (bottom - top))
                image[head:bottom, x : min(x + width, columns - 1)] = _tone(random, 0.5, 0.75)
            x += width


def _drawers(image: Array, random: np.random.Generator) -> None:
    across, along = max(image.shape[1] // 40, 1), max(image.shape[0] // 24, 1)
    _grid(image, across, along, image.mean((0, 1)) * 0.6)
    rows, columns = image.shape[:2]
    for i in range(across):
        for k in range(along):
            middle = (int((i + 0.5) * columns / across), int((k + 0.3) * rows / along))
            cv2.line(image, (middle[0] - 3, middle[1]), (middle[0] + 3, middle[1]), (0.3,) * 3, 1)


def _picture(image: Array, random: np.random.Generator) -> None:
    """A poster: blocks, a horizon or discs in a few colours, in a frame."""
    rows, columns = image.shape[:2]
    colors = [_tone(random, 0.55, 0.8) for _ in range(4)]
    image[:] = colors[0]
    kind = random.integers(3)
    for k in range(3):
        at = (int(random.integers(columns)), int(random.integers(rows)))
        if kind == 0:
            image[rows * (k + 1) // 4 :] = colors[k + 1]
        elif kind == 1:
            cv2.circle(image, at, int(rows * random.uniform(0.1, 0.35)), colors[k + 1].tolist(), -1)
        else:
            end = (at[0] + columns // 2, at[1] + rows // 3)
            cv2.rectangle(image, at, end, colors[k + 1].tolist(), -1)
    frame = random.uniform(0.1, 0.9)
    cv2.rectangle(image, (0, 0), (columns - 1, rows - 1), (frame,) * 3, 2)


def _window_paint(image: Array, random: np.random.Generator) -> None:
    """Panes with the sky and some green, in a white frame, perhaps with blinds."""
    rows = image.shape[0]
    fade = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None]
    image[:] = _rgb(0.72, 0.84, 0.96) * (1 - fade) + _rgb(0.93, 0.95, 0.95) * fade
    image[int(rows * random.uniform(0.65, 0.85)) :] = (0.45, 0.56, 0.38)
    if random.random() < 0.5:
        image[: int(rows * random.uniform(0.2, 0.6)) : 4] *= 0.7
    _grid(image, max(image.shape[1] // 50, 2), 2, _rgb(0.9, 0.9, 0.88), 4)
    cv2.rectangle(image, (0, 0), (image.shape[1] - 1, rows - 1), (0.92, 0.92, 0.9), 6)


def _door(image: Array, random: np.random.Generator) -> None:
    rows, columns = image.shape[:2]
    color = (image.mean((0, 1)) * 0.72).tolist()
    cv2.rectangle(image, (0, 0), (columns - 1, rows - 1), color, 3)
    for top in (0.1, 0.55):
        low = (int(columns * 0.2), int(rows * top))
        cv2.rectangle(image, low, (int(columns * 0.8), int(rows * (top + 0.35))), color, 1)
    cv2.circle(image, (int(columns * 0.88), rows // 2), 2, (0.75, 0.7, 0.5), -1)


def _facade(image: Array, random: np.random.Generator) -> None:
    """Storeys of windows over a ground floor with shops."""
    rows, columns = image.shape[:2]
    _spots(image, random, 0.03, 9)
    step, storey = int(random.integers(16, 28)), int(random.integers(26, 36))
    glass = _rgb(0.35, 0.42, 0.5) * random.uniform(0.7, 1.3)
    for y in range(4, rows - 20, storey):
        for x in range(4, columns - step // 2, step):
            end = (x + step // 2, y + int(storey * 0.6))
            cv2.rectangle(image, (x, y), end, (glass * random.uniform(0.7, 1.3)).tolist(), -1)
            cv2.rectangle(image, (x, y), end, (0.85, 0.84, 0.8), 1)
    image[-int(0.5 * storey) :] *= 0.8


def _leaves(image: Array, random: np.random.Generator) -> None:
    rows, columns = image.shape[:2]
    base = image.mean((0, 1))
    for _ in range(rows * columns // 40):
        at = (int(random.integers(columns)), int(random.integers(rows)))
        cv2.circle(image, at, 2, (base * random.uniform(0.6, 1.35)).tolist(), -1)


def _tone(random: np.random.Generator, saturation: float, value: float) -> Array:
    """A colour of any hue, around a saturation and a brightness."""
    hue = random.random() * 360
    s, v = random.uniform(0.2, 1.0) * saturation, np.clip(value * random.uniform(0.7, 1.2), 0, 1)
    pixel = np.array([[[hue, s, v]]], np.float32)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]


def _tree(x: float, z: float, height: float, random: np.random.Generator) -> list[Panel]:
    """A trunk, and a crown that is flat and turned to the middle of the scene."""
    trunk = _box((x, 0, z), (0.25, height * 0.5, 0.25), _rgb(0.4, 0.31, 0.24))
    crown = np.zeros((160, 160, 4), np.float32)
    green = _rgb(0.3, 0.45, 0.2) * random.uniform(0.8, 1.25)
    for _ in range(500):
        angle, radius = random.uniform(0, 2 * np.pi), 62 * np.sqrt(random.random())
        at = (int(80 + radius * np.cos(angle)), int(80 + radius * np.sin(angle) * 0.9))
        light = random.uniform(0.65, 1.15) + 0.4 * (80 - at[1]) / 80
        cv2.circle(crown, at, int(random.integers(3, 10)), (*(green * light).tolist(), 1.0), -1)
    wide = height * 0.75
    out = np.array([x, 0, z]) / np.hypot(x, z)
    right = np.array([out[2], 0, -out[0]]) * -wide
    corner = np.array([x, height * 1.05, z]) - right / 2 - 0.2 * out
    return [*trunk, Panel(corner, right, np.array([0, -wide, 0]), crown.clip(0, 1))]


# --- Places ------------------------------------------------------------------------------------


@cache
def _furnish(setting: Setting, place: int) -> tuple[tuple[Panel, ...], Array]:
    """Panels of a place and its sky."""
    random = np.random.default_rng([place, len(setting)])
    return (_room if setting == "room" else _street)(random)


def _room(random: np.random.Generator) -> tuple[tuple[Panel, ...], Array]:
    """Four walls with windows, doors and pictures; furniture along them; a floor, a ceiling."""
    half, height = random.uniform(4.4, 5.2), random.uniform(2.9, 3.5)
    wall = (1 - (1 - _tone(random, 0.35, 0.9)) * 0.6) * random.uniform(0.72, 0.9)
    floor = _FLOORS[int(random.integers(4))] * random.uniform(0.9, 1.15)
    tiled = partial(_grid, across=16, along=16, color=floor * 0.82)
    pattern = [partial(_planks, random=random), tiled][int(random.integers(2))]
    side, worn = 2 * half, partial(_spots, random=random, amount=0.05, cell=40)
    ground = _texture(side, side, floor, pattern, worn)
    lamp = _texture(side, side, _rgb(0.9, 0.9, 0.9), tiled)
    for k in (0.3, 0.7):
        at = int(k * len(lamp))
        lamp[at - 12 : at + 12, len(lamp) // 5 : -len(lamp) // 5, :3] = 1
    x, z = np.array([side, 0.0, 0.0]), np.array([0.0, 0.0, side])
    panels = [
        Panel(np.array([-half, 0.0, -half]), x, z, ground),
        Panel(np.array([-half, height, -half]), z, x, lamp),
    ]
    for turn in range(4):
        local: list[Panel] = [_wall(random, half, height, wall * (0.9 + 0.05 * turn))]
        local += _along_wall(random, half)
        cos, sin = round(math.cos(turn * math.pi / 2)), round(math.sin(turn * math.pi / 2))
        matrix = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], float)
        panels += [
            Panel(matrix @ p.corner, matrix @ p.right, matrix @ p.down, p.texture) for p in local
        ]
    return tuple(panels), np.tile(np.float32(wall), (8, 1))


def _wall(random: np.random.Generator, half: float, height: float, color: Array) -> Panel:
    """The wall at z = -half, with what hangs on it."""
    uneven = partial(_spots, random=random, amount=0.02, cell=60)
    texture = _texture(2 * half, height, color, uneven)
    image = texture[..., :3]
    rows, columns = image.shape[:2]
    image *= np.linspace(1.05, 0.9, rows, dtype=np.float32)[:, None, None]
    metre = columns / (2 * half)
    image[-int(0.1 * metre) :] = color * 0.6
    paints = [_window_paint, _door, _picture, _picture, _picture, _window_paint, _books]
    x = random.uniform(0.2, 0.8)
    while x < 2 * half - 1.6:
        paint = paints[int(random.integers(len(paints)))]
        low, wide, tall = {
            _window_paint: (0.9, random.uniform(1.2, 2.2), 1.5),
            _door: (0.0, 0.95, 2.1),
            _picture: tuple(random.uniform(*r) for r in ((1.1, 1.6), (0.5, 1.2), (0.5, 1.0))),
            _books: (1.4, random.uniform(0.8, 1.4), 0.7),
        }[paint]
        wide = min(wide, 2 * half - x - 0.2)
        spot = image[
            int((height - low - tall) * metre) : int((height - low) * metre),
            int(x * metre) : int((x + wide) * metre),
        ]
        if paint is _door:
            spot[:] = _tone(random, 0.4, 0.7)
        piece = np.ascontiguousarray(spot)
        paint(piece, random)
        spot[:] = piece
        x += wide + random.uniform(0.2, 1.0)
    texture = texture.clip(0, 1)
    corner = np.array([-half, height, -half])
    return Panel(corner, np.array([2 * half, 0.0, 0.0]), np.array([0.0, -height, 0.0]), texture)


def _along_wall(random: np.random.Generator, half: float) -> list[Panel]:
    """Furniture along the wall at z = -half."""
    panels: list[Panel] = []
    x = -half + random.uniform(0.3, 1.2)
    while x < half - 1.4:
        kind = int(random.integers(6))
        colors = [_tone(random, 0.5, 0.65), _rgb(0.6, 0.45, 0.3), _rgb(0.82, 0.82, 0.82)]
        color = colors[int(random.integers(3))]
        wide, high, deep = (
            random.uniform(low, top)
            for low, top in (
                ((0.8, 1.3), (1.6, 2.1), (0.3, 0.4)),  # shelf
                ((0.6, 1.4), (0.7, 1.1), (0.45, 0.6)),  # chest of drawers
                ((1.2, 1.8), (0.72, 0.78), (0.6, 0.8)),  # table
                ((1.4, 2.0), (0.4, 0.45), (0.8, 0.9)),  # sofa
                ((0.35, 0.6), (0.3, 0.6), (0.35, 0.5)),  # crate
                ((0.5, 0.8), (1.7, 1.9), (0.5, 0.6)),  # wardrobe
            )[kind]
        )
        place = (x + wide / 2, 0.0, -half + deep / 2 + 0.03)
        panels.append(_contact(place, wide, deep))
        if kind == 2:
            panels += _box((place[0], high - 0.05, place[2]), (wide, 0.05, deep), color)
            for side in (-1, 1):
                leg = (place[0] + side * (wide / 2 - 0.05), 0.0, place[2] + deep / 2 - 0.05)
                panels += _box(leg, (0.05, high - 0.05, 0.05), color * 0.7)
            screen = (place[0], high + 0.1, place[2])
            panels += _box(screen, (0.55, 0.35, 0.05), _rgb(0.22, 0.24, 0.28))
        elif kind == 3:
            panels += _box(place, (wide, high, deep), color)
            back = (place[0], high, place[2] - deep / 2 + 0.12)
            panels += _box(back, (wide, 0.42, 0.2), color * 0.93)
        else:
            paints = {0: _books, 1: _drawers, 5: _door}
            paint = [partial(paints[kind], random=random)] if kind in paints else []
            panels += _box(place, (wide, high, deep), color, *paint)
        x += wide + random.uniform(0.15, 1.1)
    return panels


def _contact(place: Sequence[float], wide: float, deep: float) -> Panel:
    """The dark floor around something that stands on it."""
    soft: Array = np.zeros((40, 40, 4), np.float32)
    soft[8:-8, 8:-8, 3] = 0.5
    soft = cv2.GaussianBlur(soft, (0, 0), 4)
    width, depth = wide * 1.5, deep * 1.7
    corner = np.array([place[0] - width / 2, 0.004, place[2] - depth / 2])
    return Panel(corner, np.array([width, 0, 0]), np.array([0, 0, depth]), soft)


def _street(random: np.random.Generator) -> tuple[tuple[Panel, ...], Array]:
    """Houses and trees around a square or a lawn, with hedges, cars and lamps, under a sky."""
    color = _GROUNDS[int(random.integers(4))] * random.uniform(0.92, 1.1)
    span = 60.0
    patches = partial(_spots, random=random, amount=0.09, cell=2)
    paving = partial(_grid, across=60, along=60, color=color * 0.88)
    paints = [patches] if color[1] > color[0] else [patches, paving]
    ground = _texture(span, span, color, *paints, fine=15)
    x_axis, z_axis = np.array([span, 0.0, 0.0]), np.array([0.0, 0.0, span])
    panels = [Panel(-(x_axis + z_axis) / 2, x_axis, z_axis, ground)]
    angle = 0.0
    while angle < 2 * np.pi - 0.3:
        radius = random.uniform(13, 20)
        wide = random.uniform(6, 12)
        x, z = radius * math.cos(angle), radius * math.sin(angle)
        kind = random.random()
        if kind < 0.55:
            tone = 1 - (1 - _tone(random, 0.35, 0.8)) * 0.8
            extent = (wide, random.uniform(5, 13), wide)
            facade = partial(_facade, random=random)
            panels += _box((x, 0, z), extent, tone, facade, fine=14)
        elif kind < 0.8:
            leaves = partial(_leaves, random=random)
            panels += _box((x, 0, z), (wide, 2.0, wide), _rgb(0.3, 0.42, 0.22), leaves)
        angle += random.uniform(0.6, 1.0) * wide / radius
    for _ in range(int(random.integers(7, 12))):
        direction, radius = random.uniform(0, 2 * np.pi), random.uniform(6.5, 12)
        x, z = radius * math.cos(direction), radius * math.sin(direction)
        kind = int(random.integers(4))
        if kind <= 1:
            panels += _tree(x, z, random.uniform(4, 7), random)
        elif kind == 2:
            paint = _tone(random, 0.7, 0.7)
            panels.append(_contact((x, 0, z), 4.0, 1.9))
            panels += _box((x, 0.2, z), (3.9, 0.6, 1.7), paint)
            panels += _box((x, 0.8, z), (2.2, 0.5, 1.5), _rgb(0.35, 0.4, 0.46))
        else:
            panels += _box((x, 0, z), (0.12, 3.5, 0.12), _rgb(0.35, 0.37, 0.4))
            panels += _box((x + 1, 0, z + 1), (1.6, 0.45, 0.5), _rgb(0.5, 0.38, 0.26))
    blue = _rgb(0.45, 0.64, 0.88) * random.uniform(0.85, 1.1)
    pale = _rgb(0.86, 0.9, 0.94)
    fade = np.linspace(0, 1, 60, dtype=np.float32)[:, None] ** 0.7
    sky = blue * (1 - fade) + pale * fade
    return tuple(panels), np.concatenate([sky, np.tile(color, (60, 1))]).astype(np.float32)
