"""Every routing strategy: shapes, invariants, gradients, determinism, replicas, and the refusals."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from sovereign.errors import LabInput, UnknownName  # noqa: E402
from sovereign.lab.routing import RouterContext, Routing  # noqa: E402
from sovereign.lab.routing.common import RouterSpec, real_slots, spread, used_slots  # noqa: E402
from sovereign.lab.routing.registry import STRATEGIES, build  # noqa: E402

pytestmark = pytest.mark.lab
B, S, D, E, K = 4, 10, 16, 8, 2
ALL = sorted(STRATEGIES)


def spec(name: str, **options: float | int | str) -> RouterSpec:
    return RouterSpec(name, D, 1 if name == "dense" else E, 1 if name == "dense" else K, options=options)


def context(training: bool = True, *, vision: int = 6) -> RouterContext:
    modality_T = torch.tensor(([1] * vision + [0] * (S - vision)) * B)
    attention = torch.rand(B, 2, S, S).tril().add(torch.eye(S))
    norms = torch.rand(B * S) + 0.5
    return RouterContext(
        layer=0,
        modality_T=modality_T,
        attention_BHSS=attention / attention.sum(-1, keepdim=True),
        attention_norm_T=norms,
        residual_norm_T=norms.flip(0),
        training=training,
        sample_T=torch.arange(B).repeat_interleave(S),
        samples=B,
        token_T=torch.arange(B * S) % 50,
    )


def tokens(seed: int = 0) -> torch.Tensor:
    return torch.randn(B * S, D, generator=torch.Generator().manual_seed(seed))


def run(name: str, training: bool = True, **options: float | int | str) -> tuple[torch.nn.Module, Routing]:
    torch.manual_seed(1)
    router = build(spec(name, **options))
    return router, router(tokens(), context(training))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("training", [True, False])
def test_a_routing_is_well_formed(name: str, training: bool) -> None:
    """Ids in range, weights non-negative and 0 where unused, distributions that sum to 1, no expert twice for one token."""
    _, routing = run(name, training)
    width = routing.probs_TE.shape[-1]
    assert (
        routing.idx_TK.dtype == torch.long and int(routing.idx_TK.min()) >= 0 and int(routing.idx_TK.max()) < (1 if name == "dense" else E)
    )
    torch.testing.assert_close(routing.probs_TE.sum(-1), torch.ones(B * S))
    used = used_slots(routing)
    assert bool((routing.weight_TK >= 0).all()) and float((routing.weight_TK * (1 - used)).detach().abs().sum()) == 0.0
    assert float(spread(real_slots(routing), routing.idx_TK, width).max()) <= 1.0
    if name != "expert_choice":
        torch.testing.assert_close(routing.weight_TK.sum(-1), torch.ones(B * S))


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("dense", "expert_choice", "topp", "anyexperts", "anyexperts_even")])
def test_fixed_strategies_spend_exactly_k_slots(name: str) -> None:
    """Matched compute rests on this: a strategy that quietly used more experts would win for the wrong reason."""
    _, routing = run(name)
    assert bool((real_slots(routing).sum(-1) == K).all())


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("dense", "hash")])
def test_every_gate_gets_a_gradient_from_the_task_and_from_each_of_its_losses(name: str) -> None:
    router, routing = run(name)
    targets = {"task": (routing.weight_TK * torch.randn_like(routing.weight_TK)).sum()} | {
        k: v for k, v in routing.aux.items() if k.endswith("_loss")
    }
    for what, value in targets.items():
        router.zero_grad()
        value.backward(retain_graph=True)
        got = sum(float(p.grad.abs().sum()) for p in router.parameters() if p.grad is not None)
        # The hinge of the KL router is flat once its target is met; at random weights it is not.
        assert got > 0, (name, what)


@pytest.mark.parametrize("name", ALL)
def test_same_seed_same_decision(name: str) -> None:
    (_, one), (_, two) = run(name), run(name)
    assert torch.equal(one.idx_TK, two.idx_TK) and torch.equal(one.weight_TK, two.weight_TK)


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("anyexperts", "anyexperts_even")])
def test_replicas_under_vmap_equal_single_runs(name: str) -> None:
    """Many seeds train at once under vmap; state of one replica must not leak into another (the moving averages are buffers)."""
    torch.manual_seed(3)
    routers = [build(spec(name)) for _ in range(3)]
    alone = copy.deepcopy(routers)
    params, buffers = torch.func.stack_module_state(routers)
    x_RTD = torch.stack([tokens(i) for i in range(3)])
    torch.manual_seed(5)
    ctx = context()

    def one(p: dict, b: dict, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict]:
        r = torch.func.functional_call(routers[0], (p, b), (x, ctx))
        return r.idx_TK, r.weight_TK, {k: v for k, v in r.aux.items() if k.endswith("_loss")}

    for _ in range(2):
        idx, weight, losses = torch.vmap(one)(params, buffers, x_RTD)
    for i, router in enumerate(alone):
        for _ in range(2):
            expected = router(x_RTD[i], ctx)
        assert torch.equal(idx[i], expected.idx_TK)
        torch.testing.assert_close(weight[i], expected.weight_TK, rtol=1e-4, atol=1e-5)
        for key, value in losses.items():
            torch.testing.assert_close(value[i], expected.aux[key], rtol=1e-4, atol=1e-5)
        for key, buffer in router.named_buffers():
            torch.testing.assert_close(buffers[key][i], buffer, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("expert_choice", "dense")])
def test_a_token_is_routed_alike_alone_and_in_company(name: str) -> None:
    """Causality of everything but expert choice at inference: decoding one token must not change with the batch around it."""
    options = {"cap_mode": "floor"} if name.startswith("anyexperts") else {}
    torch.manual_seed(1)
    router, ctx = build(spec(name, **options)), context(False)
    whole = router(tokens(), ctx)
    part = router(tokens()[:3], RouterContext(layer=0, modality_T=ctx.modality_T[:3], token_T=ctx.token_T[:3]))
    assert torch.equal(whole.idx_TK[:3], part.idx_TK)


def test_expert_choice_balances_perfectly_and_depends_on_the_batch() -> None:
    router, routing = run("expert_choice")
    load_E = real_slots(routing).sum(0)
    assert bool((load_E == B * S * K / E).all())
    lone = router(tokens()[:1], RouterContext(layer=0))
    assert int(real_slots(lone).sum()) == E  # every expert must take the only token there is
    padded = router(tokens(), RouterContext(layer=0, keep_T=torch.arange(B * S) < 5))
    assert int(real_slots(padded)[5:].sum()) == 0


def test_hard_routing_never_crosses_and_hybrid_shares() -> None:
    ctx = context()
    for name, text, vision in (("hard", range(0, 4), range(4, 8)), ("hybrid", range(0, 2), range(2, 4))):
        _, routing = run(name)
        at = {m: set(routing.idx_TK[ctx.modality_T == m].flatten().tolist()) for m in (0, 1)}
        assert not at[0] & set(vision) and not at[1] & set(text)
    assert at[0] & set(range(4, 8)) and at[1] & set(range(4, 8))


def test_hash_keeps_a_token_at_its_experts_and_spreads_ids_evenly() -> None:
    router = build(spec("hash", ids=4000))
    ctx = RouterContext(layer=0, token_T=torch.arange(4000))
    routing = router(torch.zeros(4000, D), ctx)
    assert bool((routing.idx_TK[:, 0] != routing.idx_TK[:, 1]).all())
    load_E = torch.bincount(routing.idx_TK.flatten(), minlength=E) / 8000
    # 8000 draws over 8 experts: sd of a share is 0.0037, so 0.02 is 5 sd (chance of a false alarm below 1e-5)
    assert float((load_E - 1 / E).abs().max()) < 0.02
    assert torch.equal(routing.idx_TK, router(torch.randn(4000, D), ctx).idx_TK)


def test_topp_takes_the_smallest_set_that_gathers_p_and_its_controller_finds_the_budget() -> None:
    router, routing = run("topp", training=False, p=0.5)
    for row, mask in zip(routing.probs_TE, routing.mask_TK, strict=True):
        ordered, n = row.sort(descending=True).values, int(mask.sum())
        assert ordered[:n].sum() >= 0.5 - 1e-5 and (n == 1 or ordered[: n - 1].sum() < 0.5)
    means = [float(used_slots(router(tokens(i), context())).sum(-1).mean()) for i in range(300)]
    assert abs(sum(means[100:]) / 200 - K) < 0.1  # the controller oscillates around the budget


def test_kl_loss_falls_to_zero_once_the_target_is_met_and_skips_one_modality() -> None:
    x = torch.zeros(B * S, D)
    ctx = context()
    x[ctx.modality_T == 0, 0], x[ctx.modality_T == 1, 1] = 1.0, 1.0
    router = build(spec("kl", target=1.0))
    with torch.no_grad():
        router.gate.weight.zero_()
        assert abs(float(router(x, ctx).aux["kl_loss"]) - 1.0) < 1e-6
        router.gate.weight[0, 0] = router.gate.weight[1, 1] = 9.0
        assert float(router(x, ctx).aux["kl_loss"]) == 0.0
    only_vision = context(vision=S)
    assert float(router(x, only_vision).aux["kl_loss"].detach()) == 0.0


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("dense", "hash")])
def test_a_batch_of_one_modality_and_one_of_text_only_train_without_nan(name: str) -> None:
    for vision in (0, S):
        router = build(spec(name))
        routing = router(tokens(), context(vision=vision))
        total = routing.weight_TK.sum() + sum(v for k, v in routing.aux.items() if k.endswith("_loss"))
        total.backward()
        assert bool(torch.isfinite(total))
        assert all(bool(torch.isfinite(p.grad).all()) for p in router.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RouterSpec("topk", D, 4, 5), "5 slots but only 4 experts"),
        (lambda: RouterSpec("topk", D, 4, 0), "at least one slot"),
        (lambda: RouterSpec("topk", 0, 4, 1), "positive sizes"),
        (lambda: build(spec("smoes", bins=3)), "8 experts do not divide into 3 equal bins"),
        (lambda: build(spec("smoes", bins=0)), "0 equal bins"),
        (lambda: build(spec("smoes", score="magic")), "Known: attention, gaussian, hard"),
        (lambda: build(spec("smoes_gaussian", components=0)), "0 components"),
        (lambda: build(spec("hard", text=7)), "fewer than 2 experts"),
        (lambda: build(spec("hard", text=9)), "does not fit 8 experts"),
        (lambda: build(spec("hybrid", text=5, vision=5)), "does not fit"),
        (lambda: build(spec("anyexperts", most=9)), "do not fit 8 experts"),
        (lambda: build(spec("anyexperts", least=0)), "Need 1 <= least"),
        (lambda: build(spec("anyexperts", cap=1.5)), "virtual share"),
        (lambda: build(spec("anyexperts")).set_budget(0.0), "outside (0, 4]"),
        (lambda: build(spec("topp", p=1.5)), "p in (0, 1]"),
        (lambda: build(spec("topp", p="much")), "must be a number"),
        (lambda: build(RouterSpec("dense", D, 4, 1)), "one expert"),
        (lambda: build(spec("topk"), layer=3), "Layer 3"),
        (lambda: build(spec("hard"))(tokens(), RouterContext(layer=0)), "modality of each token"),
        (lambda: build(spec("hash"))(tokens(), RouterContext(layer=0)), "identity of each token"),
        (
            lambda: build(spec("smoes"))(tokens(), RouterContext(layer=0, training=True, modality_T=torch.zeros(B * S, dtype=torch.long))),
            "attention and norms",
        ),
    ],
)
def test_impossible_routers_are_refused_in_one_clear_line(make, says: str) -> None:
    with pytest.raises(LabInput) as caught:
        make()
    assert says in caught.value.line() and "\n" not in caught.value.line()


def test_an_unknown_strategy_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="routing strategy"):
        build(spec("best"))
