from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from posenb import assets
from posenb.build import clip as clip_asset
from posenb.world import clips
from posenb.world.cameras import Camera, look_at
from posenb.world.clips import VALID_PIXELS, RealClip, load_real_clip
from posenb.world.skeletons import BODY17
from posenb.world.triangulation import triangulate


@pytest.fixture(scope="module")
def clip() -> RealClip:
    return load_real_clip()


def detections(clip: RealClip) -> tuple[Tensor, Tensor, Camera]:
    """Keypoints (NaN where nothing was found), confidence, and the cameras in original pixels."""
    pixel = clip.pixel[:, None]
    cameras = replace(
        clip.cameras, focal=clip.cameras.focal * pixel, center=clip.cameras.center * pixel
    )
    seen = clip.confidence[..., None] > 0
    keypoints = torch.where(seen, clip.keypoints * pixel[:, None, None], torch.nan)
    return keypoints, clip.confidence, cameras


def projected(cameras: Camera, joints: Tensor) -> Tensor:
    return cameras.project(joints.flatten(0, 1)).unflatten(1, joints.shape[:2])  # (C, T, 17, 2)


def length(joints: Tensor, start: str, end: str) -> Tensor:
    return (joints[:, BODY17.index(start)] - joints[:, BODY17.index(end)]).norm(dim=-1)  # (T,)


def test_four_views_of_a_hundred_frames(clip: RealClip) -> None:
    assert len(clip) == 100 and clip.fps == 60 and clip.skeleton is BODY17
    assert clip.images.shape == (4, 100, 3, 256, 256)
    assert clip.images.min() >= 0 and 0.9 < clip.images.max() <= 1
    assert clip.keypoints.shape == (4, 100, 17, 2)
    assert clip.joints3d.shape == (100, 17, 3) and clip.joints3d.isfinite().all()
    assert clip.cameras.shape == (4,) and clip.cameras.distortion is not None
    for field in (clip.confidence, clip.reprojection_error, clip.valid):
        assert field.shape == (4, 100, 17)
    assert clip.keypoints.isfinite().all()
    assert clip.confidence.min() == 0 and clip.confidence.max() <= 1
    assert clip.valid.dtype == torch.bool


def test_pictures_are_in_colour_and_upright(clip: RealClip) -> None:
    """His cap is teal, and it is above his neck."""
    place = projected(clip.cameras, clip.joints3d)
    head, neck = (place[:, :, BODY17.index(joint)] for joint in ("head_top", "neck"))
    middle = (0.75 * head + 0.25 * neck).long()
    for view in range(4):
        x, y = middle[view].unbind(-1)
        red, green, blue = clip.images[view][torch.arange(100), :, y, x].median(0).values
        assert blue > red + 0.1 and green > red + 0.1
    assert (head[..., 1] < neck[..., 1]).float().mean() > 0.9


def test_the_asset_is_small() -> None:
    assert (assets.FOLDER / clip_asset.ASSET).stat().st_size < 8_000_000


def test_cameras_project_joints_onto_detections(clip: RealClip) -> None:
    distance = (projected(clip.cameras, clip.joints3d) - clip.keypoints).norm(dim=-1)
    found = clip.confidence > 0
    torch.testing.assert_close(
        (distance * clip.pixel[:, None, None])[found],
        clip.reprojection_error[found],
        atol=0.01,
        rtol=0,
    )
    assert clip.reprojection_error[~found].isnan().all()
    assert distance[found].median() < 2 and distance[clip.valid].max() < 7  # pixels of 256
    inside = ((clip.keypoints >= 0) & (clip.keypoints <= 256)).all(-1)
    expected = found & inside & (clip.reprojection_error < VALID_PIXELS)
    assert torch.equal(clip.valid, expected)
    assert (clip.cameras.to_camera(clip.joints3d.flatten(0, 1))[..., 2] > 2).all()


