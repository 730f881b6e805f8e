"""Signatures against hand counts, nulls against their closed forms, and controls that must fail or hold on planted structure."""

from dataclasses import replace

import numpy as np
import pytest

from sovereign.errors import LabInput, UnknownName
from sovereign.lab import signatures as sig
from sovereign.lab import statistics as st
from sovereign.lab.trace import RoutingTrace, make_meta

pytestmark = pytest.mark.lab


def trace_of(experts, request, *, num_experts, weights=None, probs=None, token_id=None, categories=None):
    experts = np.asarray(experts, dtype=np.int16)
    request = np.asarray(request, dtype=np.int32)
    position = np.concatenate([np.arange((request == r).sum()) for r in np.unique(request)]).astype(np.int32)
    more = {} if categories is None else {"categories": categories}
    meta = make_meta(num_experts=num_experts, k=experts.shape[2], layers=experts.shape[1], model="m", versions={"x": "1"}, **more)
    ids = None if token_id is None else np.asarray(token_id, dtype=np.int32)
    return RoutingTrace(experts, request, position, np.zeros(len(request), bool), weights, probs, ids, meta)


def test_the_four_variants_by_hand():
    experts = [[[0, 1]], [[0, 2]], [[3, 1]]]
    weights = np.array([[[0.6, 0.2]], [[0.5, 0.1]], [[0.4, 0.2]]])
    probs = np.array([[[0.6, 0.2, 0.1, 0.1]], [[0.5, 0.2, 0.2, 0.1]], [[0.1, 0.3, 0.2, 0.4]]])
    t = trace_of(experts, [0, 0, 1], num_experts=4, weights=weights, probs=probs)
    np.testing.assert_allclose(sig.signatures(t), [[[0.5, 0.25, 0.25, 0]], [[0, 0.5, 0, 0.5]]])
    np.testing.assert_allclose(sig.signatures(t, "weighted")[0, 0], np.array([1.1, 0.2, 0.1, 0]) / 1.4)
    np.testing.assert_allclose(sig.signatures(t, "binary")[0, 0], [1 / 3, 1 / 3, 1 / 3, 0])
    np.testing.assert_allclose(sig.signatures(t, "prob")[0, 0], [0.55, 0.2, 0.15, 0.1])
    with pytest.raises(UnknownName):
        sig.signatures(t, "mean")
    with pytest.raises(LabInput, match="probabilities"):
        sig.signatures(replace(t, probs=None), "prob")


@pytest.mark.parametrize("tokens", [8, 32, 128])
def test_null_u_has_its_closed_form(tokens):
    """T / (T + 7) for 8 of 64: 0.533, 0.821, 0.948. 20 prompts x 16 layers make the mean of 190 pairs good to about 0.003."""
    drawn = sig.cosine(sig.null_uniform(20, tokens, 16, 64, 8, np.random.default_rng(0)))
    mean = drawn[np.triu_indices(20, 1)].mean()
    assert sig.uniform_cosine(tokens, 64, 8) == pytest.approx(tokens / (tokens + 7))
    assert mean == pytest.approx(tokens / (tokens + 7), abs=0.01)


def planted(task: float, shared: float, seed: int = 0):
    """A router with shared popularity and category preference; 4 x 8 prompts of 48 tokens, 3 layers, 3 of 16 experts."""
    rng = np.random.default_rng(seed)
    base, preference = rng.normal(size=(3, 16)) * shared, rng.normal(size=(4, 3, 16)) * task
    labels = np.repeat(np.arange(4), 8)
    out = np.zeros((32, 3, 16))
    for n, label in enumerate(labels):
        noisy = base + preference[label] + rng.gumbel(size=(48, 3, 16))
        chosen = np.argsort(-noisy, -1)[..., :3]
        np.add.at(out[n], (np.arange(3)[None, :, None], chosen), 1 / (48 * 3))
    return out, labels


def test_popularity_alone_beats_nulls_u_and_p_but_not_m_and_not_the_permutation():
    """The load-balancing baseline has three readings and only M separates popularity from task structure: the reason for reporting all."""
    x, labels = planted(task=0, shared=1.5)
    rng = np.random.default_rng(1)
    within = st.separation(sig.cosine(x), labels).within
    null = {
        "U": sig.null_uniform(32, 48, 3, 16, 3, rng),
        "M": sig.null_marginal(x, 48, 3, rng),
        "P": sig.null_permuted(x, rng),
    }
    means = {k: st.separation(sig.cosine(v), labels).within for k, v in null.items()}
    assert within > means["U"] + 0.05
    assert within > means["P"] + 0.2
    assert abs(within - means["M"]) < 0.03
    assert st.permutation_p(st.separation(sig.cosine(x), labels).gap, st.permuted_gaps(sig.cosine(x), labels, 199, 0)) > 0.02


