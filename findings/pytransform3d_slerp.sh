#!/usr/bin/env bash
# pytransform3d: interpolation between two rotations takes the long way.
#
# Guess:  quaternion_slerp at t = .5 between two rotations 11 degrees apart turns 6 degrees.
# Seen:   (pytransform3d 3.17.0) if the two quaternions have opposite signs, which stand for the same
#         rotations, the middle is turned by 174 degrees: shortest_path is False by default.
# Matters: recordings change sign between frames; a clip brought to another rate then spins.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    pytransform3d==3.17.0 scipy==1.17.1 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import sys

import numpy as np
from pytransform3d import rotations

first, second = np.array([1.0, 0, 0, 0]), -np.array([np.cos(0.1), np.sin(0.1), 0, 0])


def turn(quaternion):
    """Angle from `first`, degrees."""
    return round(np.rad2deg(2 * np.arccos(min(1.0, abs(quaternion @ first)))), 1)


usual = turn(rotations.quaternion_slerp(first, second, 0.5))
short = turn(rotations.quaternion_slerp(first, second, 0.5, shortest_path=True))
print(f"{turn(second)} degrees apart; middle at {usual}, with shortest_path=True at {short}")
sys.exit(0 if (usual, short) == (174.3, 5.7) else "the behaviour has changed")
PY
