"""Harmless rewordings: other words for the same statement. They keep every number, unit, name, direction, negation, hedge and setting."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from planted.flaws import everywhere
from sovereign.kernel.tribunal import Dossier
from sovereign.records import Sentence, SentenceKind

WORDS = (
    ("reduces", "lowers"),
    ("lowers", "reduces"),
    ("raises", "increases"),
    ("increases", "raises"),
    ("reaches", "attains"),
    ("compared with", "relative to"),
    ("gives", "yields"),
    ("reports", "gives"),
    ("has", "shows"),
    ("about", "roughly"),
    ("at most", "no more than"),
    ("is lower than", "lies below"),
    ("falls", "drops"),
    ("rises", "grows"),
)
FRAMES = (
    ("This draft examines", "This draft looks at"),
    ("taken from them", "that were taken from them"),
    ("stand after verification", "stand after being verified"),
    ("rest on our own reading notes", "come from our own reading notes"),
    ("have no second, independent source", "are without a second, independent source"),
    ("queries went to", "queries were sent to"),
    ("Not answered:", "Still open:"),
    ("Statements were taken", "The statements were taken"),
)


def reword(d: Dossier, rng: random.Random) -> Dossier:
    """Frames in other words; in our own words (reading notes) one synonym in some sentences, a moved setting in others. Quotations stay as they are."""

    def change(s: Sentence) -> Sentence:
        text = s.text
        if s.kind is not SentenceKind.CLAIM and not s.claims:
            for old, new in FRAMES:
                text = text.replace(old, new)
            return replace(s, text=text)
        if "“" in text or s.trials or rng.random() < 0.5:
            return s
        for old, new in rng.sample(WORDS, len(WORDS)):
            if re.search(rf"\b{old}\b", text):
                text = re.sub(rf"\b{old}\b", new, text, count=1)
                break
        moved = re.match(r"(On [^,]{3,40}?|With [^,]{3,40}?), (.+)\.$", text)
        if moved and rng.random() < 0.5:
            text = f"{moved.group(2)} {moved.group(1)[0].lower()}{moved.group(1)[1:]}."
        return replace(s, text=text)

    return replace(d, draft=everywhere(d.draft, change))
