"""The mutation suite itself: deterministic, honest about what is false, and never with a passage in both splits."""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SUITE = ROOT / "benchmarks" / "mutations"
sys.path.insert(0, str(ROOT))

from benchmarks.mutations import generate, rules, run  # noqa: E402
from benchmarks.mutations.paragraphs import PARAGRAPHS  # noqa: E402

SHARED = ROOT / ".." / "shared" / "data"
KINDS = set(rules.MUTANTS)


def _setting(text: str) -> rules.Setting:
    return rules.Setting(text, tuple(rules.systems(text)), ("QuillCache", "OtherMoE-7B"))


def test_the_same_seed_gives_the_same_cases_and_another_seed_does_not() -> None:
    """Guards a benchmark whose figure depends on dict order or the clock."""
    assert generate.generate(3, 20, ("own",)) == generate.generate(3, 20, ("own",))
    assert generate.generate(3, 20, ("own",)) != generate.generate(4, 20, ("own",))


def test_no_mutant_stands_in_its_own_source() -> None:
    """Guards a "false" claim that the source literally makes."""
    for case in generate.generate(11, None, ("own",)):
        if not case.truth:
            assert case.claim not in case.source_text, case.id


def test_every_kind_is_made_from_own_paragraphs() -> None:
    """Guards a kind that silently stops being generated, which would read as zero false accepts."""
    made = Counter(case.kind for case in generate.generate(7, None, ("own",)))
    assert set(made) >= KINDS, KINDS - set(made)
    assert made["verbatim"] > 40


@pytest.mark.parametrize("seed", range(30))
def test_a_changed_number_differs_by_more_than_rounding(seed: int) -> None:
    """Guards mutants that a fair verifier must accept: 61.9 against 62."""
    sentence = "On XSum, Osprey reaches a hit ratio of 61.9%."
    made = rules.change_number(sentence, random.Random(seed), _setting(sentence))
    assert made is not None
    value = float(re.findall(r"[\d.]+(?=%)", made[0])[0])
    assert abs(value - 61.9) / 61.9 > 0.1


@pytest.mark.parametrize(
    ("sentence", "low"),
    [("Osprey hides at least 40% of the transfers.", True), ("Osprey needs less than 40% of the memory.", False)],
)
def test_a_number_under_a_bound_moves_to_the_side_that_the_bound_does_not_cover(sentence: str, low: bool) -> None:
    """Guards "at least 30 %" as a mutant of "at least 40 %", which would be true."""
    for seed in range(20):
        made = rules.change_number(sentence, random.Random(seed), _setting(sentence))
        assert made is not None
        value = float(re.findall(r"[\d.]+(?=%)", made[0])[0])
        assert (value > 40) == low


def test_exchanging_a_plain_list_is_not_a_mutant() -> None:
    """Guards "8, 4 and 16 GPUs", which says the same as "4, 8 and 16 GPUs"."""
    sentence = "Heron was run on 4, 8 and 16 GPUs."
    assert rules.swap_numbers(sentence, random.Random(1), _setting(sentence)) is None


def test_a_symmetric_comparison_is_not_swapped() -> None:
    """Guards "B matches A" as a mutant of "A matches B"."""
    sentence = "FernRoute matches QuillCache and is no slower than QuillCache."
    assert rules.swap_compared(sentence, random.Random(1), _setting(sentence)) is None


def test_names_and_years_are_not_numbers() -> None:
    """Guards mutants that rename a model instead of changing a value."""
    found = rules.numbers("In 2024, OLMoE-1B-7B and Qwen 3 used 8 experts (Table 4) with 2.5 GB [12].")
    assert [n.value for n in found] == [8.0, 2.5]


def test_the_word_lists_are_not_the_verifiers() -> None:
    """Guards the measurement: a shared list would let the guard recognise its own mutants."""
    for path in SUITE.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "kernel.language" not in text, path
        assert "from sovereign.kernel.verify import" not in text or path.name == "run.py", path
    invented = {name for text in PARAGRAPHS.values() for name in rules.systems(text)} | {"pairs_tune", "pairs_test"}
    for path in (ROOT / "src" / "sovereign" / "kernel").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not [name for name in invented if name in text], path


