"""Hands and faces: the same renderer, near; their labels, their gestures and expressions."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from scipy import ndimage

from posenb.world import clouds, faces, hands, looks, photography, rendering
from posenb.world.body import load_body
from posenb.world.clips import video_pairs, videos
from posenb.world.filming import film, shots
from posenb.world.rendering import render
from posenb.world.skeletons import FACE68, HAND21

SIZE = 32
CLOSE = ("hands_rendered", "hands_real", "faces_video", "faces_wild")


@pytest.mark.parametrize("name", CLOSE)
def test_pictures_show_what_is_labelled(name: str) -> None:
    """Labels are of the right skeleton, in the picture, and on the hand or the head."""
    result = render(name, 6, 0, SIZE)
    joints = len(HAND21 if name.startswith("hands") else FACE68)
    assert result.keypoints.shape == (6, joints, 2) and result.visible.shape == (6, joints)
    inside = ((result.keypoints > 0) & (result.keypoints < 1)).all(-1)
    assert inside.all() and 0.4 < result.visible.float().mean() <= 1
    row = torch.arange(6)[:, None]
    pixel = (result.keypoints * SIZE).long().clamp(0, SIZE - 1)
    part = result.parts[row, pixel[..., 1], pixel[..., 0]]
    names = ("right_hand", "left_hand", "right_forearm", "left_forearm", "head")
    own = torch.tensor([clouds.PARTS.index(part) for part in names])
    assert torch.isin(part, own)[result.visible].float().mean() > 0.93
    assert torch.equal(result.images, render(name, 6, 0, SIZE).images)
    assert not torch.equal(result.keypoints, render(name, 6, 0, SIZE, split="test").keypoints)


def test_left_and_right_hands_are_themselves() -> None:
    """Seen with the fingers up from the palm's side, a left thumb is to the left."""
    taken = shots(hands.get("hands_rendered"), 40, 0)
    body = load_body()
    left = taken.piece == clouds.PIECES.index("left_hand")
    assert 8 < left.sum() < 32
    for side, mine in (("left", left), ("right", ~left)):
        rest = hands.rest_frame(body, side)
        hand = body.transforms(taken.shape, taken.rotations, taken.root)[0]
        palm = hand[:, body.bones.index(f"{side}_hand"), :, :3] @ rest[:, 2]
        joints = body.keypoints(f"{side}_hand", taken.shape, taken.rotations, taken.root)
        along, across = joints[:, 9] - joints[:, 0], joints[:, 5] - joints[:, 17]
        thumb_to_left = (torch.linalg.cross(along, across) * palm).sum(-1) > 0
        assert (thumb_to_left[mine] == (side == "left")).all()


def test_the_strength_dials_the_gap_of_hands() -> None:
    weak, half, full = (render("hands_real", 3, 0, SIZE, s).images for s in (0.0, 0.5, 1.0))
    near, far = ((other - weak).abs().mean() for other in (half, full))
    assert 0.02 < near < far


@pytest.mark.parametrize("name", ["hands_real", "faces_wild"])
def test_videos_move_smoothly(name: str) -> None:
    """Twice the time, about twice the way; the camera stands and the person stays."""
    slow, fast = (video_pairs(name, 6, stride, 0, 8) for stride in (2, 8))
    moved = [
        (p.driving.joints3d - p.base.joints3d).norm(dim=-1).mean().item() for p in (slow, fast)
    ]
    assert 0 < moved[0] < moved[1] < 8 * moved[0]
    for pairs in (slow, fast):
        for frame, camera in (
            (pairs.base, pairs.base_camera),
            (pairs.driving, pairs.driving_camera),
        ):
            torch.testing.assert_close(
                camera.project(frame.joints3d), frame.keypoints, atol=1e-4, rtol=1e-4
            )
        assert torch.equal(pairs.base_camera.rotation, pairs.driving_camera.rotation)
    steps = videos(name, 2, 6, 1, 8).frames.joints3d.view(2, 6, -1, 3)
    jumps = (steps[:, 1:] - steps[:, :-1]).norm(dim=-1).amax((1, 2))
    assert jumps.max() < 0.05


