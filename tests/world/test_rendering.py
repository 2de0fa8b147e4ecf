"""Pictures show what their labels say, on any surface, in any look, in any batch."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from posenb.world import clouds, domains, looks, photography, rendering, rooms
from posenb.world.body import load_body
from posenb.world.cameras import Camera, look_at
from posenb.world.looks import LAB, OUTDOOR, SYNTHETIC
from posenb.world.rendering import Shots, photograph, render, shots
from posenb.world.skeletons import BODY17
from posenb.world.splatting import splat


def sphere(radius: float, count: int) -> Tensor:
    """Even points on a sphere around the origin, (count, 3)."""
    k = torch.arange(count, dtype=torch.float64) + 0.5
    height, turn = 1 - 2 * k / count, math.pi * (1 + 5**0.5) * k
    across = (1 - height**2).sqrt()
    return radius * torch.stack([across * turn.cos(), height, across * turn.sin()], -1)


def camera_at(eye: tuple[float, float, float], focal: float = 1.6) -> Camera:
    place = torch.tensor(eye, dtype=torch.float64)
    rotation, translation = look_at(place, torch.tensor([0.0, 0.9, 0.0], dtype=torch.float64))
    half = torch.full((2,), 0.5, dtype=torch.float64)
    return Camera(rotation, translation, torch.full((2,), focal, dtype=torch.float64), half)


def standing(count: int = 1, eye: tuple[float, float, float] = (4.0, 1.2, 0.0)) -> Shots:
    """Mean people at rest in the middle, looking at a camera on the x axis."""
    body = load_body()
    camera = camera_at(eye)
    single = Camera(
        *(getattr(camera, f).float() for f in ("rotation", "translation", "focal", "center"))
    )
    batch = Camera(
        single.rotation.expand(count, 3, 3),
        single.translation.expand(count, 3),
        single.focal,
        single.center,
    )
    return Shots(
        torch.zeros(count, len(body.skin.shape)),
        torch.zeros(count, dtype=torch.bool),
        body.identity(count),
        torch.tensor([0.0, 0.9, 0.0]).repeat(count, 1),
        torch.zeros(count, len(body.expressions)),
        batch,
        looks.chances(count, torch.Generator().manual_seed(0)),
        rooms.eye(batch.position),
        torch.zeros(count, dtype=torch.long),
    )


# --- The splatter, on analytic surfaces ----------------------------------------------------------


def test_a_sphere_is_where_and_as_far_as_it_should_be() -> None:
    """Each pixel's depth is that of its point, which lies on the sphere, in that very pixel."""
    size, radius = 64, 0.5
    points = sphere(radius, 60_000) + torch.tensor([0.3, 1.1, -0.2], dtype=torch.float64)
    camera = camera_at((3.0, 1.6, 1.0))
    pixels, inside = camera.project(points) * size, camera.to_camera(points)
    seen = splat(pixels[None, :, 0], pixels[None, :, 1], inside[None, :, 2], size)
    middle = camera.to_camera(torch.tensor([[0.3, 1.1, -0.2]], dtype=torch.float64))[0]
    axis = ((torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5) / 1.6
    rays = torch.stack([*torch.meshgrid(axis, axis, indexing="xy"), torch.ones(size, size)], -1)
    b, c = rays @ middle, middle @ middle - radius**2
    root = b**2 - rays.square().sum(-1) * c
    hit = root >= 0
    depth = (b - root.clamp_min(0).sqrt()) / rays.square().sum(-1)
    mask = seen.point[0] >= 0
    assert (hit & ~mask).sum() == 0
    rim = torch.nn.functional.max_pool2d(hit[None].double(), 3, 1, 1)[0] > 0
    assert (mask & ~rim).sum() == 0
    core = torch.nn.functional.avg_pool2d(hit[None].double(), 5, 1, 2)[0] > 0.999
    assert (seen.depth[0] - depth)[core].abs().max() < 0.03  # a pixel is 12 mm, and slopes
    row, column = mask.nonzero(as_tuple=True)
    won = pixels[seen.point[0][mask]]
    assert torch.equal(won.floor().long(), torch.stack([column, row], -1))
    step = (inside[:, 2].max() - inside[:, 2].min()) / 32_766
    assert (inside[seen.point[0][mask], 2] - seen.depth[0][mask]).abs().max() <= step


@pytest.mark.parametrize("points", [20, 70_000])
def test_the_nearest_point_wins(points: int) -> None:
    """Against a slow loop, with 32 and with 64 bits a key."""
    random = torch.Generator().manual_seed(0)
    x, y = (torch.rand(2, points, generator=random) * 10 - 1 for _ in range(2))
    depth = 1 + torch.rand(2, points, generator=random)
    shown = torch.rand(2, points, generator=random) < 0.7
    seen = splat(x, y, depth, 8, shown)
    for picture in range(2):
        best = torch.full((8, 8), torch.inf)
        for k in range(points):
            column, row = math.floor(x[picture, k]), math.floor(y[picture, k])
            if shown[picture, k] and 0 <= column < 8 and 0 <= row < 8:
                best[row, column] = min(best[row, column], depth[picture, k])
        torch.testing.assert_close(seen.depth[picture], best, atol=1e-4, rtol=0)
        assert torch.equal(seen.point[picture] < 0, best.isinf())


def test_holes_between_near_points_are_closed_and_others_are_not() -> None:
    axis = torch.arange(16) + 0.5
    y, x = (t.flatten()[None] for t in torch.meshgrid(axis, axis, indexing="ij"))
    near = torch.full_like(x, 2.0)
    shown = torch.ones_like(x, dtype=torch.bool)
    shown[0, 16 * 5 + 7] = False  # a hole within
    shown[0, 16 * 9 :] = False  # an edge
    wall = torch.cat([near, torch.full_like(near, 3.0)], 1)
    everything = torch.cat([shown, torch.ones_like(shown)], 1)
    twice = torch.cat([x, x], 1), torch.cat([y, y], 1)
    for arguments in ((x, y, near, 16, shown), (*twice, wall, 16, everything)):
        open_, closed = splat(*arguments).depth[0], splat(*arguments, closing=2).depth[0]
        assert open_[5, 7] > 2.5 and abs(closed[5, 7] - 2) < 1e-3
        assert torch.equal(closed[9:], open_[9:])


def test_bad_points_are_named() -> None:
    zero = torch.zeros(1, 3)
    with pytest.raises(ValueError, match="alike"):
        splat(zero, zero, torch.zeros(1, 2), 8)
    with pytest.raises(ValueError, match="finite"):
        splat(zero, zero, torch.full((1, 3), torch.nan), 8)


# --- Silhouettes ---------------------------------------------------------------------------------


def polygons(people: Shots, size: int, fine: int = 8) -> np.ndarray:
    """Silhouettes (N, S, S) of the same triangles, filled at eight times the resolution."""
    body = load_body()
    bare = clouds.shown(body)
    for name in ("skirt", "hair"):
        bare &= body.layer[body.triangles[:, 0]] != body.layers.index(name)
    vertices, _ = body(people.shape, people.rotations, people.root)
    corners = people.camera.project(vertices)[:, body.triangles[bare]] * size * fine - 0.5
    masks = []
    for triangles in (corners * 16).round().int().numpy():
        canvas = np.zeros((size * fine, size * fine), np.uint8)
        for triangle in triangles:
            cv2.fillConvexPoly(canvas, triangle, 255, cv2.LINE_8, 4)
        masks.append(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA) > 127)
    return np.stack(masks)


