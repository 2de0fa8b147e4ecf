"""The chapter's experiments (`python -m posenb table reconstruction.detector`, and so on)."""

from __future__ import annotations

from functools import partial

from posenb.experiments.reconstruction.adapting import METHODS, AdaptBench
from posenb.experiments.reconstruction.bench import CLIP, WIDE, Bench, judge, percent, score
from posenb.experiments.sweep import Experiments, grid
from posenb.world.clips import SMALLEST
from posenb.world.skeletons import BODY17

SOURCE, ORACLE = "source only", "oracle"
LEARNED_FROM = {SOURCE: "synthetic", ORACLE: "lab"}
MEANS = {f"mean pose of {domain}": domain for domain in LEARNED_FROM.values()}
SCORED_ON = ("synthetic", "lab", "outdoor", CLIP)
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

TABLES = Experiments("reconstruction", Bench, seeds=(0, 1, 2))


@TABLES.card(
    grid(detector=LEARNED_FROM, pictures=SCORED_ON),
    ready=lambda bench: [partial(bench.train, domain) for domain in LEARNED_FROM.values()],
    facts=lambda bench: bench.facts("training", "clip_stride"),
)
def detector(bench: Bench, detector: str, pictures: str) -> dict[str, float]:
    """PCK@0.05 of joint groups, here and there.

    The oracle learned from labels of `lab`, other people in other takes. On the real clip the
    labels are detections themselves, those that four views agree on; pelvis, spine and neck are
    means of hips and shoulders there, and OpenPose puts hips and the top of the head elsewhere
    than the renderer does, so that `trunk`, `hips` and `head` hold a difference of convention,
    which `limbs` leaves out.
    """
    network = bench.train(LEARNED_FROM[detector])
    return score(network, bench.scene(pictures, network.size))


@TABLES.card(
    grid(strength=STRENGTHS),
    ready=lambda bench: [partial(bench.train, LEARNED_FROM[SOURCE])],
    facts=lambda bench: bench.facts("training"),
)
def gap(bench: Bench, strength: float) -> dict[str, float]:
    """What the look of `lab` costs the source-only detector.

    The same people, poses and cameras at every strength; only the look and the annotators'
    convention come in.
    """
    network = bench.train(LEARNED_FROM[SOURCE])
    return score(network, bench.scene("lab", network.size, strength))


@TABLES.card(
    grid(detector=MEANS, pictures=SCORED_ON), facts=lambda bench: bench.facts("clip_stride")
)
def mean_pose(bench: Bench, detector: str, pictures: str) -> dict[str, float]:
    """What somebody finds who never looks at the picture.

    A constant answer, the mean keypoints and depths of a domain's training crops, on the pictures
    of card `reconstruction.detector` and scored alike, with PCK@0.1 besides.
    """
    scene = bench.scene(pictures, SMALLEST)
    found = bench.constant(MEANS[detector], len(scene.images))
    return judge(found, scene) | {"PCK@0.1": percent(found.keypoints, scene, BODY17.joints, WIDE)}


@TABLES.card(grid(method=METHODS), bench=AdaptBench, facts=AdaptBench.facts)
def adaptation(bench: AdaptBench, method: str) -> dict[str, float]:
    """PCK@0.05 of joint groups after an adaptation without labels (Table 2, Table 3a).

    Pictures are cut close around both poses of a pair, so that PCK is relative to a smaller square
    than in card `reconstruction.detector`. The oracle has learned from the target's labels as long
    as others from the source's.
    """
    return bench.measure(method)
