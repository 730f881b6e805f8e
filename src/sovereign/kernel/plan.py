"""Four different queries from the facets, and targeted ones in a revision. Imports records; refuses to search.

The four: the named system by exact title; system with metrics; comparators; benchmark and condition. Where a part is missing in the question, its query
falls back to the question's own content words, so that there are always four different ones.
"""

from __future__ import annotations

import re

from sovereign.records import Facet, FacetKind, Query, Question

_STOP = frozenset(
    "a an the of in on for to and or vs versus is are was were be been does do did how what which when why who where whether with without "
    "across between from by as at than that this these those its their it such under over into terms using used use like standard relative "
    "compared compare comparison evaluated different various varying trade-off tradeoff".split()
)


def plan(question: Question) -> tuple[Query, ...]:
    """Always four queries, in a fixed order, with different texts."""
    by_kind = {kind: [f for f in question.facets if f.kind is kind] for kind in FacetKind}
    systems = [f.text for f in by_kind[FacetKind.SYSTEM]]
    metrics = [f.text for f in by_kind[FacetKind.METRIC]]
    words = content_words(question.text)
    domain = [w for w in words if w.lower() not in {x.lower() for s in systems for x in s.split()}]
    queries = [
        Query("named_system", " ".join(systems) or " ".join(words[:8]), exact=bool(systems), facets=_ids(by_kind[FacetKind.SYSTEM])),
        Query(
            "system_metric",
            " ".join([*systems, *metrics[:4], *(["inference"] if metrics else domain[:4])]),
            facets=_ids(by_kind[FacetKind.METRIC]),
        ),
        Query(
            "comparators",
            " ".join([*(f.text for f in by_kind[FacetKind.COMPARATOR]), *_topic(domain)]),
            facets=_ids(by_kind[FacetKind.COMPARATOR]),
        ),
        Query(
            "benchmark_condition",
            " ".join([*(f.text for f in by_kind[FacetKind.DATASET]), *(f.text for f in by_kind[FacetKind.CONDITION]), *_topic(domain)[:4]]),
            facets=_ids(by_kind[FacetKind.DATASET] + by_kind[FacetKind.CONDITION]),
        ),
    ]
    return _different(queries, words)


def targeted(question: Question, uncovered: tuple[str, ...]) -> tuple[Query, ...]:
    """One query per facet that a hearing found uncovered: the systems with this facet's words."""
    systems = " ".join(f.text for f in question.facets if f.kind is FacetKind.SYSTEM)
    out = []
    for facet in question.facets:
        if facet.id in uncovered and facet.kind is not FacetKind.SYSTEM:
            extra = max(facet.aliases, key=len, default="").rstrip("*")
            out.append(
                Query(
                    "targeted",
                    " ".join(x for x in (systems, facet.text, extra if extra != facet.text.lower() else "") if x),
                    facets=(facet.id,),
                )
            )
    return tuple(out)


def content_words(text: str) -> list[str]:
    """The words that carry meaning, in order, once each."""
    seen: dict[str, str] = {}
    for word in re.findall(r"[\w][\w+-]*", text):
        if word.lower() not in _STOP and len(word) > 1:
            seen.setdefault(word.lower(), word)
    return list(seen.values())


def _topic(domain: list[str]) -> list[str]:
    return domain[:7]


def _ids(facets: list[Facet]) -> tuple[str, ...]:
    return tuple(f.id for f in facets)


def _different(queries: list[Query], words: list[str]) -> tuple[Query, ...]:
    out: list[Query] = []
    for number, query in enumerate(queries):
        text = " ".join(query.text.split())
        if not text or any(text.lower() == q.text.lower() for q in out):
            rotated = words[number:] + words[:number]
            text = " ".join(rotated[: max(3, len(rotated) - number)])
        out.append(Query(query.purpose, text, query.exact, query.facets))
    return tuple(out)
