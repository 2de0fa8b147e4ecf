"""The explorer "make a gap" of notebook 00: turn the knobs of `lab`, see how far it gets from `lab`.

The dialled domain keeps the name of `lab`, and with it all random draws: the same people in the
same poses, filmed and built otherwise. At home, its distances are those of two samples of one
domain: the floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from matplotlib.axes import Axes
from torch import Tensor

from posenb.measure import distributions
from posenb.show import figures, style
from posenb.world import domains
from posenb.world.domains import Domain
from posenb.world.skeletons import BODY17

COUNT = 1500  # poses a set: enough for a steady FD, few enough to follow a slider
REFERENCE_SEED, DIALLED_SEED = 0, 1
