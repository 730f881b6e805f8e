"""What programs may do with a workspace, without any protocol: ask, look, verify, check, search, queue. Imports the typed API, gate, checking and working.

The MCP server and the HTTP API are two faces of this one class. Refuses files of the machine (sources come as text or as papers of the library) and
everything that decides: nothing here approves, rejects, signs, publishes, corrects or deletes. What a client sends is data with a size limit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from sovereign import api, gate, wiring
from sovereign.errors import AskedAlready, BadInput, NotFound, UnknownName, Unreadable
from sovereign.kernel.review import STATE_AFTER
from sovereign.ports import Verifier
from sovereign.records import Document, Ruling, Verdict
from sovereign.settings import Settings
from sovereign.store.agenda import STATES, Agenda, Item, Wanted
from sovereign.store.workspace import Workspace

LONGEST_TEXT = 200_000  # characters of one text; a long paper has about 100 000
LONGEST_QUERY = 2_000
MOST_SOURCES = 20
MOST_PASSAGES = 50
RUN_STATES = tuple(dict.fromkeys(("running", "failed", "waiting_for_owner", *STATE_AFTER.values(), "published")))
PART = 100  # rows of one part of a list, at most
FORMATS = {"markdown": ".md", "latex": ".tex", "html": ".html", "text": ".txt"}  # of a manuscript
MEDIA = {
    "draft.md": "text/markdown; charset=utf-8",
    "draft.json": "application/json",
    "draft.html": "text/html; charset=utf-8",
    "draft.pdf": "application/pdf",
    "references.bib": "application/x-bibtex",
}
REFERENCES = {
    "bib": "application/x-bibtex",
    "ris": "application/x-research-info-systems",
    "csl": "application/vnd.citationstyles.csl+json",
}
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_ITEM_ID = re.compile(r"q-[0-9a-f]{8}(-[0-9]{1,5})?")
Opened = Callable[[], AbstractContextManager[Workspace]]
Row = dict[str, Any]


class Door:
    """`opened` gives the open workspace for one act: a server hands out the one it holds, a child process opens its own."""

    def __init__(self, settings: Settings, opened: Opened | None = None):
        self.settings = settings
        self._opened = opened or (lambda: wiring.workspace(settings))
        self._extra: tuple[Verifier, ...] | None = None  # the pair model is loaded once
        self._queue: dict[str, tuple[str, dict[str, Any]]] = {}  # what the gate found of runs, by the head of their ledger

    # --- asking ---

    def ask(self, question: str, sources: Sequence[str] | None, lab: str | None) -> api.Result:
        """Asks and waits for the end of the run. One at a time in a process: the run engine is one per process."""
        api.known_lab(lab)
        return api.result_of(wiring.ask(self.settings, short("question", question), sources=sources, lab=lab))

    def begin(self, question: str, sources: Sequence[str] | None, lab: str | None) -> str:
        """Puts a new run on record and gives its id; somebody else works on it. Raises for what cannot be asked."""
        api.known_lab(lab)
        with self._opened() as ws:
            return wiring.begin(ws, self.settings, short("question", question), sources=sources, lab=lab).run_id

    # --- runs ---

    def run(self, run_id: str) -> api.Result:
        """A run as it stands on record; looking writes nothing."""
        with self._opened() as ws:
            self._known(ws, run_id)
            return api.result_of(wiring.recorded(ws, run_id))

    def runs(self, *, state: str, after: str, limit: int) -> Row:
        """A part of all runs, newest first."""
        _known("state", state, RUN_STATES)
        with self._opened() as ws:
            rows = [
                {"run_id": r.run_id, "state": r.state, "created_at": r.created_at, "question": r.question, "error": r.error or None}
                for r in ws.runs.list()
            ]
        return part(rows, "run_id", after, limit, lambda r: not state or r["state"] == state)

    def claims(self, run_id: str, *, verdict: str, after: str, limit: int) -> Row:
        """A part of a run's claims with their rulings, in the order of the draft's record."""
        _known("verdict", verdict, tuple(Verdict))
        rows = [dict(c) for c in self.run(run_id).claims]
        return part(rows, "id", after, limit, lambda c: not verdict or c["verdict"] == verdict)

    def files(self, run_id: str) -> list[Row]:
        """Name, media type and sha256 of every printed file; empty before the draft is printed."""
        with self._opened() as ws:
            self._known(ws, run_id)
            found = wiring.files_of(ws, run_id)
        return [{"name": name, "media_type": media_of(name), "sha256": digest} for name, digest in sorted(found.items())]

    def file(self, run_id: str, name: str) -> tuple[bytes, str]:
        """(bytes, sha256) of one printed file."""
        with self._opened() as ws:
            self._known(ws, run_id)
            return api.printed(ws, run_id, name)

    def references(self, run_id: str, format: str) -> bytes:
        """The works that a draft cites, in order of their numbers: bib, ris or csl."""
        if format == "bib":
            return self.file(run_id, "references.bib")[0]
        from sovereign.archive import citations

        with self._opened() as ws:
            self._known(ws, run_id)
            return citations.export(gate.held(ws, run_id).cited, format)

    def reviews(self, *, after: str = "", limit: int = PART) -> Row:
        """A part of the drafts that wait for their owner, oldest first. They are decided by the owner alone, not here."""
        with self._opened() as ws:
            rows = [r for r in gate.queue(ws, self._queue) if r["state"] == "waiting_for_owner"]
        return part(rows, "run_id", after, limit)

    @staticmethod
    def _known(ws: Workspace, run_id: str) -> None:
        """Refuses what has not the shape of a run id before anything is looked up, and says nothing of this machine's folders."""
        if not _RUN_ID.fullmatch(run_id):
            raise NotFound(f"{run_id[:80]!r} is not a run id.", mend="They look like r-0123456789.", subject=run_id[:80])
        try:
            ws.runs.get(run_id)
        except NotFound as exc:
            raise NotFound(f"No run {run_id!r} in this workspace.", mend="List the runs to see which there are.", subject=run_id) from exc

    # --- judging ---

    def _further(self) -> tuple[Verifier, ...]:
        if self._extra is None:
            self._extra = wiring.verifiers_of(self.settings.entailment)
        return self._extra

    def verify(self, claim: str, texts: Sequence[tuple[str, str]], papers: Sequence[str]) -> Row:
        """One claim against given sources: the fields of a ruling."""
        from sovereign.kernel.verify import make_claim, verify_claim

        return {
            "claim": claim,
            **told(verify_claim(make_claim(short("claim", claim)), self._documents(texts, papers), extra=self._further())),
        }

    def check_text(self, text: str, texts: Sequence[tuple[str, str]], papers: Sequence[str]) -> Row:
        """Every statement of a text against given sources, and the counts."""
        rulings = api.check_text(bounded("text", text), self._documents(texts, papers), extra=self._further())
        counts = Counter(ruling.verdict.value for _, ruling in rulings)
        return {"claims": [{"text": statement, **told(ruling)} for statement, ruling in rulings], "summary": dict(counts)}

    def check_manuscript(
        self, text: str, *, format: str, bib: str, texts: Sequence[tuple[str, str]], papers: Sequence[str], sources: Sequence[str]
    ) -> Mapping[str, Any]:
        """The document of docs/check.md for a manuscript and a bibliography given as text."""
        from sovereign import checking

        bounded("text", text)
        given = self._documents(texts, papers) if texts or papers else []
        found = checking.check_text(
            self.settings,
            text,
            suffix=FORMATS[format],
            bib=bounded("bibliography", bib) if bib else "",
            against=given,
            sources=tuple(sources),
        )
        return found.body

    def _documents(self, texts: Sequence[tuple[str, str]], papers: Sequence[str]) -> list[tuple[str, Document]]:
        if not texts and not papers:
            raise BadInput("There is nothing to verify against.", mend="Give sources as texts with ids, or papers as ids of the library.")
        if len(texts) + len(papers) > MOST_SOURCES:
            raise BadInput(f"{len(texts) + len(papers)} sources were given.", mend=f"Give at most {MOST_SOURCES} at a time.")
        given = [(short("id", name), bounded(f"text of {name[:80]!r}", text)) for name, text in texts]
        wanted = [short("paper id", p) for p in papers]
        found = api.documents_of(self.settings, given)
        if wanted:
            with self._opened() as ws:
                found += api.library_documents(ws, self.settings, wanted)
        return found

    # --- the library, the agenda, the numbers ---

    def search(self, query: str, k: int) -> list[Row]:
        """The passages of the library nearest to a query, best first."""
        if not 1 <= k <= MOST_PASSAGES:
            raise BadInput(f"k is {k}.", mend=f"Give a number from 1 to {MOST_PASSAGES}.")
        short("query", query)
        with self._opened() as ws:
            wiring.ensure_default_library(ws, self.settings)
            return wiring.nearest_passages(ws, query, k)

    def agenda(self, *, state: str, after: str, limit: int) -> Row:
        """A part of the agenda, in the order in which it was filled."""
        _known("state", state, STATES)
        with self._opened() as ws:
            rows = [item_told(i) for i in _agenda(ws).items()]
        return part(rows, "item_id", after, limit, lambda i: not state or i["state"] == state)

    def agenda_item(self, item_id: str) -> Row:
        if not _ITEM_ID.fullmatch(item_id):
            raise NotFound(f"{item_id[:80]!r} is not an item of the agenda.", mend="They look like q-01234567.", subject=item_id[:80])
        with self._opened() as ws:
            return item_told(_agenda(ws).get(item_id))

    def add_to_agenda(self, wanted: Wanted, *, again: bool = False) -> Row:
        """Puts a question on the agenda; empty sources and lab take the settings'. Raises AskedAlready for what was asked before."""
        from sovereign import working

        short("question", wanted.question)
        api.known_lab(wanted.lab or None)
        if wanted.budget_usd is not None and wanted.budget_usd > self.settings.model_budget_usd:
            cap = self.settings.model_budget_usd
            raise BadInput(f"The budget is above the owner's cap of {cap:g} USD a run.", mend="Ask for less.", subject="budget_usd")
        wanted = replace(wanted, sources=wanted.sources or self.settings.sources, lab=wanted.lab or self.settings.lab)
        with self._opened() as ws:
            wiring.ensure_default_library(ws, self.settings)
            try:
                return item_told(working.add(ws, self.settings, wanted, again=again))
            except AskedAlready as exc:
                raise AskedAlready(exc.message, mend="Say `again` to ask anyway.", subject=exc.subject) from exc

    def metrics(self) -> Row:
        from sovereign.metrics import measure

        with self._opened() as ws:
            return measure(ws)


