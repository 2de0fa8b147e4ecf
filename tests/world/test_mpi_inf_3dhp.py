"""MPI-INF-3DHP in its common npz files and in .mat, written by the tests of synthetic people."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from posenb.world import domains
from posenb.world.cameras import Camera
from posenb.world.datasets import DatasetError, films, mpi_inf_3dhp
from posenb.world.skeletons import BODY17, DHP17, DHP28, convert

VIEWS = ("0", "2", "8")
NOSE = BODY17.index("nose")
OTHERS = [joint for joint in range(17) if joint != NOSE]


def people(seed: int = 0, frames: int = 5) -> torch.Tensor:
    return domains.get("stage").sample(frames, seed).joints3d  # (F, 17, 3), y up


def filmed(view: str, joints: torch.Tensor, scale: float = 1.0, ideal: bool = False) -> Any:
    """data_2d in pixels and data_3d in millimetres of the camera, root at joint 14."""
    camera = mpi_inf_3dhp.camera(view)
    if ideal:
        camera = Camera(camera.rotation, camera.translation, camera.focal, camera.center)
    official = convert(joints.double(), BODY17, DHP17).keypoints
    inside = camera.to_camera(official)
    root = inside[:, 14:15]
    return {
        "data_2d": camera.project(official).numpy(),
        "data_3d": (1000 * (root + scale * (inside - root))).numpy(),
    }


def train() -> dict[str, Any]:
    return {
        "S1 Seq1": [{view: filmed(view, people(0)) for view in VIEWS}, 25],
        "S3 Seq2": [{"7": filmed("7", people(1, 4))}, 50],
    }


def evaluation(frames: int = 5) -> dict[str, Any]:
    valid = np.array([1.0] * (frames - 1) + [0.0])
    return {f"TS{n}": {**filmed(f"TS{n}", people(n, frames)), "valid": valid} for n in range(1, 7)}


def write(path: Path, data: Any) -> Path:
    np.savez_compressed(path, data=data)
    return path


def check(film: Any, joints: torch.Tensor) -> None:
    """Joints by their names, y up, metres; the nose between neck and head_top."""
    torch.testing.assert_close(film.joints3d[:, OTHERS], joints[:, OTHERS], atol=1e-4, rtol=0)
    middle = (joints[:, BODY17.index("neck")] + joints[:, BODY17.index("head_top")]) / 2
    torch.testing.assert_close(film.joints3d[:, NOSE], middle, atol=1e-4, rtol=0)
    projected = film.camera.project(film.joints3d)
    torch.testing.assert_close(film.keypoints[:, OTHERS], projected[:, OTHERS], atol=0.05, rtol=0)
    assert (film.keypoints - projected).abs().max() < 5  # perspective moves a midpoint
    assert film.camera.shape == (len(film),) and film.visible.all()


def test_training_films(tmp_path: Path) -> None:
    path = write(tmp_path / "data_train_3dhp.npz", train())
    found = list(mpi_inf_3dhp.sequences(path))
    assert [(film.subject, film.action, film.view, film.fps) for film in found] == [
        ("S1", "Seq1", "0", 25),
        ("S1", "Seq1", "2", 25),
        ("S1", "Seq1", "8", 25),
        ("S3", "Seq2", "7", 50),
    ]
    for film in found[:3]:
        check(film, people(0))
        assert film.valid.all() and film.width == 2048
    check(found[3], people(1, 4))
    assert found[1].source.endswith("data_train_3dhp.npz: S1 Seq1/2")
    assert next(films(f"mpi_inf_3dhp:{path}")).source == found[0].source
    poses = mpi_inf_3dhp.load(path, minimum_joints=17)
    assert len(poses) == 3 * 5 + 4 and poses.skeleton is BODY17
    torch.testing.assert_close(
        poses.camera.project(poses.joints3d)[:, OTHERS],
        poses.keypoints[:, OTHERS],
        atol=1e-3,
        rtol=0,
    )
    assert poses.keypoints.min() >= 0 and poses.keypoints.max() <= 1
    assert len(mpi_inf_3dhp.load(path, every=3)) == 3 * 2 + 2


def test_the_root_is_the_pelvis_and_not_the_first_joint(tmp_path: Path) -> None:
    path = write(tmp_path / "data_train_3dhp.npz", train())
    film = next(mpi_inf_3dhp.sequences(path))
    raw = train()["S1 Seq1"][0]["0"]
    torch.testing.assert_close(film.keypoints[:, 0], torch.tensor(raw["data_2d"][:, 14]).float())
    head = torch.tensor(raw["data_2d"][:, 0]).float()
    torch.testing.assert_close(film.keypoints[:, BODY17.index("head_top")], head)
    right = torch.tensor(raw["data_2d"][:, 4]).float()
    torch.testing.assert_close(film.keypoints[:, BODY17.index("right_wrist")], right)


def test_28_joints(tmp_path: Path) -> None:
    seen = filmed("5", people(4))
    place = [DHP28.joints.index(joint) for joint in DHP17.joints]
    film = {key: np.full((5, 28, size), 9.0) for key, size in (("data_2d", 2), ("data_3d", 3))}
    for key in film:
        film[key][:, place] = seen[key]
    path = write(tmp_path / "data.npz", {"S2 Seq1": [{"5": film}, 25]})
    check(next(mpi_inf_3dhp.sequences(path)), people(4))


def test_test_films_and_their_invalid_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "data_test_3dhp.npz", evaluation())
    found = list(mpi_inf_3dhp.sequences(path))
    assert [film.subject for film in found] == [f"TS{n}" for n in range(1, 7)]
    for number, film in enumerate(found, 1):
        assert film.fps is None and film.visible.all()
        assert film.width == (1920 if number > 4 else 2048)
        assert (2 * film.camera.center[:, 0] - film.width).abs().max() < 50
        assert film.valid[:-1].all() and not film.valid[-1].any()
        assert (film.joints3d[-1] == 0).all()
        torch.testing.assert_close(
            film.joints3d[:-1, OTHERS], people(number)[:-1, OTHERS], atol=1e-4, rtol=0
        )
    assert found[5].camera.distortion is not None and found[0].camera.distortion is None
    assert len(mpi_inf_3dhp.load(path)) == 6 * 4
    # TS5 and TS6 with keypoints of an ideal lens: the camera that fits is taken
    ideal = {"TS6": {**filmed("TS6", people(6), ideal=True), "valid": np.ones(5)}}
    film = next(mpi_inf_3dhp.sequences(write(tmp_path / "ideal.npz", ideal)))
    assert film.camera.distortion is None
    check(film, people(6))


@pytest.mark.parametrize("universal", [False, True])
def test_the_official_test_set(universal: bool, tmp_path: Path, caplog: Any) -> None:
    for name in ("TS1", "TS5"):
        (tmp_path / name).mkdir()
        true = filmed(name, people(7))
        scaled = filmed(name, people(7), scale=1.3)
        arrays = {  # as Matlab has them: coordinates x joints x 1 x frames
            "annot2": true["data_2d"].transpose(2, 1, 0)[:, :, None],
            "annot3": true["data_3d"].transpose(2, 1, 0)[:, :, None],
            "univ_annot3": scaled["data_3d"].transpose(2, 1, 0)[:, :, None],
            "valid_frame": np.array([[1.0, 1, 0, 1, 1]]).T,
        }
        savemat(tmp_path / name / "annot_data.mat", arrays)
    with caplog.at_level(logging.WARNING):
        found = list(mpi_inf_3dhp.sequences(tmp_path, universal=universal))
    assert [film.view for film in found] == ["TS1", "TS5"]
    assert ("univ_annot3" in caplog.text) == universal
    valid = torch.tensor([True, True, False, True, True])
    for film in found:
        assert torch.equal(film.valid.all(1), valid)
        root, offset = people(7)[:, :1], people(7) - people(7)[:, :1]
        expected = root + (1.3 if universal else 1.0) * offset
        torch.testing.assert_close(
            film.joints3d[valid][:, OTHERS], expected[valid][:, OTHERS], atol=1e-4, rtol=0
        )
    one = list(mpi_inf_3dhp.sequences(tmp_path / "TS5" / "annot_data.mat", universal=universal))
    assert len(one) == 1 and torch.equal(one[0].joints3d, found[1].joints3d)


def test_published_cameras() -> None:
    for view in [*map(str, range(9)), "TS1", "TS4", "TS5", "TS6"]:
        camera = mpi_inf_3dhp.camera(view)
        torch.testing.assert_close(camera.rotation @ camera.rotation.mT, torch.eye(3).double())
        assert torch.linalg.det(camera.rotation) > 0  # no mirror, so left stays left
        assert camera.rotation[1, 1] < -0.8  # the picture's y points down in the world
        assert 0.5 < camera.position[1] < 3.5  # y up, metres
    # the test set's own calibration of the studio camera: position, up and right
    studio = mpi_inf_3dhp.camera("TS2")
    place = torch.tensor([3.42728, 1.38786, 0.30942]).double()
    torch.testing.assert_close(studio.position, place, atol=1e-4, rtol=0)
    right = torch.tensor([0.000575281, 0.0616098, -0.9981]).double()
    torch.testing.assert_close(studio.rotation[0], right, atol=1e-5, rtol=0)
    # a published example: frame 100 of S1 Seq1, camera 0, joint 0
    example = mpi_inf_3dhp.camera("0")
    seen = torch.tensor([[-0.0180923, 0.102071, 3.72617]]).double()
    world = (seen - example.translation) @ example.rotation
    expected = torch.tensor([[1017.43, 1092.4]]).double()
    torch.testing.assert_close(example.project(world), expected, atol=0.01, rtol=0)
    with pytest.raises(ValueError, match="camera '12'; known are 0 to 8 and TS1 to TS6"):
        mpi_inf_3dhp.camera("12")


def test_frames_that_are_nan_are_masked(tmp_path: Path) -> None:
    film = filmed("0", people(0))
    film["data_3d"][1] = np.nan
    film["data_2d"][2, 4] = np.nan  # the right wrist
    path = write(tmp_path / "data.npz", {"S1 Seq1": [{"0": film}, 25]})
    found = next(mpi_inf_3dhp.sequences(path))
    assert found.joints3d.isfinite().all() and found.keypoints.isfinite().all()
    assert not found.valid[1].any() and found.visible[1].all()
    assert not found.visible[2, BODY17.index("right_wrist")] and found.visible[2].sum() == 16
    poses = mpi_inf_3dhp.load(path)
    assert len(poses) == 4 and poses.visible.sum(1).tolist() == [17, 16, 17, 17]
    assert len(mpi_inf_3dhp.load(path, minimum_joints=17)) == 3


def relative(film: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**film, "data_3d": film["data_3d"] - film["data_3d"][:, 14:15]}


GOOD = filmed("0", people(0))


@pytest.mark.parametrize(
    ("data", "where", "why"),
    [
        ({"S1 Seq1": [{"0": relative(GOOD)}, 25]}, "S1 Seq1/0", "relative to the root"),
        (
            {"S1 Seq1": [{"0": {**GOOD, "data_3d": GOOD["data_3d"] / 1000}}, 25]},
            "S1 Seq1/0",
            "pelvis",
        ),
        (
            {"S1 Seq1": [{"0": {**GOOD, "data_3d": GOOD["data_3d"] * 9}}, 25]},
            "S1 Seq1/0",
            "unit of",
        ),
        (
            {"S1 Seq1": [{"0": {"data_2d": GOOD["data_2d"]}}, 25]},
            "S1 Seq1/0",
            "'data_3d' is missing",
        ),
        (
            {"S1 Seq1": [{"0": {**GOOD, "data_2d": GOOD["data_2d"][1:]}}, 25]},
            "S1 Seq1/0",
            "expected",
        ),
        (
            {"S1 Seq1": [{"0": {k: v[:, :16] for k, v in GOOD.items()}}, 25]},
            "S1 Seq1/0",
            "17 or 28 joints, found 16",
        ),
        ({"S1 Seq1": [{"12": GOOD}, 25]}, "S1 Seq1/12", "no calibration of camera '12'"),
        ({"S1 Seq1": [{"0": GOOD}, "25"]}, "S1 Seq1", "frames a second"),
        ({"S1 Seq1": [{"0": GOOD}]}, "S1 Seq1", "expected a film"),
        ({"S1": [{"0": GOOD}, 25]}, "S1", "expected a film"),
        ({"TS9": GOOD}, "TS9", "no calibration of camera 'TS9'"),
        ({"TS1": {**GOOD, "valid": np.ones(4)}}, "TS1", "'valid' has shape"),
        ({"S1 Seq1": [{"0": [1, 2]}, 25]}, "S1 Seq1/0", "expected an object"),
    ],
)
def test_a_damaged_film_is_named(data: Any, where: str, why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "data.npz", data)
    with pytest.raises(DatasetError, match=why) as caught:
        list(mpi_inf_3dhp.sequences(path))
    assert caught.value.path == path and caught.value.record == where


def test_a_mat_file_that_will_not_do_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "TS1" / "annot_data.mat"
    path.parent.mkdir()
    good = {
        "annot2": GOOD["data_2d"].transpose(2, 1, 0)[:, :, None],
        "annot3": GOOD["data_3d"].transpose(2, 1, 0)[:, :, None],
        "valid_frame": np.ones((5, 1)),
    }
    for change, why in [
        ({"annot3": None}, "key 'annot3' is missing"),
        ({"annot2": good["annot2"][:, :16]}, r"'annot2' has shape \(2, 16, 1, 5\)"),
        ({"annot3": good["annot3"].transpose(3, 2, 1, 0)}, r"'annot3' has shape \(5, 1, 17, 3\)"),
        ({"valid_frame": np.ones((4, 1))}, "'valid' has shape"),
    ]:
        savemat(
            path, {key: value for key, value in {**good, **change}.items() if value is not None}
        )
        with pytest.raises(DatasetError, match=why):
            mpi_inf_3dhp.load(path)
    savemat(path, good)
    whole = path.read_bytes()
    for length in (0, 100, 200, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match="cut off"):
            mpi_inf_3dhp.load(path)
    lost = tmp_path / "elsewhere" / "annot_data.mat"
    lost.parent.mkdir()
    lost.write_bytes(whole)
    with pytest.raises(DatasetError, match="folder named after its film"):
        mpi_inf_3dhp.load(lost)


# Stands in for h5py, whose datasets have the dimensions of Matlab's arrays in reverse order.
H5PY = """
import numpy
def File(path, mode):
    with open(path, "rb") as file:
        file.seek(512)
        return {name: array.T for name, array in numpy.load(file).items()}
