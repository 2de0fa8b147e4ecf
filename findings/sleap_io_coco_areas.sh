#!/usr/bin/env bash
# sleap-io meets pycocotools: reading and saving a COCO file changes who is found.
#
# Guess:  people loaded and saved by it stay the same; the same detections get the same AP.
# Seen:   (sleap-io 0.9.5, pycocotools 2.0.11) coordinates and absent joints are kept, but
#         - `area`, that of the person's mask, becomes that of the box of the labelled joints:
#           9000 -> 375 for someone of whom five joints are labelled; OKS divides by it;
#         - v = 1, labelled but hidden, becomes v = 2, seen;
#         - a crowd (iscrowd 1, a box and no joints) becomes iscrowd 0 with the box 0, 0, 0, 0.
#         AP of the same detections falls from 0.900 to 0.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
# Only what COCO files take: sleap-io's video and drawing packages are larger than the rest.
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    sleap-io==0.9.5 pycocotools==2.0.11 numpy==2.4.6 attrs==26.1.0 lazy-loader==0.5 \
    simplejson==4.3.0 h5py==3.16.0 imageio==2.38.1 pillow==13.0.0 pyyaml==6.0.4 tqdm==4.70.1
cd "$work"
venv/bin/python - <<'PY'
import contextlib, io, json, sys

import numpy as np
import sleap_io
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Image.new("RGB", (300, 200)).save("1.png")
joints = np.zeros((17, 3), int)  # x, y, v: a face and shoulders; the rest is out of the picture
joints[:3] = [110, 40, 2], [114, 36, 1], [106, 36, 2]
joints[5:7] = [122, 51, 2], [97, 50, 2]
person = dict(id=1, image_id=1, category_id=1, iscrowd=0, bbox=[80, 20, 100, 180], area=9000)
person |= dict(num_keypoints=5, keypoints=joints.ravel().tolist())
crowd = dict(id=2, image_id=1, category_id=1, iscrowd=1, bbox=[200, 0, 100, 60], area=5000)
crowd |= dict(num_keypoints=0, keypoints=[0] * 51)
people = {
    "images": [dict(id=1, file_name="1.png", width=300, height=200)],
    "categories": [dict(id=1, name="person", keypoints=[f"j{i}" for i in range(17)], skeleton=[])],
    "annotations": [person, crowd],
}
with open("before.json", "w") as file:
    json.dump(people, file)
labels = sleap_io.load_file("before.json", format="coco", dataset_root=".")
sleap_io.save_file(labels, "after.json", format="coco")
found = (joints + [2, 0, 0]).ravel().tolist()  # all 2 pixels to the right
detections = [dict(image_id=1, category_id=1, keypoints=found, score=0.9)]
seen = {}
for name in ("before", "after"):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(f"{name}.json")
        scores = COCOeval(truth, truth.loadRes(detections), "keypoints")
        scores.evaluate(), scores.accumulate(), scores.summarize()
    first, other = truth.loadAnns([1, 2])
    score, hidden = round(float(scores.stats[0]), 3), first["keypoints"][5]
    seen[name] = score, first["area"], hidden, other["iscrowd"]
    print(f"{name:6}: AP %.3f, area %.0f, v of the hidden joint %d, iscrowd %d" % seen[name])
same = seen["before"] == (0.9, 9000, 1, 1) and seen["after"] == (0, 375, 2, 0)
sys.exit(0 if same else "the behaviour has changed")
PY
