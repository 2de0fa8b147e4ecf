#!/usr/bin/env bash
# pose2sim's demonstration data: the first person of a frame is now one man, now the other.
#
# Guess:  people[0] of OpenPose's files is the same person through a trial.
# Seen:   (pose2sim 0.7.2, trial S00_P01_T02_Participants1-2, four cameras, 100 frames) people[0]
#         jumps by more than a tenth of the picture in 41 to 56 of 99 steps.
# Matters: OpenPose lists people in no order; a track made of people[0] mixes two bodies, and nothing
#         in the files says so. People have to be followed by place, or by several views.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    pose2sim==0.7.2 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import json, pathlib, sys, sysconfig

import numpy as np

trial = "Pose2Sim/S00_Demo_Session/S00_P01_MultiParticipants/S00_P01_T02_Participants1-2/pose"
folder = pathlib.Path(sysconfig.get_path("purelib"), trial)
jumps = []
for camera in sorted(folder.iterdir()):
    middles = []
    for file in sorted(camera.glob("*.json")):
        people = json.loads(file.read_text())["people"]
        joints = np.array(people[0]["pose_keypoints_2d"]).reshape(-1, 3) if people else np.zeros((1, 3))
        seen = joints[joints[:, 2] > 0.3, :2]
        middles.append(np.median(seen, 0) if len(seen) else (np.nan, np.nan))
    steps = np.linalg.norm(np.diff(middles, axis=0), axis=1)
    jumps.append(int((steps > 108).sum()))
    print(f"{camera.name}: {jumps[-1]} of {len(steps)} steps jump")
sys.exit(0 if min(jumps) > 30 else "the behaviour has changed")
PY
