from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from posenb import assets
from posenb.train import checkpoints

PROVENANCE: dict[str, Any] = {
    "command": "python -m posenb train tiny",
    "configuration": {"width": 8},
    "seed": 0,
    "data_hash": "0" * 64,
    "losses": {"loss": [1.0, 0.5]},
    "device": "2 CPU cores",
    "wall_seconds": 1.5,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    return tmp_path


def state() -> dict[str, Any]:
    network = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.randn(1, 2, 5, 5)).sum().backward()
    optimiser.step()
    return {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "generator": torch.Generator().manual_seed(3).get_state(),
        "half": torch.randn(3).bfloat16(),
        "rows": [{"step": 1.0, "loss": 0.25}],
        "name": "tiny",
        "nothing": None,
    }


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    before = state()
    checkpoints.save_checkpoint(tmp_path / "new" / "a.pt", before)
    after = checkpoints.load_checkpoint(tmp_path / "new" / "a.pt")
    assert checkpoints.state_hash(after) == checkpoints.state_hash(before)
    assert after["rows"] == before["rows"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.pt"
    checkpoints.save_checkpoint(path, state())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        ValueError, match=r"a\.pt \(\d+ bytes\) is truncated, altered or no checkpoint"
    ):
        checkpoints.load_checkpoint(path)


def test_an_altered_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    checkpoints.save_checkpoint(path, {"weight": torch.full((64,), 3.0)})
    number = torch.tensor(3.0).numpy().tobytes()
    path.write_bytes(path.read_bytes().replace(4 * number, 3 * number + b"\0\0\0\0", 1))
    with pytest.raises(ValueError, match="checksum"):
        checkpoints.load_checkpoint(path)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with pytest.raises(ValueError, match=r"there is no checkpoint at .*a\.pt"):
        checkpoints.load_checkpoint(path)
    path.write_bytes(b"not a checkpoint at all")
    with pytest.raises(ValueError, match="truncated, altered or no checkpoint"):
        checkpoints.load_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="holds a list: expected a dictionary"):
        checkpoints.load_checkpoint(path)
    torch.save({"code": Path.exists}, path)  # code is not run
    with pytest.raises(ValueError, match="truncated, altered or no checkpoint"):
        checkpoints.load_checkpoint(path)


def test_weights_round_trip(folder: Path) -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(
        memory_format=torch.channels_last
    )
    checkpoints.save_weights("tiny", module.state_dict(), PROVENANCE)
    loaded = checkpoints.load_weights("tiny")
    assert checkpoints.state_hash(loaded) == checkpoints.state_hash(module.state_dict())
    provenance = checkpoints.load_provenance("tiny")
    assert provenance.items() >= PROVENANCE.items()
    assert provenance["versions"]["torch"] == torch.__version__
    assert set(assets.manifest()) == {"weights/tiny.json", "weights/tiny.safetensors"}


def test_half_precision_weights_are_half_as_large(folder: Path) -> None:
    weights = {"weight": torch.randn(1000), "count": torch.tensor(3)}
    for name, half in (("full", False), ("half", True)):
        checkpoints.save_weights(name, weights, PROVENANCE, half=half)
    sizes = [assets.path(f"weights/{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[0] - sizes[1] == pytest.approx(2000, abs=16)
    loaded = checkpoints.load_weights("half")
    assert loaded["weight"].dtype == torch.float32 and loaded["count"] == 3
    torch.testing.assert_close(loaded["weight"], weights["weight"], rtol=1e-3, atol=1e-6)


def test_damaged_weights_are_refused(folder: Path) -> None:
    checkpoints.save_weights("tiny", {"weight": torch.ones(8)}, PROVENANCE)
    for ending in ("safetensors", "json"):
        file = folder / "weights" / f"tiny.{ending}"
        file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"weights/tiny\.safetensors is altered"):
        checkpoints.load_weights("tiny")
    with pytest.raises(ValueError, match=r"weights/tiny\.json is altered"):
        checkpoints.load_provenance("tiny")


def test_weights_that_should_not_ship(folder: Path) -> None:
    with pytest.raises(ValueError, match="provenance of tiny lacks seed, losses"):
        kept = {key: value for key, value in PROVENANCE.items() if key not in ("seed", "losses")}
        checkpoints.save_weights("tiny", {"weight": torch.ones(8)}, kept)
    with pytest.raises(ValueError, match="NaN or infinity in weight"):
        checkpoints.save_weights("tiny", {"weight": torch.full((8,), torch.nan)}, PROVENANCE)
    with pytest.raises(ValueError, match="NaN or infinity in weight"):  # too large for float16
        checkpoints.save_weights("tiny", {"weight": torch.full((8,), 1e6)}, PROVENANCE, half=True)
    assert list(folder.iterdir()) == []


def test_state_hash_sees_every_difference() -> None:
    base = {"a": torch.zeros(2, 3), "b": [1, 2.0]}
    same = {"b": [1, 2.0], "a": torch.zeros(3, 2).reshape(2, 3)}
    assert checkpoints.state_hash(base) == checkpoints.state_hash(same)
    others: list[Any] = [
        {**base, "a": torch.zeros(3, 2)},
        {**base, "a": torch.zeros(2, 3).double()},
        {**base, "a": -torch.zeros(2, 3)},
        {**base, "b": [1, 2]},
        {"a": base["a"], "c": base["b"]},
        base["a"],
    ]
    assert checkpoints.state_hash(base) not in {checkpoints.state_hash(other) for other in others}


def test_weights_of_ones_own_stay_out_of_the_assets(folder: Path, tmp_path: Path) -> None:
    own, tensors = tmp_path / "own", {"weight": torch.ones(8)}
    checkpoints.save_weights("tiny", tensors, PROVENANCE, folder=own)
    assert assets.manifest() == {} and not (folder / "weights").exists()
    assert set(assets.manifest(own)) == {"weights/tiny.json", "weights/tiny.safetensors"}
    assert torch.equal(checkpoints.load_weights("tiny", own)["weight"], tensors["weight"])
    assert checkpoints.load_provenance("tiny", own)["seed"] == 0
    file = own / "weights" / "tiny.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ValueError, match="altered.*make it again with the command in the JSON"):
        checkpoints.load_weights("tiny", own)
    (own / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON.*delete it and repeat"):
        checkpoints.load_weights("tiny", own)


def test_weights_are_listed_by_what_their_names_begin_and_end_with(tmp_path: Path) -> None:
    for name in ("cat_b", "cat_a_small", "cat_a", "dog"):
        checkpoints.save_weights(name, {"weight": torch.ones(1)}, PROVENANCE, folder=tmp_path)
    assert checkpoints.weights_names("cat_", folder=tmp_path) == ("a", "a_small", "b")
    assert checkpoints.weights_names("cat_", "_small", tmp_path) == ("a",)
    assert checkpoints.weights_names("bird_", folder=tmp_path) == ()
