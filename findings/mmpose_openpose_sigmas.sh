#!/usr/bin/env bash
# mmpose: OpenPose's 18 joints are scored with sigmas that stand in another order.
#
# Guess:  the n-th sigma of `coco_openpose` is that of its n-th joint, so that wrists have a wrist's.
# Seen:   (mmpose 1.3.2) its list is COCO's, with one number more at the end, while its joints are in
#         OpenPose's order: the right shoulder has an eye's .025 (COCO: .079), the right eye a knee's
#         .087 (COCO: .025). 14 of the 17 joints that both name differ. In `coco_wholebody`, 25 of 61
#         mirrored pairs of joints have one sigma on the left and another on the right.
# Matters: OKS divides by sigma squared: AP of one model changes with the list it is scored by.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps mmpose==1.3.2
cd "$work"
venv/bin/python - <<'PY'
import pathlib, runpy, sys, sysconfig

folder = pathlib.Path(sysconfig.get_path("purelib"), "mmpose/.mim/configs/_base_/datasets")


def sigmas(name):
    """Sigmas by joint, and the joints' mirror images, as a dataset's description has them."""
    said = runpy.run_path(str(folder / f"{name}.py"))["dataset_info"]
    joints = said["keypoint_info"].values()
    swaps = {tuple(sorted((j["name"], j["swap"]))) for j in joints if j["swap"]}
    return dict(zip((j["name"] for j in joints), said["sigmas"])), swaps


coco, openpose, (whole, pairs) = sigmas("coco")[0], sigmas("coco_openpose")[0], sigmas("coco_wholebody")
other = [name for name in coco if coco[name] != openpose[name]]
for name in ("right_shoulder", "right_eye"):
    print(f"{name}: {openpose[name]} in coco_openpose, {coco[name]} in coco")
uneven = sum(whole[a] != whole[b] for a, b in pairs)
print(f"{len(other)} of {len(coco)} differ; {uneven} of {len(pairs)} pairs are uneven")
sys.exit(0 if (len(other), uneven, len(pairs)) == (14, 25, 61) else "the behaviour has changed")
PY
