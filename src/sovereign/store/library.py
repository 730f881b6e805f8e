"""The library: papers, their documents, and who is the same as whom. Imports database, blobs and identity; refuses to rank (index.py does)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from sovereign import identity, seal
from sovereign.records import Basis, Document, Paper
from sovereign.store.blobs import BlobStore
from sovereign.store.database import Database, documents, facts, imports, papers


@dataclass(frozen=True)
class Addition:
    """One work to be added: what is known about it and, where there is text, the parsed document."""

    paper: Paper
    document: Document | None
    origin: str


@dataclass(frozen=True)
class Added:
    new_papers: int
    new_documents: int
    unchanged: int


class Library:
    def __init__(self, database: Database, blobs: BlobStore):
        self.database, self.blobs = database, blobs

    def add(self, additions: Sequence[Addition]) -> Added:
        """One transaction for the whole batch. Adding the same again changes nothing."""
        new_papers = new_documents = unchanged = 0
        with self.database.write() as tx:
            self.database.lock(tx, "library")  # numbers must appear in order: the index reads what came after its last one
            seq = self._next_seq(tx)
            for item in additions:
                known = self._find(tx, item.paper)
                if known is None:
                    paper, changed = item.paper, True
                    new_papers += 1
                    tx.execute(
                        papers.insert().values(
                            paper_id=paper.paper_id,
                            seq=seq,
                            title_key=identity.normalise_title(paper.title),
                            body=seal.canonical(paper).decode(),
                        )
                    )
                else:
                    paper, changed = self._united(tx, known, item, seq)
                if item.document is not None and self._attach(tx, paper.paper_id, item, seq):
                    new_documents += 1
                elif not changed:
                    unchanged += 1
                seq += 1
        return Added(new_papers, new_documents, unchanged)

    def _united(self, tx: sa.Connection, known: Paper, item: Addition, seq: int) -> tuple[Paper, bool]:
        """What two records of one work know together, under the name that is already in use."""
        merged = identity.merge([("library", known), (item.origin, item.paper)])
        paper = replace(merged[0][0], paper_id=known.paper_id) if len(merged) == 1 else known
        if seal.canonical(replace(paper, provenance=())) == seal.canonical(replace(known, provenance=())):
            return known, False
        tx.execute(
            papers.update()
            .where(papers.c.paper_id == known.paper_id)
            .values(seq=seq, title_key=identity.normalise_title(paper.title), body=seal.canonical(paper).decode())
        )
        return paper, True

    def _attach(self, tx: sa.Connection, paper_id: str, item: Addition, seq: int) -> bool:
        assert item.document is not None
        digest = self.blobs.put_in(tx, seal.canonical(item.document))
        mine = documents.c.paper_id == paper_id
        if tx.execute(sa.select(documents.c.seq).where(mine, documents.c.digest == digest)).first() is not None:
            return False
        if item.document.basis is Basis.NOTE:  # a newer note replaces the older one; runs that read the old one keep its blob
            replaced = tx.execute(documents.delete().where(mine, documents.c.basis == Basis.NOTE.value, documents.c.origin == item.origin))
            if replaced.rowcount:
                self._count_removal(tx)
        tx.execute(
            documents.insert().values(paper_id=paper_id, digest=digest, seq=seq, basis=item.document.basis.value, origin=item.origin)
        )
        return True

    def _count_removal(self, tx: sa.Connection) -> None:
        """The index must be built again: it cannot forget single rows."""
        held = tx.execute(sa.select(facts.c.value).where(facts.c.name == "removals")).scalar()
        tx.execute(facts.delete().where(facts.c.name == "removals"))
        tx.execute(facts.insert().values(name="removals", value=str(int(held or 0) + 1)))

    def removals(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute(sa.select(facts.c.value).where(facts.c.name == "removals")).scalar() or 0)

    def _find(self, tx: sa.Connection, paper: Paper) -> Paper | None:
        row = tx.execute(sa.select(papers.c.body).where(papers.c.paper_id == paper.paper_id)).first()
        if row is not None:
            return seal.revive(Paper, row[0])
        for candidate in tx.execute(sa.select(papers.c.body).where(papers.c.title_key == identity.normalise_title(paper.title))):
            other = seal.revive(Paper, candidate[0])
            if other.kind == paper.kind and identity.same_work(other, paper):
                return other
        return None

    def _next_seq(self, tx: sa.Connection) -> int:
        highest = [tx.execute(sa.select(sa.func.max(t.c.seq))).scalar() for t in (papers, documents)]
        return max((h for h in highest if h is not None), default=0) + 1

    # --- reading back ---

    def paper(self, paper_id: str) -> Paper | None:
        with self.database.read() as connection:
            row = connection.execute(sa.select(papers.c.body).where(papers.c.paper_id == paper_id)).first()
        return seal.revive(Paper, row[0]) if row else None

    def papers(self) -> Iterator[Paper]:
        with self.database.read() as connection:
            for row in connection.execute(sa.select(papers.c.body).order_by(papers.c.seq)):
                yield seal.revive(Paper, row[0])

    def titles(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(title, names the work is known by) of every paper."""
        with self.database.read() as connection:
            if not self.database.is_sqlite:
                for row in connection.execute(sa.select(papers.c.body)):
                    held = json.loads(row[0])
                    yield held["title"], tuple(held.get("names", ()))
                return
            fields = (sa.func.json_extract(papers.c.body, "$.title"), sa.func.json_extract(papers.c.body, "$.names"))
            for title, names in connection.execute(sa.select(*fields)):
                yield title, tuple(json.loads(names)) if names and names != "[]" else ()

    def documents_of(self, paper_id: str) -> list[tuple[str, Basis]]:
        """(blob digest, basis) of each document, best basis first: full text, then note, then abstract."""
        order = {Basis.FULL_TEXT: 0, Basis.NOTE: 1, Basis.ABSTRACT_ONLY: 2}
        with self.database.read() as connection:
            rows = connection.execute(sa.select(documents.c.digest, documents.c.basis).where(documents.c.paper_id == paper_id))
            found = [(r.digest, Basis(r.basis)) for r in rows]
        return sorted(found, key=lambda d: (order[d[1]], d[0]))

    def document(self, digest: str) -> Document:
        return seal.revive(Document, self.blobs.get(digest))

    def changes_since(self, seq: int) -> list[tuple[str, str, int]]:
        """(paper_id, document digest, seq) of every document added after `seq`, oldest first."""
        with self.database.read() as connection:
            rows = connection.execute(
                sa.select(documents.c.paper_id, documents.c.digest, documents.c.seq).where(documents.c.seq > seq).order_by(documents.c.seq)
            )
            return [(r.paper_id, r.digest, r.seq) for r in rows]

    def count(self) -> tuple[int, int]:
        """(papers, documents)."""
        with self.database.read() as connection:
            return tuple(connection.execute(sa.select(sa.func.count()).select_from(t)).scalar() or 0 for t in (papers, documents))  # type: ignore[return-value]

    def imported(self, digest: str) -> str | None:
        """What came of a file with this content when it was added before; None when it never was."""
        with self.database.read() as connection:
            row = connection.execute(sa.select(imports.c.outcome).where(imports.c.digest == digest)).first()
        return row[0] if row else None

    def note_import(self, digest: str, name: str, count: int, outcome: str) -> None:
        with self.database.write() as tx:
            tx.execute(imports.delete().where(imports.c.digest == digest))
            tx.execute(imports.insert().values(digest=digest, name=name, papers=count, outcome=outcome))


def batches(items: Iterable[Addition], size: int = 400) -> Iterator[list[Addition]]:
    batch: list[Addition] = []
    for item in items:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
