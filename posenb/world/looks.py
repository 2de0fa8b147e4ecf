"""What people wear and how light falls on it: colours of the points of a cloud.

Everything about a person's looks follows from numbers in [0, 1] drawn once (`CHANCES`), so the
same person can be seen in another look, pose or picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from posenb.world.body import SIDES, Body, load_body
from posenb.world.clouds import Cloud, cloud
from posenb.world.hands import rest_frame

# Each number that looks follow from, and its column among those of a picture. One that is added,
# moved or dropped makes everybody somebody else, and shipped weights learned from these people.
CHANCES = {
    # of a person
    "skin": 0, "hair": 1, "bald": 2, "hair_volume": 3, "hair_length": 4, "beard": 5,
    # of clothes
    "top_hue": 6, "top_tone": 7, "top_depth": 8, "second_hue": 9, "second_tone": 10,
    "second_depth": 11, "bottom_hue": 12, "bottom_tone": 13, "bottom_depth": 14, "shoe_tone": 15,
    "shoe_depth": 16, "sleeve": 17, "leg": 18, "waist": 19, "skirt": 20, "dress": 21, "hem": 22,
    "loose_top": 23, "loose_bottom": 24, "pattern": 25, "period": 26, "cloth": 27,
    "cloth_shift": 28,  # nothing follows from it
    # of the place and its light
    "place": 29, "lamp_azimuth": 30, "lamp_height": 31, "ambient": 32, "lamp_power": 33,
    # of the camera
    "red": 34, "green": 35, "blue": 36, "exposure": 37, "gamma": 38, "softness": 39, "shake": 40,
    "noise": 41, "grain_x": 42, "grain_y": 43, "quality": 44,
    # of a collage
    "backdrop": 45, "backdrop_x": 46, "backdrop_y": 47, "backdrop_turn": 48, "backdrop_light": 49,
    # of what is before them
    "occluder": 50, "occluder_kind": 51, "occluder_place": 52, "occluder_reach": 53,
    "occluder_hue": 54,
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How much of each ingredient is in a picture, 0 to 1 (1 is what the named looks have).

    Attributes:
        setting: what is behind the person once `scenery` is above 0.
        scenery: the setting instead of a collage of shapes (`backdrops`).
        pattern: stripes, checks, spots and uneven dye on cloth.
        folds: of cloth, by turned normals.
        loose: clothes that do not cling.
        shading: light from one side and from above instead of from the camera.
        shadow: on the floor.
        cast: tint and exposure of the camera.
        blur: of the lens, and of a camera that moves.
        noise: of the sensor.
        compression: as by JPEG.
        occluders: something before the person, in two of three pictures.
        convention: joints where the domain's annotators put them instead of where they are.
    """

    setting: Literal["nowhere", "room", "street"] = "nowhere"
    scenery: float = 0.0
    pattern: float = 0.0
    folds: float = 0.0
    loose: float = 0.0
    shading: float = 0.0
    shadow: float = 0.0
    cast: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    compression: float = 0.0
    occluders: float = 0.0
    convention: float = 0.0

    def __post_init__(self) -> None:
        """Check the strengths.

        Raises:
            ValueError: if one is not in [0, 1], or for an unknown setting.
        """
        if self.setting not in ("nowhere", "room", "street"):
            raise ValueError(f"setting must be nowhere, room or street, found {self.setting!r}")
        for name in _INGREDIENTS:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], found {getattr(self, name)}")

    def scaled(self, strength: float) -> Look:
        """The same look with that share of every ingredient; at 0 it is the synthetic look.

        Raises:
            ValueError: if the strength is not in [0, 1].
        """
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must be in [0, 1], found {strength}")
        return replace(self, **{name: strength * getattr(self, name) for name in _INGREDIENTS})


