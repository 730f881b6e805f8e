"""False accepted and true kept on near-copies of sentences from ../shared/data (arXiv abstracts, PMLR 262 full texts): guard against the original rule.

    python benchmarks/verify_nearcopies.py --seed 2026 --true 200 --false 600

Prints one JSON document last and writes raw verdicts to benchmarks/results/verify_nearcopies.json. Refuses to run without the data.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from sovereign.kernel.language import sentences
from sovereign.kernel.verify import VERIFIERS, make_claim, verify_claim
from sovereign.records import Basis, Document, Passage
from verify_nearcopies_generator import Case, make

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / ".." / "shared" / "data"


def load(limit: int) -> list[Document]:
    """`limit` arXiv abstracts and all PMLR full texts as documents."""
    out = []
    with (DATA / "arxiv_metadata" / "arxiv_cs_subset.jsonl").open(encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            if any(c.isdigit() for c in row["abstract"]):
                out.append(_document(" ".join(row["abstract"].split()), row["title"], Basis.ABSTRACT_ONLY))
            if len(out) >= limit:
                break
    with (DATA / "fulltext_pmlr_v262" / "papers.jsonl").open(encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            text = " ".join(" ".join(page.split()) for page in row["pages"])
            out.append(_document(text.replace("ﬁ", "fi").replace("ﬂ", "fl"), row["title"], Basis.FULL_TEXT))
    return out


def _document(text: str, title: str, basis: Basis) -> Document:
    return Document(hashlib.sha256(text.encode()).hexdigest(), text, (Passage(0, len(text), text),), basis, "nearcopies/1", title=title)


def judge(cases: list[Case], documents: list[Document]) -> tuple[list[dict[str, Any]], float]:
    """(rows, seconds of this process for the guard)."""
    legacy = VERIFIERS["legacy_tfidf"]()
    rows, spent = [], 0.0
    for case in cases:
        claim = make_claim(case.claim)
        started = time.process_time()
        ruling = verify_claim(claim, [("p", documents[case.document])])
        spent += time.process_time() - started
        rows.append(
            {
                "kind": case.kind,
                "true": case.true,
                "claim": case.claim,
                "sentence": case.sentence,
                "verdict": ruling.verdict.value,
                "reason": ruling.reason,
                "legacy": legacy.judge(claim, documents[case.document]).verdict.value,
            }
        )
    return rows, spent


def count(rows: list[dict[str, Any]], field: str) -> dict[str, Any]:
    """Shares of SUPPORTED per kind and overall, with counts."""
    out: dict[str, Any] = {}
    for true in (True, False):
        chosen = [r for r in rows if r["true"] is true]
        kinds = {k: [r for r in chosen if r["kind"] == k] for k in sorted({r["kind"] for r in chosen})}
        out["true_kept" if true else "false_accepted"] = {
            **{k: [sum(r[field] == "SUPPORTED" for r in v), len(v)] for k, v in kinds.items()},
            "all": [sum(r[field] == "SUPPORTED" for r in chosen), len(chosen)],
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--true", type=int, default=200, dest="n_true")
    parser.add_argument("--false", type=int, default=600, dest="n_false")
    parser.add_argument("--abstracts", type=int, default=800)
    parser.add_argument("--failures", action="store_true")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit("The evaluation data (../shared/data) is not beside the project.")
    documents = load(args.abstracts)
    cases = make([[d.text[a:b] for a, b in sentences(d.text)] for d in documents], args.n_true, args.n_false, args.seed)
    rows, spent = judge(cases, documents)
    result = {
        "command": f"python benchmarks/verify_nearcopies.py --seed {args.seed} --true {args.n_true} --false {args.n_false}",
        "guard": count(rows, "verdict"),
        "original_rule": count(rows, "legacy"),
        "verdicts": {
            "true": dict(Counter(r["verdict"] for r in rows if r["true"])),
            "false": dict(Counter(r["verdict"] for r in rows if not r["true"])),
        },
        "claims_per_s": round(len(cases) / spent, 1),
    }
    if args.failures:
        for r in rows:
            if (r["verdict"] == "SUPPORTED") != r["true"]:
                print(
                    r["kind"],
                    "TRUE" if r["true"] else "FALSE",
                    r["verdict"],
                    "\n  C:",
                    r["claim"],
                    "\n  S:",
                    r["sentence"],
                    "\n  R:",
                    r["reason"],
                )
    out = ROOT / "benchmarks" / "results" / "verify_nearcopies.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        json.dumps(
            {**result, "raw": [{k: r[k] for k in ("kind", "true", "verdict", "legacy", "reason")} for r in rows]},
            indent=1,
            ensure_ascii=False,
            sort_keys=True,
        )
        + "\n",
        encoding="utf-8",
    )
    print(json.dumps(result, sort_keys=True))


if __name__ == "__main__":
    main()
