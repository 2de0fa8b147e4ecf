"""posenb: domain-adaptive human pose estimation, taught through five papers.

The library: `world` (poses, cameras, domains), `measure` (metrics), `train` (loops, checkpoints),
and a folder a chapter, named as its notebook. What runs on it, and is never imported by it:
`course` (figures, exercises, explorers), `experiments` (result cards, shipping) and `build`.
"""

__version__ = "0.1.0"
