"""The world of poses: skeletons, motion, cameras, domains, drawing and real datasets (notebook 00)."""

from posenb.world.poses import PoseSet

__all__ = ["PoseSet"]
