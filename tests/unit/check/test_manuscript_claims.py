"""Sentences, citation marks and verdicts of a manuscript: which work a mark means, what is a claim, and what is never accused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sovereign.checking.files import printed
from sovereign.kernel.manuscript import Outline, Source, Statement, judge, matching, outline
from sovereign.readers import read_bytes
from sovereign.records import Basis, Document, Paper, PaperKind, Reference, State, Verdict

HE = Reference(
    "he2024",
    "X. He. T. 2024.",
    title="Optimized expert activation for inference of models",
    authors=("Xin He",),
    year=2024,
    arxiv_id="2410.17954",
)
LI = Reference("li2024", "P. Li. 2024.", title="Merge then compress the experts of a model", authors=("Pingzhi Li",), year=2024)
LI_TOO = Reference("li2024b", "W. Li. 2024.", title="Another work of the same year by another", authors=("Wei Li",), year=2024)
BO = Reference("bo2026", "Z. Bo. 2026.", title="Soft modality guided expert specialization", authors=("Zi-Hao Bo",), year=2026)
LATEX = "\\documentclass{article}\\begin{document}"
ALL = [HE, LI, LI_TOO, BO]


def read(name: str, text: str, references: list[Reference] | None = None) -> tuple[Document, Outline]:
    document = read_bytes(text.encode(), filename=name)
    return document, outline(document, [*(ALL if references is None else references), *printed(document)])


def pairs(name: str, text: str, references: list[Reference] | None = None) -> list[tuple[tuple[str, ...], str]]:
    return [(s.keys, s.text) for s in read(name, text, references)[1].statements]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.md", "# T\n\nMemory falls by 93 % [@he2024; @bo2026, p. 3].", [(("he2024", "bo2026"), "Memory falls by 93 %.")]),
        ("a.md", "# T\n\nIt rose to 5 ms.[@he2024] The other one fell by 4 % [@bo2026].",
         [(("he2024",), "It rose to 5 ms."), (("bo2026",), "The other one fell by 4 %.")]),
        ("a.md", "# T\n\nMemory falls by 93 % \\cite{he2024,li2024}.", [(("he2024", "li2024"), "Memory falls by 93 %.")]),
        ("a.txt", "A title\n\nMemory falls by 93 % (He et al., 2024). Bo et al. (2026) find 10.5 % lower TPOT.",
         [(("he2024",), "Memory falls by 93 %."), (("bo2026",), "Bo et al. find 10.5 % lower TPOT.")]),
        ("a.txt", "A title\n\nMemory falls by 93 % [e.g. He et al., 2024, Bo, 2026]. It takes 5 ms (as of May 2024, see Table 3).",
         [(("he2024", "bo2026"), "Memory falls by 93 %."), ((), "It takes 5 ms (as of May 2024, see Table 3).")]),
        ("a.tex", LATEX + "Text rises by 4\\,\\%~\\cite{he2024}, but memory falls by 5 GB \\citep[p.~2]{bo2026}.\\end{document}",
         [(("he2024",), "Text rises by 4 %"), (("bo2026",), "memory falls by 5 GB.")]),
        ("a.tex", LATEX + "As shown by \\cite{bo2026}, it takes 5 ms.\\end{document}", [(("bo2026",), "it takes 5 ms.")]),
    ],
)  # fmt: skip
def test_marks_of_every_form_reach_their_keys_and_leave_the_sentence(
    name: str, text: str, expected: list[tuple[tuple[str, ...], str]]
) -> None:
    """A mark that stays in the text would be read as words of the claim; one that is missed makes a cited claim uncited."""
    assert pairs(name, text) == expected


def test_numbers_in_brackets_are_citations_only_where_the_list_has_them() -> None:
    """[0, 1] is an interval. In Markdown the reader drops the numbers of a list, so its order counts."""
    text = "# T\n\nMemory falls by 93 % [1]. Both fall by 10 % [1, 2]. Scores in [0, 1] have 5.2 points.\n\n## References\n\n"
    items = "1. X. He. Optimized expert activation. 2024.\n2. Z. Bo. Soft modality guided experts. 2026.\n"
    found = pairs("m.md", text + items, [])
    assert [k for k, _ in found] == [("1",), ("1", "2"), ()]
    assert "[0, 1]" in found[2][1]


def test_html_marks_follow_their_links() -> None:
    page = (
        "<html><body><h1>T</h1><p>Latency falls by 10 % [<a href='#r1'>1</a>, <a href='#r2'>2</a>]. It rises by 4 ms<sup><a href='#r2'>2</a></sup>.</p>"
        "<h2>References</h2><ol><li id='r1'>X. He. Optimized things. 2024.</li><li id='r2'>Z. Bo. Soft things. 2026.</li></ol></body></html>"
    )
    assert pairs("m.html", page, []) == [(("r1", "r2"), "Latency falls by 10 %."), (("r2",), "It rises by 4 ms.")]


def test_an_author_and_year_that_fit_two_entries_are_not_resolved() -> None:
    """Choosing one would invent a source."""
    _, found = read("a.txt", "A title\n\nThe latency rises by 3 ms (Li et al., 2024). It is 4 % (Unknown et al., 2021).")
    assert [(s.keys, s.unmatched) for s in found.statements] == [((), ("Li et al., 2024",)), ((), ("Unknown et al., 2021",))]


def test_own_figures_questions_and_structure_are_no_claims() -> None:
    """ "We measured 3.2 s" is nobody else's to support; "Section 2 turns to memory" states nothing."""
    _, found = read(
        "a.md",
        "# T\n\nWe measured 3.2 s in our test. Is it 5 % faster? Section 2 turns to memory, and Section 3 to speed. Three lessons stay.",
    )
    assert found.statements == () and found.own == 1


