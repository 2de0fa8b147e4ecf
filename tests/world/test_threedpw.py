"""3DPW's sequence files, written by the tests of synthetic people."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posenb.world import datasets, domains
from posenb.world.cameras import look_at
from posenb.world.datasets import DatasetError, films, threedpw
from posenb.world.skeletons import BODY17, COCO17, OPENPOSE18, SMPL24, convert

FRAMES = 6
UNKNOWN = [BODY17.index("nose"), BODY17.index("head_top")]
EXACT = [joint for joint in range(17) if joint not in (*UNKNOWN, BODY17.index("spine"))]


def people(person: int) -> torch.Tensor:
    joints = domains.get("outdoor").sample(FRAMES, person).joints3d  # (F, 17, 3), y up
    return joints + torch.tensor([2.0 * person, 0.0, 0.0])


def camera_poses() -> torch.Tensor:
    """A phone that is carried past them, world to camera, (F, 4, 4)."""
    way = torch.linspace(-1.0, 1.0, FRAMES)
    eye = torch.stack([way, torch.full_like(way, 1.6), torch.full_like(way, 6.0)], -1)
    rotation, translation = look_at(eye, torch.tensor([1.0, 1.0, 0.0]))
    poses = torch.eye(4).repeat(FRAMES, 1, 1)
    poses[:, :3, :3], poses[:, :3, 3] = rotation, translation
    return poses


def project(joints: torch.Tensor) -> torch.Tensor:
    """By homogeneous matrices, as the data set's read-me has it."""
    matrix = torch.tensor([[1961.0, 0.0, 540.0], [0.0, 1969.0, 960.0], [0.0, 0.0, 1.0]])
    whole = torch.cat([joints, torch.ones_like(joints[..., :1])], -1)
    seen = (whole @ camera_poses().mT)[..., :3] @ matrix.T
    return seen[..., :2] / seen[..., 2:]


def content() -> dict[str, Any]:
    """The keys of an official file; SMPL joints that BODY17 does not name are far away."""
    positions, detections = [], []
    for person in range(2):
        smpl = convert(people(person), BODY17, SMPL24).keypoints.nan_to_num(9.0)
        positions.append(smpl.reshape(FRAMES, 72).double().numpy())
        coco = convert(project(people(person)), BODY17, COCO17).keypoints
        found = convert(coco, COCO17, OPENPOSE18).keypoints  # (F, 18, 2)
        seen = ~found.isnan().any(-1, keepdim=True)
        seen[1] = False  # nobody was found
        seen[2, OPENPOSE18.index("left_wrist")] = False
        full = torch.cat([found, 0.7 * seen], -1).where(seen, 0.0)
        detections.append(full.mT.double().numpy())  # (F, 3, 18)
    return {
        "sequence": "downtown_walking_00",
        "jointPositions": positions,
        "poses2d": detections,
        "cam_poses": camera_poses().double().numpy(),
        "cam_intrinsics": np.array([[1961.0, 0, 540], [0, 1969.0, 960], [0, 0, 1]]),
        "campose_valid": [np.array([1, 1, 1, 0, 1, 1]), np.ones(FRAMES, int)],
        "genders": ["m", "f"],
        "betas": [np.zeros(10), np.zeros(10)],
        "img_frame_ids": np.arange(FRAMES),
    }


def write(path: Path, data: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(data, 2))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "test" / "downtown_walking_00.pkl", content())


def test_films_of_each_person_with_a_moving_camera(file: Path) -> None:
    found = list(threedpw.sequences(file))
    assert [film.subject for film in found] == [
        "downtown_walking_00 person 0",
        "downtown_walking_00 person 1",
    ]
    for person, film in enumerate(found):
        assert (film.action, film.view, film.fps) == ("downtown_walking_00", "phone", 30.0)
        assert film.width == 1080
        rows = [0, 1, 2, 4, 5] if person == 0 else list(range(FRAMES))
        assert film.valid[rows][:, EXACT].all() and not film.valid[:, UNKNOWN].any()
        assert person == 1 or not film.valid[3].any()  # the camera was not aligned
        # joints by their names: left is left, the root is the pelvis, y is up, metres
        torch.testing.assert_close(
            film.joints3d[rows][:, EXACT], people(person)[rows][:, EXACT], atol=1e-5, rtol=0
        )
        spine = (people(person)[:, 0] + people(person)[:, BODY17.index("neck")]) / 2
        torch.testing.assert_close(film.joints3d[rows, 7], spine[rows], atol=1e-5, rtol=0)
        torch.testing.assert_close(
            film.keypoints[rows][:, EXACT],
            project(people(person))[rows][:, EXACT],
            atol=0.02,
            rtol=0,
        )
        assert torch.equal(film.visible, film.valid) and film.joints3d.isfinite().all()
        torch.testing.assert_close(
            film.camera[rows].project(film.joints3d[rows])[:, EXACT],
            film.keypoints[rows][:, EXACT],
            atol=0.02,
            rtol=0,
        )
        assert (film.camera.position[rows, 1] - 1.6).abs().max() < 1e-4
    assert [film.source for film in films(f"threedpw:{file}")] == [film.source for film in found]
    assert found[1].source.endswith("downtown_walking_00.pkl: person 1")