def test_reprojection_figures_of_the_calibration_and_after_correction(clip: RealClip) -> None:
    """Median errors measured before: 12.5 pixels of 1920, 7.3 without a constant a camera."""
    keypoints, confidence, cameras = detections(clip)
    calibrated = replace(cameras, center=cameras.center - clip.offset)
    found = triangulate(calibrated, keypoints, confidence)
    assert found.error.nanmedian().item() == pytest.approx(12.5, abs=1)
    residual = keypoints - projected(calibrated, found.points)  # (C, T, 17, 2)
    constant = residual.flatten(1, 2).nanmedian(1).values[:, None, None]
    assert (residual - constant).norm(dim=-1).nanmedian().item() == pytest.approx(7.3, abs=0.5)
    assert clip.reprojection_error.nanmedian().item() == pytest.approx(7.3, abs=0.5)


def test_only_one_camera_was_moved(clip: RealClip) -> None:
    """Without the third, the calibration fits; with it, that camera is far off."""
    keypoints, confidence, cameras = detections(clip)
    calibrated = replace(cameras, center=cameras.center - clip.offset)
    still = clip_asset.STILL
    found = triangulate(calibrated[torch.tensor(still)], keypoints[still], confidence[still])
    assert found.error.nanmedian() < 8
    error = (projected(calibrated, found.points) - keypoints).norm(dim=-1)
    assert error[clip_asset.MOVED].nanmedian() > 30
    assert clip.offset.norm(dim=-1).argmax() == clip_asset.MOVED
    assert clip.offset[still].norm(dim=-1).max() < 7


def test_joints_are_what_the_detections_give(clip: RealClip) -> None:
    keypoints, confidence, cameras = detections(clip)
    found = triangulate(cameras, keypoints, confidence)
    distance = (found.points - clip.joints3d).norm(dim=-1)
    assert distance.median() < 1e-4 and distance.quantile(0.99) < 2e-3


def test_most_detections_are_valid_and_guesses_from_behind_are_not(clip: RealClip) -> None:
    share = clip.valid.float().mean(1)  # (C, 17)
    assert share.mean() > 0.93
    assert (share.mean(1) > torch.tensor([0.97, 0.97, 0.88, 0.92])).all()
    nose = share[:, BODY17.index("nose")]
    assert nose[:2].min() > 0.9 and nose[2:].max() < 0.5  # two cameras see his back


def test_wrists_are_worst_of_the_limbs(clip: RealClip) -> None:
    limbs = [j for j, name in enumerate(BODY17.joints) if name.startswith(("left", "right"))]
    known = clip.reprojection_error.nan_to_num(0).flatten(0, 1)[:, limbs]
    worst = known.quantile(0.95, dim=0).argmax()
    assert BODY17.joints[limbs[int(worst)]] in ("right_wrist", "left_wrist")


def test_bones_are_a_mans_and_stay_as_long_as_they_are(clip: RealClip) -> None:
    expected = {("hip", "knee"): 0.42, ("knee", "ankle"): 0.39}
    for (start, end), metres in expected.items():
        sides = [length(clip.joints3d, f"{s}_{start}", f"{s}_{end}") for s in ("left", "right")]
        for side in sides:
            assert side.median().item() == pytest.approx(metres, abs=0.025)
            spread = 1.4826 * (side - side.median()).abs().median()
            assert spread / side.median() < 0.05
            assert side.std() / side.mean() < 0.05
        both = torch.stack(sides).mean(0)
        assert both.std() / both.mean() < 0.03
    assert length(clip.joints3d, "left_shoulder", "right_shoulder").std() < 0.01
    step = (clip.joints3d[1:] - clip.joints3d[:-1]).norm(dim=-1)
    assert step.median() < 0.03  # metres in a sixtieth of a second


