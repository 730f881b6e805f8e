"""Story documents: short scenes put together from sentence patterns that belong to one split.

Standard library and numpy only. Refuses to share a pattern, a name or a place between the splits.
"""

from __future__ import annotations

import numpy as np

NAMES = {
    "train": ("Mila", "Tom", "Sara", "Ben", "Lucy", "Oskar", "Nora", "Finn", "Ella", "Max", "Ida", "Paul"),
    "heldout": ("Wanda", "Rolf", "Yuki", "Arne", "Vera", "Zeno", "Carla", "Egon"),
}
PLACES = {
    "train": ("forest", "village", "castle", "garden", "river", "mountain", "harbour", "market", "tower", "meadow"),
    "heldout": ("island", "cave", "orchard", "bridge", "desert", "library"),
}
CREATURES = {
    "train": ("fox", "owl", "dragon", "cat", "wolf", "mouse", "horse", "rabbit"),
    "heldout": ("bear", "crow", "turtle", "giant", "otter"),
}
MOODS = {
    "train": ("brave", "tired", "happy", "lonely", "curious", "quiet", "angry", "gentle"),
    "heldout": ("clever", "sleepy", "proud", "shy", "cheerful"),
}
TRAIN = (
    "Once upon a time there was a {mood} {creature} who lived near the {place}.",
    "{name} woke up early and looked out over the {place}.",
    '"Where are you going?" asked the {creature}.',
    "{name} felt {mood}, because nobody had come to the {place} for a long time.",
    "Suddenly the {creature} jumped out of the {place} and began to sing.",
    '"I will never forget you," whispered {name}, and the {creature} smiled.',
    "That night the moon shone over the {place} and everyone was {mood}.",
    "{name} and {other} followed the {creature} into the old {place}.",
    "The {mood} {creature} had lost its way and cried softly.",
    "In the end {name} came home to the {place} and told {other} everything.",
)
HELDOUT = (
    "Long ago, on the far side of the {place}, {name} met a {mood} {creature}.",
    "Nobody believed {other} when she spoke about the {creature} of the {place}.",
    '"Stay with me tonight," said {name}, who was {mood} and cold.',
    "The wind grew stronger, and the {creature} hid behind the {place}.",
    "With a {mood} heart {name} opened the door and saw {other} waiting.",
    "From that day on the {creature} was never {mood} again.",
)


def documents(split: str, count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    patterns = TRAIN if split == "train" else HELDOUT
    return [_scene(patterns, split, rng) for _ in range(count)]


def _scene(patterns: tuple[str, ...], split: str, rng: np.random.Generator) -> str:
    name, other = (str(n) for n in rng.choice(NAMES[split], size=2, replace=False))
    creature, place = str(rng.choice(CREATURES[split])), str(rng.choice(PLACES[split]))
    picks = rng.permutation(len(patterns))[: int(rng.integers(5, 7))]
    return " ".join(
        patterns[i].format(name=name, other=other, creature=creature, place=place, mood=rng.choice(MOODS[split])) for i in picks
    )
