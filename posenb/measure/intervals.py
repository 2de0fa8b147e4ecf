"""How sure a mean over seeds is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy import special


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean of at least two values."""
    mean = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    reach = float(special.stdtrit(len(values) - 1, 0.5 + level / 2)) * error
    return mean - reach, mean + reach
