"""The scene model: learning above the prior, equal execution paths, replicas, causality, counted operations, generation, determinism."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sovereign.errors import LabInput, UnknownName  # noqa: E402
from sovereign.lab.routing.registry import STRATEGIES  # noqa: E402
from sovereign.lab.vision.measure import behaviour, counted_flops, formula_flops, peak_bytes, time_together  # noqa: E402
from sovereign.lab.vision.tasks import KINDS, ask, make_scenes, priors  # noqa: E402
from sovereign.lab.vision.training import Recipe, correct, loss_of, train_alone, train_together, training_data  # noqa: E402
from sovereign.lab.vision.vlm import Layout, VlmSpec  # noqa: E402

pytestmark = pytest.mark.lab
SMALL = {"width": 16, "heads": 2, "layers": 2, "expert_width": 8, "experts": 8}
SCENES = make_scenes(32, 9, "test")
ASKED = ask(SCENES, 9, "test")
PIXELS = SCENES.pixels_NCP.float() / 255


def small(strategy: str, budget: float = 0.5, **more: object) -> VlmSpec:
    return VlmSpec(strategy, budget, **{**SMALL, **more})


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_counted_operations_equal_the_formula(strategy: str) -> None:
    """torch counts the products that ran while dispatching; the formula counts from the decisions. Matched compute rests on both."""
    model = small(strategy).build(0).eval()
    torch.manual_seed(0)
    counted, routings = counted_flops(model, PIXELS, ASKED.words_NQW)
    assert counted == formula_flops(model, routings, Layout(9, len(KINDS), 4)) > 0


def test_all_fixed_strategies_cost_the_same_apart_from_their_gates() -> None:
    cost = {}
    for strategy in ("dense", "topk", "hash", "hard", "hybrid", "kl", "smoes", "smoes_gaussian"):
        model = small(strategy).build(0).eval()
        total, routings = counted_flops(model, PIXELS, ASKED.words_NQW)
        cost[strategy] = total - sum(
            r.idx_TK.shape[0] * router.flops_per_token() for r, router in zip(routings, model.routers(), strict=True)
        )
    assert len(set(cost.values())) == 1


@pytest.mark.parametrize("strategy", ["topk", "expert_choice", "smoes", "topp", "hard", "anyexperts"])
def test_dispatching_equals_computing_every_expert_everywhere(strategy: str) -> None:
    spec = small(strategy, options={"cap_mode": "floor"} if strategy == "anyexperts" else {})
    model, recipe = spec.build(0), Recipe(steps=1, scenes=8)
    batch = [t[0] for t in training_data(recipe, [0]).tensors()]
    losses, grads = [], []
    for everywhere in (True, False):
        model.zero_grad()
        model.everywhere(everywhere)
        model.eval()
        loss = loss_of(model, recipe, *batch)
        loss.backward()
        losses.append(loss.detach())
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-6)
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("strategy", ["topk", "smoes", "topp"])
def test_seeds_trained_together_equal_seeds_trained_alone(strategy: str) -> None:
    """Guards leaks between replicas under vmap: buffers, gradient clipping, schedules. Eight steps, before rounding can grow."""
    spec, recipe = small(strategy), Recipe(steps=8, scenes=8)
    together = train_together(spec, recipe, [0, 1])
    for seed, model in zip((0, 1), together, strict=True):
        alone = train_alone(spec, recipe, seed)
        for (name, a), b in zip(alone.state_dict().items(), model.state_dict().values(), strict=True):
            torch.testing.assert_close(b, a, rtol=2e-2, atol=2e-3, msg=lambda m, n=name: f"{n}: {m}")


def test_one_seed_gives_one_model_and_another_seed_another() -> None:
    spec, recipe = small("anyexperts"), Recipe(steps=3, scenes=4)
    a, b, c = (train_alone(spec, recipe, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert any(not torch.equal(a[k], c[k]) for k in a)


def test_strategies_share_everything_but_their_routers_at_one_seed() -> None:
    """Paired seeds: a difference between strategies must not come from another draw of attention or experts."""
    a, b = small("topk").build(5).state_dict(), small("smoes").build(5).state_dict()
    shared = [k for k in a if k in b and "router" not in k]
    assert len(shared) > 15 and all(torch.equal(a[k], b[k]) for k in shared if "patch" not in k and "place" not in k)


@pytest.mark.parametrize("strategy", ["topk", "smoes", "hard"])
def test_questions_do_not_see_each_other_or_the_future(strategy: str) -> None:
    model = small(strategy).build(0).eval()
    base = model(PIXELS, ASKED.words_NQW).logits_BSV
    changed = ASKED.words_NQW.clone()
    changed[:, 3] = (changed[:, 3] + 1) % 20
    other = model(PIXELS, changed).logits_BSV
    layout = Layout(9, len(KINDS), 4)
    touched = torch.zeros(layout.length, dtype=torch.bool)
    touched[9 + 3 * 4 : 9 + 4 * 4] = True
    torch.testing.assert_close(base[:, ~touched], other[:, ~touched], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(base[:, touched], other[:, touched])
    alone = model(PIXELS, ASKED.words_NQW[:, 3:4]).logits_BSV
    torch.testing.assert_close(alone[:, 9:], base[:, touched], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strategy", ["dense", "topk", "hash", "hybrid", "topp"])
def test_generation_with_a_cache_equals_running_the_whole_prefix(strategy: str) -> None:
    model = small(strategy).build(0).eval()
    model.everywhere(False)
    words = ASKED.words_NQW[:4, 0]
    made = model.generate(PIXELS[:4], words, 4)
    prefix = words
    for i in range(4):
        model.decoder.positions_S = None
        logits = model(PIXELS[:4], prefix[:, None]).logits_BSV[:, -1]
        assert torch.equal(logits.argmax(-1), made[:, i])
        prefix = torch.cat((prefix, made[:, i : i + 1]), 1)


@pytest.mark.slow
def test_a_sparse_model_learns_vqa_and_entailment_above_the_question_text() -> None:
    """The prototype's entailment stayed at its prior. 100 steps, 250 scenes: sd of an accuracy 0.03; entailment must be 7 sd above."""
    recipe = Recipe(steps=100)
    model = train_alone(VlmSpec("smoes"), recipe, 0)
    scenes = make_scenes(250, 77, "test")
    questions = ask(scenes, 77, "test")
    train = make_scenes(3000, 0, "train")
    bar, got = priors(ask(train, 0, "train"), questions), correct(model, scenes, questions).nanmean(0)
    by_kind = dict(zip(KINDS, got.tolist(), strict=True))
    assert by_kind["entailment"] > bar["entailment"] + 0.21
    assert by_kind["colour"] > bar["colour"] + 0.08
    looked = behaviour(model, scenes, questions.words_NQW)
    assert looked.real_slots == 2.0 and 0 < looked.msi < 1 and 0 < looked.information < 0.6932


