#!/usr/bin/env bash
# scipy: one lost joint blanks the smoothed track to its end, not just around the gap.
#
# Guess:  a moving average of width 3 is NaN in the three frames that touch a NaN, and nowhere else.
# Seen:   (scipy 1.17.1) ndimage.uniform_filter1d keeps a running sum: from the NaN on, all frames
#         are NaN. np.convolve recovers.
# Matters: detectors lose a wrist for a frame; tracks are smoothed before they are lifted.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import sys

import numpy as np
from scipy.ndimage import uniform_filter1d

track = np.arange(12.0)
track[4] = np.nan
running = uniform_filter1d(track, 3)
plain = np.convolve(track, np.ones(3) / 3, "same")
gone = [np.isnan(values).nonzero()[0].tolist() for values in (running, plain)]
print("uniform_filter1d:", gone[0], "| convolve:", gone[1])
sys.exit(0 if gone == [list(range(3, 12)), [3, 4, 5]] else "the behaviour has changed")
PY
