"""MPI-INF-3DHP in its common npz files and in .mat, written by the tests of synthetic people."""

from __future__ import annotations

import logging
import os
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

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("/data/mpi_inf_3dhp_test_set/TS1", "TS1"),
        ("F:\\mpi\\mpi_inf_3dhp_test_set\\TS6", "TS6"),
        ("test_data\\TS2\\", "TS2"),
        ("TS1_copy/TS3/annot_data.mat", "TS3"),
        ("TS4.mat", "TS4"),
        ("ts5", "TS5"),
    ],
)
def test_keys_of_test_films_may_be_paths(name: str, view: str, tmp_path: Path) -> None:
    film = {**filmed(view, people()), "valid": np.ones(5)}
    (found,) = mpi_inf_3dhp.sequences(write(tmp_path / "data.npz", {name: film}))
    assert (found.subject, found.action, found.view) == (view, view, view)
    check(found, people())


@pytest.mark.parametrize(
    "name", ["S2 Seq1", "/data/3dhp/S2/Seq1", "D:\\3dhp\\S2\\Seq1\\", "S2_Seq1", "s2seq1"]
)
def test_keys_of_training_films_may_be_paths(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "data.npz", {name: [{"5": filmed("5", people())}, 25]})
    (found,) = mpi_inf_3dhp.sequences(path)
    assert (found.subject, found.action, found.view) == ("S2", "Seq1", "5")


def test_cameras_without_calibration_do_not_cost_the_others(tmp_path: Path, caplog: Any) -> None:
    views = {"0": filmed("0", people()), "12": filmed("0", people()), "2": filmed("2", people())}
    path = write(tmp_path / "data.npz", {"S1 Seq1": [views, 25]})
    assert [film.view for film in mpi_inf_3dhp.sequences(path)] == ["0", "2"]
    assert "without calibration: 12" in caplog.text


def cells(arrays: list[np.ndarray]) -> np.ndarray:
    """A cell array, n x 1."""
    made = np.empty((len(arrays), 1), object)
    for number, array in enumerate(arrays):
        made[number, 0] = array
    return made


@pytest.mark.parametrize("universal", [False, True])
def test_the_official_training_set(universal: bool, tmp_path: Path, caplog: Any) -> None:
    flat, deep, scaled = [], [], []
    place = [DHP28.joints.index(joint) for joint in DHP17.joints]
    for number in range(14):
        view = str(number) if number < 9 else "0"
        for out, key, scale in (
            (flat, "data_2d", 1),
            (deep, "data_3d", 1),
            (scaled, "data_3d", 1.3),
        ):
            seen = filmed(view, people(7), scale)[key]
            whole = np.full((5, 28, seen.shape[-1]), 9.0)
            whole[:, place] = seen
            out.append(whole.reshape(5, -1))
    arrays = {"annot2": cells(flat), "annot3": cells(deep), "univ_annot3": cells(scaled)}
    for take in ("S3/Seq2", "S3/Seq1"):
        (tmp_path / take).mkdir(parents=True)
        savemat(tmp_path / take / "annot.mat", arrays)
    found = list(mpi_inf_3dhp.sequences(tmp_path, universal))
    assert [(film.subject, film.action, film.view) for film in found] == [
        ("S3", take, str(view)) for take in ("Seq1", "Seq2") for view in range(9)
    ]
    assert "without calibration: 9, 10, 11, 12, 13" in caplog.text
    if not universal:
        for film in found:
            check(film, people(7))
            assert film.valid.all() and film.fps is None
    else:
        root, offset = people(7)[:, :1], people(7) - people(7)[:, :1]
        torch.testing.assert_close(
            found[3].joints3d[:, OTHERS], (root + 1.3 * offset)[:, OTHERS], atol=1e-4, rtol=0
        )
    only = list(mpi_inf_3dhp.sequences(tmp_path / "S3" / "Seq2" / "annot.mat", universal))
    assert len(only) == 9 and torch.equal(only[4].keypoints, found[13].keypoints)
    (tmp_path / "annot.mat").write_bytes((tmp_path / "S3" / "Seq2" / "annot.mat").read_bytes())
    with pytest.raises(DatasetError, match="folders that name its take, such as S1/Seq1"):
        list(mpi_inf_3dhp.sequences(tmp_path / "annot.mat"))
    for damage, why in [
        ({"annot3": cells(deep[:2])}, "'annot3' has shape"),
        ({"annot2": cells([part[:, :34] for part in flat])}, r"expected \(frames, 56\)"),
        ({"annot3": deep[0]}, "'annot3' must be a list"),
    ]:
        savemat(tmp_path / "S3" / "Seq1" / "annot.mat", {**arrays, **damage})
        with pytest.raises(DatasetError, match=why):
            list(mpi_inf_3dhp.sequences(tmp_path / "S3" / "Seq1" / "annot.mat"))


