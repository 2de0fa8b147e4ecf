"""Making the asset of the real clip from the package that it stems from.

`python -m posenb assets build --clip FOLDER` reads videos, keypoints and calibration, picks the
man among the people that were detected, triangulates him, corrects what is wrong with the cameras,
hides all faces, and writes one file. Nothing here is needed to use the clip.
"""

from __future__ import annotations

import io
import itertools
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from posenb import assets
from posenb.world.cameras import Camera
from posenb.world.clips import ASSET, SIZE
from posenb.world.skeletons import BODY17, COCO17, convert
from posenb.world.triangulation import triangulate

QUALITY = 88  # of JPEG: 400 pictures in about 5 MB
WIDTH, HEIGHT = 1088, 1920  # of the pictures that were calibrated and that the detector saw
SESSION = Path("Pose2Sim/S00_Demo_Session")
TRIAL = SESSION / "S00_P00_SingleParticipant/S00_P00_T01_BalancingTrial"
FRAMES, FPS = 100, 60.0
MARGIN = 110  # original pixels, about 22 cm, from the outermost joint to the window's border
BLOCK = 32  # original pixels: side of a square of one colour over a face
FACE = 0.14  # metres: radius of what is hidden around the middle of eyes, ears and nose

Disc = tuple[float, float, float]  # x, y, radius in original pixels
# Faces of people who stand or sit behind the man: camera -> (first frame that shows it, disc).
BYSTANDERS: Mapping[int, Sequence[tuple[int, Disc]]] = {
    0: [(0, (80, 335, 42))],
    1: [(0, (806, 517, 42)), (84, (613, 577, 30))],
}

# BODY_25B begins with COCO's 17 joints; 18 is the top of the head; the rest (neck, toes, heels) has
# no counterpart in BODY17, whose neck is the midpoint of the shoulders.
HEAD_TOP = 18
LIMBS = [5, 6, 11, 12, 13, 14, 15, 16]  # shoulders, hips, knees, ankles: what tells people apart

# The camera in the third place was moved after the calibration: 20 to 35 pixels, in the keypoints
# and equally in the place of the man's cap, while the other three agree to within 7.
MOVED, STILL = 2, [0, 1, 3]


def build(folder: Path) -> Path:
    """Make the asset again from the unpacked package pose2sim 0.7.2.

    Args:
        folder: where the package was unpacked; holds the folder `Pose2Sim`.

    Raises:
        ValueError: if a file is missing or another; the asset stays as it was.
    """
    folder = Path(folder)
    assets.check_sources("clip", folder)
    cameras = read_calibration(folder / SESSION / "S00_Calibration/Calib.qca.txt")
    people = read_people(folder / TRIAL / "pose")
    chosen = choose(cameras, people)
    found = torch.stack(
        [
            torch.stack([people[c][t][person] for t, person in enumerate(row)])
            for c, row in enumerate(chosen)
        ]
    )  # (C, T, 25, 3)
    keypoints, confidence = to_body17(found)
    offset = correct(cameras, keypoints, confidence)
    cameras = replace(cameras, center=cameras.center + offset)
    joints = triangulate(cameras, keypoints, confidence).points  # (T, 17, 3)
    corner, side = windows(cameras, joints)
    faces = face_discs(cameras, found)
    pictures = [
        [
            _encode(frame, corner[c], int(side[c]), faces[c][t])
            for t, frame in enumerate(_frames(folder / TRIAL / f"videos/cam0{c + 1}.mp4"))
        ]
        for c in range(len(cameras))
    ]
    numbers: dict[str, Any] = {
        "keypoints": keypoints,
        "confidence": confidence,
        "joints3d": joints,
        "rotation": cameras.rotation,
        "translation": cameras.translation,
        "focal": cameras.focal,
        "center": cameras.center,
        "distortion": cameras.distortion,
        "offset": offset,
        "corner": corner,
        "side": side,
        "fps": torch.tensor(FPS),
    }
    content = io.BytesIO()
    np.savez(
        content,
        pictures=np.frombuffer(b"".join(itertools.chain(*pictures)), dtype=np.uint8),
        lengths=np.array([[len(picture) for picture in row] for row in pictures]),
        **{name: tensor.float().numpy() for name, tensor in numbers.items()},
    )
    assets.ship({ASSET: content.getvalue()})
    return assets.FOLDER / ASSET