def test_hard_routing_is_fully_specialised_and_dense_has_nothing_to_specialise() -> None:
    hard = behaviour(small("hard").build(0).eval(), SCENES, ASKED.words_NQW)
    assert hard.msi == 1.0 and abs(hard.information - 0.6931) < 1e-3
    dense = behaviour(small("dense").build(0).eval(), SCENES, ASKED.words_NQW)
    assert dense.msi is None and dense.information is None and dense.imbalance is None


def test_timing_reports_a_spread_and_memory_grows_with_the_batch() -> None:
    model = small("topk").build(0).eval()
    model.everywhere(False)
    timing = time_together({"topk": model}, SCENES, ASKED.words_NQW[:, 0], 4, new=3, repeats=3)["topk"]
    assert timing.ttft_ms > 0 and timing.ttft_spread[0] <= timing.ttft_ms <= timing.ttft_spread[1] and timing.repeats == 3
    few, many = (peak_bytes(model, PIXELS[:b], ASKED.words_NQW[:b, 0]) for b in (1, 16))
    assert 4 * few < many < 40 * few


def test_models_timed_together_take_turns_in_every_round() -> None:
    models = {name: small(name).build(0).eval() for name in ("topk", "dense")}
    calls: list[str] = []
    for name, model in models.items():
        model.everywhere(False)
        model.register_forward_pre_hook(lambda *_args, n=name: calls.append(n))
    found = time_together(models, SCENES, ASKED.words_NQW[:, 0], 2, new=2, repeats=6)
    for timing in found.values():
        assert len(timing.ttft_rounds) == len(timing.tpot_rounds) == 6 and min(timing.ttft_rounds) > 0
        assert sorted(timing.ttft_rounds)[2] <= timing.ttft_ms <= sorted(timing.ttft_rounds)[3]
    if calls:  # how often a model is entered for one round is its own affair; both must stand in every round
        half = len(calls) // 2
        assert {*calls[:half]} == {*calls[half:]} == set(models)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: VlmSpec("topk", 0.0), "outside"),
        (lambda: VlmSpec("topk", 1.5), "outside"),
        (lambda: VlmSpec("topk", 0.3), "whole slots"),
        (lambda: VlmSpec("topk", 1.0, experts=2), "4 slots but only 2 experts"),
        (lambda: small("topk").build(0)(PIXELS[:, :0], ASKED.words_NQW), "empty images"),
        (lambda: small("topk").build(0).generate(PIXELS[:1], ASKED.words_NQW[:1, 0], 0), "at least one"),
        (lambda: Recipe(steps=0), "train nothing"),
        (lambda: train_together(small("topk"), Recipe(steps=1), []), "distinct seeds"),
        (lambda: train_together(small("topk"), Recipe(steps=1), [1, 1]), "distinct seeds"),
        (lambda: time_together({"topk": small("topk").build(0)}, SCENES, ASKED.words_NQW[:, 0], 99), "batch of 99"),
        (lambda: time_together({"topk": small("topk").build(0)}, SCENES, ASKED.words_NQW[:, 0], 1, repeats=1), "no spread"),
    ],
)
def test_impossible_requests_are_refused(make, says: str) -> None:
    with pytest.raises(LabInput) as caught:
        make()
    assert says in caught.value.line()


def test_unknown_strategies_are_refused_by_the_specification() -> None:
    with pytest.raises(UnknownName):
        VlmSpec("best")
