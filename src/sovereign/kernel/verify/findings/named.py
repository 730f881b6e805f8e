"""Names of the claim that the source does not give, and the names that stand in their place. Imports alignment; knows no particular system."""

from __future__ import annotations

from sovereign.kernel.language.scan import Scan, Token, scan
from sovereign.kernel.language.words import polarity
from sovereign.kernel.verify.align import Aligned, binding
from sovereign.kernel.verify.findings.base import (
    CONTRADICTS,
    OPEN,
    Finding,
    near_pair,
)


def named(aligned: Aligned) -> list[Finding]:
    """Names of the claim that neither the unit nor its surroundings give, with the name that stands in their place."""
    near_claim, near_source = near_pair(aligned)
    used = aligned.used
    findings = []
    free = [j for j, t in enumerate(aligned.source.content) if t.kind == "n" and j not in used and not _continues(aligned.source, j, used)]
    around = [t.text for t in scan(aligned.unit.around).names] if aligned.unit.around else []
    for i, token in enumerate(aligned.claim.content):
        if token.kind != "n" or aligned.strength[i] > 0.0:
            continue
        slot = name_slot(aligned.claim, token)
        if free:
            scores = binding(aligned, i, free, near_claim, near_source)
            j = max(free, key=lambda j: (scores[j], -j))
            alike = _resembles(aligned.source.content[j].text, token.text)
            same_place = scores[j] >= 0.3 and _governed_alike(aligned, token, aligned.source.content[j])
            rival = aligned.columns is not None and token.key not in aligned.unit.siblings  # what another row is about is no rival
            kind = CONTRADICTS if rival and (alike or same_place) else OPEN
            findings.append(Finding(slot, kind, token.text, aligned.source.content[j].text))
        elif homonym := next((a for a in around if _resembles(a, token.text)), None):
            findings.append(
                Finding(
                    slot,
                    CONTRADICTS if aligned.columns is not None or aligned.coverage >= 0.75 else OPEN,
                    token.text,
                    homonym,
                    "different names",
                )
            )
        else:
            findings.append(Finding(slot, OPEN, token.text, "no such name here"))
    return findings


def _governed_alike(aligned: Aligned, a: Token, b: Token) -> bool:
    """Both names stand behind a preposition, or neither does."""
    return name_slot(aligned.claim, a) == name_slot(aligned.source, b)


def _continues(sentence: Scan, j: int, used: frozenset[int]) -> bool:
    """A name right behind a name that is matched belongs to it ("Nano 30B-A3B")."""
    before = sentence.content[j - 1] if j else None
    return before is not None and before.kind == "n" and j - 1 in used and sentence.text[before.end : sentence.content[j].start] == " "


def _resembles(a: str, b: str) -> bool:
    x, y = a.lower().replace("-", ""), b.lower().replace("-", "")
    return x != y and (x.startswith(y) or y.startswith(x) or x.endswith(y) or y.endswith(x))


def name_slot(sentence: Scan, token: Token) -> str:
    before = [t.low for t in sentence.tokens if t.end <= token.start][-2:]
    if any(w in {"than", "over", "versus", "vs", "against", "with"} for w in before) or any(
        polarity(w) in {"good", "bad", "up"} for w in before[-1:]
    ):
        return "comparator"
    if any(w in {"on", "in", "for", "at", "across"} for w in before):
        return "condition"
    return "subject"
