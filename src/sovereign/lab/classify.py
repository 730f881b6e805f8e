"""A multinomial logistic regression with stratified folds, in numpy, so that the lab needs no further library where it runs.

Imports numpy and errors. Refuses to standardise on test rows, and reports the accuracy on permuted labels beside the real one.
Tested against scikit-learn's solver on the same objective.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Classification(NamedTuple):
    """Accuracy per fold (mean and population SD over folds are the published form), macro F1 and the confusion matrix of all folds together."""

    fold_accuracy: tuple[float, ...]
    accuracy: float
    accuracy_sd: float
    macro_f1: float
    confusion: Ints  # rows true, columns predicted
    correct: int
    n: int


def fit(x_ND: Floats, y_N: Ints, classes: int, *, c: float = 1.0, steps: int = 25) -> tuple[Floats, Floats]:
    """(weights (D, C), bias (C,)) minimising c * sum cross-entropy + 0.5 |W|^2 (bias unpenalised), by Newton steps in the span of the rows."""
    u, s, vt = np.linalg.svd(x_ND, full_matrices=False)
    kept = s > s[0] * 1e-10 if len(s) and s[0] > 0 else np.zeros(len(s), bool)
    z = np.concatenate((u[:, kept] * s[kept], np.ones((len(x_ND), 1))), axis=1)  # rows in an orthonormal basis of their span, and 1
    n, r = z.shape
    penalty = np.ones(r)
    penalty[-1] = 1e-8  # the bias; a trace of penalty keeps the system regular (shifting all biases changes nothing)
    target = np.eye(classes)[y_N]
    w = np.zeros((r, classes))
    value, probs = _objective(z, w, target, penalty, c)
    for _ in range(steps):
        gradient = c * z.T @ (probs - target) + penalty[:, None] * w
        if np.abs(gradient).max() < 1e-6 * max(1.0, c * n):
            break
        step = np.linalg.solve(_hessian(z, probs, penalty, c), gradient.T.reshape(-1)).reshape(classes, r).T
        size = 1.0
        while size > 1e-6:
            trial, trial_probs = _objective(z, w - size * step, target, penalty, c)
            if trial <= value:
                break
            size /= 2
        else:
            break
        w, value, probs = w - size * step, trial, trial_probs
    return vt[kept].T @ w[:-1], w[-1]


def _objective(z: Floats, w: Floats, target: Floats, penalty: Floats, c: float) -> tuple[float, Floats]:
    logits = z @ w
    logits = logits - logits.max(1, keepdims=True)
    exp = np.exp(logits)
    total = exp.sum(1, keepdims=True)
    loss = float((np.log(total[:, 0]) - (logits * target).sum(1)).sum())
    return c * loss + 0.5 * float((penalty[:, None] * w * w).sum()), exp / total


def _hessian(z: Floats, probs: Floats, penalty: Floats, c: float) -> Floats:
    r, classes = z.shape[1], probs.shape[1]
    hessian = np.empty((classes * r, classes * r))
    for a in range(classes):
        for b in range(a, classes):
            curvature = probs[:, a] * ((a == b) - probs[:, b])
            block = c * (z * curvature[:, None]).T @ z
            if a == b:
                block[np.diag_indices(r)] += penalty
            hessian[a * r : (a + 1) * r, b * r : (b + 1) * r] = block
            hessian[b * r : (b + 1) * r, a * r : (a + 1) * r] = block.T
    return hessian


def stratified_folds(y_N: Ints, folds: int, seed: int, groups: Ints | None = None) -> Ints:
    """Fold number of every row; every class is spread evenly, and rows of one group (near-duplicates) share a fold.

    Raises LabInput when a class has fewer groups than folds.
    """
    rng = np.random.default_rng(seed)
    fold = np.empty(len(y_N), dtype=np.int64)
    groups = np.arange(len(y_N)) if groups is None else groups
    for offset, label in enumerate(np.unique(y_N)):
        members = np.unique(groups[y_N == label])
        if len(members) < folds:
            raise LabInput(f"Category {int(label)} has {len(members)} distinct prompts for {folds} folds.", mend="Give more prompts.")
        for place, group in enumerate(rng.permutation(members)):
            fold[groups == group] = (place + offset) % folds
    return fold


def cross_validate(
    x_ND: Floats, y_N: Ints, *, folds: int = 5, seed: int = 0, groups: Ints | None = None, fold: Ints | None = None, c: float = 1.0
) -> Classification:
    """Standardised on the training fold only; L2, C = 1 by default. `fold` (a number per row) replaces the seeded stratified folds."""
    classes = int(y_N.max()) + 1
    fold = stratified_folds(y_N, folds, seed, groups) if fold is None else fold
    folds = int(fold.max()) + 1
    predicted = np.empty(len(y_N), dtype=np.int64)
    for f in range(folds):
        held = fold == f
        mean, sd = x_ND[~held].mean(0), x_ND[~held].std(0)
        sd = np.where(sd > 1e-12, sd, 1.0)
        weights, bias = fit((x_ND[~held] - mean) / sd, y_N[~held], classes, c=c)
        predicted[held] = np.argmax((x_ND[held] - mean) / sd @ weights + bias, axis=1)
    right = predicted == y_N
    per_fold = np.array([right[fold == f].mean() for f in range(folds)])
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (y_N, predicted), 1)
    return Classification(
        tuple(float(a) for a in per_fold),
        float(per_fold.mean()),
        float(per_fold.std()),
        macro_f1(confusion),
        confusion,
        int(right.sum()),
        len(y_N),
    )


def macro_f1(confusion: Ints) -> float:
    """Mean over classes of 2 TP / (2 TP + FP + FN); a class that is neither present nor predicted counts 0."""
    true = np.diag(confusion).astype(float)
    denominator = confusion.sum(0) + confusion.sum(1)
    return float(np.where(denominator > 0, 2 * true / np.maximum(denominator, 1), 0.0).mean())


def permuted_accuracy(x_ND: Floats, y_N: Ints, *, repeats: int, folds: int = 5, seed: int = 0) -> Floats:
    """Cross-validated accuracy with shuffled labels, once per repeat: the chance level that this design really has."""
    rng = np.random.default_rng(seed)
    return np.array([cross_validate(x_ND, rng.permutation(y_N), folds=folds, seed=seed + i).accuracy for i in range(repeats)])
