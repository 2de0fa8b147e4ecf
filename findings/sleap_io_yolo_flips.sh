#!/usr/bin/env bash
# sleap-io: its YOLO-pose export says that a mirrored picture keeps left and right.
#
# Guess:  data.yaml of a skeleton whose left and right joints are known as pairs swaps them in
#         `flip_idx`; of another it leaves `flip_idx` out, which makes Ultralytics do without
#         mirrored pictures.
# Seen:   (sleap-io 0.9.5) flip_idx is [0, 1, 2, 3, 4] for both, names such as left_eye and
#         symmetries of the skeleton or not: each joint is its own mirror image. With the usual
#         fliplr of 0.5, half of the training pictures teach that a left eye is a right one. The
#         class "person" comes out as "animal", too. There is no message.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
# Only what these files take: sleap-io's video and drawing packages are larger than the rest.
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    sleap-io==0.9.5 numpy==2.4.6 attrs==26.1.0 lazy-loader==0.5 simplejson==4.3.0 \
    h5py==3.16.0 imageio==2.38.1 pillow==13.0.0 pyyaml==6.0.4 tqdm==4.70.1
cd "$work"
venv/bin/python - <<'PY'
import json
import sys

import sleap_io
import yaml
from PIL import Image

names = ["nose", "left_eye", "right_eye", "left_shoulder", "right_shoulder"]
Image.new("RGB", (300, 200)).save("1.png")
person = dict(id=1, image_id=1, category_id=1, iscrowd=0, bbox=[80, 20, 80, 90], area=4000)
person |= dict(num_keypoints=5)
person |= dict(keypoints=[110, 40, 2, 114, 36, 2, 106, 36, 2, 140, 80, 2, 85, 80, 2])
people = {
    "images": [dict(id=1, file_name="1.png", width=300, height=200)],
    "categories": [dict(id=1, name="person", keypoints=names, skeleton=[[1, 2], [1, 3]])],
    "annotations": [person],
}
with open("people.json", "w") as file:
    json.dump(people, file)

def exported(folder):
    sleap_io.save_file(labels, folder, format="ultralytics", verbose=False)
    with open(f"{folder}/data.yaml") as file:
        data = yaml.safe_load(file)
    return data["flip_idx"], data["names"]

labels = sleap_io.load_file("people.json", format="coco", dataset_root=".")
plain = exported("plain")
labels.skeletons[0].add_symmetry("left_eye", "right_eye")
labels.skeletons[0].add_symmetry("left_shoulder", "right_shoulder")
told = exported("told")
print("pairs of joints that the skeleton knows:", len(labels.skeletons[0].symmetries))
print("flip_idx and classes without pairs:", *plain)
print("flip_idx and classes with pairs:   ", *told)
same = plain == told == ([0, 1, 2, 3, 4], {0: "animal"})
sys.exit(0 if same else "the behaviour has changed")
PY
