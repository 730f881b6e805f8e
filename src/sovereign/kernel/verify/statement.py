"""A person's own sentence as a claim: made, split where it says two things, or refused as not checkable. Imports records and the shared language reading."""

from __future__ import annotations

import hashlib
import re

from sovereign.kernel.language import comparison_key, parse_slots, sentences
from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.scan import Scan, scan
from sovereign.records import Claim

LONGEST = 2000  # characters of one statement; what is longer is split or refused
MOST_PARTS = 24
_FUNCTION = frozenset(
    """
        the of and to in is a that for with on as by at from this are it be was than an or we not its has have can which their our were
        these between per each when more
        """.split()
)
_FOREIGN = frozenset(
    """
    der die das und ist nicht ein eine den von mit für auf werden wird durch bei les des est une dans pour sur avec par plus que qui pas
    le la du aux los las una con por para como más del al en es se il che non per è della delle gli degli são não uma com os mais não het
    een van niet zijn wordt voor
    """.split()
)
_CUT = re.compile(r";\s+|,\s+(?=(?:while|whereas|but)\s)|,?\s+(?=(?:whereas)\s)|,\s+and\s+(?=(?:it|they|this|the|that|we|its)\s)")
_LEAD = re.compile(r"^(?:while|whereas|but|and|however|moreover|furthermore|in addition|additionally),?\s+", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|can|does|do|did|will|[a-z]{3,}(?:es|s|ed)|found|shown|rose|fell|grew|cut|led|kept)\b", re.IGNORECASE
)


def make_claim(text: str) -> Claim:
    """A claim from a person's own sentence. The id is "c-" and twelve hex digits of the text's sha256; the text is never cut."""
    clean = text.strip()
    slots = parse_slots(clean[:LONGEST])
    return Claim(
        claim_id="c-" + hashlib.sha256(clean.encode("utf-8", "surrogatepass")).hexdigest()[:12],
        text=clean,
        slots=slots,
        key=comparison_key(slots),
    )


_DENIED = re.compile(
    r"^(?:it is|it's|it was|this is)\s+(?:not (?:the case|true|correct)|false|untrue|wrong|incorrect|a myth)\s+that\s+(?P<what>\S.+)$",
    re.IGNORECASE | re.DOTALL,
)


def denied(text: str) -> str | None:
    """What a claim denies as a whole ("it is false that ..."); None for a claim that states something."""
    found = _DENIED.match(text.strip())
    return found.group("what") if found else None


def split_claims(sentence: str) -> list[str]:
    """The statements of a text, each to be judged alone: sentences, and clauses joined by a semicolon, while, whereas, but. One statement
    comes back unchanged."""
    out: list[str] = []
    for start, end in sentences(sentence):
        out += _clauses(sentence[start:end])
    return out or ([sentence.strip()] if sentence.strip() else [])


def _clauses(text: str) -> list[str]:
    parts: list[str] = []
    last = 0
    for match in _CUT.finditer(text):
        left, right = text[last : match.start()], text[match.end() :]
        if _stands_alone(left) and _stands_alone(_LEAD.sub("", right)):
            parts.append(left)
            last = match.end()
    parts.append(text[last:])
    return [_LEAD.sub("", p).strip() if i else p.strip() for i, p in enumerate(parts) if p.strip()]


def _stands_alone(text: str) -> bool:
    return len(scan(text).content) >= 3 and bool(_VERB.search(text)) and text.count("(") == text.count(")")


def not_checkable(text: str) -> str | None:
    """Why a statement cannot be checked against a source; None when it can."""
    if not text.strip():
        return "the claim is empty"
    if len(text) > LONGEST:
        return f"the claim has {len(text.split())} words; a claim is one statement: check the sentences one by one"
    taken = scan(text)
    content = [t for t in taken.content if not t.weak]
    if text.rstrip().endswith("?"):
        return "a question states nothing"
    if len(taken.tokens) < 2 or len(content) < 2:
        return "too few words to say anything checkable"
    if (language := _foreign(text, taken)) is not None:
        return language
    if _opinion(taken):
        return "an opinion or a wish: it names no quantity, direction or comparison that a source could settle"
    return None


def _foreign(text: str, taken: Scan) -> str | None:
    letters = [c for c in text if c.isalpha()]
    if letters and sum(ord(c) > 0x24F for c in letters) > 0.4 * len(letters):
        return "not in English: this verifier reads English only"
    words = [t.low for t in taken.tokens if t.kind == "w"]
    foreign = sum(w in _FOREIGN for w in words)
    english = sum(w in _FUNCTION for w in words)
    if len(words) >= 4 and foreign >= 3 and foreign > english:
        return "not in English: this verifier reads English only"
    return None


def _opinion(taken: Scan) -> bool:
    if taken.quantities:
        return False
    words = taken.words
    personal = words & {"i", "should", "ought", "hopefully", "beautiful", "elegant", "exciting", "boring", "amazing", "awesome",
        "wonderful", "ugly", "nice", "lovely", "brilliant", "cool",
                        "fascinating", "interesting", "revolutionary", "groundbreaking", "terrible"}  # fmt: skip
    opinion = words & lex.OPINION
    content = [t for t in taken.content if not t.weak and t.low not in lex.OPINION]
    return (bool(personal) and len(content) < 8) or (bool(opinion) and len(content) <= 2)
