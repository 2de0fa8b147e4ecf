"""The explorer of notebook 06: move the camera, and see what many hypotheses know about depth.

A person of `stage` whom no lifter has learned from is filmed anew, without noise. The camera goes
up and down on a circle round the pelvis and looks at it; focal length and distance say how large
the person is in the picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from posenb.course.show import figures, poses3d, style
from posenb.course.show.explorer import Choice, Slider, checked
from posenb.posynda import windows
from posenb.posynda.hypotheses import Aggregate, combine, reprojection_error
from posenb.posynda.lifting import lift
from posenb.posynda.networks import Denoiser
from posenb.posynda.weights import RATE, load_lifter
from posenb.posynda.windows import to_screen
from posenb.world.cameras import Camera, look_at
from posenb.world.domains import IMAGE_WIDTH
from posenb.world.skeletons import BODY17

PEOPLE = 30  # windows to choose from
FILMED = "stage"  # whose people they are
SIZE = (14.0, 5.2)  # of the figure, inches
REACH = 1.15  # metres from the pelvis to the border of a panel
MARKERS = {"-": "o", "--": "s", ":": "^", "-.": "D"}  # for the line styles of hypotheses
WAYS: tuple[Aggregate, ...] = ("mean", "pose", "joint", "plausible", "rays")
LIFTERS = {"source only": "mixste", "adapted to stage": "mixste_stage"}  # of `load_lifter`

CONTROLS: Mapping[str, Slider | Choice] = {
    # this person's picture says as little about the errors as that of most (r near the median)
    "person": Slider("person", 0, PEOPLE - 1, 26, 1),
    "pitch": Slider("camera looks down by, °", -10, 45, 15, 5),
    "focal": Slider("focal length, px of 1000", 500, 1800, 1150, 50),
    "distance": Slider("distance of the camera, m", 3.0, 6.0, 5.0, 0.25),
    "lifter": Choice("lifter", tuple(LIFTERS), "source only"),
    "hypotheses": Slider("hypotheses H", 1, 20, 10, 1),
    "steps": Slider("steps of DDIM K", 1, 10, 5, 1),
    "eta": Slider("eta of DDIM (0: no new noise)", 0.0, 1.0, 1.0, 0.1),
    "choose": Choice("one pose of H", WAYS, "pose"),
    "orbit": Slider("right view from, ° (0: camera)", -180, 180, 40, 10),
}


@dataclass(frozen=True)
class Answers:
    """What the explorer shows: the middle frame of a window; 3D in metres, in the camera's frame.

    Attributes:
        pixels: what the camera sees, of a picture IMAGE_WIDTH wide, (J, 2).
        hypotheses: root-relative, (H, J, 3).
        chosen: the one pose that is made of them, (J, 3).
        truth: (J, 3).
        errors: of every hypothesis, mean over the joints, mm, (H,).
        reprojection: of every hypothesis, put where it fits best, pixels, (H,).
        chosen_reprojection: of the chosen pose, pixels.
        pitch: degrees that the camera looks down.
        orbit: degrees from the camera's view to that of the right panel.
        choose: how the one pose was made.
        lifter: whose answers they are.
    """

    pixels: Tensor
    hypotheses: Tensor
    chosen: Tensor
    truth: Tensor
    errors: Tensor
    reprojection: Tensor
    chosen_reprojection: float
    pitch: float
    orbit: float
    choose: str
    lifter: str

    @property
    def chosen_error(self) -> float:
        """Of the chosen pose, mm."""
        return _millimetres(self.chosen - self.truth)

    @property
    def mean_error(self) -> float:
        """Of the mean of all hypotheses, mm."""
        return _millimetres(self.hypotheses.mean(0) - self.truth)

    @property
    def depth_error(self) -> float:
        """Of the chosen pose, along the camera's axis, mm."""
        return _millimetres((self.chosen - self.truth)[:, 2:])

    @property
    def across_error(self) -> float:
        """Of the chosen pose, as the camera could see it, mm."""
        return _millimetres((self.chosen - self.truth)[:, :2])


