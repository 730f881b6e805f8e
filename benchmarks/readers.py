"""Reader quality: how much of a reference text is recovered, in order, and how many table cells are right.

    python benchmarks/readers.py [--data ../shared/data]

PDF: the PDFs of fulltext_pmlr_v262 against the pdftotext pages in papers.jsonl, beside plain extraction with pypdf and with pypdfium2's get_text,
in one run. The reference is itself an extraction, not the authors' text, so 1.0 is not the goal: it holds drawings' labels, notes that interrupt
sentences, and tables column by column where ours go row by row. `prose_shingle5_recall` therefore looks at lines of prose only. Lines that repeat
over pages are out of every score but `furniture_left`, which counts those still there.
LaTeX and HTML: structured full texts of fulltext_unarxive written out as LaTeX and as HTML and read back; share of the paragraphs' runs of five
words recovered. Two columns: the same texts set with typst, justified and hyphenated, with a running head; the true order and joints are known.
Tables: the cells of HAND, each looked up in a picture of the printed page.
The last line is one JSON document, also at benchmarks/results/readers.json.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from sovereign.readers import read_bytes, read_many
from sovereign.records import Document

HERE = Path(__file__).parent
# (paper, caption's beginning, row's beginning, header cell, value), each looked up in the printed page, rendered as a picture.
HAND: tuple[tuple[str, str, str, str, str], ...] = (
    ("chen24a", "Table 2", "20", "OS-acc", "1.84"), ("chen24a", "Table 2", "28", "HS", "27.8"), ("chen24a", "Table 3", "OnlySportsLM", "PIQA", "59.6"),
    ("chen24a", "Table 3", "Qwen2-1.5B", "OS-Avg.", "2.640"), ("chen24a", "Table 4", "SmolLM-360M", "GPT-4o / OS-acc", "1.50"),
    ("sarkar24a", "Table 1", "354M+64e", "BoolQ", "69.09"), ("sarkar24a", "Table 1", "354M+(128e →64e)", "WSC", "70.09"),
    ("panda24a", "Table 3", "“Viable”", "Validation Perplexity", "21.14"), ("sarkar24a", "Table 7", "Peak Learning Rate", "Value", "5e-5"),
    ("chung24a", "Table 1", "Random", "n = 8", "51.95 ± 0.46"), ("chung24a", "Table 3", "batch = 100", "k = n/4", "51.69 ± 0.79"),
    ("chung24a", "Table 6", "Number of Soft MoE Layers", "Used Value", "2"), ("wang24a", "Table 1", "Longchat-7b-v1.5-32k|80%|CSKV", "LongEval ↑ / 4k", "0.92"),
    ("wang24a", "Table 1", "Mistral-7b-instruct-v0.2|80%|ASVD", "LongEval ↑ / 8k", "0.04"), ("wang24a", "Table 3", "80%|1024", "Avg. Acc", "0.95"),
    ("wang24a", "Table 3", "80%|2", "Avg. Acc", "0.77"), ("kumar24a", "Table 2", "32|2048|8", "GSM8k", "44.43"),
    ("kumar24a", "Table 2", "32|1024|4", "MMLU", "43.75"), ("kumar24a", "Table 3", "Llama-3-8b|No", "ARC", "58.70"),
    ("panda24a", "Table 1", "K = 3", "Validation Perplexity", "18.56"), ("panda24a", "Table 4", "Top-K (K=2)", "TFLOPS", "73.4"),
    ("hajimolahoseini24a", "Table 2", "Proposed-Add", "FLOPs(G)", "17.1"), ("hajimolahoseini24a", "Table 3", "Rank-1", "UCF", "64.12"),
    ("hajimolahoseini24a", "Table 4", "R(2+1)D", "Top-1(%)", "90.31"), ("doubov24a", "Table 2", "1.4B|Long", "Tokens/Parameter", "250"),
    ("doubov24a", "Table 3", "ffn hidden size", "1.4B", "5120"), ("seng-chua24a", "Table 3", "GSM8K", "TurboSparse", "65.7"),
    ("seng-chua24a", "Table 2", "1024", "CATS", "16.5%"), ("seng-chua24a", "Table 2", "Geomean", "SCAP", "27.1%"),
    ("doubov24a", "Table 4", "6.7B (Upcycled)|Long|193B", "Duration", "Long"),
)  # fmt: skip


def words(text: str) -> list[str]:
    """Lower-case words and numbers; ligatures, scripts' signs and hyphens are no difference."""
    text = text.replace("ﬁ", "fi").replace("ﬂ", "fl").replace("ﬀ", "ff").replace("ﬃ", "ffi").replace("ﬄ", "ffl").replace("\u00ad", "")
    return re.findall(r"[a-z]+|\d+", re.sub(r"[_^{}]", "", text.lower()))


