"""Compose the draft: answer first, facet by facet, then evidence, contradictions, gaps and this run's own uncertainties. Imports records and language only.

Own title, own abstract, own words: a statement from a paper is quoted with quotation marks and its source; a statement from our own reading notes is
written out. Every sentence of kind CLAIM names the claims or trials that carry it; FRAME sentences speak about this run and state no finding; GAP
sentences say what was not answered and why. Pure: the same records give the same draft.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sovereign.kernel.language import mentions
from sovereign.kernel.standing import STOPPING, standings, work_of
from sovereign.records import (
    Admission,
    Basis,
    Check,
    Claim,
    Coverage,
    Draft,
    Facet,
    FacetKind,
    Failed,
    Figure,
    Found,
    GateVerdict,
    Level,
    Paper,
    PaperKind,
    Qualifier,
    Question,
    Reading,
    Ruling,
    Scale,
    SearchRecord,
    Section,
    Sentence,
    SentenceKind,
    Stance,
    State,
    Statement,
    Table,
    Trial,
    Verdict,
)

STATED = (Verdict.SUPPORTED, Verdict.QUALIFIED)
SHOWN_STATEMENTS = 10  # of a trial; the rest stand in its own report
PER_FACET = 3  # claims spelled out per facet in the Answer; the rest stand in the claims table
_NO_SWEEP = re.compile(r"\b(?:no|not|neither)\b[^.]{0,40}\b(?:sweep|across|table|every|common|range|varying|budget)", re.I)
_ABSENT = "no admitted source states a value or a direction for it"


@dataclass(frozen=True)
class Material:
    """Everything a draft is made from; nothing else is looked at."""

    question: Question
    searches: tuple[SearchRecord, ...]
    admissions: tuple[Admission, ...]
    readings: tuple[Reading, ...]
    claims: tuple[Claim, ...]
    rulings: tuple[Ruling, ...]
    trials: tuple[Trial, ...] = ()
    trial_facets: tuple[tuple[str, tuple[str, ...]], ...] = ()  # trial_id -> facet ids it bears on
    absences: tuple[str, ...] = ()  # claim ids that say what a source does not report
    cautions: tuple[str, ...] = ()  # claim ids that warn about other statements
    dropped: tuple[str, ...] = ()  # claim ids that a revision took out
    unread_notes: tuple[str, ...] = ()  # what could not be read, and suspicious text found in sources
    checks: tuple[Check, ...] = ()
    flag_checks: tuple[SearchRecord, ...] = ()  # what became of the works; `searches` holds the rest
    wordings: Mapping[str, str] = field(default_factory=dict)  # claim id -> a sentence that a model worded and verification supported again
    qualifiers: Mapping[str, Qualifier] = field(
        default_factory=dict
    )  # claim id -> words of its own document that a revision prints with it
    contested: tuple[str, ...] = ()  # claim ids that a revision shows with everything that stands against them


def compose(m: Material) -> Draft:
    book = _Book(m)
    coverage = cover(m)
    answer = _answer(m, book, coverage)
    sections = [
        answer,
        _evidence(m, book),
        _measurements(m),
        _disagreements(m, book),
        _gaps(m, book, coverage, answer),
        _uncertainties(m, book),
        _method(m),
    ]
    abstract = _abstract(m, book, coverage)
    draft = Draft(_title(m.question), tuple(abstract), tuple(s for s in sections if s is not None), coverage, tuple(book.order))
    return _numbered(draft)


# --- what is answered ---


def cover(m: Material) -> tuple[Coverage, ...]:
    """One entry per facet. A facet is answered by a stated claim about the system asked about (not one of absence), or by an exact trial.

    A conceptual trial measures a neighbouring question on our own testbed; it is reported beside the gap and does not close it.
    """
    exact = {t.trial_id for t in m.trials if t.scale is Scale.EXACT}
    rulings = {r.claim_id: r for r in m.rulings}
    by_facet: dict[str, list[Claim]] = {f.id: [] for f in m.question.facets}
    absent: dict[str, list[Claim]] = {f.id: [] for f in m.question.facets}
    for claim in m.claims:
        if claim.claim_id in m.dropped or rulings[claim.claim_id].verdict not in STATED:
            continue
        for facet_id in claim.answers:
            if claim.claim_id not in m.cautions:
                (absent if claim.claim_id in m.absences else by_facet)[facet_id].append(claim)
    out = []
    for facet in m.question.facets:
        trials = tuple(t for t, facets in m.trial_facets if facet.id in facets and t in exact)
        by = (*(c.claim_id for c in by_facet[facet.id]), *trials)
        why = ""
        if facet.kind is FacetKind.CONDITION and not trials and any(_NO_SWEEP.search(c.text) for c in absent[facet.id]):
            by = ()  # single points do not answer a question about a range that the source says it did not sweep
        if not by:
            why = _why_not(facet, absent[facet.id], m)
        out.append(Coverage(facet.id, bool(by), by or tuple(c.claim_id for c in absent[facet.id][:1]), why))
    return tuple(out)


def _why_not(facet: Facet, absent: Sequence[Claim], m: Material) -> str:
    if absent:
        return absent[0].text
    if facet.kind is FacetKind.SYSTEM:
        named = any(facet.id in a.facets and a.score == 1.0 for a in m.admissions if a.admitted)
        return (
            "its paper was admitted but carries no checkable statement that bears on the question"
            if named
            else "no source about it was found"
        )
    failed = sorted({r.source for r in m.searches if isinstance(r.outcome, Failed)})
    dead = [s for s in failed if all(isinstance(r.outcome, Failed) for r in m.searches if r.source == s)]
    partly = [s for s in failed if s not in dead]
    why = [f"{_join([_source_name(s) for s in dead])} could not be asked"] if dead else []
    why += [f"{_join([_source_name(s) for s in partly])} did not answer every query"] if partly else []
    return "; ".join([_ABSENT, *why])


# --- sections ---


def _title(question: Question) -> str:
    def of(kind: FacetKind) -> list[str]:
        return [f.text for f in question.facets if f.kind is kind]

    systems, metrics = of(FacetKind.SYSTEM), of(FacetKind.METRIC)
    against, data = of(FacetKind.COMPARATOR), of(FacetKind.DATASET)
    head = _join(systems) or question.text.rstrip("?")
    if not systems and len(head) > 80:
        head = head[:80].rsplit(" ", 1)[0] + " …"
    title = head + (f" against {_join(against[:2])}" if against and systems else "")
    title += f": {_join(metrics[:3])}" if metrics else ""
    title += f" on {_join(data[:2])}" if data else ""
    return title[0].upper() + title[1:] + ("" if len(title) > 90 else " — what the evidence carries")


def _abstract(m: Material, book: _Book, coverage: Sequence[Coverage]) -> list[Sentence]:
    stated = [c for c in m.claims if book.finding(c)]
    admitted = [a for a in m.admissions if a.admitted]
    answered = [c for c in coverage if c.answered]
    opening = (
        f"This draft examines {len(admitted)} admitted {_plural(len(admitted), 'source')} and {len(m.claims)} {_plural(len(m.claims), 'statement')} "
        f"taken from them; {len(stated)} {_plural(len(stated), 'finding stands', 'findings stand')} after verification against the passages that carry them."
    )
    out = [_frame(opening)]
    firsts: dict[str, Claim] = {}
    for facet in sorted(m.question.facets, key=lambda f: f.kind is not FacetKind.METRIC):
        for claim in _best(m, [c for c in stated if facet.id in c.answers], 1):
            firsts.setdefault(claim.claim_id, claim)
    out += [book.sentence(c) for c in list(firsts.values())[:2]]
    out += _trial_sentences(m)[:1]
    if len(answered) == len(coverage) and coverage:
        out.append(
            _frame(
                "The one part of the question is answered."
                if len(coverage) == 1
                else f"All {len(coverage)} parts of the question are answered."
            )
        )
    elif coverage:
        open_facets = [_name(m, c.facet) for c in coverage if not c.answered]
        out.append(
            Sentence(
                "",
                f"Of the {len(coverage)} {_plural(len(coverage), 'part')} of the question {len(answered)} {_plural(len(answered), 'is', 'are')} answered; "
                f"{_join(open_facets)} {_plural(len(open_facets), 'is', 'are')} not.",
                SentenceKind.GAP,
                facets=tuple(c.facet for c in coverage if not c.answered),
            )
        )
    else:
        out.append(_frame("The question names no system, metric, data set or condition that could be checked off one by one."))
    return out


def _answer(m: Material, book: _Book, coverage: Sequence[Coverage]) -> Section:
    """Facet by facet, metrics first: findings, then what the source says it does not report about the same facet."""
    order = (FacetKind.METRIC, FacetKind.COMPARATOR, FacetKind.DATASET, FacetKind.CONDITION, FacetKind.SYSTEM)
    answered = {c.facet: c for c in coverage}
    remarks = [*(_frame(r) for r in m.question.ill_posed), *_namesakes(m, book)]
    if not any(c.answered for c in coverage) and not (not coverage and any(book.finding(c) for c in m.claims)):
        text = "The question is not answered: nothing that was admitted and verified bears on it. The section on open parts says why, part by part."
        return Section("Answer", (*remarks, Sentence("", text, SentenceKind.GAP)))
    sentences: list[Sentence] = []
    used: set[str] = set()
    for facet in sorted(m.question.facets, key=lambda f: order.index(f.kind)):
        if not answered[facet.id].answered:
            continue
        if facet.kind is FacetKind.SYSTEM and sentences:
            continue
        bearing = [c for c in m.claims if facet.id in c.answers and c.claim_id not in used]
        findings = _best(m, [c for c in bearing if book.finding(c)], PER_FACET)
        limits = sorted((c for c in bearing if book.stated(c) and c.claim_id in m.absences), key=lambda c: -len(c.answers))
        for number, claim in enumerate([*findings, *limits[: 1 if findings else 0]]):
            used.add(claim.claim_id)
            sentences.append(replace(book.sentence(claim), lead=_heading(facet) if number == 0 else "", facets=(facet.id,)))
    metrics = {f.id for f in m.question.facets if f.kind is FacetKind.METRIC}
    sentences += _grouped(m, book, [c for c in coverage if not c.answered and c.facet in metrics])
    if not coverage:
        sentences += [book.sentence(c) for c in _best(m, [c for c in m.claims if book.finding(c)], 6)]
    return Section("Answer", (*remarks, *sentences, *_trial_sentences(m)[:3]))


def _namesakes(m: Material, book: _Book) -> list[Sentence]:
    """One name, several works: said before anything is stated about either."""
    out = []
    for facet in m.question.facets:
        works = [
            a.paper
            for a in m.admissions
            if a.admitted and a.score == 1.0 and facet.kind is FacetKind.SYSTEM and mentions(facet, a.paper.title)
        ]
        if len({p.about or p.paper_id for p in works}) > 1:
            cited = [c for p in works for c in m.claims if c.paper_id == p.paper_id and book.stated(c)]
            firsts = {c.paper_id: c for c in reversed(cited)}
            if len(firsts) > 1:
                marks = _join([f"{book.mark(c)}" for c in firsts.values()])
                text = f"{len(firsts)} different works carry the name {facet.text}; they are kept apart here by their numbers, {marks}."
                out.append(Sentence("", text, SentenceKind.FRAME, facets=(facet.id,)))
    return out


def _is_row(claim: Claim) -> bool:
    return claim.span is not None and " | " in claim.span.quote


def _evidence(m: Material, book: _Book) -> Section | None:
    """Values under their comparison keys; only rows with an equal key may be compared, and they stand together."""
    rows = []
    for claim in m.claims:
        measured = [v.raw for v in claim.slots.values if v.unit or v.decimals]
        if claim.key is None or not measured or not book.finding(claim):
            continue
        metric, subject = ", ".join(claim.slots.metric[:2]), ", ".join(claim.slots.subject[:2]) or claim.key.subject
        against, setting = ", ".join(claim.slots.comparator) or "—", ", ".join(claim.slots.condition) or "—"
        rows.append((claim.key, (metric, subject, ", ".join(measured[:4]), against, setting, book.mark(claim))))
    if not rows:
        return None
    rows.sort(key=lambda r: (r[0].metric, r[0].condition, r[0].subject, r[1]))
    keys = [k for k, _ in rows]
    equal = sum(1 for k in set(keys) if keys.count(k) > 1)
    note = (
        f"Rows may be compared only where metric, system and setting are the same; that holds for {equal} {_plural(equal, 'group', 'groups')} of rows here."
        if equal
        else "No two rows below share metric, system and setting, so none of them may be compared with another."
    )
    header = ("Metric", "System", "Value", "Against", "Setting", "Source")
    return Section(
        "Evidence by comparison key",
        (_frame(note),),
        (Table("Stated values with their comparison keys.", header, tuple(r for _, r in rows[:14])),),
    )


def _measurements(m: Material) -> Section | None:
    if not m.trials:
        return None
    sentences, tables, figures = [], [], []
    for trial in m.trials:
        setup = (
            f"Trial {trial.trial_id} ran study {trial.study}, preset {trial.preset}, on {trial.started_at[:10]} "
            f"({trial.environment.get('cpu') or trial.environment.get('device') or 'machine not recorded'}), "
            f"{len(trial.seeds)} {_plural(len(trial.seeds), 'seed')}; its scale is {trial.scale.value}."
        )
        sentences.append(Sentence("", setup, SentenceKind.FRAME, trials=(trial.trial_id,)))
        shown = _telling(m, trial)[:SHOWN_STATEMENTS]
        rows = tuple((s.prediction.statement if s.prediction else s.text, s.source, s.verdict.value, s.why) for s in shown)
        if rows:
            tables.append(
                Table(
                    f"Sealed predictions of {trial.trial_id} and whether they held.", ("Prediction", "Source", "Verdict", "Measured"), rows
                )
            )
        figures += [
            Figure(f"{trial.study}: {_figure_name(f)} (trial {trial.trial_id}).", f, trial.trial_id) for f in _fitting(m, trial.figures)[:2]
        ]
        for limit in trial.cannot_say[:4]:
            sentences.append(Sentence("", limit if limit.endswith(".") else limit + ".", SentenceKind.FRAME, trials=(trial.trial_id,)))
    return Section("Measurements", tuple(sentences), tuple(tables), tuple(figures))


def _fitting(m: Material, figures: Sequence[str]) -> list[str]:
    """The figures whose names speak to what the question asks come first."""
    return sorted(figures, key=lambda name: -_spoken_to(m, _figure_name(name)))


def _telling(m: Material, trial: Trial) -> list[Statement]:
    """Statements on the works that the question names first, of these the ones that speak to most of what it asks; then other published ones, then the
    study's own controls; decided ones first in each."""

    def order(s: Statement) -> tuple[bool, int, bool, bool]:
        return (
            not _on_a_named_work(m, s),
            -_spoken_to(m, s.text),
            not s.source.startswith("arXiv"),
            s.verdict is GateVerdict.UNVERIFIED,
        )

    return sorted(trial.statements, key=order)


