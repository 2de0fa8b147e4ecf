#!/usr/bin/env bash
# scipy: whole numbers that MATLAB keeps as double arrive as unsigned bytes, and wrap around.
#
# Guess:  loadmat gives doubles for an array of class double.
# Seen:   (scipy 1.17.1) MATLAB stores doubles that are whole numbers of 0 to 255 in bytes to save
#         space, and loadmat keeps that: dtype uint8. Joints at x = 10 minus a box's corner at 20
#         are 246. With mat_dtype=True they are float64.
# Matters: MPII's annolist_dat, LSP's joints and 3DHP's annotations are such files: whether an array
#         is of bytes depends on the numbers in it, so one file works and the next does not.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import io, struct, sys

import numpy as np
from scipy.io import loadmat

INT8, UINT8, INT32, UINT32, MATRIX, DOUBLE_CLASS = 1, 2, 5, 6, 14, 6


def element(kind, data):
    """One data element of a level 5 MAT-file, padded to eight bytes."""
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
body = element(UINT32, struct.pack("<II", DOUBLE_CLASS, 0))  # class of the array: double
body += element(INT32, struct.pack("<ii", 1, 3)) + element(INT8, b"joints")
body += element(UINT8, bytes([10, 250, 3]))  # its numbers, kept in bytes
file = header + element(MATRIX, body)
usual = loadmat(io.BytesIO(file))["joints"]
asked = loadmat(io.BytesIO(file), mat_dtype=True)["joints"]
moved = usual - np.array(20, usual.dtype)
print(usual.dtype, moved.tolist(), "| mat_dtype=True:", asked.dtype, (asked - 20).tolist())
same = usual.dtype == np.uint8 and moved.tolist() == [[246, 230, 239]]
same &= asked.dtype == np.float64
sys.exit(0 if same else "the behaviour has changed")
PY