def test_fingers_bend_within_their_limits() -> None:
    """No finger bends backwards or farther than in a fist, at any time."""
    scenes = hands.get("hands_rendered").scenes(30, 0, "train", torch.arange(10) / 5)
    body = load_body()
    turns = scenes.rotations.flatten(0, 1)
    for side in ("left", "right"):
        for finger in ("index", "middle", "ring", "little"):
            for joint in (1, 2, 3):
                turn = turns[:, body.bones.index(f"{side}_{finger}{joint}")]
                angle = ((turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).acos()
                assert angle.max() < 1.75


def test_faces_do_what_their_domain_says() -> None:
    """Heads turn as the recipe's angles, mouths open, eyes close."""
    domain = faces.get("faces_wild")
    taken = film(domain, 24, (0,), 0)
    scenes = domain.scenes(24, 0)
    assert taken.action == scenes.action == domain.sample(24, 0).action
    body = load_body()
    marks = body.keypoints(
        "FACE68", taken.shots.shape, taken.shots.rotations, taken.shots.root, taken.shots.expression
    )
    inside = taken.shots.camera.to_camera(marks)
    between = inside[:, 45] - inside[:, 36]  # outer corner of the right eye to that of the left
    yaw = torch.rad2deg(torch.atan2(between[:, 2], between[:, 0]))
    assert (yaw - scenes.angles[:, 0, 0]).abs().median() < 6
    gap = (marks[:, 62] - marks[:, 66]).norm(dim=-1)
    opened = scenes.moves[:, 0, faces.MOVES.index("jaw_open")]
    assert torch.corrcoef(torch.stack([gap, opened]))[0, 1] > 0.8


@pytest.mark.slow
def test_open_mouths_show_a_row_of_teeth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most show them in one piece; behind closed lips there are none to be seen."""

    def teeth(people: looks.Dressed, point: torch.Tensor, *_: object) -> torch.Tensor:
        return looks.among(people.canvas.material[point], "teeth")[:, None].expand(-1, 3).float()

    monkeypatch.setattr(looks.Dressed, "paint", teeth)
    monkeypatch.setattr(rendering, "_light", lambda color, *_: color)
    black = torch.zeros(1, 128, 128, 3)
    monkeypatch.setattr(
        photography, "background", lambda of, *_: black.repeat(len(of.focal), 1, 1, 1)
    )
    taken = shots(faces.get("faces_video"), 6, 0)
    for jaw in (0.0, 0.2, 0.5):
        expression = load_body().expression({"jaw_open": jaw}).expand(6, -1)
        opened = dataclasses.replace(taken, expression=expression)
        white = rendering.photograph(opened, looks.SYNTHETIC, 128).images[:, 0] > 0.5
        pieces = [ndimage.label(picture, torch.ones(3, 3))[1] for picture in white.numpy()]
        assert pieces.count(1) >= 4 if jaw else not any(pieces)


def test_bad_input_is_named() -> None:
    real = hands.get("hands_real")
    with pytest.raises(ValueError, match="no gesture 'wave'"):
        dataclasses.replace(real, gestures=(("wave", 1.0),))
    with pytest.raises(ValueError, match="at least 4"):
        dataclasses.replace(real, subjects=2)
    with pytest.raises(ValueError, match="need weights"):
        dataclasses.replace(real, gestures=(("fist", 0.0),))
    with pytest.raises(ValueError, match="no hand domain"):
        hands.get("feet")
    with pytest.raises(ValueError, match="count must be at least 1"):
        render("hands_real", 0, 0)
    for domain, near in ((real, 0.05), (faces.get("faces_wild"), 0.3)):
        with pytest.raises(ValueError, match="in the body or too near"):
            render(dataclasses.replace(domain, distance=(near, near)), 1, 0, SIZE)
    with pytest.raises(ValueError, match="split must be"):
        real.scenes(1, 0, "validation")  # type: ignore[arg-type]
