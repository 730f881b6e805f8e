"""Merging experts: alignment preserves functions, equal experts merge without loss, and the groups are those the router's behaviour asks for."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sovereign.errors import LabInput  # noqa: E402
from sovereign.lab.dispatch import swiglu_experts  # noqa: E402
from sovereign.lab.merging import (  # noqa: E402
    LayerGroups,
    aligned,
    assign_groups,
    best_assignment,
    dominant_experts,
    low_rank,
    merge_layer,
    merge_model,
)
from sovereign.lab.routing.common import real_slots  # noqa: E402
from sovereign.lab.vision.tasks import ask, make_scenes  # noqa: E402
from sovereign.lab.vision.vlm import VlmSpec  # noqa: E402

pytestmark = pytest.mark.lab
D, F = 6, 5


def expert(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(2 * F, D, generator=g), torch.randn(D, F, generator=g)


def output(up: torch.Tensor, down: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    ones = torch.ones(len(x), 1)
    return swiglu_experts(x, torch.zeros(len(x), 1, dtype=torch.long), ones, up[None], down[None])


def shuffled(up: torch.Tensor, down: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.tensor([3, 0, 4, 1, 2])
    return torch.cat((up[:F][order], up[F:][order])), down[:, order]


def test_the_assignment_is_optimal() -> None:
    scipy = pytest.importorskip("scipy.optimize")
    g = torch.Generator().manual_seed(0)
    for n in (1, 2, 7, 12):
        score = torch.randn(n, n, generator=g).double()
        mine = best_assignment(score.tolist())
        _, theirs = scipy.linear_sum_assignment(score.numpy(), maximize=True)
        assert sorted(mine) == list(range(n)) and mine == list(theirs)


def test_alignment_undoes_a_shuffle_of_hidden_units_and_never_changes_the_function() -> None:
    up, down = expert(0)
    x = torch.randn(9, D)
    mixed = shuffled(up, down)
    back = aligned(*mixed, up, down)
    torch.testing.assert_close(back[0], up)
    torch.testing.assert_close(back[1], down)
    other = aligned(*mixed, *expert(1))
    torch.testing.assert_close(output(*other, x), output(up, down, x), rtol=1e-4, atol=1e-5)


def test_equal_experts_merge_without_loss_only_when_aligned() -> None:
    up, down = expert(0)
    ups, downs = (torch.stack(pair) for pair in zip((up, down), shuffled(up, down), strict=True))
    groups = LayerGroups(torch.tensor([0, 0]), torch.tensor([0]))
    x, usage = torch.randn(9, D), torch.tensor([3.0, 1.0])
    good = merge_layer(ups, downs, groups, usage)
    torch.testing.assert_close(output(good[0][0], good[1][0], x), output(up, down, x), rtol=1e-4, atol=1e-5)
    bad = merge_layer(ups, downs, groups, usage, align=False)
    assert float((output(bad[0][0], bad[1][0], x) - output(up, down, x)).abs().max()) > 0.1


def test_merging_weighs_by_usage() -> None:
    ups, downs = torch.stack((torch.zeros(2 * F, D), torch.ones(2 * F, D))), torch.stack((torch.zeros(D, F), torch.ones(D, F)))
    merged = merge_layer(ups, downs, LayerGroups(torch.tensor([0, 0]), torch.tensor([1])), torch.tensor([1.0, 3.0]), align=False)
    assert torch.allclose(merged[0], torch.full((1, 2 * F, D), 0.75))


def test_layers_keep_different_numbers_of_dominant_experts_and_at_least_one() -> None:
    usage = torch.tensor([[9.0, 8.0, 8.0, 7.0], [100.0, 1.0, 1.0, 1.0]])
    kept = dominant_experts(usage, 4)
    assert [k.tolist() for k in kept] == [[0, 1, 2], [0]]
    for keep in (1, 9):
        with pytest.raises(LabInput, match="impossible"):
            dominant_experts(usage, keep)


def test_experts_join_the_dominant_one_that_the_router_treats_alike() -> None:
    g = torch.Generator().manual_seed(0)
    base = torch.randn(50, 2, generator=g)
    logits = torch.cat((base, base + 0.1 * torch.randn(50, 2, generator=g)), 1)  # experts 2, 3 behave like 0, 1
    assert assign_groups(logits, torch.tensor([0, 1])).tolist() == [0, 1, 0, 1]


def test_low_rank_is_exact_at_full_rank_and_best_below() -> None:
    w = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(low_rank(w, 4), w, rtol=1e-4, atol=1e-5)
    s = torch.linalg.svdvals(w)
    assert torch.allclose((w - low_rank(w, 2)).square().sum((1, 2)), s[:, 2:].square().sum(-1), rtol=1e-3)
    with pytest.raises(LabInput, match="impossible"):
        low_rank(w, 5)


def test_a_whole_model_is_merged_and_two_slots_in_one_group_run_once() -> None:
    model = VlmSpec("topk", width=16, heads=2, layers=2, expert_width=8, experts=8).build(0).eval()
    model.everywhere(False)
    scenes = make_scenes(8, 1, "train")
    words = ask(scenes, 1).words_NQW
    pixels = scenes.pixels_NCP.float() / 255
    before = model(pixels, words)
    report = merge_model(model, before.routing, 6)
    after = model(pixels, words)
    assert sum(report.kept_L) == 6 and report.parameters_after * 16 == report.parameters_before * 6
    assert float(real_slots(after.routing[0]).sum(-1).max()) <= 2.0
    torch.testing.assert_close(after.routing[0].weight_TK.sum(-1), torch.ones(before.routing[0].idx_TK.shape[0]))
    assert bool(torch.isfinite(after.logits_BSV).all())


def test_keeping_every_expert_changes_nothing() -> None:
    model = VlmSpec("topk", width=16, heads=2, layers=2, expert_width=8, experts=8).build(0).eval()
    model.everywhere(False)
    scenes = make_scenes(4, 1, "train")
    pixels, words = scenes.pixels_NCP.float() / 255, ask(scenes, 1).words_NQW
    before = model(pixels, words)
    merge_model(model, before.routing, 16)
    torch.testing.assert_close(model(pixels, words).logits_BSV, before.logits_BSV, rtol=1e-4, atol=1e-5)


def test_virtual_experts_are_not_merged() -> None:
    model = VlmSpec("anyexperts", width=16, heads=2, layers=2, expert_width=8, experts=8).build(0).eval()
    scenes = make_scenes(2, 1, "train")
    routing = model(scenes.pixels_NCP.float() / 255, ask(scenes, 1).words_NQW).routing
    with pytest.raises(LabInput, match="virtual"):
        merge_model(model, routing, 8)
