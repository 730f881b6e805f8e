"""Math documents: word problems with worked answers, equations and short derivations, from templates that belong to one split.

Standard library and numpy only. Refuses to share a template, a name or an object between the splits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

NAMES = {
    "train": ("Anna", "Boris", "Clara", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Karin", "Leon"),
    "heldout": ("Mara", "Nils", "Olga", "Pavel", "Rosa", "Samir", "Tilda", "Viktor"),
}
OBJECTS = {
    "train": ("apples", "pencils", "coins", "stamps", "books", "marbles", "eggs", "tickets", "candles", "shells"),
    "heldout": ("lemons", "buttons", "bricks", "ribbons", "kites", "lanterns"),
}
Template = Callable[[str, str, str, int, int, int], str]

TRAIN: tuple[Template, ...] = (
    lambda n, m, o, a, b, c: (
        f"{n} has {a} {o} and buys {b} more. Then {n} gives {c} to {m}. {n} now has {a} + {b} - {c} = {a + b - c} {o}."
    ),
    lambda n, m, o, a, b, c: f"Each box holds {b} {o}. With {a} boxes there are {a} * {b} = {a * b} {o} in total.",
    lambda n, m, o, a, b, c: f"Solve {b} x + {c} = {b * a + c}. Subtract {c}: {b} x = {b * a}. Divide by {b}: x = {a}.",
    lambda n, m, o, a, b, c: f"If {n} walks {a} miles every day for {b} days, the distance is {a} * {b} = {a * b} miles.",
    lambda n, m, o, a, b, c: f"Compute {a} + {b} + {c}. First {a} + {b} = {a + b}. Then {a + b} + {c} = {a + b + c}.",
    lambda n, m, o, a, b, c: f"{n} and {m} share {2 * a} {o} equally. Each receives {2 * a} / 2 = {a} {o}.",
    lambda n, m, o, a, b, c: (
        f"The rectangle has sides {a} and {b}. Its area is {a} * {b} = {a * b} and its perimeter is 2 * ({a} + {b}) = {2 * (a + b)}."
    ),
    lambda n, m, o, a, b, c: f"What is {a} percent of {100 * b}? The answer is {a} * {100 * b} / 100 = {a * b}.",
    lambda n, m, o, a, b, c: (
        f"{m} earns {a} dollars per hour and works {b} hours. After paying {c} dollars, {m} keeps {a * b - c} dollars."
    ),
    lambda n, m, o, a, b, c: f"Let f(x) = {a} x + {b}. Then f({c}) = {a} * {c} + {b} = {a * c + b}.",
)
HELDOUT: tuple[Template, ...] = (
    lambda n, m, o, a, b, c: (
        f"A shop sells {o} at {a} cents each. How much does {n} pay for {b} of them? The price is {b} * {a} = {a * b} cents."
    ),
    lambda n, m, o, a, b, c: f"{n} is {a} years old and {m} is {b} years older. The sum of their ages is {a} + {a + b} = {2 * a + b}.",
    lambda n, m, o, a, b, c: f"Find y when y - {a} = {b}. Adding {a} to both sides gives y = {b} + {a} = {a + b}.",
    lambda n, m, o, a, b, c: f"A train needs {a} hours for {a * b} miles, so its speed is {a * b} / {a} = {b} miles per hour.",
    lambda n, m, o, a, b, c: f"The mean of {a}, {b} and {c} times three equals the sum {a} + {b} + {c} = {a + b + c}.",
    lambda n, m, o, a, b, c: f"Out of {a + b} {o}, {a} are red. How many are not red? There are {a + b} - {a} = {b} {o} that are not red.",
)


def documents(split: str, count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    templates = TRAIN if split == "train" else HELDOUT
    return [" ".join(_problem(templates, split, rng) for _ in range(int(rng.integers(3, 6)))) for _ in range(count)]


def _problem(templates: tuple[Template, ...], split: str, rng: np.random.Generator) -> str:
    n, m = rng.choice(NAMES[split], size=2, replace=False)
    a, b, c = (int(v) for v in rng.integers(2, 60, 3))
    return templates[rng.integers(len(templates))](str(n), str(m), str(rng.choice(OBJECTS[split])), a, b, c)