"""


def test_the_official_hdf5_is_refused_with_a_command_that_converts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = filmed("TS1", people(7))
    arrays = {
        "annot2": true["data_2d"].transpose(2, 1, 0)[:, :, None],
        "annot3": true["data_3d"].transpose(2, 1, 0)[:, :, None],
        "univ_annot3": true["data_3d"].transpose(2, 1, 0)[:, :, None],
        "valid_frame": np.ones((5, 1)),
    }
    path = tmp_path / "set" / "TS1" / "annot_data.mat"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
        np.savez(file, **arrays)
    with pytest.raises(DatasetError, match="HDF5 .* h5py is installed") as caught:
        mpi_inf_3dhp.load(path)
    monkeypatch.chdir(tmp_path)
    Path("h5py.py").write_text(H5PY)
    command = shlex.split(str(caught.value).splitlines()[-1])
    assert command[0] == "python"
    subprocess.run([sys.executable, *command[1:]], check=True)
    (film,) = mpi_inf_3dhp.sequences(tmp_path / "set")
    check(film, people(7))
    (same,) = mpi_inf_3dhp.sequences(path.with_name("annot_data_v7.mat"))
    assert torch.equal(same.joints3d, film.joints3d)


def test_a_file_that_is_missing_damaged_or_hostile_is_refused(tmp_path: Path) -> None:
    for name in ("data_train_3dhp.npz", "annot_data.mat"):
        with pytest.raises(DatasetError, match=r"vcai\.mpi-inf\.mpg\.de/3dhp-dataset"):
            mpi_inf_3dhp.load(tmp_path / name)
    with pytest.raises(DatasetError, match="holds no TS1/annot_data.mat"):
        mpi_inf_3dhp.load(tmp_path)
    path = write(tmp_path / "data.npz", train())
    whole = path.read_bytes()
    for share in (0.0, 0.3, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DatasetError, match="cut off"):
            mpi_inf_3dhp.load(path)
    with pytest.raises(DatasetError, match="expected films, found ndarray"):
        mpi_inf_3dhp.load(write(path, np.arange(3)))

    class Command:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'marker'}",)

    with pytest.raises(DatasetError, match="It was not run"):
        mpi_inf_3dhp.load(write(path, {"TS1": Command()}))
    assert not (tmp_path / "marker").exists()