def test_task_structure_is_found_by_every_similarity():
    x, labels = planted(task=1.0, shared=1.0)
    for matrix in (sig.cosine(x), sig.centred_cosine(x), sig.jensen_shannon(x)):
        assert st.separation(matrix, labels).d > 2
    centred = st.separation(sig.centred_cosine(x), labels)
    assert centred.across < 0 < centred.within


def test_jensen_shannon_is_one_for_equal_and_zero_for_disjoint_signatures():
    x = np.array([[[1.0, 0, 0]], [[1.0, 0, 0]], [[0, 0.5, 0.5]]])
    np.testing.assert_allclose(sig.jensen_shannon(x), [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=1e-12)


def token_routed(context: bool, seed: int = 0):
    """Categories with different words. Without context every token has its own fixed routing (plus noise), whatever the category."""
    rng = np.random.default_rng(seed)
    vocab, length = 30, 60
    taste = rng.normal(size=(vocab, 2, 8)) * 2
    mood = rng.normal(size=(2, 2, 8)) * (2 if context else 0)

    def make(prompts):
        ids, experts, request, names = [], [], [], []
        for n in range(prompts):
            label = n % 2
            words = rng.permutation(
                np.concatenate((rng.integers(0, 10, length // 2), rng.integers(10 * label, 10 * label + 20, length // 2)))
            )
            noisy = taste[words] + mood[label] + rng.gumbel(size=(length, 2, 8))
            ids.append(words)
            experts.append(np.argsort(-noisy, -1)[..., :2])
            request += [n] * length
            names.append("ab"[label])
        return trace_of(np.concatenate(experts), request, num_experts=8, token_id=np.concatenate(ids), categories=names)

    return make(24), make(60), np.arange(24) % 2, vocab


def test_token_surrogates_take_all_that_lexical_routing_has():
    """The control that decides lexical against contextual routing: no excess when the token alone decides, a clear one when context does."""
    for context, low, high in ((False, -0.5, 0.5), (True, 0.7, 99)):
        prompts, reference, labels, vocab = token_routed(context)
        real = st.separation(sig.cosine(sig.signatures(prompts)), labels)
        surrogate = st.separation(sig.cosine(sig.signatures(sig.token_surrogate(prompts, reference, 0))), labels)
        assert low < real.d - surrogate.d < high
        residual, used = sig.residual_signatures(prompts, sig.token_table(reference, vocab))
        assert 0.5 < used <= 1
        d = st.separation(sig.cosine(residual), labels).d
        assert (d > 1) if context else (d < 0.6)


def test_a_surrogate_keeps_tokens_and_never_copies_the_token_itself():
    prompts, reference, _, _ = token_routed(True)
    other = sig.token_surrogate(prompts, reference, 0)
    np.testing.assert_array_equal(other.token_id, prompts.token_id)
    lonely = trace_of(np.arange(4).reshape(4, 1, 1), [0, 0, 0, 0], num_experts=4, token_id=[1, 1, 2, 3])
    once = sig.token_surrogate(lonely, replace(lonely, token_id=np.array([9, 9, 9, 9], dtype=np.int32)), 0)
    assert once.experts.ravel().tolist() == [1, 0, 2, 3]


def test_token_identity_share_is_one_when_the_token_decides_and_small_when_nothing_does():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 5, 400)
    fixed = trace_of((ids % 4)[:, None, None], np.zeros(400), num_experts=4, token_id=ids)
    free = trace_of(rng.integers(0, 4, (400, 1, 1)), np.zeros(400), num_experts=4, token_id=ids)
    assert sig.token_identity_share(fixed, 5)[0] == pytest.approx(1)
    assert sig.token_identity_share(free, 5)[0] < 0.05


def test_pca_finds_the_planted_axis_and_its_shares_sum_to_one():
    rng = np.random.default_rng(0)
    axis = np.array([3.0, 4.0, 0.0]) / 5
    x = rng.normal(size=(200, 1)) * 5 * axis + rng.normal(size=(200, 3)) * 0.1
    p = sig.pca(x, components=3)
    assert sum(p.explained) == pytest.approx(1)
    assert p.explained[0] > 0.99
    assert abs(np.corrcoef(p.points[:, 0], x @ axis)[0, 1]) > 0.999


def test_bag_of_tokens_counts():
    t = trace_of(np.zeros((4, 1, 1)), [0, 0, 0, 1], num_experts=2, token_id=[1, 1, 2, 0])
    np.testing.assert_allclose(sig.bag_of_tokens(t, 3), [[0, 2 / 3, 1 / 3], [1, 0, 0]])