def test_offsets_cover_the_sentence_with_its_marks() -> None:
    document, found = read("a.md", "# T\n\nFirst words. Memory falls by 93 % [@he2024]. Last words.")
    (only,) = found.statements
    assert document.text[only.start : only.end] == "Memory falls by 93 % [@he2024]."


# --- sources ---


def source(text: str, name: str, paper: Paper | None = None, basis: Basis = Basis.FULL_TEXT) -> Source:
    document = replace(read_bytes(text.encode(), filename=name), basis=basis)
    stem = name.rsplit(".", 1)[0]
    return Source(paper or Paper(f"file:{stem}", stem), document, name, stem)


def test_a_key_finds_its_source_by_name_identifier_or_title() -> None:
    named = source("Text of it.", "he2024.txt")
    by_id = source("Text of it.", "x.txt", Paper("arxiv:2410.17954", "Whatever", arxiv_id="2410.17954"))
    by_title = source("Text of it.", "y.txt", Paper("file:y", "Optimized Expert Activation for Inference of Models", authors=("X. He",)))
    note = source("Text of it.", "n.txt", Paper("note:2410.17954", "A note", kind=PaperKind.NOTE, about="arxiv:2410.17954"))
    other = source("Text of it.", "z.txt", Paper("file:z", "Optimized Expert Activation for Inference of Models", authors=("A. Nother",)))
    assert matching("he2024", HE, [named, by_id, by_title, note, other]) == [named, by_id, by_title, note]
    assert matching("he2024", None, [named, by_id]) == [named]


def test_a_file_named_like_the_key_that_is_another_paper_stays_out() -> None:
    wrong = source("Text of it.", "he2024.txt", Paper("arxiv:2510.26730", "Another", arxiv_id="2510.26730"))
    assert matching("he2024", HE, [wrong]) == []


# --- verdicts ---

SAYS = "SMoES is tested on MMMU. On MMMU with batch size 1, SMoES lowers TPOT by 10.5 %."
SAYS_NOT = "SMoES is tested on MMMU. On MMMU with batch size 1, SMoES lowers TPOT by 3.1 %."
CLAIM = Statement("On MMMU with batch size 1, SMoES lowers TPOT by 10.5 %.", 0, 10, "", ("a", "b"))


def test_one_of_several_works_is_enough_and_a_contradiction_among_them_goes_to_a_person() -> None:
    yes, no, silent = source(SAYS, "a.txt"), source(SAYS_NOT, "b.txt"), source("Cats sleep for most of the day.", "c.txt")
    supported = judge(CLAIM, [("a", [yes]), ("b", [silent])], [])
    assert supported.ruling is not None and supported.ruling.verdict is Verdict.SUPPORTED
    torn = judge(CLAIM, [("a", [yes]), ("b", [no])], [])
    assert torn.ruling is not None and torn.ruling.verdict is Verdict.UNRESOLVED and "disagree" in torn.reason


def test_a_source_that_was_not_given_is_not_run_and_never_not_found() -> None:
    nothing = judge(CLAIM, [("a", []), ("b", [])], [source(SAYS, "x.txt")])
    assert nothing.ruling is None and nothing.state is State.NOT_RUN and "--against" in nothing.mend and nothing.missing == ("a", "b")
    half = judge(CLAIM, [("a", [source("Cats sleep for most of the day.", "a.txt")]), ("b", [])], [])
    assert half.ruling is None and half.state is State.NOT_RUN and half.missing == ("b",)
    enough = judge(CLAIM, [("a", [source(SAYS, "a.txt")]), ("b", [])], [])
    assert enough.ruling is not None and enough.ruling.verdict is Verdict.SUPPORTED


def test_a_contradiction_names_both_sides_and_the_mend() -> None:
    wrong = judge(replace(CLAIM, keys=("b",)), [("b", [source(SAYS_NOT, "b.txt")])], [])
    assert wrong.ruling is not None and wrong.ruling.verdict is Verdict.CONTRADICTED
    assert "10.5 %" in wrong.reason and "3.1 %" in wrong.reason and "3.1 %" in wrong.mend and wrong.slot in ("value", "number")


def test_an_uncited_sentence_is_accused_only_about_a_system_that_it_names() -> None:
    against = [source(SAYS_NOT, "b.txt")]
    named = judge(replace(CLAIM, keys=()), [], against)
    assert named.ruling is not None and named.ruling.verdict is Verdict.CONTRADICTED
    vague = judge(Statement("With batch size 1 it lowers TPOT by 10.5 %.", 0, 5, ""), [], against)
    assert vague.ruling is not None and vague.ruling.verdict is not Verdict.CONTRADICTED


def test_an_abstract_alone_counts_against_nothing() -> None:
    silent = judge(
        replace(CLAIM, keys=("a",)), [("a", [source("Cats sleep for most of the day.", "a.txt", basis=Basis.ABSTRACT_ONLY)])], []
    )
    assert silent.ruling is not None and silent.ruling.verdict is Verdict.NOT_FOUND and "full text" in silent.mend


def test_crediting_a_source_is_not_a_claim_about_it() -> None:
    _, found = read("a.md", "# T\n\nWe use the router of OLMoE [@bo2026].")
    done = judge(found.statements[0], [("bo2026", [source(SAYS, "bo2026.txt")])], [])
    assert done.ruling is not None and done.ruling.verdict is Verdict.NOT_CHECKABLE and done.state is State.PASSED
