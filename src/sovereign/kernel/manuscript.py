"""A person's own manuscript as claims: sentences, their citation marks, the sources behind the marks, and a verdict for each. Pure.

Imports records, identity, the shared language reading and the verifier's public functions. Refuses to fetch, to guess which work a mark means
where two fit, and to judge a claim against a source that was not given: that is NOT_RUN, never "not found".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sovereign import identity, seal
from sovereign.kernel import language
from sovereign.kernel.citation_marks import Mark, marks_of
from sovereign.kernel.verify import make_claim, split_claims, verify_claim
from sovereign.ports import Verifier
from sovereign.records import (
    Basis,
    Check,
    Claim,
    Direction,
    Document,
    Paper,
    PaperKind,
    Passage,
    PassageKind,
    Reference,
    Ruling,
    State,
    Verdict,
)

_READ = (PassageKind.PROSE, PassageKind.ABSTRACT, PassageKind.CAPTION)
_APPARATUS = re.compile(
    r"^(?:\d+\.?\s+)?(?:references|bibliography|literature cited|acknowledge?ments?|funding|author contributions)\b", re.IGNORECASE
)
_OWN = re.compile(r"\b(?:we|our|ours|us|I|my|this (?:paper|work|note|study|article|section|manuscript))\b", re.IGNORECASE)
_CREDITS = re.compile(
    r"^(?:following|(?:here,? |in this \w+,? )?we (?:use|follow|adopt|build|rely|compare|refer|base|thank|borrow|take|extend|consider|evaluate|read)|"
    r"see|for (?:details|a survey|an overview))\b",
    re.IGNORECASE,
)
_BLANK = "\u2005"  # stands for a letter of a citation mark: a blank to every splitter, and told apart from the author's own blanks
_UNIT_STOP = re.compile(r"\d\s?(?P<unit>ms|min|sec)\.\s+(?=[A-Z])")
_LEADS_TO_MARK = re.compile(
    rf"(?:,\s*)?\b(?:as\s+)?(?:(?:reported|shown|described|found|observed|measured|argued|noted|stated)\s+)?"
    rf"(?:in|by|from|see|see also|according to)\s*{_BLANK}+",
    re.IGNORECASE,
)
_POINTS = re.compile(r"^(?:see|cf\.|refer to)\b", re.IGNORECASE)
_SIDES = re.compile(r"the claim says (?P<claim>.+?), the source says (?P<source>[^(]+?)\s*(?:\(|$)")


@dataclass(frozen=True)
class Statement:
    """One sentence or clause of the manuscript that can be held against a source. `text` is without its citation marks; start and end are
    offsets of the whole sentence with its marks in document.text. `unmatched`: marks as printed whose entry is missing or ambiguous."""

    text: str
    start: int
    end: int
    section: str
    keys: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    credits: bool = False  # names a source and states nothing about it

    @property
    def cited(self) -> bool:
        return bool(self.keys or self.unmatched)


@dataclass(frozen=True)
class Outline:
    """What a manuscript says that can be checked. `own`: sentences with figures of the authors' own, which no other work can carry."""

    statements: tuple[Statement, ...]
    own: int
    sentences: int
    cited_keys: tuple[tuple[str, int], ...]  # (key, how often), in order of first mention


@dataclass(frozen=True)
class Source:
    """A work that was given or lies in the library. `name`: the file's name, or the paper id for the library."""

    paper: Paper
    document: Document
    name: str
    stem: str = ""  # of the file; may equal a citation key


@dataclass(frozen=True)
class Checked:
    """One statement with its verdict. `ruling` is None exactly when the state is NOT_RUN: the cited source was not there."""

    statement: Statement
    claim: Claim
    ruling: Ruling | None
    state: State
    reason: str
    mend: str
    slot: str | None
    sources: tuple[str, ...]  # names of the sources looked at
    missing: tuple[str, ...]  # cited keys without a source


# --- claims ---


def outline(document: Document, references: Sequence[Reference]) -> Outline:
    """The statements of a manuscript in reading order. `references`: every known entry, those of the bibliography file first."""
    marks = marks_of(document, references)
    statements: list[Statement] = []
    own = sentences = 0
    for start, end, section, caption in _blocks(document):
        inside = [m for m in marks if start <= m.start < end]
        masked = _masked(document.text, start, end, inside)
        spans = _sentences(masked)
        for n, (a, b) in enumerate(spans):
            sentences += 1
            stop = spans[n + 1][0] if n + 1 < len(spans) else len(masked)  # a mark behind the full stop belongs to the sentence before it
            first = 0 if n == 0 else a
            held = [m for m in inside if first <= m.start - start < stop]
            found = [] if caption and not held else _statements(masked[a:b], start + a, held, section)
            if held or found:
                last = max([start + b, *(m.end for m in held)])
                statements += [replace(s, end=min(last, end)) for s in found]
            own += bool(not held and not found and _measured(masked[a:b]) and _OWN.search(masked[a:b]))
    counts: dict[str, int] = {}
    for mark in marks:
        for key in mark.keys:
            counts[key] = counts.get(key, 0) + 1
    return Outline(tuple(statements), own, sentences, tuple(counts.items()))


