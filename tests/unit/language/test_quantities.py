"""Numbers in every form papers use, and everything that looks like a number and is none."""

import math

import pytest

from sovereign.kernel.language import parse_slots
from sovereign.records import Relation, Value


def only(sentence: str) -> Value:
    values = parse_slots(sentence).values
    assert len(values) == 1, [v.raw for v in values]
    return values[0]


@pytest.mark.parametrize(
    ("sentence", "low", "unit"),
    [
        ("TPOT falls by 10.5 %.", 10.5, "percent"),
        ("TPOT falls by 10.5 per cent.", 10.5, "percent"),
        ("The gain is 3 percentage points.", 3.0, "points"),
        ("It is 2.1× faster.", 2.1, "ratio"),
        ("It is 2.1x faster.", 2.1, "ratio"),
        ("It is reduced by a factor of 2.12.", 2.12, "ratio"),
        ("It is twice as fast.", 2.0, "ratio"),
        ("Latency is 120 ms.", 0.12, "second"),
        ("Latency is 1,024 ms.", 1.024, "second"),
        ("Memory is 3 895 MB.", 3.895e9, "byte"),
        ("The cache takes 2 GiB.", 2 * 2.0**30, "byte"),
        ("The model has 7B parameters.", 7e9, ""),
        ("It was trained on 1.5 trillion words.", 1.5e12, ""),
        ("The rate is 3 × 10^-4.", 3e-4, ""),
        ("The rate is 5e-4.", 5e-4, ""),
        ("It reaches 41.7 tokens/s.", 41.7, "token/second"),
        ("It reaches 600 tokens/min.", 10.0, "token/second"),
        ("We use three hundred queries.", 300.0, ""),
        ("About a tenth of them fail.", 10.0, "percent"),
        ("Two thirds of them fail.", 200 / 3, "percent"),
    ],
)
def test_a_quantity_is_read_with_its_canonical_unit(sentence: str, low: float, unit: str) -> None:
    value = only(sentence)
    assert math.isclose(value.low, low, rel_tol=1e-9)
    assert value.unit == unit
    assert sentence[value.start : value.end].startswith(value.raw[:1])


@pytest.mark.parametrize(
    ("sentence", "relation"),
    [
        ("It saves up to 56 %.", Relation.UP_TO),
        ("It saves as much as 56 %.", Relation.UP_TO),
        ("It saves at least 56 %.", Relation.AT_LEAST),
        ("It saves more than 56 %.", Relation.AT_LEAST),
        ("It loses less than 1 %.", Relation.AT_MOST),
        ("It loses ≤ 1 %.", Relation.AT_MOST),
        ("It saves about 56 %.", Relation.ABOUT),
        ("It saves ~56 %.", Relation.ABOUT),
        ("It saves 56 %.", Relation.EQUAL),
        ("It was measured over 13 workloads.", Relation.EQUAL),
    ],
)
def test_the_relation_is_part_of_the_value(sentence: str, relation: Relation) -> None:
    assert only(sentence).relation is relation


def test_spread_and_range() -> None:
    spread = only("Accuracy is 92.5 % ± 6.1 %.")
    assert (spread.low, spread.spread, spread.unit, spread.decimals) == (92.5, 6.1, "percent", 1)
    between = only("Similarities lie between 0.83 and 0.85.")
    assert (between.low, between.high, between.relation) == (0.83, 0.85, Relation.BETWEEN)
    assert only("A gap of 44.2 to 45.9 % remains.").relation is Relation.BETWEEN


def test_from_to_is_a_change_and_two_units_are_no_range() -> None:
    assert [v.low for v in parse_slots("Latency falls from 7.949 s to 6.203 s.").values] == [7.949, 6.203]
    assert [v.unit for v in parse_slots("Cost falls by 78x to 97 %.").values] == ["ratio", "percent"]


@pytest.mark.parametrize(
    "sentence",
    [
        "This was shown in 2023 (Smith et al., 2021).",
        "See Fig. 3, Table 2 and Sec. 4.1 [12, 13].",
        "Read arXiv:2604.23996 and https://example.org/3.14.",
        "OLMoE-1B-7B, GPT-4, VQAv2 and Mixtral-8x7B were compared.",
        "It appeared on 27 Apr 2026.",
        "The zero-shot model won.",
    ],
)
def test_identifiers_dates_and_citations_are_no_values(sentence: str) -> None:
    assert parse_slots(sentence).values == ()


def test_a_setting_is_a_condition_and_not_a_result() -> None:
    slots = parse_slots("SMoES reduces TPOT by 10.5 % on MMMU at batch size 1.")
    assert [v.raw for v in slots.values] == ["10.5 %"]
    assert "MMMU" in slots.condition
    assert any("batch" in c for c in slots.condition)


@pytest.mark.parametrize(
    ("text", "low", "unit", "relation"),
    [
        ("One trillion tokens were used.", 1e12, "", Relation.EQUAL),
        ("A switch takes less than half a second.", 0.5, "second", Relation.AT_MOST),
        ("It misses one time in twenty.", 5.0, "percent", Relation.EQUAL),
        ("One in five tokens is dropped.", 20.0, "percent", Relation.EQUAL),
        ("It saw 10^5 tokens.", 1e5, "", Relation.EQUAL),
        ("Half of the experts were kept.", 0.5, "ratio", Relation.EQUAL),
    ],
)
def test_numbers_in_words_and_powers(text: str, low: float, unit: str, relation: Relation) -> None:
    value = only(text)
    assert (value.low, value.unit, value.relation) == (pytest.approx(low), unit, relation)


def test_a_magnitude_said_once_holds_for_both_figures_and_only_for_figures_of_one_size() -> None:
    assert [v.low for v in parse_slots("It has 733 and 381 million parameters.").values] == [733e6, 381e6]
    assert [v.low for v in parse_slots("It has 733 and 2 million parameters.").values] == [733.0, 2e6]


def test_folds_of_a_cross_validation_are_counted_and_a_fivefold_gain_is_a_ratio() -> None:
    assert [v.unit for v in parse_slots("It reached 92.5 % in five-fold cross-validation.").values][-1:] in ([], [""])
    assert only("The gain is five-fold.").unit == "ratio"


def test_one_is_a_pronoun_before_it_is_a_count() -> None:
    assert parse_slots("One of the experts was pruned.").values == ()