def joined(text: str) -> str:
    """Line-end hyphens closed, as a reference must have them too."""
    return re.sub(r"([A-Za-z])[-\u00ad\x02\ufffe]\n\s*([a-z])", r"\1\2", text.replace("\r\n", "\n"))


def shingle_recall(reference: list[str], found: list[str], size: int = 5) -> float:
    """Share of the reference's runs of five words that the other text has: wrong order and wrong joints both lose."""
    have = collections.Counter(zip(*(found[i:] for i in range(size)), strict=False))
    want = collections.Counter(zip(*(reference[i:] for i in range(size)), strict=False))
    return sum(min(n, have[s]) for s, n in want.items()) / max(1, sum(want.values()))


def runs_recall(runs: list[list[str]], found: list[str], size: int = 5) -> float:
    """As shingle_recall, but no shingle of the reference crosses from one run into the next."""
    have = collections.Counter(zip(*(found[i:] for i in range(size)), strict=False))
    want = collections.Counter(s for run in runs for s in zip(*(run[i:] for i in range(size)), strict=False))
    return sum(min(n, have[s]) for s, n in want.items()) / max(1, sum(want.values()))


def prose_runs(pages: list[str], furniture: set[str]) -> list[list[str]]:
    """Consecutive reference lines that are prose: seven words or more, few digits. Tables and drawings' labels, whose order is a matter of taste, are out."""
    runs: list[str] = []
    open_run = False
    for page in pages:
        open_run = False  # notes and floats stand at page ends
        for line in page.split("\n"):
            letters = re.findall(r"[A-Za-z]{2,}", line)
            prose = (
                len(letters) >= 7
                and len(re.findall(r"\d", line)) < 0.12 * len(line)
                and re.sub(r"\d+", "#", line.strip().lower()) not in furniture
            )
            if prose and open_run:
                runs[-1] += "\n" + line
            elif prose:
                runs.append(line)
            open_run = prose
    return [words(joined(run)) for run in runs]


def word_recall(reference: list[str], found: list[str]) -> float:
    have, want = collections.Counter(found), collections.Counter(reference)
    return sum(min(n, have[w]) for w, n in want.items()) / max(1, sum(want.values()))


def repeated_lines(pages: list[str]) -> set[str]:
    seen: collections.Counter[str] = collections.Counter()
    for page in pages:
        lines = [re.sub(r"\d+", "#", x.strip().lower()) for x in page.split("\n") if x.strip()]
        seen.update({*lines[:2], *lines[-3:]})
    return {x for x, n in seen.items() if n >= max(3, 0.25 * len(pages))}


def without(pages: list[str], furniture: set[str]) -> str:
    kept = ("\n".join(x for x in page.split("\n") if re.sub(r"\d+", "#", x.strip().lower()) not in furniture) for page in pages)
    return "\n".join(kept)


def furniture_left(text: str, furniture: set[str]) -> int:
    return sum(re.sub(r"\d+", "#", x.strip().lower()) in furniture for x in text.split("\n"))


