"""SYNTHESIZER: does the draft answer the question, and does it say what it does not answer? Imports records; refuses to look at spans (VALIDATOR does)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sovereign.kernel.language import mentions
from sovereign.kernel.tribunal import printed
from sovereign.kernel.tribunal.record import Dossier, sentences_of
from sovereign.records import Act, Basis, FacetKind, Failed, Finding, Level, PaperKind, Role, SentenceKind, Severity


def judge(d: Dossier) -> list[Finding]:
    return [*_answered(d), *_system(d), *_gaps_told(d), *_structure(d), *_uncertainty(d), *_outages(d)]


def _finding(kind: str, severity: Severity, text: str, targets: tuple[str, ...] = (), act: Act = Act.NONE) -> Finding:
    return Finding(Role.SYNTHESIZER, kind, severity, text, targets, act)


def _answered(d: Dossier) -> Iterator[Finding]:
    kinds = {f.id: f.kind for f in d.question.facets}
    hollow = {c.facet: why for c, why in printed.not_carried(d)}
    missing = [f.id for f in d.question.facets if f.id not in {c.facet for c in d.draft.coverage}]
    if hollow or missing:
        first = next(iter(hollow.items()), (missing[0] if missing else "", "the draft does not account for it"))
        yield _finding(
            "coverage_not_carried",
            Severity.BLOCKING,
            f"{len(hollow) + len(missing)} part(s) are called answered or passed over without evidence: {first[0].split(':', 1)[-1]} — {first[1]}.",
            (*hollow, *missing),
            Act.REQUERY,
        )
    asked = [
        replace(c, answered=c.answered and c.facet not in hollow) for c in d.draft.coverage if kinds.get(c.facet) is not FacetKind.SYSTEM
    ]
    answered = [c for c in asked if c.answered]
    has_content = any(s.kind is SentenceKind.CLAIM for section in d.draft.sections if section.title == "Answer" for s in section.sentences)
    metrics = [c for c in asked if kinds.get(c.facet) is FacetKind.METRIC]
    if (metrics and not any(c.answered for c in metrics)) or (asked and not answered) or not has_content:
        none_of = "none of the metrics it asks about" if metrics and answered else "no part of it"
        yield _finding(
            "question_not_answered",
            Severity.BLOCKING,
            f"The question is not answered: {none_of} is carried by evidence.",
            tuple(c.facet for c in asked),
            Act.REQUERY,
        )
        return
    open_ones = [c for c in asked if not c.answered]
    blind = [c for c in open_ones if not c.by]  # no source says why it is open: another search may help
    if blind:
        severity = Severity.MAJOR if len(blind) > len(asked) / 2 else Severity.MINOR
        yield _finding(
            "facet_unanswered",
            severity,
            f"{len(blind)} of {len(asked)} parts are open and no source says why.",
            tuple(c.facet for c in blind),
            Act.REQUERY,
        )
    told = [c for c in open_ones if c.by]
    if told:
        severity = Severity.MAJOR if len(open_ones) > 2 * len(asked) / 3 else Severity.MINOR
        yield _finding(
            "facet_unanswerable",
            severity,
            f"{len(told)} of {len(asked)} parts cannot be answered, as the sources themselves say.",
            tuple(c.facet for c in told),
        )


def _system(d: Dossier) -> Iterator[Finding]:
    """The named system is a gate. Where several are named and one has its own source, another may stand in the claims as a setting or a comparison."""
    systems = [f for f in d.question.facets if f.kind is FacetKind.SYSTEM]
    found = [f for f in systems if any(a.admitted and f.id in a.facets for a in d.admissions)]
    stated = {c for s in sentences_of(d.draft) if s.kind is SentenceKind.CLAIM for c in s.claims}
    for facet in systems:
        if facet in found:
            continue
        spoken = found and any(mentions(facet, c.text) for c in d.claims if c.claim_id in stated)
        yield _finding(
            "named_system_without_source" if spoken else "named_system_missing",
            Severity.MINOR if spoken else Severity.BLOCKING,
            f"{facet.text} is named in the question and no admitted source is about it"
            + ("; other sources' claims speak of it." if spoken else "."),
            (facet.id,),
            Act.REQUERY,
        )


def _gaps_told(d: Dossier) -> Iterator[Finding]:
    told = {f for s in sentences_of(d.draft) if s.kind is SentenceKind.GAP for f in s.facets}
    silent = [c.facet for c in d.draft.coverage if not c.answered and c.facet not in told]
    if silent:
        yield _finding("gap_not_told", Severity.MAJOR, f"{len(silent)} open part(s) are not named as open.", tuple(silent), Act.REWRITE)


def _structure(d: Dossier) -> Iterator[Finding]:
    titles = [s.title for s in d.draft.sections]
    if not titles or titles[0] != "Answer":
        yield _finding("answer_not_first", Severity.MAJOR, "The draft does not begin with its answer.", (), Act.REWRITE)
    if not d.draft.abstract:
        yield _finding("no_abstract", Severity.MAJOR, "The draft has no abstract of its own.", (), Act.REWRITE)
    long_ones = [s.sentence_id for s in sentences_of(d.draft) if len(s.text.split()) > 110]
    if long_ones:
        yield _finding(
            "sentence_too_long", Severity.MINOR, f"{len(long_ones)} sentence(s) have more than 110 words.", tuple(long_ones), Act.REWRITE
        )


def _uncertainty(d: Dossier) -> Iterator[Finding]:
    own = next((s for s in d.draft.sections if s.title.startswith("Uncertaint")), None)
    if own is None or not own.sentences:
        yield _finding("uncertainty_missing", Severity.MAJOR, "The draft names no uncertainty of its own.", (), Act.REWRITE)
        return
    told = " ".join(s.text for s in own.sentences).lower()
    untold = [what for what, words in _owed(d) if not any(w in told for w in words)]
    if untold:
        text = f"The section on uncertainties does not say what holds for this run: {'; '.join(untold)}."
        yield _finding("uncertainty_missing", Severity.MAJOR, text, (), Act.REWRITE)


def _owed(d: Dossier) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What this run's records oblige the draft to say, each with words of which one must be there."""
    stated = {c for s in sentences_of(d.draft) if s.kind is SentenceKind.CLAIM for c in s.claims}
    papers = {a.paper.paper_id: a.paper for a in d.admissions}
    if any(papers[c.paper_id].kind is PaperKind.NOTE for c in d.claims if c.claim_id in stated and c.paper_id in papers):
        yield "claims rest on reading notes", ("note",)
    if any(r.claim_id in stated and r.level < Level.L3_CORROBORATED for r in d.rulings):
        yield "claims rest on one source", ("second", "independent", "one source", "single")
    shallow = {r.paper_id for r in d.readings if r.basis is Basis.ABSTRACT_ONLY} - {
        r.paper_id for r in d.readings if r.basis in (Basis.FULL_TEXT, Basis.NOTE)
    }
    if shallow:
        yield "some works were read only as abstracts", ("abstract",)
    if any(r.document is None for r in d.readings):
        yield "a work could not be read", ("could not be read", "unread")
    for source in dict.fromkeys(r.source for r in d.searches if isinstance(r.outcome, Failed)):
        yield f"{source} did not answer", tuple({source.replace("_", " "), source.replace("_", ""), source.split("_")[0]})


def _outages(d: Dossier) -> Iterator[Finding]:
    down = sorted({r.source for r in d.searches if isinstance(r.outcome, Failed)})
    if down:
        yield _finding(
            "sources_unreachable", Severity.NOTE, f"No answer from {', '.join(down)}; absence there is not known.", (), Act.TELL_OWNER
        )