_INGREDIENTS = tuple(field.name for field in fields(Look) if field.name != "setting")
_FULL = dict.fromkeys(_INGREDIENTS, 1.0)
SYNTHETIC = Look()
LAB = Look("room", **(_FULL | {"occluders": 0.0}))
OUTDOOR = Look("street", **_FULL)
LOOKS = {
    "synthetic": SYNTHETIC,
    "lab": LAB,
    "lab_simple": LAB,
    "stage": LAB,
    "wild": OUTDOOR,
    "outdoor": OUTDOOR,
    "hands_rendered": SYNTHETIC,
    "hands_real": replace(LAB, shadow=0.0),
    "faces_video": replace(LAB, shadow=0.0, noise=0.4, blur=0.5, compression=0.5, cast=0.5),
    "faces_wild": replace(OUTDOOR, shadow=0.0, occluders=0.0, cast=0.6),  # more turns skin to stone
}


def chances(count: int, generator: torch.Generator) -> Tensor:
    """Draw the looks of N people and pictures, (N, C) in [0, 1)."""
    return torch.rand(count, len(CHANCES), generator=generator)


def chance(numbers: Tensor, name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
    """One of the numbers of each picture, (N,), spread over an interval."""
    return low + (high - low) * numbers[:, CHANCES[name]]


# --- What is where on the body -----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Canvas:
    """Of each point of a cloud, where on the dressed body it is.

    Attributes:
        arm: (P,) 0 at the shoulder, 1 at the elbow, 2 at the wrist; -1 elsewhere.
        leg: (P,) 0 at the hip, 1 at the knee, 2 at the ankle and below; -1 elsewhere.
        material: (P,) number in MATERIALS.
        bristle: (P,) how much of a beard grows there, 0 to 1.
        ramp: (P,) share of the hair's volume on the scalp: 0 at the hairline, 0 elsewhere.
        folds: (4, 3, P) ways in which folds turn normals.
        dye: (P, 4) uneven dye, about -1 to 1.
    """

    arm: Tensor
    leg: Tensor
    material: Tensor
    bristle: Tensor
    ramp: Tensor
    folds: Tensor
    dye: Tensor


MATERIALS = (
    "skin", "scalp", "lips", "white", "iris", "brow", "cloth", "shoe", "skirt", "hair",
    "mouth", "teeth", "pupil", "nail",
)  # fmt: skip
# What takes the place of cloth (the second colour is that of a pattern on the top) and of skin.
_WORN = ("top", "second", "bottom", "beard")
_COLOR = {name: number for number, name in enumerate((*MATERIALS, *_WORN))}


def among(material: Tensor, *names: str) -> Tensor:
    """Which of some points are of these of MATERIALS."""
    which = [material == _COLOR[name] for name in names]
    return which[0] if len(which) == 1 else torch.stack(which).any(0)


@lru_cache(maxsize=24)
def canvas(number: int, device: str = "cpu", piece: str = "body") -> Canvas:
    """The canvas of a cloud."""
    points, body = cloud(number, "cpu", piece), load_body()
    region = [body.regions[r] for r in points.region.tolist()]
    layer = [body.layers[k] for k in points.layer.tolist()]
    x, y, z = points.places.unbind(1)
    arm, leg = torch.full_like(y, -1), torch.full_like(y, -1)
    for side in SIDES:
        for name, end, values, offset in (
            ("upper_arm", "forearm", arm, 0), ("forearm", "hand", arm, 1), ("hand", "hand", arm, 2),
            ("thigh", "shank", leg, 0), ("shank", "foot", leg, 1), ("foot", "foot", leg, 2),
        ):  # fmt: skip
            start, stop = (body.heads.mean[body.bones.index(f"{side}_{b}")] for b in (name, end))
            bone = stop - start
            here = torch.tensor([r == f"{side}_{name}" for r in region])
            along = (points.places - start) @ bone / bone.square().sum().clamp_min(1e-6)
            values[here] = offset + along.clamp(0, 0.999)[here]
    kinds = {
        "clothes": "cloth", "eyes": "white", "skirt": "skirt", "hair": "hair", "mouth": "mouth",
        "teeth": "teeth",
    }  # fmt: skip
    names = [
        "shoe" if la == "clothes" and r.endswith("foot")
        else "iris" if la == "eyes" and r == "iris"
        else kinds.get(la, r if r in ("scalp", "lips") else "skin")
        for la, r in zip(layer, region, strict=True)
    ]  # fmt: skip
    material = torch.tensor([_COLOR[name] for name in names])
    face = torch.tensor([r == "face" for r in region]) & among(material, "skin")
    eyes = points.places[among(material, "white")]
    eye = eyes.mean(0) if len(eyes) else body.heads.mean[body.bones.index("head")]
    marks = body.landmarks["FACE68"].mean
    for first, last, width in (
        (17, 21, 0.0045),
        (22, 26, 0.0045),
        (36, 39, 0.0016),
        (42, 45, 0.0016),
    ):
        line = _distance(points.places, marks[first : last + 1])  # brows, and lashes
        material[face & (line < max(width, 0.4 * points.pixel * (width > 0.002)))] = _COLOR["brow"]
    iris = among(material, "iris")
    for half in (iris & (z > 0), iris & (z < 0)):
        if half.any():
            off = (points.places - points.places[half].mean(0))[:, 1:].norm(dim=-1)
            material[half & (off < 0.0027)] = _COLOR["pupil"]
    material[_nails(points, body)] = _COLOR["nail"]
    waves = torch.Generator().manual_seed(1)
    folds = torch.stack(
        [torch.stack([_waves(points.places, 9 + 4 * k, waves) for _ in range(3)]) for k in range(4)]
    )  # (4, 3, P)
    dye = torch.stack([_waves(points.places, 16 + 6 * k, waves) for k in range(4)], -1)  # (P, 4)
    # A beard goes from the ears below the cheeks to under the nose.
    cheek = eye[1] - 0.048 - 0.026 * torch.sin(torch.pi * (z.abs() / 0.07).clamp(0, 1))
    beard = ((cheek - y + 0.003 * dye[:, 3]) / 0.012).clamp(0, 1)
    beard = beard * ((x - eye[0] + 0.09) / 0.03).clamp(0, 1) * face
    made = Canvas(arm, leg, material, beard, _hair_ramp(points, material), folds, dye)
    return Canvas(*(getattr(made, field.name).to(device) for field in fields(Canvas)))


def _hair_ramp(points: Cloud, material: Tensor) -> Tensor:
    """How much hair stands off the scalp, (P,): not at the hairline, where one would see below."""
    scalp, skin = among(material, "scalp"), among(material, "skin")
    ramp = torch.zeros(len(points))
    if scalp.any() and skin.any():
        far, _ = cKDTree(points.places[skin].numpy()).query(points.places[scalp].numpy())
        ramp[scalp] = (torch.from_numpy(far).float() / 0.02).clamp(0, 1)
    return ramp


def _distance(places: Tensor, line: Tensor) -> Tensor:
    """Metres from places (P, 3) to a line through points (L, 3), (P,)."""
    start, way = line[:-1], line[1:] - line[:-1]  # (L - 1, 3)
    share = ((places[:, None] - start) * way).sum(-1) / way.square().sum(-1)  # (P, L - 1)
    nearest = start + share.clamp(0, 1)[..., None] * way
    return (places[:, None] - nearest).norm(dim=-1).amin(1)


def _nails(points: Cloud, body: Body) -> Tensor:
    """Points on the nails, (P,) bool: the backs of the fingers' ends."""
    nail = torch.zeros(len(points), dtype=torch.bool)
    for side in SIDES:
        places = body.landmarks[f"{side}_hand"].mean  # (21, 3)
        palm = rest_frame(body, side)[:, 2]
        for tip in range(4, 21, 4):
            way = torch.nn.functional.normalize(places[tip] - places[tip - 1], dim=0)
            beside = torch.linalg.cross(way, palm if tip > 4 else places[8] - places[4])
            back = torch.nn.functional.normalize(torch.linalg.cross(way, beside), dim=0)
            back = back if tip > 4 else -back
            off = points.places - places[tip]
            along = off @ way
            here = (off.norm(dim=-1) < 0.016) & (along < -0.001) & (along > -0.012)
            nail |= here & (points.normals.T @ back > 0.72)
    return nail


def _waves(places: Tensor, frequency: float, generator: torch.Generator) -> Tensor:
    """Smooth noise at places (P, 3), (P,): a few waves in random directions, radians a metre."""
    total = torch.zeros(len(places))
    for octave in range(6):
        direction = torch.randn(3, generator=generator)
        direction = direction / direction.norm() * frequency * 1.35**octave
        phase = 6.28 * torch.rand(1, generator=generator)
        bend = 0.15 * torch.sin(places @ direction.roll(1) + phase)
        total += torch.sin(places @ direction + direction.norm() * bend + 2 * phase) / 1.2**octave
    return total / 2


# --- What a person wears -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Outfit:
    """Looks of N people: colours (N, 3) in [0, 1], and cuts in the units of `Canvas`, (N,)."""

    skin: Tensor
    hair: Tensor
    top: Tensor
    second: Tensor
    bottom: Tensor
    shoes: Tensor
    sleeve: Tensor
    leg: Tensor
    waist: Tensor
    skirt: Tensor
    hem: Tensor
    bald: Tensor
    volume: Tensor
    length: Tensor
    beard: Tensor
    loose_top: Tensor
    loose_bottom: Tensor
    pattern: Tensor
    period: Tensor
    cloth: Tensor


_SKIN = (
    (246, 208, 182), (236, 188, 160), (222, 170, 135), (198, 140, 104), (160, 110, 80),
    (116, 78, 56),
)  # fmt: skip
_HAIR = (
    (34, 28, 27), (52, 38, 30), (78, 54, 38), (112, 80, 52), (142, 92, 54), (196, 160, 104),
    (160, 158, 154),
)  # fmt: skip
_PATTERNS = 7  # plain twice, stripes across, stripes along, checks, spots, a print


def dress(numbers: Tensor, woman: Tensor) -> Outfit:
    """Outfits of N people.

    Args:
        numbers: from `chances`, (N, C).
        woman: (N,) bool; says who may wear a skirt, long hair or a beard.
    """

    def color(name: str) -> Tensor:
        return cloth_color(
            *(chance(numbers, f"{name}_{part}") for part in ("hue", "tone", "depth"))
        )

    top, bottom = color("top"), color("bottom")
    skirt = woman & (chance(numbers, "skirt") < 0.35)
    dressed = skirt & (chance(numbers, "dress") < 0.5)
    sleeve, leg = chance(numbers, "sleeve"), chance(numbers, "leg")
    long_leg = torch.where(leg < 0.68, 2.0, 0.35 + 2.0 * (leg - 0.68))
    bare_leg = torch.where(leg < 0.4, 2.0, 0.0)  # tights under a skirt, or none
    depth = chance(numbers, "shoe_depth", 0.15, 0.95)[:, None]
    skin, hair = chance(numbers, "skin"), chance(numbers, "hair")  # fair hair on fair skin
    volume = chance(numbers, "hair_volume")
    length = chance(numbers, "hair_length")
    return Outfit(
        skin=_pick(_SKIN, skin),
        hair=_pick(_HAIR, torch.where(hair < 0.88, hair * (1 - 0.65 * skin), hair)),
        top=top,
        second=color("second"),
        bottom=torch.where(dressed[:, None], top, bottom),
        shoes=hsv(
            chance(numbers, "bottom_hue")[:, None],
            chance(numbers, "shoe_tone", 0, 0.5)[:, None],
            depth,
        ),
        sleeve=torch.where(
            sleeve < 0.45, 1.95, torch.where(sleeve < 0.9, 0.3 + sleeve - 0.45, 0.0)
        ),
        leg=torch.where(skirt, bare_leg, long_leg),
        waist=chance(numbers, "waist", -0.06, 0.1),
        skirt=skirt,
        hem=chance(numbers, "hem", -0.7, -0.3),
        bald=~woman & (chance(numbers, "bald") < 0.12),
        volume=0.006 + 0.03 * volume**2 + 0.006 * woman,
        length=torch.where(woman & (length > 0.25), 0.68 - 0.48 * length, 1.0),
        beard=torch.where(woman, 0.0, (chance(numbers, "beard") - 0.6).clamp(0, 0.3) * 3),
        loose_top=chance(numbers, "loose_top") ** 2 * 0.03 + 0.003,
        loose_bottom=chance(numbers, "loose_bottom") ** 2 * 0.028 + 0.003,
        pattern=(chance(numbers, "pattern") * _PATTERNS).long(),
        period=chance(numbers, "period", 0.05, 0.14),
        cloth=(chance(numbers, "cloth") * 4).long(),
    )


def cloth_color(hue: Tensor, tone: Tensor, depth: Tensor) -> Tensor:
    """Colours that clothes have, (N, 3): white to black, blue as jeans, or any."""
    hue, tone, depth = (number[:, None] for number in (hue, tone, depth))
    grey = hsv(hue, torch.full_like(hue, 0.06), 0.2 + 0.75 * depth)
    jeans = hsv(0.58 + 0.06 * hue, 0.35 + 0.3 * depth, 0.35 + 0.35 * depth)
    strong = hsv(hue, 0.3 + 0.45 * depth, 0.9 - 0.4 * depth)
    return torch.where(tone < 0.34, grey, torch.where(tone < 0.5, jeans, strong))


def hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """RGB (N, 3) of hue, saturation and value (N, 1), all in [0, 1]."""
    steps = torch.tensor([5.0, 3.0, 1.0], device=hue.device)
    k = (steps + 6 * hue) % 6
    return value * (1 - saturation * torch.minimum(k, 4 - k).clamp(0, 1))


def _pick(colors: tuple[tuple[int, int, int], ...], number: Tensor) -> Tensor:
    """Colours between neighbours of a list, (N, 3)."""
    table = torch.tensor(colors, device=number.device) / 255
    at = number * (len(colors) - 1)
    low = at.long().clamp_max(len(colors) - 2)
    return table[low].lerp(table[low + 1], (at - low)[:, None])


class Dressed(NamedTuple):
    """A cloud of points, what of the body they are, and what N people have on there."""

    cloud: Cloud
    canvas: Canvas
    outfit: Outfit

    def shown(self) -> Tensor:
        """Points that these people show, (N, P): no skirt on others, nothing through a skirt."""
        points, on, outfit = self
        skirt, hair = among(on.material, "skirt"), among(on.material, "hair")
        y = points.places[:, 1]
        seen = (~(skirt | hair)).expand(len(outfit.hem), -1)
        hem = outfit.hem[:, None]
        below = (on.leg >= 0.05) & (y > hem + 0.04) & (on.leg < 2)
        seen = seen & ~(outfit.skirt[:, None] & below)
        seen = seen | (outfit.skirt[:, None] & skirt & (y > hem))
        if points.bare:
            cloth, sleeved = among(on.material, "cloth"), on.arm < outfit.sleeve[:, None]
            skin = (on.arm < 0) | (on.arm > outfit.sleeve[:, None] - 0.04)
            seen = seen & ~(cloth & ~sleeved) & (cloth | skin)
        return seen | (hair & (y > outfit.length[:, None]))

    def outwards(self, loose: float) -> Tensor:
        """Metres by which hair, shoes and loose clothes stand off the body, (N, P)."""
        points, on, outfit = self
        y = points.places[:, 1]
        volume = torch.where(outfit.bald, 0.0, outfit.volume)[:, None]
        hair = volume * (on.ramp * (1 + 0.4 * on.dye[:, 1]))
        cloth, shoe = (among(on.material, name).to(y) for name in ("cloth", "shoe"))
        total = hair + 0.006 * shoe
        if not loose:
            return total
        low = (on.leg >= 0) | ((on.arm < 0) & (y < 0.02))
        top = torch.where(on.arm >= 0, 0.3 + 0.5 * on.arm, ((0.5 - y) * 2.5).clamp(0, 1))
        flare_top = cloth * (~low) * top
        flare_low = cloth * low * (0.5 + 0.4 * on.leg.clamp(0, 1.5))
        sleeved = on.arm < outfit.sleeve[:, None]
        trousers = (on.leg < outfit.leg[:, None]) & ~outfit.skirt[:, None]
        return (
            total
            + loose * outfit.loose_top[:, None] * (flare_top * sleeved)
            + loose * outfit.loose_bottom[:, None] * (flare_low * trousers)
        )

    def paint(self, point: Tensor, person: Tensor, pattern: float) -> Tensor:
        """Colours (H, 3) of points of people before light falls on them.

        Args:
            point: which point, (H,).
            person: which of the people, (H,).
            pattern: strength of patterns and uneven dye.
        """
        points, on, outfit = self
        kind, arm, leg = on.material[point], on.arm[point], on.leg[point]
        places = points.places[point]
        waist, sleeve, hem, cloth = (
            part[person] for part in (outfit.waist, outfit.sleeve, outfit.leg, outfit.cloth)
        )
        dye = on.dye.flatten()[point * 4 + cloth]
        low = ((leg >= 0) | (arm < 0)) & (places[:, 1] < waist)
        covered = torch.where(low, leg < hem, arm < sleeve)
        upper = torch.full_like(kind, _COLOR["top"])
        if pattern:
            second = _pattern(outfit.pattern[person], outfit.period[person], places, dye)
            upper = torch.where(second, _COLOR["second"], upper)
        clothes = torch.where(low, _COLOR["bottom"], upper)
        skin = _COLOR["skin"]
        which = torch.where(among(kind, "cloth"), torch.where(covered, clothes, skin), kind)
        bearded = (on.bristle[point] > 0.5) & (which == skin)
        which = torch.where(bearded, _COLOR["beard"], which)
        palette = _palette(outfit, pattern, points.pixel)  # (N, C, 3)
        color = palette.flatten(0, 1).index_select(0, person * palette.shape[1] + which)  # (H, 3)
        dyed = (which >= len(MATERIALS)) | among(which, "skirt")
        uneven = torch.where(dyed, 0.1 * pattern * dye, 0.0)
        uneven = torch.where(among(which, "scalp", "hair"), 0.22 * on.dye[point, 3], uneven)
        return (color * (1 + uneven)[:, None]).clamp_(0, 1)


def _palette(outfit: Outfit, pattern: float, pixel: float) -> Tensor:
    """Colours (N, C, 3) of all that `_COLOR` numbers; cloth is top or bottom, or skin below it."""
    skin, hair = outfit.skin, outfit.hair
    dark = skin * skin.new_tensor([0.9, 0.45, 0.45])
    colors = {
        "skin": skin,
        "scalp": torch.where(outfit.bald[:, None], skin, hair),
        "lips": skin * skin.new_tensor([0.88, 0.66, 0.65]),
        "white": torch.full_like(skin, 0.9 - 0.5 * min(1.0, pixel / 0.01)),  # dark from afar
        "iris": torch.full_like(skin, 0.18),
        "brow": skin.lerp(hair, 0.6),
        "cloth": skin,
        "shoe": outfit.shoes,
        "skirt": outfit.bottom,
        "hair": hair,
        "mouth": dark * 0.3,
        "teeth": skin.new_tensor([0.86, 0.82, 0.74]).expand_as(skin),
        "pupil": dark * 0.15,
        "nail": skin.lerp(torch.ones_like(skin), 0.25),
        "top": outfit.top,
        "second": outfit.top.lerp(outfit.second, pattern),
        "bottom": outfit.bottom,
        "beard": skin.lerp(hair * 0.9, outfit.beard[:, None]),
    }
    return torch.stack([colors[name] for name in _COLOR], 1)


def _pattern(pattern: Tensor, period: Tensor, places: Tensor, dye: Tensor) -> Tensor:
    """Where the second colour is, (H,) bool."""
    x, y, z = (places / period[:, None] * (2 * math.pi)).unbind(1)
    across, along = torch.sin(y), torch.sin(z + 0.5 * x)
    printed = (places[:, 2].abs() < 0.11) & ((places[:, 1] - 0.3).abs() < 0.12) & (places[:, 0] > 0)
    kinds = [across > 0, along > 0, across * along > 0, dye > 0.25, printed & (dye > -0.3)]
    second = torch.zeros_like(dye, dtype=torch.bool)
    for number, mask in enumerate(kinds, start=2):
        second |= (pattern == number) & mask
    return second
