"""SYNTHESIZER: does the draft answer the question, and does it say what it does not answer? Imports records; refuses to look at spans (VALIDATOR does)."""

from __future__ import annotations

from collections.abc import Iterator

from sovereign.kernel.tribunal.record import Dossier, sentences_of
from sovereign.records import Act, FacetKind, Failed, Finding, Role, SentenceKind, Severity


def judge(d: Dossier) -> list[Finding]:
    return [*_answered(d), *_system(d), *_gaps_told(d), *_structure(d), *_uncertainty(d), *_outages(d)]


def _finding(kind: str, severity: Severity, text: str, targets: tuple[str, ...] = (), act: Act = Act.NONE) -> Finding:
    return Finding(Role.SYNTHESIZER, kind, severity, text, targets, act)


def _answered(d: Dossier) -> Iterator[Finding]:
    kinds = {f.id: f.kind for f in d.question.facets}
    asked = [c for c in d.draft.coverage if kinds.get(c.facet) is not FacetKind.SYSTEM]
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
    for facet in d.question.facets:
        if facet.kind is FacetKind.SYSTEM and not any(a.admitted and facet.id in a.facets for a in d.admissions):
            yield _finding(
                "named_system_missing",
                Severity.BLOCKING,
                f"{facet.text} is named in the question and no admitted source is about it.",
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
    own = next((s for s in d.draft.sections if s.title.startswith("Uncertainties")), None)
    if own is None or not own.sentences:
        yield _finding("uncertainty_missing", Severity.MAJOR, "The draft names no uncertainty of its own.", (), Act.REWRITE)


def _outages(d: Dossier) -> Iterator[Finding]:
    down = sorted({r.source for r in d.searches if isinstance(r.outcome, Failed)})
    if down:
        yield _finding(
            "sources_unreachable", Severity.NOTE, f"No answer from {', '.join(down)}; absence there is not known.", (), Act.TELL_OWNER
        )