def _on_a_named_work(m: Material, s: Statement) -> bool:
    works = [a.paper.arxiv_id for a in m.admissions if a.admitted and a.score == 1.0 and a.paper.arxiv_id]
    return not s.source.startswith("control") and any(w in s.source for w in works)


def _spoken_to(m: Material, text: str) -> int:
    """How many parts of the question, systems aside, the text names."""
    return sum(mentions(f, text) for f in m.question.facets if f.kind is not FacetKind.SYSTEM)


def _trial_sentences(m: Material) -> list[Sentence]:
    """What the trials say about facets of this question: judged predictions, verified or falsified first."""
    bearing = {t for t, facets in m.trial_facets if facets}
    out = []
    for trial in m.trials:
        for s in _telling(m, trial):
            told = _on_a_named_work(m, s) and _spoken_to(m, s.text) and s.verdict is not GateVerdict.UNVERIFIED
            if trial.trial_id in bearing and told and s.prediction is not None:
                out.append(replace(_reported(trial, s), lead="Measured here"))
    return [replace(s, lead=s.lead if i == 0 else "") for i, s in enumerate(out)]


def _reported(trial: Trial, s: Statement) -> Sentence:
    """One judged statement of a trial in the words of its record."""
    held = "held" if s.verdict is GateVerdict.VERIFIED else "did not hold"
    stated = (s.prediction.statement if s.prediction else s.text).rstrip(".")
    text = f"In our own {trial.scale.value} trial the prediction “{stated}” {held}: {s.why}"
    return Sentence("", text, SentenceKind.CLAIM, trials=(trial.trial_id,))


