from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from posenb.course.show import scenes3d
from posenb.course.show.figures import png
from posenb.world import motion
from posenb.world.cameras import Camera, look_at
from posenb.world.skeletons import BODY17


@pytest.fixture(scope="module")
def joints() -> Tensor:
    return motion.load_motion().clips[0].joints()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    displayed: list[dict[str, Any]] = []

    def display(bundle: dict[str, Any], raw: bool) -> None:
        assert raw
        displayed.append(bundle)

    monkeypatch.setattr(scenes3d, "display", display)
    return displayed


def ring(count: int = 3) -> Camera:
    angle = torch.arange(count) * 2 * torch.pi / count
    eye = torch.stack([4 * angle.cos(), torch.full_like(angle, 1.5), 4 * angle.sin()], -1)
    rotation, translation = look_at(eye, torch.tensor([0.0, 1.0, 0.0]))
    ones = torch.ones(count, 2)
    return Camera(rotation, translation, 1000 * ones, 500 * ones)


def places(trace: Any) -> np.ndarray:
    return np.stack([trace.x, trace.y, trace.z], -1)


def size(scene: Any) -> tuple[int, int]:
    return Image.open(io.BytesIO(png(scenes3d.static_picture(scene)))).size


def test_clip_player_keeps_40_frames_and_the_duration(joints: Tensor) -> None:
    many = joints[torch.arange(100) % len(joints)]
    scene = scenes3d.clip_player(many, BODY17, fps=25, title="A clip")
    assert len(scene.frames) == 40
    assert scene.frames[0].name == "0.00" and scene.frames[-1].name == f"{99 / 25:.2f}"
    play = scene.layout.updatemenus[0].buttons[0].args[1]["frame"]["duration"]
    assert play * 39 == pytest.approx(1000 * 99 / 25)
    assert [step.label for step in scene.layout.sliders[0].steps] == [f.name for f in scene.frames]
    assert scene.layout.title.text == "A clip"


def test_clip_player_puts_y_up_without_mirroring(joints: Tensor) -> None:
    scene = scenes3d.clip_player(joints[:5], BODY17)
    assert len(scene.frames) == 5
    for number, frame in enumerate(scene.frames):
        drawn = places(frame.data[0]).reshape(-1, 3, 3)  # (bones, parent child gap, 3)
        assert np.isnan(drawn[:, 2]).all()
        x, y, z = drawn[:, :2].transpose(2, 0, 1)
        expected = joints[number][torch.tensor(BODY17.bones)]  # (bones, 2, 3)
        np.testing.assert_allclose(np.stack([x, z, -y], -1), expected, atol=6e-4)


def test_the_ground_lies_under_the_feet_and_the_box_holds_all(joints: Tensor) -> None:
    scene = scenes3d.clip_player(joints, BODY17)
    ground = places(scene.data[1])
    assert np.nanmin(ground[:, 2]) == np.nanmax(ground[:, 2])
    assert ground[0, 2] == pytest.approx(joints[..., 1].min().item(), abs=1e-3)
    low, high = scene.layout.scene.zaxis.range
    assert low < joints[..., 1].min() and joints[..., 1].max() < high
    assert scene.layout.scene.aspectmode == "data"


@pytest.mark.parametrize("shape", [(5, 16, 3), (5, 17, 2), (0, 17, 3), (17, 3)])
def test_clip_player_says_what_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="BODY17|body17"):
        scenes3d.clip_player(torch.zeros(shape), BODY17)


def test_a_still_clip_of_one_frame(joints: Tensor) -> None:
    scene = scenes3d.clip_player(joints[:1], BODY17)
    assert len(scene.frames) == 1
    assert min(size(scene)) > 200


def test_cameras_look_at_the_person(joints: Tensor) -> None:
    cameras = ring()
    scene = scenes3d.cameras_scene(cameras, joints[0], BODY17, depth=0.8)
    texts = [trace.text[0] for trace in scene.data if "text" in trace.mode]
    assert texts == ["camera 0", "camera 1", "camera 2"]
    person = places(scene.data[0])
    rims = [places(trace)[:4] for trace in scene.data if len(trace.x) == 18]  # pyramids
    assert len(rims) == 3
    for eye, rim in zip(cameras.position.numpy(), rims, strict=True):
        eye = eye[[0, 2, 1]] * (1, -1, 1)
        axis = rim.mean(0) - eye
        assert np.linalg.norm(axis) == pytest.approx(0.8, abs=2e-3)
        assert axis @ (np.nanmean(person, 0) - eye) > 0
        assert rim[0, 2] > eye[2] - 0.4 and rim[:2, 2].min() > rim[2:, 2].max()  # upper edge first


def test_labels_and_picture_size(joints: Tensor) -> None:
    narrow = scenes3d.cameras_scene(
        ring(2), joints[0], BODY17, labels=["left", "right"], size=(500, 1000)
    )
    assert [t.text[0] for t in narrow.data if "text" in t.mode] == ["left", "right"]
    whole = scenes3d.cameras_scene(ring(2), joints[0], BODY17)
    edges = [
        np.linalg.norm(np.diff(places(next(t for t in s.data if len(t.x) == 2)), axis=0))
        for s in (narrow, whole)
    ]
    assert edges[0] == pytest.approx(edges[1] / 2, rel=0.01)