def read_calibration(file: Path) -> Camera:
    """The four cameras of a Qualisys file for pictures of 1088 x 1920, world in metres, y up.

    Lengths of the image are in 1/64 pixel there, the world in millimetres with z up, and a camera
    looks along its -z. The coefficients of the lens have no unit (read so they fit the keypoints
    best, if only by a hundredth of a pixel; divided by 64 they would do nothing).

    Raises:
        ValueError: if the file is missing or does not hold four cameras.
    """
    try:
        found = ElementTree.parse(file).getroot().findall("cameras/camera")
        rows = [_numbers(camera) for camera in found]
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        raise ValueError(f"{file}: expected a Qualisys calibration ({error!r})") from error
    if len(rows) != 4:
        raise ValueError(f"{file}: expected 4 cameras, found {len(rows)}")
    turn, place, focal, center, lens = (
        torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True)
    )
    flip = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64).diag()  # look along +z, y down
    upright = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)  # y up to z
    rotation = flip @ turn.unflatten(-1, (3, 3))  # (C, 3, 3)
    translation = -(rotation @ place.unsqueeze(-1)).squeeze(-1) / 1000
    # Integers are centres of pixels there, corners here.
    return Camera(rotation @ upright, translation, focal / 64, center / 64 + 0.5, lens)


def _numbers(camera: ElementTree.Element) -> tuple[list[float], ...]:
    """Rotation by rows (9), place (3), focal (2), centre (2) and lens (5) as the file has them."""

    def read(tag: str, names: Sequence[str]) -> list[float]:
        element = camera.find(tag)
        return [float((element.attrib if element is not None else {})[name]) for name in names]

    lens = ["radialDistortion1", "radialDistortion2", "tangentalDistortion1"]
    return (
        read("transform", [f"r{row}{column}" for row in "123" for column in "123"]),
        read("transform", ["x", "y", "z"]),
        read("intrinsic", ["focalLengthU", "focalLengthV"]),
        read("intrinsic", ["centerPointU", "centerPointV"]),
        read("intrinsic", [*lens, "tangentalDistortion2", "radialDistortion3"]),
    )


def read_people(folder: Path) -> list[list[Tensor]]:
    """OpenPose's people of each camera and frame, (people, 25, 3): x, y, confidence.

    x and y are NaN where a joint was not found (the files have zeros).

    Raises:
        ValueError: if a file is missing or damaged, or nobody is in it.
    """
    cameras = []
    for c in range(4):
        files = sorted((folder / f"cam0{c + 1}_json").glob("*.json"))
        if len(files) != FRAMES:
            raise ValueError(f"{folder}: expected {FRAMES} JSON files of camera {c + 1}, found "
                             f"{len(files)}")  # fmt: skip
        cameras.append([_read_frame(file) for file in files])
    return cameras


def _read_frame(file: Path) -> Tensor:
    try:
        listed = [p["pose_keypoints_2d"] for p in json.loads(file.read_text())["people"]]
        people = torch.tensor(listed, dtype=torch.float64).reshape(-1, 25, 3)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{file}: expected people of 25 keypoints ({error!r})") from error
    if not len(people):
        raise ValueError(f"{file}: nobody was detected")
    place = people[..., :2] + 0.5  # integers are centres of pixels there, corners here
    place[people[..., 2] <= 0] = torch.nan
    return torch.cat([place, people[..., 2:]], -1)


def choose(cameras: Camera, people: list[list[Tensor]]) -> Tensor:
    """Which of the people listed is the same man in all cameras and frames, (C, T).

    Of all ways to take one person a camera, in each frame, the sequence with the lowest sum of
    reprojection errors (shoulders, hips, knees, ankles) and of steps in the picture from one frame
    to the next, both means in pixels and cut at 100 (Viterbi's algorithm).
    """
    most = [max(len(frame) for frame in camera) for camera in people]
    ways = torch.tensor(list(itertools.product(*(range(count) for count in most))))  # (W, C)
    listed = [
        torch.stack([_padded(frame[:, LIMBS], count) for frame in camera])
        for camera, count in zip(people, most, strict=True)
    ]  # C of (T, people, 8, 3)
    taken = torch.stack([listed[c][:, ways[:, c]] for c in range(len(listed))])  # (C, T, W, 8, 3)
    error = triangulate(cameras, taken[..., :2], taken[..., 2]).error
    misfit = error.nan_to_num(100).clamp_max(100).mean((0, 3))  # (T, W)
    step = taken[:, 1:, None, :, :, :2] - taken[:, :-1, :, None, :, :2]  # (C, T-1, from, to, 8, 2)
    step = step.norm(dim=-1).nan_to_num(100).clamp_max(100).mean((0, 4))  # (T-1, from, to)
    total, back = misfit[0], []
    for t in range(1, len(misfit)):
        total, best = (total[:, None] + step[t - 1]).min(0)
        total = total + misfit[t]
        back.append(best)
    path = [int(total.argmin())]
    for best in reversed(back):
        path.append(int(best[path[-1]]))
    return ways[path[::-1]].T  # (C, T)


def _padded(people: Tensor, count: int) -> Tensor:
    """As many people as in the fullest frame; those added were not seen."""
    missing = people.new_zeros(count - len(people), *people.shape[1:])
    missing[..., :2] = torch.nan
    return torch.cat([people, missing])


