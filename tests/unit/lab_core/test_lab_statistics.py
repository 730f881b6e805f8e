"""Effect sizes and intervals against published vectors, brute force and coverage; the classifier against scikit-learn."""

import numpy as np
import pytest

from sovereign.errors import LabInput
from sovereign.lab import classify
from sovereign.lab import statistics as st

pytestmark = pytest.mark.lab


def test_cohens_d_reproduces_the_published_figure():
    """arXiv 2603.11114: 0.8435 +- 0.0879 and 0.6225 +- 0.1687 over 760 and 2400 pairs give the published 1.44; equal weights would give 1.643."""
    assert st.cohens_d_from_moments(0.8435, 0.0879, 760, 0.6225, 0.1687, 2400) == pytest.approx(1.4424, abs=5e-5)
    assert st.cohens_d_from_moments(0.8435, 0.0879, 1000, 0.6225, 0.1687, 1000) == pytest.approx(1.643, abs=5e-4)
    a, b = np.array([1.0, 2, 4]), np.array([0.0, 1, 1, 2])
    pooled = np.sqrt((2 * a.var(ddof=1) + 3 * b.var(ddof=1)) / 5)
    assert st.cohens_d(a, b) == pytest.approx((a.mean() - b.mean()) / pooled)


def similarity(seed=0, shift=1.0, per=6):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), per)
    x = rng.normal(size=(3 * per, 10)) + 2
    x[np.arange(3 * per), labels] += shift
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T, labels


def test_resampling_equals_building_the_resampled_pairs_by_hand():
    matrix, labels = similarity()
    counts = st.prompt_counts(labels, 3, seed=1)
    assert (counts.reshape(3, 3, 6).sum(2) == 6).all(), "prompts are drawn inside their category"
    draws = st.separation_draws(matrix, labels, counts)
    for b in range(3):
        drawn = np.repeat(np.arange(len(labels)), counts[b])
        within, across = [], []
        for i in range(len(drawn)):
            for j in range(i):
                if drawn[i] != drawn[j]:  # a prompt is not a pair with its own copy
                    (within if labels[drawn[i]] == labels[drawn[j]] else across).append(matrix[drawn[i], drawn[j]])
        assert draws.d[b] == pytest.approx(st.cohens_d(within, across))
        assert draws.within[b] == pytest.approx(np.mean(within))
        assert draws.gap[b] == pytest.approx(np.mean(within) - np.mean(across))


def test_unresampled_draws_are_the_plain_separation():
    matrix, labels = similarity()
    one = st.separation_draws(matrix, labels, np.ones((1, len(labels)), dtype=np.int64))
    plain = st.separation(matrix, labels)
    assert (one.d[0], one.gap[0], one.within[0]) == pytest.approx((plain.d, plain.gap, plain.within))
    assert (plain.pairs_within, plain.pairs_across) == (3 * 15, 153 - 45)


def test_the_permutation_test_is_calibrated():
    """Without any structure p is uniform: 60 data sets give a mean p of 0.5 +- 0.037 (SE); four SE is a false alarm in 16 000."""
    values = []
    for seed in range(60):
        matrix, labels = similarity(seed, shift=0.0)
        null = st.permuted_gaps(matrix, labels, 99, seed)
        values.append(st.permutation_p(st.separation(matrix, labels).gap, null))
    assert abs(np.mean(values) - 0.5) < 0.15
    matrix, labels = similarity(0, shift=3.0)
    assert st.permutation_p(st.separation(matrix, labels).gap, st.permuted_gaps(matrix, labels, 99, 0)) == 0.01


def test_permuted_gaps_are_real_gaps_of_shuffled_labels():
    matrix, labels = similarity()
    rng = np.random.default_rng(4)
    by_hand = [st.separation(matrix, labels[rng.permutation(len(labels))]).gap for _ in range(5)]
    np.testing.assert_allclose(st.permuted_gaps(matrix, labels, 5, 4), by_hand)


def test_one_repeat_has_no_interval_and_more_have_students():
    assert st.mean_t_interval([3.0]).interval is None
    assert st.bootstrap([1.0, 2.0], seed=0).interval is None
    e = st.mean_t_interval([1.0, 2.0, 3.0])
    half = 4.303 * 1.0 / np.sqrt(3)
    assert e.interval == pytest.approx((2 - half, 2 + half))
    assert st.paired_difference([2, 3, 4], [1, 2, 3]).interval == pytest.approx((1.0, 1.0))