def test_people_stay_who_they_are() -> None:
    """Each number has a column of its own, in the order in which they were drawn at first."""
    assert list(looks.CHANCES.values()) == list(range(55))
    drawn = looks.chances(2, torch.Generator().manual_seed(7))
    wanted = torch.rand(2, 55, generator=torch.Generator().manual_seed(7))
    for name, column in (("skin", 0), ("top_hue", 6), ("place", 29), ("red", 34), ("quality", 44),
                         ("backdrop", 45), ("occluder_hue", 54)):  # fmt: skip
        torch.testing.assert_close(looks.chance(drawn, name), wanted[:, column])


def naked(people: Shots) -> Shots:
    """The same people without hair or skirts, whose surfaces the triangles are."""
    numbers = people.chances.clone()
    numbers[:, looks.CHANCES["bald"]] = 0
    return dataclasses.replace(people, woman=torch.zeros_like(people.woman), chances=numbers)


@pytest.mark.parametrize(("size", "least"), [(64, 0.93), (96, 0.95), (128, 0.965)])
def test_silhouettes_are_those_of_polygons(size: int, least: float) -> None:
    people = naked(shots(domains.get("synthetic"), 16, 5))
    found = (photograph(people, SYNTHETIC, size).parts > 0).numpy()
    truth = polygons(people, size)
    overlap = (found & truth).sum((1, 2)) / (found | truth).sum((1, 2))
    holes = sum(
        int((cv2.erode(t.astype(np.uint8), np.ones((3, 3))).astype(bool) & ~f).sum())
        for f, t in zip(found, truth, strict=True)
    )
    assert overlap.mean() >= least and overlap.min() >= least - 0.04, (overlap, holes)
    assert holes <= 0.5 * len(people), holes