def worded_claims(m: Material, draft: Draft) -> tuple[Claim, ...]:
    """Claims that a sentence of the draft states alone and that may be said in other words: supported, and no row of a table. In reading order."""
    claims = {c.claim_id: c for c in m.claims}
    supported = {r.claim_id for r in m.rulings if r.verdict is Verdict.SUPPORTED}
    stated = [*draft.abstract, *(s for section in draft.sections for s in section.sentences)]
    named = dict.fromkeys(s.claims[0] for s in stated if s.kind is SentenceKind.CLAIM and len(s.claims) == 1)
    return tuple(claims[c] for c in named if c in supported and c in claims and not _is_row(claims[c]))


def _disagreements(m: Material, book: _Book) -> Section | None:
    sentences = []
    claims = {c.claim_id: c for c in m.claims}
    shown: set[frozenset[str]] = set()
    for ruling in m.rulings:
        if ruling.contested_by and book.stated(claims[ruling.claim_id]):
            other = claims.get(ruling.contested_by[0])
            if other is not None and ruling.claim_id < other.claim_id:
                pair = (ruling.claim_id, other.claim_id)
                text = f"Contested: {_quoted(claims[pair[0]].text)} {book.mark(claims[pair[0]])} stands against {_quoted(other.text)} {book.mark(other)}."
                shown.add(frozenset(pair))
                sentences.append(Sentence("", text, SentenceKind.CLAIM, pair, citations=book.cite(claims[pair[0]], other)))
        sentences += _against(ruling, claims, shown, book) if ruling.claim_id in m.contested else []
        for evidence in ruling.evidence:
            if evidence.trial_id and evidence.stance is Stance.REFUTES and book.stated(claims[ruling.claim_id]):
                ours = [x for t in m.trials if t.trial_id == evidence.trial_id for x in t.statements if evidence.note.endswith(x.text)]
                trial = next(t for t in m.trials if t.trial_id == evidence.trial_id)
                sentences.append(replace(book.sentence(claims[ruling.claim_id]), lead="Stated, and not confirmed by our own trial"))
                sentences += [_reported(trial, x) for x in ours[:1]]
        if ruling.verdict is Verdict.CONTRADICTED:
            claim = claims[ruling.claim_id]
            text = f"Contradicted and therefore not used: {_quoted(claim.text)} {book.mark(claim)} — {ruling.reason.rstrip('.')}."
            sentences.append(Sentence("", text, SentenceKind.CLAIM, (claim.claim_id,), citations=book.cite(claim)))
    return Section("Contradictions", tuple(sentences)) if sentences else None


