"""A lexically matched prompt set: four kinds made of exactly the same words, told apart by their order alone.

Standard library and numpy only. Refuses any difference in the multiset of words inside one quadruple, so a bag of tokens is at chance by construction.

Each prompt opens with a pattern of its kind; the words that the pattern leaves over follow in a seeded random order. The opening is therefore natural
for its kind and the tail is not: what this set can show is sensitivity to word order and context, not the routing of natural text.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

PATTERNS: dict[str, tuple[str, ...]] = {
    "code": (
        "def total ( O , X ) : for N in O : return X + Y if O = X",
        "for N in O : if N = X : return total ( O , X + Y )",
        "def N ( O ) : if X = Y : return O : return total ( X )",
    ),
    "math": (
        "how many O has N in total if N has X O and then gets Y O ? X + Y =",
        "N has X O , then Y O . how many O in total ? total = X + Y",
        "if N has X O and gets Y O , then the total of O is X + Y",
    ),
    "story": (
        "once there was a city , and N was in the city . then N was in the O .",
        "in the O of the city there was N , and N was of the O once",
        "then , once , there was N in the city of O , and the O was the city",
    ),
    "factual": (
        "the city of N is the total of X O and has Y O .",
        "N is a city . the total of the O in the city is X , and Y has O",
        "there is a city of N , and the city has X O . Y is the total",
    ),
}
NAMES = ("anna", "david", "maria", "peter", "laura", "simon")
OBJECTS = ("apples", "books", "coins", "stones", "birds", "boats")


def bag() -> Counter[str]:
    """The smallest multiset of words from which every pattern can be written."""
    union: Counter[str] = Counter()
    for patterns in PATTERNS.values():
        for pattern in patterns:
            union |= Counter(pattern.split())
    return union


def quadruples(count: int, seed: int) -> list[dict[str, str]]:
    """`count` dictionaries kind -> prompt; the four prompts of one dictionary have equal word multisets."""
    rng = np.random.default_rng(seed)
    return [_quadruple(rng) for _ in range(count)]


def _quadruple(rng: np.random.Generator) -> dict[str, str]:
    slots = {"N": str(rng.choice(NAMES)), "O": str(rng.choice(OBJECTS)), "X": str(rng.integers(2, 60)), "Y": str(rng.integers(2, 60))}
    prompts = {}
    for kind, patterns in PATTERNS.items():
        opening = patterns[rng.integers(len(patterns))].split()
        rest = sorted((bag() - Counter(opening)).elements())
        words = opening + [rest[i] for i in rng.permutation(len(rest))]
        # A leading blank makes the first word the same token as anywhere else.
        prompts[kind] = "".join(f" {slots.get(w, w)}" for w in words)
    return prompts
