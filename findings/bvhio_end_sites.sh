#!/usr/bin/env bash
# bvhio: a BVH read as its hierarchy and written back unchanged has other feet.
#
# Guess:  writeHierarchy(readAsHierarchy(file)) keeps the skeleton: joints, channels, end sites.
# Seen:   (bvhio 1.5.4) the end site of a foot, 10 forwards, comes back as 13.5 downwards: 0.3 of
#         the bone before it, along that bone. A joint that does not turn in the clip comes back
#         with CHANNELS 0, so each frame holds 6 numbers instead of 9, and readers that expect
#         three rotations refuse the file. There is no message. readAsBvh and writeBvh keep both.
# Matters: toes, finger tips and head tops are end sites, and wrists and ankles often stand still.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    bvhio==1.5.4 numpy==2.4.6 pyglm==2.8.2 spatial-transform==1.3.3
cd "$work"
cat > leg.bvh <<'BVH'
HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Foot
  {
    OFFSET 0 -45 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 0 10
    }
  }
}
MOTION
Frames: 1
Frame Time: 0.0333333
1 95 2 10 20 30 0 0 0
BVH
venv/bin/python - <<'PY'
import sys

import bvhio

def foot(path):
    """End site and channels of the foot, and the numbers of a frame."""
    joint = bvhio.readAsBvh(path).Root.Children[0]
    site = tuple(round(float(value), 3) for value in joint.EndSite)
    with open(path) as file:
        return site, len(joint.Channels), len(file.read().splitlines()[-1].split())

bvhio.writeHierarchy("hierarchy.bvh", bvhio.readAsHierarchy("leg.bvh"), 1 / 30)
bvhio.writeBvh("plain.bvh", bvhio.readAsBvh("leg.bvh"))
before, after, plain = foot("leg.bvh"), foot("hierarchy.bvh"), foot("plain.bvh")
for name, seen in (("file", before), ("hierarchy", after), ("plain", plain)):
    print(f"{name:9}: end site {seen[0]}, channels of foot {seen[1]}, numbers a frame {seen[2]}")
same = before == plain == ((0, 0, 10), 3, 9) and after == ((0, -13.5, 0), 0, 6)
sys.exit(0 if same else "the behaviour has changed")
PY
