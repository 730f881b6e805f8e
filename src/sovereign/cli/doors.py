"""The doors for other tools and for many questions: mcp, metrics and agenda. A thin face over mcp, metrics and working; every body imports what it needs."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from sovereign.cli import show

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
Home = Annotated[
    Path | None, typer.Option("--workspace", help="Where everything is kept. Default: $SOVEREIGN_HOME, else the platform's data folder.")
]
ItemId = Annotated[str, typer.Argument(metavar="ITEM", help="An item, as `agenda list` shows it.")]

agenda_app = typer.Typer(help="The queue of questions and its workers.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Adds the doors to the command line."""
    app.command("mcp")(mcp)
    app.command("metrics")(metrics)
    app.add_typer(agenda_app, name="agenda")


def _settings(workspace: Path | None, **overrides: Any) -> Any:
    from sovereign.settings import load

    return load(workspace, **overrides)


def mcp(workspace: Home = None) -> None:
    """Model Context Protocol server over stdio: ask, verify, check, search and read drafts. Nothing it offers approves or publishes."""
    from sovereign.mcp import serve

    serve(workspace)


def metrics(json_: Json = False, workspace: Home = None) -> None:
    """Runs, stations' times, searches, verdicts, failures and cost of this workspace. Counted here; nothing is sent anywhere."""
    from sovereign import wiring
    from sovereign.metrics import measure

    with wiring.workspace(_settings(workspace)) as ws:
        found = measure(ws)
    if json_:
        show.as_json(found)
        return
    states = ", ".join(f"{n} {s.replace('_', ' ')}" for s, n in found["runs"]["by_state"].items())
    show.say(f"runs       {found['runs']['total']}" + (f" ({states})" if states else ""))
    for name in ("searches", "verification", "decisions", "agenda", "cost_usd"):
        show.say(f"{name.removesuffix('_usd'):<10} {_line(found[name])}")
    if found["stations"]:
        show.table(
            ("Station", "Steps", "p50 s", "p95 s", "Total s"),
            [(s, v["steps"], v["p50_s"], v["p95_s"], v["total_s"]) for s, v in found["stations"].items()],
        )
    for failure in found["failures"]:
        show.say(f"failed     {failure['run_id']}: {failure['error']}")


def _line(value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, dict):
        return (
            ", ".join(f"{k} {'(' + _line(v) + ')' if isinstance(v, dict) else '–' if v is None else v}" for k, v in value.items()) or "none"
        )
    return str(value)


# --- agenda ---


