"""Hybrid search over the library's passages: tantivy (BM25, English stemmer) and dense vectors, fused by score. A derived thing.

Everything here can be rebuilt from the library's records at any time. `meta.json` is replaced last and atomically, and says up to which record
the index has come: what an interrupted build left behind is done again, what is missing is caught up before the next search.
Fusion: the weighted sum of both scores, each scaled to 0..1 over the best hundred. Fusion by rank was measured and left: it gives the weaker list an
equal say, and put the hybrid of the base embedder 9 points below BM25 alone (docs/benchmarks.md, retrieval).
"""

from __future__ import annotations

import fcntl
import json
import shutil
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sovereign import seal
from sovereign.errors import WorkspaceUnusable
from sovereign.ports import Embedder
from sovereign.records import Basis, Document, Passage, PassageKind
from sovereign.store.library import Library

DEPTH = 100  # candidates of either list at least; what is scaled and fused
FIELDS = {"whole": 1.0, "text": 0.2, "title": 0.2}  # weights in BM25, chosen on SciFact train: 70.4 against 67.7 by passage alone
HNSW_ABOVE = 50_000  # vectors; below it exact numpy search is faster and simpler
GRAPH = "vectors.usearch"
GRAPH_SEARCH = 128  # candidates looked at per query; docs/scale.md has the recall
REFIT_FACTOR = 2.0  # the embedder is fitted again when the library has grown by this factor
CHUNK = 10_000  # documents of one segment: what a build holds in memory at a time, and what an interruption can cost
FORMAT = 3  # of meta.json and the segments
_NOTHING: Mapping[str, Any] = {
    "generation": "g0", "seq": -1, "rows": 0, "documents": 0, "segments": [], "fitted_on": 0, "embedder": "", "dimension": 0, "removals": 0,
}  # fmt: skip
Progress = Callable[[str, int, int], None]  # what, done, total


