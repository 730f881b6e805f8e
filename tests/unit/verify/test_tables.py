"""Claims about a whole table: best, second best, worst, one row against another with its margin, the mean of a column."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sovereign.kernel.verify import make_claim, verify_claim
from sovereign.records import Document, Verdict

Make = Callable[..., Document]
HEADER = ("System", "MMLU", "GSM8K", "latency (ms)")
ROWS = [("Marten", "66.9", "48.7", "41"), ("Ermine", "65.5", "53.3", "29"), ("Stoat", "64.2", "51.0", "38")]


@pytest.mark.parametrize(
    ("claim", "true"),
    [
        ("Ermine has the best GSM8K score.", True),
        ("Marten has the best GSM8K score.", False),
        ("Marten has the worst GSM8K score.", True),
        ("Ermine has the lowest latency.", True),
        ("Marten has the lowest latency.", False),
        ("Ermine is second best on MMLU.", True),
        ("Stoat is second best on MMLU.", False),
        ("Marten outperforms Stoat on MMLU.", True),
        ("Stoat outperforms Marten on MMLU.", False),
        ("Ermine is faster than Stoat in latency.", True),
        ("Stoat is faster than Ermine in latency.", False),
        ("On MMLU, Marten leads Stoat by 2.7 points.", True),
        ("On MMLU, Marten leads Stoat by 7.2 points.", False),
        ("On average, the systems reach 51.0 on GSM8K.", True),
        ("On average, the systems reach 55.0 on GSM8K.", False),
    ],
)
def test_relations_of_a_table(table: Make, claim: str, true: bool) -> None:
    ruling = verify_claim(make_claim(claim), [("p", table("Accuracy in percent.", HEADER, ROWS))])
    assert (ruling.verdict is Verdict.SUPPORTED) is true, ruling.reason
    if true:
        assert ruling.evidence[0].span is not None


def test_what_the_table_does_not_name_is_not_settled(table: Make) -> None:
    document = table("Accuracy in percent.", HEADER, ROWS)
    for claim in (
        "Badger outperforms Stoat on MMLU.",
        "Marten outperforms Stoat on MMLU for every prompt template.",
        "Marten is cheaper to train than Stoat.",
    ):
        assert verify_claim(make_claim(claim), [("p", document)]).verdict is not Verdict.SUPPORTED


def test_mixed_columns_settle_nothing(table: Make) -> None:
    """Guards a comparison that holds in one column and fails in the next."""
    document = table("Accuracy in percent.", HEADER[:3], [r[:3] for r in ROWS])
    assert verify_claim(make_claim("Marten outperforms Ermine."), [("p", document)]).verdict is Verdict.UNRESOLVED


PRUNED = [("none", "13.8", "54.1"), ("prune-random", "7.6", "38.2"), ("prune-router", "7.6", "47.9"), ("merge", "7.6", "49.5")]


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("Among the compression methods, prune-router is second best in accuracy.", Verdict.SUPPORTED),
        ("Among the compression methods, prune-random is second best in accuracy.", Verdict.CONTRADICTED),
        ("merge has the best accuracy.", None),  # it depends on whether the row without compression counts
        ("prune-random has the worst accuracy.", Verdict.SUPPORTED),
    ],
)
def test_a_row_that_the_others_are_compared_with_is_no_rival_of_theirs(table: Make, claim: str, verdict: Verdict | None) -> None:
    document = table("Compression methods. Accuracy in percent.", ("Method", "memory", "accuracy"), PRUNED)
    found = verify_claim(make_claim(claim), [("p", document)]).verdict
    assert found is verdict if verdict else found not in (Verdict.SUPPORTED, Verdict.CONTRADICTED)


def test_two_rows_that_share_a_word_are_told_apart_by_the_other(table: Make) -> None:
    document = table("Compression methods. Accuracy in percent.", ("Method", "memory", "accuracy"), PRUNED)

    assert verify_claim(
        make_claim("On accuracy, router-guided pruning beats random pruning by 9.7 points."), [("p", document)]
    ).verdict in (
        Verdict.SUPPORTED,
        Verdict.UNRESOLVED,
    )
    assert (
        verify_claim(make_claim("On accuracy, random pruning beats router-guided pruning by 9.7 points."), [("p", document)]).verdict
        is not Verdict.SUPPORTED
    )
