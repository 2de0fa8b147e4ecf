from __future__ import annotations

import pytest
import torch
from torch import nn

from posenb.posynda.networks import PAPER, LoRA, MixSTE, VideoPose, adaptable, merged
from posenb.train import runtime

N, H, T, J = 2, 3, 6, 17


def networks():
    return [
        MixSTE(frames=T, width=16, depth=2, heads=2, seed=1).eval(),
        VideoPose(frames=T, width=16, depth=1, seed=1).eval(),
    ]


def inputs(seed=0):
    random = runtime.generator(seed)
    noisy = torch.randn(N, H, T, J, 3, generator=random)
    keypoints = 0.3 * torch.randn(N, T, J, 2, generator=random)
    return noisy, keypoints, torch.randint(1000, (N,), generator=random)


def count(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_parameters_at_the_papers_size():
    with torch.device("meta"):
        network = MixSTE(**PAPER)
    assert count(network) == 34_835_459  # Sec. 3.4: MixSTE; 34.84 M as counted in D3DP


def test_lora_and_bias_at_the_papers_size_are_those_of_table_3():
    small = MixSTE(**{**PAPER, "frames": 3})  # the windows' length changes neither
    assert count(adaptable(small, rank=4, bias=False)) == 196_608
    assert count(adaptable(small, rank=4)) == 196_608 + 51
    assert count(adaptable(small, rank=1, bias=False)) == 49_152


@pytest.mark.parametrize("number", [0, 1])
def test_poses_are_root_relative_and_hypotheses_do_not_mix(number):
    network = networks()[number]
    noisy, keypoints, t = inputs()
    found = network(noisy, keypoints, t)
    assert found.shape == (N, H, T, J, 3)
    assert not found[..., 0, :].any()
    for n in range(N):
        for h in range(H):
            alone = network(noisy[n : n + 1, h : h + 1], keypoints[n : n + 1], t[n : n + 1])
            torch.testing.assert_close(alone[0, 0], found[n, h], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", [0, 1])
def test_every_input_matters(number):
    network = networks()[number]
    noisy, keypoints, t = inputs()
    found = network(noisy, keypoints, t)
    assert not torch.allclose(network(noisy + 0.1, keypoints, t), found)
    assert not torch.allclose(network(noisy, keypoints + 0.1, t), found)
    assert not torch.allclose(network(noisy, keypoints, 999 - t), found)
    each = t[:, None].expand(N, H)
    torch.testing.assert_close(network(noisy, keypoints, each), found)


@pytest.mark.parametrize("number", [0, 1])
def test_half_precision_inside_gives_full_precision_outside(number):
    network = networks()[number]
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(*inputs())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, network(*inputs()), rtol=0.1, atol=0.05)


def test_a_split_first_layer_is_the_layer_on_both_inputs_together():
    """[2D || noisy 3D] through one matrix, as in D3DP."""
    network = networks()[0]
    noisy, keypoints, _ = inputs()
    tokens = network.condition(keypoints).tokens
    apart = nn.functional.linear(noisy, network.first.weight[:, 2:]) + tokens
    both = torch.cat([keypoints[:, None].expand(N, H, T, J, 2), noisy], -1)
    torch.testing.assert_close(apart, network.first(both) + network.joint_place)


def test_attention_is_the_textbooks():
    network = networks()[0]
    block = network.spatial[0]
    x = torch.randn(2, 3, 5, 16, generator=runtime.generator(4))
    mask = torch.rand(2, 3, 5, 5, generator=runtime.generator(5)) < 0.5
    mask = mask | torch.eye(5, dtype=torch.bool)
    q, k, v = block.qkv(block.norm(x)).chunk(3, -1)
    parts = []
    for head in range(2):
        q1, k1, v1 = (value[..., 8 * head : 8 * head + 8] for value in (q, k, v))
        score = (q1 @ k1.mT / 8**0.5).masked_fill(~mask, -torch.inf)
        parts.append(score.softmax(-1) @ v1)
    expected = x + block.out(torch.cat(parts, -1))
    expected = expected + block.mlp(expected)
    torch.testing.assert_close(block(x, mask), expected, rtol=1e-4, atol=1e-5)


def test_missing_joints_are_hidden_from_all_others():
    network = networks()[0]
    noisy, keypoints, t = inputs()
    keypoints[0, 2, 5] = torch.nan
    keypoints[1, :, 9] = torch.nan  # a joint that is never there
    keypoints[0, 4] = torch.nan  # a frame without anybody
    found = network(noisy, keypoints, t)
    assert found.isfinite().all()
    missing = keypoints.isnan().any(-1)
    other = noisy + 3.0 * missing[:, None, ..., None]  # noise where nobody may look
    again = network(other, keypoints, t)
    seen = ~missing[:, None, ..., None].expand_as(found)
    seen[0, :, 4] = False  # its root is missing, from which the frame is counted
    torch.testing.assert_close(again[seen], found[seen])
    whole = network(noisy, keypoints.nan_to_num(0.0), t)
    assert not torch.allclose(whole[seen], found[seen])  # 0 is a place, missing is none


def test_video_pose_refuses_missing_joints():
    noisy, keypoints, t = inputs()
    keypoints[0, 2, 5] = torch.nan
    with pytest.raises(ValueError, match="1 joints are missing.*MixSTE"):
        networks()[1](noisy, keypoints, t)


def test_video_pose_sees_as_far_as_it_says():
    network = VideoPose(frames=31, width=8, depth=2, seed=0).eval()
    keypoints = torch.zeros(1, 31, J, 2)
    noisy, t = torch.zeros(1, 1, 31, J, 3), torch.zeros(1)
    moved = keypoints.clone()
    moved[0, 15] = 1.0
    change = (network(noisy, moved, t) - network(noisy, keypoints, t)).abs().sum((0, 1, 3, 4))
    assert change.nonzero().flatten().tolist() == list(range(2, 29))  # 3 ** 3 frames around it


@pytest.mark.parametrize("number", [0, 1])
def test_lora_starts_as_nothing_and_merges_exactly(number):
    network = networks()[number].double()
    noisy, keypoints, t = inputs()
    noisy, keypoints = noisy.double(), keypoints.double()
    adapted = adaptable(network, rank=2, seed=3)
    close = {"rtol": 0, "atol": 1e-12}
    torch.testing.assert_close(adapted(noisy, keypoints, t), network(noisy, keypoints, t), **close)
    layers = [m for m in adapted.modules() if isinstance(m, LoRA)]
    assert layers
    for layer in layers:
        x = torch.randn(5, layer.a.shape[1], dtype=torch.float64, generator=runtime.generator(2))
        assert torch.equal(layer(x), layer.base(x))
    with torch.no_grad():
        for layer in layers:
            layer.b.normal_(generator=runtime.generator(9))
        adapted.bias.normal_(generator=runtime.generator(9))
    expected = x @ (layer.base.weight + layer.b @ layer.a).T + layer.base.bias  # Eq. 10
    torch.testing.assert_close(layer(x), expected)
    one = merged(adapted)
    assert not any(isinstance(m, LoRA) for m in one.modules())
    torch.testing.assert_close(one(noisy, keypoints, t), adapted(noisy, keypoints, t))
    assert not torch.allclose(one(noisy, keypoints, t), network(noisy, keypoints, t))


def test_only_lora_and_bias_learn_and_the_given_model_stays():
    network = networks()[0]
    adapted = adaptable(network, rank=2)
    learning = {n.rsplit(".")[-1] for n, p in adapted.named_parameters() if p.requires_grad}
    assert learning == {"a", "b", "bias"}
    assert [n for n, p in adapted.named_parameters() if p.requires_grad and "bias" in n] == ["bias"]
    assert network.bias is None and all(p.requires_grad for p in network.parameters())
    everything = adaptable(network, rank=None, bias=False)
    assert count(everything) == count(network)
    again = adaptable(adapted, rank=2, bias=False)  # a second adaptation: the first is merged in
    assert not again.bias.requires_grad


def test_the_bias_is_equation_11_with_the_root_held():
    network = networks()[0]
    adapted = adaptable(network, rank=2)
    with torch.no_grad():
        adapted.bias.normal_(generator=runtime.generator(1))
    shift = adapted(*inputs()) - network(*inputs())
    expected = (adapted.bias - adapted.bias[0]).expand_as(shift)
    torch.testing.assert_close(shift, expected, rtol=1e-4, atol=1e-5)


def test_weights_come_from_the_seed_alone():
    state = torch.get_rng_state()
    first, second = MixSTE(width=16, heads=2, seed=1), MixSTE(width=16, heads=2, seed=1)
    other = MixSTE(width=16, heads=2, seed=2)
    for a, b, c in zip(*(m.parameters() for m in (first, second, other)), strict=True):
        assert torch.equal(a, b)
        assert a.ndim < 2 or not torch.equal(a, c)
    assert len(state) == len(torch.get_rng_state())


def test_wrong_shapes_say_what_was_expected():
    network = networks()[0]
    noisy, keypoints, t = inputs()
    with pytest.raises(ValueError, match=r"lifts windows \(N, 6, 17, 2\)"):
        network(noisy[..., :16, :], keypoints[..., :16, :], t)
    with pytest.raises(ValueError, match=r"expected \(N, H, T, J, 3\)"):
        network(noisy[:, 0], keypoints, t)
    with pytest.raises(ValueError, match=r"lifts windows \(N, 6, 17, 2\)"):
        network.condition(keypoints[:, :5])
    with pytest.raises(ValueError, match="t has shape"):
        network(noisy, keypoints, t[:1])
    with pytest.raises(ValueError, match="infinite"):
        network(noisy, keypoints / 0, t)
    with pytest.raises(ValueError, match="no multiple of 3 heads"):
        MixSTE(width=16, heads=3)
    for rank in (0, 16):
        with pytest.raises(ValueError, match=f"rank {rank}"):
            adaptable(network, rank=rank)