def test_the_world_stands_upright(clip: RealClip) -> None:
    up = clip.joints3d[..., 1].mean(0)  # (17,)
    ankles = up[[BODY17.index("left_ankle"), BODY17.index("right_ankle")]]
    assert 1.2 < up[BODY17.index("head_top")] < 1.8
    assert (ankles > 0.05).all() and (ankles < 0.5).all()
    assert ((clip.cameras.position[:, 1] > 1.5) & (clip.cameras.position[:, 1] < 2.5)).all()


def test_the_background_stands_still(clip: RealClip) -> None:
    place = projected(clip.cameras, clip.joints3d)
    line = torch.arange(256) + 0.5
    for view in range(4):
        low, high = place[view].amin(1) - 32, place[view].amax(1) + 32  # (T, 2)
        x = (line > low[:, :1]) & (line < high[:, :1])  # (T, 256)
        y = (line > low[:, 1:]) & (line < high[:, 1:])
        outside = ~(y[:, :, None] & x[:, None])[::5]  # (20, 256, 256)
        frames = clip.images[view, ::5]
        change = (frames - frames.median(0).values).abs().mean(1)[outside]
        assert change.median() < 0.01 and (change > 0.1).float().mean() < 0.01


def test_views_stride_and_size_choose_and_scale(clip: RealClip) -> None:
    some = load_real_clip(views=[3, 0], stride=30, size=64)
    assert some.images.shape == (2, 4, 3, 64, 64) and len(some) == 4 and some.fps == 2
    whole = clip.images[[3, 0]][:, ::30]
    averaged = whole.unflatten(-1, (64, 4)).unflatten(-3, (64, 4)).mean((-1, -3))
    torch.testing.assert_close(some.images, averaged, atol=1e-5, rtol=0)
    torch.testing.assert_close(some.keypoints * 4, clip.keypoints[[3, 0]][:, ::30])
    torch.testing.assert_close(some.pixel, clip.pixel[[3, 0]] * 4)
    torch.testing.assert_close(some.joints3d, clip.joints3d[::30])
    torch.testing.assert_close(
        projected(some.cameras, some.joints3d) * 4,
        projected(clip.cameras, clip.joints3d)[[3, 0]][:, ::30],
        atol=1e-3,
        rtol=0,
    )
    assert torch.equal(some.valid, clip.valid[[3, 0]][:, ::30])
    torch.testing.assert_close(
        some.reprojection_error, clip.reprojection_error[[3, 0]][:, ::30], equal_nan=True
    )
    assert len(load_real_clip(stride=100, size=16)) == 1