def _blocks(document: Document) -> list[tuple[int, int, str, bool]]:
    """(start, end, section, whether it is a caption) of each paragraph; windows that a reader cut inside one paragraph are joined again."""
    out: list[tuple[int, int, str, bool]] = []
    previous: Passage | None = None
    for passage in document.passages:
        heading = passage.section.split(" / ")[-1]
        if passage.kind not in _READ or _APPARATUS.match(heading.strip()) or _APPARATUS.match(passage.section.split(" / ")[0].strip()):
            previous = None
            continue
        joint = document.text[previous.end : passage.start] if previous else "\n"
        if previous and previous.kind is passage.kind and previous.section == passage.section and joint.strip() == "" and "\n" not in joint:
            out[-1] = (out[-1][0], passage.end, passage.section, False)
        else:
            out.append((passage.start, passage.end, passage.section, passage.kind is PassageKind.CAPTION))
        previous = passage
    return out


def _masked(text: str, start: int, end: int, marks: Sequence[Mark]) -> str:
    """The block with every citation mark blanked out, letter by letter, so that offsets stay; a mark that is the subject becomes one."""
    out = list(text[start:end])
    for mark in marks:
        a, b = mark.start - start, min(mark.end, end) - start
        before, after = "".join(out[:a]).rstrip(), text[mark.end : mark.end + 40].lstrip()
        opens = not before or (before[-1] in ".!?" and not before.endswith("al."))
        filler = ""
        if opens and after[:1].islower():
            one = re.match(r"(?:[a-z]+ly )?(?:[a-z]+s|has)\b", after)
            filler = next((w for w in (("The paper", "It") if one else ("The authors", "They")) if len(w) <= b - a), "")
        out[a:b] = [*filler, *(_BLANK * (b - a - len(filler)))]
    return "".join(out)


def _sentences(text: str) -> list[tuple[int, int]]:
    """As language.sentences, and also cut where a unit's abbreviation ends a sentence ("rises to 189 ms. Merging ...")."""
    out: list[tuple[int, int]] = []
    for start, end in language.sentences(text):
        for stop in _UNIT_STOP.finditer(text, start, end):
            out.append((start, stop.end("unit") + 1))
            start = stop.end()
        out.append((start, end))
    return out


def _statements(sentence: str, at: int, marks: Sequence[Mark], section: str) -> list[Statement]:
    """The statements of one masked sentence that starts at document offset `at`."""
    text = _tidy(sentence)
    whole = Statement(
        text,
        at,
        at + len(sentence),
        section,
        _keys(marks),
        tuple(dict.fromkeys(u for m in marks for u in m.unmatched)),
        bool(marks and _credits(text)),
    )
    if not text or not re.search(r"[A-Za-z]{2}", text):
        return []
    if not marks:
        return [whole] if _uncited(text) else []
    if len({m.keys for m in marks}) == 1:
        return [whole]
    return _by_clause(sentence, at, marks, whole)


def _by_clause(sentence: str, at: int, marks: Sequence[Mark], whole: Statement) -> list[Statement]:
    """Where clauses cite different works, each clause is held against its own; a clause without a mark goes with the next one that has one."""
    parts = split_claims(" ".join(_LEADS_TO_MARK.sub(" ", sentence).split()))
    if len(parts) < 2:
        return [whole]
    ends: list[int] = []
    for part in parts:
        ends.append(_end_of(sentence, part, ends[-1] if ends else 0))
    ends[-1] = max(len(sentence), *(m.start - at + 1 for m in marks))
    held = [[m for m in marks if low <= m.start - at < high] for low, high in zip([0, *ends], ends, strict=False)]
    out: list[Statement] = []
    for n, part in enumerate(parts):
        nearest = [held[n], *held[n + 1 :], *reversed(held[:n])]
        taken = next((m for m in nearest if m), [])
        unmatched = tuple(dict.fromkeys(u for m in taken for u in m.unmatched))
        text = _tidy(part)
        out.append(replace(whole, text=text, keys=_keys(taken), unmatched=unmatched, credits=_credits(text)))
    return out


