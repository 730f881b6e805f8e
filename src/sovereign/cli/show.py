"""How the terminal shows things: progress on stderr, answers on stdout, JSON alone when asked. Imports rich lazily; refuses to decide anything."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def as_json(value: Any) -> None:
    """One JSON document on stdout and nothing else there."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, sort_keys=True)
    sys.stdout.write("\n")


def say(text: str = "") -> None:
    print(text)


def aside(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Stations:
    """One line per station: drawn in place on a terminal, plain lines when piped."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._live = sys.stderr.isatty()

    def __call__(self, station: str, state: str) -> None:
        if state == "started":
            self._since[station] = time.perf_counter()
            if self._live:
                print(f"  … {station}", end="\r", file=sys.stderr, flush=True)
            return
        if state != "done":
            aside(f"    {station}: {state}")
            return
        began = self._since.pop(station, None)
        took = f"{time.perf_counter() - began:6.2f} s" if began is not None else "on record"
        aside(f"  {'✓' if self._live else '-'} {station:<12}{took}")


def bar(quiet: bool = False) -> Callable[[str, int, int], None]:
    """A progress callback (what, done, total): a bar on a terminal, a line per ten percent when piped."""
    last: dict[str, int] = {}

    def progress(what: str, done: int, total: int) -> None:
        share = 100 if total <= 0 else min(100, 100 * done // total)
        if quiet or (what in last and share // 10 == last[what] // 10 and not sys.stderr.isatty()):
            return
        if sys.stderr.isatty():
            filled = share * 30 // 100
            end = "\n" if share >= 100 and last.get(what) != 100 else "\r"
            print(f"  {what[:28]:<28} [{'█' * filled}{'·' * (30 - filled)}] {share:3d} %", end=end, file=sys.stderr, flush=True)
        else:
            aside(f"  {what}: {share} %")
        last[what] = share

    return progress


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for name in header:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*("" if c is None else str(c) for c in row))
    Console(highlight=False, markup=False).print(shown)


def estimate(most: Any, cap_usd: float) -> None:
    """Before a model is asked anything: the most that the run can take, and the cap that holds."""
    money = f"{most.usd:.2f} US dollars" + ("" if most.priced else " (no price is known; 30/180 per million tokens are assumed)")
    aside(
        f"  models: at most {most.calls} calls, {most.tokens_in:,} tokens in and {most.tokens_out:,} out, {money}; the cap is {cap_usd:g} US dollars"
    )
    if most.usd > cap_usd:
        aside("  the cap may stop the run; what was answered is kept, and it goes on when the cap is raised")


def result(body: Mapping[str, Any], files: Mapping[str, str], state: str) -> None:
    """The end of `ask`: what was answered, what was decided, and where the PDF is."""
    answered = [c for c in body["coverage"] if c["answered"]]
    names = {f["id"]: f["text"] for f in body["facets"]}
    supported = sum(c["verdict"] == "SUPPORTED" for c in body["claims"])
    say()
    say(body["draft"]["title"])
    say()
    say(f"  claims    {len(body['claims'])} looked at, {supported} supported")
    say(f"  question  {len(answered)} of {len(body['coverage'])} parts answered" + _open(body, names))
    say(
        f"  tribunal  {body['tribunal']['score']:.2f} of 10, {body['tribunal']['decision']}, revision round {body['tribunal']['revision_round']}"
    )
    say(f"  policy    {body['policy']['decision']}: {body['policy']['rule']}")
    if quality := body.get("quality"):
        say(f"  quality   {(quality['tier'] or 'no tier').replace('_', ' ').lower()}: {quality['why']}")
    if body.get("spent", {}).get("calls"):
        cost = body["spent"]["cost_usd"]
        say(f"  models    {body['spent']['calls']} calls, {'an unknown amount' if cost is None else f'{cost:.4f} US dollars'}")
    for check in body["checks"]:
        if check["state"] != "PASSED":
            say(f"  check     {check['name']}: {check['state']} — {check['reason']}")
    say(f"  state     {state.replace('_', ' ')}; nothing is published without the owner's signature")
    say()
    say(f"  PDF       {files.get('draft.pdf', 'not written')}")
    say(f"  run       {body['run_id']}")


def _open(body: Mapping[str, Any], names: Mapping[str, str]) -> str:
    missing = [names.get(c["facet"], c["facet"]) for c in body["coverage"] if not c["answered"]]
    return f"; open: {', '.join(missing)}" if missing else ""
