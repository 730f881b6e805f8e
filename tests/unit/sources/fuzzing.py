"""Mutated bodies of the five services, and what must hold for every one of them. Shared by the tests and benchmarks/fuzz_sources.py."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from faultserver import LITERATURE, arxiv_feed, crossref_work, datacite_work, openalex_work, s2_paper

from sovereign import seal
from sovereign.identity import merge, same_work
from sovereign.sources import arxiv, crossref, datacite, openalex, semantic_scholar
from sovereign.sources._http import Answer, BadBody, Declined
from sovereign.sources._live import Page

WORKS = list(LITERATURE)


class Target(NamedTuple):
    name: str
    parse: Callable[[Answer], Page]
    body: bytes


def targets() -> list[Target]:
    found = {
        "s2": (semantic_scholar.parse_search, {"total": 7, "offset": 0, "data": [s2_paper(w) for w in WORKS]}),
        "s2 batch": (semantic_scholar.parse_batch, [s2_paper(w) for w in WORKS]),
        "openalex": (openalex.parse_works, {"meta": {"count": 7}, "results": [openalex_work(w) for w in WORKS]}),
        "openalex one": (openalex.parse_work_answer, openalex_work(WORKS[0])),
        "datacite": (datacite.parse_list, {"data": [datacite_work(w) for w in WORKS], "meta": {"total": 7}}),
        "datacite one": (datacite.parse_answer, {"data": datacite_work(WORKS[0])}),
        "crossref": (
            crossref.parse_works,
            {"status": "ok", "message-type": "work-list", "message": {"total-results": 7, "items": [crossref_work(w) for w in WORKS]}},
        ),
    }
    return [Target("arxiv", arxiv.parse_feed, arxiv_feed(WORKS, 7))] + [
        Target(name, parse, json.dumps(body).encode()) for name, (parse, body) in found.items()
    ]


ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**30, 1.5, float("nan"), float("inf"), "", " ", "\x00\x1b[31m", "\ud800", "\u202eevil", "x" * 5000, [], {}, [[]],
    [None], {"": None}, "2410.17954", "10.48550/arXiv.2410.17954", "<b>&lt;script&gt;</b>", "&amp;amp;lt;", "https://arxiv.org/abs/2410.17954v99",
    {"date-parts": [[2020, 99, -1]]}, {"a": [10**9]}, "9" * 400, -(2**63),
)  # fmt: skip


def mutated(body: bytes, chance: random.Random) -> bytes:
    """One to four mutations: in two of three bodies of the tree (it stays well-formed), else of the bytes."""
    in_tree = chance.random() < 0.67
    for _ in range(chance.randint(1, 4)):
        body = _tree(body, chance) if in_tree else _bytes(body, chance)
    return body


def _tree(body: bytes, chance: random.Random) -> bytes:
    if body[:1] == b"<":
        return _grafted(body, chance)
    return json.dumps(_bent(json.loads(body), chance)).encode()


def _bytes(body: bytes, chance: random.Random) -> bytes:
    at, to = sorted(chance.randrange(len(body) + 1) for _ in range(2))
    piece = body[at : min(to, at + 400)]
    return (
        body[:at],
        body[:at] + body[at + len(piece) :],
        body[:at] + piece * chance.randint(2, 50) + body[at:],
        body[:at] + bytes(chance.randrange(256) for _ in range(chance.randint(1, 8))) + body[at + 1 :],
    )[chance.randrange(4)]


def _grafted(body: bytes, chance: random.Random) -> bytes:
    """An XML tree with one element emptied, renamed, refilled, removed, doubled or buried."""
    from lxml import etree

    root = etree.fromstring(body)
    spots = [e for e in root.iter() if isinstance(e.tag, str) and e is not root] or [root]
    spot = chance.choice(spots)
    odd = [v for v in ODD_VALUES if isinstance(v, str) and v.isprintable()]
    kind = chance.randrange(6)
    parent = spot.getparent()
    if kind == 0:
        spot.text = None
    elif kind == 1:
        spot.tag = chance.choice(["{http://www.w3.org/2005/Atom}title", "{urn:x}y", "id", "{http://www.w3.org/2005/Atom}entry"])
    elif kind == 2:
        spot.text = chance.choice(odd)
    elif kind == 3 and parent is not None:
        parent.remove(spot)
    elif kind == 4 and parent is not None:
        parent.append(etree.fromstring(etree.tostring(spot)))
    else:
        for _ in range(chance.randint(1, 40)):
            spot = etree.SubElement(spot, "{urn:deep}er")
    return bytes(etree.tostring(root))


def _bent(value: Any, chance: random.Random, depth: int = 0) -> Any:
    """The tree with one value, key or list changed somewhere."""
    if depth < 8 and isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        bent = dict(value)
        if chance.random() < 0.15:
            bent[chance.choice(["", "Title", key + "s", "id"])] = bent.pop(key)
        else:
            bent[key] = _bent(value[key], chance, depth + 1)
        return bent
    if depth < 8 and isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return [*value[:at], _bent(value[at], chance, depth + 1), *value[at + 1 :], *(value[:1] * chance.randrange(3))]
    if chance.random() < 0.02:
        return json.loads("[" * 300 + "]" * 300)
    return chance.choice(ODD_VALUES)


def examine(target: Target, body: bytes) -> str:
    """ "papers" or "refused"; anything else (another exception, an unusable paper) is an AssertionError or escapes as it is."""
    try:
        page = target.parse(Answer(200, "https://service.example/", {}, body))
    except (BadBody, Declined) as exc:
        assert len(str(exc)) < 400, "a refusal must stay readable"
        return "refused"
    for paper in page.papers:
        seal.canonical(paper)  # storable: no lone surrogate, no NaN
        assert paper.title.strip() and paper.paper_id.isprintable() and "\n" not in paper.title, paper
        assert paper.year is None or 1000 <= paper.year <= 2999
        assert all(isinstance(a, str) and a for a in paper.authors)
        assert all(u.startswith(("http://", "https://")) for u in (*paper.full_text_urls, *([paper.url] if paper.url else [])))
        assert same_work(paper, paper)
    merge([(target.name, p) for p in page.papers])
    return "papers" if page.papers else "empty"