def compute(parameters: Mapping[str, object]) -> Answers:
    """Film somebody, and lift what the camera sees.

    Args:
        parameters: a value for each of `CONTROLS`.

    Raises:
        ValueError: if a control is missing, unknown or beyond its range, or the asset is missing.
    """
    values = checked(CONTROLS, parameters)
    lifter = str(parameters["lifter"])
    choose = next(way for way in WAYS if way == parameters["choose"])
    model = _network(lifter)
    people, headings = _people(model.frames)
    joints, heading = people[int(values["person"])], headings[int(values["person"])]  # (T, J, 3)
    camera = _camera(joints, heading, values["pitch"], values["distance"], values["focal"])
    inside, pixels = camera.to_camera(joints), camera.project(joints)
    keypoints, screen = to_screen(pixels[None], camera, IMAGE_WIDTH)  # (1, T, J, 2)
    hypotheses, steps = int(values["hypotheses"]), int(values["steps"])
    found = lift(model, keypoints, screen, hypotheses, steps, values["eta"]).hypotheses
    one = combine(found, keypoints, screen, choose)  # (1, T, J, 3)
    both = torch.cat([found, one[:, None]], 1)  # (1, H + 1, T, J, 3)
    middle = model.frames // 2
    reprojection = reprojection_error(both, keypoints, screen)[0, :, middle].mean(-1)
    reprojection = reprojection * IMAGE_WIDTH / 2  # (H + 1,) pixels
    truth = inside[middle] - inside[middle, :1]
    return Answers(
        pixels[middle],
        found[0, :, middle],
        one[0, middle],
        truth,
        1000 * (found[0, :, middle] - truth).norm(dim=-1).mean(-1),
        reprojection[:-1],
        float(reprojection[-1]),
        values["pitch"],
        values["orbit"],
        choose,
        lifter,
    )


def draw(state: Answers, figure: Figure) -> None:
    """The picture; the answers from the side and from anywhere; their errors in both worlds."""
    picture, side, free, chart = figure.subplots(1, 4)
    figures.draw_pose(picture, state.pixels, BODY17, 3.5, joints=False)
    picture.set(xlim=(0, IMAGE_WIDTH), ylim=(IMAGE_WIDTH, 0), aspect="equal", xticks=(), yticks=())
    picture.spines[:].set_visible(True)
    picture.set_title("what the camera sees", loc="center")
    level = _level(state.pitch)
    hypotheses, chosen, truth = (
        pose @ level.T for pose in (state.hypotheses, state.chosen, state.truth)
    )
    for axes, azimuth, elevation in ((side, 90.0, 0.0), (free, state.orbit, 15.0)):
        poses3d.draw_hypotheses(axes, hypotheses, BODY17, chosen, truth, azimuth, elevation)
        poses3d.set_view(axes, truth, azimuth, elevation, REACH)
        _arrow(axes, level[:, 2], azimuth, elevation)
    side.set_title("from the side", loc="center")
    free.set_title(f"turned by {state.orbit:.0f}°", loc="center")
    handles, labels = side.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    _chart(chart, state)
    figure.suptitle(_sentence(state), fontsize=14)


def _chart(axes: Axes, state: Answers) -> None:
    """Error in the picture against error in space, one mark a hypothesis."""
    for number, point in enumerate(zip(state.reprojection, state.errors, strict=True)):
        color, line = poses3d.hypothesis_look(number)
        axes.scatter(*point, s=70, color=color, marker=MARKERS[line], edgecolors="white", zorder=3)
    star = (state.chosen_reprojection, state.chosen_error)
    axes.scatter(
        *star, s=240, marker="*", c=poses3d.CHOSEN, edgecolors=style.INK, zorder=4, clip_on=False
    )
    right = 1.15 * max(star[0], float(state.reprojection.max()))
    top = 1.25 * max(star[1], float(state.errors.max()))
    axes.set(xlim=(0, right), ylim=(0, top), box_aspect=1)
    axes.set(xlabel="error in the picture, px", ylabel="error in space, mm")
    axes.locator_params(nbins=5)
    axes.set_title(_agreement(state), loc="center")


