"""The course at a glance: its map, its metrics, its terms and its symbols, as tables.

Every notebook opens with `course_map` and shows `symbols` where its mathematics begins; the cheat
sheet and the glossary stand at the end of notebook 00. Plain data: one place for every meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

from posenb.course.show import figures

__all__ = ["CHAPTERS", "Chapter", "course_map", "glossary", "metrics_sheet", "symbols"]


@dataclass(frozen=True)
class Chapter:
    """One notebook: the question of its paper, in four answers.

    Attributes:
        number: two digits, as the notebook's file begins.
        paper: short title and where it appeared.
        given: what one has of the target domain.
        moves: what is changed to meet the target.
        measured: by what the result is judged.
        ready: the notebook exists.
    """

    number: str
    paper: str
    given: str
    moves: str
    measured: str
    ready: bool = True


CHAPTERS = (
    Chapter(
        "00",
        "none: the world and its measures",
        "everything: we make it",
        "nothing yet; you turn the gap up and down",
        "FD, MMD², PCK, MPJPE, EvalPose",
    ),
    Chapter(
        "01",
        "FlexPose, phase 1 (AAAI 2025)",
        "nothing; many poses of the source",
        "nothing yet; a generator learns what poses look like",
        "FD, MMD², recall, precision, plausibility",
    ),
    Chapter(
        "02",
        "FlexPose (AAAI 2025)",
        "12 to 30 annotated poses",
        "a whole distribution of poses, by one small linear layer",
        "FD, recall, precision, plausibility",
    ),
    Chapter(
        "03",
        "Synthetic-to-Real Pose Estimation with Geometric Reconstruction (NeurIPS 2023)",
        "videos without labels",
        "the keypoints of a detector, until one frame can be rebuilt from another",
        "PCK",
        ready=False,
    ),
    Chapter(
        "04",
        "Effective Synthetic Data Sampling",
        "pictures without labels",
        "which source samples a detector is trained on",
        "PCK, EvalPose",
        ready=False,
    ),
    Chapter(
        "05",
        "Non-local Latent Relation Distillation (NeurIPS 2021)",
        "videos, and 3D poses that do not belong to them",
        "the encoder of pictures, by relations that both must keep",
        "MPJPE, PA-MPJPE",
        ready=False,
    ),
    Chapter(
        "06",
        "PoSynDA (ACM Multimedia 2023)",
        "2D keypoints of a new camera",
        "a lifter from 2D to 3D, by labels that it makes itself",
        "MPJPE, PA-MPJPE, PCK in space",
    ),
    Chapter(
        "07",
        "all five, side by side",
        "as much as you have",
        "your choice of a method",
        "the same measures for all",
        ready=False,
    ),
)

METRICS = (
    (
        "FD (squared)",
        "squared distance of the means, plus tr(C + D − 2 (CD)^½) of the covariances C and D",
        "mean and covariance of two sets of poses",
        "everything else: a Gaussian of sticks that are no people scores well; biased, so it falls "
        "with the number of poses",
        "two samples of one domain, equal in number",
    ),
    (
        "MMD²",
        "mean likeness within each set, minus twice the mean likeness between them",
        "any difference that its kernel can see",
        "differences much smaller or larger than the kernel's width",
        "two samples of one domain: around 0",
    ),
    (
        "recall",
        "share of real poses with a generated pose within the median radius",
        "kinds of poses that are missing",
        "rare kinds: one radius for all looks at the dense middle",
        "a second sample of real poses",
    ),
    (
        "precision",
        "share of generated poses with a real pose within the median radius",
        "generated poses that are like no real one",
        "variety: one good pose, repeated, scores 1",
        "a second sample of real poses",
    ),
    (
        "spread ratio",
        "total variance of one set over that of the other",
        "a generator that gives the average",
        "whether the variance lies in the right directions",
        "1 for two samples of one domain",
    ),
    (
        "plausibility",
        "share of poses with a bone too long or a joint bent too far",
        "bodies that cannot be",
        "whether the pose is likely here",
        "fresh real poses: small by construction",
    ),
    (
        "PCK@θ",
        "share of joints at most θ from the truth",
        "joints that are lost",
        "where in its circle a joint lies; how far off a lost one is",
        "a mean pose that never looks at the picture",
    ),
    (
        "MSE",
        "mean of the squared distances of the joints",
        "outliers, by their square",
        "whether one joint is far off or all are a little",
        "a mean pose that never looks",
    ),
    (
        "MPJPE",
        "mean distance of the joints in space, pelvis on pelvis",
        "errors of shape, size and direction",
        "where the person stands",
        "a mean pose that never looks",
    ),
    (
        "PA-MPJPE",
        "MPJPE after the best turn, scale and shift",
        "errors of shape",
        "where the person faces, how large, and where",
        "a mean pose, aligned too: better than one expects",
    ),
    (
        "AUC",
        "mean PCK in space over thresholds from 0 to 150 mm",
        "small and large errors at once",
        "errors beyond 150 mm",
        "a mean pose that never looks",
    ),
    (
        "EvalPose",
        "cosine between two lists of joint angles",
        "the angles at the joints",
        "place, size, direction, left and right",
        "another person's pose: far above 0",
    ),
)

TERMS = (
    ("ablation", "the method without one of its parts, to see what that part is worth"),
    ("adapted", "changed so that it fits the target domain"),
    ("baseline", "a simpler method that a new one must beat"),
    ("card", "a small file with the result of a long experiment: rows, seeds, intervals"),
    ("convention", "where a data set's annotators place a joint of a given name"),
    ("crop", "the square around a person that a model is given; keypoints are in [0, 1] of it"),
    ("domain", "a recipe: who moves, what they do, how they are filmed and annotated"),
    ("domain gap", "how far two domains are apart, and what a model loses on the way"),
    ("few-shot", "with a handful of annotated poses of the target"),
    ("interval", "95 % interval over seeds; a difference counts where the paired one leaves out 0"),
    ("keypoint", "a place in a picture with a name"),
    ("lifter", "a model from 2D keypoints to 3D joints"),
    ("look", "how a rendered picture looks: clothes, light, room; not who is in it"),
    ("mean pose", "the same answer for every picture: the mean of the training poses"),
    ("noise floor", "what chance alone scores, such as two samples of one domain"),
    ("oracle", "a model trained on labels of the target, which nobody has in practice"),
    ("profile", "quick for a laptop, full to make weights and tables again"),
    ("pseudo-label", "a label that a model made, taken as if it were true"),
    ("reprojection error", "distance between a detection and the projected point in space"),
    ("root", "the joint that all others hang from: the pelvis"),
    ("rotation, offset", "how a joint is turned; the bone that leads to it from its parent"),
    ("sample", "some poses drawn from a domain by its recipe and a seed"),
    ("shot", "an annotated pose of the target that a method may learn from"),
    ("skeleton", "a list of joints in a fixed order, and a tree that joins them"),
    ("source", "the domain with many labels, on which a model was trained"),
    ("source only", "a model as it was trained on the source, not adapted"),
    ("split", "training and test poses: other people, other takes"),
    ("stand-in", "a domain of ours in place of a data set; never that data set itself"),
    ("style code", "the numbers that tell one layer of a generator what to paint"),
    ("take", "a piece of a recording that belongs to training or to test, never to both"),
    ("target", "the domain that one wants to work on, with few labels or none"),
    ("teacher", "a copy of a model whose answers are the labels of another, the student"),
    ("triangulation", "a point in space from its places in several pictures"),
)

# Of each letter: what it means in which chapter. `symbols` reads off where a letter changes sides.
SYMBOLS = {
    "x_j, x̂_j": {"00": "true joint j, and the predicted one"},
    "x, x̃, x̂": {
        "01": "picture of a pose; as the generator painted it; drawn again from its keypoints",
        "02": "picture of a pose; as the generator painted it; drawn again from its keypoints",
    },
    "x_2D, y_3D": {"06": "2D keypoints and 3D joints of a window of frames"},
    "y": {"01": "keypoints of a pose", "02": "keypoints of a pose", "06": "3D joints of a pose"},
    "r_j, R_j": {"00": "rotation of a joint in its parent's frame, and in the world"},
    "r": {"00": "half the width of a drawn bone", "06": "rank of LoRA's two matrices"},
    "o_j": {"00": "offset: the bone from the parent to joint j, at rest"},
    "R, t": {
        "00": "where a camera stands and how it is turned",
        "06": "t alone: place of the root",
    },
    "f": {
        "00": "focal length, in pixels",
        "01": "mapping network, from z to w",
        "02": "mapping network, from z to w",
        "06": "focal length, in pixels",
    },
    "c": {"00": "centre of the picture, in pixels", "06": "centre of the picture"},
    "μ, C": {"00": "mean and covariance of a set of poses"},
    "k": {"00": "kernel of MMD²; in section 9, a detection", "01": "weights of a convolution"},
    "σ": {
        "00": "width of MMD²'s kernel",
        "01": "logistic function, from a number to (0, 1)",
        "06": "fresh noise in a step of DDIM",
    },
    "θ": {
        "00": "threshold of PCK",
        "01": "weights of a network",
        "02": "weights of a network",
        "06": "weights of a network",
    },
    "α": {
        "00": "angle at a joint (EvalPose)",
        "01": "draws keypoints as a picture",
        "02": "draws keypoints as a picture",
    },
    "ᾱ_e": {"06": "share of a pose's variance that is left after e steps of noise"},
    "β": {"01": "reads keypoints from a picture", "02": "reads keypoints from a picture"},
    "β_e": {"06": "variance of the noise added in step e"},
    "z": {
        "01": "latent: the random numbers that go in",
        "02": "latent: the random numbers that go in",
        "06": "depth of the root",
    },
    "w": {"01": "what f makes from z", "02": "what f makes from z"},
    "A": {
        "01": "affine map from w to the style codes of all layers",
        "02": "affine map from w to the style codes of all layers",
        "06": "one of LoRA's two matrices",
    },
    "B": {"06": "the other of LoRA's two matrices; B_bias: one vector a joint"},
    "δ": {"01": "A after f: from z to instructions", "02": "A after f: from z to instructions"},
    "h": {
        "01": "instructions: the style codes; in section 8, heat of a pixel",
        "02": "instructions: the style codes",
        "06": "number of a hypothesis",
    },
    "H": {"01": "half-life of the averaged weights", "06": "number of hypotheses"},
    "s": {
        "01": "as an index, the source; in section 4, a style",
        "02": "as an index, the source",
        "06": "as an index, the source; alone, size of a person's box",
    },
    "φ": {"01": "synthesis: paints by the instructions", "02": "synthesis, left as it is"},
    "g": {"01": "the whole generator", "02": "the whole generator"},
    "D": {"01": "discriminator", "02": "energy distance, with that index"},
    "Γ": {"02": "features of a picture, to compare pictures by"},
    "ψ": {"01": "truncation: 1 as learned, 0 the average person"},
    "γ": {"01": "weight of the penalty R₁"},
    "λ": {"01": "how slowly averaged weights move", "02": "ratio of a mixture of two poses"},
    "τ": {"02": "the linear map that is learned: one matrix, identity for most layers"},
    "U_l": {"02": "τ's block for layer l"},
    "T, T*": {"02": "the few target poses, and their mixtures"},
    "π": {"00": "projection of a camera", "02": "who is paired with whom"},
    "ρ": {"02": "weight of the term that looks at the pictures"},
    "a": {
        "02": "how far on the way to τ; with Beta, shape of the ratios",
        "06": "in the exercises, ᾱ",
    },
    "e, E": {"06": "step of noise, and how many there are"},
    "K": {"06": "steps of DDIM"},
    "η": {"06": "how much fresh noise a step of DDIM adds"},
    "ε": {"06": "noise of variance 1"},
    "P": {"06": "the denoiser: from noisy pose and 2D keypoints to the clean pose"},
    "F": {"06": "puts a source pose into the target's camera"},
    "G": {"06": "projection into the picture"},
}


def course_map(here: str) -> figures.Table:
    """The course in a table, a notebook a row; the row of the open one is bold.

    Args:
        here: number of the open notebook, such as "02".

    Raises:
        ValueError: if there is no such notebook.
    """
    _known(here)
    rows = []
    for chapter in CHAPTERS:
        marked = [
            f"{chapter.number}{'' if chapter.ready else ' (to come)'}",
            chapter.paper,
            chapter.given,
            chapter.moves,
            chapter.measured,
        ]
        if chapter.number == here:
            marked = [f"**{text}**" for text in ("→ " + marked[0], *marked[1:])]
        rows.append(marked)
    head = ("notebook", "paper", "what one has of the target", "what moves", "what is measured")
    return figures.Table(head, rows, "The course: you are at the arrow")


def metrics_sheet() -> figures.Table:
    """Cheat sheet: every metric of the course, what it sees, and what it is blind to."""
    head = ("metric", "in words", "sees", "is blind to", "show it beside")
    return figures.Table(head, METRICS, "The metrics of this course")


def glossary() -> figures.Table:
    """The terms of the course, one meaning each."""
    return figures.Table(("term", "meaning"), TERMS, "The words of this course")


def symbols(chapter: str) -> figures.Table:
    """The letters of a notebook, and what the same letters mean in others.

    Args:
        chapter: number of the notebook, such as "02".

    Raises:
        ValueError: if there is no such notebook, or its letters are not listed yet.
    """
    _known(chapter)
    listed = {letter: senses for letter, senses in SYMBOLS.items() if chapter in senses}
    if not listed:
        raise ValueError(f"no symbols of notebook {chapter} are listed: add them to SYMBOLS")
    rows = []
    for letter, senses in listed.items():
        elsewhere: dict[str, list[str]] = {}
        for number, sense in senses.items():
            if sense != senses[chapter]:
                elsewhere.setdefault(sense, []).append(number)
        others = (f"{', '.join(numbers)}: {sense}" for sense, numbers in elsewhere.items())
        rows.append((letter, senses[chapter], "; ".join(others) or "–"))
    head = ("symbol", "meaning here", "in other notebooks")
    return figures.Table(head, rows, f"The symbols of notebook {chapter}", folded=True)


def _known(number: str) -> None:
    numbers = [chapter.number for chapter in CHAPTERS]
    if number not in numbers:
        raise ValueError(f"there is no notebook {number!r}; there are: {', '.join(numbers)}")
