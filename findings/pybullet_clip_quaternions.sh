#!/usr/bin/env bash
# pybullet: rotations of its motion capture are not all rotations, and change sign within a clip.
#
# Guess:  the quaternions of humanoid3d_*.txt have length 1, and neighbours lie near each other.
# Seen:   (pybullet 3.2.7) in 8 of 15 clips some are off by more than 1 %: 185 of 1,620 frames, a
#         hip of the kick has length 0.583. The root changes sign 15 times between two frames.
# Matters: a matrix made of such a quaternion also scales; a mean of neighbours across a change of
#         sign turns the long way. Normalise, then unroll the signs, before interpolating.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    pybullet==3.2.7 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import importlib.util, json, pathlib, sys

import numpy as np

root = pathlib.Path(importlib.util.find_spec("pybullet_data").origin).parent
columns = (4, 8, 12, 16, 21, 25, 30, 35, 39)  # where a frame keeps its quaternions
clips = frames = flips = total = 0
for file in sorted((root / "data/motions").glob("humanoid3d_*.txt")):
    rows = np.array(json.loads(file.read_text())["Frames"])
    length = np.stack([np.linalg.norm(rows[:, c : c + 4], axis=1) for c in columns], 1)
    off = (np.abs(length - 1) > 0.01).any(1)
    flips += int(((rows[1:, 4:8] * rows[:-1, 4:8]).sum(1) < 0).sum())
    clips, frames, total = clips + bool(off.any()), frames + int(off.sum()), total + len(rows)
    if off.any():
        print(f"{file.name:32} {off.sum():3} of {len(rows):3} frames, shortest {length.min():.3f}")
print(f"{clips} clips, {frames} of {total} frames, {flips} changes of sign")
sys.exit(0 if (clips, frames, total, flips) == (8, 185, 1620, 15) else "the behaviour has changed")
PY
