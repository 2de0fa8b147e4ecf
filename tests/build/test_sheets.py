"""Contact sheets: small files, pictures in order, labels over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from posenb.build import sheets
from posenb.train.cards import repository
from posenb.world.skeletons import BODY17


def test_pictures_lie_in_rows(tmp_path: Path) -> None:
    images = torch.linspace(0, 1, 6).view(6, 1, 1, 1).expand(6, 3, 8, 8)
    path = tmp_path / "new" / "sheet.png"
    sheets.write(images, 4, path)
    pixels = np.asarray(Image.open(path).convert("RGB"))
    step = 8 + sheets.GAP
    assert pixels.shape == (2 * step - sheets.GAP, 4 * step - sheets.GAP, 3)
    first = pixels[4::step, 4::step, 0][:2, :4].flatten()[:6]
    assert np.abs(first - np.linspace(0, 255, 6)).max() < 3
    assert (pixels[-4, -4] == 255).all()  # nothing is there


def test_labels_are_drawn_where_they_are() -> None:
    images = torch.full((1, 3, 32, 32), 0.5)
    keypoints = torch.rand(1, 17, 2, generator=torch.Generator().manual_seed(0))
    drawn = sheets.labelled(images, keypoints, torch.ones(1, 17, dtype=torch.bool), BODY17)
    none = sheets.labelled(images, keypoints, torch.zeros(1, 17, dtype=torch.bool), BODY17)
    assert torch.equal(none, images) and not torch.equal(drawn, images)
    assert drawn.min() >= 0 and drawn.max() <= 1


def test_the_sheets_are_there_and_small() -> None:
    folder = repository() / "figures" / "people"
    for name in sheets.SHEETS:
        assert (folder / f"{name}.png").stat().st_size < 400_000
