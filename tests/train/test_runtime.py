from __future__ import annotations

import json

import pytest
import torch

import posenb
from posenb.train import runtime


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSENB_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSENB_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("no_gpu")
def test_device_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime.device() == torch.device("cpu")
    with pytest.raises(ValueError, match="'cuda' was asked for.*no CUDA GPU.*POSENB_DEVICE=cpu"):
        runtime.device("cuda")
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        runtime.device("gpu")
    monkeypatch.setenv("POSENB_DEVICE", "cuda:1")
    with pytest.raises(ValueError, match="'cuda:1' was asked for"):
        runtime.device()
    assert runtime.device("cpu") == torch.device("cpu")  # an argument is stronger


@pytest.mark.usefixtures("two_gpus")
def test_device_with_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime.device() == torch.device("cuda", 0)
    with pytest.raises(ValueError, match="only 2 GPUs"):
        runtime.device("cuda:2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert runtime.device() == torch.device("cuda", 1)
    monkeypatch.setenv("POSENB_DEVICE", "cpu")
    assert runtime.device() == torch.device("cpu")


def test_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSENB_PROFILE", raising=False)
    assert runtime.profile() == "quick"
    monkeypatch.setenv("POSENB_PROFILE", "full")
    assert runtime.profile() == "full"
    monkeypatch.setenv("POSENB_PROFILE", "fast")
    with pytest.raises(ValueError, match="'fast': expected quick or full"):
        runtime.profile()


def test_generators_are_local_and_independent() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    seeds: list[int | tuple[int, ...]] = [1, 2, (1, 2), (2, 1), (1, 2, 3)]
    draws = [torch.rand(8, generator=runtime.generator(seed)) for seed in seeds]
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    for index, first in enumerate(draws):
        again = torch.rand(8, generator=runtime.generator(seeds[index]))
        torch.testing.assert_close(again, first, rtol=0, atol=0)
        assert not any(torch.equal(first, second) for second in draws[index + 1 :])


def test_threads_come_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="inside"), runtime.threads(1):
        assert torch.get_num_threads() == 1
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="0 threads"), runtime.threads(0):
        pass


@pytest.mark.parametrize("hardware", [True, False])
def test_autocast_is_bfloat16_where_the_cpu_has_it(
    hardware: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere bfloat16 is several times slower than float32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": hardware})
    x = torch.ones(4, 4)
    for enabled in (True, False):
        with runtime.autocast(torch.device("cpu"), enabled):
            expected = torch.bfloat16 if hardware and enabled else torch.float32
            assert (x @ x).dtype == expected


def test_a_cpu_that_tells_nothing_of_bfloat16_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "arm64"})
    assert not runtime.has_bfloat16(torch.device("cpu"))


def test_a_gpu_that_only_emulates_bfloat16_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    assert not runtime.has_bfloat16(torch.device("cuda"))


def test_process_reads_what_torchrun_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert runtime.process() == (0, 1, 0)
    with runtime.process_group(torch.device("cpu")) as here:
        assert here == (0, 1, 0) and not torch.distributed.is_initialized()
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert runtime.process() == (5, 8, 1)


@pytest.mark.usefixtures("no_gpu")
def test_words_about_the_machine() -> None:
    versions = runtime.versions()
    assert versions["posenb"] == posenb.__version__
    assert json.loads(json.dumps(versions)) == versions
    assert {type(version) for version in versions.values()} == {str}
    sentence = runtime.describe()
    assert "without a GPU" in sentence and torch.__version__ in sentence


def test_a_silent_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with runtime.Progress(10, "work", enabled=False) as bar:
        bar.update(5, "half")
    assert "5/10" in str(bar) and "half" in str(bar)
    assert capsys.readouterr() == ("", "")