def plain_pypdf(path: Path) -> str:
    import pypdf

    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def plain_pdfium(path: Path) -> str:
    import pypdfium2

    pdf = pypdfium2.PdfDocument(path)
    try:
        return "\n".join(page.get_textpage().get_text_range() for page in pdf)
    finally:
        pdf.close()


def pdf_scores(data: Path) -> dict[str, Any]:
    folder = data / "fulltext_pmlr_v262"
    rows = {r["id"].removeprefix("pmlr-v262-"): r for r in map(json.loads, (folder / "papers.jsonl").read_text().splitlines())}
    paths = [p for p in sorted((folder / "pdf").glob("*.pdf")) if p.stem in rows]
    methods: dict[str, Any] = {
        "sovereign": lambda p: read_bytes(p.read_bytes(), filename=p.name).text, "pypdf": plain_pypdf, "pypdfium2": plain_pdfium}  # fmt: skip
    scores: dict[str, dict[str, list[float]]] = {m: collections.defaultdict(list) for m in methods}
    for path in paths:
        pages = rows[path.stem]["pages"]
        furniture = repeated_lines(pages)
        reference = words(joined(without(pages, furniture)))
        prose = prose_runs(pages, furniture)
        for name, method in methods.items():
            started = time.perf_counter()
            raw = method(path)
            took = time.perf_counter() - started
            text = joined(raw) if name != "sovereign" else raw
            found = words(text)
            scores[name]["word_recall"].append(word_recall(reference, found))
            scores[name]["shingle5_recall"].append(shingle_recall(reference, found))
            scores[name]["prose_shingle5_recall"].append(runs_recall(prose, found))
            scores[name]["furniture_left"].append(furniture_left(raw, furniture))
            scores[name]["seconds"].append(took)
    return {
        "papers": [p.stem for p in paths],
        **{
            m: {
                k: round(sum(v), 0)
                if k == "furniture_left"
                else round(statistics.median(v), 4)
                if k == "seconds"
                else round(statistics.mean(v), 4)
                for k, v in s.items()
            }
            for m, s in scores.items()
        },
        "lowest_prose_shingle5": {m: round(min(s["prose_shingle5_recall"]), 4) for m, s in scores.items()},
    }


def table_scores(data: Path) -> dict[str, Any]:
    folder = data / "fulltext_pmlr_v262" / "pdf"
    documents: dict[str, Document] = {}
    wrong = []
    tried = 0
    for paper, caption, row, column, value in HAND:
        path = folder / f"{paper}.pdf"
        if not path.is_file():
            continue
        tried += 1
        document = documents.setdefault(paper, read_bytes(path.read_bytes(), filename=path.name))
        got = cell(document, caption, row, column)
        if got != value:
            wrong.append({"paper": paper, "table": caption, "row": row, "column": column, "want": value, "got": got})
    return {"cells": tried, "right": tried - len(wrong), "wrong": wrong}


def cell(document: Document, caption: str, row: str, column: str) -> str | None:
    for passage in document.passages:
        table = passage.table
        if table and table.caption.startswith(f"{caption}:") and column in table.header and "|".join(table.cells).startswith(row):
            return table.cells[table.header.index(column)]
    return None


# --- round trips ---


def paragraphs(row: dict[str, Any]) -> list[tuple[str, str]]:
    """(section, text) with the data set's marks for citations and formulas gone."""
    out = []
    for part in row["body_text"]:
        text = re.sub(r"\{\{(?:cite|figure|table|formula|section):[^}]*\}\}", " ", part["text"])
        text = " ".join(re.sub(r"\s+([,.;:)])", r"\1", text).split())
        if part["content_type"] == "paragraph" and len(text.split()) > 12 and text.isprintable():
            out.append((part["section"] or "Body", text))
    return out


def escaped_tex(text: str) -> str:
    return (
        re.sub(r"([%$#&_{}])", r"\\\1", text.replace("\\", r"\textbackslash{}"))
        .replace("~", r"\textasciitilde{}")
        .replace("^", r"\textasciicircum{}")
    )


def escaped_typst(text: str) -> str:
    return re.sub(r"([\\#*_`$<>@\[\]~/=+-])", r"\\\1", text)