def _against(ruling: Ruling, claims: Mapping[str, Claim], shown: set[frozenset[str]], book: _Book) -> list[Sentence]:
    """Everything that stands against one claim and is not told yet; a claim without a standing of its own is told as contested, not as a finding."""
    out = []
    mine = claims[ruling.claim_id]
    for other in (claims[c] for c in ruling.contested_by if c in claims and frozenset((c, ruling.claim_id)) not in shown):
        shown.add(frozenset((other.claim_id, mine.claim_id)))
        text = f"Contested: {_quoted(mine.text)} {book.mark(mine)} stands against {_quoted(other.text)} {book.mark(other)}."
        out.append(Sentence("", text, SentenceKind.CLAIM, (mine.claim_id, other.claim_id), citations=book.cite(mine, other)))
    return out


def _gaps(m: Material, book: _Book, coverage: Sequence[Coverage], answer: Section) -> Section | None:
    """The open parts that the Answer has not spoken of, those with one reason together."""
    told = {f for s in answer.sentences if s.kind is SentenceKind.GAP for f in s.facets}
    gaps = _grouped(m, book, [c for c in coverage if not c.answered and c.facet not in told])
    return Section("Also not answered, and why" if told else "Not answered, and why", tuple(gaps)) if gaps else None


def _grouped(m: Material, book: _Book, entries: Sequence[Coverage]) -> list[Sentence]:
    groups: dict[tuple[tuple[str, ...], str], list[Coverage]] = {}
    for entry in entries:
        groups.setdefault((entry.by, entry.why_not), []).append(entry)
    out = []
    for members in groups.values():
        names = _join([_name(m, c.facet) for c in members])
        out.append(replace(_gap(m, book, members[0]), lead=names[0].upper() + names[1:], facets=tuple(c.facet for c in members)))
    return out