def _agreement(state: Answers) -> str:
    """How well the picture knows which hypothesis is good: the correlation, from three on."""
    both = torch.stack([state.reprojection, state.errors])
    r = float(both.corrcoef()[0, 1]) if len(state.errors) >= 3 else math.nan
    return "each hypothesis" if math.isnan(r) else f"each hypothesis (r = {r:.2f})"


def _sentence(state: Answers) -> str:
    low, high = float(state.errors.min()), float(state.errors.max())
    said = (
        f"{state.lifter}, “{state.choose}”: {state.chosen_error:.0f} mm off, "
        f"{state.depth_error:.0f} in depth and {state.across_error:.0f} across"
    )
    if len(state.errors) == 1:
        return said
    return f"{said}; hypotheses {low:.0f} to {high:.0f}, their mean {state.mean_error:.0f}"


def _arrow(axes: Axes, forward: Tensor, azimuth: float, elevation: float) -> None:
    """From where the camera looks, at the border of the panel."""
    ends = poses3d.turned(torch.stack([-1.1 * forward, -0.8 * forward]), azimuth, elevation)
    tail, head = ends[:, :2]
    axes.annotate("", head, tail, arrowprops={"arrowstyle": "-|>", "color": style.INK, "lw": 2})
    axes.annotate(
        "camera", tail, (0, 6), textcoords="offset points", ha="center", fontsize=11, zorder=6,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )  # fmt: skip


def _level(pitch: float) -> Tensor:
    """Turns the camera's frame about its x until y points down to the floor, (3, 3)."""
    cos, sin = math.cos(math.radians(pitch)), math.sin(math.radians(pitch))
    return torch.tensor([[1.0, 0.0, 0.0], [0.0, cos, sin], [0.0, -sin, cos]])


def _camera(joints: Tensor, heading: Tensor, pitch: float, distance: float, focal: float) -> Camera:
    """Looks at the pelvis of the middle frame from a heading (3,) round the vertical."""
    pelvis, angle = joints[len(joints) // 2, 0], math.radians(pitch)
    up = torch.tensor([0.0, 1.0, 0.0])
    eye = pelvis + distance * (math.cos(angle) * heading + math.sin(angle) * up)
    rotation, translation = look_at(eye, pelvis)
    return Camera(rotation, translation, torch.full((2,), focal), torch.full((2,), IMAGE_WIDTH / 2))


@cache
def _people(frames: int) -> tuple[Tensor, Tensor]:
    """Test people of FILMED, world frame, (PEOPLE, T, J, 3), and where cameras stand, (PEOPLE, 3).

    The latter are level unit vectors from the pelvis.
    """
    some = windows.sample(windows.domain(FILMED), PEOPLE, 0, frames, "test", fps=RATE)
    assert some.joints3d is not None and some.root is not None
    inside = (some.joints3d + some.root[:, :, None]).flatten(1, 2)  # (PEOPLE, T J, 3)
    joints = (inside - some.camera.translation[:, None]) @ some.camera.rotation
    joints = joints.unflatten(1, (frames, -1))
    away = some.camera.position - joints[:, frames // 2, 0]
    away = away * torch.tensor([1.0, 0.0, 1.0])
    return joints, away / away.norm(dim=-1, keepdim=True)


@cache
def _network(lifter: str) -> Denoiser:
    return load_lifter(LIFTERS[lifter])


def _millimetres(gap: Tensor) -> float:
    return 1000 * float(gap.norm(dim=-1).mean())
