"""AnyExperts: slots, the counted cap, budgets, and which gradients exist."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from sovereign.lab.routing import RouterContext  # noqa: E402
from sovereign.lab.routing.anyexperts import pick, slots_of, virtual_cap  # noqa: E402
from sovereign.lab.routing.common import RouterSpec, real_slots, used_slots  # noqa: E402
from sovereign.lab.routing.registry import build  # noqa: E402

pytestmark = pytest.mark.lab
TRAIN = RouterContext(layer=0, training=True)


def router(**options: float | int | str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(RouterSpec("anyexperts", 16, 32, 8, options={"virtual": 8, **options}))


def test_slots_and_caps_are_those_of_the_paper_and_of_our_check() -> None:
    """K in [8, 12]; floor leaves >= 7, 8, 10 real slots for K = 8, 10, 12, ceil >= 6, 8, 9; so neither gives the stated 6.4 to 9.6."""
    w = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    slots = slots_of(w, 8, 12)
    assert slots.tolist() == [8, 9, 10, 11, 12]
    assert (slots - virtual_cap(slots, 0.2, "floor")).tolist() == [7, 8, 8, 9, 10]
    assert (slots - virtual_cap(slots, 0.2, "ceil")).tolist() == [6, 7, 8, 8, 9]
    many = torch.full((40_000,), 8)
    mean = float(
        (many - virtual_cap(many, 0.2, "stochastic", torch.rand(40_000, generator=torch.Generator().manual_seed(0)))).float().mean()
    )
    assert abs(mean - 6.4) < 0.02  # sd of the mean 0.0025
    assert slots_of(w, 8, 12, 0.5).tolist() == [4, 4, 5, 6, 6] and slots_of(w, 8, 12, 0.01).tolist() == [1] * 5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_counted_virtual_slots_never_exceed_the_cap_and_real_ones_fill_up(seed: int, lean: float) -> None:
    """Guards the fault of a cap on weights, which let the share of slots drift to 28 %."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(20, 12, generator=g)
    virtual = torch.arange(12) >= 8
    logits[:, 8:] += lean
    slots = torch.randint(1, 9, (20,), generator=g)
    cap = torch.randint(0, 4, (20,), generator=g)
    idx, mask = pick(logits, virtual, slots, cap, 8)
    assert torch.equal(mask.sum(-1), slots)
    used_virtual = (virtual[idx] & mask).sum(-1)
    assert bool((used_virtual <= cap).all())
    for t in range(20):
        n = int(slots[t])
        best = logits[t].argsort(descending=True, stable=True)
        allowed = [int(e) for e in best if not virtual[e]][:n]
        mixed = [int(e) for e in best]
        kept, v = [], 0
        for e in mixed:
            if virtual[e]:
                v += 1
                if v > int(cap[t]):
                    continue
            kept.append(e)
            if len(kept) == n:
                break
        assert sorted(idx[t][mask[t]].tolist()) == sorted(kept)
        assert set(kept) - set(allowed) <= set(range(8, 12))


@pytest.mark.parametrize("mode", ["floor", "ceil", "stochastic"])
def test_a_trained_like_router_keeps_its_range_and_its_cap(mode: str) -> None:
    r = router(cap_mode=mode)
    with torch.no_grad():
        r.gate.weight[32:] *= 6  # virtual experts try to win everything
    routing = r(torch.randn(500, 16), TRAIN)
    used, real = used_slots(routing).sum(-1), real_slots(routing).sum(-1)
    assert used.min() >= 8 and used.max() <= 12
    cap = {"floor": (used * 0.2 + 1e-6).floor(), "ceil": (used * 0.2 - 1e-6).ceil(), "stochastic": (used * 0.2).floor() + 1}[mode]
    assert bool((used - real <= cap).all())
    if mode == "stochastic":
        assert float((used - real).sum() / used.sum()) < 0.215  # 500 tokens x 10 slots: sd of the share about 0.002


def test_even_importance_behaves_like_a_fixed_number_of_slots() -> None:
    r = router(no_importance=1, cap=0.0, least=8, most=8, gamma=0.0)
    x = torch.randn(50, 16)
    routing = r(x, TRAIN)
    assert bool((real_slots(routing).sum(-1) == 8).all())
    expected = r.gate(x)[:, :32].topk(8)
    assert torch.equal(routing.idx_TK[:, :8].sort().values, expected.indices.sort().values)
    torch.testing.assert_close(routing.weight_TK[:, :8], expected.values.softmax(-1))


def test_the_task_reaches_the_importance_network_through_modulation_and_never_through_rounding() -> None:
    x = torch.randn(30, 16)
    for alpha, gamma, reaches in ((0.01, 0.0, True), (0.0, 1.0, True), (0.0, 0.0, False)):
        r = router(alpha=alpha, gamma=gamma)
        routing = r(x, TRAIN)
        y = (x * routing.aux["input_scale_T"][:, None]).square().sum() + (routing.weight_TK * torch.randn_like(routing.weight_TK)).sum()
        y.backward()
        grads = [p.grad for p in r.importance.parameters()]
        got = sum(float(g.abs().sum()) for g in grads if g is not None)
        assert (got > 0) is reaches, (alpha, gamma)
    assert not slots_of(torch.rand(3, requires_grad=True), 8, 12).requires_grad


def test_additive_modulation_always_favours_real_experts_of_important_tokens() -> None:
    """The multiplicative reading s (1 - w) raises a virtual expert whose logit is negative; the additive one never does."""
    r = router(gamma=2.0, cap=1.0, cap_mode="floor")
    x = torch.randn(200, 16)
    shares = []
    for bias in (-6.0, 6.0):
        with torch.no_grad():
            r.importance[3].bias.fill_(bias)
        routing = r(x, TRAIN)
        shares.append(float(1 - real_slots(routing).sum() / used_slots(routing).sum()))
    assert shares[0] > shares[1] + 0.1


def test_the_budget_rescales_slots_at_inference_without_touching_weights() -> None:
    r = router(cap_mode="floor")
    x = torch.randn(200, 16)
    means = []
    for budget in (0.25, 0.5, 1.0, 2.0):
        r.set_budget(budget)
        means.append(float(used_slots(r(x, RouterContext(layer=0))).sum(-1).mean()))
    assert means == sorted(means) and means[0] < 3.5 and means[-1] > 16
