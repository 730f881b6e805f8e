"""Where a model may help: queries, claims, wording, a judge, reviews. Imports language, the tribunal's rule, ports and records; refuses to trust an answer.

Every function takes a Model and the prompts (models.prompts.load()) and gives records. What a model says is kept only where the kernel's own checks agree:
a claim only when its quote stands in the document, a wording only when every number, name and direction survives and verification supports it, a judgement
only with a quote that stands in the document and holds the claim's numbers, a finding only of a kind and gravity that its role may use. Nothing here has a
default answer: a model that fails raises ModelFailed, and the run can be resumed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from sovereign import seal
from sovereign.kernel import language
from sovereign.kernel.tribunal import wording
from sovereign.kernel.tribunal.kinds import KINDS
from sovereign.kernel.tribunal.record import APPROVE_AT, Dossier, panel_score, score_of, sentences_of, steers
from sovereign.ports import Model
from sovereign.records import (
    Act,
    Agreement,
    Claim,
    Document,
    FacetKind,
    Finding,
    Judgement,
    Passage,
    PassageKind,
    Query,
    Question,
    Review,
    Role,
    RoleAgreement,
    Ruling,
    Severity,
    Span,
    Verdict,
    Wording,
)

Prompts = Mapping[str, str]
MAX_QUERIES, MAX_QUERY_CHARS = 4, 120
MAX_MATERIAL_CHARS = 24_000  # of passages in one prompt: about 8 000 tokens
JUDGE_PASSAGES = 8
MAX_WORDS = 110  # of one reworded sentence; the tribunal's own limit
# What a model's finding may lead to: words of the source beside a sentence, or the claim's own words again. Nothing is dropped or searched for because of it.
ACTS = {
    "number_without_setting": Act.REQUALIFY,
    "overclaim": Act.REQUALIFY,
    "contested_shown_as_settled": Act.REQUALIFY,
    "wording_not_the_claims": Act.REWRITE,
    "sentence_differs_from_claim": Act.REWRITE,
}
UNSTABLE = "decision_unstable"  # found by comparing models, never by one of them
BAND = 1.0  # a model's score this far from the rule's is dissent


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: Mapping[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": dict(items), "maxItems": most}


QUERIES = _object(queries=_list({"type": "string", "maxLength": 400}, 12))
CLAIMS = _object(claims=_list(_object(passage={"type": "integer"}, quote={"type": "string", "maxLength": 2000}), 60))
_PHRASES = _list({"type": "string", "maxLength": 200}, 6)
SLOTS = _object(slots=_list(_object(id={"type": "string"}, subject=_PHRASES, metric=_PHRASES, condition=_PHRASES), 60))
SENTENCES = _object(sentences=_list(_object(id={"type": "string"}, text={"type": "string", "maxLength": 2000}), 60))
JUDGED = _object(
    verdict={"type": "string", "enum": ["SUPPORTED", "CONTRADICTED", "UNRESOLVED"]},
    quote={"type": "string", "maxLength": 4000},
    reason={"type": "string", "maxLength": 1000},
)
REVIEWED = _object(
    findings=_list(
        _object(
            kind={"type": "string"},
            severity={"type": "string", "enum": [s.value for s in Severity]},
            targets=_list({"type": "string"}, 40),
            text={"type": "string", "maxLength": 600},
        ),
        40,
    ),
    score={"type": "number", "minimum": 0, "maximum": 10},
)


def rendered(prompts: Prompts, name: str, material: Mapping[str, Any]) -> str:
    """The prompt with its material as JSON. The closing mark cannot be forged from inside: ">" is escaped there."""
    body = json.dumps(material, ensure_ascii=False, indent=1, sort_keys=True).replace(">", "\\u003e").replace("<", "\\u003c")
    return prompts[name].replace("{{material}}", body)


# --- queries ---


def propose_queries(model: Model, prompts: Prompts, question: Question, planned: Sequence[Query], *, at_most: int = 2) -> tuple[Query, ...]:
    """Further queries, purpose "proposed": short, plain, sharing a word with the question, and different from those planned."""
    material = {
        "question": question.text,
        "parts": [f.text for f in question.facets],
        "planned": [q.text for q in planned],
        "at_most": min(at_most, MAX_QUERIES),
    }
    answer = model.ask(rendered(prompts, "queries", material), shape=QUERIES, purpose="queries")
    asked, seen = set(language.tokens(question.text)), {q.text.lower() for q in planned}
    out: list[Query] = []
    for text in (" ".join(str(q).split()) for q in answer["queries"]):
        plain = bool(text) and len(text) <= MAX_QUERY_CHARS and not re.search(r"https?:|[<>{}\[\]|\\]", text)
        if plain and text.lower() not in seen and asked & set(language.tokens(text)) and len(out) < min(at_most, MAX_QUERIES):
            seen.add(text.lower())
            out.append(Query("proposed", text))
    return tuple(out)


# --- claims ---


@dataclass(frozen=True)
class Proposed:
    """What was kept of a proposal. `dropped`: (what the model said, why it was not kept)."""

    claims: tuple[Claim, ...]
    dropped: tuple[tuple[str, str], ...]


def propose_claims(model: Model, prompts: Prompts, question: Question, document: Document, paper_id: str, *, at_most: int = 12) -> Proposed:
    """Whole sentences that the model points at and that stand in the document exactly there; the claim is the document's text, not the model's."""
    passages = _relevant([p for p in document.passages if p.kind is PassageKind.PROSE], question.text, limit=MAX_MATERIAL_CHARS)
    if not passages:
        return Proposed((), ())
    material = {
        "question": question.text,
        "parts": [f.text for f in question.facets],
        "passages": [{"n": n, "section": p.section, "text": p.text} for n, p in enumerate(passages, 1)],
    }
    answer = model.ask(rendered(prompts, "claims", material), shape=CLAIMS, purpose="claims")
    kept: dict[tuple[int, int], Claim] = {}
    dropped: list[tuple[str, str]] = []
    for item in answer["claims"]:
        span, why = _located(str(item["quote"]), document, paper_id)
        if span is None:
            dropped.append((str(item["quote"]), why))
        elif len(kept) >= at_most:
            dropped.append((span.quote, "more than were asked for"))
        elif (span.start, span.end) not in kept:
            kept[span.start, span.end] = _claim(span, question)
    return Proposed(tuple(kept.values()), tuple(dropped))


def propose_slots(model: Model, prompts: Prompts, claims: Sequence[Claim]) -> tuple[tuple[Claim, ...], tuple[tuple[str, str, str], ...]]:
    """The claims with empty slots filled, and (claim id, what was offered, why it was refused).

    Only claims without a comparison key are asked about, only empty slots are filled, and only with whole words of the claim's own text. Verification
    reads the text and not these slots: they decide what stands beside what in the table of comparison keys.
    """
    wanting = {c.claim_id: c for c in claims if c.key is None}
    if not wanting:
        return tuple(claims), ()
    material = {"statements": [{"id": i, "text": c.text} for i, c in wanting.items()]}
    answer = model.ask(rendered(prompts, "slots", material), shape=SLOTS, purpose="slots")
    filled: dict[str, Claim] = {}
    refused: list[tuple[str, str, str]] = []
    for item in answer["slots"]:
        claim = wanting.get(str(item["id"]))
        if claim is None or claim.claim_id in filled:
            continue
        found: dict[str, tuple[str, ...]] = {}
        for name in ("subject", "metric", "condition"):
            if getattr(claim.slots, name):
                continue  # what a rule has read stays
            for phrase in map(str, item[name]):
                standing = _standing(phrase, claim.text)
                if standing:
                    found[name] = (*found.get(name, ()), standing)
                else:
                    refused.append((claim.claim_id, phrase, "no such words stand in the claim"))
        if found:
            held = claim.slots
            slots = replace(
                held,
                subject=found.get("subject", held.subject),
                metric=found.get("metric", held.metric),
                condition=found.get("condition", held.condition),
            )
            filled[claim.claim_id] = replace(claim, slots=slots, key=language.comparison_key(slots))
    return tuple(filled.get(c.claim_id, c) for c in claims), tuple(refused)


def _standing(phrase: str, text: str) -> str:
    """The phrase as the text spells it, when it stands there as whole words with a letter among them; else ""."""
    words = phrase.split()
    if not words or not any(c.isalpha() for c in phrase):
        return ""
    match = re.search(r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)", text, re.IGNORECASE)
    return match.group() if match else ""


def _claim(span: Span, question: Question) -> Claim:
    slots = language.parse_slots(span.quote)
    answers = tuple(f.id for f in question.facets if language.mentions(f, span.quote))
    claim_id = "c-" + seal.digest([span.quote, span.doc_sha256, span.start])[:12]
    return Claim(claim_id, span.quote, slots, language.comparison_key(slots), span, span.paper_id, answers)


def _located(quote: str, document: Document, paper_id: str) -> tuple[Span | None, str]:
    """The whole sentence in which the quote stands; blanks may differ, nothing else."""
    words = quote.split()
    if len(words) < 4:
        return None, "the quote is too short to be located"
    hits = list(re.finditer(r"\s+".join(map(re.escape, words)), document.text))
    if not hits:
        return None, "no such words stand in the document"
    for match in hits:
        passage = next((p for p in document.passages if p.start <= match.start() and match.end() <= p.end), None)
        if passage is None:
            continue
        for a, b in language.sentences(passage.text):
            start, end = passage.start + a, passage.start + b
            if start <= match.start() and match.end() <= end:
                text = document.text[start:end]
                if steers(text, document):
                    return None, "the sentence reads like an instruction to a machine"
                return Span(document.sha256, start, end, text, paper_id, passage.section), ""
    return None, "the quote is not within one sentence"


def _relevant(passages: Sequence[Passage], text: str, *, limit: int, most: int | None = None) -> list[Passage]:
    """Passages that share the most words with a text, up to `limit` characters, back in their order; ties by place."""
    wanted = set(language.tokens(text))
    ranked = sorted(passages, key=lambda p: (-len(wanted & set(language.tokens(p.text))), p.start))
    chosen: list[Passage] = []
    for p in ranked[:most]:
        if sum(len(c.text) for c in chosen) + len(p.text) <= limit:
            chosen.append(p)
    return sorted(chosen, key=lambda p: p.start)


# --- wording ---


def reword(
    model: Model,
    prompts: Prompts,
    claims: Sequence[Claim],
    verify: Callable[[Claim], Ruling],
    other_faults: Callable[[str, Claim], str] = lambda _text, _claim: "",
) -> Wording:
    """New sentences for claims. Kept only when nothing but harmless words changed and `verify` (against the claim's own documents) says SUPPORTED.

    `other_faults`: what else speaks against a sentence ("" for nothing), such as words taken over from a source.
    """
    if not claims:
        return Wording(0, {})
    material = {"statements": [{"id": c.claim_id, "text": c.text} for c in claims]}
    answer = model.ask(rendered(prompts, "reword", material), shape=SENTENCES, purpose="reword")
    by_id = {c.claim_id: c for c in claims}
    kept: dict[str, str] = {}
    refused: list[tuple[str, str, str]] = []
    for item in answer["sentences"]:
        claim, text = by_id.get(str(item["id"])), " ".join(str(item["text"]).split())
        if claim is None or claim.claim_id in kept or text == claim.text:
            continue
        why = _refusal(text, claim, verify) or other_faults(text, claim)
        if why:
            refused.append((claim.claim_id, text, why))
        else:
            kept[claim.claim_id] = text
    return Wording(len(claims), kept, tuple(refused))


def _refusal(text: str, claim: Claim, verify: Callable[[Claim], Ruling]) -> str:
    if len(language.sentences(text)) != 1 or not text.endswith("."):
        return "it is not one sentence"
    if len(text.split()) > MAX_WORDS or re.search(r"https?:|[<>{}|\\]", text):
        return "it is too long or holds markup"
    changed = [d for d in wording.compare(text, claim.text) if d.slot != "wording"]
    if changed:
        return f"{changed[0].slot}: {changed[0].text}"
    ruling = verify(replace(claim, text=text, slots=language.parse_slots(text), span=None))
    return "" if ruling.verdict is Verdict.SUPPORTED else f"verified again it is {ruling.verdict.value}: {ruling.reason}"


# --- the judge ---


class ModelVerifier:
    """Satisfies ports.Verifier. It can settle only what the slots verifier leaves open (the written rule in verify/combine.py), and only with a quote."""

    name = "model"

    def __init__(self, model: Model, prompts: Prompts):
        self.model, self.prompts = model, prompts
        self.version = f"{model.name}/{seal.sha256(prompts['judge'])[:8]}"

    def judge(self, claim: Claim, document: Document) -> Judgement:
        """UNRESOLVED whenever the quote does not stand in the document, lacks the claim's numbers, or steers. Raises ModelFailed."""
        passages = _relevant(document.passages, claim.text, limit=MAX_MATERIAL_CHARS, most=JUDGE_PASSAGES)
        if not passages:
            return self._said(Verdict.UNRESOLVED, "the document has no passages")
        material = {"statement": claim.text, "passages": [{"n": n, "text": p.text} for n, p in enumerate(passages, 1)]}
        answer = self.model.ask(rendered(self.prompts, "judge", material), shape=JUDGED, purpose="judge")
        verdict = Verdict(answer["verdict"])
        if verdict is Verdict.UNRESOLVED:
            return self._said(verdict, str(answer["reason"]) or "the model abstains")
        words = str(answer["quote"]).split()
        hit = re.search(r"\s+".join(map(re.escape, words)), document.text) if len(words) >= 3 else None
        if hit is None:
            return self._said(Verdict.UNRESOLVED, "the model's quote does not stand in the document")
        if steers(hit.group(), document):
            return self._said(Verdict.UNRESOLVED, "the model's quote reads like an instruction to a machine")
        missing = _numbers(claim.text) - _numbers(hit.group())
        if verdict is Verdict.SUPPORTED and missing:
            return self._said(Verdict.UNRESOLVED, f"the model's quote does not hold {', '.join(sorted(missing)[:3])}")
        if verdict is Verdict.SUPPORTED and not set(language.tokens(claim.text)) & set(language.tokens(hit.group())):
            return self._said(Verdict.UNRESOLVED, "the model's quote shares no word with the claim")
        return self._said(verdict, str(answer["reason"]), (Span(document.sha256, hit.start(), hit.end(), hit.group()),))

    def _said(self, verdict: Verdict, reason: str, spans: tuple[Span, ...] = ()) -> Judgement:
        return Judgement(self.name, self.version, verdict, " ".join(reason.split())[:300], spans=spans)


def _numbers(text: str) -> set[str]:
    return {m.rstrip(".,") for m in re.findall(r"\d+(?:[.,]\d+)*", wording.plain(text))}


# --- the tribunal ---


@dataclass(frozen=True)
class Panel:
    """Reviews with a model's findings added, and how far the models or seeds agree; when the decision flips between them, a blocking finding escalates.

    dropped: (role, what, why) of findings that were not kept.
    """

    reviews: tuple[Review, ...]
    agreement: Agreement
    dropped: tuple[tuple[str, str, str], ...]


def review(models: Sequence[Model], prompts: Prompts, dossier: Dossier, rule: Sequence[Review]) -> Panel:
    """Each role by each model (or seed), in parallel and blind to each other, on top of the rule's own reviews. A finding stays with a majority of models.

    The score follows from the findings by the written rule. A model's own score further than BAND from it is dissent, shown and not adopted.
    Raises ModelFailed.
    """
    jobs = [(r, m) for r in rule for m in models]
    with ThreadPoolExecutor(max_workers=min(8, len(jobs) or 1)) as pool:
        answers = list(pool.map(lambda job: _reviewed(job[1], prompts, dossier, job[0]), jobs))
    told = {(job[0].role, n % len(models)): a for n, (job, a) in enumerate(zip(jobs, answers, strict=True))}
    reviews, dropped = [], []
    for base in rule:
        mine = [told[base.role, n] for n in range(len(models))]
        dropped += [(base.role.value, what, why) for _, _, lost in mine for what, why in lost]
        reviews.append(_merged(base, mine, models))
    agreement = _agreement(rule, told, models)
    if agreement.flips:
        reviews = [_unstable(r, agreement.scores) if r.role is Role.SYNTHESIZER else r for r in reviews]
    return Panel(tuple(reviews), agreement, tuple(dropped))


def _reviewed(model: Model, prompts: Prompts, d: Dossier, base: Review) -> tuple[tuple[Finding, ...], float, list[tuple[str, str]]]:
    """(findings that may stand, the model's own score, what was dropped)."""
    purpose = f"review_{base.role.value.lower()}"
    answer = model.ask(rendered(prompts, purpose, _case(d, base)), shape=REVIEWED, purpose=purpose)
    known = {s.sentence_id for s in sentences_of(d.draft)} | {c.claim_id for c in d.claims} | {f.id for f in d.question.facets}
    kept, dropped = [], []
    for item in answer["findings"]:
        kind, severity = str(item["kind"]), Severity(item["severity"])
        targets = tuple(dict.fromkeys(str(t) for t in item["targets"] if str(t) in known))
        role, allowed, _ = KINDS.get(kind, (None, (), ""))
        if role is not base.role or kind == UNSTABLE:
            dropped.append((kind, "no kind of finding of this role"))
        elif severity not in allowed:
            dropped.append((kind, f"cannot be {severity.value}"))
        elif not targets:
            dropped.append((kind, "names nothing that is in the draft"))
        else:
            kept.append(Finding(base.role, kind, severity, " ".join(str(item["text"]).split()), targets, ACTS.get(kind, Act.TELL_OWNER)))
    return tuple(kept), float(answer["score"]), dropped


def _case(d: Dossier, base: Review) -> dict[str, Any]:
    """What a model sees of the dossier. The rule's findings are not shown: roles judge for themselves."""
    verdicts = {r.claim_id: r for r in d.rulings}
    sentences = [{"id": s.sentence_id, "kind": s.kind.value, "text": s.text, "claims": list(s.claims)} for s in sentences_of(d.draft)]
    claims = [
        {
            "id": c.claim_id,
            "text": c.text,
            "source": c.paper_id,
            "verdict": verdicts[c.claim_id].verdict.value,
            "level": verdicts[c.claim_id].level.label,
        }
        for c in d.claims
        if c.claim_id in verdicts
    ]
    coverage = [{"part": c.facet, "answered": c.answered, "by": list(c.by)} for c in d.draft.coverage]
    systems = [f.text for f in d.question.facets if f.kind is FacetKind.SYSTEM]
    kinds = [
        {"kind": k, "severities": [s.value for s in allowed], "meaning": what}
        for k, (role, allowed, what) in sorted(KINDS.items())
        if role is base.role and k != UNSTABLE
    ]
    return {"question": d.question.text, "systems": systems, "sentences": sentences, "claims": claims, "coverage": coverage, "kinds": kinds}


def _joined(base: Review, more: Sequence[Finding]) -> tuple[Finding, ...]:
    """The rule's findings, and a model's of kinds that the rule did not already report."""
    have = {f.kind for f in base.findings}
    return (*base.findings, *(f for f in more if f.kind not in have))


def _merged(base: Review, told: Sequence[tuple[tuple[Finding, ...], float, Any]], models: Sequence[Model]) -> Review:
    votes = Counter(kind for findings, _, _ in told for kind in {f.kind for f in findings})
    first: dict[str, Finding] = {}
    for findings, _, _ in told:
        for f in findings:
            first.setdefault(f.kind, f)
    agreed = [f for kind, f in sorted(first.items()) if votes[kind] * 2 > len(models)]
    alone = [kind for kind in sorted(first) if votes[kind] * 2 <= len(models)]
    findings = _joined(base, agreed)
    score = score_of(findings)
    said = [s for _, s, _ in told]
    notes = [f"{m.name} would give {s:g}, the rule gives {score:g}" for m, s in zip(models, said, strict=True) if abs(s - score) > BAND]
    notes += [f"only some of {len(models)} models report {kind}" for kind in alone]
    order = list(Severity)
    ranked = tuple(sorted(findings, key=lambda f: (order.index(f.severity), f.kind, f.targets)))
    by = f"{base.by}+{'+'.join(dict.fromkeys(m.name for m in models))}"
    return replace(base, score=score, findings=ranked, by=by, dissent="; ".join(notes))


def _unstable(base: Review, scores: Sequence[float]) -> Review:
    text = f"The decision changes between models or seeds: scores {', '.join(f'{s:g}' for s in scores)} around {APPROVE_AT:g}."
    finding = Finding(Role.SYNTHESIZER, UNSTABLE, Severity.BLOCKING, text, (), Act.TELL_OWNER)
    findings = (finding, *base.findings)
    return replace(base, findings=findings, score=score_of(findings))


def _agreement(rule: Sequence[Review], told: Mapping[tuple[Role, int], Any], models: Sequence[Model]) -> Agreement:
    """Scores by each model alone, and nominal alpha over kinds of finding (reported or not), per role and over all roles."""
    raters = range(len(models))
    alone = [[_alone(b, told[b.role, n][0]) for b in rule] for n in raters]
    scores = tuple(panel_score(reviews) for reviews in alone)
    units = {
        b.role: [
            [float(any(f.kind == kind for f in told[b.role, n][0])) for n in raters]
            for kind, (role, _, _) in sorted(KINDS.items())
            if role is b.role and kind != UNSTABLE
        ]
        for b in rule
    }
    roles = tuple(
        RoleAgreement(
            b.role,
            tuple(alone[n][i].score for n in raters),
            tuple(told[b.role, n][1] for n in raters),
            _spread([alone[n][i].score for n in raters]),
            _rounded(krippendorff_alpha(units[b.role])),
        )
        for i, b in enumerate(rule)
    )
    everything = [row for rows in units.values() for row in rows]
    flips = len({s >= APPROVE_AT for s in scores}) > 1
    alpha = _rounded(krippendorff_alpha(everything))
    return Agreement(tuple(m.name for m in models), scores, _spread(scores), alpha, flips, roles)


def _alone(base: Review, findings: Sequence[Finding]) -> Review:
    joined = _joined(base, findings)
    return replace(base, score=score_of(joined), findings=joined)


def _spread(scores: Sequence[float]) -> float:
    return round(max(scores) - min(scores), 2) if scores else 0.0


def _rounded(alpha: float | None) -> float | None:
    return None if alpha is None else round(alpha, 4)


def krippendorff_alpha(units: Sequence[Sequence[float | None]], *, metric: str = "nominal") -> float | None:
    """Agreement of raters: 1 perfect, 0 as by chance. `units`: one row per unit, one value per rater, None where a rater gave none.

    Krippendorff, Content Analysis (2004), ch. 11: alpha = 1 - D_o / D_e from the coincidence of pairable values; `metric` nominal (0 or 1 apart) or interval
    (squared difference). None where it is not defined: fewer than two pairable values, or no variation at all.
    """
    if metric not in ("nominal", "interval"):
        raise ValueError(f"metric is {metric!r}, not nominal or interval")
    rows = [held for row in units if len(held := [v for v in row if v is not None]) > 1]
    values = [v for row in rows for v in row]
    n = len(values)
    if n < 2:
        return None

    def apart(a: float, b: float) -> float:
        return float(a != b) if metric == "nominal" else (a - b) ** 2

    observed = sum(sum(apart(a, b) for i, a in enumerate(row) for j, b in enumerate(row) if i != j) / (len(row) - 1) for row in rows)
    counted = Counter(values)
    expected = sum(na * (nb - (a == b)) * apart(a, b) for a, na in counted.items() for b, nb in counted.items()) / (n - 1)
    if expected == 0:
        return None
    return 1.0 - observed / expected
