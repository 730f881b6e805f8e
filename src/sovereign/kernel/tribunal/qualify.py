"""The words of a claim's own document that narrow it: a limit, or the setting it holds for. Imports language and records; refuses to say anything itself.

A qualifier is a quotation with its place. What is quoted stands beside the claim, above it, or is said of all measurements of the document, and the sentence
says which; the kernel does not assert that a setting applies, the source's own words do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sovereign.kernel.language import parse_slots, sentences
from sovereign.kernel.tribunal.record import steers
from sovereign.records import Claim, Document, Passage, PassageKind, Qualifier, Span

MAX_WORDS = 45  # of a quoted qualifier; the sentence that carries it must stay readable
BACK = 2  # sentences before the claim that may name its setting
_LIMIT = re.compile(
    r"^(?:however|but|yet|only|except|still|nevertheless|this (?:holds|is so|applies)|the (?:gain|effect|advantage|improvement)s? )\b|"
    r"\b(?:only (?:when|if|for|on|at|with)|holds? (?:only )?(?:for|when|if|at|on)|limited to|does not hold|do not hold|at the cost of|vanish(?:es)?|"
    r"except (?:for|on|at|when))\b",
    re.I,
)
_GENERAL = re.compile(
    r"^(?:unless\b.{0,40}\b(?:stated|noted|specified|mentioned)\b|all (?:our |the |reported )?(?:experiments|results|measurements|runs|figures|numbers)\b|"
    r"(?:in|for|throughout) all (?:our |the )?(?:experiments|measurements|runs)\b)",
    re.I,
)


def limit_of(claim: Claim, document: Document) -> Qualifier | None:
    """The sentence right after the claim, in the same passage, when it limits what the claim says."""
    passage = _passage(claim, document)
    if passage is None or claim.span is None:
        return None
    after = next((s for s in _sentences(passage, document, claim) if s.start >= claim.span.end), None)
    if after is None or not _LIMIT.search(after.quote):
        return None
    return _held(claim, "the source goes on", after, document)


def setting_of(claim: Claim, document: Document) -> Qualifier | None:
    """Where the claim itself names no setting: what the document says of all its measurements, the heading, or the sentences just before."""
    passage = _passage(claim, document)
    if passage is None or claim.span is None or claim.slots.condition:
        return None
    for span in _general(document, claim):
        if found := _held(claim, "of all its measurements the source says", span, document):
            return found
    heading = _heading(passage, document, claim)
    if heading is not None and (found := _held(claim, "it stands under the heading", heading, document)):
        return found
    before = [s for s in _sentences(passage, document, claim) if s.end <= claim.span.start][-BACK:]
    for span in reversed(before):
        slots = parse_slots(span.quote)
        own_result = any(v.unit not in ("", "count") for v in slots.values)  # it has a setting of its own
        if slots.condition and not own_result and (found := _held(claim, "just before it the source says", span, document)):
            return found
    return None


def of_kind(kind: str, claim: Claim, document: Document) -> Qualifier | None:
    """What can be added to a claim's sentence because of a finding of this kind; None when the document offers nothing."""
    if kind == "number_without_setting":
        return setting_of(claim, document)
    return limit_of(claim, document) or setting_of(claim, document)


def names_a_setting(qualifier: Qualifier) -> bool:
    return bool(parse_slots(qualifier.span.quote).condition)


def _held(claim: Claim, how: str, span: Span, document: Document) -> Qualifier | None:
    if len(span.quote.split()) > MAX_WORDS or steers(span.quote, document):
        return None
    return Qualifier(claim.claim_id, how, span)


def _passage(claim: Claim, document: Document) -> Passage | None:
    span = claim.span
    if span is None or span.doc_sha256 != document.sha256:
        return None
    return next((p for p in document.passages if p.kind is not PassageKind.TABLE_ROW and p.start <= span.start and span.end <= p.end), None)


def _sentences(passage: Passage, document: Document, claim: Claim) -> Iterator[Span]:
    for a, b in sentences(passage.text):
        start, end = passage.start + a, passage.start + b
        yield Span(document.sha256, start, end, document.text[start:end], claim.paper_id or "", passage.section)


def _general(document: Document, claim: Claim) -> Iterator[Span]:
    for passage in document.passages:
        if passage.kind is PassageKind.PROSE:
            for span in _sentences(passage, document, claim):
                if _GENERAL.search(span.quote) and parse_slots(span.quote).condition:
                    yield span


def _heading(passage: Passage, document: Document, claim: Claim) -> Span | None:
    title = passage.section.split(" / ")[-1].strip()
    at = document.text.rfind(title, 0, passage.start) if title and parse_slots(title).condition else -1
    return Span(document.sha256, at, at + len(title), title, claim.paper_id or "", passage.section) if at >= 0 else None
