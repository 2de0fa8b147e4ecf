"""posenb: domain-adaptive human pose estimation, taught through five papers.

One chapter is one notebook and one folder here; what the chapters share is below them:
`world` (poses, cameras, domains), `measure` (metrics), `train` (loops, checkpoints, result
cards), `show` (figures, widgets) and `teach` (exercises).
"""

__version__ = "0.1.0"
