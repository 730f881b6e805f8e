"""SKEPTIC: attacks what the draft states. Imports records and language; refuses to praise.

Looks for: sentences without evidence, contradicted claims that were kept, contested claims shown as settled, sentences that claim more than their claim,
sources off the topic, numbers without a setting, other people's words outside quotation marks, titles and abstracts taken from a source, instructions hidden
in sources or followed by the draft, claims resting on one source.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from sovereign import identity
from sovereign.kernel.language import alias_key, names, tokens
from sovereign.kernel.tribunal.qualify import names_a_setting
from sovereign.kernel.tribunal.record import Dossier, said_otherwise, sentences_of
from sovereign.kernel.tribunal.wording import WEAKENS_THE_CLAIM
from sovereign.records import (
    Act,
    Admission,
    Basis,
    Claim,
    Document,
    FacetKind,
    Finding,
    Level,
    Paper,
    PaperKind,
    Role,
    Ruling,
    SentenceKind,
    Severity,
    Verdict,
)

FREQUENT, SHARED_VOCABULARY = (
    40,
    0.4,
)  # of a work's 40 most frequent words this share stands in the other sources when they have one subject
FOREIGN_RUN = 12  # words in a row outside quotation marks; shorter runs are the field's common phrases
_FIRST_PERSON = re.compile(
    r"\b(?:[Ww]e|[Oo]ur (?:method|approach|model|system|work|paper|results|experiments|framework))\b(?! (?:own )?(?:trial|reading|notes))"
)
_ABOUT_ITSELF = re.compile(
    r"\b(?:this|the) (?:draft|paper|submission|manuscript|work)\b[^.]{0,40}\b(?:(?:should|must|is to|deserves to) be (?:accepted|approved|published|signed)|"
    r"(?:deserves|earns|gets|receives) (?:a |the )?(?:high|full|top|perfect|maximum|10)|is (?:flawless|perfect|excellent|ready to publish|approved))|"
    r"\bno (?:further )?(?:review|check|verification) is (?:needed|required|necessary)\b",
    re.I,
)
_STATED = (Verdict.SUPPORTED, Verdict.QUALIFIED)
_QUOTED = re.compile(r"“[^”]*”")


def attack(d: Dossier) -> list[Finding]:
    parts = (_unsupported, _contradicted, _contested, _overclaims, _off_topic, _without_setting, _foreign, _hidden, _single)
    return [finding for part in parts for finding in part(d)]


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
    shown = {c for s in sentences_of(d.draft) if s.text.startswith("Contested:") for c in s.claims}
    hidden = sorted(contested_between_works(d.claims, d.rulings, [a.paper for a in d.admissions]) - shown)
    if hidden:
        yield _finding(
            "contested_shown_as_settled",
            Severity.MAJOR,
            f"{len(hidden)} claim(s) are contested by another source and not shown so.",
            tuple(hidden),
            Act.REQUALIFY,
        )


def contested_between_works(claims: Sequence[Claim], rulings: Sequence[Ruling], papers: Sequence[Paper]) -> set[str]:
    """Claims that another work contests. Two values of one work under one key are its own settings, not a dispute."""
    about = {p.paper_id: p.about or p.paper_id for p in papers}
    work = {c.claim_id: about.get(c.paper_id or "", c.paper_id) for c in claims}
    return {r.claim_id for r in rulings if any(work.get(o) != work.get(r.claim_id) for o in r.contested_by if o in work)}


def _overclaims(d: Dossier) -> Iterator[Finding]:
    """A hedge dropped, a scope widened, a setting left out: the sentence claims more than its claim."""
    bold = [(s, x) for s, found in said_otherwise(d) for x in found if x.slot in WEAKENS_THE_CLAIM]
    if bold:
        s, x = bold[0]
        text = f"{len(bold)} sentence(s) claim more than their source, first ({x.slot}): {x.text}; in “{s.text[:90]}”."
        yield _finding("overclaim", Severity.BLOCKING, text, tuple(dict.fromkeys(s.sentence_id for s, _ in bold)), Act.REWRITE)


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
    foreign = [p for p in d.draft.references if p in admitted and _homonym(admitted[p], d)]
    if foreign:
        text = f"{len(foreign)} cited source(s) share hardly a word with the question but a name: {admitted[foreign[0]].paper.title[:80]}."
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


def _homonym(admission: Admission, d: Dossier) -> bool:
    """Nothing but a name in common: neither with the question's other words nor with the vocabulary of the other cited sources."""
    names_asked = {t for f in d.question.facets if f.kind is FacetKind.SYSTEM for t in tokens(f.text)}
    asked = set(tokens(d.question.text)) - names_asked
    mine = Counter(t for t in tokens(_known_text(admission.paper, d)) if not t[0].isdigit())
    if len(asked) < 2 or len(mine) < 4 or len(asked & set(mine)) >= max(1, 0.2 * len(asked)):
        return False
    others = [a.paper for a in d.admissions if a.admitted and a.paper.paper_id in d.draft.references and a is not admission]
    theirs = {t for p in others for t in tokens(_known_text(p, d))}
    frequent = [t for t, _ in mine.most_common(FREQUENT)]
    return not others or sum(t in theirs for t in frequent) < SHARED_VOCABULARY * len(frequent)


def _known_text(paper: Paper, d: Dossier) -> str:
    """Title, abstract and what was read of a work; at most the first 20 000 characters of a document."""
    read = {s.doc_sha256 for c in d.claims if c.paper_id == paper.paper_id and (s := c.span) is not None}
    bodies = [d.documents[sha].text[:20_000] for sha in sorted(read) if sha in d.documents]
    return " ".join([paper.title, paper.abstract or "", *bodies[:2]])


