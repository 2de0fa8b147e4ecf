#!/usr/bin/env bash
# pycocotools: a joint that was not found, written as 0, 0, 0, enlarges the person 52 times.
#
# Guess:  loadRes ignores joints of detections that were not found, as it does those of labels.
# Seen:   (pycocotools 2.0.11) box and area of a detection are those of all its joints, whatever
#         their score: one joint at the origin turns 40 x 80 into 440 x 380, area 3200 into 167200.
# Matters: COCOeval sorts detections into small, medium and large by that area, so AP of medium
#         people loses them; and tools that crop by the box cut out the whole corner.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pycocotools==2.0.11 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import contextlib, io, sys

import numpy as np
from pycocotools.coco import COCO

labels = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "person"}], "annotations": []}
joints = np.full((17, 3), 0.9)
joints[:, 0], joints[:, 1] = np.linspace(400, 440, 17), np.linspace(300, 380, 17)
fewer = joints.copy()
fewer[3] = 0  # an ear that was not found
found = [
    {"image_id": 1, "category_id": 1, "keypoints": some.ravel().tolist(), "score": 1.0}
    for some in (joints, fewer)
]
coco = COCO()
with contextlib.redirect_stdout(io.StringIO()):
    coco.dataset = labels
    coco.createIndex()
    results = coco.loadRes(found).dataset["annotations"]
seen = [([round(float(v)) for v in result["bbox"]], round(float(result["area"]))) for result in results]
for name, (box, area) in zip(("all joints", "an ear lost"), seen):
    print(f"{name:12} box {box}, area {area}")
wanted = [([400, 300, 40, 80], 3200), ([0, 0, 440, 380], 167200)]
sys.exit(0 if seen == wanted else "the behaviour has changed")
PY
