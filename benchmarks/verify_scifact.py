"""Three-way verification on public sets: SciFact dev (gold cited abstracts) and, never trained or tuned on, SciTab dev, WiCE dev, Citation-Integrity dev.

    python benchmarks/verify_scifact.py

Systems: the shipped guard, the original rule (TF-IDF cosine >= 0.15, no refutation), always the majority class. Prints one JSON document last and writes
benchmarks/results/verify_scifact.json. An abstention (UNRESOLVED, NOT_FOUND, NOT_CHECKABLE) counts as "no evidence"; QUALIFIED counts as support in SciFact,
SciTab and Citation-Integrity and as "partially supported" in WiCE.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sovereign.kernel.verify import VERIFIERS, make_claim, verify_claim
from sovereign.records import Basis, Document, Passage, PassageKind, TableRow, Verdict

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / ".." / "shared" / "data"
S, R, N = "SUPPORT", "REFUTE", "NEI"
Case = tuple[str, Document, str]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def prose(parts: list[str], title: str, basis: Basis) -> Document:
    """Sentences joined by blanks, one passage."""
    text = " ".join(p.strip() for p in parts)
    return Document(hashlib.sha256(text.encode()).hexdigest(), text, (Passage(0, len(text), text),), basis, "benchmark/1", title=title)


def scifact(split: str) -> list[Case]:
    corpus = {str(r["doc_id"]): prose(r["abstract"], r["title"], Basis.ABSTRACT_ONLY) for r in _rows(DATA / "scifact" / "corpus.jsonl")}
    names = {"SUPPORT": S, "CONTRADICT": R}
    return [
        (r["claim"], corpus[str(d)], names[r["evidence"][str(d)][0]["label"]] if str(d) in r["evidence"] else N)
        for r in _rows(DATA / "scifact" / f"claims_{split}.jsonl")
        for d in r["cited_doc_ids"]
    ]


def citation_integrity(split: str) -> list[Case]:
    corpus = {
        str(r["doc_id"]): prose(r["abstract"], r["title"], Basis.FULL_TEXT) for r in _rows(DATA / "citation_integrity" / "corpus.jsonl")
    }
    return [
        (re.sub(r"\s*\[?<\|\w+\|>\]?", "", r["claim"]), corpus[str(d)], r["evidence"][str(d)][0]["label"] if str(d) in r["evidence"] else N)
        for r in _rows(DATA / "citation_integrity" / f"claims_{split}.jsonl")
        for d in r["cited_doc_ids"]
    ]


def scitab() -> list[Case]:
    names = {"supports": S, "refutes": R, "not enough info": N}
    return [(r["claim"], _table(r), names[r["label"]]) for r in _rows(DATA / "scitab" / "sci_tab_dev.jsonl")]


def _table(row: dict[str, Any]) -> Document:
    header = tuple(_clean(c) for c in row["table_column_names"])
    lines, passages, at = [], [], 0
    for number, cells in enumerate(row["table_content_values"]):
        clean = tuple(_clean(c) for c in cells)
        line = " | ".join(clean)
        passages.append(
            Passage(at, at + len(line), line, PassageKind.TABLE_ROW, "", TableRow(_clean(row["table_caption"]), header, clean, number))
        )
        lines.append(line)
        at += len(line) + 1
    text = "\n".join(lines)
    return Document(
        hashlib.sha256(f"{row['table_id']}{text}".encode()).hexdigest(),
        text,
        tuple(passages),
        Basis.FULL_TEXT,
        "benchmark/1",
        title=row["paper"],
    )


def _clean(cell: str) -> str:
    return re.sub(r"\[[A-Z]+\]\s?|<[^>]+>|\[/?[a-zA-Z]+\]", "", cell).strip()


def wice() -> list[Case]:
    names = {"supported": S, "partially_supported": R, "not_supported": N}  # three classes; the middle one is "partly", not a refutation
    return [(r["claim"], prose(r["evidence"], "", Basis.FULL_TEXT), names[r["label"]]) for r in _rows(DATA / "wice" / "claim_dev.jsonl")]


def guard(claim: str, document: Document) -> str:
    verdict = verify_claim(make_claim(claim), [("p", document)]).verdict
    return {Verdict.SUPPORTED: S, Verdict.QUALIFIED: S, Verdict.CONTRADICTED: R}.get(verdict, N)


def guard_partly(claim: str, document: Document) -> str:
    verdict = verify_claim(make_claim(claim), [("p", document)]).verdict
    return {Verdict.SUPPORTED: S, Verdict.QUALIFIED: R, Verdict.UNRESOLVED: R}.get(verdict, N)


def original(claim: str, document: Document) -> str:
    return S if VERIFIERS["legacy_tfidf"]().judge(make_claim(claim), document).verdict is Verdict.SUPPORTED else N


def scores(gold: list[str], said: list[str]) -> dict[str, Any]:
    """Accuracy, macro-F1, F1 per class, share of refuted claims called supported, confusion counts. None where a share has no cases."""
    f1 = {}
    for label in (S, R, N):
        tp = sum(g == p == label for g, p in zip(gold, said))
        denominator = sum(g == label for g in gold) + sum(p == label for p in said)
        f1[label] = 2 * tp / denominator if denominator else None
    refuted = [p for g, p in zip(gold, said) if g == R]
    called = [g for g, p in zip(gold, said) if p == S]
    return {
        "n": len(gold),
        "accuracy": round(sum(g == p for g, p in zip(gold, said)) / len(gold), 4),
        "macro_f1": round(sum(v or 0.0 for v in f1.values()) / 3, 4),
        "f1": {k: None if v is None else round(v, 4) for k, v in f1.items()},
        "refuted_called_supported": [sum(p == S for p in refuted), len(refuted)],
        "supported_precision": [sum(g == S for g in called), len(called)],
        "confusion": {f"{g}->{p}": n for (g, p), n in sorted(Counter(zip(gold, said)).items())},
    }


def run(cases: list[Case], systems: dict[str, Callable[[str, Document], str]]) -> dict[str, Any]:
    gold = [g for _, _, g in cases]
    majority = Counter(gold).most_common(1)[0][0]
    out: dict[str, Any] = {"majority": scores(gold, [majority] * len(gold))}
    for name, judge in systems.items():
        started = time.process_time()
        said = [judge(claim, document) for claim, document, _ in cases]
        out[name] = {**scores(gold, said), "ms_per_claim": round(1000 * (time.process_time() - started) / len(cases), 2), "raw": said}
    return out


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if not DATA.is_dir():
        sys.exit("The evaluation data (../shared/data) is not beside the project.")
    both: dict[str, Callable[[str, Document], str]] = {"guard": guard, "original_rule": original}
    result: dict[str, Any] = {
        "command": "python benchmarks/verify_scifact.py",
        "scifact_dev": run(scifact("dev"), both),
        "scitab_dev": run(scitab(), both),
        "citation_integrity_dev": run(citation_integrity("dev"), both),
        "wice_dev": run(wice(), {"guard": guard_partly, "original_rule": original}),
    }
    out = ROOT / "benchmarks" / "results" / "verify_scifact.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for data in result.values():
        for system in data.values() if isinstance(data, dict) else ():
            system.pop("raw", None)
    print(json.dumps(result, sort_keys=True))


if __name__ == "__main__":
    main()
