"""Library search on SciFact, all 5,183 abstracts: BM25 alone against the hybrid of the base install and the hybrid with the encoder extra.

    python benchmarks/retrieval.py                  # the 300 development claims with BEIR's relevance judgements
    python benchmarks/retrieval.py --choose         # the 809 training claims: which share of the score the vectors should have

One run, one thread, one library built through the product's own index. BM25 alone: a single field of title and abstract, English stemmer (k1 = 1.2,
b = 0.75), as BEIR's baseline has it; and the index's own fields. nDCG@10, recall@10 and @50 (judged documents; the index is asked for its 50 best
passages), milliseconds per query in one warm process, and for the differences to BM25 a paired bootstrap over queries (10,000 draws, seed 1, 95 %).
Prints one JSON document last and writes benchmarks/results/retrieval.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

from sovereign import wiring
from sovereign.errors import MissingExtra
from sovereign.models import embedding, encoder
from sovereign.readers.jsonl import abstract_document
from sovereign.records import Paper
from sovereign.settings import load
from sovereign.store.index import LibraryIndex, _query_words
from sovereign.store.library import Addition, batches

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / ".." / "shared" / "data" / "scifact"
SHARES = {"base": (0.0, 0.05, 0.1, 0.2, 0.3, 0.5), "encoder": (0.3, 0.4, 0.5, 0.6, 0.7)}
DRAWS = 10_000


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def judged(split: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Claims by id, and the ids of the judged documents of each ("test" in BEIR is SciFact's development set)."""
    texts = {str(r["_id"]): r["text"] for r in rows(DATA / "beir" / "queries.jsonl")}
    relevant: dict[str, set[str]] = {}
    for line in (DATA / "beir" / f"qrels_{split}.tsv").read_text().splitlines()[1:]:
        query, document, score = line.split("\t")
        if int(score) > 0:
            relevant.setdefault(query, set()).add(document)
    return {q: texts[q] for q in relevant}, relevant


def ndcg(found: Sequence[str], relevant: set[str], k: int = 10) -> float:
    gain = sum(1 / np.log2(i + 2) for i, d in enumerate(found[:k]) if d in relevant)
    return float(gain / sum(1 / np.log2(i + 2) for i in range(min(k, len(relevant)))))


def recall(found: Sequence[str], relevant: set[str], k: int) -> float:
    return len(relevant & set(found[:k])) / len(relevant)


def one_field(corpus: list[dict[str, Any]]) -> Callable[[str], list[str]]:
    """BM25 over title and abstract as one text."""
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", stored=True)
    builder.add_text_field("all", tokenizer_name="en_stem")
    index = tantivy.Index(builder.build())
    writer = index.writer(64_000_000, 1)
    for number, row in enumerate(corpus):
        entry = tantivy.Document()
        entry.add_unsigned("row", number)
        entry.add_text("all", f"{row['title']}. {' '.join(row['abstract'])}")
        writer.add_document(entry)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def search(text: str) -> list[str]:
        query = index.parse_query(" ".join(_query_words(text)), ["all"])
        return [str(corpus[int(searcher.doc(a)["row"][0])]["doc_id"]) for _, a in searcher.search(query, 50).hits]

    return search


def bare(index: LibraryIndex) -> Callable[[str], list[str]]:
    return lambda text: list(dict.fromkeys(p.split(":", 1)[1] for p, *_ in index.search(text, 50)))


def measure(search: Callable[[str], list[str]], queries: dict[str, str], relevant: dict[str, set[str]]) -> dict[str, Any]:
    search("warm up")
    found, took = {}, []
    for query, text in queries.items():
        began = time.perf_counter()
        found[query] = search(text)
        took.append(1000 * (time.perf_counter() - began))
    each = [ndcg(found[q], relevant[q]) for q in queries]
    return {
        "ndcg@10": round(100 * float(np.mean(each)), 2),
        "recall@10": round(100 * float(np.mean([recall(found[q], relevant[q], 10) for q in queries])), 2),
        "recall@50": round(100 * float(np.mean([recall(found[q], relevant[q], 50) for q in queries])), 2),
        "p50_ms": round(float(np.percentile(took, 50)), 2),
        "p95_ms": round(float(np.percentile(took, 95)), 2),
        "raw_ndcg": [round(v, 4) for v in each],
        "raw_top3": {q: found[q][:3] for q in queries},
    }


