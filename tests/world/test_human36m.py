"""Human3.6M in VideoPose3D's npz files, which the tests write themselves of synthetic people."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posenb.world import domains, skeletons
from posenb.world.datasets import DatasetError, films, human36m
from posenb.world.skeletons import BODY17, COCO17, MPII16

FRAMES = 6
LEFTS, RIGHTS = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
# the 32 joints of the file, in its own order; a dash is a joint that does not move
OFFICIAL = [
    *("pelvis", "right_hip", "right_knee", "right_ankle", "-", "-"),
    *("left_hip", "left_knee", "left_ankle", "-", "-", "-"),
    *("spine", "neck", "nose", "head_top", "-"),
    *("left_shoulder", "left_elbow", "left_wrist", "-", "-", "-", "-", "-"),
    *("right_shoulder", "right_elbow", "right_wrist", "-", "-", "-", "-"),
]


def people(seed: int = 0, frames: int = FRAMES) -> torch.Tensor:
    return domains.get("lab").sample(frames, seed).joints3d  # (F, 17, 3), y up


def official(joints: torch.Tensor) -> np.ndarray:
    """As the file has them: 32 joints, x and y on the ground, z up."""
    x, y, z = joints.unbind(-1)
    turned = torch.stack([x, -z, y], -1).numpy()
    array = np.full((len(joints), 32, 3), -7.0, dtype=np.float32)
    for place, joint in enumerate(OFFICIAL):
        if joint != "-":
            array[:, place] = turned[:, BODY17.index(joint)]
    return array


def content() -> dict[str, Any]:
    return {
        "S9": {"Walking 1": official(people(0)), "Sitting": official(people(1, 4))},
        "S1": {"Eating": official(people(2, 3))},
    }


def write(path: Path, takes: Any, name: str = "positions_3d", **more: Any) -> Path:
    np.savez_compressed(path, **{name: takes}, **more)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "data_3d_h36m.npz", content())


def test_films_of_four_cameras(file: Path) -> None:
    found = list(human36m.sequences(file))
    assert [len(film) for film in found] == [6] * 4 + [4] * 4 + [3] * 4
    first = found[0]
    assert (first.subject, first.action, first.view, first.fps) == (
        "S9",
        "Walking",
        "54138969",
        50.0,
    )
    assert first.source.endswith("data_3d_h36m.npz: S9/Walking 1/54138969")
    assert {film.view for film in found} == {"54138969", "55011271", "58860488", "60457274"}
    for film in found[:4]:
        # every joint by its name: left is left, the root is the pelvis, y is up, metres
        torch.testing.assert_close(film.joints3d, people(0), atol=1e-5, rtol=0)
        assert film.visible.all() and film.valid.all() and film.camera.shape == (6,)
        assert film.width == 1000 and (film.camera.center[:, 0] - 500).abs().max() < 20
        projected = film.camera.project(film.joints3d)
        torch.testing.assert_close(film.keypoints, projected, atol=0.02, rtol=0)
        assert (film.camera.to_camera(film.joints3d)[..., 2] > 2).all()
        # in the middle of the room, people are in the picture, and most stand on their feet
        assert (film.keypoints.mean(1) - 500).abs().max() < 350
        head, ankle = (film.keypoints[:, BODY17.index(j), 1] for j in ("head_top", "left_ankle"))
        assert (head < ankle).float().mean() > 0.5
    assert list(films(f"human36m:{file}"))[5].source == found[5].source
    only = list(human36m.sequences(file, subjects=("S1",)))
    assert len(only) == 4 and {film.subject for film in only} == {"S1"}


def test_published_cameras_stand_in_four_corners_and_look_inward() -> None:
    for subject in ("S1", "S5", "S6", "S7", "S8", "S9", "S11"):
        camera = human36m.camera(subject)
        rotation = camera.rotation
        torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).double().expand(4, 3, 3))
        assert (torch.linalg.det(rotation) > 0).all()  # no mirror, so left stays left
        position = camera.position
        assert ((position[:, 1] > 1.4) & (position[:, 1] < 1.7)).all()  # tripods
        assert (rotation[:, 1, 1] < -0.9).all()  # the picture's y points down in the world
        corners = {tuple(place) for place in position[:, [0, 2]].sign().tolist()}
        assert len(corners) == 4
        middle = torch.tensor([[0.0, 1.0, 0.0]]).double().expand(4, 1, 3)
        assert (camera.project(middle) - 500).abs().max() < 250
    with pytest.raises(ValueError, match="no calibration of 'S2'.*S1, S5, S6, S7, S8, S9, S11"):
        human36m.camera("S2")


def test_projection_is_that_of_the_data_set_to_a_pixel() -> None:
    """The two formulas in use, written out; they differ from OpenCV's in the tangential terms."""
    joints = people(3, 50).double()
    for camera in human36m.camera("S11"):
        k1, k2, p1, p2, k3 = camera.distortion.tolist()
        inside = camera.to_camera(joints)
        plane = inside[..., :2] / inside[..., 2:]
        square = plane.square().sum(-1, keepdim=True)
        radial = 1 + k1 * square + k2 * square**2 + k3 * square**3
        for terms, mean, most in [((p2, p1), 0.15, 1.0), ((p1, p2), 0.5, 3.0)]:
            tangent = plane.new_tensor(terms)  # Human3.6M's Matlab code; VideoPose3D
            bent = plane * (radial + (tangent * plane).sum(-1, keepdim=True)) + tangent * square
            error = (camera.project(joints) - bent * camera.focal - camera.center).norm(dim=-1)
            assert error.mean() < mean and error.max() < most