# --- Labels --------------------------------------------------------------------------------------


def test_labels_are_projections_and_lie_on_their_parts() -> None:
    people = shots(domains.get("lab"), 24, 1)
    result = photograph(people, dataclasses.replace(LAB, convention=0.0))
    truth = load_body().keypoints("BODY17", people.shape, people.rotations, people.root)
    torch.testing.assert_close(result.joints3d, truth)
    torch.testing.assert_close(result.keypoints, people.camera.project(truth))
    far = people.camera.to_camera(truth)[..., 2]
    torch.testing.assert_close(result.depth, far - far[:, :1])
    pixel = (result.keypoints * 128).long().clamp(0, 127)
    picture = torch.arange(24)[:, None]
    part = result.parts[picture, pixel[..., 1], pixel[..., 0]]
    for joint, names in (("left_elbow", ("left_upper_arm", "left_forearm")),
                         ("right_knee", ("right_thigh", "right_shank"))):  # fmt: skip
        seen = result.visible[:, BODY17.index(joint)]
        own = [clouds.PARTS.index(name) for name in names]
        right = torch.isin(part[:, BODY17.index(joint)], torch.tensor(own))
        assert seen.sum() > 8 and right[seen].float().mean() > 0.8


def test_annotators_differ_with_strength() -> None:
    true, half, full = (render("lab", 4, 0, 32, strength) for strength in (0.0, 0.5, 1.0))
    hip, knee = BODY17.index("left_hip"), BODY17.index("left_knee")
    assert (full.joints3d - true.joints3d)[:, hip].norm(dim=-1).min() > 0.03
    torch.testing.assert_close(half.joints3d, (true.joints3d + full.joints3d) / 2)
    torch.testing.assert_close(full.joints3d[:, knee], true.joints3d[:, knee])


def test_hidden_joints_are_invisible() -> None:
    """A wall a metre before the person hides what is behind it, and nothing else."""
    people = standing()
    result = photograph(people, SYNTHETIC, 64)
    assert result.visible[0, BODY17.index("nose")]
    far = people.camera.to_camera(result.joints3d)[..., 2]
    wall = torch.full((1, 64, 64), torch.inf)
    wall[:, :, 32:] = far.min() - 1
    nothing, flesh = torch.zeros_like(result.parts), torch.full((17, len(clouds.PARTS)), 0.1)
    seen = rendering.visibility(result.keypoints, far, wall, nothing, flesh)
    assert torch.equal(seen, result.keypoints[..., 0] < 0.5)
    assert rendering.visibility(result.keypoints, far, wall + 5, nothing, flesh).all()


TRUNK = ("pelvis", "right_hip", "left_hip", "spine", "neck", "head_top", "left_shoulder",
         "right_shoulder")  # fmt: skip


@pytest.mark.parametrize("domain", ["lab", "synthetic"])
def test_a_trunk_seen_from_the_front_is_visible_and_behind_limbs_is_not(domain: str) -> None:
    """Where pixels show the trunk, below 1 % of its joints count as hidden; all below hands do."""
    people = shots(domain, 160, 3)
    result = photograph(people, looks.LOOKS[domain], 64)
    right, left, pelvis, neck = (
        result.joints3d[:, BODY17.index(name)]
        for name in ("right_shoulder", "left_shoulder", "pelvis", "neck")
    )
    across = torch.linalg.cross(left - right, neck - pelvis)
    facing = torch.cosine_similarity(across, people.camera.position - neck).abs() > 0.7  # (N,)
    assert facing.sum() > 30
    inside = ((result.keypoints >= 0) & (result.keypoints < 1)).all(-1)
    pixel = (result.keypoints * 64).long().clamp(0, 63)
    part = result.parts[torch.arange(160)[:, None], pixel[..., 1], pixel[..., 0]]
    own = rendering._flesh("body", 17)[torch.arange(17), part] > 0  # (N, J)
    trunk = torch.tensor([BODY17.index(name) for name in TRUNK])
    shown = (own & inside & facing[:, None])[:, trunk]
    assert shown.sum() > 250 and (~result.visible[:, trunk])[shown].float().mean() < 0.01
    covered = torch.zeros_like(inside)
    for side in ("left", "right"):
        hand = clouds.PARTS.index(f"{side}_hand")
        wrist = result.depth[:, [BODY17.index(f"{side}_wrist")]]
        covered |= (part == hand) & (wrist < result.depth - 0.15)
    covered[:, [BODY17.index(f"{side}_wrist") for side in ("left", "right")]] = False
    assert covered.sum() > 5 and not result.visible[covered].any()


