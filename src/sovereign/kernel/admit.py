"""The relevance gate: which papers come in, and why each one came in or stayed out. Imports records; refuses to search, and admits nothing rather than noise.

Pure: it depends on the question and on what the search returned. Three ways in, tried in this order:
  named      the paper's title carries a system that the question names;
  topical    it shares enough of the vocabulary that this question and its named systems' papers have in common, and touches a facet;
  (without such a paper) it covers enough of the question's own content words, rare words counting more.
Homonyms stay out because a shared word such as "routing" or "expert" is not a shared vocabulary; a paper that is older than the field's first
named system by more than PLAUSIBLE_YEARS is held to a higher bar.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sovereign import identity
from sovereign.kernel.language import mentions, tokens
from sovereign.kernel.standing import STOPPING, Standing, standings, work_of
from sovereign.records import Admission, Facet, FacetKind, Found, Paper, Question, SearchRecord

TOPICAL = 0.16  # cosine with the topic profile; chosen on benchmarks/questions (see docs/benchmarks.md)
COVERAGE = 0.45  # idf-weighted share of the question's content words, when no system is named
PLAUSIBLE_YEARS = 12
PROFILE_TERMS = 40
GENERIC = frozenset(
    tokens(
        "model models method methods system systems approach paper results show propose proposed based using large language new performance across"
    )
)


def admit(question: Question, records: Sequence[SearchRecord], *, at_most: int) -> tuple[Admission, ...]:
    """One admission per work found, admitted first, best first. Retracted and withdrawn works stay out with that reason, and so do notes about them.

    A work's flags are those that the search brought and those that the flag checks among the records brought.
    """
    became = standings(records)
    records = [r for r in records if r.finds]
    works = identity.merge([(r.source, p) for r in records if isinstance(r.outcome, Found) for p in r.outcome.papers])
    ranks = _best_ranks(records)
    bags = {p.paper_id: _bag(p) for p, _ in works}
    idf = _idf(bags.values())
    systems = [f for f in question.facets if f.kind is FacetKind.SYSTEM]
    named = {p.paper_id: _named(systems, p) for p, _ in works}
    profile = _profile(question, [bags[i] for i, names in named.items() if names], idf)
    newest_system_year = max((p.year for p, _ in works if named[p.paper_id] and p.year), default=None)
    judged = []
    for paper, found_in in works:
        facets = tuple(f.id for f in question.facets if f.text in named[paper.paper_id] or mentions(f, _text(paper)))
        base = Admission(paper, False, "", facets=facets, sources=found_in)
        if named[paper.paper_id]:
            why = f"it is the work on {', '.join(named[paper.paper_id])} that the question names"
            relevant = replace(base, admitted=True, reason=why, score=1.0)
        else:
            relevant = _topical(base, question, bags[paper.paper_id], profile, idf, newest_system_year, any(named.values()))
        judged.append(_stopped(relevant, became.get(work_of(paper))))
    judged.sort(key=lambda a: (not a.admitted, -(a.score or 0.0), ranks.get(a.paper.paper_id, 999), a.paper.paper_id))
    return tuple(_limited(judged, at_most))


def _stopped(judged: Admission, became: Standing | None) -> Admission:
    """With all flags that are known. Of a stopped work the score stays when it would have been admitted, and is None otherwise."""
    known = tuple(sorted({*judged.paper.flags, *(became.flags if became else ())}))
    judged = replace(judged, paper=replace(judged.paper, flags=known))
    stopping = sorted(STOPPING & set(known))
    if not stopping:
        return judged
    what = stopping[0] if judged.paper.about is None else f"about a {stopping[0]} work"
    by = f" (says {', '.join(became.flagged_by)})" if became and became.flagged_by else ""
    return replace(judged, admitted=False, reason=f"{what}{by}: not used as evidence", score=judged.score if judged.admitted else None)


def _named(systems: Sequence[Facet], paper: Paper) -> list[str]:
    """The named systems that the title carries or the paper is known by; a name inside another name (SMoE in MC-SMoE) is not a hit."""
    known_by = "\n".join([paper.title, *paper.names])
    return [f.text for f in systems if mentions(f, known_by) or (paper.arxiv_id is not None and paper.arxiv_id in f.aliases)]


def _topical(
    base: Admission,
    question: Question,
    bag: Counter[str],
    profile: dict[str, float],
    idf: dict[str, float],
    system_year: int | None,
    has_profile: bool,
) -> Admission:
    paper = base.paper
    closeness = _cosine(profile, {t: (1 + math.log(n)) * idf[t] for t, n in bag.items()})
    bar = TOPICAL
    if system_year and paper.year and system_year - paper.year > PLAUSIBLE_YEARS:
        bar *= 2
    if not has_profile:
        covered = _coverage(question, bag, idf)
        if covered >= COVERAGE and (base.facets or covered >= 2 * COVERAGE):
            return replace(base, admitted=True, reason=f"covers {covered:.0%} of the question's content words", score=covered)
        return replace(base, reason=f"covers only {covered:.0%} of the question's content words (needs {COVERAGE:.0%})", score=covered)
    if closeness >= bar and base.facets:
        return replace(
            base,
            admitted=True,
            reason=f"same topic as the named system ({closeness:.2f}) and touches {_plain(base.facets)}",
            score=closeness,
        )
    if closeness >= bar:
        return replace(base, reason=f"same topic ({closeness:.2f}) but touches no facet of the question", score=closeness)
    if base.facets:
        return replace(
            base, reason=f"another topic: shares {_plain(base.facets)} but little vocabulary ({closeness:.2f} < {bar:.2f})", score=closeness
        )
    return replace(base, reason=f"another topic ({closeness:.2f} < {bar:.2f})", score=closeness)


def _limited(judged: Sequence[Admission], at_most: int) -> Iterable[Admission]:
    """Named systems always stay; the rest up to `at_most`, and a note counts together with its paper."""
    taken: set[str] = set()
    for a in judged:
        work = a.paper.about or a.paper.paper_id
        if a.admitted and a.score != 1.0 and work not in taken and len(taken) >= at_most:
            yield replace(a, admitted=False, reason=f"relevant ({a.score:.2f}), but {at_most} better ones were admitted")
            continue
        if a.admitted:
            taken.add(work)
        yield a


def _text(paper: Paper) -> str:
    return f"{paper.title}\n{paper.abstract or ''}"


def _bag(paper: Paper) -> Counter[str]:
    return Counter(t for t in [*tokens(paper.title) * 2, *tokens(paper.abstract or "")] if t not in GENERIC)


def _idf(bags: Iterable[Counter[str]]) -> dict[str, float]:
    """Over the candidates plus a flat prior of ten, so that a handful of candidates does not make every word rare."""
    held = list(bags)
    seen = Counter(t for bag in held for t in bag)
    return {t: math.log((len(held) + 10) / (n + 1)) + 0.1 for t, n in seen.items()}


def _profile(question: Question, named_bags: Sequence[Counter[str]], idf: dict[str, float]) -> dict[str, float]:
    """What the question and its named systems' papers have in common: question words twice, then the systems' heaviest terms."""
    profile: dict[str, float] = {}
    for token in tokens(question.text):
        if token not in GENERIC:
            profile[token] = profile.get(token, 0.0) + 2.0 * idf.get(token, 0.0)
    pooled: Counter[str] = sum(named_bags, Counter())
    heaviest = sorted(pooled, key=lambda t: (-(1 + math.log(pooled[t])) * idf.get(t, 0.0), t))[:PROFILE_TERMS]
    for token in heaviest:
        profile[token] = profile.get(token, 0.0) + (1 + math.log(pooled[token])) * idf.get(token, 0.0)
    return profile


def _coverage(question: Question, bag: Counter[str], idf: dict[str, float]) -> float:
    top = max(idf.values(), default=1.0)
    wanted = {t: idf.get(t, top) for t in set(tokens(question.text)) - GENERIC}
    return sum(w for t, w in wanted.items() if t in bag) / (sum(wanted.values()) or 1.0)


def _cosine(a: dict[str, float], b: dict[str, float]) -> float:
    dot = sum(w * b[t] for t, w in a.items() if t in b)
    return dot / ((math.sqrt(sum(w * w for w in a.values())) * math.sqrt(sum(w * w for w in b.values()))) or 1.0)


def _best_ranks(records: Sequence[SearchRecord]) -> dict[str, int]:
    ranks: dict[str, int] = {}
    for record in records:
        if isinstance(record.outcome, Found):
            for rank, paper in enumerate(record.outcome.papers):
                ranks[paper.paper_id] = min(rank, ranks.get(paper.paper_id, 999))
    return ranks


def _plain(facet_ids: Sequence[str]) -> str:
    return ", ".join(f.split(":", 1)[1] for f in facet_ids[:3])
