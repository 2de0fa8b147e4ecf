#!/usr/bin/env bash
# ezc3d and c3d: a recording of more than 65534 frames.
#
# Guess:  what ezc3d writes it reads back whole; the package c3d reads the same frames. Or else one
#         of them says that the format counts frames in 16 bits.
# Seen:   (ezc3d 1.7.2, c3d 0.6.0, numpy 2.4.6) of 70000 frames, 4:52 minutes at 240 Hz, all lie in
#         the file that ezc3d writes, but it reads 65535 of them back and says nothing. c3d yields
#         no frame at all, nor of a file of 65535: its last frame + 1 is 0 in numpy 2's 16 bits (it
#         warns of an overflow; with numpy 1.26.4 it yields 65535). 65534 are read whole by both.
# Matters: walks on a treadmill and balance trials last longer than that.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    ezc3d==1.7.2 c3d==0.6.0 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import sys
import warnings
from pathlib import Path

import c3d
import ezc3d
import numpy as np

def frames(count):
    """Frames in the file at least, by its size, then as read by ezc3d and by c3d."""
    points = np.ones((4, 1, count))  # one marker: x, y, z, 1
    points[0, 0] = np.arange(count)
    recording = ezc3d.c3d()
    recording["parameters"]["POINT"]["RATE"]["value"] = [240.0]
    recording["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    recording["parameters"]["POINT"]["LABELS"]["value"] = ["LASI"]
    recording["data"]["points"] = points
    recording.write("walk.c3d")
    with open("walk.c3d", "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no analog data, an overflow, bytes that remained
        other = sum(1 for _ in c3d.Reader(file).read_frames())
    own = ezc3d.c3d("walk.c3d")["data"]["points"].shape[2]
    header = 512 * (Path("walk.c3d").read_bytes()[16] - 1)  # word 9: block at which data begin
    return (Path("walk.c3d").stat().st_size - header) // 16, own, other

seen = {count: frames(count) for count in (65534, 65535, 70000)}
for count, (held, own, other) in seen.items():
    print(f"{count} frames written: {held} fit into the file, ezc3d reads {own}, c3d {other}")
wanted = {65534: (65534, 65534), 65535: (65535, 0), 70000: (65535, 0)}
same = all(seen[n][0] >= n and seen[n][1:] == wanted[n] for n in seen)
sys.exit(0 if same else "the behaviour has changed")
PY