def _known(what: str, name: str, names: Sequence[str]) -> None:
    if name and name not in names:
        raise UnknownName(what, name[:80], tuple(names))


def _agenda(ws: Workspace) -> Agenda:
    from sovereign import working

    return working.agenda_of(ws)


def summary(found: api.Result) -> Row:
    """A run in one screen; its claims and files come apart."""
    body = found.body
    return {
        "run_id": found.run_id,
        "state": found.state,
        "question": body["question"],
        "created_at": body["created_at"],
        "title": found.title,
        "decision": found.decision,
        "reasons": body["policy"]["reasons"] if "draft" in body else None,
        "coverage": list(found.coverage),
        "checks": body.get("checks", []),
        "claims": len(found.claims),
        "degraded": found.degraded,
        "error": body.get("error"),
        "note": "Waits for its owner: nothing is published without the owner's signature." if found.state == "waiting_for_owner" else "",
    }


def item_told(item: Item) -> Row:
    """An item of the agenda for people and programs."""
    return {n: list(v) if isinstance(v, tuple) else v for n, v in item.__dict__.items() if n not in ("seq", "not_before", "lease_until")}


def told(ruling: Ruling) -> Row:
    from sovereign.press.contract import verdict

    return verdict(ruling)


def media_of(name: str) -> str:
    return MEDIA.get(name) or ("image/svg+xml" if name.endswith(".svg") else "image/png")