def _gap(m: Material, book: _Book, entry: Coverage) -> Sentence:
    claims = {c.claim_id: c for c in m.claims}
    carrying = [claims[i] for i in entry.by if i in claims]
    if carrying:
        base = book.sentence(carrying[0])
        return replace(base, text=f"Not answered. {base.text}", kind=SentenceKind.GAP, facets=(entry.facet,))
    return Sentence("", f"Not answered: {entry.why_not.rstrip('.')}.", SentenceKind.GAP, facets=(entry.facet,))


def _uncertainties(m: Material, book: _Book) -> Section:
    """Only what holds for this run; no boilerplate. Cautions that the sources themselves give come last."""
    lines = []
    rulings = {r.claim_id: r for r in m.rulings}
    stated = [c for c in m.claims if rulings[c.claim_id].verdict in STATED and c.claim_id not in m.dropped]
    kinds = {a.paper.paper_id: a.paper.kind for a in m.admissions}
    from_notes = [c for c in stated if kinds.get(c.paper_id or "") is PaperKind.NOTE]
    if from_notes:
        lines.append(
            f"{len(from_notes)} of {len(stated)} stated claims rest on our own reading notes, not on the papers themselves; "
            "the notes name the paper and how each fact was obtained."
        )
    alone = [c for c in stated if rulings[c.claim_id].level < Level.L3_CORROBORATED]
    if alone:
        lines.append(f"{len(alone)} of {len(stated)} stated claims have no second, independent source.")
    by_abstract = sorted(
        {r.paper_id for r in m.readings if r.basis is Basis.ABSTRACT_ONLY}
        - {r.paper_id for r in m.readings if r.basis in (Basis.FULL_TEXT, Basis.NOTE)}
    )
    if by_abstract:
        lines.append(
            f"Of {len(by_abstract)} admitted {_plural(len(by_abstract), 'work')} only the abstract was read; what their bodies say is not known here."
        )
    unreadable = [r for r in m.readings if r.document is None]
    if unreadable:
        lines.append(
            f"{len(unreadable)} admitted {_plural(len(unreadable), 'work')} could not be read: {unreadable[0].reason.rstrip('.')}."
        )
    for source in dict.fromkeys(r.source for r in m.searches):
        failures = [r.outcome for r in m.searches if r.source == source and isinstance(r.outcome, Failed)]
        asked = sum(1 for r in m.searches if r.source == source)
        if failures:
            lines.append(
                f"{_source_name(source)} did not answer {len(failures)} of {asked} queries ({failures[0].reason.rstrip('.')}); what it holds is not known here."
            )
    lines += _standing(m)
    unresolved = [r for r in m.rulings if r.verdict is Verdict.UNRESOLVED]
    if unresolved:
        lines.append(f"On {len(unresolved)} {_plural(len(unresolved), 'statement')} the verifier abstained; they are listed and not used.")
    lines += list(m.unread_notes)
    lines += [f"Check “{c.name}” was not run: {c.reason.rstrip('.')}." for c in m.checks if c.state is State.NOT_RUN]
    if not stated:
        lines.append(
            "Nothing is stated here, so nothing here can be wrong; what was looked for may still exist where it was not looked for."
        )
    if not lines:
        lines.append("No source failed, every admitted work was read in full text, and every stated claim has two independent sources.")
    warned = [book.sentence(c) for c in m.claims if c.claim_id in m.cautions and book.stated(c)][:4]
    warned = [replace(s, lead="Cautions from the sources" if i == 0 else "") for i, s in enumerate(warned)]
    return Section("Uncertainties of this run", (*(_frame(x) for x in lines), *warned))


