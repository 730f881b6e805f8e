"""The JSON document of a manuscript check and its exit code. Imports the kernel's results and the press; refuses to judge anything again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sovereign import __version__, seal
from sovereign.checking.files import Bibliography, Finder, Manuscript, Place
from sovereign.kernel import manuscript as claims
from sovereign.kernel.bibliography import ReferenceVerdict, Status
from sovereign.kernel.manuscript import Checked, Source, Statement
from sovereign.press.contract import verdict
from sovereign.records import Ruling, State, Verdict

NOT_RUN = "NOT_RUN"  # stands in "verdict" when the cited source was not there


@dataclass(frozen=True)
class Report:
    """`body`: the JSON document of docs/check.md. exit_code: 0 all fine, 1 something refuted or mismatched, 3 something could not be decided."""

    body: Mapping[str, Any]
    exit_code: int


_WORDS = {
    Verdict.SUPPORTED: "supported",
    Verdict.QUALIFIED: "qualified",
    Verdict.CONTRADICTED: "contradicted",
    Verdict.NOT_FOUND: "not_found",
    Verdict.NOT_CHECKABLE: "not_checkable",
    Verdict.UNRESOLVED: "unresolved",
}


def report(
    held: Manuscript, book: Bibliography, outline: claims.Outline, checked: Sequence[tuple[Statement, Checked]], verdicts: Sequence[ReferenceVerdict],
    used: Sequence[tuple[Source, list[str]]], skipped: Sequence[Mapping[str, str]],
) -> Report:  # fmt: skip
    """What a script reads, from what the kernel said."""
    finder = Finder(held.texts)
    places = [finder.place(held.document.text[s.start : s.end]) for s, _ in checked]
    rows = [_claim(c, place) for (_, c), place in zip(checked, places, strict=True)]
    cited = dict(outline.cited_keys)
    by_key = {key: [s.name for s, keys in used if key in keys] for key in cited}
    references = [_reference(v, cited.get(v.key, 0), by_key.get(v.key, []), book.lines.get(v.key)) for v in verdicts]
    problems = [
        {"key": p.key, "line": p.line, "file": p.file, "problem": p.problem, "kind": p.kind, "cited": p.key in cited} for p in book.problems
    ]
    counts = Counter(_WORDS[c.ruling.verdict] if c.ruling else "not_run" for _, c in checked)
    statuses = Counter(v.status.value for v in verdicts)
    code, why = _exit(checked, verdicts, problems)
    body = {
        "schema": "sovereign/check-1",
        "version": __version__,
        "manuscript": {
            "file": str(held.path),
            "name": held.path.name,
            "title": held.document.title,
            "sha256": held.sha256,
            "text_sha256": held.document.sha256,
            "reader": held.document.reader,
            "unread": seal.plain(held.document.unread),
            "suspicious": list(held.document.suspicious),
        },
        "claims": rows,
        "references": references,
        "bibliography": {
            "files": book.files,
            "paths": [str(p) for p in book.paths],
            "entries": len(book.references),
            "uncited": sorted(set(book.references) - set(cited)),
            "problems": problems,
        },
        "sources": [_source(s, keys) for s, keys in used],
        "skipped": list(skipped),
        "summary": {
            "claims": len(rows),
            "cited": sum(s.cited for s, _ in checked),
            "uncited": sum(not s.cited for s, _ in checked),
            "own_figures": outline.own,
            **{name: counts.get(name, 0) for name in (*_WORDS.values(), "not_run")},
            "references": {"cited": len(verdicts), **{s.value: statuses.get(s.value, 0) for s in Status}},
            "exit_code": code,
            "answer": why,
        },
    }  # fmt: skip
    return Report(body, code)


def _source(source: Source, keys: Sequence[str]) -> dict[str, Any]:
    document = source.document
    return {
        "file": source.name,
        "paper": source.paper.paper_id,
        "title": source.paper.title,
        "basis": document.basis.value,
        "doc_sha256": document.sha256,
        "keys": list(keys),
    }


def _claim(c: Checked, place: Place | None) -> dict[str, Any]:
    statement = c.statement
    ruled: dict[str, Any] = verdict(c.ruling) if c.ruling else _not_run(c)
    return {
        "id": claims.statement_id(statement),
        "text": statement.text,
        "kind": "cited" if statement.cited else "uncited",
        "cites": list(statement.keys),
        "unmatched": list(statement.unmatched),
        "section": statement.section,
        "start": statement.start,
        "end": statement.end,
        "location": None if place is None else seal.plain(place),
        "state": c.state.value,
        "slot": c.slot,
        "mend": c.mend,
        "missing": list(c.missing),
        "looked_at": list(c.sources),
        "answers": [],
        "slots": seal.plain(c.claim.slots),
        **ruled,
        "reason": c.reason,
    }


def _not_run(c: Checked) -> dict[str, Any]:
    """The fields of a ruling where there is none: unknown is null, never a number."""
    checks = [{"name": "cited source", "state": State.NOT_RUN.value, "reason": c.reason}]
    return {
        "verdict": NOT_RUN,
        "level": "L0",
        "probability": None,
        "basis": None,
        "evidence": [],
        "contested_by": [],
        "checks": checks,
        "judgements": [],
    }


def _reference(v: ReferenceVerdict, times: int, files: Sequence[str], line: tuple[str, int] | None) -> dict[str, Any]:
    return {
        "key": v.key,
        "status": v.status.value,
        "outcome": v.outcome.value,
        "detail": v.detail,
        "mend": v.mend,
        "fault": v.fault,
        "differences": seal.plain(v.differences),
        "cited": times,
        "sources": list(files),
        "location": None if line is None else {"file": line[0], "line": line[1]},
    }


def _accused(ruling: Ruling | None) -> bool:
    return ruling is not None and ruling.verdict in (Verdict.CONTRADICTED, Verdict.QUALIFIED)


def _open(c: Checked) -> bool:
    """Neither supported nor accused, and not an opinion: the answer is not known. An uncited figure that no source has is only a remark."""
    if c.ruling is None:
        return c.statement.cited
    return c.statement.cited and c.ruling.verdict in (Verdict.NOT_FOUND, Verdict.UNRESOLVED)


def _exit(
    checked: Sequence[tuple[Statement, Checked]], verdicts: Sequence[ReferenceVerdict], problems: Sequence[Mapping[str, Any]]
) -> tuple[int, str]:
    """The written rule of docs/check.md."""
    accused = sum(_accused(c.ruling) for _, c in checked)
    faults = sum(v.fault for v in verdicts) + sum(bool(p["cited"]) and p["kind"] == "duplicate" for p in problems)
    undecided = sum(_open(c) for _, c in checked) + sum(v.status is Status.UNRESOLVED and not v.fault for v in verdicts)
    if accused or faults:
        return 1, f"{_count(accused, 'claim')} and {_count(faults, 'reference')} to mend, {undecided} not decided"
    if undecided:
        return 3, f"nothing refuted; {undecided} not decided"
    return 0, "every cited claim is supported, every cited reference resolved"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