@agenda_app.command("add")
def agenda_add(
    question: Annotated[str, typer.Argument(help="The research question; leave it out with --from-suggestion.")] = "",
    priority: Annotated[int, typer.Option(help="Higher is earlier.")] = 0,
    after: Annotated[list[str] | None, typer.Option(help="An item that must be done first; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="May be repeated; groups by the first tag take turns.")] = None,
    sources: Annotated[str, typer.Option(help="Comma list, as for `ask`.")] = "",
    lab: Annotated[str | None, typer.Option(help="off, smoke, standard or gpu.")] = None,
    model: Annotated[str, typer.Option(help="A language model; none is needed.")] = "",
    budget: Annotated[float | None, typer.Option(help="Cap for models in US dollars; default: the settings'.")] = None,
    attempts: Annotated[int, typer.Option(min=1, max=1000, help="How often it may be tried before it is put aside as dead.")] = 5,
    again: Annotated[bool, typer.Option("--again", help="Ask although the same was asked before.")] = False,
    from_suggestion: Annotated[str, typer.Option(help="A name that `agenda suggest` showed.")] = "",
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Puts a question on the agenda. Exit code 2 for a question that was asked already, naming it."""
    from sovereign import wiring, working
    from sovereign.errors import BadInput, SettingsInvalid
    from sovereign.store.agenda import Wanted

    chosen = _settings(workspace)
    if bool(question) == bool(from_suggestion):
        raise BadInput("Give either a question or --from-suggestion NAME.", mend="Suggestions: sovereign agenda suggest")
    if lab not in (None, "off", "smoke", "standard", "gpu"):
        raise SettingsInvalid(f"--lab {lab!r} is not known.", mend="Known: off, smoke, standard, gpu.")
    names = tuple(s.strip() for s in sources.split(",") if s.strip()) or tuple(chosen.sources)
    with wiring.workspace(chosen) as ws:
        wiring.ensure_default_library(ws, chosen, show.bar())
        if from_suggestion:
            item = working.add_suggestion(ws, chosen, from_suggestion, sources=names, priority=priority)
        else:
            wanted = Wanted(
                question,
                priority=priority,
                depends_on=tuple(after or ()),
                tags=tuple(tag or ()),
                sources=names,
                lab=lab or chosen.lab,
                model=model,
                budget_usd=budget,
                max_attempts=attempts,
            )
            item = working.add(ws, chosen, wanted, again=again)
    if json_:
        show.as_json(_told(item))
    else:
        show.say(f"{item.item_id} {item.state}: {item.question}")


@agenda_app.command("list")
def agenda_list(state: Annotated[str, typer.Option(help="Only this state.")] = "", json_: Json = False, workspace: Home = None) -> None:
    """The agenda, in the order in which it was filled."""
    from sovereign import wiring, working
    from sovereign.errors import UnknownName
    from sovereign.store.agenda import STATES

    if state and state not in STATES:
        raise UnknownName("state", state, STATES)
    with wiring.workspace(_settings(workspace)) as ws:
        items = working.agenda_of(ws).items((state,) if state else STATES)
    if json_:
        show.as_json([_told(i) for i in items])
        return
    if items:
        rows = [(i.item_id, i.state, i.priority or "", f"{i.attempts}/{i.max_attempts}", i.run_id, i.question, i.reason) for i in items]
        show.table(("Item", "State", "Priority", "Tried", "Run", "Question", "Why"), rows)
    show.say(f"{len(items)} items.")


def _told(item: Any) -> dict[str, Any]:
    from sovereign.door import item_told

    return item_told(item)


@agenda_app.command("suggest")
def agenda_suggest(
    n: Annotated[int, typer.Option("-n", min=1, max=50, help="At most this many.")] = 10, json_: Json = False, workspace: Home = None
) -> None:
    """Follow-up questions of the finished runs, each with its reason. Queues nothing: that takes `agenda add --from-suggestion NAME`."""
    from sovereign import wiring, working

    with wiring.workspace(_settings(workspace)) as ws:
        found = working.suggest(ws, at_most=n)
    rows = [{"name": working.name_of(s), **s.__dict__} for s in found.suggestions]
    if json_:
        show.as_json({"suggestions": rows, "resting": [{"topic": t, "reason": w} for t, w in found.resting]})
        return
    for row in rows:
        show.say(f"{row['name']}  {row['question']}")
        show.say(f"            because {row['reason']} ({row['run_id']})")
    for topic, why in found.resting:
        show.say(f"nothing more on {topic}: {why}")
    if not rows:
        show.say("No suggestions.")


def _steered(wish: str, item: str, json_: bool, workspace: Path | None) -> None:
    from sovereign import wiring, working

    with wiring.workspace(_settings(workspace)) as ws:
        changed = working.agenda_of(ws).steer(item, wish)
    if json_:
        show.as_json(_told(changed))
    else:
        show.say(f"{changed.item_id} {changed.state}: {changed.question}")


@agenda_app.command("pause")
def agenda_pause(item: ItemId, json_: Json = False, workspace: Home = None) -> None:
    """Takes an item out of the queue; a running one stops at its next station."""
    _steered("pause", item, json_, workspace)


@agenda_app.command("cancel")
def agenda_cancel(item: ItemId, json_: Json = False, workspace: Home = None) -> None:
    """Gives an item up; a running one stops at its next station. Its record stays."""
    _steered("cancel", item, json_, workspace)


@agenda_app.command("retry")
def agenda_retry(item: ItemId, json_: Json = False, workspace: Home = None) -> None:
    """Puts a failed, dead, paused or cancelled item back; a run that has begun goes on where it stopped."""
    _steered("retry", item, json_, workspace)


@agenda_app.command("work")
def agenda_work(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes on this machine; more than one needs PostgreSQL.")] = 1,
    once: Annotated[bool, typer.Option("--once", help="End when the agenda is empty instead of waiting for more.")] = False,
    lease: Annotated[float, typer.Option(min=1.0, max=3600.0, help="Seconds after which a silent worker's item is taken over.")] = 60.0,
    name: Annotated[str, typer.Option(help="The worker's name, unique over all machines. Default: host and process.")] = "",
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Works on the agenda. Killed at any moment, nothing is lost: the item is taken over and its run goes on."""
    from sovereign import working
    from sovereign.errors import SettingsInvalid

    chosen = _settings(workspace)
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    if workers > 1:
        if not chosen.database_url:
            raise SettingsInvalid(
                "Several workers need a shared database.", mend="Set SOVEREIGN_DATABASE_URL=postgresql://…, or use one worker."
            )
        command = ["agenda", "work", "--lease", str(lease), "--workspace", str(chosen.home), *(["--once"] if once else [])]
        codes = working.supervise(command, workers, stop=stop, tell=show.aside)
        if json_:
            show.as_json({"workers": workers, "exit_codes": codes})
        raise typer.Exit(max((abs(c) for c in codes), default=0) and 4)
    counts = working.work(chosen, worker=name, once=once, lease_s=lease, stop=stop, tell=show.aside)
    if json_:
        show.as_json(counts.__dict__)
    else:
        show.say(
            f"{counts.done} done, {counts.failed} failed, {counts.dead} dead, {counts.given_back} given back, in {counts.seconds:.1f} s."
        )