def _standing(m: Material) -> list[str]:
    """Who was not asked or did not answer what became of the works, and which works were left out for what became of them."""
    lines = []
    known = standings([*m.searches, *m.flag_checks])
    for a in m.admissions:
        stopping = sorted(STOPPING & set(a.paper.flags))
        if stopping and not a.admitted and a.score is not None:
            about = "it" if a.paper.about is None else "the work it is about"
            by = _join([_source_name(s) for s in (known[work_of(a.paper)].flagged_by if work_of(a.paper) in known else a.sources)])
            lines.append(f"“{a.paper.title}” bears on the question and was not used: {about} is {stopping[0]}, says {by}.")
    admitted = dict.fromkeys(work_of(a.paper) for a in m.admissions if a.admitted)
    if not known:
        live = any(r.source != "local" for r in m.searches)
        return [*lines, "Nobody was asked whether the admitted works were retracted or withdrawn."] if live and admitted else lines
    asked = [known[w] for w in admitted if w in known]
    silent = [s for s in asked if not s.answered]
    if silent:
        why = _join(list(dict.fromkeys(reason.rstrip(".") for s in silent for reason in s.unanswered)))
        lines.append(f"Whether {len(silent)} of {len(asked)} admitted works were retracted or withdrawn is not known ({why}).")
    for source in dict.fromkeys(name for s in asked if s.answered for name, _ in s.silent):
        n = sum(source in dict(s.silent) for s in asked if s.answered)
        lines.append(
            f"{_source_name(source)} did not answer whether {n} admitted {_plural(n, 'work')} were retracted; others that were asked did."
        )
    if unnamed := len(admitted) - len(asked):
        lines.append(
            f"Nobody could be asked whether {unnamed} admitted {_plural(unnamed, 'work')} without a DOI or an arXiv id were retracted."
        )
    return lines