@pytest.mark.parametrize("data", [{}, {"S1 Seq1": [{}, 25]}])
def test_an_archive_without_a_film(data: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "data.npz", data)
    for read in (mpi_inf_3dhp.load, lambda p: list(mpi_inf_3dhp.sequences(p))):
        with pytest.raises(DatasetError, match="holds no film: was it made of an empty folder"):
            read(path)


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


def test_what_a_detector_did_not_find_is_masked_and_said_once(tmp_path: Path, caplog: Any) -> None:
    views = {view: filmed(view, people()) for view in VIEWS}
    wrist, head = DHP17.index("left_wrist"), DHP17.index("head_top")
    views["0"]["data_2d"][2, wrist] = 0
    views["0"]["data_2d"][3] = 0  # nobody found
    views["2"]["data_2d"][1, head] = 0  # and with it the nose, which is made of it
    views["8"]["data_2d"][0, wrist] = [5 * 2048, 100]  # far outside
    path = write(tmp_path / "data.npz", {"S1 Seq1": [views, 25]})
    first, second, third = mpi_inf_3dhp.sequences(path)
    assert (~first.visible).nonzero().tolist() == [
        [2, BODY17.index("left_wrist")],
        *[[3, joint] for joint in range(17)],
    ]
    assert (~second.visible).nonzero().tolist() == [[1, NOSE], [1, BODY17.index("head_top")]]
    assert (~third.visible).nonzero().tolist() == [[0, BODY17.index("left_wrist")]]
    assert first.valid.all() and second.valid.all() and third.valid.all()
    assert len(caplog.records) == 1 and "20 keypoints or joints, of 255 each" in caplog.text
    assert len(mpi_inf_3dhp.load(path)) == 14
    assert len(mpi_inf_3dhp.load(path, minimum_joints=17)) == 3 + 4 + 4


@pytest.mark.parametrize("value", [np.inf, 6e6, -6e6, 1e300, 2.6e3])
def test_joints_that_are_no_part_of_a_body_are_masked(
    value: float, tmp_path: Path, caplog: Any
) -> None:
    film = filmed("0", people())
    wrist, neck = DHP17.index("left_wrist"), DHP17.index("neck")
    film["data_3d"][2, wrist, 0] += value
    film["data_3d"][3, neck, 1] += value  # the spine and the nose are made of it
    film["data_3d"][4] = film["data_3d"][4, 14]  # all in one point
    found = next(
        iter(
            list(
                mpi_inf_3dhp.sequences(write(tmp_path / "data.npz", {"S1 Seq1": [{"0": film}, 25]}))
            )
        )
    )
    assert found.valid[:2].all() and not found.valid[4].any()
    assert (~found.valid[2]).nonzero().flatten().tolist() == [BODY17.index("left_wrist")]
    lost = [BODY17.joints[j] for j in (~found.valid[3]).nonzero().flatten().tolist()]
    assert lost == ["neck", "nose"]
    assert found.joints3d.isfinite().all() and found.joints3d.abs().max() < 10
    assert ("no part of a body" in caplog.text) and found.visible.all()


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
