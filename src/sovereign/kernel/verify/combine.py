"""The written rule: from single judgements to one ruling. Pure: the same judgements always give the same ruling, in whatever order they come.

The table of docs/verification.md is `_RULES` below. Imports records and the verifiers of this package; refuses thresholds on similarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sovereign.kernel.language import sentences
from sovereign.kernel.verify import calibrate
from sovereign.kernel.verify.lexical import LexicalVerifier
from sovereign.kernel.verify.semantic import SemanticVerifier
from sovereign.kernel.verify.slots import SlotsVerifier
from sovereign.kernel.verify.statement import make_claim, not_checkable, split_claims
from sovereign.ports import Verifier
from sovereign.records import Basis, Check, Claim, Document, Evidence, Judgement, Level, Ruling, Span, Stance, State, Verdict

COMBINATION_VERSION = "combine/2"
_BASE: tuple[Verifier, ...] = (SlotsVerifier(), LexicalVerifier(), SemanticVerifier())
NEVER_DECIDES = frozenset({"lexical", "semantic", "legacy_tfidf"})
# How far a verdict lifts a claim: the best one over all documents stands, so that one more source can only lift.
_RANK = {
    Verdict.NOT_CHECKABLE: 0, Verdict.NOT_FOUND: 1, Verdict.UNRESOLVED: 2, Verdict.CONTRADICTED: 3, Verdict.QUALIFIED: 4, Verdict.SUPPORTED: 5,
}  # fmt: skip
_STANCE = {Verdict.SUPPORTED: Stance.SUPPORTS, Verdict.QUALIFIED: Stance.SUPPORTS, Verdict.CONTRADICTED: Stance.REFUTES}


def one_document(judgements: Sequence[Judgement]) -> Judgement:
    """The judgement that stands for one document. Pure; the order of `judgements` does not matter.

    The guard (`slots`) decides. A further verifier can only settle what the guard leaves UNRESOLVED, and only when it found a span;
    a further verifier that refutes what the guard affirms makes the verdict UNRESOLVED. `lexical`, `semantic` and `legacy_tfidf` never decide.
    """
    guard = next((j for j in judgements if j.verifier == "slots"), None)
    others = sorted(
        (j for j in judgements if j.verifier != "slots" and j.verifier not in NEVER_DECIDES), key=lambda j: (j.verifier, j.version)
    )
    if guard is None:
        return Judgement("combine", COMBINATION_VERSION, Verdict.UNRESOLVED, "the guard has not run, and nothing else may affirm")
    affirm = [j for j in others if j.verdict is Verdict.SUPPORTED and j.spans]
    refute = [j for j in others if j.verdict is Verdict.CONTRADICTED and j.spans]
    if guard.verdict is Verdict.UNRESOLVED and guard.slot in (None, "wording", "hedge"):
        if affirm and not refute:
            return affirm[0]
        if refute and not affirm:
            return refute[0]
        return guard
    if guard.verdict is Verdict.UNRESOLVED and refute and not affirm:
        return refute[0]
    if guard.verdict is Verdict.SUPPORTED and refute:
        return replace(
            guard,
            verdict=Verdict.UNRESOLVED,
            reason=f"the verifiers disagree: {refute[0].verifier} refutes what the slots affirm ({refute[0].reason})",
        )
    return guard


def verify_claim(claim: Claim, documents: Sequence[tuple[str, Document]], *, extra: Sequence[Verifier] = ()) -> Ruling:
    """The ruling on one claim against (paper_id, document) pairs. Depends only on the claim's text, the documents and the verifiers' versions.

    Raises nothing for odd input: an unusable claim is NOT_CHECKABLE with its reason, an empty source NOT_FOUND.
    """
    if (why := _refused(claim.text)) is not None:
        return _ruling(claim, Verdict.NOT_CHECKABLE, why, documents, (), (), _checks(extra, Verdict.NOT_CHECKABLE, ran=False))
    ordered = sorted(documents, key=lambda d: (d[0], d[1].sha256, d[1].basis.value))
    whole = _judge(claim, ordered, extra)
    parts = split_claims(claim.text)
    several = len(sentences(claim.text)) > 1  # of two sentences each must be said; of two clauses one passage may say both
    if len(parts) > 1 and (several or whole.verdict is not Verdict.SUPPORTED) and ordered:
        whole = _compound(claim, whole, [(p, _judge(make_claim(p), ordered, extra)) for p in parts], [d for _, d in ordered])
    return _calibrated(claim, whole)


def _calibrated(claim: Claim, ruling: Ruling) -> Ruling:
    """With the measured probability of the verdict, where no further verifier gave one of its own."""
    if ruling.probability is not None:
        return ruling
    quote = next((e.span.quote for e in ruling.evidence if e.span is not None), "")
    return replace(ruling, probability=calibrate.probability(ruling.verdict, claim.text, quote))


def _refused(text: str) -> str | None:
    why = not_checkable(text)
    if why is None or len(text) <= 200:
        return why
    parts = split_claims(text[:400_000])
    if 1 < len(parts) <= 24 and not all(not_checkable(p) for p in parts):
        return None
    return why


def _judge(claim: Claim, ordered: Sequence[tuple[str, Document]], extra: Sequence[Verifier]) -> Ruling:
    """One statement against all documents."""
    if not_checkable(claim.text) is not None:
        return _ruling(
            claim, Verdict.NOT_CHECKABLE, not_checkable(claim.text) or "", ordered, (), (), _checks(extra, Verdict.NOT_CHECKABLE, ran=False)
        )
    if not ordered:
        return _ruling(claim, Verdict.NOT_FOUND, "no source was given", (), (), (), _checks(extra, Verdict.NOT_FOUND, ran=False))
    stands: list[tuple[Judgement, str, Document]] = []
    judgements: list[Judgement] = []
    for paper_id, document in ordered:
        single = [_named(v.judge(claim, document), paper_id) for v in (*_BASE, *extra)]
        judgements += single
        stands.append((one_document(single), paper_id, document))
    best = max(stands, key=lambda s: _RANK[s[0].verdict])
    verdict, reason = best[0].verdict, best[0].reason
    evidence = tuple(
        Evidence(_STANCE.get(j.verdict, Stance.NEUTRAL), span=_named_span(s, p), probability=j.probability, note=j.reason)
        for j, p, _ in sorted(stands, key=lambda s: -_RANK[s[0].verdict])
        for s in j.spans[:2]
    )
    if verdict is Verdict.NOT_FOUND:
        reason = _not_found([d for _, d in ordered])
    checks = _checks(extra, verdict, ran=True)
    if verdict in (Verdict.SUPPORTED, Verdict.QUALIFIED) and any(s[0].verdict is Verdict.CONTRADICTED for s in stands):
        other = next(s for s in stands if s[0].verdict is Verdict.CONTRADICTED)
        checks = (*checks, Check("sources agree", State.FAILED, f"{other[1]}: {other[0].reason}"))
    ruling = _ruling(claim, verdict, reason, ordered, evidence, tuple(judgements), checks)
    return replace(
        ruling,
        probability=best[0].probability,
        basis=best[2].basis if verdict is not Verdict.NOT_FOUND else _basis([d for _, d in ordered]),
    )


def _named(judgement: Judgement, paper_id: str) -> Judgement:
    return replace(judgement, spans=tuple(_named_span(s, paper_id) for s in judgement.spans))


def _named_span(span: Span, paper_id: str) -> Span:
    return span if span.paper_id else replace(span, paper_id=paper_id)


def _not_found(documents: Sequence[Document]) -> str:
    if all(not d.text.strip() for d in documents):
        return "the source is empty"
    basis = _basis(documents)
    if basis is Basis.ABSTRACT_ONLY:
        return "not found in the abstract, and only the abstract was read: this says nothing against the claim"
    what = "the note" if basis is Basis.NOTE else "the full text"
    return f"no passage speaks of this in {what} of {len(documents)} source{'s' if len(documents) > 1 else ''}"


def _basis(documents: Sequence[Document]) -> Basis | None:
    for basis in (Basis.FULL_TEXT, Basis.NOTE, Basis.ABSTRACT_ONLY):
        if any(d.basis is basis for d in documents):
            return basis
    return None


def _level(verdict: Verdict, documents: Sequence[tuple[str, Document]], evidence: Sequence[Evidence]) -> Level:
    if verdict is Verdict.SUPPORTED and any(e.span is not None for e in evidence):
        return Level.L2_GROUNDED
    return Level.L1_CITED if documents else Level.L0_RECORDED


def _checks(extra: Sequence[Verifier], verdict: Verdict, *, ran: bool) -> tuple[Check, ...]:
    if not ran:
        return (
            Check("slots", State.NOT_RUN, "there was nothing to compare"),
            Check("entailment", State.NOT_RUN, "there was nothing to compare"),
        )
    state = State.PASSED if verdict is Verdict.SUPPORTED else State.FAILED
    names = {v.name for v in extra}
    out = [Check("slots", state, "all slots agree with one passage" if state is State.PASSED else "see the reason")]
    if "entailment" not in names:
        out.append(Check("entailment", State.NOT_RUN, "the entailment extra is not installed or not chosen"))
    out += [Check(name, State.PASSED, "has judged") for name in sorted(names)]
    return tuple(out)


def _ruling(
    claim: Claim, verdict: Verdict, reason: str, documents: Sequence[tuple[str, Document]], evidence: Sequence[Evidence], judgements: tuple[Judgement, ...],
    checks: tuple[Check, ...],
) -> Ruling:  # fmt: skip
    basis = _basis([d for _, d in documents]) if documents else None
    return Ruling(
        claim_id=claim.claim_id, verdict=verdict, level=_level(verdict, documents, evidence), reason=" ".join(reason.split()), basis=basis,
        evidence=tuple(evidence), judgements=judgements, checks=checks, verifier=COMBINATION_VERSION,
    )  # fmt: skip


def _is_row(span: Span | None, document: Document) -> bool:
    """The span is a row of a table of this document."""
    if span is None or span.doc_sha256 != document.sha256:
        return False
    return span.quote.startswith("|") or any(p.table is not None and p.start <= span.start < p.end for p in document.passages)


def _compound(claim: Claim, whole: Ruling, parts: list[tuple[str, Ruling]], documents: Sequence[Document]) -> Ruling:
    """A text with several statements: contradicted by one contradicted part, supported only when every part is; the reason names the part.

    A row of a table contradicts the whole only when it contradicts a part: two statements may be about two rows.
    """
    checkable = [(t, r) for t, r in parts if r.verdict is not Verdict.NOT_CHECKABLE]
    if not checkable:
        return whole
    order = (Verdict.CONTRADICTED, Verdict.NOT_FOUND, Verdict.UNRESOLVED, Verdict.QUALIFIED, Verdict.SUPPORTED)
    worst = min(checkable, key=lambda x: order.index(x[1].verdict))
    verdict = worst[1].verdict
    together = verdict is not Verdict.SUPPORTED or len(sentences(claim.text)) == 1
    if whole.verdict is Verdict.CONTRADICTED and together:
        by_row = any(_is_row(e.span, document) for e in whole.evidence for document in documents)
        if verdict is Verdict.CONTRADICTED or not by_row:
            return whole
    if verdict is Verdict.NOT_FOUND and any(r.verdict is not Verdict.NOT_FOUND for _, r in checkable):
        verdict = Verdict.UNRESOLVED
    if verdict is Verdict.SUPPORTED and len(checkable) < len(parts):
        verdict = Verdict.QUALIFIED
    at = [t for t, _ in parts].index(worst[0]) + 1
    reason = (
        f"statement {at} of {len(parts)}: {worst[1].reason}"
        if verdict is not Verdict.SUPPORTED
        else f"all {len(parts)} statements are said by the sources"
    )
    evidence = tuple(dict.fromkeys(e for _, r in checkable for e in r.evidence))
    return replace(
        whole,
        verdict=verdict,
        reason=reason,
        level=Level.L2_GROUNDED if verdict is Verdict.SUPPORTED else whole.level,
        evidence=evidence,
        checks=worst[1].checks,
    )
