"""Faces: symmetric, seeded, split by subject, and each move moves what it names."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from posenb.measure.distributions import frechet_distance
from posenb.world import domains, faces
from posenb.world.faces import EXPRESSIONS, MOVES, SHAPES
from posenb.world.rotations import yaw_pitch_roll
from posenb.world.skeletons import FACE68, flip

NAMES = faces.names()
STILL = {"yaw": (0.0, 0.0), "pitch": (0.0, 0.0), "roll": (0.0, 0.0)}
JAW, BROWS, NOSE, EYES, LIPS = (
    set(range(*ends)) for ends in ((0, 17), (17, 27), (27, 36), (36, 48), (48, 68))
)
RIGHT = set(range(8)) | set(range(17, 22)) | {31, 32} | set(range(36, 42))
RIGHT |= {48, 49, 50, 58, 59, 60, 61, 67}


def plain(count: int = 1) -> torch.Tensor:
    return faces.face(torch.zeros(count, len(SHAPES)), torch.zeros(count, len(MOVES)))


def mirrored(points: torch.Tensor) -> torch.Tensor:
    """Faces (N, 68, 3) in a mirror."""
    return points[:, list(FACE68.flip_order)] * torch.tensor([-1.0, 1.0, 1.0])


def moved(name: str, amount: float) -> set[int]:
    """Landmarks that one move or shape moves."""
    shape, moves = torch.zeros(1, len(SHAPES)), torch.zeros(1, len(MOVES))
    if name in SHAPES:
        shape[0, SHAPES.index(name)] = amount
    else:
        moves[0, MOVES.index(name)] = amount
    change = (faces.face(shape, moves) - plain()).norm(dim=-1)[0]
    return set((change > 1e-6).nonzero().flatten().tolist())


def test_the_mean_face_is_symmetric_and_of_human_size() -> None:
    points = plain()
    torch.testing.assert_close(mirrored(points), points)
    x, y, z = 100 * points[0].T  # centimetres
    assert x[16] - x[0] == pytest.approx(14.2, abs=0.5)
    assert x[45] - x[36] == pytest.approx(9.0, abs=0.5)
    assert y[27] - y[8] == pytest.approx(11.7, abs=0.5)
    assert z[30] == z.max() and x[0] == x.min() and y[8] == y.min()
    for upper, lower in ((19, 37), (37, 41), (33, 51), (51, 62), (62, 66), (66, 57), (57, 8)):
        assert y[upper] > y[lower]


@pytest.mark.parametrize("seed", range(3))
def test_a_mirrored_face_is_made_by_mirrored_moves(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    shape = torch.randn(20, len(SHAPES), generator=random)
    moves = 2 * torch.rand(20, len(MOVES), generator=random) - 1
    expected = mirrored(faces.face(shape, moves))
    torch.testing.assert_close(faces.face(shape, faces.mirror(moves)), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("visible", [False, True])
@pytest.mark.parametrize("angle", [10.0, 35.0, 65.0])
def test_turns_to_either_side_mirror_each_other(angle: float, visible: bool) -> None:
    """One symmetric person in two pictures: a head that turns left is one that turns right."""
    domain = dataclasses.replace(
        faces.get("faces_wild"), subject_spread=0.0, strength=0.0, noise=0.0, crop_noise=0.0,
        visible_contour=visible, **STILL,
    )  # fmt: skip
    left, right = (
        dataclasses.replace(domain, yaw=(yaw, 0.0)).sample(5, 0) for yaw in (angle, -angle)
    )
    torch.testing.assert_close(flip(left.keypoints, FACE68), right.keypoints, atol=1e-4, rtol=0)
    nose = left.keypoints[:, 30, 0] - (left.keypoints[:, 36, 0] + left.keypoints[:, 45, 0]) / 2
    assert (nose > 0.01).all()  # positive yaw: to the right of the picture


def test_angles_have_the_stated_signs() -> None:
    angle, zero = torch.tensor(20.0), torch.tensor(0.0)
    right = yaw_pitch_roll(angle, zero, zero) @ torch.tensor([0.0, 0.0, 1.0])
    up = yaw_pitch_roll(zero, angle, zero) @ torch.tensor([0.0, 0.0, 1.0])
    clockwise = yaw_pitch_roll(zero, zero, angle) @ torch.tensor([0.0, 1.0, 0.0])
    assert right[0] > 0.3 and up[1] > 0.3 and clockwise[0] > 0.3


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("jaw_open", JAW | LIPS),
        ("smile_right", RIGHT & (LIPS | EYES | NOSE)),
        ("smile_left", (LIPS | EYES | NOSE) - RIGHT),
        ("pucker", LIPS),
        ("lip_raise", LIPS | NOSE),
        ("brow_raise", BROWS | {37, 38, 40, 41, 43, 44, 46, 47}),
        ("brow_furrow", BROWS),
        ("brow_inner", BROWS),
        ("close_right", {37, 38, 40, 41}),
        ("close_left", {43, 44, 46, 47}),
        ("face_width", set(range(68))),
        ("face_length", set(range(68))),
        ("jaw_length", JAW),
        ("jaw_width", JAW),
        ("chin_width", JAW),
        ("chin_depth", JAW),
        ("nose_length", NOSE),
        ("nose_width", NOSE),
        ("nose_depth", NOSE),
        ("eye_distance", EYES | BROWS),
        ("eye_size", EYES),
        ("eye_slant", EYES),
        ("brow_height", BROWS),
        ("brow_arch", BROWS),
        ("mouth_width", LIPS),
        ("mouth_height", LIPS),
        ("lip_thickness", LIPS),
        ("lip_depth", LIPS),
    ],
)
def test_a_parameter_moves_what_it_names(name: str, allowed: set[int]) -> None:
    for amount in (0.8, -0.8):
        changed = moved(name, amount)
        assert changed and changed <= allowed


def test_every_parameter_is_in_the_table_above() -> None:
    marks = test_a_parameter_moves_what_it_names.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {name for name, _ in marks} == {*SHAPES, *MOVES}


def test_moves_do_what_their_names_say() -> None:
    def after(**amounts: float) -> torch.Tensor:
        moves = torch.zeros(1, len(MOVES))
        for name, amount in amounts.items():
            moves[0, MOVES.index(name)] = amount
        return faces.face(torch.zeros(1, len(SHAPES)), moves)[0]

    rest = plain()[0]
    gap = rest[62, 1] - rest[66, 1]
    opened = after(jaw_open=1.0)
    assert opened[62, 1] - opened[66, 1] > gap + 0.02 and opened[8, 1] < rest[8, 1] - 0.02
    smiling = after(smile_right=1.0, smile_left=1.0)
    assert (smiling[[48, 54], 1] > rest[[48, 54], 1]).all()
    assert smiling[54, 0] - smiling[48, 0] > rest[54, 0] - rest[48, 0]
    kissing = after(pucker=1.0)
    assert kissing[54, 0] - kissing[48, 0] < 0.7 * (rest[54, 0] - rest[48, 0])
    assert after(brow_raise=1.0)[19, 1] > rest[19, 1]
    assert after(brow_furrow=1.0)[21, 1] < rest[21, 1]
    shut = after(close_right=1.0)
    torch.testing.assert_close(shut[37], shut[41])
    torch.testing.assert_close(shut[38], shut[40])
    wide = after(close_left=-0.5)
    assert wide[43, 1] - wide[47, 1] > rest[43, 1] - rest[47, 1]


def test_a_face_can_be_learned_from() -> None:
    shape = torch.zeros(2, len(SHAPES), dtype=torch.float32, requires_grad=True)
    moves = torch.full((2, len(MOVES)), 0.3, requires_grad=True)
    gradients = torch.autograd.grad(faces.face(shape, moves).square().sum(), (shape, moves))
    assert all(g.isfinite().all() and (g.abs().amax(0) > 0).all() for g in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_faces(name: str) -> None:
    domain = faces.get(name)
    first, again, other = (domain.sample(50, seed) for seed in (0, 0, 1))
    assert torch.equal(first.keypoints, again.keypoints)
    assert first.subject == again.subject and first.action == again.action
    assert not torch.equal(first.keypoints, other.keypoints)


@pytest.mark.parametrize("name", NAMES)
def test_splits_share_no_subject(name: str) -> None:
    domain = faces.get(name)
    train, test = (set(domain.sample(5000, 0, split).subject) for split in ("train", "test"))
    assert not train & test
    assert len(train) == domain.subjects * 3 // 4 and len(test) == domain.subjects // 4


@pytest.mark.parametrize("name", NAMES)
def test_faces_are_in_the_picture(name: str) -> None:
    poses = faces.get(name).sample(3000, 0)
    assert poses.skeleton is FACE68 and poses.keypoints.dtype == torch.float32
    inside = ((poses.keypoints > 0) & (poses.keypoints < 1)).all(-1)
    assert inside.all(-1).float().mean() > 0.99
    extent = (poses.keypoints.amax(1) - poses.keypoints.amin(1)).amax(-1)
    assert (extent > 0.5).all() and (extent < 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_keypoints_are_projections_of_the_landmarks(name: str) -> None:
    poses = dataclasses.replace(faces.get(name), noise=0.0).sample(300, 3)
    assert poses.camera is not None and poses.joints3d is not None
    torch.testing.assert_close(poses.camera.project(poses.joints3d), poses.keypoints)
    assert (poses.camera.to_camera(poses.joints3d)[..., 2] > 0.3).all()


@pytest.mark.parametrize("name", NAMES)
def test_noise_has_the_stated_size(name: str) -> None:
    domain = faces.get(name)
    quiet = dataclasses.replace(domain, noise=0.0).sample(2000, 0).keypoints
    noise = domain.sample(2000, 0).keypoints - quiet
    assert noise.std().item() == pytest.approx(domain.noise, rel=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_expressions_come_in_the_stated_shares(name: str) -> None:
    domain = faces.get(name)
    poses = domain.sample(10_000, 0)
    total = sum(weight for _, weight in domain.expressions)
    assert set(poses.action) == {expression for expression, _ in domain.expressions}
    for expression, weight in domain.expressions:
        assert poses.action.count(expression) / 10_000 == pytest.approx(weight / total, abs=0.02)


def test_one_number_changes_nothing_else() -> None:
    domain = dataclasses.replace(faces.get("faces_wild"), crop_noise=0.0)
    wider = dataclasses.replace(domain, margin=2.0, lift=0.0, noise=0.0)
    before, after = domain.sample(100, 0), wider.sample(100, 0)
    assert before.joints3d is not None and after.joints3d is not None
    assert torch.equal(before.joints3d, after.joints3d)
    assert before.action == after.action and before.subject == after.subject


def test_annotators_see_what_their_convention_says() -> None:
    domain = dataclasses.replace(faces.get("faces_wild"), convention=(), **STILL)
    high = dataclasses.replace(domain, convention=(("brow_height", 2.0),))
    plain_, shifted = domain.sample(50, 0).joints3d, high.sample(50, 0).joints3d
    assert plain_ is not None and shifted is not None
    change = (shifted - plain_)[..., 1]
    assert (change[:, sorted(BROWS)] > 0.004).all()
    assert change[:, sorted(JAW | NOSE | EYES | LIPS)].abs().max() < 1e-6


def test_the_visible_outline_is_the_outermost() -> None:
    """Turned far, the far jaw of the one convention lies outside that of the other; no more does
    it hide inside the face."""
    domain = dataclasses.replace(
        faces.get("faces_wild"), **{**STILL, "yaw": (40.0, 0.0)}, convention=()
    )
    hidden, seen = (
        dataclasses.replace(domain, visible_contour=visible).sample(100, 0).joints3d
        for visible in (False, True)
    )
    assert hidden is not None and seen is not None
    change = seen - hidden
    assert (change[:, 9:17, 0] >= -1e-6).all() and (change[:, 12:17, 0] > 0.002).all()
    assert change[:, :9].abs().max() < 1e-6 and change[:, 17:].abs().max() < 1e-6


def test_closed_eyes_come_only_with_their_expressions() -> None:
    domain = dataclasses.replace(faces.get("faces_wild"), noise=0.0, **STILL)

    def opening(expression: str) -> torch.Tensor:
        points = dataclasses.replace(domain, expressions=((expression, 1.0),)).sample(200, 0)
        assert points.joints3d is not None
        y = points.joints3d[..., 1]
        return torch.stack([y[:, 37] - y[:, 41], y[:, 44] - y[:, 46]], -1)  # (200, 2)

    assert (opening("blink") < 0.004).all() and (opening("neutral") > 0.004).all()
    winks = opening("wink")
    assert (winks.amin(1) < 0.5 * winks.amax(1)).all()
    assert 0.3 < (winks[:, 0] < winks[:, 1]).float().mean() < 0.7  # either eye


def test_the_domains_lie_far_apart() -> None:
    """A gap worth adapting to: over 20 times that between the people of one domain's splits."""
    drawn = {
        (name, split): faces.get(name).sample(4000, 0, split).keypoints
        for name in NAMES
        for split in ("train", "test")
    }
    gap = frechet_distance(drawn["faces_video", "train"], drawn["faces_wild", "train"])
    for name in NAMES:
        within = frechet_distance(drawn[name, "train"], drawn[name, "test"])
        assert gap > 20 * within, name


