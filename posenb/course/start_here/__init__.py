"""Chapter 00: explorers, exercises and figures of the notebook that everybody starts with."""

# importing `exercises` registers its checkers
from posenb.course.start_here import exercises, explore, explore_clip, explore_people

__all__ = ["exercises", "explore", "explore_clip", "explore_people"]