def _end_of(sentence: str, part: str, cursor: int) -> int:
    """Where the part's last word ends in the sentence, with the blanks (marks) that follow it."""
    at = cursor
    for word in part.split():
        found = sentence.find(word, at)
        at = found + len(word) if found >= 0 else at
    rest = re.match(r"[\s.,;:]*", sentence[at:])
    return at + (rest.end() if rest else 0)


def _keys(marks: Sequence[Mark]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(k for m in marks for k in m.keys))


def _tidy(text: str) -> str:
    """The sentence as it reads without its marks: their brackets and "as shown in" go with them, nothing else."""
    text = _LEADS_TO_MARK.sub(" ", text)
    text = re.sub(r"\s+", " ", re.sub(r"\(\s*\)|\[\s*\]", "", text)).strip()
    text = re.sub(r",\s*([.;])", r"\1", re.sub(r"\s+([.,;:!?)\]])", r"\1", text))
    return text.lstrip(" ,;")


def _measured(text: str) -> bool:
    return any(v.unit or v.decimals for v in language.parse_slots(" ".join(text.split())[:2000]).values)


def _uncited(text: str) -> bool:
    """Whether a sentence without a citation can be held against the sources: a measured value or a comparison of named systems, not the authors' own."""
    if text.endswith("?") or _OWN.search(text) or _POINTS.match(text) or len(text.split()) < 4 or len(text) > 2000:
        return False
    slots = language.parse_slots(text)
    if any(v.unit or v.decimals for v in slots.values):
        return True
    return slots.direction is not Direction.NONE and bool(slots.comparator) and len(language.names(text)) > 1


def _credits(text: str) -> bool:
    slots = language.parse_slots(text[:2000])
    return bool(_CREDITS.match(text)) and not any(v.unit or v.decimals for v in slots.values) and not slots.comparator


# --- which sources ---


def as_paper(reference: Reference) -> Paper:
    """A bibliography entry as a record of a work."""
    return Paper(
        paper_id=identity.paper_id_for(
            reference.arxiv_id, reference.doi, reference.title, reference.authors, reference.year, fallback=f"bib:{reference.key}"
        ),
        title=reference.title or "",
        authors=reference.authors,
        year=reference.year,
        arxiv_id=reference.arxiv_id,
        doi=reference.doi,
    )


def matching(key: str, reference: Reference | None, sources: Sequence[Source]) -> list[Source]:
    """The sources that are the cited work: by DOI, arXiv id or title (identity.same_work), or a file named like the key.

    A file named like the key whose own identifier contradicts the entry's is another work and stays out. A note counts for the paper it is about.
    """
    named = [s for s in sources if s.stem and s.stem.casefold() == key.casefold()]
    if reference is None:
        return named
    paper = as_paper(reference)
    found = [s for s in sources if _is(paper, s.paper)]
    return list(dict.fromkeys([*(s for s in named if not _conflict(paper, s.paper)), *found]))


def _is(paper: Paper, other: Paper) -> bool:
    if other.kind is not PaperKind.NOTE:
        return identity.same_work(paper, other)
    ours = identity.identifiers(paper)
    about = identity.parse_arxiv_id(other.about or "") or (identity.parse_arxiv_id(other.arxiv_id) if other.arxiv_id else None)
    return paper.paper_id == other.about or bool(about and ours.arxiv == about[0])


def _conflict(paper: Paper, other: Paper) -> bool:
    a, b = identity.identifiers(paper), identity.identifiers(other)
    return bool(a.arxiv and b.arxiv and a.arxiv != b.arxiv)


# --- verdicts ---