def _method(m: Material) -> Section:
    queries = list(dict.fromkeys((r.purpose, r.query) for r in m.searches))
    found = sum(len(r.outcome.papers) for r in m.searches if isinstance(r.outcome, Found))
    sources = list(dict.fromkeys(r.source for r in m.searches))
    admitted = sum(a.admitted for a in m.admissions)
    text = (
        f"{len(queries)} queries went to {_join([_source_name(s) for s in sources])}; {found} hits were {len(m.admissions)} different works, "
        f"of which the relevance gate admitted {admitted}. Statements were taken from the admitted texts, split into slots (system, metric, value, comparator, "
        "direction, setting, negation), and verified against the passage that carries them; similarity alone never counts as support."
    )
    if asked := list(dict.fromkeys(_source_name(r.source) for r in m.flag_checks)):
        text += f" {_join(asked)} {'was' if len(asked) == 1 else 'were'} asked whether the works had been retracted or withdrawn."
    return Section(
        "How this draft was made",
        (_frame(text),),
        (Table("Queries.", ("Purpose", "Query"), tuple((p.replace("_", " "), q) for p, q in queries)),),
    )


# --- small parts ---


class _Book:
    """Which claims are stated, and under which number their sources are cited."""

    def __init__(self, m: Material):
        self.papers: Mapping[str, Paper] = {a.paper.paper_id: a.paper for a in m.admissions}
        self.basis = {(r.paper_id): r.basis for r in reversed(m.readings)}
        self.rulings = {r.claim_id: r for r in m.rulings}
        self.dropped = frozenset(m.dropped)
        self.special = frozenset(m.absences) | frozenset(m.cautions)
        self.wordings, self.qualifiers = m.wordings, m.qualifiers
        self.order: list[str] = []

    def stated(self, claim: Claim) -> bool:
        return self.rulings[claim.claim_id].verdict in STATED and claim.claim_id not in self.dropped

    def finding(self, claim: Claim) -> bool:
        """Stated, and neither an absence nor a caution."""
        return self.stated(claim) and claim.claim_id not in self.special

    def cite(self, *claims: Claim) -> tuple[str, ...]:
        out = []
        for claim in claims:
            for paper_id in dict.fromkeys(
                [
                    claim.paper_id,
                    *(e.span.paper_id for e in self.rulings[claim.claim_id].evidence if e.span and e.stance is Stance.SUPPORTS),
                ]
            ):
                if paper_id and paper_id in self.papers:
                    if paper_id not in self.order:
                        self.order.append(paper_id)
                    out.append(paper_id)
        return tuple(dict.fromkeys(out))

    def mark(self, claim: Claim) -> str:
        return "[" + ", ".join(str(self.order.index(p) + 1) for p in self.cite(claim)) + "]"

    def sentence(self, claim: Claim) -> Sentence:
        citations = self.cite(claim)
        paper = self.papers.get(claim.paper_id or "")
        text = self.wordings.get(claim.claim_id, claim.text).strip()
        if claim.claim_id not in self.wordings and (paper is None or paper.kind is not PaperKind.NOTE):
            text = f"{_who(paper)} {'states in its abstract' if self._abstract_only(claim) else 'states'}: {_quoted(text)}"
        ruling = self.rulings[claim.claim_id]
        if ruling.verdict is Verdict.QUALIFIED:
            text = f"{text.rstrip('.')} (with a qualification: {ruling.reason.rstrip('.')})."
        if (added := self.qualifiers.get(claim.claim_id)) is not None:
            text = f"{text.rstrip('.')} ({added.printed})."
        if not re.search(r"[.!?”)]$", text):
            text += "."
        return Sentence("", text, SentenceKind.CLAIM, (claim.claim_id,), facets=claim.answers, citations=citations)

    def _abstract_only(self, claim: Claim) -> bool:
        return self.rulings[claim.claim_id].basis is Basis.ABSTRACT_ONLY


