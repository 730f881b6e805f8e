"""Which statement of a source a claim is held against: sides, asides, parts set side by side, attributes, table rows. Invented systems; one slip per case."""

from __future__ import annotations

import pytest
from benchmarks.mutations.run import document_of

from sovereign.kernel.verify import make_claim, verify_claim
from sovereign.records import Verdict

S, C, U, Q = Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.UNRESOLVED, Verdict.QUALIFIED
TABLE = """Scores of PumaMoE by the number of real experts.

| Real experts | language | image |
|---|---|---|
| 8.0 | 72.3 | 67.2 |
| 7.2 | 71.6 | 67.4 |"""
RATES = "The chip holds 256 sequences at 4K context (17.6 tokens per watt) but only 16 at 64K context (1.5 tokens per watt)."
# (source, claim that follows, claim that does not)
PAIRS = {
    "sides_set_side_by_side": (RATES, "The chip delivers 17.6 tokens per watt at 4K context and 1.5 tokens per watt at 64K context.",
        "The chip delivers 1.5 tokens per watt at 4K context and 17.6 tokens per watt at 64K context."),
    "subject_of_a_later_clause": ("Of the accuracy, 49.7 % survives pruning by router, while random pruning drops to single digits.",
        "Pruning by router keeps 49.7 % of the accuracy.", "Random pruning keeps 49.7 % of the accuracy."),
    "fronted_comparison": ("Compared with OtterCache, LynxCache at 4 bits spends 16 % fewer bits.",
        "LynxCache at 4 bits spends 16 % fewer bits than OtterCache.", "OtterCache spends 16 % fewer bits than LynxCache at 4 bits."),
    "aside": ("Unlike OtterMoE, BeaverMoE reduces memory by 40 %.", "BeaverMoE reduces memory by 40 %.", "OtterMoE reduces memory by 40 %."),
    "second_comparison": ("Latency is 2.3 times lower than in FP16, and serving with StoatQ has 1.4 times the throughput of FP8.",
        "Serving with StoatQ has 1.4 times the throughput of FP8.", "Serving with FP8 has 1.4 times the throughput of StoatQ."),
    "which_clause": ("HareQ splits a tensor into a sparse part, which holds the outliers, and a dense remainder.",
        "The sparse part holds the outliers.", "The dense remainder holds the outliers."),
    "change_between_rows": (TABLE, "With 7.2 instead of 8.0 real experts, the language score drops from 72.3 to 71.6.",
        "With 7.2 instead of 8.0 real experts, the language score rises from 71.6 to 72.3."),
    "value_before_a_change": ("The latency of the original PumaMoE is 114.3 ms; after merging it is 106.2 ms, and after compression it rises to 189.0 ms.",
        "Compression raises the latency of PumaMoE from 114.3 ms to 189.0 ms.", "Merging raises the latency of PumaMoE from 114.3 ms to 189.0 ms."),
    "little_word_of_direction": ("Perplexity with 4-bit caches changes by +3.0 % for PumaMoE.",
        "With 4-bit caches the perplexity of PumaMoE goes up by 3.0 %.", "With 4-bit caches the perplexity of PumaMoE goes down by 3.0 %."),
    "ratio_as_percentage": ("If the model does not fit, LynxMoE has up to 1.95 times the decode throughput of static offloading.",
        "LynxMoE decodes up to 95 % faster than static offloading if the model does not fit.",
        "LynxMoE decodes up to 95 % slower than static offloading if the model does not fit."),
    "per_what": ("At batch size 4 there are 6.2 misses per layer and step.", "At batch size 4 there are 6.2 misses per layer and step.",
        "There are 6.2 misses per step at batch size 4."),
    "order_of_steps": ("LynxMoE merges experts before it quantizes them.", "LynxMoE merges experts before it quantizes them.",
        "LynxMoE quantizes experts before it merges them."),
}  # fmt: skip


def verdict(claim: str, source: str) -> Verdict:
    return verify_claim(make_claim(claim), [("p", document_of(source))]).verdict


@pytest.mark.parametrize("name", PAIRS)
def test_a_claim_is_held_against_the_statement_that_it_repeats(name: str) -> None:
    source, right, wrong = PAIRS[name]
    assert verdict(right, source) is S
    assert verdict(wrong, source) in (C, U)


@pytest.mark.parametrize(
    ("source", "claim"),
    [
        ("LynxMoE runs at 2.5 times the baseline speed on an RTX 3090, but at 0.45 times on an A100.",
            "On an A100 LynxMoE runs at less than half of the baseline speed."),
        ("LynxMoE brings PumaLM to 52.6 % (OtterMoE: 26.3 %).", "PumaLM scores twice as high under LynxMoE as under OtterMoE."),
        ("LynxMoE needs 80 % fewer routing parameters than a linear router.", "LynxMoE needs only a fifth of the routing parameters of a linear router."),
        ("Links differ widely: 900 GB/s over FastLink, 50 GB/s over WideBand.", "FastLink has 18 times the bandwidth of WideBand."),
    ],
)  # fmt: skip
def test_what_has_to_be_worked_out_is_not_accused(source: str, claim: str) -> None:
    assert verdict(claim, source) is not C


def test_a_denial_of_a_whole_statement_is_judged_by_that_statement() -> None:
    source = "LynxMoE reduces memory by 40 %."
    assert verdict("It is false that LynxMoE reduces memory by 40 %.", source) is C
    assert verdict("It is not the case that LynxMoE reduces memory by 30 %.", source) is U  # true, but by no sentence of the source


def test_of_two_sentences_each_must_be_said() -> None:
    source = "LynxMoE reduces memory by 40 %. LynxMoE runs on one GPU."
    assert verdict("LynxMoE reduces memory by 40 %. LynxMoE runs on one GPU.", source) is S
    assert verdict("LynxMoE reduces memory by 40 %. It also doubles the context length.", source) is not S


def test_a_maximum_is_not_an_average_wherever_the_source_gives_it() -> None:
    source = "# OtterFlow\n\nWith a small cache the large model gains up to 9.99 times. This largest value is the origin of the statement up to 10 times."
    assert verdict("On average, OtterFlow has ten times the throughput of its baselines.", source) is Q
    assert verdict("On average, LynxFlow has ten times the throughput of its baselines.", source) is not Q


def test_unchanged_is_denied_by_what_changes_the_same_thing() -> None:
    source = "PumaMoE merges experts that the router treats alike. Merging changes the outputs of the model. Pruning changes the latency of the model."
    assert verdict("Unlike pruning, PumaMoE leaves the outputs of the model unchanged.", source) is C
    assert verdict("PumaMoE leaves the latency of the model unchanged.", source) is not C  # it is pruning that changes it
