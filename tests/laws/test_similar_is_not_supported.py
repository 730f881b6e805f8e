"""Law 2: no similarity threshold alone ever yields SUPPORTED. Guards the fault of the original rule, which accepted 97.5 % of altered near-copies."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import pytest

import sovereign.kernel.verify as verify
from sovereign.kernel.verify import VERIFIERS, make_claim, verify_claim
from sovereign.records import Basis, Document, Passage, Verdict

TEXT = (
    "LarkMoE lowers the time per output token by 12.4 % on MMMU at batch size 4 compared with StaticMoE. "
    "Its accuracy stays within 0.3 points of the baseline, and energy per token falls from 8.1 J to 6.9 J."
)
DOCUMENT = Document(hashlib.sha256(TEXT.encode()).hexdigest(), TEXT, (Passage(0, len(TEXT), TEXT),), Basis.FULL_TEXT, "test/1")
TRUE = "LarkMoE lowers the time per output token by 12.4 % on MMMU at batch size 4 compared with StaticMoE."
CHANGES = [
    ("12.4", "14.2"), ("12.4 %", "12.4 ms"), ("12.4 %", "1.24 %"), ("lowers", "raises"), ("lowers", "does not lower"), ("LarkMoE", "FinchMoE"),
        ("batch size 4", "batch size 8"), ("MMMU", "GSM8K"),
    ("time per output token", "time to first token"), ("by 12.4", "by up to 12.4"),
]  # fmt: skip


def cosine(a: str, b: str) -> float:
    from sovereign.kernel.verify.select import embed_one

    return float(embed_one(a) @ embed_one(b))


def test_the_true_sentence_is_supported() -> None:
    assert verify_claim(make_claim(TRUE), [("p", DOCUMENT)]).verdict is Verdict.SUPPORTED


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_a_nearly_identical_false_sentence_is_not(old: str, new: str) -> None:
    changed = TRUE.replace(old, new, 1)
    assert changed != TRUE
    assert cosine(TRUE, changed) > 0.6  # so similar that every threshold in use would let it pass
    assert verify_claim(make_claim(changed), [("p", DOCUMENT)]).verdict is not Verdict.SUPPORTED


def test_exchanged_sides_are_not_supported() -> None:
    swapped = TRUE.replace("LarkMoE", "X").replace("StaticMoE", "LarkMoE").replace("X", "StaticMoE")
    assert cosine(TRUE, swapped) > 0.99
    assert verify_claim(make_claim(swapped), [("p", DOCUMENT)]).verdict is not Verdict.SUPPORTED


@pytest.mark.parametrize("name", ["lexical", "semantic", "legacy_tfidf"])
def test_a_verifier_of_similarity_cannot_turn_a_verdict(name: str) -> None:
    for claim in (TRUE, TRUE.replace("12.4", "14.2"), "Cats sleep most of the day and like warm places."):
        alone = verify_claim(make_claim(claim), [("p", DOCUMENT)])
        joined = verify_claim(make_claim(claim), [("p", DOCUMENT)], extra=[VERIFIERS[name]()])
        assert joined.verdict is alone.verdict


def test_only_the_guard_writes_supported_in_the_base_install() -> None:
    """Reads the source: of the shipped verifiers none but the slots (guard and tables) and the legacy rule, which is ignored, may say SUPPORTED."""
    folder = Path(verify.__file__).parent
    writers = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "SUPPORTED":
                writers.add(path.stem)
    assert writers - {"entailment"} <= {"guard", "tables", "slots", "combine", "corroborate", "legacy_tfidf"}