def _without_setting(d: Dossier) -> Iterator[Finding]:
    stated = {c for s in sentences_of(d.draft) if s.kind is SentenceKind.CLAIM for c in s.claims}
    own = {a.paper.paper_id: {alias_key(n) for n in (*names(a.paper.title), *a.paper.names)} for a in d.admissions}
    bare = [
        c
        for c in d.claims
        if c.claim_id in stated
        and c.claim_id not in d.absences
        and any(v.unit for v in c.slots.values)
        and not c.slots.condition
        and not {alias_key(n) for n in names(c.text)} - own.get(c.paper_id or "", set())
        and not _set_by_its_source(d, c)
    ]
    if bare:
        severity = Severity.MINOR if len(bare) < max(3, len(stated) // 2) else Severity.MAJOR
        text = f"{len(bare)} number(s) stand without the setting they hold for, first: “{bare[0].text[:110]}”."
        yield _finding("number_without_setting", severity, text, tuple(c.claim_id for c in bare), Act.REQUALIFY)


def _set_by_its_source(d: Dossier, claim: Claim) -> bool:
    """A revision printed the setting beside the claim, in the words of its own document; VALIDATOR checks that they stand there."""
    added = d.qualifiers.get(claim.claim_id)
    if added is None or not names_a_setting(added):
        return False
    return any(added.printed in s.text for s in sentences_of(d.draft) if claim.claim_id in s.claims)


def _foreign(d: Dossier) -> Iterator[Finding]:
    """Words of a source that is not ours, in a row, outside quotation marks."""
    titles = {identity.normalise_title(a.paper.title) for a in d.admissions}
    if identity.normalise_title(d.draft.title) in titles:
        yield _finding(
            "title_of_a_source", Severity.BLOCKING, "The draft carries the title of one of its sources.", ("title",), Act.REWRITE
        )
    runs = _foreign_runs(d.documents.values(), d.admissions)
    bare = [(s, _QUOTED.sub(" · ", s.text)) for s in sentences_of(d.draft)]
    copied = [s for s, text in bare if any(run in runs for run in _runs(text))]
    if copied:
        severity = Severity.BLOCKING if any(s.sentence_id.startswith("a") for s in copied) else Severity.MAJOR
        text = f"{len(copied)} sentence(s) repeat {FOREIGN_RUN} or more words of a source without quotation marks, first: “{copied[0].text[:110]}”."
        yield _finding("foreign_words", severity, text, tuple(s.sentence_id for s in copied), Act.REWRITE)
    notes = {a.paper.paper_id for a in d.admissions if a.paper.kind is PaperKind.NOTE}
    ours = {c.claim_id for c in d.claims if c.paper_id in notes}
    voiced = [s for s, text in bare if _FIRST_PERSON.search(text) and not set(s.claims) & ours]
    if voiced:
        text = f"{len(voiced)} sentence(s) speak in the first person of authors, first: “{voiced[0].text[:110]}”."
        yield _finding("foreign_voice", Severity.BLOCKING, text, tuple(s.sentence_id for s in voiced), Act.REWRITE)


def _foreign_runs(documents: Iterable[Document], admissions: Sequence[Admission]) -> set[int]:
    theirs = [doc.text for doc in documents if doc.basis is not Basis.NOTE]
    theirs += [a.paper.abstract for a in admissions if a.paper.abstract and a.paper.kind is not PaperKind.NOTE]
    return {run for text in theirs for run in _runs(text)}


def foreign_to(documents: Iterable[Document], admissions: Sequence[Admission]) -> Callable[[str], str]:
    """For a sentence that is to be our own: why it is not ("" when it is): words of a source in a row outside quotation marks, or the voice of its authors."""
    runs = _foreign_runs(documents, admissions)

    def fault(text: str) -> str:
        bare = _QUOTED.sub(" · ", text)
        if any(run in runs for run in _runs(bare)):
            return f"it repeats {FOREIGN_RUN} or more words of a source in a row"
        return "it speaks in the first person of authors" if _FIRST_PERSON.search(bare) else ""

    return fault


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
    hidden = [re.sub(r"\W+", "", quote.split("“", 1)[-1].lower())[:120] for _, quote in found]
    claimed = [c.claim_id for c in d.claims if any(_inside(c.text, h) for h in hidden)]
    said = [s for s in sentences_of(d.draft) if _ABOUT_ITSELF.search(s.text) or any(_inside(s.text, h) for h in hidden)]
    if claimed or said:
        text = f"{len(said)} sentence(s) and {len(claimed)} claim(s) repeat or obey an instruction, first: “{(said[0].text if said else '')[:110]}”."
        yield _finding("instruction_obeyed", Severity.BLOCKING, text, (*claimed, *(s.sentence_id for s in said)), Act.DROP)


def _inside(text: str, hidden: str) -> bool:
    mine = re.sub(r"\W+", "", text.lower())
    return len(mine) >= 20 and len(hidden) >= 20 and (mine in hidden or hidden in mine)


def _single(d: Dossier) -> Iterator[Finding]:
    stated = {c for s in sentences_of(d.draft) if s.kind is SentenceKind.CLAIM for c in s.claims}
    alone = [r.claim_id for r in d.rulings if r.claim_id in stated and r.level < Level.L3_CORROBORATED]
    if stated and alone:
        severity = Severity.MINOR if len(alone) == len(stated) else Severity.NOTE
        yield _finding(
            "single_sourced", severity, f"{len(alone)} of {len(stated)} stated claims rest on one source.", tuple(alone), Act.TRIAL
        )