class LibraryIndex:
    """Satisfies ports.Index. `fit` builds an embedder from texts, `load` brings a stored one back; `share` (0..1) of the score is the vectors'."""

    def __init__(
        self, library: Library, folder: Path, *, fit: Callable[[Sequence[str]], Any], load: Callable[[bytes], Any], share: float = 0.1
    ):
        self.library, self.folder, self._fit, self._load, self.share = library, folder, fit, load, share
        self._document = lru_cache(maxsize=512)(library.document)
        self._opened: tuple[str, Any, Any, Sequence[tuple[str, str, int]], Embedder] | None = None

    # --- searching ---

    def search(self, text: str, k: int) -> list[tuple[str, Passage, float]]:
        """(paper_id, passage, score in 0..1), best first, ties broken by document and place."""
        self.catch_up()
        _, index, vectors, rows, embedder = self._open()
        if not rows or k <= 0:
            return []
        depth = max(DEPTH, 4 * k)
        scores: dict[int, float] = {}
        for weight, found in (
            (1.0 - self.share, self._by_keyword(index, text, depth)),
            (self.share, self._by_vector(vectors, embedder, text, depth) if self.share else []),
        ):
            for row, score in _scaled(found):
                scores[row] = scores.get(row, 0.0) + weight * score
        best = sorted(scores, key=lambda row: (-scores[row], rows[row][1], rows[row][2]))[:k]
        return [(rows[r][0], self._document(rows[r][1]).passages[rows[r][2]], scores[r]) for r in best]

    def titled(self, text: str, k: int) -> list[str]:
        """paper_ids whose title matches any of the words, best first."""
        import tantivy

        self.catch_up()
        _, index, _, rows, _ = self._open()
        words = _query_words(text)
        if not rows or not words:
            return []
        searcher = index.searcher()
        queries = [(tantivy.Occur.Should, index.parse_query(w, ["title"])) for w in words]
        hits = searcher.search(tantivy.Query.boolean_query(queries), 40 * k).hits
        return list(dict.fromkeys(rows[int(searcher.doc(a)["row"][0])][0] for _, a in hits))[:k]

    def _by_keyword(self, index: Any, text: str, depth: int) -> list[tuple[int, float]]:
        """(row, BM25), best first."""
        searcher = index.searcher()
        words = [t for t in _query_words(text) if t]
        if not words:
            return []
        query = index.parse_query(" ".join(words), list(FIELDS), field_boosts=FIELDS)
        return [(int(searcher.doc(address)["row"][0]), float(score)) for score, address in searcher.search(query, depth).hits]

    def _by_vector(self, vectors: Any, embedder: Embedder, text: str, depth: int) -> list[tuple[int, float]]:
        """(row, cosine), best first."""
        query = embedder.embed([text], kind="query")[0]
        if not np.any(query) or len(vectors) == 0:
            return []
        if hasattr(vectors, "search"):
            return [(int(m.key), 1.0 - float(m.distance)) for m in vectors.search(query, depth)]
        scores = vectors @ query
        top = np.argpartition(-scores, min(depth, len(scores) - 1))[:depth]
        return [(int(i), float(scores[i])) for i in top[np.lexsort((top, -scores[top]))]]

    # --- building ---

    def catch_up(self, progress: Progress = lambda *_: None) -> None:
        """Brings the index to the library's state. Cheap when nothing changed; safe to interrupt; one builder at a time."""
        meta = self._meta()
        if meta["removals"] == self.library.removals() and not self.library.changes_since(meta["seq"]):
            return
        with self._lock():
            meta = self._meta()
            changes = self.library.changes_since(meta["seq"])
            if meta["removals"] != self.library.removals():
                self._rebuild(progress)
                self._opened = None
                return
            if not changes:
                return
            total = meta["documents"] + len(changes)  # documents, as fitted_on: a document has several rows
            if not meta["embedder"] or total > REFIT_FACTOR * max(1, meta["fitted_on"]):
                self._rebuild(progress)
            else:
                self._extend_all(meta, changes, progress)
        self._opened = None

    def rebuild(self, progress: Progress = lambda *_: None) -> None:
        with self._lock():
            self._rebuild(progress)
        self._opened = None

    def _rebuild(self, progress: Progress) -> None:
        changes = self.library.changes_since(-1)
        generation = f"g{int(self._meta()['generation'][1:]) + 1}"
        folder = self.folder / generation
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        sample = [text for _, digest, _ in _spread(changes, 4000) for _, text in _indexed(self._document(digest))]
        progress("learning word statistics", 0, 1)
        embedder = self._fit(sample)
        (folder / "embedder.npz").write_bytes(embedder.to_bytes())
        meta = {
            **_NOTHING,
            "format": FORMAT,
            "generation": generation,
            "fitted_on": len(changes),
            "removals": self.library.removals(),
        }
        meta |= {"embedder": embedder.name, "dimension": embedder.dimension}
        (folder / "words").mkdir()
        self._extend_all(meta, changes, progress, index=_new_tantivy(folder / "words"), embedder=embedder)
        for old in self.folder.glob("g*"):
            if old.name != generation:
                shutil.rmtree(old, ignore_errors=True)

    def _extend_all(
        self, meta: dict[str, Any], changes: Sequence[tuple[str, str, int]], progress: Progress, *, index: Any = None, embedder: Any = None
    ) -> None:
        """In chunks, each accounted for in meta.json: memory does not grow with what is added, and an interrupted build goes on at its chunk."""
        for first in range(0, max(1, len(changes)), CHUNK):
            meta = self._extend(meta, changes[first : first + CHUNK], progress, index=index, embedder=embedder)
        if meta["rows"] > HNSW_ABOVE:
            progress("building the vector graph", 0, 1)
            _grow(self.folder / meta["generation"], meta["segments"])
            progress("building the vector graph", 1, 1)

    def _extend(
        self, meta: dict[str, Any], changes: Sequence[tuple[str, str, int]], progress: Progress, *, index: Any = None, embedder: Any = None
    ) -> dict[str, Any]:
        import tantivy

        folder = self.folder / meta["generation"]
        index = index if index is not None else tantivy.Index.open(str(folder / "words"))
        embedder = embedder if embedder is not None else self._load((folder / "embedder.npz").read_bytes())
        if embedder.name != meta["embedder"]:
            raise WorkspaceUnusable("The index was built with another embedder.", mend="Run: sovereign library reindex")
        writer = index.writer(64_000_000, 1)
        first_row = meta["rows"]
        for number, _row in enumerate(_leftovers(index, first_row)):  # rows of a build that did not reach its meta.json
            writer.delete_documents("row", first_row + number)
        rows: list[tuple[str, str, int]] = []
        texts: list[str] = []
        titles = {}
        for done, (paper_id, digest, _seq) in enumerate(changes):
            if done % 200 == 0:
                progress("indexing", done, len(changes))
            document = self._document(digest)
            if paper_id not in titles:
                paper = self.library.paper(paper_id)
                titles[paper_id] = paper.title if paper else ""
            for ordinal, text in _indexed(document):
                entry = tantivy.Document()
                entry.add_unsigned("row", first_row + len(rows))
                entry.add_text("title", titles[paper_id])
                entry.add_text("text", text)
                entry.add_text("whole", f"{titles[paper_id]}. {document.text if document.basis is Basis.ABSTRACT_ONLY else text}")
                writer.add_document(entry)
                rows.append((paper_id, digest, ordinal))
                titled = document.passages[ordinal].kind is PassageKind.ABSTRACT and titles[paper_id]
                texts.append(f"{titles[paper_id]}. {text}" if titled else text)  # an abstract seldom repeats what its title says
        writer.commit()
        writer.wait_merging_threads()
        progress("embedding", 0, 1)
        vectors = np.concatenate(
            [embedder.embed(texts[i : i + 2000], kind="passage") for i in range(0, len(texts), 2000)] or [_none(embedder)]
        )
        segment = f"seg{len(meta['segments'])}"
        np.save(folder / f"{segment}.npy", vectors.astype(np.float32))
        (folder / f"{segment}.json").write_text(json.dumps(_packed(rows)))
        seq = max((s for *_, s in changes), default=meta["seq"])
        meta = meta | {"seq": seq, "rows": first_row + len(rows), "segments": [*meta["segments"], segment]}
        meta["documents"] += len(changes)
        part = self.folder / "meta.json.part"
        part.write_text(seal.pretty(meta))
        part.replace(self.folder / "meta.json")
        progress("indexing", len(changes), len(changes))
        return meta

    # --- opening ---

    def _open(self) -> tuple[str, Any, Any, Sequence[tuple[str, str, int]], Embedder]:
        meta = self._meta()
        key = f"{meta['generation']}/{meta['rows']}"
        if self._opened is None or self._opened[0] != key:
            self._opened = self._load_all(meta, key)
        return self._opened

    def _load_all(self, meta: dict[str, Any], key: str) -> tuple[str, Any, Any, Sequence[tuple[str, str, int]], Any]:
        import tantivy

        if not meta["embedder"]:
            return key, None, np.zeros((0, 1), dtype=np.float32), _Rows(), None
        folder = self.folder / meta["generation"]
        try:
            index = tantivy.Index.open(str(folder / "words"))
            embedder = self._load((folder / "embedder.npz").read_bytes())
            rows = _Rows()
            for segment in meta["segments"]:
                rows.extend(json.loads((folder / f"{segment}.json").read_text()))
            parts = [
                np.load(folder / f"{s}.npy", mmap_mode="r") for s in meta["segments"]
            ]  # mapped: what the graph makes needless is never read
        except (OSError, ValueError) as exc:
            raise WorkspaceUnusable("The library index is damaged.", mend="Run: sovereign library reindex") from exc
        if sum(map(len, parts)) != len(rows) or {p.shape[1] for p in parts} != {meta["dimension"]} or embedder.name != meta["embedder"]:
            raise WorkspaceUnusable("The library index mixes embedders.", mend="Run: sovereign library reindex")
        return key, index, _approximate(folder, parts) if len(rows) > HNSW_ABOVE else np.concatenate(parts), rows, embedder

    def _meta(self) -> dict[str, Any]:
        path = self.folder / "meta.json"
        if not path.is_file():
            return dict(_NOTHING)
        found: dict[str, Any] = json.loads(path.read_text())
        if found.get("format") != FORMAT:  # written by another version: everything is built again, under the next generation's name
            return {**_NOTHING, "generation": found["generation"]}
        return found

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)  # released when the file closes, also by a kill
            yield


