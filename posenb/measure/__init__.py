"""How good is a prediction (`keypoints`), and how close are two sets of poses (`distributions`)?"""

from posenb.measure import distributions, keypoints

__all__ = ["distributions", "keypoints"]
