#!/usr/bin/env bash
# bvhsdk: joints of a second BVH file are hung onto the skeleton of the first one.
#
# Guess:  spaces do not matter in a BVH file: braces make the tree, and each file is read by itself.
# Seen:   (bvhsdk 0.2.1) the tree is made from the indentation, one tab or two spaces a level. Of a
#         file with four spaces a level, read after another one, only the root is left, without a
#         message; its other joints are now children in the tree of the animation that was read
#         before, which grows from 3 joints to 5. (Read first of all, the file gives an IndexError.)
# Matters: a folder of clips of several exporters is read in one loop.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    bvhsdk==0.2.1 numpy==2.4.6 matplotlib==3.11.2
cd "$work"
cat > tabs.bvh <<'BVH'
HIERARCHY
ROOT Hips
{
@OFFSET 0 0 0
@CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
@JOINT Knee
@{
@@OFFSET 0 -40 0
@@CHANNELS 3 Zrotation Xrotation Yrotation
@@JOINT Foot
@@{
@@@OFFSET 0 -45 0
@@@CHANNELS 3 Zrotation Xrotation Yrotation
@@@End Site
@@@{
@@@@OFFSET 0 0 10
@@@}
@@}
@}
}
MOTION
Frames: 1
Frame Time: 0.0333333
1 95 2 10 20 30 0 25 0 5 0 0
BVH
sed 's/@/    /g' tabs.bvh > spaces.bvh
sed -i 's/@/\t/g' tabs.bvh
venv/bin/python - <<'PY'
import sys

import bvhsdk

def tree(joint):
    return joint.name + "".join(f"({tree(child)})" for child in joint.children)

first = bvhsdk.ReadFile("tabs.bvh")
alone = tree(first.root)
second = bvhsdk.ReadFile("spaces.bvh")
seen = alone, tree(second.root), tree(first.root)
print("tabs: %s\nthen the same with 4 spaces: %s\nthe first one after that: %s" % seen)
same = seen == ("Hips(Knee(Foot))", "Hips", "Hips(Knee(Foot)(Knee)(Foot))")
sys.exit(0 if same else "the behaviour has changed")
PY