class _Rows(Sequence[tuple[str, str, int]]):
    """Row number -> (paper_id, document digest, ordinal of the passage), eight bytes per row and two words per document."""

    def __init__(self) -> None:
        self._documents: list[tuple[str, str]] = []
        self._document, self._ordinal = array("i"), array("i")

    def extend(self, packed: Sequence[tuple[str, str, Sequence[int]]]) -> None:
        for paper_id, digest, ordinals in packed:
            self._document.extend([len(self._documents)] * len(ordinals))
            self._ordinal.extend(ordinals)
            self._documents.append((paper_id, digest))

    def __len__(self) -> int:
        return len(self._ordinal)

    def __getitem__(self, row: Any) -> Any:
        return (*self._documents[self._document[row]], self._ordinal[row])


def _packed(rows: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, list[int]]]:
    out: list[tuple[str, str, list[int]]] = []
    for paper_id, digest, ordinal in rows:
        if not out or out[-1][:2] != (paper_id, digest):
            out.append((paper_id, digest, []))
        out[-1][2].append(ordinal)
    return out


def _indexed(document: Document) -> list[tuple[int, str]]:
    """(ordinal, text) of what is searched: everything but references and equations; a row with its caption and header."""
    out = []
    for ordinal, passage in enumerate(document.passages):
        if passage.kind in (PassageKind.REFERENCE, PassageKind.EQUATION):
            continue
        text = passage.text
        if passage.table is not None:
            text = f"{passage.table.caption} {' '.join(passage.table.header)} {text}"
        out.append((ordinal, text))
    return out


