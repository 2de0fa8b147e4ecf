"""The explorer "make a gap" of notebook 00: turn the knobs of `lab`, watch it get away from `lab`.

The dialled domain keeps the name of `lab`, and with it all random draws: the same people in the
same poses, filmed and built otherwise. At home, its distances are those of two samples of one
domain: the floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from posenb.course.show import figures, style
from posenb.course.show.explorer import Slider
from posenb.measure import distributions
from posenb.world import domains
from posenb.world.domains import Domain
from posenb.world.skeletons import BODY17

COUNT = 1500  # poses a set: enough for a steady FD, few enough to follow a slider
REFERENCE_SEED, DIALLED_SEED = 0, 1


CONTROLS: Mapping[str, Slider] = {
    "thighs": Slider("thighs, times lab's", 0.7, 1.5, 1.0, 0.05),
    "arms": Slider("arms, times lab's", 0.7, 1.5, 1.0, 0.05),
    "elevation": Slider("elevation of the camera, °", -15.0, 75.0, 15.0, 5.0),
    "focal": Slider("focal length with distance, px", 550.0, 3300.0, 1100.0, 50.0),
    "roll": Slider("roll of the camera, °", -45.0, 45.0, 0.0, 5.0),
    "lean": Slider("lean of the body (sd), °", 0.0, 45.0, 3.0, 1.0),
    "noise": Slider("noise (sd), % of the crop", 0.0, 5.0, 0.2, 0.1),
}


@dataclass(frozen=True)
class Gap:
    """What the explorer shows.

    Attributes:
        keypoints: of the dialled domain, in [0, 1] of the crop, (COUNT, 17, 2).
        reference: of `lab`, the same.
        distances: "FD" (squared crop units) and "MMD²" (no unit) between the two.
        floors: the same distances between two samples of `lab`.
    """

    keypoints: Tensor
    reference: Tensor
    distances: Mapping[str, float]
    floors: Mapping[str, float]


def dialled(parameters: Mapping[str, float]) -> Domain:
    """The variant of `lab` that the knobs describe.

    The focal length takes the camera along: twice the focal length, twice the distance. A person
    then stays as large in the picture, and only the perspective changes.

    Args:
        parameters: a value for each of `CONTROLS`.

    Raises:
        ValueError: if a knob is missing, unknown or beyond its range.
    """
    if set(parameters) != set(CONTROLS):
        raise ValueError(f"expected the knobs {list(CONTROLS)}, found {list(parameters)}")
    for name, control in CONTROLS.items():
        if not control.low <= parameters[name] <= control.high:
            raise ValueError(
                f"{name} is {parameters[name]}: expected {control.low:g} to {control.high:g}"
            )
    lab = domains.get("lab")
    ratios = dict(lab.bone_ratios)
    for group, knob in (("thighs", "thighs"), ("upper_arms", "arms"), ("forearms", "arms")):
        ratios[group] = ratios.get(group, 1.0) * parameters[knob]
    spread = (lab.elevation[1] - lab.elevation[0]) / 2
    zoom = parameters["focal"] / lab.focal
    return replace(
        lab,
        bone_ratios=tuple(ratios.items()),
        elevation=(parameters["elevation"] - spread, parameters["elevation"] + spread),
        focal=parameters["focal"],
        distance=(zoom * lab.distance[0], zoom * lab.distance[1]),
        roll=(parameters["roll"], lab.roll[1]),
        lean=parameters["lean"],
        noise=parameters["noise"] / 100,
    )


def compute(parameters: Mapping[str, float]) -> Gap:
    """Sample the dialled domain and measure how far it is from `lab`.

    Args:
        parameters: a value for each of `CONTROLS`.

    Raises:
        ValueError: if a knob is missing, unknown or beyond its range.
    """
    keypoints = dialled(parameters).sample(COUNT, DIALLED_SEED).keypoints  # (COUNT, 17, 2)
    return Gap(keypoints, _reference(), _distances(keypoints), floors())


@cache
def floors() -> Mapping[str, float]:
    """FD and MMD² between two samples of `lab`: what is left when there is no gap."""
    return _distances(domains.get("lab").sample(COUNT, DIALLED_SEED).keypoints)


def draw(state: Gap, figure: Figure) -> None:
    """Draw a state: four of the people, all poses as points, and the two distances."""
    people, cloud, bars = figure.subplots(1, 3, width_ratios=(1.0, 1.1, 0.7))
    for number in range(4):  # two by two, each in its unit square
        place = torch.tensor([number % 2, number // 2])
        figures.draw_pose(people, state.keypoints[number] + place, BODY17, 3.5, joints=False)
    people.set(xlim=(0, 2), ylim=(2, 0), aspect="equal", xticks=(0, 1, 2), yticks=(0, 1, 2))
    people.tick_params(labelbottom=False, labelleft=False, length=0)
    people.set_title("four of your people")
    sets = {"yours": state.keypoints, "lab": state.reference}
    figures.pose_map(cloud, sets, state.reference, limit=500)
    cloud.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal", xticks=(), yticks=())
    values = list(state.distances.values())
    bars.barh(range(len(values)), values, 0.4, color=style.look("yours").color, alpha=0.75)
    for row, (name, value) in enumerate(state.distances.items()):
        floor = state.floors[name]
        bars.plot([floor, floor], [row - 0.25, row + 0.25], color=style.INK, marker="")
        bars.text(0, row - 0.28, f"{name} {value:.3f}", weight="bold", va="bottom")
        bars.text(0, row + 0.28, f"noise floor {floor:.3f}", va="top")
    far = max(0.2, 1.1 * max(values))
    bars.set(xlim=(0, far), ylim=(len(values) - 0.4, -0.6), yticks=(), xticks=(0, far / 2, far))
    bars.xaxis.set_major_formatter("{x:.2f}")
    bars.set(xlabel="distance to lab", title="how far")


@cache
def _reference() -> Tensor:
    return domains.get("lab").sample(COUNT, REFERENCE_SEED).keypoints


@cache
def _bandwidth() -> float:
    """One ruler for all settings: the median distance between two poses of `lab`."""
    half = COUNT // 2
    return distributions.median_bandwidth(_reference()[:half], _reference()[half:])


def _distances(keypoints: Tensor) -> Mapping[str, float]:
    return {
        "FD": distributions.frechet_distance(keypoints, _reference()),
        "MMD²": distributions.mmd2(keypoints, _reference(), _bandwidth()),
    }