def difference(a: dict[str, Any], b: dict[str, Any]) -> dict[str, float]:
    """nDCG@10 of a minus b in points, with the 95 % interval of a paired bootstrap over queries."""
    gap = 100 * (np.array(a["raw_ndcg"]) - np.array(b["raw_ndcg"]))
    means = np.random.default_rng(1).choice(gap, (DRAWS, len(gap))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"points": round(float(gap.mean()), 2), "low": round(float(low), 2), "high": round(float(high), 2)}


def build(home: Path, corpus: list[dict[str, Any]]) -> Any:
    settings = load(home, offline=True, default_library=False)
    context = wiring.workspace(settings)
    ws = context.__enter__()
    additions = []
    for row in corpus:
        text = " ".join(s.strip() for s in row["abstract"])
        paper = Paper(paper_id=f"s2:{row['doc_id']}", title=row["title"], abstract=text)
        additions.append(Addition(paper, abstract_document(row["title"], text), "scifact"))
    for batch in batches(additions):
        ws.library.add(batch)
    return context, ws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the library and its vectors stay for the next run")
    args = parser.parse_args()
    if not DATA.is_dir():
        sys.exit("The evaluation data (../shared/data) is not beside the project.")
    try:
        encoder.MiniLMEmbedder()
        import torch

        torch.set_num_threads(1)
        kinds: dict[str, Any] = {"base": embedding.LatentEmbedder, "encoder": encoder.MiniLMEmbedder}
    except MissingExtra as exc:
        print(exc, file=sys.stderr)
        kinds = {"base": embedding.LatentEmbedder}
    corpus = rows(DATA / "corpus.jsonl")
    queries, relevant = judged("train" if args.choose else "test")
    result: dict[str, Any] = {"command": "python benchmarks/retrieval.py" + " --choose" * args.choose, "queries": len(queries)}
    with tempfile.TemporaryDirectory() as fresh:
        folder = args.folder or Path(fresh)
        context, ws = build(folder, corpus)
        result["bm25"] = measure(one_field(corpus), queries, relevant)
        for kind, embedder in kinds.items():
            index = LibraryIndex(ws.library, folder / kind, fit=embedder.fit, load=embedder.from_bytes)
            began = time.perf_counter()
            index.catch_up()
            print(f"{kind}: indexed in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            if args.choose:
                for share in SHARES[kind]:
                    index.share = share
                    result[f"{kind} {share}"] = measure(bare(index), queries, relevant)
                continue
            index.share = 0.0
            result.setdefault("bm25_of_the_index", measure(bare(index), queries, relevant))
            index.share = encoder.SHARE if kind == "encoder" else embedding.SHARE
            result[f"hybrid_{kind}"] = measure(bare(index), queries, relevant)
        context.__exit__(None, None, None)
    result["against_bm25"] = {k: difference(v, result["bm25"]) for k, v in result.items() if isinstance(v, dict) and k != "bm25"}
    if args.choose:
        for value in result.values():
            if isinstance(value, dict):
                value.pop("raw_ndcg", None)
                value.pop("raw_top3", None)
    out = ROOT / "benchmarks" / "results" / ("retrieval_train.json" if args.choose else "retrieval.json")
    out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for value in result.values():
        if isinstance(value, dict):
            value.pop("raw_ndcg", None)
            value.pop("raw_top3", None)
    print(json.dumps(result, sort_keys=True))


if __name__ == "__main__":
    main()