def test_a_wrist_behind_the_back_is_invisible_from_the_front() -> None:
    people = standing(2)
    side = standing(1, (0.0, 1.2, 4.0)).camera
    cameras = Camera(*(torch.cat([getattr(people.camera[:1], f), getattr(side, f)])
                       for f in ("rotation", "translation", "focal", "center")))  # fmt: skip
    result = photograph(dataclasses.replace(people, camera=cameras), SYNTHETIC)
    left, right = BODY17.index("left_elbow"), BODY17.index("right_elbow")
    assert result.visible[0, [left, right]].all()
    assert result.visible[1, right] and not result.visible[1, left]  # z is the right side
    assert result.depth[1, left] > 0 > result.depth[1, right]


def test_occluders_hide_joints() -> None:
    clear, hidden = (
        render("outdoor", 48, 0, 48, look=dataclasses.replace(OUTDOOR, occluders=value))
        for value in (0.0, 1.0)
    )
    assert torch.equal(clear.keypoints, hidden.keypoints)
    assert not (hidden.visible & ~clear.visible).any()
    assert 0.02 < (clear.visible & ~hidden.visible).float().mean() < 0.3
    assert ((clear.parts > 0) & (hidden.parts == 0)).any()


@pytest.mark.parametrize("aside", [1.2, -1.2])
def test_joints_out_of_the_picture_are_invisible_and_not_clipped(aside: float) -> None:
    people = standing()
    near = dataclasses.replace(people, root=people.root + torch.tensor([0.0, 0.0, aside]))
    half = photograph(near, SYNTHETIC, 48)
    outside = ((half.keypoints < 0) | (half.keypoints >= 1)).any(-1)
    assert 0 < outside.sum() < 17 and not (half.visible & outside).any()
    torch.testing.assert_close(half.keypoints, people.camera.project(half.joints3d))


def test_a_person_wholly_out_of_the_picture_is_an_error() -> None:
    people = standing(3)
    away = people.root + torch.tensor([[0.0, 0.0, 9.0], [0.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
    with pytest.raises(ValueError, match=r"out of the picture in 2 of 3 shots: turn the cameras"):
        photograph(dataclasses.replace(people, root=away), LAB, 48)


# --- Looks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", ["lab", "outdoor"])
def test_strength_0_is_the_synthetic_look(domain: str) -> None:
    weak = render(domain, 3, 2, 48, 0.0)
    plain = render(domain, 3, 2, 48, look=SYNTHETIC)
    assert torch.equal(weak.images, plain.images)
    steps = [render(domain, 3, 2, 48, s) for s in (0.0, 0.25, 0.5, 1.0)]
    gaps = [(step.images - weak.images).abs().mean().item() for step in steps]
    assert gaps == sorted(gaps) and gaps[-1] > 0.08


def test_every_ingredient_does_something_alone() -> None:
    people = shots(domains.get("outdoor"), 4, 0)
    plain = photograph(people, dataclasses.replace(SYNTHETIC, setting="street"), 48)
    for field in dataclasses.fields(looks.Look)[1:]:
        one = dataclasses.replace(SYNTHETIC, setting="street", **{field.name: 1.0})
        other = photograph(people, one, 48)
        changed = not torch.equal(other.images, plain.images)
        assert changed or not torch.equal(other.keypoints, plain.keypoints), field.name
        assert other.images.min() >= 0 and other.images.max() <= 1, field.name


def test_pictures_are_bright_and_people_stand_out() -> None:
    for domain in ("synthetic", "lab", "outdoor"):
        result = render(domain, 24, 0, 64)
        brightness = result.images.mean((1, 2, 3))
        assert brightness.min() > 0.2 and brightness.max() < 0.9
        person = torch.stack(
            [
                i[:, p > 0].mean()
                for i, p in zip(result.images, result.parts, strict=True)
                if p.any()
            ]
        )
        assert person.min() > 0.1


def test_a_camera_sees_the_same_room_from_frame_to_frame() -> None:
    people = standing(2)
    moved = dataclasses.replace(
        people,
        root=people.root + torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.5]]),
        chances=people.chances[:1].repeat(2, 1),
    )
    result = photograph(moved, dataclasses.replace(LAB, shadow=0.0, noise=0.0, compression=0.0), 64)
    both = torch.nn.functional.max_pool2d((result.parts > 0).float(), 5, 1, 2).amax(0) == 0
    assert torch.equal(result.images[0][:, both], result.images[1][:, both])