def judge(
    statement: Statement, sources: Sequence[tuple[str, Sequence[Source]]], everything: Sequence[Source], extra: Sequence[Verifier] = ()
) -> Checked:
    """One statement against the works it cites ((key, its sources) pairs), or, without a citation, against everything given. `extra`: further verifiers."""
    claim = make_claim(statement.text)
    missing = (*(k for k, held in sources if not held), *statement.unmatched)
    chosen = list(dict.fromkeys(s for _, held in sources for s in held)) if statement.cited else list(everything)
    names = tuple(s.name for s in chosen)
    if statement.credits:
        reason = "the sentence credits a source and states nothing that the source could settle"
        ruling = replace(verify_claim(claim, ()), verdict=Verdict.NOT_CHECKABLE, reason=reason)
        return Checked(statement, claim, ruling, State.PASSED, reason, "", None, names, missing)
    if not chosen:
        reason = f"the cited source {_listed(missing)} was not given" if statement.cited else "no source was given"
        return Checked(statement, claim, None, State.NOT_RUN, reason, _give(missing), None, (), missing)
    ruling = _union(verify_claim(claim, [(s.paper.paper_id, s.document) for s in chosen], extra=extra))
    if not statement.cited:
        ruling = _cautious(ruling, claim)
    if missing and ruling.verdict in (Verdict.NOT_FOUND, Verdict.UNRESOLVED, Verdict.QUALIFIED):
        reason = f"{_listed(missing)} was not given, and the other cited source does not settle it ({ruling.reason})"
        return Checked(statement, claim, None, State.NOT_RUN, reason, _give(missing), None, names, missing)
    reason = ruling.reason + (f"; {_listed(missing)} was not given" if missing else "")
    slot = _slot(ruling)
    state = State.PASSED if ruling.verdict in (Verdict.SUPPORTED, Verdict.NOT_CHECKABLE) else State.FAILED
    return Checked(statement, claim, ruling, state, reason, mend(ruling, statement), slot, names, missing)


def _union(ruling: Ruling) -> Ruling:
    """Several works behind one citation: supported when one supports and none contradicts; otherwise they disagree, and a person decides."""
    against = next((c for c in ruling.checks if c.name == "sources agree" and c.state is State.FAILED), None)
    if against is None or ruling.verdict not in (Verdict.SUPPORTED, Verdict.QUALIFIED):
        return ruling
    return replace(
        ruling, verdict=Verdict.UNRESOLVED, reason=f"the sources disagree: one supports the claim, another does not ({against.reason})"
    )


def _cautious(ruling: Ruling, claim: Claim) -> Ruling:
    """An uncited sentence may speak of something else than the source: it is accused only when it names the system that the passage names."""
    if ruling.verdict is not Verdict.CONTRADICTED:
        return ruling
    named = {n.lower() for n in language.names(claim.text)}
    quoted = " ".join(e.span.quote for e in ruling.evidence if e.span is not None)
    if named & {n.lower() for n in language.names(quoted)}:
        return ruling
    check = Check("same subject", State.NOT_RUN, "the sentence cites nothing and names no system of the passage")
    return replace(ruling, verdict=Verdict.UNRESOLVED, reason=f"no citation says which work is meant; a near passage differs ({ruling.reason})",
                   checks=(*ruling.checks, check))  # fmt: skip


def _slot(ruling: Ruling) -> str | None:
    """The slot that decided, as the reason names it."""
    head, colon, _ = re.sub(r"^statement \d+ of \d+: ", "", ruling.reason).partition(":")
    named = {j.slot for j in ruling.judgements if j.slot}
    known = {
        "value",
        "number",
        "unit",
        "direction",
        "negation",
        "subject",
        "comparator",
        "condition",
        "hedge",
        "scope",
        "wording",
        "metric",
    }
    if colon and (head in named or head in known):
        return head
    return next((j.slot for j in ruling.judgements if j.slot and j.verdict is ruling.verdict), None)


def mend(ruling: Ruling, statement: Statement) -> str:
    """One sentence that says what the author can do."""
    sides = _SIDES.search(ruling.reason)
    if ruling.verdict is Verdict.CONTRADICTED:
        if sides and sides["source"].strip() not in ("otherwise", "the other way round"):
            return f"Compare with the passage: it says {sides['source'].strip()}. Correct the sentence, or cite a work that says {sides['claim'].strip()}."
        return "Compare with the passage. Correct the sentence, or cite a work that says this."
    if ruling.verdict is Verdict.QUALIFIED:
        return "Add or correct the qualifier that the reason names: the core stands in the source, its setting or strength differs."
    if ruling.verdict is Verdict.NOT_FOUND:
        if ruling.basis is Basis.ABSTRACT_ONLY:
            return "Give the full text with --against: only the abstract was there."
        if not statement.cited:
            return "Cite the work that carries this figure."
        return "Check that this is the work meant: nothing in it speaks of this."
    if ruling.verdict is Verdict.UNRESOLVED:
        return "Read the passage beside the claim: the verifier abstains, and a person decides."
    if not statement.cited and ruling.verdict is Verdict.SUPPORTED:
        return "A given source says this: cite it."
    return ""


def _give(missing: Sequence[str]) -> str:
    return f"Give {_listed(missing) if missing else 'a source'} with --against FILE, or add it: sovereign library add FILE."


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys) if keys else "of this claim"


def statement_id(statement: Statement) -> str:
    """ "c-" and twelve hex digits over text and place: two equal sentences are two claims."""
    return "c-" + seal.digest([statement.text, statement.start, list(statement.keys)])[:12]
