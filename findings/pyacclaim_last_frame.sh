#!/usr/bin/env bash
# pyacclaim: the last frame of every AMC file is missing.
#
# Guess:  loadAMC gives as many poses as the file has frames.
# Seen:   (pyacclaim 0.0.1) one less, without a message: 4 frames give 3, a file of 1 frame gives an
#         empty list. The poses that it gives are right.
# Matters: a clip cut to a window gets a frame short of its video or marker file, and a calibration
#         pose of a single frame is gone.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyacclaim==0.0.1 numpy==2.4.6
cd "$work"
cat > leg.asf <<'ASF'
:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name lfemur
    direction 0 -1 0
    length 7.0
    axis 0 0 20 XYZ
    dof rx
    limits (-160.0 20.0)
  end
:hierarchy
  begin
    root lfemur
  end
ASF
venv/bin/python - <<'PY'
import sys

import numpy as np
import pyacclaim

def bends(count):
    """Bend of the femur in degrees, of each pose read from a file in which it is 10, 20, ..."""
    frames = (f"{n}\nroot 0 17 0 0 0 0\nlfemur {10 * n}\n" for n in range(1, count + 1))
    with open("leg.amc", "w") as file:
        file.write(":FULLY-SPECIFIED\n:DEGREES\n" + "".join(frames))
    poses = pyacclaim.loadAMC(skeleton, "leg.amc")
    return [round(float(np.degrees(pose["lfemur"][0]))) for pose in poses]

skeleton = pyacclaim.loadASF("leg.asf", verbose=False)
four, one = bends(4), bends(1)
print("bends in a file of 4 frames: [10, 20, 30, 40], read:", four)
print("bends in a file of 1 frame:  [10], read:", one)
sys.exit(0 if four == [10, 20, 30] and one == [] else "the behaviour has changed")
PY
