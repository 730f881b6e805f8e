"""Denials, denying prefixes and opposites. Imports alignment and the lexicon; refuses directions of quantities (directions.py)."""

from __future__ import annotations

import re

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.scan import Scan, Token, scan
from sovereign.kernel.language.words import negated_pair, opposite, polarity
from sovereign.kernel.verify.align import Aligned, binding
from sovereign.kernel.verify.findings.base import (
    CONTRADICTS,
    OPEN,
    Finding,
    near_pair,
    near_words,
    sure,
)


def negations(aligned: Aligned) -> list[Finding]:
    """A denial on one side whose first words stand undenied on the other."""
    findings = []
    plain = any(aligned.claim.tokens[k].low in _PLAIN for k in aligned.claim.negations)
    for i in _heads(aligned.claim):
        token = aligned.claim.content[i]
        partners = aligned.partners[i]
        if partners and not any(aligned.source.content[j].negated for j in partners):
            if not _denied_by_word(token, aligned, partners):
                other = aligned.source.content[partners[0]].text
                findings.append(Finding("negation", sure(aligned) if plain else OPEN, f"not “{token.text}”", f"“{other}” without a denial"))
        elif not partners and not any(aligned.source.content[j].negated for p in aligned.partners for j in p):
            findings.append(Finding("negation", OPEN, f"not “{token.text}”", "no such denial"))
    heads = _heads(aligned.source)
    for j in heads + [
        h + 1
        for h in heads
        if h + 1 < len(aligned.source.content) and aligned.source.content[h + 1].negated and aligned.source.content[h + 1].kind == "w"
    ]:
        holders = [i for i, p in enumerate(aligned.partners) if j in p]
        elsewhere = any(not aligned.source.content[k].negated for i in holders for k in aligned.partners[i])
        if holders and not elsewhere and not any(aligned.claim.content[i].negated for i in holders):
            if any(t.low in lex.NEGATIONS or t.low in _DENYING_NOUNS for t in aligned.claim.content):
                continue
            token = aligned.source.content[j]
            findings.append(Finding("negation", sure(aligned), f"“{aligned.claim.content[holders[0]].text}”", f"not “{token.text}”"))
    mine = [aligned.claim.tokens[k].low for k in aligned.claim.negations]
    if mine and not findings and not aligned.source.negations and not any(t.low in _EMPTY for t in aligned.source.tokens):
        changed = any(t.negated and polarity(t.low) for t in aligned.claim.content) and any(polarity(t.low) for t in aligned.source.content)
        if not changed:
            findings.append(Finding("negation", OPEN, f"“{mine[0]}”", "no such denial"))
    for i, token in enumerate(aligned.claim.content):
        if token.kind == "w" and aligned.strength[i] == 0.0 and _PREFIXED.match(token.low):
            findings.append(Finding("negation", OPEN, f"“{token.text}”", "nothing of the kind"))
    return findings[:2]


_DENYING_NOUNS = frozenset("failure failures lack absence inability unable unsuccessful impossible shortage".split())
SAME_OBJECT = "of the same object"
_UNTOUCHED = frozenset("unchanged unaffected unaltered untouched intact".split())
_CHANGES = frozenset("change changes changed alter alters altered affect affects affected modify modifies modified".split())


def untouched(aligned: Aligned) -> list[Finding]:
    """ "X leaves the outputs unchanged" where the source says that X, or what it was said to do before, changes the outputs."""
    claim, source = aligned.claim, aligned.source
    said = next((t for t in claim.content if t.low in _UNTOUCHED and not t.negated), None)
    at = next((j for j, t in enumerate(source.content) if t.low in _CHANGES and not t.negated), None)
    if said is None or at is None or aligned.columns is not None:
        return []
    used = aligned.used
    subject, thing = source.content[:at], [j for j in range(at + 1, len(source.content)) if not source.content[j].weak]
    named = all(aligned.strength[i] > 0.0 for i, t in enumerate(claim.content) if t.kind == "n")
    spoken = scan(f"{aligned.unit.around} {aligned.unit.before}").stems
    own = bool(subject) and all(t.key in spoken or any(t.key == n.key for n in claim.names) for t in subject if not t.weak)
    if not thing or not set(thing) <= used or not named or not own:
        return []
    return [Finding("negation", CONTRADICTS, f"“{said.text}”", f"“{source.content[at].text}”", SAME_OBJECT)]


# Words that only deny; "lack", "fails" and their kind also say what happens, and may be said otherwise.
_PLAIN = frozenset("not no never without neither nor none cannot n't don't doesn't didn't isn't aren't wasn't weren't can't won't".split())
_EMPTY = frozenset("unchanged unaffected free zero absent absence instead lossless constant same except only".split())


_PREFIXED = re.compile(
    r"^(?:un(?!i|der)|in(?=accura|effect|suffic|signif|depend|stab|activ|adequ|appropr|consist)|im(?=possib|probab|perfect|balanc)|ir(?=relev|regul)|non|dis(?=simil|advant|agree|connect))[a-z]{4,}"
)


def _heads(sentence: Scan) -> list[int]:
    """For every denial, the first word that it denies and that carries meaning."""
    out = []
    for index in sentence.negations:
        cue = sentence.tokens[index]
        for k, token in enumerate(sentence.content):
            if token.start > cue.start and token.negated and token.kind != "q":
                out.append(k)
                break
    return out


def _denied_by_word(token: Token, aligned: Aligned, partners: tuple[int, ...]) -> bool:
    return any(negated_pair(token.low, aligned.source.content[j].low) for j in partners)


def opposites(aligned: Aligned) -> list[Finding]:
    """A word of the claim that the source does not say, where the source says its opposite of the same things."""
    near_claim, near_source = near_pair(aligned)
    used = aligned.used
    findings = []
    for i, token in enumerate(aligned.claim.content):
        if token.kind != "w" or polarity(token.low) not in {"", "same"}:
            continue
        if aligned.strength[i] > 0.0 and not aligned.inherited[i]:
            continue
        rivals = [j for j, t in enumerate(aligned.source.content) if t.kind == "w" and j not in used and opposite(token.low, t.low)]
        if not rivals:
            continue
        scores = binding(aligned, i, rivals, near_claim, near_source)
        j = max(rivals, key=lambda j: (scores[j], -j))
        other = aligned.source.content[j]
        if token.negated == other.negated:
            slot = "negation" if negated_pair(token.low, other.low) else "direction" if polarity(other.low) else "condition"
            findings.append(Finding(slot, sure(aligned), f"“{token.text}”", f"“{other.text}”", near_words(aligned, j, near_source)))
    return findings
