"""Chapter 00: the explorer and the exercises of the notebook that everybody starts with."""

from posenb.start_here import exercises, explore  # importing `exercises` registers its checkers

__all__ = ["exercises", "explore"]