def test_wilson_and_bootstrap_intervals():
    low, high = st.binomial_interval(74, 80)
    assert (low, high) == pytest.approx((0.8459, 0.9652), abs=1e-4)
    assert st.binomial_interval(0, 10)[0] == 0.0
    covered = sum(
        (e := st.bootstrap(np.random.default_rng(s).normal(size=40), seed=s, draws=300).interval) is not None and e[0] <= 0 <= e[1]
        for s in range(100)
    )
    assert covered >= 85, "a nominal 95 % interval covered too rarely (85 of 100 is 4.6 SE below)"


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3]])
def test_a_separation_needs_two_categories_and_two_prompts_of_one(labels):
    with pytest.raises(LabInput):
        st.separation(np.eye(4) + 0.1, np.array(labels))


# --- classifier ---


def test_the_classifier_is_scikit_learns_on_the_same_objective():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    for shape, c in (((60, 100), 1.0), ((90, 7), 0.1)):
        x, y = rng.normal(size=shape), rng.integers(0, 3, shape[0])
        weights, bias = classify.fit(x, y, 3, c=c, steps=60)
        theirs = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(x, y)
        np.testing.assert_allclose(weights.T, theirs.coef_, atol=2e-4)
        np.testing.assert_array_equal(np.argmax(x @ weights + bias, 1), theirs.predict(x))


def test_published_fold_figures_are_reachable():
    """92.5 % +- 6.1 % is the population SD over five folds of 16 with 16, 16, 14, 14, 14 correct; the sample SD fits no split."""
    folds = np.array([16, 16, 14, 14, 14]) / 16
    assert (folds.mean(), folds.std()) == pytest.approx((0.925, 0.0612), abs=1e-3)


def test_noise_is_classified_at_chance_and_signal_is_not():
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(4), 20)
    x = rng.normal(size=(80, 64))
    chance = classify.permuted_accuracy(x, y, repeats=10, seed=0)
    assert abs(chance.mean() - 0.25) < 0.08  # SE about .015 between repeats; the labels are balanced
    x[np.arange(80), y] += 8
    result = classify.cross_validate(x, y)
    assert result.accuracy > 0.9
    assert result.confusion.sum() == 80
    assert result.correct == np.diag(result.confusion).sum()


def test_near_duplicates_share_a_fold_and_classes_are_spread():
    y = np.repeat(np.arange(2), 20)
    groups = np.repeat(np.arange(20), 2)
    fold = classify.stratified_folds(y, 5, 0, groups)
    assert all(len(set(fold[groups == g])) == 1 for g in range(20))
    assert all(np.bincount(fold[y == k], minlength=5).tolist() == [4] * 5 for k in (0, 1))
    with pytest.raises(LabInput):
        classify.stratified_folds(np.array([0, 0, 1, 1]), 5, 0)


def test_the_test_fold_never_leaks_into_the_standardisation():
    """One enormous test value would flatten a feature for all if it were standardised together."""
    rng = np.random.default_rng(2)
    y = np.repeat(np.arange(2), 20)
    x = rng.normal(size=(40, 1))
    x[:, 0] += 6 * y
    spoiled = x.copy()
    fold = classify.stratified_folds(y, 5, 0)
    spoiled[np.argmax(fold == 0)] = 1e9
    assert classify.cross_validate(spoiled, y, fold=fold).fold_accuracy[0] >= 7 / 8 - 1e-9


def test_the_interval_of_a_median_is_that_of_the_order_statistics() -> None:
    """Binomial tails: 2 P(B(15, 1/2) <= 3) = 0.0352, and with <= 4 it would be 0.1185; six values give 0.03125, five cannot give 0.05."""
    assert st.median_interval([*range(15)]) == (3.0, 11.0)
    assert st.median_interval([5, 3, 9, 1, 7, 2]) == (1.0, 9.0)
    assert st.median_interval([1, 2, 3, 4, 5]) is None
    rng = np.random.default_rng(0)
    held = [low <= 1.0 <= high for low, high in (st.median_interval(rng.exponential(1 / np.log(2), 15)) for _ in range(2000))]
    assert 0.95 <= np.mean(held) <= 0.98