def to_body17(found: Tensor) -> tuple[Tensor, Tensor]:
    """BODY_25B (..., 25, 3) as BODY17 keypoints (..., 17, 2) and confidence (..., 17).

    Head top, nose and the joints of the limbs are OpenPose's own; pelvis, spine and neck are means
    of hips and shoulders, and so is their confidence. What was not found is NaN, of confidence 0.
    """
    body = convert(found[..., : len(COCO17), :], COCO17, BODY17).keypoints
    body[..., BODY17.index("head_top"), :] = found[..., HEAD_TOP, :]
    seen = body[..., :2].isfinite().all(-1)
    return body[..., :2], torch.where(seen, body[..., 2], 0)


def correct(cameras: Camera, keypoints: Tensor, confidence: Tensor) -> Tensor:
    """Constant shift of each camera's principal point that the keypoints ask for, (C, 2), pixels.

    The moved camera is set right by the three others first, so that it does not pull at them; then
    all four by their median error, twice.
    """
    offset = torch.zeros_like(cameras.center)
    for views in (STILL, range(len(cameras)), range(len(cameras))):
        moved = replace(cameras, center=cameras.center + offset)
        use = list(views)
        points = triangulate(moved[torch.tensor(use)], keypoints[use], confidence[use]).points
        error = keypoints - moved.project(points.flatten(0, 1)).unflatten(1, points.shape[:2])
        median = error.flatten(1, 2).nanmedian(dim=1).values  # (C, 2)
        if use == STILL:
            offset[MOVED] = median[MOVED]
        else:
            offset = offset + median
    return offset


def windows(cameras: Camera, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Top-left corner (C, 2) and side (C,) of the square that holds the man in all frames.

    Whole pixels, within the picture; where he reaches beyond it, as much of him as can be.
    """
    places = cameras.project(joints.flatten(0, 1))  # (C, T * 17, 2)
    known = places.isfinite()
    low = torch.where(known, places, torch.inf).amin(1) - MARGIN  # (C, 2)
    high = torch.where(known, places, -torch.inf).amax(1) + MARGIN
    border = torch.tensor([WIDTH, HEIGHT], dtype=low.dtype)
    low, high = low.clamp_min(0), high.minimum(border)
    side = (high - low).amax(-1).clamp_max(WIDTH).round()  # (C,)
    corner = ((low + high - side[:, None]) / 2).round()
    return corner.clamp_min(0).minimum(border - side[:, None]).long(), side.long()


def face_discs(cameras: Camera, found: Tensor) -> list[list[list[Disc]]]:
    """What to hide in each camera and frame.

    The man's head is triangulated, so his face is found in views from behind too. Bystanders stand
    still.
    """
    faces = triangulate(cameras, found[:, :, :5, :2], found[:, :, :5, 2]).points  # (T, 5, 3)
    middle = faces.nanmedian(1).values  # (T, 3)
    around = [middle[max(t - 3, 0) : t + 4].nanmedian(0).values for t in range(len(middle))]
    middle = torch.stack(around)  # one wild frame uncovers nothing
    places = cameras.project(middle)  # (C, T, 2)
    radius = FACE * cameras.focal[:, :1] / cameras.to_camera(middle)[..., 2]  # (C, T)
    return [
        [
            [(*places[c, t].tolist(), float(radius[c, t]))]
            + [disc for start, disc in BYSTANDERS.get(c, ()) if t >= start]
            for t in range(len(middle))
        ]
        for c in range(len(cameras))
    ]


def _frames(file: Path) -> list[np.ndarray]:
    """All frames of a video, (1920, 1088, 3) BGR.

    Two of the videos were scaled to a width of 1080 later, with bars above and below: undone here.
    """
    video = cv2.VideoCapture(str(file))
    frames = []
    while (read := video.read())[0]:
        scale = read[1].shape[1] / WIDTH
        bar = (read[1].shape[0] - scale * HEIGHT) / 2
        # Middles of pixels: x' + 0.5 = scale (x + 0.5).
        shift = np.array([0.5 * scale - 0.5, bar + 0.5 * scale - 0.5])
        matrix = np.column_stack([np.eye(2) * scale, shift])
        mode = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        frames.append(cv2.warpAffine(read[1], matrix, (WIDTH, HEIGHT), flags=mode))
    if len(frames) != FRAMES:
        raise ValueError(f"{file}: expected a video of {FRAMES} frames, read {len(frames)}")
    return frames


def _encode(frame: np.ndarray, corner: Tensor, side: int, faces: Sequence[Disc]) -> bytes:
    """One window as JPEG, with a mosaic over each face."""
    left, top = corner.tolist()
    window = frame[top : top + side, left : left + side].copy()
    coarse = cv2.resize(window, (side // BLOCK, side // BLOCK), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_NEAREST)
    hidden = np.zeros((side, side), np.uint8)
    for x, y, radius in faces:
        cv2.circle(hidden, (round(x) - left, round(y) - top), round(radius), 255, cv2.FILLED)
    window[hidden > 0] = coarse[hidden > 0]
    window = cv2.resize(window, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", window, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError("OpenCV could not encode a picture as JPEG")
    return bytes(data)
