"""Backgrounds that show no place: collages of shapes, behind the people of the `synthetic` look.

Data sets of rendered people put photographs behind them (SURREAL: Varol et al., "Learning from
Synthetic Humans", CVPR 2017), so that nobody learns that whatever is not plain is the person. Ours
must be made, not downloaded: shapes of all sizes that hide one another, with radii r distributed
as r^-3. Such *dead leaves* have the edges and the spectrum of photographs (Lee, Mumford and Huang,
"Occlusion Models for Natural Images", IJCV 2001).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor

from posenb.world.looks import chance

Array = np.ndarray

COLLAGES = 24
SPAN = 3  # a collage is as large as 3 x 3 pictures; pictures are cut out of it anywhere
_SHAPES = 800
_SMALLEST, _LARGEST = 0.045, 1.2  # radii, in sides of a picture
_DRAWN = 128  # pixels a side of the pictures for which collages are drawn
_SHIFT = 4  # bits of the fractions of pixels that OpenCV draws with


def backdrop(chances: Tensor, size: int) -> Tensor:
    """Cut a piece out of a collage for each picture, turned and mirrored, (N, S, S, 3) in [0, 1].

    Args:
        chances: numbers of the pictures, from `looks.chances`, (N, C).
        size: S, pixels.
    """
    side = SPAN * size
    which = (chance(chances, "backdrop") * COLLAGES).long()
    plates, drawn = _drawer(size, str(chances.device))
    for number in set(which.tolist()) - drawn:
        plates[number] = torch.from_numpy(collage(number, size)).flatten(0, 1)
        drawn.add(number)
    turn = (chance(chances, "backdrop_turn") * 8).long()[:, None]  # of the square's 8 symmetries
    axis = torch.arange(size, device=chances.device)
    across, along = (
        (chance(chances, f"backdrop_{name}") * (side - size + 1)).long()[:, None]
        + torch.where(turn // bit % 2 == 1, size - 1 - axis, axis)
        for name, bit in (("x", 1), ("y", 2))
    )  # (N, S) each
    first, second = torch.where(turn >= 4, side, 1), torch.where(turn >= 4, 1, side)
    at = (across * first + which[:, None] * side * side)[:, None] + (along * second)[:, :, None]
    light = chance(chances, "backdrop_light", 0.55, 1.1)[:, None, None, None]
    cut = plates.view(-1, 3).index_select(0, at.flatten()).view(len(chances), size, size, 3)
    return cut.mul_(light).clamp_max_(1)


@cache
def _drawer(size: int, device: str) -> tuple[Tensor, set[int]]:
    """Room for the collages of a size, (COLLAGES, (SPAN S)^2, 3), and which are in it."""
    return torch.empty(COLLAGES, (SPAN * size) ** 2, 3, device=device), set()


def collage(number: int, size: int) -> Array:
    """Shapes that hide one another, (SPAN S, SPAN S, 3) float32 in [0, 1].

    Args:
        number: which collage; the same shapes at every size.
        size: S, pixels a side of the pictures that shall be cut out of it.
    """
    way = cv2.INTER_AREA if size < _DRAWN else cv2.INTER_LINEAR
    return cv2.resize(_draw(number), (SPAN * size, SPAN * size), interpolation=way).clip(0, 1)


@cache
def _draw(number: int) -> Array:
    """A collage for pictures of _DRAWN pixels a side."""
    random = np.random.default_rng([1, number])
    colors = _colors(_SHAPES + 1, random)
    image = np.tile(colors[0], (SPAN * _DRAWN, SPAN * _DRAWN, 1))
    low, high = _SMALLEST**-2, _LARGEST**-2
    radii = random.uniform(high, low, _SHAPES) ** -0.5  # distributed as r^-3
    for radius, color in zip(radii.tolist(), colors[1:], strict=True):
        _leaf(image, radius, color, random)
    return image


def _leaf(image: Array, radius: float, color: Array, random: np.random.Generator) -> None:
    """Put one shape with a texture upon the image, in place."""
    middle = random.uniform(0, SPAN, 2)
    corners = middle + _outline(radius, random)  # (C, 2), in sides of a picture
    fill = _texture(radius, random)
    low = np.floor(corners.min(0) * _DRAWN).astype(int).clip(0, len(image) - 1)
    high = np.ceil(corners.max(0) * _DRAWN).astype(int).clip(1, len(image))
    if (high <= low).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    pixels = np.round((corners * _DRAWN - low - 0.5) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(mask, [pixels], 255, cv2.LINE_AA, _SHIFT)
    x, y = (
        np.arange(a + 0.5, b, dtype=np.float32) / _DRAWN - m
        for a, b, m in zip(low, high, middle, strict=True)
    )
    cover = mask[..., None].astype(np.float32) / 255
    spot = image[low[1] : high[1], low[0] : high[0]]
    spot += cover * (fill(x[None], y[:, None])[..., None] * color - spot)


def _outline(radius: float, random: np.random.Generator) -> Array:
    """Corners around 0 of a disc, a polygon, a box, a bar or something bent, (C, 2)."""
    kind, tilt = int(random.integers(5)), random.uniform(0, 2 * math.pi)
    angle = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    stretch = np.array([1.0, random.uniform(0.35, 1.0)])
    if kind == 1:
        angle = np.sort(random.uniform(0, 2 * math.pi, int(random.integers(3, 8))))
    elif kind in (2, 3):  # bars are as thin as limbs
        angle = np.array([0.25, 0.75, 1.25, 1.75]) * math.pi
        stretch = np.array([1.9, 0.35]) if kind == 3 else stretch * 1.2
    points = radius * stretch * np.stack([np.cos(angle), np.sin(angle)], -1)
    if kind == 4:
        waves = random.normal(0, 0.3, 3) / np.arange(2, 5)
        wave = sum(w * np.sin(k * angle + 7 * w) for k, w in enumerate(waves, 2))
        points *= 1 + np.asarray(wave)[:, None]
    turn = np.array([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]])
    return points @ turn.T


def _texture(radius: float, random: np.random.Generator) -> Callable[[Array, Array], Array]:
    """Brightness of a shape around 1, as a function of places: flat, shaded, striped, checked."""
    kind, tilt = int(random.integers(8)), random.uniform(0, 2 * math.pi)
    period, amount = random.uniform(0.15, 0.6) * radius + 0.04, random.uniform(0.05, 0.4)
    cos, sin = math.cos(tilt), math.sin(tilt)

    def brightness(x: Array, y: Array) -> Array:
        across, along = cos * x + sin * y, cos * y - sin * x
        if kind < 6:  # light from one side
            return 1 + (amount * (kind > 0) / radius) * across
        wave = np.sin(2 * math.pi / period * across)
        if kind == 7:
            wave = wave * np.sin(2 * math.pi / period * along)
        return np.broadcast_to(1 + amount * np.tanh(4 * wave), np.broadcast(x, y).shape)

    return brightness


def _colors(count: int, random: np.random.Generator) -> Array:
    """Colours, mostly muted, as most of what is around us, (count, 3) float32."""
    hue, vivid, light = random.random((3, count))
    pixels = np.stack([360 * hue, 0.75 * vivid**2, 0.12 + 0.88 * light], -1)
    return np.asarray(cv2.cvtColor(pixels[None].astype(np.float32), cv2.COLOR_HSV2RGB)[0])