def test_rooms_turn_with_the_camera() -> None:
    """The plate's own camera cuts the plate's middle out of it."""
    view, size, place, eye = rooms.VIEWS["room"], 32, 1, 3
    plate, rotation = rooms.plate("room", place, eye, size)
    focal = torch.full((1, 2), view.focal)
    direction = 2 * math.pi * eye / rooms.EYES
    outward = torch.tensor([math.cos(direction), 0.0, math.sin(direction)])
    camera = Camera(rotation, -rotation @ outward, focal, torch.full((1, 2), 0.5))
    numbers = torch.full((1, len(looks.CHANCES)), (place + 0.5) / rooms.SITES)
    look = dataclasses.replace(SYNTHETIC, setting="room", scenery=1.0)
    image = photography.background(camera, torch.tensor([eye]), numbers, look, size)[0]
    start = (len(plate) - size) // 2
    window = plate[start : start + size, start : start + size]
    assert (image - window).abs().mean() < 0.02


def test_compression_is_that_of_jpeg() -> None:
    """As far from the original as OpenCV's at the same quality, and closer to it than that."""
    image = render(
        "lab", 1, 0, 64, look=dataclasses.replace(LAB, noise=0.0, compression=0.0)
    ).images
    ours = photography.compress(image, torch.ones(1))
    raw = (image[0].permute(1, 2, 0).numpy()[..., ::-1] * 255).round().astype(np.uint8)
    _, code = cv2.imencode(".jpg", raw, [cv2.IMWRITE_JPEG_QUALITY, 50])
    theirs = torch.from_numpy(cv2.imdecode(code, 1)[..., ::-1].copy()).permute(2, 0, 1) / 255
    lost, lost_there = ((x - image[0]).square().mean().sqrt() for x in (ours[0], theirs))
    assert 0.5 < lost / lost_there < 1.3
    assert (ours[0] - theirs).square().mean().sqrt() < lost_there
    assert torch.allclose(photography.compress(image, torch.zeros(1)), image, atol=1e-3)


# --- Batches, seeds, devices, bad input ----------------------------------------------------------


@pytest.mark.parametrize("domain", ["synthetic", "lab", "outdoor"])
def test_a_picture_is_the_same_in_every_batch(domain: str) -> None:
    people = shots(domains.get(domain), 40, 0)
    together = photograph(people, looks.LOOKS[domain], 48)
    again = render(domain, 40, 0, 48)
    some = torch.tensor([33, 7])
    alone = photograph(people[some], looks.LOOKS[domain], 48)
    for field in dataclasses.fields(together):
        batch = getattr(together, field.name)
        assert torch.equal(batch, getattr(again, field.name)), field.name
        one = getattr(alone, field.name)
        if batch.is_floating_point():
            assert (batch[some] - one).abs().mean() < 1e-4, field.name
        else:
            assert (batch[some] == one).float().mean() > 0.999, field.name


def test_what_is_returned() -> None:
    result = render("lab", 3, 0, 40, split="test")
    shapes = {f.name: tuple(getattr(result, f.name).shape) for f in dataclasses.fields(result)}
    assert shapes == {
        "images": (3, 3, 40, 40), "keypoints": (3, 17, 2), "depth": (3, 17),
        "joints3d": (3, 17, 3), "visible": (3, 17), "parts": (3, 40, 40),
    }  # fmt: skip
    assert result.images.dtype == torch.float32 and result.images.is_contiguous()
    assert result.visible.dtype == torch.bool and len(result) == 3 and len(result[:2]) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_pictures() -> None:
    here, there = (render("lab", 8, 0, 64, device=d) for d in ("cpu", "cuda"))
    assert (here.images - there.images.cpu()).abs().mean() < 2e-3


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="strength must be in"):
        render("lab", 1, 0, strength=1.5)
    with pytest.raises(ValueError, match="no domain"):
        render("moon", 1, 0)
    with pytest.raises(ValueError, match="count must be at least 1"):
        render("lab", 0, 0)
    with pytest.raises(ValueError, match="8 pixels"):
        render("lab", 1, 0, size=2)
    with pytest.raises(ValueError, match="no look of its own"):
        render(dataclasses.replace(domains.get("lab"), name="mine"), 1, 0)
    with pytest.raises(ValueError, match="blur must be in"):
        dataclasses.replace(LAB, blur=2.0)
    with pytest.raises(ValueError, match="expected a shot"):
        photograph(standing(2)[:0], SYNTHETIC, 48)


@pytest.mark.parametrize("eye", [(0.0, 0.9, 0.01), (0.05, 0.95, 0.0), (0.4, 1.0, 0.0)])
def test_a_camera_in_the_body_is_an_error(eye: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="1 cameras are in the body or too near.*move them away"):
        photograph(standing(eye=eye), SYNTHETIC, 48)