def keypoints_file(path: Path, order: str, extra: int = 0) -> Path:
    """A companion: the projections plus 3 pixels to the right, some films longer than the 3D."""
    takes: dict[str, dict[str, list[np.ndarray]]] = {}
    for film in human36m.sequences(path):
        _, take, _ = film.source.split(": ")[-1].split("/")
        pixels = film.keypoints + torch.tensor([3.0, 0.0])
        if order == "coco":
            pixels = skeletons.convert(pixels, BODY17, COCO17).keypoints.nan_to_num(5.0)
        pixels = torch.cat([pixels, pixels[:1].expand(extra, -1, -1)])
        takes.setdefault(film.subject, {}).setdefault(take, []).append(pixels.numpy())
    sides = [LEFTS, RIGHTS] if order == "h36m" else [list(range(1, 17, 2)), list(range(2, 17, 2))]
    metadata = {"layout_name": order, "num_joints": 17, "keypoints_symmetry": sides}
    companion = path.with_name(f"data_2d_h36m_{order}.npz")
    return write(companion, takes, "positions_2d", metadata=metadata)


@pytest.mark.parametrize("order", ["h36m", "coco"])
def test_companion_keypoints(order: str, file: Path) -> None:
    companion = keypoints_file(file, order, extra=2)
    plain = list(human36m.sequences(file))
    found = list(human36m.sequences(file, companion))
    for one, other in zip(found, plain, strict=True):
        assert one.source == other.source and len(one) == len(other)
        exact = [BODY17.index(joint) for joint in COCO17.joints if joint in BODY17.joints]
        shift = (one.keypoints - other.keypoints)[:, exact]
        torch.testing.assert_close(
            shift, torch.tensor([3.0, 0.0]).expand_as(shift), atol=1e-3, rtol=0
        )


@pytest.mark.parametrize("order", ["h36m", "coco"])
def test_a_third_column_is_the_score(order: str, file: Path, caplog: Any) -> None:
    companion = keypoints_file(file, order)
    with np.load(companion, allow_pickle=True) as content:
        takes, metadata = content["positions_2d"].item(), content["metadata"].item()
    skeleton = BODY17 if order == "h36m" else COCO17
    wrist, hip = skeleton.index("left_wrist"), skeleton.index("left_hip")
    for views in takes["S9"].values():
        views[:] = [np.concatenate([v, np.full((*v.shape[:2], 1), 0.9)], -1) for v in views]
    first = takes["S9"]["Walking 1"][0]
    first[0, wrist] = 0
    first[1, hip] = [510, 500, 0]  # a place, and nothing there
    first[2, wrist, 2] = np.nan
    first[3, wrist] = [0, 0, 0.7]  # in the corner, and sure of it
    write(companion, {"S9": takes["S9"]}, "positions_2d", metadata=metadata)
    film = list(human36m.sequences(file, companion, subjects=("S9",)))[0]
    lost = {
        frame: [BODY17.joints[j] for j in (~film.visible[frame]).nonzero()] for frame in range(6)
    }
    pelvis = ["pelvis"] if order == "coco" else []
    spine = ["spine"] if order == "coco" else []
    assert lost == {
        0: ["left_wrist"],
        1: [*pelvis, "left_hip", *spine],
        2: ["left_wrist"],
        3: ["left_wrist"],
        4: [],
        5: [],
    }
    assert "1 keypoints or joints" in caplog.text  # a score of 0 is no news
    poses = human36m.load(file, 17, keypoints=companion, subjects=("S9",))
    assert len(poses) == 4 * 10 - 4


