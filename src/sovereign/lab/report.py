"""A trial on one page of Markdown: what was run, what each published statement's verdict is, the numbers, and what it cannot say.

Imports records only. Refuses to add anything that is not in the trial.
"""

from __future__ import annotations

from sovereign.records import GateVerdict, Measurement, Trial, TrialState

_WORD = {
    GateVerdict.VERIFIED: "agrees",
    GateVerdict.FALSIFIED: "disagrees",
    GateVerdict.UNVERIFIED: "not decided here",
}


def markdown(trial: Trial) -> str:
    """The page. Timings stand last and are marked as this machine's."""
    head = [
        f"# {trial.study}, preset {trial.preset}",
        "",
        f"Trial `{trial.trial_id}`, digest `{trial.digest[:16]}`, started {trial.started_at}.",
    ]
    if trial.state is not TrialState.DONE:
        return "\n".join([*head, "", f"**The trial {trial.state.value}**: {trial.error}", ""])
    head.append(f"Scale: **{trial.scale.value}**. Seeds: {', '.join(map(str, trial.seeds))}. {_environment(trial)}")
    return "\n".join([*head, *_statements(trial), *_numbers(trial), *_figures(trial), *_limits(trial), *_run(trial), ""])


def _environment(trial: Trial) -> str:
    env = trial.environment
    packages = ", ".join(f"{k} {v}" for k, v in env.get("packages", {}).items() if v and k in ("torch", "numpy", "transformers"))
    busy = env.get("contention", {}).get("others_busy_share")
    shared = "" if busy is None else f" Others used {busy:.0%} of the machine while it ran."
    return f"Python {env.get('python')}, {packages}; {env.get('cpu') or 'unknown processor'}.{shared}"


def _statements(trial: Trial) -> list[str]:
    if not trial.statements:
        return []
    rows = ["", "## Statements", "", "| Statement | Source | Verdict | Why |", "|---|---|---|---|"]
    for s in trial.statements:
        rows.append(f"| {_cell(s.text)} | {_cell(s.source)} | **{_WORD[s.verdict]}** ({s.verdict.value}) | {_cell(s.why)} |")
    return rows


def _numbers(trial: Trial) -> list[str]:
    measured = [m for m in trial.measurements if not m.timing]
    if not measured:
        return []
    rows = ["", "## Measurements", "", "| Name | Value | 95 % interval | n | Setting |", "|---|---:|---|---:|---|"]
    rows += [f"| `{m.name}` | {_value(m)} | {_interval(m)} | {'' if m.n is None else m.n} | {_cell(m.setting)} |" for m in measured]
    return rows


def _value(m: Measurement) -> str:
    shown = "not measured" if m.value is None else f"{m.value:.4g} {m.unit}".strip()
    return shown + (" (modelled)" if m.modelled else "")


def _interval(m: Measurement) -> str:
    return "" if m.interval is None else f"{m.interval[0]:.4g} to {m.interval[1]:.4g}"


def _figures(trial: Trial) -> list[str]:
    return [] if not trial.figures else ["", "## Figures", "", *[f"![{f.rsplit('.', 1)[0]}]({f})\n" for f in trial.figures]]


def _limits(trial: Trial) -> list[str]:
    return [] if not trial.cannot_say else ["", "## What this trial cannot say", "", *[f"* {line}" for line in trial.cannot_say]]


def _run(trial: Trial) -> list[str]:
    rows = ["", "## Time on this machine", ""]
    rows += [f"* {name}: {seconds:.1f} s" for name, seconds in trial.timings_s.items()]
    rows += [f"* {m.name}: {_value(m)} {_interval(m)}" for m in trial.measurements if m.timing]
    return rows


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
