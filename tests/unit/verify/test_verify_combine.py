"""The written rule: the guard decides, others may only settle what it leaves open, order never matters, support never lowers."""

from __future__ import annotations

import hashlib
import itertools
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.kernel.verify import make_claim, verify_claim
from sovereign.kernel.verify.combine import NEVER_DECIDES, one_document
from sovereign.records import Basis, Claim, Document, Judgement, Passage, Span, Verdict

SPAN = Span("0" * 64, 0, 4, "text")
RANK = [Verdict.NOT_CHECKABLE, Verdict.NOT_FOUND, Verdict.UNRESOLVED, Verdict.CONTRADICTED, Verdict.QUALIFIED, Verdict.SUPPORTED]


def said(verifier: str, verdict: Verdict, slot: str | None = None, *, span: bool = True) -> Judgement:
    return Judgement(verifier, "1", verdict, f"{verifier} says {verdict.value}", None, slot, (SPAN,) if span else ())


# The table of docs/verification.md: guard, its slot, a further verifier with a span -> verdict.
TABLE = [
    (Verdict.SUPPORTED, None, None, Verdict.SUPPORTED),
    (Verdict.SUPPORTED, None, Verdict.SUPPORTED, Verdict.SUPPORTED),
    (Verdict.SUPPORTED, None, Verdict.CONTRADICTED, Verdict.UNRESOLVED),
    (Verdict.QUALIFIED, "hedge", Verdict.SUPPORTED, Verdict.QUALIFIED),
    (Verdict.QUALIFIED, "scope", Verdict.CONTRADICTED, Verdict.QUALIFIED),
    (Verdict.CONTRADICTED, "value", Verdict.SUPPORTED, Verdict.CONTRADICTED),
    (Verdict.CONTRADICTED, "value", None, Verdict.CONTRADICTED),
    (Verdict.UNRESOLVED, "wording", None, Verdict.UNRESOLVED),
    (Verdict.UNRESOLVED, "wording", Verdict.SUPPORTED, Verdict.SUPPORTED),
    (Verdict.UNRESOLVED, "wording", Verdict.CONTRADICTED, Verdict.CONTRADICTED),
    (Verdict.UNRESOLVED, "value", Verdict.SUPPORTED, Verdict.UNRESOLVED),
    (Verdict.UNRESOLVED, "value", Verdict.CONTRADICTED, Verdict.CONTRADICTED),
    (Verdict.UNRESOLVED, "direction", Verdict.SUPPORTED, Verdict.UNRESOLVED),
    (Verdict.NOT_FOUND, None, Verdict.SUPPORTED, Verdict.NOT_FOUND),
    (Verdict.NOT_FOUND, None, Verdict.CONTRADICTED, Verdict.NOT_FOUND),
]


@pytest.mark.parametrize(("guard", "slot", "other", "expected"), TABLE)
def test_the_table(guard: Verdict, slot: str | None, other: Verdict | None, expected: Verdict) -> None:
    judgements = [said("slots", guard, slot)] + ([said("entailment", other)] if other else [])
    assert one_document(judgements).verdict is expected


def test_a_further_verifier_needs_a_span() -> None:
    assert (
        one_document([said("slots", Verdict.UNRESOLVED, "wording"), said("model", Verdict.SUPPORTED, span=False)]).verdict
        is Verdict.UNRESOLVED
    )


@given(st.lists(st.tuples(st.sampled_from(sorted(NEVER_DECIDES)), st.sampled_from(RANK)), max_size=4), st.sampled_from(RANK))
def test_similarity_alone_never_affirms(others: list[tuple[str, Verdict]], guard: Verdict) -> None:
    base = one_document([said("slots", guard)])
    assert one_document([said("slots", guard), *(said(n, v) for n, v in others)]) == base
    assert one_document([said(n, v) for n, v in others]).verdict is Verdict.UNRESOLVED  # without the guard nothing is affirmed


@given(
    st.permutations(
        [
            said("slots", Verdict.UNRESOLVED, "wording"),
            said("entailment", Verdict.SUPPORTED),
            said("model", Verdict.CONTRADICTED),
            said("lexical", Verdict.SUPPORTED),
        ]
    )
)
def test_the_order_of_judgements_does_not_matter(order: list[Judgement]) -> None:
    assert one_document(order).verdict is Verdict.UNRESOLVED  # two further verifiers that disagree settle nothing


class Says:
    """A further verifier with one answer."""

    version = "1"

    def __init__(self, name: str, verdict: Verdict):
        self.name = name
        self.verdict = verdict

    def judge(self, claim: Claim, document: Document) -> Judgement:
        return Judgement(self.name, self.version, self.verdict, "always", 0.9, None, (Span(document.sha256, 0, 1, document.text[:1]),))