def test_hand_written_pairs_are_complete_balanced_and_split_by_passage() -> None:
    """Guards a passage leaking from tune to test, a missing kind and a lopsided set."""
    tune, test, dev = (run.read_pairs(SUITE / f"pairs_{name}.jsonl") for name in ("tune", "test", "dev"))
    assert not {c.source_text for c in tune + dev} & {c.source_text for c in test}
    assert len({c.id for c in tune + test}) == len(tune) + len(test) >= 240
    for cases in (tune, test):
        assert {c.kind for c in cases if not c.truth} >= KINDS
        share = sum(c.truth for c in cases) / len(cases)
        assert 0.4 <= share <= 0.6
        assert all(("SUPPORTED" in c.acceptable) == c.truth for c in cases)
        assert all(c.claim.strip() != "" and c.claim not in c.source_text for c in cases)
        assert not [c.id for c in cases if re.search(r"\[\w\]|\||\s$", c.claim)], "an author's mark was left in a claim"


def test_wilson_interval_against_known_values() -> None:
    """Guards the interval: 0 of 100 gives [0, 3.70 %], 5 of 10 gives [23.7, 76.3 %]."""
    assert run.wilson(0, 0) is None
    low, high = run.wilson(0, 100) or (1.0, 0.0)
    assert low == 0.0 and abs(high - 0.0370) < 1e-4
    low, high = run.wilson(5, 10) or (1.0, 0.0)
    assert abs(low - 0.2366) < 1e-3 and abs(high - 0.7634) < 1e-3


def test_a_verifier_that_says_yes_is_caught_and_one_that_abstains_is_not_praised() -> None:
    """Guards the counting: accepting all gives 100 % false accepted, abstaining 0 % true supported."""
    cases = generate.generate(7, 5, ("own",))
    yes = run.count(cases, ["SUPPORTED"] * len(cases))
    assert yes["false_accepted_all"].hits == yes["false_accepted_all"].n > 0
    mute = run.count(cases, ["UNRESOLVED"] * len(cases))
    assert mute["false_accepted_all"].hits == 0
    assert mute["true_supported_all"].hits == 0 and mute["true_supported_all"].n > 0


def test_table_rows_of_a_source_carry_header_and_caption() -> None:
    """Guards the adapter: offsets must point into the text and a row must know its header."""
    document = run.document_of("A caption.\n\n| Model | GB |\n|---|---|\n| Alpha | 1.5 |\n| Beta | 2.5 |\n\nThe end.")
    rows = [p for p in document.passages if p.table is not None]
    assert [r.table.cells for r in rows if r.table] == [("Alpha", "1.5"), ("Beta", "2.5")]
    assert all(r.table.header == ("Model", "GB") and r.table.caption == "A caption." for r in rows if r.table)
    assert all(document.text[p.start : p.end] == p.text for p in document.passages)


def test_the_manuscripts_agree_with_their_key() -> None:
    """Guards the example: sixteen cited sentences, eight true, in Markdown and LaTeX alike, each with its source."""
    folder = ROOT / "examples" / "manuscript"
    claims = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["claims"]
    assert len(claims) == 16 and sum(c["truth"] for c in claims) == 8
    markdown = (folder / "manuscript.md").read_text(encoding="utf-8")
    latex = re.sub(r"~\\cite\{[^}]*\}", "", (folder / "manuscript.tex").read_text(encoding="utf-8"))
    latex = re.sub(r"\s+", " ", latex.replace("\\,", " ").replace("\\%", "%"))
    for claim in claims:
        assert claim["claim"].rstrip(".") + f" [@{claim['cites']}]" in markdown
        assert claim["claim"] in latex, claim["claim"]
        assert (folder / "sources" / f"{claim['cites']}.md").exists()


@pytest.mark.skipif(not (SHARED / "arxiv_metadata").exists(), reason="needs the evaluation data beside the project")
def test_cases_from_shared_data_reach_the_published_numbers() -> None:
    """Guards a near-copy benchmark too small for its claim (200 true, 500 false)."""
    cases = generate.generate(7, 60, ("arxiv", "pmlr"))
    assert sum(c.truth for c in cases) >= 200
    assert sum(not c.truth for c in cases) >= 500
