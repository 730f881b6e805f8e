"""The decoder predicts itself, its cache changes nothing, its dispatch is the plain sum, and its seeds are exact."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sovereign.errors import LabInput
from sovereign.lab import accounting, dispatch
from sovereign.lab.model import KVCache, ModelConfig, TopKRouter, balance_loss
from sovereign.lab.routing import RouterContext, Routing

pytestmark = pytest.mark.lab
SMALL = ModelConfig(vocab=97, layers=2, width=32, heads=4, experts=6, k=2, ffn=16)


def tokens(batch: int, seq: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, SMALL.vocab, (batch, seq), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "changes", [{}, {"tie_embeddings": True}, {"qk_norm": False}, {"experts": 1, "k": 1, "ffn": 64}, {"dtype": "bfloat16"}]
)
def test_the_configuration_predicts_what_it_builds(changes):
    config = ModelConfig(**{**SMALL.as_dict(), **changes})
    built = list(config.build(0).parameters())
    assert config.num_params() == sum(p.numel() for p in built)
    assert config.param_bytes() == sum(p.numel() * p.element_size() for p in built)
    assert config.active_params() == config.num_params() - config.layers * (config.experts - config.k) * config.expert_params()


@pytest.mark.parametrize("seq", [1, 24])
def test_predicted_flops_are_the_counted_ones(seq):
    model = SMALL.build(0).eval()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(tokens(3, seq))
    assert counter.get_total_flops() == 3 * seq * SMALL.flops_per_token(seq)


def test_olmoe_has_its_published_size():
    """6.92 B parameters, 1.28 B active (arXiv 2409.02060): guards the parameter formula against an independent source."""
    olmoe = ModelConfig(vocab=50304, layers=16, width=2048, heads=16, experts=64, k=8, ffn=1024, dtype="bfloat16")
    assert olmoe.num_params() == pytest.approx(6.92e9, rel=2e-3)
    assert olmoe.active_params() == pytest.approx(1.28e9, rel=5e-3)
    assert olmoe.expert_bytes() == 12_582_912


def test_the_cache_changes_nothing_whether_filled_at_once_in_chunks_or_by_token():
    model = SMALL.build(1).eval()
    x = tokens(2, 12)
    with torch.no_grad():
        whole = model(x).logits_BSV
        for cuts in ([12], [5, 7], [1] * 12):
            cache = KVCache(SMALL, 2, 12)
            parts = [model(p, cache).logits_BSV for p in x.split(cuts, dim=1)]
            torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-4)


def test_greedy_generation_is_the_argmax_of_the_full_forward_pass():
    model = SMALL.build(2).eval()
    out = model.generate(tokens(2, 7), 5)
    with torch.no_grad():
        assert (model(out[:, :-1]).logits_BSV[:, 6:].argmax(-1) == out[:, 7:]).all()
    assert torch.equal(model.generate(tokens(2, 7), 5, temperature=1.0, seed=3), model.generate(tokens(2, 7), 5, temperature=1.0, seed=3))


def plain_sum(x, idx, weight, gate_up, down, keep=None):
    """The definition, slot by slot; independent of every dispatch path."""
    out = torch.zeros_like(x)
    for t in range(len(x)):
        for s in range(idx.shape[1]):
            if keep is None or keep[t, s]:
                gate, up = (gate_up[idx[t, s]] @ x[t]).chunk(2)
                out[t] += weight[t, s] * (down[idx[t, s]] @ (torch.nn.functional.silu(gate) * up))
    return out


def layer(tokens_n: int, dtype=torch.float32, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(tokens_n, 32, generator=g).to(dtype)
    weight, idx = torch.randn(tokens_n, 6, generator=g).softmax(-1).topk(2)
    return x, idx, weight, (torch.randn(6, 32, 32, generator=g) * 0.3).to(dtype), (torch.randn(6, 32, 16, generator=g) * 0.3).to(dtype)


@pytest.mark.parametrize("count", [1, 2, 33])
def test_every_dispatch_is_the_plain_sum(count):
    x, idx, weight, up, down = layer(count)
    wanted = plain_sum(x, idx, weight, up, down)
    torch.testing.assert_close(dispatch.swiglu_experts(x, idx, weight, up, down), wanted, atol=1e-5, rtol=1e-4)
    if dispatch.PackedExperts.available():
        torch.testing.assert_close(dispatch.PackedExperts(up, down)(x, idx, weight), wanted, atol=1e-5, rtol=1e-4)


def test_slots_that_are_not_computed_add_nothing_even_when_none_is_left():
    x, idx, weight, up, down = layer(9)
    keep = torch.rand(9, 2, generator=torch.Generator().manual_seed(1)) < 0.5
    torch.testing.assert_close(
        dispatch.swiglu_experts(x, idx, weight, up, down, keep), plain_sum(x, idx, weight, up, down, keep), atol=1e-5, rtol=1e-4
    )
    assert dispatch.swiglu_experts(x, idx, weight, up, down, torch.zeros_like(keep)).abs().max() == 0


def test_the_grouped_path_of_the_gpu_agrees_in_value_and_gradient():
    """Runs on the CPU too; guards the permutations, whose mistakes would only show as slightly wrong training on a GPU."""
    x, idx, weight, up, down = (t.requires_grad_() if t.is_floating_point() else t for t in layer(17, torch.bfloat16))
    a, b = dispatch.sorted_loop(x, idx, weight, up, down, None), dispatch.grouped(x, idx, weight, up, down)
    torch.testing.assert_close(a, b, atol=2e-2, rtol=2e-2)
    for ga, gb in zip(*(torch.autograd.grad(y.float().square().sum(), (x, weight, up, down)) for y in (a, b)), strict=True):
        torch.testing.assert_close(ga, gb, atol=0.2, rtol=5e-2)


def test_training_under_autocast_keeps_queries_and_values_in_one_type():
    """Norm weights and rotations in float32 once lifted queries to float32 while values stayed bfloat16."""
    model = SMALL.build(0).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(tokens(2, 8))
    out.logits_BSV.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_norm_topk_prob_renormalises_and_the_default_does_not():
    x = torch.randn(11, 32, generator=torch.Generator().manual_seed(0))
    plain, normed = (TopKRouter(ModelConfig(**{**SMALL.as_dict(), "norm_topk_prob": flag})) for flag in (False, True))
    with torch.no_grad():
        plain.weight.normal_(0.0, 0.1, generator=torch.Generator().manual_seed(1))
        normed.weight.copy_(plain.weight)
    a, b = plain(x, RouterContext(0)), normed(x, RouterContext(0))
    assert torch.equal(a.idx_TK, b.idx_TK)
    assert (a.weight_TK.sum(-1) < 1).all()
    torch.testing.assert_close(b.weight_TK.sum(-1), torch.ones(11))
    torch.testing.assert_close(a.probs_TE.sum(-1), torch.ones(11))


def test_the_balance_loss_is_one_at_perfect_balance_and_larger_when_one_expert_takes_all():
    even = torch.full((6, 6), 1 / 6)
    assert balance_loss(even, torch.arange(6)[:, None]) == pytest.approx(1.0)
    one = torch.zeros(6, 6)
    one[:, 0] = 1
    assert balance_loss(one, torch.zeros(6, 1, dtype=torch.long)) == pytest.approx(6.0)
    mixed, keep = torch.cat([even, one]), torch.arange(12) < 6
    ids = torch.cat([torch.arange(6), torch.zeros(6, dtype=torch.long)])[:, None]
    assert balance_loss(mixed, ids, keep) == pytest.approx(1.0), "padding must not count"


def test_a_router_can_be_replaced_and_a_virtual_slot_is_the_identity():
    class AllVirtual(torch.nn.Module):
        def forward(self, x_TD, context):
            t = len(x_TD)
            idx = torch.zeros(t, 1, dtype=torch.long)
            return Routing(idx, torch.ones(t, 1), torch.full((t, 6), 1 / 6), is_virtual_TK=torch.ones(t, 1, dtype=torch.bool))

    model = SMALL.build(0, router=lambda _config, _layer: AllVirtual()).eval()
    seen = []
    model(tokens(1, 4), router_hook=lambda i, r: seen.append(i))
    assert seen == [0, 1]
    x = torch.randn(5, 32)
    y, _ = model.layers[0].moe(x, RouterContext(0))
    torch.testing.assert_close(y, x)


def test_one_seed_is_one_model_and_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    a, b, c = SMALL.build(5), SMALL.build(5), SMALL.build(6)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.embedding.weight, c.embedding.weight)


def test_the_cost_of_a_layer_is_what_it_computes_and_reads():
    """OLMoE: 1 token reads 8 experts of 12.58 MB in bf16; under uniform routing about 8 / 15 / 26.5 experts at 1 / 2 / 4 tokens."""
    cost = accounting.moe_layer_cost(tokens=1, width=2048, ffn=1024, experts=64, k=8, bytes_per_weight=2)
    assert cost.weight_bytes == pytest.approx(8 * 12_582_912)
    config = ModelConfig(**{**SMALL.as_dict(), "layers": 1})
    without = ModelConfig(**{**config.as_dict(), "ffn": 1})
    part = accounting.moe_layer_cost(tokens=1, width=32, ffn=15, experts=6, k=2, bytes_per_weight=4).flops
    assert config.flops_per_token(1) - without.flops_per_token(1) == part
    rng = np.random.default_rng(0)
    drawn = np.mean([len(np.unique([rng.permutation(64)[:8] for _ in range(4)])) for _ in range(300)])
    assert accounting.expected_hit(64, 8, 4) == pytest.approx(drawn, abs=0.5)
    assert accounting.limit(cost, flops_per_s=1e15, bytes_per_s=1e9).bound == "bandwidth"


@pytest.mark.parametrize("changes", [{"k": 7}, {"heads": 5}, {"dtype": "float8"}, {"layers": 0}])
def test_an_impossible_configuration_is_refused(changes):
    with pytest.raises(LabInput):
        ModelConfig(**{**SMALL.as_dict(), **changes})


def test_empty_too_long_and_missing_input_are_refused():
    model = ModelConfig(**{**SMALL.as_dict(), "max_len": 8}).build(0)
    for bad in (torch.zeros(1, 0, dtype=torch.long), torch.zeros(1, 9, dtype=torch.long), None):
        with pytest.raises(LabInput):
            model(bad)
