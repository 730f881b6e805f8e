"""Who is who among papers: identifiers, titles, authors, and merging. Each test names the confusion it guards against."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.errors import BadInput
from sovereign.identity import authors_agree, merge, normalise_title, paper_id_for, parse_arxiv_id, parse_doi, same_work
from sovereign.records import Paper, PaperKind


def paper(title: str = "Expert caching for sparse models", **fields: object) -> Paper:
    values: dict[str, object] = {"authors": ("Ada Lovelace", "Ben Bitdiddle"), "year": 2024} | fields
    fallback = str(values.pop("paper_id", "")) or None
    named = paper_id_for(values.get("arxiv_id"), values.get("doi"), title, values["authors"], values["year"], fallback)  # type: ignore[arg-type]
    return Paper(paper_id=named, title=title, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2410.17954", ("2410.17954", None)),
        ("2410.17954v2", ("2410.17954", 2)),
        (" arXiv:2410.17954v12 [cs.LG] ", ("2410.17954", 12)),
        ("https://arxiv.org/abs/2410.17954v3", ("2410.17954", 3)),
        ("http://www.arxiv.org/pdf/2410.17954v3.pdf", ("2410.17954", 3)),
        ("https://export.arxiv.org/e-print/2410.17954", ("2410.17954", None)),
        ("https://arxiv.org/html/2410.17954v1#S3", ("2410.17954", 1)),
        ("https://ar5iv.labs.arxiv.org/html/2410.17954", ("2410.17954", None)),
        ("10.48550/arXiv.2410.17954", ("2410.17954", None)),
        ("https://doi.org/10.48550/ARXIV.HEP-TH/9901001", ("hep-th/9901001", None)),
        ("math.GT/0309136v1", ("math/0309136", 1)),
        ("http://arxiv.org/abs/quant-ph/0201082v1", ("quant-ph/0201082", 1)),
        ("0704.0001", ("0704.0001", None)),
        ("2410.17954.pdf", ("2410.17954", None)),
        ("as shown before (arXiv:2410.17954, 2024)", ("2410.17954", None)),
        ("arXiv preprint arXiv:2410.17954", ("2410.17954", None)),
        # not arXiv ids
        ("1234.5678", None),  # month 34
        ("0808.05394", None),  # five digits before 2015
        ("1501.0001", None),  # four digits since 2015
        ("0703.0001", None),  # before the scheme began
        ("2410.00000", None),
        ("10.1145/2410.17954", None),  # a number inside somebody's DOI
        ("it took 2410.17954 ms", None),
        ("12410.17954", None),
        ("2410.179541", None),
        ("foo/9901001", None),
        ("", None),
    ],
)
def test_arxiv_ids_are_read_in_every_spelling_and_nowhere_else(text: str, expected: tuple[str, int | None] | None) -> None:
    assert parse_arxiv_id(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1145/3770743.3804292", "10.1145/3770743.3804292"),
        ("https://doi.org/10.1023/A:1007154515475", "10.1023/a:1007154515475"),
        ("doi:10.1016/0370-2693(93)90001-X).", "10.1016/0370-2693(93)90001-x"),
        ("(see 10.1038/nature14539)", "10.1038/nature14539"),
        ("10.1101%2F2024.04.01.587366", "10.1101/2024.04.01.587366"),
        ("https://dl.acm.org/doi/pdf/10.1145/3770743.3804292?download=true", "10.1145/3770743.3804292"),
        ("https://onlinelibrary.wiley.com/doi/10.1002/wrna.1370/full", "10.1002/wrna.1370"),
        ("10.48550/arXiv.2410.17954", "10.48550/arxiv.2410.17954"),
        ("10.1002/(SICI)1097-0258(19980815/30)17:15/16<1661::AID-SIM968>3.0.CO;2-2", "10.1002/(sici)1097-0258(19980815/30)17:15/16"),
        ("version 10.5 of it", None),
        ("10.12/short", None),
        ("", None),
    ],
)
def test_dois_are_read_in_lower_case_without_the_sentence_around_them(text: str, expected: str | None) -> None:
    assert parse_doi(text) == expected


def test_titles_differ_only_in_words() -> None:
    spellings = [
        "Déjà Vu: A <i>Sparse</i> $\\alpha$-Net &amp; More",
        "deja vu  a sparse α-net and more",
        "DÉJÀ VU — A Sparse alpha Net & more",
    ]
    assert {normalise_title(s) for s in spellings} == {"deja vu a sparse alpha net and more"}
    assert normalise_title("{\\'E}tude of Mo{E}") == normalise_title("Étude of MoE")
    assert normalise_title("学习稀疏模型") == "学习稀疏模型", "titles in other scripts must not vanish"
    assert normalise_title("RETRACTED ARTICLE: Expert caching") == normalise_title("Expert caching")
    assert normalise_title("§ — !") == ""


def test_one_name_per_work() -> None:
    assert paper_id_for(arxiv_id="arXiv:2410.17954v3", doi="10.1145/1234567.890") == "arxiv:2410.17954"
    assert paper_id_for(doi="https://doi.org/10.48550/arXiv.2410.17954") == "arxiv:2410.17954"
    assert paper_id_for(doi="10.1145/ABC") == "doi:10.1145/abc"
    assert paper_id_for(title="T", fallback="openalex:W12") == "openalex:W12"
    by_title = paper_id_for(title="Sparse Déjà vu", authors=["Lovelace, Ada"], year=2024)
    assert (
        by_title
        == paper_id_for(title="sparse deja vu!", authors=["Ada Lovelace"], year=2024)
        != paper_id_for(title="Sparse Déjà vu", year=2024)
    )
    with pytest.raises(BadInput):
        paper_id_for(title="—")


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (["Ada Lovelace"], ["A. Lovelace"], True),
        (["Ada Lovelace"], ["Lovelace, Ada"], True),
        (["Wei Zhang"], ["Zhang Wei"], True),
        (["Jürgen Müller"], ["Jurgen Muller"], True),
        (["Jan van der Berg"], ["van der Berg, Jan"], True),
        (["Martin King Jr."], ["Martin King"], True),
        (["Ada Lovelace", "Ben Bitdiddle", "Cy Dee"], ["Ada Lovelace", "et al."], True),
        (["Ying Zhang"], ["Lei Zhang"], False),
        (["Ada Lovelace"], ["Ben Bitdiddle"], False),
        ([], ["Ada Lovelace"], None),
        (["et al."], ["Ada Lovelace"], None),
    ],
)
def test_authors_agree_over_spellings_not_over_surnames_alone(ours: list[str], theirs: list[str], expected: bool | None) -> None:
    assert authors_agree(ours, theirs) is expected and authors_agree(theirs, ours) is expected


def test_same_work_by_identifier_whatever_the_title() -> None:
    assert same_work(paper(arxiv_id="2410.17954"), paper("Another title", doi="10.48550/arXiv.2410.17954", authors=("X Y",)))
    assert same_work(paper(doi="10.1145/ABC"), paper("Another title", doi="10.1145/abc"))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"title": "Expert Caching for Sparse Models."}, True),
        ({"authors": ("A. Lovelace",)}, True),
        ({"year": 2025}, True),  # preprint and proceedings
        ({"year": None}, True),
        ({"authors": ()}, True),  # five words are enough when nothing speaks against it
        ({"authors": ("Mallory Other",)}, False),
        ({"year": 2029}, False),
        ({"title": "Expert caching for dense models"}, False),
        ({"kind": PaperKind.NOTE}, False),
    ],
)
def test_same_work_by_title_needs_author_and_year(change: dict[str, object], same: bool) -> None:
    other = paper(**{"title": "Expert caching for sparse models", **change})  # type: ignore[arg-type]
    assert same_work(paper(), other) is same and same_work(other, paper()) is same


def test_title_collisions_stay_apart() -> None:
    """Two systems were published under the name ExpertFlow; different ids must keep them apart, and so must short titles without authors."""
    first = paper("ExpertFlow", arxiv_id="2410.17954")
    assert not same_work(first, paper("ExpertFlow", arxiv_id="2510.26730"))
    assert not same_work(first, paper("ExpertFlow", authors=(), year=None))
    assert not same_work(paper("Introduction", doi="10.1145/1111111.1"), paper("Introduction", doi="10.1145/2222222.2"))
    assert len(merge([("a", first), ("b", paper("ExpertFlow", arxiv_id="2510.26730"))])) == 2


def test_a_preprint_and_its_publication_are_one_work() -> None:
    preprint = paper(arxiv_id="2410.17954", year=2024)
    published = paper(doi="10.1145/3770743.3804292", year=2026)
    assert same_work(preprint, published)
    (merged, sources), *rest = merge([("openalex", published), ("arxiv", preprint)])
    assert (
        not rest and merged.paper_id == "arxiv:2410.17954" and merged.doi == "10.1145/3770743.3804292" and sources == ("arxiv", "openalex")
    )


def test_merging_keeps_the_best_of_each_field_and_says_whose() -> None:
    arxiv_v1 = paper("Old title of it all", arxiv_id="2410.17954", version=1, abstract="First version.", categories=("cs.LG",))
    arxiv_v3 = paper(
        "Expert caching, new title", arxiv_id="2410.17954", version=3, abstract="Third version.", categories=("cs.LG", "cs.DC")
    )
    s2 = paper(arxiv_id="2410.17954", venue="NeurIPS", abstract="Seen by S2.", full_text_urls=("https://b/x.pdf",))
    openalex = paper(doi="10.48550/arxiv.2410.17954", flags=("retracted",), references=("openalex:W1",), abstract=None)
    ((merged, sources),) = merge([("semantic_scholar", s2), ("openalex", openalex), ("arxiv", arxiv_v1), ("arxiv", arxiv_v3)])
    assert sources == ("arxiv", "openalex", "semantic_scholar")
    assert (merged.title, merged.abstract, merged.version) == ("Expert caching, new title", "Third version.", 3)
    assert merged.venue == "NeurIPS" and merged.flags == ("retracted",) and merged.references == ("openalex:W1",)
    said = dict(merged.provenance)
    assert (
        said["abstract"] == "arxiv" and said["venue"] == "semantic_scholar" and said["flags"] == "openalex" and said["version"] == "arxiv"
    )
    assert {f for f, _ in merged.provenance} >= {"title", "authors", "year", "arxiv_id", "doi", "full_text_urls"}


def test_a_work_without_authors_joins_only_when_one_work_fits() -> None:
    known_2020, known_2026 = paper(doi="10.1145/1.1", year=2020), paper(doi="10.1145/2.2", year=2026)
    bare = paper(authors=(), year=None, paper_id="s2:abc")
    assert len(merge([("a", known_2020), ("b", bare)])) == 1
    assert len(merge([("a", known_2020), ("b", known_2026), ("c", bare)])) == 3


def test_a_chain_of_years_does_not_join_its_ends() -> None:
    """2020 ~ 2021 ~ 2022 by title and author: the ends differ by two years and must not be fused through the middle."""
    chain = [("a", paper(year=y, paper_id=f"s2:{y}")) for y in (2020, 2021, 2022)]
    works = merge(chain)
    assert len(works) == 2
    for work, _ in works:
        assert work.year in (2020, 2021, 2022)


def test_notes_are_never_merged_with_their_paper() -> None:
    note = Paper(
        "note:expertflow", "Expert caching for sparse models", ("Ada Lovelace",), 2024, kind=PaperKind.NOTE, about="arxiv:2410.17954"
    )
    works = merge([("local", note), ("arxiv", paper(arxiv_id="2410.17954")), ("local", note)])
    assert [w.paper_id for w, _ in works] == ["arxiv:2410.17954", "note:expertflow"]


IDS = st.sampled_from([None, "2410.17954", "2510.26730"])
DOIS = st.sampled_from([None, "10.1145/aaa", "10.1145/bbb", "10.48550/arxiv.2410.17954"])
TITLES = st.sampled_from(
    ["Expert caching for sparse models", "Expert Caching for sparse models!", "ExpertFlow", "Token scheduling at the edge"]
)
AUTHORS = st.sampled_from([(), ("Ada Lovelace",), ("A. Lovelace", "Ben Bitdiddle"), ("Mallory Other",)])
YEARS = st.sampled_from([None, 2020, 2021, 2022, 2025])


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, Paper]:
    made = paper(
        draw(TITLES), arxiv_id=draw(IDS), doi=draw(DOIS), authors=draw(AUTHORS), year=draw(YEARS), paper_id=f"s2:{draw(st.integers(0, 9))}"
    )
    abstract = draw(st.sampled_from([None, "One.", "Two."]))
    source = draw(st.sampled_from(["arxiv", "openalex", "semantic_scholar", "local", "elsewhere"]))
    return source, replace(made, abstract=abstract, version=draw(st.sampled_from([None, 1, 2])))


@settings(max_examples=150, deadline=None)
@given(st.lists(entries(), max_size=9), st.randoms(use_true_random=False))
def test_merging_does_not_depend_on_order_and_loses_nobody(found: list[tuple[str, Paper]], shuffler: random.Random) -> None:
    works = merge(found)
    shuffled = found[:]
    shuffler.shuffle(shuffled)
    assert merge(shuffled) == works
    assert {s for s, _ in found} == {s for _, sources in works for s in sources}
    arxiv_ids = [w.arxiv_id for w, _ in works if w.arxiv_id]
    dois = [w.doi for w, _ in works if w.doi]
    assert len(set(arxiv_ids)) == len(arxiv_ids) and len(set(dois)) == len(dois), "one identifier, one work"
    for work, _ in works:
        assert work.abstract is None or any(p.abstract == work.abstract for _, p in found)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_parsers_of_identifiers_take_any_text(text: str) -> None:
    parsed = parse_arxiv_id(text)
    assert parsed is None or parse_arxiv_id(parsed[0]) == (parsed[0], None)
    doi = parse_doi(text)
    assert doi is None or (doi == doi.lower() and doi.startswith("10."))
    assert normalise_title(normalise_title(text)) == normalise_title(text)