def part(rows: Sequence[Row], key: str, after: str, limit: int, wanted: Callable[[Row], bool] = lambda _: True) -> Row:
    """`limit` rows behind the one whose `key` is `after`, and `next`, from where to go on; None at the end.

    The place is a row and not a number: what is added meanwhile shifts nothing, and a row that no longer fits the filter still holds its place.
    Raises NotFound for a place that does not exist.
    """
    begin = 0
    if after:
        begin = next((n for n, r in enumerate(rows, 1) if r[key] == after), 0)
        if not begin:
            raise NotFound(f"The list has no {after[:80]!r} to go on from.", mend="Take `next` of the part before.", subject=after[:80])
    left = [r for r in rows[begin:] if wanted(r)]
    shown = left[:limit]
    return {"items": shown, "next": shown[-1][key] if len(left) > len(shown) else None, "total": sum(map(wanted, rows))}


def short(what: str, text: str) -> str:
    return bounded(what, text, LONGEST_QUERY)


def bounded(what: str, text: str, most: int = LONGEST_TEXT) -> str:
    if len(text) > most:
        raise BadInput(f"The {what} has {len(text)} characters.", mend=f"Give at most {most}.", subject=what[:80])
    if not text.strip():
        raise BadInput(f"The {what} is empty.", mend="Give some text.", subject=what[:80])
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise Unreadable(f"The {what} holds half a character.", kind="not_text", mend="Send it as valid Unicode.", subject=what[:80])
    return text
