"""What the measures ask of their input, and the words for what they are given instead."""

from __future__ import annotations

from torch import Tensor

__all__ = ["check_coordinates", "check_tensor"]


def check_tensor(name: str, value: object) -> None:
    """Refuse what is no tensor.

    Raises:
        ValueError: for a NumPy array, a list or anything else, saying how to make a tensor of it.
    """
    if not isinstance(value, Tensor):
        raise ValueError(
            f"{name} is of type {type(value).__name__}: expected a torch tensor, such as "
            f"torch.as_tensor({name})"
        )


def check_coordinates(name: str, poses: object) -> None:
    """Refuse what is not (..., joints, dims) with 2 or 3 dims, the coordinates of a joint.

    Raises:
        ValueError: saying what was found, and how files that keep poses in rows of numbers, or
            coordinates before joints, are brought into shape.
    """
    check_tensor(name, poses)
    assert isinstance(poses, Tensor)
    shape = tuple(poses.shape)
    if len(shape) < 2 or shape[-1] not in (2, 3):
        raise ValueError(
            f"{name} has shape {shape}: expected (..., joints, dims), 2 or 3 coordinates last"
            + _remedy(name, shape)
        )


def _remedy(name: str, shape: tuple[int, ...]) -> str:
    """How an array of that shape could have been meant."""
    if not shape:
        return ""
    *batch, last = shape
    remedies = []
    if batch and batch[-1] in (2, 3):
        remedies.append(f"coordinates before joints: {name}.mT")
    elif len(batch) == 2 and batch[0] in (2, 3):
        remedies.append(f"poses last, as in LSP's files: {name}.permute(2, 1, 0)")
    if not remedies or len(batch) == 1:  # a row of numbers a pose
        for dims in (3, 2):
            if last > dims and last % dims == 0:
                into = ", ".join(map(str, (*batch, last // dims, dims)))
                remedies.append(f"rows of {dims}D poses: {name}.reshape({into})")
    return "".join(f"; {remedy}" for remedy in remedies)