def as_latex(row: dict[str, Any]) -> bytes:
    body, last = [], ""
    for section, text in paragraphs(row):
        body.append((rf"\section{{{escaped_tex(section)}}}" + "\n" if section != last else "") + escaped_tex(text))
        last = section
    return ("\\documentclass{article}\n\\begin{document}\n" + "\n\n".join(body) + "\n\\end{document}\n").encode()


def as_html(row: dict[str, Any]) -> bytes:
    import html

    body, last = [], ""
    for section, text in paragraphs(row):
        body.append((f"<h2>{html.escape(section)}</h2>" if section != last else "") + f"<p>{html.escape(text)}</p>")
        last = section
    return ("<!DOCTYPE html><html><head><title>T</title></head><body><article>" + "".join(body) + "</article></body></html>").encode()


def as_two_columns(row: dict[str, Any]) -> bytes:
    import typst

    body, last = [], ""
    for section, text in paragraphs(row):
        body.append((f"= {escaped_typst(section)}\n" if section != last else "") + escaped_typst(text))
        last = section
    head = '#set page(paper: "us-letter", margin: 1in, columns: 2, header: [#align(center)[#text(8pt)[Running head]]], numbering: "1")\n#set text(size: 10pt)\n'
    return bytes(
        typst.compile(
            (head + "#set par(justify: true, first-line-indent: 1em)\n#show heading: set text(12pt)\n" + "\n\n".join(body)).encode()
        )
    )


def order_errors(truth: list[str], text: str) -> tuple[int, int]:
    """(neighbouring paragraphs found in the wrong order, pairs looked at), by the place of each paragraph's first eight words,
    where those stand only once."""
    flat = " ".join(words(text))
    starts = [" ".join(words(p)[:8]) for p in truth]
    places = [flat.find(s) if flat.count(s) == 1 else -1 for s in starts]
    pairs = [(a, b) for a, b in pairwise(places) if a >= 0 and b >= 0]
    return sum(a >= b for a, b in pairs), len(pairs)


def round_trips(data: Path) -> dict[str, Any]:
    rows = [json.loads(x) for x in (data / "fulltext_unarxive" / "unarxive_cs.jsonl").read_text().splitlines()]
    out: dict[str, Any] = {}
    for name, write, suffix in (("latex", as_latex, "tex"), ("html", as_html, "html"), ("two_columns", as_two_columns, "pdf")):
        recall, errors, pairs, whole, total = [], 0, 0, 0, 0
        for row in rows:
            document = read_bytes(write(row), filename=f"x.{suffix}")
            truth = [t for _, t in paragraphs(row)]
            recall.append(runs_recall([words(t) for t in truth], words(document.text)))
            wrong, seen = order_errors(truth, document.text)
            errors, pairs = errors + wrong, pairs + seen
            blocks = {" ".join(words(b)) for b in document.text.split("\n\n")}
            whole += sum(" ".join(words(t)) in blocks for t in truth)
            total += len(truth)
        out[name] = {
            "papers": len(rows), "shingle5_recall": round(statistics.mean(recall), 4), "lowest": round(min(recall), 4), "order_errors": errors,
            "pairs": pairs, "paragraphs_whole": f"{whole} of {total}",
        }  # fmt: skip
    return out


def pool_time(data: Path) -> dict[str, Any]:
    items = [(p.name, p.read_bytes()) for p in sorted((data / "fulltext_pmlr_v262" / "pdf").glob("*.pdf"))]
    started = time.perf_counter()
    done = [isinstance(r, Document) for _, r in read_many(items, workers=2)]
    return {"documents": len(done), "read": sum(done), "workers": 2, "seconds": round(time.perf_counter() - started, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    data = parser.parse_args().data
    result = {"pdf": pdf_scores(data), "tables": table_scores(data), "round_trips": round_trips(data), "bounded_pool": pool_time(data)}
    out = HERE / "results" / "readers.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
