"""Content words of the claim that the source does not say. Imports alignment; refuses to guess a synonym."""

from __future__ import annotations

import re

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.scan import Token
from sovereign.kernel.language.words import polarity
from sovereign.kernel.verify.align import Aligned, weight
from sovereign.kernel.verify.findings.base import (
    OPEN,
    Finding,
)
from sovereign.kernel.verify.values import Agreement, agree


def wording(aligned: Aligned) -> list[Finding]:
    """Content words of the claim that neither the unit nor its surroundings say. A measured thing, or a word in another's place, carries a note."""
    out = []
    used = aligned.used
    for token in aligned.claim.content:
        key = f"#{token.value.low:g}" if token.value is not None else token.key
        if key in aligned.unit.siblings and not any(t.key == token.key and t.kind != "q" for t in aligned.source.content):
            if token.value is not None and any(
                t.value is not None and agree(token.value, t.value) is Agreement.EQUAL for t in aligned.source.content
            ):
                continue
            out.append(
                Finding("subject", OPEN, f"“{token.text}”", f"a row about {aligned.unit.table.cells[0] if aligned.unit.table else ''}")
            )
    for i in aligned.unmatched():
        token = aligned.claim.content[i]
        if weight(token) < 1.0 or token.kind != "w" or polarity(token.low):
            continue
        other = _in_its_place(aligned, i, used) if aligned.order >= 0.6 else None
        if other is not None:
            out.append(Finding("wording", OPEN, f"“{token.text}”", f"“{other.text}”", "another word in its place"))
        elif _RANK.fullmatch(token.low) and token.low not in _NO_RANK:
            out.append(Finding("wording", OPEN, f"“{token.text}”", "no such rank", "a rank"))
        elif (
            token.low in lex.METRICS
            and token.low not in _VAGUE
            and not any(t.low in lex.METRICS for t in aligned.claim.content if t is not token)
        ):
            out.append(Finding("wording", OPEN, f"“{token.text}”", "nothing that says so", "the measured quantity"))
        else:
            out.append(Finding("wording", OPEN, f"“{token.text}”", "nothing that says so"))
    return out


_RANK = re.compile(r"[a-z]{3,}est")
_NO_RANK = frozenset(
    "test latest request interest forest rest contest digest invest modest guest quest protest suggest harvest earnest honest manifest".split()
)
_VAGUE = frozenset(
    """
    size score scores rate rates performance speed quality time times gain gains improvement improvements usage level frequency success
    win exact
    """.split()
)


def _in_its_place(aligned: Aligned, at: int, used: frozenset[int]) -> Token | None:
    """The unmatched source word between the partners of the claim word's two neighbours: a substitution."""
    content, source = aligned.claim.content, aligned.source.content
    left = aligned.partners[at - 1] if at > 0 else ()
    right = aligned.partners[at + 1] if at + 1 < len(content) else ()
    for j, other in enumerate(source):
        if j in used or other.kind == "q" or other.weak:
            continue
        beside_left = not left or (j - 1) in left
        beside_right = not right or (j + 1) in right
        if (
            (left or right)
            and beside_left
            and beside_right
            and ((left and right) or at in (0, len(content) - 1) or (not left and _head(content[at + 1])))
        ):
            return other
    return None


def _head(token: Token) -> bool:
    """A noun whose modifier says which one is meant."""
    return token.kind == "n" or token.low in lex.METRICS