def test_cameras_scene_says_what_does_not_fit(joints: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected \(C,\)"):
        scenes3d.cameras_scene(ring()[0], joints[0], BODY17)
    with pytest.raises(ValueError, match="1 labels for 3 cameras"):
        scenes3d.cameras_scene(ring(), joints[0], BODY17, labels=["one"])


def test_static_pictures_show_five_stills_or_one_scene(joints: Tensor) -> None:
    clip = scenes3d.static_picture(scenes3d.clip_player(joints, BODY17, title="A clip"))
    assert len(clip.axes) == 5
    titles = [axes.get_title(loc="center") for axes in clip.axes]
    assert titles[0] == "0.00 s" and len(set(titles)) == 5
    assert clip.get_suptitle() == "A clip"
    room = scenes3d.static_picture(scenes3d.cameras_scene(ring(), joints[0], BODY17))
    assert len(room.axes) == 1
    assert {"camera 0", "camera 2"} <= {text.get_text() for text in room.axes[0].texts}
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(png(room))).convert("L")))) > 5


def test_show3d_offers_a_scene_and_a_picture_of_modest_size(
    joints: Tensor, shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POSENB_FIGURES", str(tmp_path))
    longest = max(motion.load_motion().clips, key=len)
    scene = scenes3d.clip_player(longest.joints(), BODY17, longest.fps)
    scenes3d.show3d(scene, "Somebody moves.", name="start_here/clip")
    (bundle,) = shown
    assert set(bundle) == {scenes3d.MIMETYPE, "text/html", "text/plain"}
    assert 'alt="Somebody moves."' in bundle["text/html"]
    assert bundle["text/plain"] == "[picture: Somebody moves.]"
    assert len(json.dumps(bundle[scenes3d.MIMETYPE])) < 150_000
    assert len(bundle["text/html"]) < 200_000
    assert len(bundle[scenes3d.MIMETYPE]["frames"]) == 40
    saved = Image.open(tmp_path / "start_here/clip.png")
    assert 800 < saved.width < 2400 and 200 < saved.height < 1000


def test_show3d_needs_a_description(joints: Tensor, shown: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="alt is empty"):
        scenes3d.show3d(scenes3d.clip_player(joints[:2], BODY17), " ")
    assert not shown


def answers(joints: Tensor) -> tuple[Tensor, Tensor]:
    truth = (joints[0] - joints[0, :1]) * torch.tensor([1.0, -1.0, -1.0])  # as a camera sees it
    noise = torch.randn(3, 17, 3, generator=torch.Generator().manual_seed(0))
    return truth + 0.05 * noise, truth


def test_hypotheses_stand_upright_with_the_camera_in_front(joints: Tensor) -> None:
    hypotheses, truth = answers(joints)
    scene = scenes3d.hypotheses_scene(hypotheses, BODY17, 1, truth, "Three answers")
    by_name = {trace.name: places(trace) for trace in scene.data if trace.showlegend}
    assert list(by_name) == ["hypotheses", "chosen", "truth"]
    x, y, z = by_name["truth"].reshape(-1, 3, 3)[:, :2].transpose(2, 0, 1)
    wanted = truth[torch.tensor(BODY17.bones)]  # (bones, 2, 3)
    np.testing.assert_allclose(np.stack([x, -z, y], -1), wanted, atol=6e-4)
    thin = [trace for trace in scene.data if trace.name == "hypotheses"]
    np.testing.assert_array_equal(places(thin[1]), by_name["chosen"])
    assert len(thin) == 3 and scene.layout.title.text == "Three answers"
    ground = places(scene.data[1])
    assert np.nanmax(ground) < 3 and np.nanmin(ground[:, 2]) == np.nanmax(ground[:, 2])


def test_the_flat_picture_of_hypotheses_names_them(joints: Tensor) -> None:
    hypotheses, truth = answers(joints)
    scene = scenes3d.hypotheses_scene(hypotheses, BODY17, hypotheses.mean(0), truth)
    picture = scenes3d.static_picture(scene)
    assert [text.get_text() for text in picture.legends[0].get_texts()] == [
        "hypotheses",
        "chosen",
        "truth",
    ]
    lonely = scenes3d.hypotheses_scene(hypotheses[:1], BODY17)
    assert [t.name for t in lonely.data if t.showlegend] == ["hypotheses"]
    assert min(size(lonely)) > 200


def test_hypotheses_that_do_not_fit_are_refused(joints: Tensor) -> None:
    hypotheses, truth = answers(joints)
    with pytest.raises(ValueError, match="BODY17|body17"):
        scenes3d.hypotheses_scene(hypotheses[:, :16], BODY17)
    with pytest.raises(ValueError, match="BODY17|body17"):
        scenes3d.hypotheses_scene(hypotheses, BODY17, truth=truth[:, :2])
    with pytest.raises(ValueError, match="H > 0"):
        scenes3d.hypotheses_scene(hypotheses[:0], BODY17, truth=truth)
    with pytest.raises(ValueError, match="there are 3 hypotheses"):
        scenes3d.hypotheses_scene(hypotheses, BODY17, 3)