def make(text: str, basis: Basis = Basis.FULL_TEXT) -> Document:
    return Document(hashlib.sha256(text.encode()).hexdigest(), text, (Passage(0, len(text), text),), basis, "test/1")


CLAIM = "HeronMoE reduces latency by 22.5 % on GSM8K."
SOURCES = [
    make("HeronMoE reduces latency by 22.5 % on GSM8K."),
    make("HeronMoE reduces latency by 31.0 % on GSM8K."),
    make("HeronMoE may reduce latency by 22.5 % on GSM8K."),
    make("Cats sleep most of the day and like warm places."),
    make("HeronMoE was introduced last year and routes tokens.", Basis.ABSTRACT_ONLY),
    make(""),
]


@given(st.sets(st.integers(0, len(SOURCES) - 1)), st.integers(0, len(SOURCES) - 1))
@settings(max_examples=60, deadline=None)
def test_one_more_source_never_lowers_a_supported_claim(chosen: set[int], extra: int) -> None:
    before = verify_claim(make_claim(CLAIM), [(f"p{i}", SOURCES[i]) for i in sorted(chosen)])
    after = verify_claim(make_claim(CLAIM), [(f"p{i}", SOURCES[i]) for i in sorted(chosen | {extra})])
    assert RANK.index(after.verdict) >= RANK.index(before.verdict)
    assert after.level >= before.level


def test_the_order_of_documents_does_not_matter() -> None:
    pairs = [(f"p{i}", d) for i, d in enumerate(SOURCES)]
    rulings = {repr(verify_claim(make_claim(CLAIM), list(order))) for order in itertools.islice(itertools.permutations(pairs), 0, 720, 60)}
    assert len(rulings) == 1


def test_sources_that_disagree_are_shown() -> None:
    ruling = verify_claim(make_claim(CLAIM), [("p0", SOURCES[0]), ("p1", SOURCES[1])])
    assert ruling.verdict is Verdict.SUPPORTED
    check = next(c for c in ruling.checks if c.name == "sources agree")
    assert "p1" in check.reason
    assert "31.0 %" in check.reason


def test_a_further_verifier_cannot_overrule_a_mismatch() -> None:
    ruling = verify_claim(make_claim(CLAIM), [("p1", SOURCES[1])], extra=[Says("entailment", Verdict.SUPPORTED)])
    assert ruling.verdict is Verdict.CONTRADICTED


def test_every_single_judgement_is_kept() -> None:
    ruling = verify_claim(make_claim(CLAIM), [("p0", SOURCES[0])], extra=[Says("model", Verdict.SUPPORTED)])
    assert {j.verifier for j in ruling.judgements} == {"slots", "lexical", "semantic", "model"}


SUBJECTS = ["HeronMoE", "Ibis-7B", "PloverNet", "QuillCache"]
METRICS = ["latency", "throughput", "perplexity", "memory", "energy"]
SETS = ["GSM8K", "MMMU", "XSum", "ScienceQA"]


@given(
    st.sampled_from(SUBJECTS), st.sampled_from(METRICS), st.sampled_from(SETS), st.integers(10, 990), st.integers(10, 990),
    st.sampled_from(["{s} reduces {m} by {v} % on {d}.", "On {d}, {s} reduces {m} by {v} %.", "With {s}, {m} on {d} falls by {v} %.",
        "{s} has a {m} of {v} % on {d}."]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_another_number_in_a_verbatim_copy_is_never_supported(s: str, m: str, d: str, a: int, b: int, form: str) -> None:
    true = form.format(s=s, m=m, d=d, v=a / 10)
    text = f"{true} The setting is described in the appendix."
    assert verify_claim(make_claim(true), [("p", make(text))]).verdict is Verdict.SUPPORTED
    if a != b:
        assert verify_claim(make_claim(form.format(s=s, m=m, d=d, v=b / 10)), [("p", make(text))]).verdict is not Verdict.SUPPORTED


@given(st.text(alphabet=string.printable + "×±−–≤%“”é漢", max_size=300), st.text(alphabet=string.printable + "×±−–≤%“”é漢", max_size=600))
@settings(max_examples=150, deadline=None)
def test_no_text_is_a_crash(claim: str, text: str) -> None:
    ruling = verify_claim(make_claim(claim), [("p", make(text))])
    assert ruling.reason
    for evidence in ruling.evidence:
        assert evidence.span is not None
        assert text[evidence.span.start : evidence.span.end] == evidence.span.quote
