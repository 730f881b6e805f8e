"""What the runs of a workspace cost and brought, counted from the ledger and the timings. Imports the store; refuses to send anything anywhere.

With the package opentelemetry-api installed, every station is also a span ("sovereign.station") for whatever tracer the host program has set up;
without one that is nothing. SOVEREIGN sets up no exporter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import sqlalchemy as sa

from sovereign.store import agenda
from sovereign.store.database import timings
from sovereign.store.workspace import Workspace

Progress = Callable[[str, str], None]


def measure(ws: Workspace) -> dict[str, Any]:
    """Counts and times over all runs. A rate over nothing is None, never 0; so is what is not recorded, with a word on why."""
    rows = ws.runs.list()
    events = [e for row in rows for e in ws.ledger.events(row.run_id)]
    verdicts = Counter(str(e.body["verdict"]) for e in events if e.kind == "verdict")
    decided = [e.body for e in events if e.kind == "policy_decided"]
    costs = [float(b["facts"]["cost_usd"]) for b in decided if b.get("facts", {}).get("cost_usd") is not None]
    judged = sum(verdicts.values())
    return {
        "runs": {"total": len(rows), "by_state": dict(Counter(r.state for r in rows))},
        "stations": _stations(ws),
        "searches": _searches([e.body for e in events if e.kind == "searched"]),
        "verification": {
            "verdicts": judged,
            "by_verdict": dict(verdicts.most_common()),
            "supported_rate": _rate(verdicts["SUPPORTED"], judged),
            "rejected_rate": _rate(verdicts["CONTRADICTED"], judged),
        },
        "decisions": dict(Counter(str(b["decision"]) for b in decided)),
        "cost_usd": {"total": round(sum(costs), 4), "runs_counted": len(costs)} if costs else None,
        "failures": [{"run_id": r.run_id, "error": r.error} for r in rows if r.state == "failed"],
        "agenda": _agenda(ws),
        "cache_hits": None,
        "not_recorded": ["cache_hits: the sources' answers carry no mark of where they came from"],
    }


def _stations(ws: Workspace) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {}
    with ws.database.read() as connection:
        for row in connection.execute(sa.select(timings.c.step_key, timings.c.seconds)):
            seconds.setdefault(row.step_key.rsplit("-", 1)[0], []).append(row.seconds)
    return {
        station: {"steps": len(held), "p50_s": quantile(held, 0.5), "p95_s": quantile(held, 0.95), "total_s": round(sum(held), 3)}
        for station, held in sorted(seconds.items(), key=lambda s: -sum(s[1]))
    }


def _searches(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    by_source: dict[str, Counter[str]] = {}
    for body in told:
        by_source.setdefault(str(body["source"]), Counter())[str(body["outcome"])] += 1
    return {"total": len(told), "by_source": {s: dict(c) for s, c in sorted(by_source.items())}}


def _agenda(ws: Workspace) -> dict[str, Any] | None:
    with ws.database.read() as connection:
        if not sa.inspect(connection).has_table("agenda"):
            return None
        found = connection.execute(sa.select(agenda.table.c.state, sa.func.count(), sa.func.sum(agenda.table.c.attempts)).group_by("state"))
        return {r[0]: {"items": r[1], "attempts": int(r[2])} for r in found}


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value with at least this share of all at or below it (nearest rank); None of nothing."""
    ordered = sorted(values)
    return round(ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)], 4) if ordered else None


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


@contextmanager
def traced(run_id: str, progress: Progress) -> Iterator[Progress]:
    """`progress` with a span per station that is really worked on; what is recalled from the record gives none. An error ends its station's span."""
    if find_spec("opentelemetry") is None:
        yield progress
        return
    from opentelemetry import trace

    tracer = trace.get_tracer("sovereign")
    open_spans: dict[str, Any] = {}

    def both(station: str, state: str) -> None:
        if state == "started":
            open_spans[station] = tracer.start_span(
                "sovereign.station", attributes={"sovereign.run_id": run_id, "sovereign.station": station}
            )
        elif (span := open_spans.pop(station, None)) is not None:
            span.end()
        progress(station, state)

    try:
        yield both
    finally:
        for span in open_spans.values():
            span.set_status(trace.StatusCode.ERROR)
            span.end()
