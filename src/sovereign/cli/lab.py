"""`sovereign lab`: the laboratory alone, without the kernel. A thin face over lab.study; every body imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sovereign.cli import show

lab_app = typer.Typer(help="The laboratory alone: list, run, show, report, simulate.", no_args_is_help=True, rich_markup_mode=None)
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
Home = Annotated[
    Path | None, typer.Option("--workspace", help="Where trials are kept. Default: $SOVEREIGN_HOME, else the platform's data folder.")
]


def register(app: typer.Typer) -> None:
    app.add_typer(lab_app, name="lab")


def _trials(workspace: Path | None) -> Path:
    from sovereign.settings import load

    folder: Path = load(workspace).home / "trials"
    return folder


def _needs_lab(exc: ModuleNotFoundError) -> Exception:
    from sovereign.errors import MissingExtra

    return MissingExtra("lab", f"The lab ({exc.name})")


@lab_app.command("list")
def lab_list(json_: Json = False, workspace: Home = None) -> None:
    """The studies: what each tests, at which presets, and the reference trials that ship."""
    from sovereign import seal
    from sovereign.lab.bench import LabBench
    from sovereign.settings import load

    bench = LabBench(load(workspace))
    infos, references = bench.studies(), bench.reference_trials()
    if json_:
        show.as_json({"studies": seal.plain(infos), "reference_trials": [t.trial_id for t in references]})
        return
    for info in infos:
        show.say(info.name)
        show.say(f"  claim         {info.claim}")
        show.say(f"  source        {info.source}")
        show.say(f"  falsified if  {info.falsified_if}")
        show.say("  presets       " + ", ".join(f"{p} (about {s:.0f} s)" for p, s in info.presets.items()))
    for trial in references:
        show.say(f"reference trial {trial.trial_id} ({trial.started_at[:10]}, {trial.scale.value})")
    if not infos:
        show.say("No study can be run here: the lab extra is not installed. Run: pip install 'sovereign-kernel[lab]'")


@lab_app.command("run")
def lab_run(
    study: Annotated[str, typer.Argument(help="A study from `sovereign lab list`.")],
    preset: Annotated[str, typer.Option(help="smoke, standard or gpu.")] = "smoke",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A factor of the study; may be repeated.")] = None,
    model: Annotated[str | None, typer.Option(help="A checkpoint folder or hub id, for exact replication.")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    out: Annotated[Path | None, typer.Option(help="Where the trial goes. Default: the workspace.")] = None,
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Runs one study as a sealed trial: predictions first, then the run, then the verdicts by the written rule."""
    from sovereign import seal
    from sovereign.errors import LabInput

    factors: dict[str, str] = {} if model is None else {"model": model}
    for item in set_ or []:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise LabInput(f"--set {item!r} is not KEY=VALUE.", mend="Write for example --set budget=0.25,0.5.")
        factors[key] = value
    folder = out or _trials(workspace)
    bar = show.bar()
    try:
        from sovereign.lab import study as studies

        trial = studies.execute(
            study, preset=preset, factors=factors, out=folder, seed=seed, progress=lambda what, share: bar(what, round(100 * share), 100)
        )
    except ModuleNotFoundError as exc:
        raise _needs_lab(exc) from exc
    if json_:
        show.as_json(seal.plain(trial))
        return
    _summary(trial)
    show.say(f"  trial     {folder / trial.trial_id / 'trial.json'}")
    for figure in trial.figures:
        show.say(f"  figure    {folder / trial.trial_id / figure}")


def _summary(trial: Any) -> None:
    show.say()
    show.say(
        f"{trial.trial_id}: {trial.state.value}, scale {trial.scale.value}, {trial.timings_s.get('total', 0):.0f} s, digest {trial.digest[:16]}"
    )
    for s in trial.statements:
        show.say(f"  {s.verdict.value:<11} {s.text} ({s.source})")
        show.say(f"              {s.why}")
    for limit in trial.cannot_say:
        show.say(f"  cannot say  {limit}")


def _find(trial_id: str, workspace: Path | None) -> Path:
    from sovereign.errors import NotFound
    from sovereign.lab.bench import REFERENCE

    known: list[str] = []
    for root in (_trials(workspace), REFERENCE):
        for folder in sorted(root.glob("*/trial.json")) if root.is_dir() else []:
            known.append(folder.parent.name)
            if folder.parent.name == trial_id:
                return folder
    raise NotFound(f"No trial {trial_id!r}.", mend=f"Known: {', '.join(known) or 'none yet'}.", subject=trial_id)


@lab_app.command("show")
def lab_show(trial: Annotated[str, typer.Argument(help="A trial id.")], json_: Json = False, workspace: Home = None) -> None:
    """One trial, from the workspace or from those that ship. Exit code 1 when it does not match its seal."""
    from sovereign import seal
    from sovereign.lab.bench import read_trial

    held = read_trial(_find(trial, workspace))
    if json_:
        show.as_json(seal.plain(held))
    else:
        _summary(held)


@lab_app.command("report")
def lab_report(
    trial: Annotated[str | None, typer.Argument(help="A trial id; without one, all of them.")] = None,
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Trials as Markdown pages: statements, measurements with intervals, limits."""
    from sovereign import seal
    from sovereign.lab.bench import REFERENCE, read_trial
    from sovereign.lab.report import markdown

    roots = [r for r in (_trials(workspace), REFERENCE) if r.is_dir()]
    paths = [_find(trial, workspace)] if trial else [p for r in roots for p in sorted(r.glob("*/trial.json"))]
    held = [read_trial(p) for p in paths]
    if json_:
        show.as_json(seal.plain(held))
    else:
        show.say("\n\n".join(markdown(t) for t in held) or "No trials yet. Try: sovereign lab run routing_signatures")


@lab_app.command("simulate")
def lab_simulate(
    trace: Annotated[Path, typer.Argument(help="A routing trace (.npz of lab.trace), or a folder with events.csv and manifest.json.")],
    policy: Annotated[str, typer.Option(help="A cache policy, or a comma list.")] = "lru",
    cache: Annotated[float, typer.Option(help="Share of all experts that fit, 0-1.")] = 0.25,
    batch: Annotated[int, typer.Option(help="Requests decoded together.")] = 1,
    bandwidth: Annotated[float, typer.Option(help="Link bandwidth in GB/s, for the modelled times.")] = 25.0,
    error_rate: Annotated[float, typer.Option(help="Share of wrong entries in the invented forecasts, 0-1.")] = 0.1,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a layer-step that needs more experts than the cache holds.")] = False,
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Cache policies on a person's own trace: hits, bytes, and modelled TTFT and TPOT."""
    try:
        from sovereign.lab.caching.sweep import simulate_trace
    except ModuleNotFoundError as exc:
        raise _needs_lab(exc) from exc
    names = [name.strip() for name in policy.split(",") if name.strip()]
    rows = [simulate_trace(trace, n, cache, batch, bandwidth=bandwidth * 1e9, error_rate=error_rate, strict=strict) for n in names]
    if json_:
        show.as_json(rows[0] if len(rows) == 1 else rows)
        return
    flat = [_flat(r) for r in rows]
    show.table(("", *(str(r.get("policy", "")) for r in rows)), [(k, *(_short(r.get(k)) for r in flat)) for k in flat[0] if k != "policy"])


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested results on one level, for a table; lists are left to --json."""
    out: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{key} ")
        elif value is None or isinstance(value, (int, float, str)):
            out[f"{prefix}{key}".replace("_", " ")] = value
    return out


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