def test_subjects_without_published_cameras_do_not_cost_the_others(
    tmp_path: Path, caplog: Any
) -> None:
    takes = {"S2": {"Sitting": official(people())}, **content()}
    found = list(human36m.sequences(write(tmp_path / "data.npz", takes)))
    assert {film.subject for film in found} == {"S9", "S1"}
    assert caplog.text.count("no calibration of 'S2'") == 1
    with pytest.raises(DatasetError, match="no calibration of 'S2'"):
        list(human36m.sequences(tmp_path / "data.npz", subjects=("S9", "S2")))


@pytest.mark.parametrize("takes", [{}, {"S9": {}}, {"S9": {}, "S11": {}}])
def test_an_archive_without_a_film(takes: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "data.npz", takes)
    for read in (human36m.load, lambda p: list(human36m.sequences(p))):
        with pytest.raises(DatasetError, match="holds no film: was it made of an empty folder"):
            read(path)


def test_poses_know_their_frames_and_squares(file: Path) -> None:
    poses = human36m.load(file, every=4, subjects=("S9",))
    films_ = list(human36m.sequences(file, subjects=("S9",)))
    assert poses.picture is not None
    for number, film, frame in ((0, 0, 0), (1, 0, 4), (3, 1, 4)):
        assert poses.picture[number] == f"{films_[film].source}, frame {frame}"
        torch.testing.assert_close(
            poses.pixels()[number], films_[film].keypoints[frame], atol=1e-2, rtol=0
        )


def test_poses_and_their_crops(file: Path) -> None:
    poses = human36m.load(file)
    assert len(poses) == 4 * 13 and poses.skeleton is BODY17 and poses.visible.all()
    assert poses.subject[0] == "S9" and poses.action[0] == "Walking"
    torch.testing.assert_close(
        poses.camera.project(poses.joints3d), poses.keypoints, atol=1e-4, rtol=0
    )
    low, high = poses.keypoints.amin(1), poses.keypoints.amax(1)
    torch.testing.assert_close((high - low).amax(1), torch.full((52,), 1 / 1.25))
    torch.testing.assert_close((high + low) / 2, torch.full((52, 2), 0.5))
    # what the camera sees is what a camera at the published place sees
    place = human36m.camera("S9").position[0].float()
    torch.testing.assert_close(poses.camera.position[0], place, atol=1e-4, rtol=0)
    assert len(human36m.load(file, every=4)) == 4 * (2 + 1 + 1)
    other = human36m.load(file, skeleton=MPII16, minimum_joints=16, subjects=("S1",))
    assert other.skeleton is MPII16 and len(other) == 12


def test_frames_that_are_nan_are_masked(tmp_path: Path) -> None:
    takes = content()
    takes["S9"]["Walking 1"][2] = np.nan
    takes["S9"]["Walking 1"][3, 13, 1] = np.inf  # the neck
    path = write(tmp_path / "data.npz", takes)
    film = next(human36m.sequences(path))
    assert not film.valid[2].any() and not film.visible[2].any()
    assert film.valid[3].sum() == 16 and not film.valid[3, BODY17.index("neck")]
    assert film.joints3d.isfinite().all() and film.keypoints.isfinite().all()
    assert (film.joints3d[2] == 0).all() and film.valid[[0, 1, 4, 5]].all()
    poses = human36m.load(path, minimum_joints=17)
    assert len(poses) == 4 * 11
    assert len(human36m.load(path)) == 4 * 12


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        ({"S9": {"Sitting": official(people())[:, :17]}}, "S9/Sitting", r"expected \(any, 32, 3\)"),
        ({"S9": {"Sitting": official(people())[:0]}}, "S9/Sitting", r"\(0, 32, 3\)"),
        ({"S9": {"Sitting": official(people()) * 1000}}, "S9/Sitting", "unit of length"),
        ({"S9": {"Sitting": official(people()) * np.nan}}, "S9/Sitting", "no frame"),
        ({"S9": {"Sitting": [["a"]]}}, "S9/Sitting", "array of numbers"),
        ({"S9": [official(people())]}, "positions_3d", "'S9' must be a dict, found list"),
        ({"S2": {"Sitting": official(people())}}, "positions_3d", "no calibration of 'S2'"),
        ([1, 2], "positions_3d", "expected subjects"),
    ],
)
def test_a_damaged_take_is_named(change: Any, where: str, why: str, tmp_path: Path) -> None:
    path = write(
        tmp_path / "data.npz", np.array(change, dtype=object) if change == [1, 2] else change
    )
    with pytest.raises(DatasetError, match=why) as caught:
        list(human36m.sequences(path))
    assert caught.value.path == path and caught.value.record == where