def _scaled(found: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Scores from 0 (worst of the list) to 1 (best), so that those of two lists can be added. A single hit counts fully."""
    if not found:
        return []
    low, high = min(s for _, s in found), max(s for _, s in found)
    return [(row, (score - low) / (high - low) if high > low else 1.0) for row, score in found]


def _spread(changes: Sequence[Any], size: int) -> Sequence[Any]:
    return changes[:: max(1, -(-len(changes) // size))]


def _query_words(text: str) -> list[str]:
    """Plain words only: the query language's operators in a question are words, not orders."""
    return [w for w in "".join(c if c.isalnum() else " " for c in text).split() if w.upper() not in ("AND", "OR", "NOT", "IN", "TO")]


def _new_tantivy(folder: Path) -> Any:
    import tantivy

    schema = tantivy.SchemaBuilder()
    schema.add_unsigned_field("row", stored=True, indexed=True)
    schema.add_text_field("title", tokenizer_name="en_stem")
    schema.add_text_field("text", tokenizer_name="en_stem")
    schema.add_text_field(
        "whole", tokenizer_name="en_stem"
    )  # the abstract that a passage of it stands in, else the passage; with the title
    return tantivy.Index(schema.build(), path=str(folder))


def _leftovers(index: Any, first_row: int) -> range:
    """The rows that a build wrote but did not account for in meta.json."""
    index.reload()
    return range(max(0, index.searcher().num_docs - first_row))


def _none(embedder: Embedder) -> Any:
    return np.zeros((0, embedder.dimension), dtype=np.float32)


def _grow(folder: Path, segments: Sequence[str]) -> None:
    """Adds the segments that the graph on disk lacks; builds it again where it holds anything but whole segments."""
    path = folder / GRAPH
    parts = [np.load(folder / f"{s}.npy", mmap_mode="r") for s in segments]
    graph = _new_graph(parts[0].shape[1])
    if path.is_file():
        graph.load(str(path))
    if len(graph) not in np.cumsum([0, *map(len, parts)]):
        graph = _new_graph(parts[0].shape[1])
    row, held = 0, len(graph)
    for vectors in parts:
        if row >= held:
            graph.add(np.arange(row, row + len(vectors)), np.ascontiguousarray(vectors))
        row += len(vectors)
    part = path.with_name(GRAPH + ".part")
    graph.save(str(part))
    part.replace(path)


def _approximate(folder: Path, parts: Sequence[Any]) -> Any:
    """The graph on disk, mapped and not read; built in memory where it is missing or does not fit the rows."""
    path = folder / GRAPH
    if path.is_file():
        graph = _new_graph(parts[0].shape[1])
        graph.view(str(path))
        graph.expansion_search = GRAPH_SEARCH  # a loaded file brings its own
        if len(graph) == sum(map(len, parts)):
            return graph
    graph = _new_graph(parts[0].shape[1])
    for vectors in parts:
        graph.add(np.arange(len(graph), len(graph) + len(vectors)), np.ascontiguousarray(vectors))
    return graph


def _new_graph(dimension: int) -> Any:
    from usearch.index import Index

    return Index(ndim=dimension, metric="ip", dtype="f16", expansion_search=GRAPH_SEARCH)  # f16: half the size