def _who(paper: Paper | None) -> str:
    if paper is None:
        return "A source"
    name = paper.title.split(":")[0].strip()
    if ":" in paper.title and len(name) <= 30:
        return f"The {name} paper"
    if paper.authors:
        family = paper.authors[0].split(",")[0] if "," in paper.authors[0] else paper.authors[0].split()[-1]
        return f"The paper by {family}{' and others' if len(paper.authors) > 1 else ''}"
    return f"“{paper.title}”"


def _best(m: Material, claims: Sequence[Claim], n: int) -> list[Claim]:
    """Values before directions, sentences before table rows, then relevance; stable."""
    return sorted(claims, key=lambda c: (_is_row(c), not c.slots.values, -(c.relevance or 0.0), c.claim_id))[:n]


def _frame(text: str) -> Sentence:
    return Sentence("", text, SentenceKind.FRAME)


def _heading(facet: Facet) -> str:
    return facet.text[0].upper() + facet.text[1:]


def _name(m: Material, facet_id: str) -> str:
    return next(f.text for f in m.question.facets if f.id == facet_id)


def _quoted(text: str) -> str:
    inner = text.strip().replace("“", "‘").replace("”", "’").replace('"', "’")
    return f"“{inner}”"


def _join(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def _plural(n: int, one: str, many: str | None = None) -> str:
    return one if n == 1 else (many or one + "s")


def _source_name(source: str) -> str:
    return {
        "local": "the local library",
        "arxiv": "arXiv",
        "semantic_scholar": "Semantic Scholar",
        "openalex": "OpenAlex",
        "crossref": "Crossref",
        "datacite": "DataCite",
    }.get(source, source)


def _figure_name(path: str) -> str:
    return re.sub(r"[_-]+", " ", path.rsplit("/", 1)[-1].rsplit(".", 1)[0])


def _numbered(draft: Draft) -> Draft:
    """Sentence ids in reading order: a1… in the abstract, s1… in the sections."""
    abstract = tuple(replace(s, sentence_id=f"a{i}") for i, s in enumerate(draft.abstract, 1))
    counter = iter(range(1, 100_000))
    sections = tuple(
        replace(section, sentences=tuple(replace(s, sentence_id=f"s{next(counter)}") for s in section.sentences))
        for section in draft.sections
    )
    return replace(draft, abstract=abstract, sections=sections)