def test_bodies_and_faces_have_their_own_names() -> None:
    assert NAMES == ("faces_video", "faces_wild")
    assert not set(NAMES) & set(domains.names())
    assert {name for d in NAMES for name, _ in faces.get(d).expressions} == set(EXPRESSIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expressions": (("sneeze", 1.0),)}, r"no expression 'sneeze'.*neutral"),
        ({"expressions": ()}, "not all 0"),
        ({"expressions": (("smile", 1.0), ("talk", -1.0))}, "not negative"),
        ({"convention": (("ear_size", 1.0),)}, r"no shape 'ear_size'.*face_width"),
        ({"subjects": 3}, "too few"),
        ({"distance": (0.1, 1.0)}, "at least 0.3 m"),
        ({"distance": (2.0, 1.0)}, "nearest first"),
        ({"margin": 0.0}, "margin positive"),
    ],
)
def test_bad_recipes_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"face domain faces_wild: .*{message}"):
        dataclasses.replace(faces.get("faces_wild"), **change)  # type: ignore[arg-type]


def test_bad_calls_are_named() -> None:
    with pytest.raises(ValueError, match=r"no face domain 'wild'.*faces_video"):
        faces.get("wild")
    with pytest.raises(ValueError, match="at least 1"):
        faces.get("faces_video").sample(0, 0)
    with pytest.raises(ValueError, match="'validation'"):
        faces.get("faces_video").sample(5, 0, "validation")  # type: ignore[arg-type]
