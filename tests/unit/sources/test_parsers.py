"""Foreign formats, field by field. Each case names a shape seen in recordings or in the services' documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from faultserver import LITERATURE, arxiv_feed

from sovereign.records import Query
from sovereign.sources import _fields as field
from sovereign.sources import arxiv, crossref, openalex, semantic_scholar
from sovereign.sources._http import Answer, BadBody, Declined


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, "https://service.example/", {}, body if isinstance(body, bytes) else json.dumps(body).encode())


# --- arXiv ---


@pytest.mark.parametrize(
    ("text", "exact", "expected"),
    [
        ("expert caching", False, "all:expert AND all:caching"),
        ("the routing of experts in MoE inference", False, "all:routing OR all:experts OR all:MoE OR all:inference"),
        ("mixture-of-experts routing", False, 'all:"mixture of experts" AND all:routing'),
        ('"expert cache" hit rate', False, 'all:"expert cache" OR all:hit OR all:rate'),
        ("ExpertFlow: Optimized Expert Activation", True, "ti:ExpertFlow AND ti:Optimized AND ti:Expert AND ti:Activation"),
        ("what is the", False, 'all:"what is the"'),
        ("a OR b) AND (c:d", False, "all:b AND all:c d"),
    ],
)
def test_arxiv_queries_are_in_its_syntax_and_nobody_elses(text: str, exact: bool, expected: str) -> None:
    made = arxiv.search_expression(Query("test", text, exact=exact))
    assert made == expected.replace("all:c d", 'all:"c d"')


def entry(extra: str = "", title: str = "A title", ident: str = "http://arxiv.org/abs/2410.17954v2") -> bytes:
    feed = arxiv_feed([], 1).decode()
    inner = f"<entry><id>{ident}</id><title>{title}</title>{extra}</entry>"
    return feed.replace("</feed>", inner + "</feed>").encode()


def test_a_feed_without_a_total_has_an_unknown_total() -> None:
    assert arxiv.parse_feed(answer(arxiv_feed(list(LITERATURE), None))).total is None
    with pytest.raises(BadBody, match="neither entries nor a total"):
        arxiv.parse_feed(answer(arxiv_feed([], None)))


def test_an_entry_with_an_id_and_a_title_is_enough() -> None:
    (paper,) = arxiv.parse_feed(answer(entry())).papers
    assert (paper.arxiv_id, paper.version, paper.year, paper.abstract, paper.authors, paper.doi) == ("2410.17954", 2, None, None, (), None)


@pytest.mark.parametrize(
    ("extra", "flags"),
    [
        ("<arxiv:comment>This paper has been withdrawn by the author due to an error</arxiv:comment>", ("withdrawn",)),
        ("<summary>This paper has been withdrawn.</summary>", ("withdrawn",)),
        ("<arxiv:comment>superseded by arXiv:2501.00001</arxiv:comment>", ("superseded",)),
        ("<summary>We withdraw energy from experts; heat withdrawn from the chip is measured.</summary>", ()),
        ("<arxiv:comment>12 pages</arxiv:comment>", ()),
    ],
)
def test_withdrawal_is_read_where_arxiv_states_it(extra: str, flags: tuple[str, ...]) -> None:
    (paper,) = arxiv.parse_feed(answer(entry(extra))).papers
    assert paper.flags == flags


def test_an_error_feed_is_a_refusal_and_no_paper() -> None:
    error = entry("<summary>incorrect id format for abc</summary>", "Error", "https://arxiv.org/api/errors#incorrect_id_format_for_abc")
    for status in (200, 400):
        with pytest.raises(Declined, match="incorrect id format"):
            arxiv.parse_feed(answer(error, status))


BOMB = b"""<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><feed xmlns="http://www.w3.org/2005/Atom"><title>&c;</title></feed>"""
EXTERNAL = b'<!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/passwd">]><feed xmlns="http://www.w3.org/2005/Atom"><title>&x;</title></feed>'


@pytest.mark.parametrize(
    "body",
    [
        BOMB, EXTERNAL, BOMB.decode().encode("utf-16"), b"", b"<feed", b"<html><body>down</body></html>", b"{}", b"\x00" * 100,
        arxiv_feed(list(LITERATURE), 7)[:-30], b"<feed/>", b"<a>" * 100_000,
    ],
)  # fmt: skip
def test_hostile_and_broken_feeds_are_refused(body: bytes) -> None:
    with pytest.raises(BadBody):
        arxiv.parse_feed(answer(body))


# --- JSON services ---


@pytest.mark.parametrize(
    "parse",
    [semantic_scholar.parse_search, semantic_scholar.parse_match, openalex.parse_works, crossref.parse_works, openalex.parse_work_answer,
     crossref.parse_work_answer, semantic_scholar.parse_one, semantic_scholar.parse_batch],
)  # fmt: skip
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[1]",
        b'"text"',
        b"{",
        b"{}",
        b"<html></html>",
        b"[" * 100_000,
        b'{"data": {}, "results": 1, "message": []}',
        b"\xff\xfe",
    ],
)
def test_json_in_another_shape_is_refused_not_empty(parse: Any, body: bytes) -> None:
    with pytest.raises(BadBody):
        parse(answer(body))


def test_semantic_scholar_says_nothing_found_without_data() -> None:
    assert semantic_scholar.parse_search(answer({"total": 0, "offset": 0})).papers == ()
    assert semantic_scholar.parse_match(answer({"data": []})).papers == ()
    assert semantic_scholar.parse_match(answer({"error": "Title match not found"}, 404)).papers == ()
    with pytest.raises(BadBody):
        semantic_scholar.parse_match(answer({"message": "no route"}, 404))
    with pytest.raises(BadBody):
        semantic_scholar.parse_search(answer({"offset": 0}))


def test_semantic_scholar_papers_take_their_best_identifier() -> None:
    base = {"paperId": "ab12", "title": "T", "authors": [{"name": "A B"}, {"authorId": "1"}, None]}
    paper = semantic_scholar.parse_paper(base | {"externalIds": {"ArXiv": "2410.17954", "DOI": "10.1/X"}})
    assert paper is not None and paper.paper_id == "arxiv:2410.17954"
    by_doi = semantic_scholar.parse_paper(base | {"externalIds": {"DOI": "10.1145/X.1"}})
    own = semantic_scholar.parse_paper(base | {"externalIds": None})
    assert by_doi is not None and by_doi.paper_id == "doi:10.1145/x.1" and by_doi.authors == ("A B",)
    assert own is not None and own.paper_id == "s2:ab12"
    assert semantic_scholar.parse_paper({"paperId": "ab12", "title": None}) is None


@pytest.mark.parametrize(
    ("index", "text"),
    [
        ({"We": [0], "measure": [1, 3], "and": [2]}, "We measure and measure"),
        ({"late": [5], "early": [1]}, "early late"),
        ({}, None),
        (None, None),
        ({"x": [-1]}, None),
        ({"x": ["0"]}, None),
        ({"x": [True]}, None),
        ({"x": [10**9]}, None),
        ("not an index", None),
    ],
)
def test_openalex_abstracts_are_put_back_in_order(index: Any, text: str | None) -> None:
    assert openalex.abstract_text(index) == text


def test_openalex_works_find_their_arxiv_id_in_doi_or_places() -> None:
    base = {"id": "https://openalex.org/W123", "title": "Sparse <i>things</i>", "is_retracted": True}
    by_doi = openalex.parse_work(base | {"doi": "https://doi.org/10.48550/arxiv.2410.17954"})
    by_place = openalex.parse_work(
        base | {"doi": "https://doi.org/10.1145/1.2", "locations": [None, {"landing_page_url": "http://arxiv.org/abs/2410.17954v2"}]}
    )
    neither = openalex.parse_work(base)
    assert (
        by_doi is not None and by_doi.paper_id == "arxiv:2410.17954" and by_doi.title == "Sparse things" and by_doi.flags == ("retracted",)
    )
    assert by_place is not None and by_place.arxiv_id == "2410.17954" and by_place.doi == "10.1145/1.2"
    assert neither is not None and neither.paper_id == "openalex:W123" and neither.abstract is None and neither.year is None


def test_crossref_notices_are_no_sources_and_dates_keep_their_precision() -> None:
    notice = {"DOI": "10.5/n", "title": ["Retraction notice to: X"], "update-to": [{"type": "retraction", "DOI": "10.5/x"}]}
    work = {
        "DOI": "10.5555/X",
        "title": ["X"],
        "subtitle": ["a study"],
        "issued": {"date-parts": [[2020, 5]]},
        "author": [{"name": "The Team"}],
    }
    body = {"status": "ok", "message-type": "work-list", "message": {"total-results": 2, "items": [notice, work]}}
    (paper,) = crossref.parse_works(answer(body)).papers
    assert (paper.title, paper.year, paper.published, paper.authors) == ("X: a study", 2020, None, ("The Team",))
    full = crossref.parse_work(work | {"published": {"date-parts": [[2021, 2, 3]]}})
    nothing = crossref.parse_work(work | {"issued": {"date-parts": [[None]]}})
    assert full is not None and full.published == "2021-02-03" and nothing is not None and nothing.year is None


def test_fields_are_what_they_are_or_none() -> None:
    assert (field.whole(True), field.whole("12"), field.whole(1.5), field.whole("x"), field.whole(None)) == (None, 12, None, None, None)
    assert (field.text("  a \n b "), field.text(""), field.text(3), field.text("x" * 300_000)) == ("a b", None, None, None)
    assert (field.date("2024-02-30T00:00:00Z"), field.date("2024-13-01"), field.date("24-01-01")) == (None, None, None)
    assert field.date("2024-02-29T23:59:59Z") == "2024-02-29"
    assert field.link("javascript:alert(1)") is None and field.link("https://a/b c") is None and field.link("https://a/b") == "https://a/b"
    assert field.unmarked("<jats:p>We &lt;b&gt; <i>do</i></jats:p><jats:p>more</jats:p>") == "We <b> do more"


def test_identifiers_go_into_addresses_without_steering_them() -> None:
    assert openalex.entity("doi:10.1/a#b?c d") == "doi:10.1/a%23b%3Fc%20d" and openalex.entity("openalex:") is None
    assert openalex.entity("arxiv:2410.17954") == "doi:10.48550/arXiv.2410.17954" and openalex.entity("file:abc") is None
    assert semantic_scholar.in_path("doi:10.1/a#b?c") == "DOI:10.1/a%23b%3Fc" and semantic_scholar.graph_id("s2:ab") == "ab"
