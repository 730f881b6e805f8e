"""Some hundreds of mutated bodies: papers that can be stored, or a refusal; never another exception. 10 000 in benchmarks/fuzz_sources.py."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from fuzzing import examine, mutated, targets


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
def test_mutated_bodies_become_papers_or_a_refusal(target: object) -> None:
    chance = random.Random(20261122)
    assert examine(target, target.body) == "papers"  # type: ignore[attr-defined, arg-type]
    seen = Counter(examine(target, mutated(target.body, chance)) for _ in range(150))  # type: ignore[attr-defined, arg-type]
    assert seen["papers"] > 5 and seen["refused"] > 5, f"mutations must reach both sides: {seen}"
