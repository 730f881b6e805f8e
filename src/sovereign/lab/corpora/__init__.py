"""Text that any machine can make: four kinds (code, math, story, factual), seeded, with train and held-out splits that share no template.

Imports the standard library, numpy and errors; the tokenizer library only when a tokenizer is trained. Refuses the network and downloaded data.

code     functions of the interpreter's own standard library, docstrings removed; a file belongs to one split (by the hash of its name)
math     word problems and equation drills from templates; each split has its own templates, names and objects
story    short scenes from sentence patterns; each split has its own patterns, names and places
factual  the interpreter's documentation and docstrings (split by topic or file), and statements about made-up places from split templates
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sovereign.errors import LabInput, UnknownName
from sovereign.lab.corpora import factual, math, source_code, story

KINDS = ("code", "math", "story", "factual")
SPLITS = ("train", "heldout")
_MAKERS: dict[str, Callable[[str, int, int], list[str]]] = {
    "code": source_code.documents,
    "math": math.documents,
    "story": story.documents,
    "factual": factual.documents,
}


@dataclass(frozen=True)
class LabelledText:
    """One document or prompt and the kind it belongs to."""

    kind: str
    text: str


def documents(kind: str, split: str, count: int, seed: int) -> list[str]:
    """`count` documents of one kind and split; the same arguments give the same texts on the same interpreter."""
    if kind not in _MAKERS:
        raise UnknownName("kind of text", kind, KINDS)
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    if count < 1:
        raise LabInput(f"Cannot make {count} documents.", mend="Ask for at least one.")
    return _MAKERS[kind](split, count, zlib.crc32(f"{kind}/{split}/{seed}".encode()))


def mixed(split: str, per_kind: int, seed: int) -> list[LabelledText]:
    """per_kind documents of every kind, in a seeded order."""
    texts = [LabelledText(kind, text) for kind in KINDS for text in documents(kind, split, per_kind, seed)]
    order = np.random.default_rng(zlib.crc32(f"mixed/{split}/{seed}".encode())).permutation(len(texts))
    return [texts[i] for i in order]