def test_a_phone_on_its_side_has_wider_pictures(tmp_path: Path) -> None:
    matrix = np.array([[1961.0, 0, 960], [0, 1969.0, 540], [0, 0, 1]])
    path = write(tmp_path / "test" / "a.pkl", {**content(), "cam_intrinsics": matrix})
    assert next(threedpw.sequences(path)).width == 1920


def test_detections(file: Path) -> None:
    film = list(threedpw.sequences(file, detected=True))[1]
    assert not film.visible[1].any() and film.valid[1, EXACT].all()
    wrist = BODY17.index("left_wrist")
    assert film.visible[2].sum() == 16 and not film.visible[2, wrist]
    assert film.visible[0].all() and not film.valid[0, UNKNOWN].any()
    limbs = [BODY17.index(joint) for joint in COCO17.joints if joint in BODY17.joints]
    torch.testing.assert_close(
        film.keypoints[0, limbs], project(people(1))[0, limbs], atol=1e-2, rtol=0
    )
    assert film.keypoints.isfinite().all() and (film.keypoints[1] == 0).all()


def test_poses_and_their_crops(file: Path) -> None:
    poses = threedpw.load(file)
    assert len(poses) == 5 + 6 and poses.skeleton is BODY17
    assert (poses.visible.sum(1) == 15).all() and not poses.visible[:, UNKNOWN].any()
    assert (poses.keypoints[~poses.visible] == 0).all()
    assert (poses.joints3d[~poses.visible] == 0).all()
    torch.testing.assert_close(
        poses.camera.project(poses.joints3d)[poses.visible],
        poses.keypoints[poses.visible],
        atol=1e-4,
        rtol=0,
    )
    assert poses.keypoints.min() >= 0 and poses.keypoints.max() <= 1
    with pytest.raises(
        DatasetError, match="nobody has all 17 joints of BODY17 visible; the most is 15"
    ):
        threedpw.load(file, minimum_joints=17)
    flat = threedpw.load(file, minimum_joints=17, detected=True)
    assert len(flat) == 2 * 4 and flat.joints3d is None and flat.camera is None
    assert len(datasets.full_poses(f"threedpw:{file}")) == 2  # one a second


def test_a_folder_of_files(file: Path, tmp_path: Path) -> None:
    other = {**content(), "sequence": "courtyard_00"}
    write(tmp_path / "train" / "courtyard_00.pkl", other)
    assert len(list(threedpw.sequences(tmp_path))) == 4
    assert len(list(threedpw.sequences(tmp_path / "train"))) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"holds no \.pkl file\. sequenceFiles\.zip"):
        threedpw.load(tmp_path / "empty")


def test_frames_that_are_nan_are_masked(tmp_path: Path) -> None:
    data = content()
    data["jointPositions"][1][2] = np.nan
    data["cam_poses"][4] = np.nan
    data["poses2d"][1][0, 0, 1] = np.nan  # the neck
    path = write(tmp_path / "a.pkl", data)
    film = list(threedpw.sequences(path))[1]
    assert not film.valid[[2, 4]].any() and not film.visible[[2, 4]].any()
    for value in (film.joints3d, film.keypoints, film.camera.rotation, film.camera.translation):
        assert value.isfinite().all()
    found = list(threedpw.sequences(path, detected=True))[1]
    assert not found.visible[0, BODY17.index("neck")] and found.visible[0, 1]
    assert len(threedpw.load(path)) == (5 - 1) + (6 - 2)