def test_changing_a_clip_changes_no_other() -> None:
    first = load_real_clip(stride=50, size=16)
    for field in (first.images, first.keypoints, first.joints3d, first.confidence, first.offset):
        field.zero_()
    second = load_real_clip(stride=50, size=16)
    assert second.images.any() and second.keypoints.any() and second.joints3d.any()
    assert second.confidence.any() and second.offset.any()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"views": []}, "no views were chosen: name some of 0 to 3"),
        ({"views": [0, 4]}, r"views are 0 to 3, found \[0, 4\]"),
        ({"views": [-1]}, "views are 0 to 3"),
        ({"stride": 101}, "100 frames: a stride is 1 to 100, found 101"),
        ({"stride": 0}, "a stride is 1 to 100, found 0"),
        ({"size": 257}, "16 to 256 pixels high, found size 257"),
    ],
)
def test_what_there_is_not_is_an_error(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_real_clip(**wanted)  # type: ignore[arg-type]


def test_keypoints_outside_the_picture_are_invalid_and_not_clipped(
    monkeypatch: pytest.MonkeyPatch, clip: RealClip
) -> None:
    """The same asset with windows further right: what they cut off stays where it was found."""
    data = clips._read()
    moved = data | {"corner": data["corner"] + torch.tensor([300.0, 0.0])}
    monkeypatch.setattr(clips, "_read", lambda: moved)
    cut = load_real_clip(stride=10, size=256)
    shift = torch.zeros(4, 1, 1, 2)
    shift[..., 0] = (300 / clip.pixel)[:, None, None]
    found = cut.confidence > 0
    expected = (clip.keypoints[:, ::10] - shift)[found]
    torch.testing.assert_close(cut.keypoints[found], expected, atol=1e-3, rtol=0)
    outside = found & (cut.keypoints[..., 0] < 0)
    assert outside.any() and not cut.valid[outside].any()
    assert torch.equal(cut.valid[found & ~outside], clip.valid[:, ::10][found & ~outside])


@pytest.fixture
def own_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for assets with the real manifest; nothing of it is remembered afterwards."""
    manifest = (assets.FOLDER / "manifest.json").read_bytes()
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    assets.write_atomically(tmp_path / "manifest.json", manifest)
    clips._read.cache_clear()
    yield tmp_path
    clips._read.cache_clear()


def test_an_altered_asset_is_refused(own_assets: Path) -> None:
    data = (Path(assets.__file__).parent / clip_asset.ASSET).read_bytes()
    assets.write_atomically(own_assets / clip_asset.ASSET, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"balancing\.npz is altered: expected sha256"):
        load_real_clip()
    (own_assets / clip_asset.ASSET).unlink()
    with pytest.raises(ValueError, match=r"balancing\.npz is missing"):
        load_real_clip()


def test_loading_is_quick_and_keeps_no_more_than_it_shows() -> None:
    clips._read.cache_clear()
    begin = time.process_time()
    small = load_real_clip(stride=4, size=128)
    assert time.process_time() - begin < 20  # 2 s on an idle core
    for field in (small.images, small.keypoints, small.joints3d):
        assert field.untyped_storage().nbytes() == field.nbytes
    assert small.images.nbytes < 20_000_000
    kept = sum(tensor.untyped_storage().nbytes() for tensor in clips._read().values())
    assert kept < 80_000_000


# Making the asset again


def studio() -> Camera:
    angle = torch.tensor([0.4, 1.6, 3.3, 4.7], dtype=torch.float64)
    eye = torch.stack([4 * angle.sin(), torch.full_like(angle, 2.0), 4 * angle.cos()], -1)
    rotation, translation = look_at(eye, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    focal = torch.tensor([1680.0, 1680.0], dtype=torch.float64)
    return Camera(rotation, translation, focal, torch.tensor([544.0, 960.0]).double())


def seen(camera: Camera, joints: Tensor) -> Tensor:
    return torch.cat([camera.project(joints), torch.full_like(joints[:, :1], 0.7)], -1)


def test_the_same_person_is_chosen_whatever_the_order() -> None:
    cameras, random = studio(), torch.Generator().manual_seed(0)
    actor = torch.rand(25, 3, generator=random).double() - torch.tensor([0.5, 0.0, 0.5])
    passer = torch.rand(25, 3, generator=random).double() + torch.tensor([0.7, 0.0, 0.3])
    people: list[list[Tensor]] = [[] for _ in range(4)]
    expected = torch.zeros(4, 12, dtype=torch.long)
    for t in range(12):
        actor = actor + 0.01
        for c in range(4):
            listed = [seen(cameras[c], actor)]
            if c < 2:  # the others do not see the passer-by
                place = (t + c) % 2
                listed.insert(1 - place, seen(cameras[c], passer))
                expected[c, t] = place
            if c == 0 and t == 5:
                listed.append(torch.zeros(25, 3).double())
            people[c].append(torch.stack(listed))
    chosen = clip_asset.choose(cameras, people)
    assert torch.equal(chosen, expected)


def test_what_is_exact_and_what_is_a_mean() -> None:
    found = torch.rand(5, 25, 3, generator=torch.Generator().manual_seed(1))
    found[0, 11] = torch.tensor([torch.nan, torch.nan, 0.0])  # left hip
    keypoints, confidence = clip_asset.to_body17(found)
    exact = {"nose": 0, "head_top": 18, "left_shoulder": 5, "right_wrist": 10, "right_ankle": 16}
    for joint, source in exact.items():
        torch.testing.assert_close(keypoints[:, BODY17.index(joint)], found[:, source, :2])
        torch.testing.assert_close(confidence[:, BODY17.index(joint)], found[:, source, 2])
    hips, shoulders = found[:, 11:13].mean(1), found[:, 5:7].mean(1)
    for joint, mean in (("pelvis", hips), ("neck", shoulders), ("spine", (hips + shoulders) / 2)):
        torch.testing.assert_close(keypoints[:, BODY17.index(joint)], mean[:, :2], equal_nan=True)
        torch.testing.assert_close(confidence[1:, BODY17.index(joint)], mean[1:, 2])
    for joint in ("left_hip", "pelvis", "spine"):
        assert confidence[0, BODY17.index(joint)] == 0


def test_a_moved_camera_is_set_right() -> None:
    cameras, random = studio(), torch.Generator().manual_seed(2)
    joints = torch.rand(20, 17, 3, generator=random).double() - 0.5
    joints[..., 1] += 1
    shift = torch.zeros(4, 2, dtype=torch.float64)
    shift[clip_asset.MOVED] = torch.tensor([30.0, -18.0])
    keypoints = projected(cameras, joints) + shift[:, None, None]
    offset = clip_asset.correct(cameras, keypoints, torch.ones(4, 20, 17).double())
    torch.testing.assert_close(offset, shift, atol=0.05, rtol=0)


def test_windows_hold_the_man_and_stay_in_the_picture() -> None:
    cameras = studio()
    joints = torch.rand(9, 17, 3, generator=torch.Generator().manual_seed(3)).double()
    corner, side = clip_asset.windows(cameras, joints)
    border = torch.tensor([clip_asset.WIDTH, clip_asset.HEIGHT])
    assert (corner >= 0).all() and (corner + side[:, None] <= border).all()
    place = projected(cameras, joints)
    visible = ((place >= 0) & (place <= border)).all(-1)
    low, high = corner[:, None, None], (corner + side[:, None])[:, None, None]
    assert visible.any() and ((place >= low) & (place <= high)).all(-1)[visible].all()


def test_a_mosaic_hides_a_disc_and_nothing_else() -> None:
    frame = np.random.default_rng(4).integers(0, 256, (1920, 1088, 3), dtype=np.uint8)
    frame = cv2.GaussianBlur(frame, (0, 0), 6)
    frame = cv2.normalize(frame, None, 0, 255, cv2.NORM_MINMAX)
    corner, disc = torch.tensor([32, 200]), (500.0, 700.0, 150.0)
    plain, hidden = (
        cv2.imdecode(
            np.frombuffer(clip_asset._encode(frame, corner, 1024, faces), np.uint8),
            cv2.IMREAD_COLOR,
        ).astype(float)
        for faces in ([], [disc])
    )
    y, x = np.mgrid[:256, :256] * 4 + 2
    inside = np.hypot(x + 32 - 500, y + 200 - 700)
    changed = np.abs(plain - hidden).mean(-1)
    assert changed[inside < 140].mean() > 10 and changed[inside > 200].mean() < 0.5
    squares = hidden.reshape(32, 8, 32, 8, 3)[:, 2:6, :, 2:6]  # their middles, 4 x 4 pixels
    whole = inside.reshape(32, 8, 32, 8).max((1, 3)) < 140
    assert squares.std((1, 3))[whole].max() < 6  # one colour each, but for JPEG's chroma


CAMERA = """<camera><transform r11="1" r12="0" r13="0" r21="0" r22="0" r23="1" r31="0" r32="-1"
r33="0" x="1000" y="-4000" z="2000"/><intrinsic centerPointU="34784" centerPointV="61408"
focalLengthU="107520" focalLengthV="107520" radialDistortion1="-0.05" radialDistortion2="0.14"
radialDistortion3="0" tangentalDistortion1="0.001" tangentalDistortion2="0.002"/></camera>"""


def test_a_calibration_is_brought_to_our_frames(tmp_path: Path) -> None:
    """A camera 4 m in front (-y), 2 m up, looks along +y with z up."""
    file = tmp_path / "Calib.qca.txt"
    file.write_text(f"<calibration><cameras>{CAMERA * 4}</cameras></calibration>")
    camera = clip_asset.read_calibration(file)[0]
    torch.testing.assert_close(camera.position, torch.tensor([1.0, 2.0, 4.0]).double())
    torch.testing.assert_close(camera.focal, torch.tensor([1680.0, 1680.0]).double())
    torch.testing.assert_close(camera.center, torch.tensor([544.0, 960.0]).double())
    points = torch.tensor([[1.0, 2.0, 0.0], [2.0, 3.0, 0.0]]).double()
    pixels = replace(camera, distortion=None).project(points)
    torch.testing.assert_close(pixels, torch.tensor([[544.0, 960.0], [964.0, 540.0]]).double())
    assert camera.distortion is not None
    assert camera.distortion.tolist() == [-0.05, 0.14, 0.001, 0.002, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no xml", "expected a Qualisys calibration"),
        (f"<c><cameras>{CAMERA}</cameras></c>", "expected 4 cameras, found 1"),
        (f"<c><cameras>{CAMERA.replace('r33', 'r34') * 4}</cameras></c>", "r33"),
    ],
)
def test_damaged_calibrations_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "Calib.qca.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"Calib\.qca\.txt: expected .*{message.split()[-1]}"):
        clip_asset.read_calibration(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected people of 25 keypoints"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "expected people of 25 keypoints"),
        ('{"people": []}', "nobody was detected"),
    ],
)
def test_damaged_keypoints_are_named(tmp_path: Path, content: str, message: str) -> None:
    for c in range(1, 5):
        folder = tmp_path / f"cam0{c}_json"
        folder.mkdir()
        for t in range(100):
            people = [{"pose_keypoints_2d": [0.0, 0.0, 0.0] + [1.0] * 72}]
            (folder / f"cam0{c}.{t:04}.json").write_text(json.dumps({"people": people}))
    people = clip_asset.read_people(tmp_path)
    assert people[3][99].shape == (1, 25, 3) and people[0][0][0, 0, :2].isnan().all()
    assert people[0][0][0, 1].tolist() == [1.5, 1.5, 1.0]
    (tmp_path / "cam03_json/cam03.0050.json").write_text(content)
    with pytest.raises(ValueError, match=rf"cam03\.0050\.json: {message}"):
        clip_asset.read_people(tmp_path)
    (tmp_path / "cam03_json/cam03.0050.json").unlink()
    with pytest.raises(ValueError, match="100 JSON files of camera 3, found 99"):
        clip_asset.read_people(tmp_path)


def test_building_needs_the_package(own_assets: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no .*Calib\.qca\.txt: expected the files"):
        clip_asset.build(tmp_path)
    calibration = tmp_path / clip_asset.SESSION / "S00_Calibration/Calib.qca.txt"
    calibration.parent.mkdir(parents=True)
    calibration.write_text("another")
    with pytest.raises(ValueError, match=r"other bytes in .*Calib\.qca\.txt"):
        clip_asset.build(tmp_path)
    assert not (own_assets / clip_asset.ASSET).exists()


@pytest.mark.skipif(
    importlib.util.find_spec("Pose2Sim") is None, reason="pose2sim 0.7.2 is needed once, to build"
)
def test_the_asset_can_be_made_again(own_assets: Path) -> None:
    expected = assets.manifest()[clip_asset.ASSET]
    spec = importlib.util.find_spec("Pose2Sim")
    assert spec is not None and spec.origin is not None
    clip_asset.build(Path(spec.origin).parents[1])
    assert assets.manifest()[clip_asset.ASSET] == expected