def test_a_companion_that_does_not_fit_is_refused(file: Path, tmp_path: Path) -> None:
    sides = {"keypoints_symmetry": [LEFTS, RIGHTS]}
    flat = [np.zeros((FRAMES, 17, 2), np.float32)] * 4
    short = [np.zeros((FRAMES - 1, 17, 2), np.float32)] * 4
    wide = [np.zeros((FRAMES, 18, 2), np.float32)] * 4
    for takes, metadata, why in [
        ({}, sides, "key 'S9' is missing"),
        ({"S9": {}}, sides, "key 'Walking 1' is missing"),
        ({"S9": {"Walking 1": flat[:0]}}, sides, "must be a list of items"),
        ({"S9": {"Walking 1": flat[:2]}}, sides, "key 2 is missing"),
        ({"S9": {"Walking 1": short}}, sides, "3D file has 6 frames"),
        ({"S9": {"Walking 1": wide}}, sides, "expected .any, 17, any."),
        ({"S9": {"Walking 1": flat}}, {"keypoints_symmetry": [[1, 2], [3]]}, "neither"),
        ({"S9": {"Walking 1": flat}}, {"keypoints_symmetry": 5}, "must be a list"),
        ({"S9": {"Walking 1": flat}}, {"keypoints_symmetry": [[[]]]}, "neither"),
        ({"S9": {"Walking 1": flat}}, {}, "keypoints_symmetry"),
    ]:
        path = write(tmp_path / "data_2d.npz", takes, "positions_2d", metadata=metadata)
        with pytest.raises(DatasetError, match=why):
            list(human36m.sequences(file, path))


def test_a_file_that_is_missing_damaged_or_hostile_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"prepare_data_h36m.*vision\.imar\.ro"):
        human36m.load(tmp_path / "nowhere.npz")
    with pytest.raises(DatasetError, match=r"data_2d_.*vision\.imar\.ro"):
        human36m.load(file, keypoints=tmp_path / "nowhere.npz")
    with pytest.raises(DatasetError, match="no entry 'positions_3d'; found poses"):
        human36m.load(write(tmp_path / "other.npz", content(), "poses"))
    with pytest.raises(DatasetError, match="key 'S7' is missing"):
        human36m.load(file, subjects=("S7",))
    whole = file.read_bytes()
    for share in (0.0, 0.3, 0.9):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DatasetError, match="cut off"):
            human36m.load(file)

    class Command:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'marker'}",)

    with pytest.raises(DatasetError, match="It was not run"):
        human36m.load(write(tmp_path / "hostile.npz", {"S9": Command()}))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"every": 0}, "every is 0"),
        ({"minimum_joints": 18}, "1 to 17"),
        ({"margin": 0.5}, "margin"),
    ],
)
def test_wrong_arguments_are_named(wrong: dict[str, Any], why: str, file: Path) -> None:
    with pytest.raises(ValueError, match=why):
        human36m.load(file, **wrong)


@pytest.mark.parametrize("name", ["s9", "S09", "9", 9, "Subject9", "subject_09", " S9 "])
def test_subjects_in_other_spellings(file: Path, tmp_path: Path, name: Any) -> None:
    wanted = list(human36m.sequences(file, subjects=("S9",)))
    path = write(tmp_path / "other.npz", {name: content()["S9"]})
    companion = write(
        tmp_path / "data_2d.npz",
        {name: {take: [np.full((6, 17, 2), 5.0)] * 4 for take in content()["S9"]}},
        "positions_2d",
        metadata={"keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]},
    )
    for keypoints in (None, companion):
        found = list(human36m.sequences(path, keypoints))
        assert [film.subject for film in found] == ["S9"] * len(wanted)
        torch.testing.assert_close(found[1].camera.translation, wanted[1].camera.translation)
        torch.testing.assert_close(found[5].joints3d, wanted[5].joints3d)
