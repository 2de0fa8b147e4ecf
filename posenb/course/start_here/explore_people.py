"""The explorer "film somebody" of notebook 00: who, which moment, from where, in which look.

The lens follows the camera: twice as far away, twice the focal length. A picture always shows
SIDE metres around the person, as a crop does, and distance changes nothing but the perspective.
A detector that has only seen synthetic pictures says what it finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from posenb.course.show import people
from posenb.course.show.explorer import Choice, Controls, Slider, checked
from posenb.reconstruction import KeypointDetector, load_detector
from posenb.world import domains, looks, rendering, rooms
from posenb.world.body import load_body
from posenb.world.cameras import Camera, look_at
from posenb.world.filming import Shots
from posenb.world.motion import load_motion
from posenb.world.rendering import Rendered
from posenb.world.retarget import retarget_motion

SIZE = 128  # pixels
SIDE = 2.4  # metres that a picture shows where the person stands
PEOPLE, SEED = 8, 7
RECORDINGS = (
    ("dance", "humanoid3d_dance_b"),
    ("spin kick", "humanoid3d_spinkick"),
    ("cartwheel", "humanoid3d_cartwheel"),
    ("getting up", "humanoid3d_getup_facedown"),
)

CONTROLS: Controls = {
    "person": Slider("person", 1, PEOPLE, 3, 1),
    "height": Slider("taller than they are, sd", -2.0, 2.0, 0.0, 0.25),
    "weight": Slider("heavier at that height, sd", -2.0, 2.0, 0.0, 0.25),
    "recording": Choice("recording", RECORDINGS, "humanoid3d_spinkick"),
    "moment": Slider("moment of the recording, %", 0, 100, 45, 1),
    "azimuth": Slider("camera around the person, °", -180, 180, 30, 10),
    "pitch": Slider("camera from above, °", 0, 40, 12, 1),
    "distance": Slider("camera with its lens, m", 2.5, 6.5, 5.0, 0.25),
    "look": Choice("look", ("lab", "outdoor"), "lab"),
    "strength": Slider("strength (0: synthetic)", 0.0, 1.0, 1.0, 0.05),
}


class Filmed(NamedTuple):
    """A picture with its labels, and the keypoints (17, 2) that a detector finds in it."""

    person: Rendered
    found: Tensor


def compute(parameters: Mapping[str, Any]) -> Filmed:
    """Render the person that the controls describe, and look for its keypoints.

    Args:
        parameters: a value for each of `CONTROLS`.

    Raises:
        ValueError: if a control is missing, unknown or beyond its range.
    """
    person = film(parameters)
    side = _detector().size
    image = F.interpolate(person.images[None], (side, side), mode="area")
    return Filmed(person, _detector()(image).keypoints[0])


def film(parameters: Mapping[str, Any], size: int = SIZE) -> Rendered:
    """Render the person that the controls describe.

    Args:
        parameters: a value for each of `CONTROLS`.
        size: of the picture, pixels.

    Returns:
        One picture with its labels, without a batch.

    Raises:
        ValueError: if a control is missing, unknown or beyond its range.
    """
    values = checked(CONTROLS, parameters)
    look = rendering.look_of(parameters["look"]).scaled(values["strength"])
    return rendering.photograph(shot(parameters), look, size)[0]


def shot(parameters: Mapping[str, Any]) -> Shots:
    """What the picture shows before a look is chosen.

    Args:
        parameters: a value for each of `CONTROLS`.

    Raises:
        ValueError: if a control is missing, unknown or beyond its range.
    """
    values = checked(CONTROLS, parameters)
    shapes, women, chances = _cast()
    number = int(values["person"]) - 1
    one = slice(number, number + 1)
    tall, heavy = _directions()
    shape = shapes[one] + values["height"] * tall + values["weight"] * heavy  # (1, K)
    clip = load_motion().clip(parameters["recording"])
    at = round(values["moment"] / 100 * (len(clip) - 1))
    moment = slice(at, at + 1)
    level = clip.root[moment] * clip.root.new_tensor([0.0, 1.0, 0.0])  # the person stays here
    rotations, root = retarget_motion(load_body(), clip.rotations[None, moment], level, shape)
    camera = _camera(values["azimuth"], values["pitch"], values["distance"])
    return Shots(
        shape=shape,
        woman=women[one],
        rotations=rotations[0],
        root=root[0],
        expression=torch.zeros(1, len(load_body().expressions)),
        camera=camera,
        chances=chances[one],
        eye=rooms.eye(camera.position),
        piece=torch.zeros(1, dtype=torch.long),
        convention=domains.get(parameters["look"]).convention,
    )


def draw(state: Filmed, figure: Figure) -> None:
    """Draw a state: the picture, what the detector finds, and three times what is known."""
    picture, guess, *labels = figure.subplots(1, 5)
    people.show_image(picture, state.person.images, "what a model is given")
    people.show_image(guess, state.person.images, "what it finds", faded=0.6)
    people.show_joints(guess, state.found, torch.ones(len(state.found), dtype=torch.bool))
    people.show_labels(labels, state.person)


def _camera(azimuth: float, pitch: float, distance: float) -> Camera:
    """One camera that looks at the middle of a standing person, in units of its picture."""
    turn, tilt = torch.deg2rad(torch.tensor([azimuth, pitch]))
    outward = torch.stack([tilt.cos() * turn.cos(), tilt.sin(), tilt.cos() * turn.sin()])
    aim = torch.tensor(rooms.AIM)
    rotation, translation = look_at(aim + distance * outward, aim)
    half = torch.full((1, 2), 0.5)
    return Camera(rotation[None], translation[None], half * 2 * distance / SIDE, half)


@cache
def _detector() -> KeypointDetector:
    return load_detector("synthetic")


@cache
def _cast() -> tuple[Tensor, Tensor, Tensor]:
    """Shapes (P, K), who is a woman (P,), and the chances of their looks (P, C)."""
    generator = torch.Generator().manual_seed(SEED)
    shapes, women = load_body().people(PEOPLE, generator)
    return shapes, women, looks.chances(PEOPLE, generator)


@cache
def _directions() -> tuple[Tensor, Tensor]:
    """Shapes (K,): a standard deviation of height, and one of volume that leaves the height."""
    body = load_body()
    top, sole = body.skin.mean[:, 1].argmax(), body.skin.mean[:, 1].argmin()
    height = body.skin.shape[:, top, 1] - body.skin.shape[:, sole, 1]  # (K,) slope
    tall = torch.nn.functional.normalize(height, dim=0)
    shape = torch.zeros_like(height).requires_grad_()
    clothes = body.layer[body.triangles[:, 0]] == body.layers.index("clothes")
    a, b, c = body.skin.rest(shape)[body.triangles[clothes]].unbind(1)  # (T, 3) each
    volume = (a * torch.linalg.cross(b, c)).sum() / 6  # of cones from the origin to the surface
    (slope,) = torch.autograd.grad(volume, shape)
    return tall, torch.nn.functional.normalize(slope - (slope @ tall) * tall, dim=0)
