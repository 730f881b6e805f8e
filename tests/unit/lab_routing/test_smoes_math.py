"""SMoES: the scores, the bins, the information loss and the measures, against vectors worked by hand."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from sovereign.errors import LabInput  # noqa: E402
from sovereign.lab.routing import RouterContext, Routing  # noqa: E402
from sovereign.lab.routing.common import RouterSpec, balance_loss, spread  # noqa: E402
from sovereign.lab.routing.measures import (  # noqa: E402
    any_remote_uniform,
    bin_modality_information,
    load_entropy,
    load_imbalance,
    modality_counts,
    msi,
    slots_per_token,
)
from sovereign.lab.routing.registry import build  # noqa: E402
from sovereign.lab.routing.scores import LN2, ModalityMixture, attention_scores, attention_soft  # noqa: E402
from sovereign.lab.routing.smoes import bin_information, bins_of, in_bin_balance, one_hot_bins  # noqa: E402

pytestmark = pytest.mark.lab
ONE = RouterContext(layer=0)


def test_attention_soft_gives_the_worked_vector() -> None:
    """3 tokens (text, vision, vision), rows (1,0,0), (.5,.5,0), (.2,.3,.5), equal norms: text 1, .25, .1."""
    below = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    rows = torch.tensor([[[1.0, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]]])
    after = attention_soft(below, rows, torch.ones(1, 3), torch.ones(1, 3))
    torch.testing.assert_close(after[0, :, 0], torch.tensor([1.0, 0.25, 0.1]))
    context = RouterContext(
        layer=0,
        modality_T=torch.tensor([0, 1, 1]),
        attention_BHSS=rows[None],
        attention_norm_T=torch.ones(3),
        residual_norm_T=torch.ones(3),
    )
    torch.testing.assert_close(attention_scores(torch.zeros(3, 4), context)[:, 0], torch.tensor([1.0, 0.25, 0.1]))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10_000))
def test_attention_soft_keeps_distributions_never_sharpens_the_extremes_and_leaves_text_alone(seq: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    rows = torch.rand(1, seq, seq, generator=g).tril() + torch.eye(seq)
    rows = rows / rows.sum(-1, keepdim=True)
    score = torch.rand(1, seq, 1, generator=g)
    score = torch.cat((score, 1 - score), -1)
    norms = torch.rand(2, 1, seq, generator=g) + 0.01
    after = attention_soft(score, rows, norms[0], norms[1])
    torch.testing.assert_close(after.sum(-1), torch.ones(1, seq))
    # a convex combination: nothing leaves the range of what was there
    assert float(after[..., 0].max()) <= float(score[..., 0].max()) + 1e-6
    assert float(after[..., 0].min()) >= float(score[..., 0].min()) - 1e-6
    text = torch.tensor([1.0, 0.0]).expand(1, seq, 2)
    torch.testing.assert_close(attention_soft(text, rows, norms[0], norms[1]), text)
    # more attention weight, more mixing: the distance to the attention average shrinks
    more = attention_soft(score, rows, norms[0], norms[1] * 3)
    assert bool(((more - rows @ score).abs() <= (after - rows @ score).abs() + 1e-6).all())


def test_gaussian_scores_stay_soft_only_with_tau_that_grows_with_width() -> None:
    """D = 256, shift 0.25 sd: own-modality score 0.516 at tau = D/2 and 0.972 at tau = 1 (400 tokens, sd of the mean below 0.004)."""
    d = 256
    x = torch.randn(400, d, generator=torch.Generator().manual_seed(0))
    for tau, expected, tolerance in ((None, 0.516, 0.003), (1.0, 0.972, 0.012)):
        mixture = ModalityMixture(d, tau=tau)
        mixture.mean_MND[1] += 0.25
        assert abs(float(mixture(x)[:, 0].mean()) - expected) < tolerance


def test_the_moving_gaussian_finds_mean_and_variance_and_keeps_an_absent_modality() -> None:
    mixture = ModalityMixture(3, decay=0.9)
    g = torch.Generator().manual_seed(1)
    text_only = torch.tensor([[1.0, 0.0]]).expand(500, 2)
    for _ in range(60):
        mixture.update(torch.randn(500, 3, generator=g) * 2 + 5, text_only)
    # 0.1/1.9 of the variance of one batch mean remains: sd about 0.02 for the mean
    torch.testing.assert_close(mixture.mean_MND[0, 0], torch.full((3,), 5.0), atol=0.12, rtol=0)
    torch.testing.assert_close(mixture.var_MND[0, 0], torch.full((3,), 4.0), atol=0.4, rtol=0)
    assert bool((mixture.mean_MND[1] == 0).all()) and bool((mixture.var_MND[1] == 1).all())


def test_first_batch_counts_fully_and_moments_mix_exactly() -> None:
    """Mixing moments with share a equals the moments of the weighted union of both batches."""
    mixture = ModalityMixture(1, decay=0.5)
    label = torch.tensor([[1.0, 0.0]])
    first, second = torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [9.0]])
    mixture.update(first, label.expand(2, 2))
    assert float(mixture.mean_MND[0, 0, 0]) == 2.0 and abs(float(mixture.var_MND[0, 0, 0]) - 1.0) < 1e-5
    mixture.update(second, label.expand(2, 2))
    union = torch.cat((first, second))
    assert abs(float(mixture.mean_MND[0, 0, 0]) - float(union.mean())) < 1e-5
    assert abs(float(mixture.var_MND[0, 0, 0]) - float(union.var(unbiased=False))) < 1e-4


def test_a_mixture_of_components_separates_two_modes_that_one_gaussian_blurs() -> None:
    g = torch.Generator().manual_seed(2)
    sign = (torch.rand(600, 1, generator=g) < 0.5).float() * 2 - 1
    text = sign * 4 + torch.randn(600, 2, generator=g) * 0.3
    vision = torch.randn(600, 2, generator=g) * 0.3
    x, label = torch.cat((text, vision)), torch.eye(2).repeat_interleave(600, 0)
    one, many = ModalityMixture(2, 1, decay=0.9), ModalityMixture(2, 4, decay=0.9)
    for _ in range(80):
        one.update(x, label)
        many.update(x, label)
    assert many.log_likelihood(x)[:600, 0].logsumexp(-1).mean() > one.log_likelihood(x)[:600, 0].logsumexp(-1).mean() + 1
    torch.testing.assert_close(many(x).sum(-1), torch.ones(1200))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([(8, 2), (8, 4), (16, 8), (12, 3), (5, 1)]), st.integers(0, 10_000))
def test_binning_is_a_permutation_into_equal_bins_sorted_by_specialisation(shape: tuple[int, int], seed: int) -> None:
    experts, bins = shape
    spec_E = torch.rand(experts, generator=torch.Generator().manual_seed(seed))
    bin_E = bins_of(spec_E, bins)
    assert torch.bincount(bin_E, minlength=bins).tolist() == [experts // bins] * bins
    for low in range(bins - 1):
        assert spec_E[bin_E == low].min() >= spec_E[bin_E == low + 1].max()


def split_gates(text: int, vision: int, experts: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    score = torch.cat((torch.tensor([[1.0, 0.0]]).expand(text, 2), torch.tensor([[0.0, 1.0]]).expand(vision, 2)))
    gates = torch.zeros(text + vision, experts)
    gates[:text, : experts // 2] = gates[text:, experts // 2 :] = 2 / experts
    return score, gates


def test_information_is_ln2_for_a_perfect_split_whatever_the_token_mix_and_0_for_uniform_gates() -> None:
    bins = one_hot_bins(torch.arange(16) // 4, 4)
    for text, vision in ((8, 32), (20, 20), (1, 39)):
        score, gates = split_gates(text, vision)
        info, both = bin_information(score, gates, bins, ONE, torch.ones(text + vision))
        assert abs(float(info) - LN2) < 1e-4 and float(both) == 1.0
        assert abs(float(bin_information(score, torch.full_like(gates, 1 / 16), bins, ONE, torch.ones(text + vision))[0])) < 1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_information_stays_in_its_range(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    soft = torch.rand(30, 1, generator=g)
    gates = (torch.randn(30, 8, generator=g) * 4).softmax(-1)
    info, _ = bin_information(torch.cat((soft, 1 - soft), -1), gates, one_hot_bins(torch.arange(8) // 2, 4), ONE, torch.ones(30))
    assert -1e-6 <= float(info) <= LN2 + 1e-6


def test_text_only_samples_are_skipped_and_padding_says_nothing() -> None:
    score, gates = split_gates(8, 8)
    bins = one_hot_bins(torch.arange(16) // 4, 4)
    context = RouterContext(layer=0, sample_T=torch.tensor([0] * 8 + [1] * 8), samples=2)
    info, both = bin_information(score, gates, bins, context, torch.ones(16))
    assert both.tolist() == [0.0, 0.0] and info.tolist() == [0.0, 0.0]
    noise = torch.cat((gates, torch.rand(5, 16)))
    padded = bin_information(torch.cat((score, torch.rand(5, 2))), noise, bins, ONE, torch.tensor([1.0] * 16 + [0.0] * 5))[0]
    assert abs(float(padded) - LN2) < 1e-4


def test_the_information_loss_teaches_a_gate_to_split_and_its_scores_get_no_gradient() -> None:
    torch.manual_seed(0)
    router = build(RouterSpec("smoes_hard", 8, 8, 2, options={"bins": 4, "decay": 0.9}))
    modality = torch.tensor([0] * 10 + [1] * 30)
    x = torch.randn(40, 8)
    x[:, 0] = modality * 2.0 - 1.0
    context = RouterContext(layer=0, modality_T=modality, training=True)
    optimiser = torch.optim.Adam(router.parameters(), lr=0.05)
    first = None
    for _ in range(150):
        routing = router(x, context)
        loss = routing.aux["mi_loss"] + 0.1 * routing.aux["balance_loss"]
        first = float(-routing.aux["mi_loss"].detach()) if first is None else first
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert first < 0.1 and float(-routing.aux["mi_loss"].detach()) > 0.5
    assert not routing.aux["score_TM"].requires_grad
    counts = modality_counts(routing, modality, 8)[None]
    assert msi(counts) > 0.8


def test_read_literally_the_in_bin_balance_ignores_the_bins_and_renormalised_it_does_not() -> None:
    """The literal sum over bins of N_B f_e P_e is a sum over all experts; the renormalised loss leaves a bin's share free."""
    g = torch.Generator().manual_seed(0)
    probs = torch.randn(50, 8, generator=g).softmax(-1)
    chosen = spread(torch.ones(50, 2), probs.topk(2).indices, 8)
    keep = torch.ones(50)
    f, p = chosen.sum(0) / chosen.sum(), probs.mean(0)
    literal = [
        sum(2 * (f[b == k] * p[b == k]).sum() for k in range(4)) for b in (torch.arange(8) // 2, torch.randperm(8, generator=g) // 2)
    ]
    assert abs(float(literal[0] - literal[1])) < 1e-6
    assert abs(float(literal[0]) * 8 / 2 - float(balance_loss(probs, chosen, keep))) < 1e-5
    # all mass in one bin, evenly inside it: perfectly balanced for the renormalised form
    lopsided = torch.zeros(50, 8)
    lopsided[:, :2] = 0.5
    bins = one_hot_bins(torch.arange(8) // 2, 4)
    assert abs(float(in_bin_balance(lopsided + 1e-6, (lopsided > 0).float() + 1e-6, bins, keep)) - 1.0) < 1e-3


def test_msi_is_1_for_hard_routing_0_for_even_routing_and_undefined_for_one_modality() -> None:
    hard = torch.tensor([[[5.0, 5, 0, 0], [0, 0, 50, 50]]])
    assert msi(hard) == 1.0
    assert msi(torch.tensor([[[1.0, 2, 3, 4], [10.0, 20, 30, 40]]])) < 1e-6
    assert msi(torch.tensor([[[1.0, 2, 3, 4], [0.0, 0, 0, 0]]])) is None


def test_hard_routing_has_full_measured_information_and_text_only_none() -> None:
    torch.manual_seed(0)
    modality = torch.tensor([0, 0, 0, 1, 1, 1] * 4)
    context = RouterContext(layer=0, modality_T=modality, sample_T=torch.arange(4).repeat_interleave(6), samples=4)
    routing = build(RouterSpec("hard", 8, 8, 2))(torch.randn(24, 8), context)
    value, n = bin_modality_information(routing, modality, torch.arange(8) // 2, 4, context)
    assert abs(value - LN2) < 1e-4 and n == 4
    assert bin_modality_information(routing, torch.zeros(24, dtype=torch.long), torch.arange(8) // 2, 4, context) == (None, 0)


def test_combinatorial_share_of_remote_tokens() -> None:
    """Uniform top-8 of 64 on two devices: 99.76 %, the only reading under which the paper's 97-98 % is possible."""
    assert abs(any_remote_uniform(64, 8, 2) - 0.9976) < 1e-4
    assert abs(any_remote_uniform(64, 1, 4) - 0.75) < 1e-12
    with pytest.raises(LabInput, match="evenly"):
        any_remote_uniform(64, 8, 3)


def test_measures_of_load_and_slots() -> None:
    assert load_imbalance(torch.tensor([2.0, 2, 2, 2])) == 1.0 and load_imbalance(torch.tensor([8.0, 0, 0, 0])) == 4.0
    assert load_imbalance(torch.zeros(4)) is None and load_entropy(torch.zeros(4)) is None
    assert abs(load_entropy(torch.ones(4)) - 1.0) < 1e-6 and load_entropy(torch.tensor([8.0, 0, 0, 0])) < 1e-6
    idx = torch.zeros(2, 3, dtype=torch.long)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    virtual = torch.tensor([[False, True, False], [False, False, True]])
    slots = slots_per_token([Routing(idx, mask.float(), torch.ones(2, 1), mask, virtual)])
    assert (slots.used, slots.real, slots.virtual_share) == (2.5, 1.5, 0.4)
    with pytest.raises(LabInput):
        slots_per_token([])
    assert math.isclose(LN2, 0.6931, abs_tol=1e-4)