def test_what_no_camera_saw_is_masked_and_said_once(tmp_path: Path, caplog: Any) -> None:
    data = content()
    wrist = SMPL24.index("left_wrist")
    joints = data["jointPositions"][0].reshape(FRAMES, 24, 3)
    joints[0, wrist] += [6000.0, 0, 0]  # no part of a body
    place = -camera_poses()[:, :3, :3].mT @ camera_poses()[:, :3, 3:]  # (F, 3, 1)
    away = torch.from_numpy(joints[1, 0]) - place[1, :, 0]
    joints[1] -= away.numpy()  # the phone is in somebody's pelvis
    data["cam_poses"][2, :3, 3] = 1e300
    data["cam_poses"][4, 0, 0] = 5.0  # no rotation
    data["poses2d"][0][5, :2, OPENPOSE18.index("right_elbow")] = [30000, 5]
    path = write(tmp_path / "a.pkl", data)
    film = next(iter(list(threedpw.sequences(path))))
    assert len(caplog.records) == 1
    assert not film.valid[[2, 4]].any() and not film.visible[[2, 4]].any()
    assert not film.valid[0, BODY17.index("left_wrist")] and film.valid[0].sum() == 14
    depth = film.camera.to_camera(film.joints3d)[1, :, 2]
    assert (depth[film.valid[1]] < 0).any() and film.valid[1].sum() == 15
    assert not film.visible[1, depth <= 0.1].any()
    for value in (film.joints3d, film.keypoints, film.camera.translation, film.camera.rotation):
        assert value.isfinite().all() and value.abs().max() < 1e5
    assert film.keypoints.abs().max() <= 4 * 1920
    found = next(iter(list(threedpw.sequences(path, detected=True))))
    assert not found.visible[5, BODY17.index("right_elbow")] and found.visible[5].sum() == 16
    poses = threedpw.load(path)
    assert poses.joints3d is not None and poses.joints3d.abs().max() < 100


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in content().items() if name != key}


@pytest.mark.parametrize(
    ("data", "where", "why"),
    [
        (without("sequence"), "file", "'sequence' is missing"),
        (without("jointPositions"), "file", "'jointPositions' is missing"),
        (without("cam_poses"), "person 0", "'cam_poses' is missing"),
        (without("cam_intrinsics"), "person 0", "'cam_intrinsics' is missing"),
        (without("campose_valid"), "file", "'campose_valid' is missing"),
        ({**content(), "jointPositions": []}, "file", "must be a list of items"),
        ({**content(), "jointPositions": "ab"}, "file", "must be a list of items"),
        ({**content(), "jointPositions": [np.zeros((6, 69))]}, "person 0", r"expected \(any, 72\)"),
        ({**content(), "jointPositions": [np.zeros((5, 72))]}, "person 0", r"expected \(5, 4, 4\)"),
        ({**content(), "campose_valid": [np.ones(6)]}, "person 1", "key 1 is missing"),
        ({**content(), "cam_intrinsics": np.zeros((3, 3))}, "person 0", "no camera's"),
        ({**content(), "cam_intrinsics": np.full((3, 3), np.nan)}, "person 0", "no camera's"),
        ({**content(), "cam_poses": np.ones((6, 4, 4))}, "person 0", "no camera's"),
        (
            {**content(), "jointPositions": [1000 * p for p in content()["jointPositions"]]},
            "person 0",
            "unit of length",
        ),
        ([1, 2], "file", "expected an object with key 'sequence'"),
    ],
)
def test_a_damaged_file_is_named(data: Any, where: str, why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", data)
    with pytest.raises(DatasetError, match=why) as caught:
        list(threedpw.sequences(path))
    assert caught.value.path == path and caught.value.record == where


def test_detections_are_wanted_only_where_they_are_used(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", without("poses2d"))
    assert len(list(threedpw.sequences(path))) == 2
    with pytest.raises(DatasetError, match="'poses2d' is missing"):
        list(threedpw.sequences(path, detected=True))
    seventeen = [found[:, :, :17] for found in content()["poses2d"]]
    path = write(tmp_path / "a.pkl", {**content(), "poses2d": seventeen})
    with pytest.raises(DatasetError, match=r"0 has shape \(6, 3, 17\), expected \(6, 3, 18\)"):
        list(threedpw.sequences(path, detected=True))


def test_a_file_that_is_missing_truncated_or_hostile_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"virtualhumans\.mpi-inf\.mpg\.de/3DPW.*non-commercial"):
        threedpw.load(tmp_path / "nowhere.pkl")
    whole = file.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.99):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DatasetError, match="cut off"):
            threedpw.load(file)

    class Command:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'marker'}",)

    for data in (Command(), {**content(), "genders": Command()}):
        with pytest.raises(DatasetError, match="It was not run"):
            threedpw.load(write(tmp_path / "hostile.pkl", data))
    assert not (tmp_path / "marker").exists()
