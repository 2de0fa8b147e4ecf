"""The world: skeletons, motion, cameras, domains, drawing, real datasets (notebook 00)."""

from posenb.world.poses import PoseSet

__all__ = ["PoseSet"]
