"""Sentences: offsets that point back, abbreviations that do not end a sentence, and linear time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.kernel.language import sentences


def split(text: str) -> list[str]:
    return [text[a:b] for a, b in sentences(text)]


@pytest.mark.parametrize(
    "text",
    [
        "He et al. report 3.5 % in Fig. 3, i.e. less than e.g. Smith et al. (2020) in Sec. 4.2.",
        "The ratio is 1.5 vs. 2.5 as in Eq. 3 and Tab. 2.",
        "Accuracy falls by approx. 3 points, cf. Table 2.",
        "J. R. Smith measured it.",
        "The value 0.5 holds for OLMoE-1B-7B v1.2 too.",
    ],
)
def test_an_abbreviation_or_a_decimal_does_not_end_a_sentence(text: str) -> None:
    assert split(text) == [text]


def test_sentences_headings_and_line_ends_are_told_apart() -> None:
    text = "# Results\nIt rises by 3 %. It falls\nlater on.\n\n| a | b |\n| 1 | 2 |\n"
    assert split(text) == ["# Results", "It rises by 3 %.", "It falls\nlater on.", "| a | b |", "| 1 | 2 |"]


def test_a_number_with_a_magnitude_letter_ends_a_sentence() -> None:
    assert len(split("It has 381 M. GPU memory is 3 GB.")) == 2


@given(st.text(alphabet="aB. \n#|!?3,()\"'“”e.g", max_size=200))
def test_offsets_are_ordered_disjoint_and_trimmed(text: str) -> None:
    last = 0
    for start, end in sentences(text):
        assert last <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        last = end
    assert "".join("".join(split(text)).split()) == "".join(text.split())


@pytest.mark.parametrize("piece", ["a. ", ". . ", "e.g. ", "((((", "# x\n", "1.1.1 ", "\n\n", "A. B. "])
def test_a_megabyte_takes_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    started = time.process_time()
    sentences(text)
    assert time.process_time() - started < 12.0


def test_a_unit_behind_a_figure_ends_its_sentence() -> None:
    assert split("After compression it rises to 189.0 ms. Merging changes the outputs.") == [
        "After compression it rises to 189.0 ms.", "Merging changes the outputs.",
    ]  # fmt: skip
    assert split("It was asked by Ms. Merging.") == ["It was asked by Ms. Merging."]
