"""SKEPTIC: attacks what the draft states. Imports records and language; refuses to praise.

Looks for: sentences without evidence, contradicted claims that were kept, contested claims shown as settled, sources off the topic, numbers without a setting,
other people's words outside quotation marks, titles taken from a source, instructions hidden in sources, claims resting on one source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sovereign import identity
from sovereign.kernel.language import tokens
from sovereign.kernel.tribunal.record import Dossier, sentences_of
from sovereign.records import Act, Basis, FacetKind, Finding, Level, Role, SentenceKind, Severity, Verdict

FOREIGN_RUN = 12  # words in a row outside quotation marks; shorter runs are the field's common phrases
_STATED = (Verdict.SUPPORTED, Verdict.QUALIFIED)


def attack(d: Dossier) -> list[Finding]:
    return [
        *_unsupported(d),
        *_contradicted(d),
        *_contested(d),
        *_off_topic(d),
        *_without_setting(d),
        *_foreign(d),
        *_hidden(d),
        *_single(d),
    ]


def _finding(kind: str, severity: Severity, text: str, targets: tuple[str, ...] = (), act: Act = Act.NONE) -> Finding:
    return Finding(Role.SKEPTIC, kind, severity, text, targets, act)


def _unsupported(d: Dossier) -> Iterator[Finding]:
    verdicts = {r.claim_id: r.verdict for r in d.rulings}
    trials = {t.trial_id for t in d.trials}
    bad = []
    for s in sentences_of(d.draft):
        carried = [c for c in s.claims if verdicts.get(c) in _STATED] or [t for t in s.trials if t in trials]
        told_as_refuted = s.text.startswith("Contradicted and therefore not used")
        if s.kind is SentenceKind.CLAIM and not carried and not told_as_refuted:
            bad.append(s)
    if bad:
        text = f"{len(bad)} stated sentence(s) have no supported claim behind them, first: “{bad[0].text[:120]}”."
        yield _finding("unsupported_sentence", Severity.BLOCKING, text, tuple(s.sentence_id for s in bad), Act.DROP)


def _contradicted(d: Dossier) -> Iterator[Finding]:
    wrong = {r.claim_id for r in d.rulings if r.verdict is Verdict.CONTRADICTED}
    kept = [s for s in sentences_of(d.draft) if wrong & set(s.claims) and not s.text.startswith("Contradicted and therefore")]
    if kept:
        targets = tuple(sorted(wrong & {c for s in kept for c in s.claims}))
        yield _finding(
            "contradicted_claim_kept",
            Severity.BLOCKING,
            f"{len(kept)} sentence(s) state a claim that its source contradicts.",
            targets,
            Act.DROP,
        )


def _contested(d: Dossier) -> Iterator[Finding]:
    contested = {r.claim_id for r in d.rulings if r.contested_by}
    shown = {c for s in sentences_of(d.draft) if s.text.startswith("Contested:") for c in s.claims}
    hidden = sorted(contested - shown)
    if hidden:
        yield _finding(
            "contested_shown_as_settled",
            Severity.MAJOR,
            f"{len(hidden)} claim(s) are contested by another source and not shown so.",
            tuple(hidden),
            Act.REQUALIFY,
        )


def _off_topic(d: Dossier) -> Iterator[Finding]:
    admitted = {a.paper.paper_id: a for a in d.admissions if a.admitted}
    strangers = [p for p in d.draft.references if p not in admitted]
    if strangers:
        yield _finding(
            "source_not_admitted",
            Severity.BLOCKING,
            f"{len(strangers)} cited source(s) never passed the relevance gate: {strangers[0]}.",
            tuple(strangers),
            Act.DROP,
        )
    theirs = {p: set(tokens(f"{a.paper.title} {a.paper.abstract or ''}")) for p, a in admitted.items()}
    names = {t for f in d.question.facets if f.kind is FacetKind.SYSTEM for t in tokens(f.text)}
    asked = set(tokens(d.question.text)) - names
    foreign = [p for p in d.draft.references if p in admitted and asked and not asked & theirs[p]]
    if foreign:
        text = f"{len(foreign)} cited source(s) share no word with the question but a name: {admitted[foreign[0]].paper.title[:80]}."
        yield _finding("homonym_source", Severity.BLOCKING, text, tuple(foreign), Act.DROP)
    idle = [p for p in d.draft.references if p in admitted and not admitted[p].facets]
    if idle:
        yield _finding(
            "off_topic_source",
            Severity.MAJOR,
            f"{len(idle)} cited source(s) touch no part of the question: {idle[0]}.",
            tuple(idle),
            Act.DROP,
        )


def _without_setting(d: Dossier) -> Iterator[Finding]:
    stated = {c for s in sentences_of(d.draft) if s.kind is SentenceKind.CLAIM for c in s.claims}
    bare = [c for c in d.claims if c.claim_id in stated and c.slots.values and not c.slots.condition and c.claim_id not in d.absences]
    if bare:
        severity = Severity.MINOR if len(bare) < max(3, len(stated) // 2) else Severity.MAJOR
        text = f"{len(bare)} number(s) stand without the setting they hold for, first: “{bare[0].text[:110]}”."
        yield _finding("number_without_setting", severity, text, tuple(c.claim_id for c in bare), Act.REQUALIFY)


def _foreign(d: Dossier) -> Iterator[Finding]:
    """Words of a source that is not ours, in a row, outside quotation marks."""
    titles = {identity.normalise_title(a.paper.title) for a in d.admissions}
    if identity.normalise_title(d.draft.title) in titles:
        yield _finding(
            "title_of_a_source", Severity.BLOCKING, "The draft carries the title of one of its sources.", ("title",), Act.REWRITE
        )
    theirs = [doc for doc in d.documents.values() if doc.basis is not Basis.NOTE]
    runs = {run for doc in theirs for run in _runs(doc.text)}
    copied = [s for s in sentences_of(d.draft) if any(run in runs for run in _runs(re.sub(r"“[^”]*”", " · ", s.text)))]
    if copied:
        severity = Severity.BLOCKING if any(s.sentence_id.startswith("a") for s in copied) else Severity.MAJOR
        text = f"{len(copied)} sentence(s) repeat {FOREIGN_RUN} or more words of a source without quotation marks, first: “{copied[0].text[:110]}”."
        yield _finding("foreign_words", severity, text, tuple(s.sentence_id for s in copied), Act.REWRITE)


def _runs(text: str) -> Iterator[int]:
    words = re.findall(r"[^\W_]+|·", text.lower())
    for i in range(len(words) - FOREIGN_RUN + 1):
        window = words[i : i + FOREIGN_RUN]
        if "·" not in window:
            yield hash(tuple(window))


def _hidden(d: Dossier) -> Iterator[Finding]:
    found = [(doc.title or sha[:12], s) for sha, doc in d.documents.items() for s in doc.suspicious]
    if found:
        where, quote = found[0]
        text = f"{len(found)} passage(s) in the sources read like instructions to a machine and were treated as data, first in “{where}”: “{quote[:100]}”."
        yield _finding("instructions_in_source", Severity.MINOR, text, (), Act.TELL_OWNER)


def _single(d: Dossier) -> Iterator[Finding]:
    stated = {c for s in sentences_of(d.draft) if s.kind is SentenceKind.CLAIM for c in s.claims}
    alone = [r.claim_id for r in d.rulings if r.claim_id in stated and r.level < Level.L3_CORROBORATED]
    if stated and alone:
        severity = Severity.MINOR if len(alone) == len(stated) else Severity.NOTE
        yield _finding(
            "single_sourced", severity, f"{len(alone)} of {len(stated)} stated claims rest on one source.", tuple(alone), Act.NONE
        )
