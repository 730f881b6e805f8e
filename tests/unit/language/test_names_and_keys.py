"""Names, aliases and homonyms, slots and comparison keys."""

import pytest

from sovereign.kernel.language import alias_key, comparison_key, names, parse_slots, tokens
from sovereign.records import Direction, TableRow


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SMoES differs from SMoE and MC-SMoE.", ("SMoES", "SMoE", "MC-SMoE")),
        ("We run OLMoE-1B-7B-0125-Instruct on VQAv2.", ("OLMoE-1B-7B-0125-Instruct", "VQAv2")),
        ("An OLMoE-based model beats Mixtral 8x7B.", ("OLMoE", "Mixtral 8x7B")),
        ("It runs on two Jetson Orin boards.", ("Jetson Orin",)),
        ("Nemotron 3 Super is larger.", ("Nemotron 3 Super",)),
        ("The GPU memory of LLMs and TTFT fall.", ()),
        ("We find that routing matters.", ()),
    ],
)
def test_names_are_found_as_written(text: str, expected: tuple[str, ...]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    ("a", "b"), [("VQA-v2", "VQAv2"), ("SMoES", "SMOES"), ("SMoEs", "SMoE"), ("Mixtral-8x7B", "Mixtral 8×7B"), ("H100s", "H100")]
)
def test_aliases_share_a_key(a: str, b: str) -> None:
    assert alias_key(a) == alias_key(b)


@pytest.mark.parametrize(
    ("a", "b"), [("SMoES", "SMoE"), ("SMoE", "MC-SMoE"), ("GPT-4", "GPT-4o"), ("Switch-64", "Switch-128"), ("SMoES", "SMoEs")]
)
def test_homonyms_do_not(a: str, b: str) -> None:
    assert alias_key(a) != alias_key(b)


def test_tokens_are_stable_under_inflection() -> None:
    assert tokens("Routing routed routes") == tokens("routed Routes ROUTING")
    assert tokens("the of and") == []


@pytest.mark.parametrize(
    ("sentence", "direction"),
    [
        ("SMoES reduces TPOT.", Direction.DOWN),
        ("Throughput improves.", Direction.UP),
        ("Latency improves.", Direction.DOWN),
        ("A reduction of latency is seen.", Direction.DOWN),
        ("Accuracy is unchanged.", Direction.SAME),
        ("TPOT is 0.703 s.", Direction.NONE),
    ],
)
def test_direction_is_resolved_against_the_metric(sentence: str, direction: Direction) -> None:
    assert parse_slots(sentence).direction is direction


def test_negation_hedge_and_comparator() -> None:
    assert parse_slots("The separation is not explained by sparsity.").negated
    assert not parse_slots("Routing is not merely a balancing mechanism.").negated
    assert parse_slots("This may reduce latency.").hedge == ("may",)
    assert parse_slots("SonicMoE is faster than ScatterMoE.").comparator == ("ScatterMoE",)


def test_equal_settings_written_differently_give_equal_keys() -> None:
    a = comparison_key(parse_slots("SMoES reduces TPOT by 10.5 % on MMMU at batch size 1."))
    b = comparison_key(parse_slots("On MMMU at batch 1, SMOES reduces TPOT by 15.0 %."))
    assert a is not None
    assert a == b
    assert comparison_key(parse_slots("It rises.")) is None


def test_a_table_row_fills_what_the_sentence_leaves_open() -> None:
    row = TableRow("Results on MMMU.", ("MMMU", "baseline", "SMoES", "change"), ("TPOT at batch 1", "0.786 s", "0.703 s", "−10.5 %"), 0)
    slots = parse_slots("−10.5 %", table=row)
    assert slots.metric == ("TPOT",)
    assert any("batch 1" in c for c in slots.condition)
