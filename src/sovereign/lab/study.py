"""How a study becomes a sealed trial: predictions first, then the run, then the verdicts by the written rule.

Imports records, seal and errors; refuses torch (a study imports what it needs inside `run`). Every study lives in one file under
`lab/studies/` that exposes `STUDY`, an object that satisfies `Study`.
"""

from __future__ import annotations

import importlib
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sovereign import seal
from sovereign.errors import LabInput, UnknownName
from sovereign.records import GateVerdict, Measurement, Prediction, Scale, Statement, StudyInfo, Trial, TrialState

# name -> module; modules are imported when they are run or described, never before.
STUDIES: dict[str, str] = {
    "routing_signatures": "sovereign.lab.studies.routing_signatures",
    "expert_cache": "sovereign.lab.studies.expert_cache",
    "routing_tradeoff": "sovereign.lab.studies.routing_tradeoff",
}

Progress = Callable[[str, float], None]  # (what is being done, share done 0..1)


@dataclass(frozen=True)
class Context:
    """What a study gets. `out` exists and is the trial's own folder; figures go there as SVG or PNG."""

    preset: str
    factors: Mapping[str, str]
    seed: int
    out: Path
    progress: Progress


@dataclass(frozen=True)
class Outcome:
    """What a study gives back. `spec` says what was really run (sizes, steps, prompts), at what scale."""

    spec: dict[str, Any]
    seeds: tuple[int, ...]
    measurements: tuple[Measurement, ...]
    figures: tuple[str, ...] = ()
    cannot_say: tuple[str, ...] = ()
    scale: Scale = Scale.CONCEPTUAL
    timings_s: dict[str, float] = field(default_factory=dict)


class Study(Protocol):
    info: StudyInfo

    def predictions(self, preset: str, factors: Mapping[str, str]) -> tuple[Prediction, ...]:
        """What the published statements predict for this preset; sealed before `run` is called."""
        ...

    def run(self, context: Context) -> Outcome: ...


def load(name: str) -> Study:
    """Raises UnknownName with the known studies."""
    if name not in STUDIES:
        raise UnknownName("study", name, tuple(STUDIES))
    study: Study = importlib.import_module(STUDIES[name]).STUDY
    return study


def judge(prediction: Prediction, measurements: Sequence[Measurement]) -> tuple[GateVerdict, str]:
    """The verdict by the written rule.

    All of the 95 % interval satisfies the rule: VERIFIED. None of it does: FALSIFIED. The interval straddles the threshold, the statistic
    was not measured, or it has no interval (one repeat gives no verdict): UNVERIFIED.
    """
    found = [m for m in measurements if m.name == prediction.statistic]
    if not found or found[0].value is None:
        return GateVerdict.UNVERIFIED, f"{prediction.statistic} was not measured in this trial."
    m = found[0]
    if m.interval is None:
        return GateVerdict.UNVERIFIED, f"{m.name} = {m.value:.4g} {m.unit} without a spread: one repeat gives no verdict."
    low, high = m.interval
    shown = f"{m.name} = {m.value:.4g} {m.unit} [{low:.4g}, {high:.4g}]"
    t, tol = prediction.threshold, prediction.tolerance
    # (all of the interval satisfies, none of it satisfies)
    tests: dict[str, tuple[bool, bool]] = {
        ">": (low > t, high <= t),
        ">=": (low >= t, high < t),
        "<": (high < t, low >= t),
        "<=": (high <= t, low > t),
        "within": (low >= t - tol and high <= t + tol, high < t - tol or low > t + tol),
        "outside": (high < t - tol or low > t + tol, low >= t - tol and high <= t + tol),
        "equal": (low == high == t, t < low or t > high),
    }
    if prediction.rule not in tests:
        raise LabInput(f"A prediction has the unknown rule {prediction.rule!r}.", mend=f"Known: {', '.join(tests)}.")
    holds, fails = tests[prediction.rule]
    wanted = f"predicted {prediction.rule} {t:g}" + (f" ± {tol:g}" if tol else "")
    if holds:
        return GateVerdict.VERIFIED, f"{shown}; {wanted}: holds."
    if fails:
        return GateVerdict.FALSIFIED, f"{shown}; {wanted}: does not hold."
    return GateVerdict.UNVERIFIED, f"{shown}; {wanted}: the interval does not decide."


def environment() -> dict[str, Any]:
    """Versions and machine, without anything that names a person or a host."""
    from importlib.metadata import PackageNotFoundError, version

    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    cpu = next((line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor() or None)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu,
        "cores": os.cpu_count(),
        "packages": {
            n: installed(n) for n in ("sovereign-kernel", "torch", "numpy", "numba", "transformers", "tokenizers", "scikit-learn")
        },
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


class Contention:
    """Share of this machine's CPU time that others used while we measured; None where the platform does not say. Use as a context."""

    busy: float | None = None
    steal: float | None = None

    def __enter__(self) -> Contention:
        self._start = _cpu_times()
        self._own = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        end = _cpu_times()
        if self._start is None or end is None:
            return
        delta = [b - a for a, b in zip(self._start, end, strict=True)]
        total = sum(delta) or 1.0
        hz = os.sysconf("SC_CLK_TCK")
        own = (time.process_time() - self._own) * hz
        idle = delta[3] + delta[4]
        self.busy = max(0.0, min(1.0, (total - idle - own) / total))
        self.steal = delta[7] / total

    def as_dict(self) -> dict[str, float | None]:
        return {"others_busy_share": self.busy, "steal_share": self.steal}


def _cpu_times() -> list[float] | None:
    path = Path("/proc/stat")
    if not path.is_file():
        return None
    return [float(x) for x in path.read_text().splitlines()[0].split()[1:9]]


def trial_digest(trial: Trial) -> str:
    """sha256 over everything that is not a timing or a machine reading: the same seed and software give the same digest."""
    body = seal.plain(trial)
    for machine in ("digest", "environment", "timings_s", "started_at", "figures"):
        body.pop(machine)
    body["measurements"] = [m for m in body["measurements"] if not m["timing"]]
    for statement in body["statements"]:
        # verdicts that rest on timings are machine readings too
        timed = {m.name for m in trial.measurements if m.timing}
        if statement["prediction"] and statement["prediction"]["statistic"] in timed:
            statement.pop("verdict"), statement.pop("why")
    return seal.digest(body)


def execute(
    name: str,
    *,
    preset: str,
    factors: Mapping[str, str],
    out: Path,
    seed: int = 0,
    predictions: Sequence[Prediction] = (),
    progress: Progress = lambda _what, _share: None,
) -> Trial:
    """Runs one study and writes `trial.json`, `predictions.json` and `report.md` into `out/<trial_id>/`. A failed run is a trial too (state, error)."""
    study = load(name)
    if preset not in study.info.presets:
        raise UnknownName("preset", preset, tuple(study.info.presets))
    whole = identity(name, preset, factors, seed, predictions)
    sealed = (*study.predictions(preset, factors), *predictions)
    folder = out / name_of(whole)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictions.json").write_text(seal.pretty({"sealed_before_run": seal.plain(sealed), "sha256": seal.digest(sealed)}))
    clock = time.perf_counter()
    unrun = blank(whole)
    try:
        with Contention() as contention:
            result = study.run(Context(preset, factors, seed, folder, progress))
    except Exception as exc:  # the failure is sealed as evidence, then raised again
        failed = replace(unrun, error=f"{type(exc).__name__}: {exc}")
        write(folder, replace(failed, digest=trial_digest(failed)))
        raise
    statements = tuple(Statement(p.statement, p.source, p, *judge(p, result.measurements)) for p in sealed)
    trial = replace(
        unrun,
        scale=result.scale,
        state=TrialState.DONE,
        spec={**whole, **result.spec, "predictions_sha256": seal.digest(sealed)},
        seeds=result.seeds,
        environment={**unrun.environment, "contention": contention.as_dict()},
        measurements=result.measurements,
        statements=statements,
        figures=result.figures,
        cannot_say=result.cannot_say,
        timings_s={**result.timings_s, "total": time.perf_counter() - clock},
    )
    trial = replace(trial, digest=trial_digest(trial))
    write(folder, trial)
    return trial


def identity(name: str, preset: str, factors: Mapping[str, str], seed: int, predictions: Sequence[Prediction] = ()) -> dict[str, Any]:
    """What tells one trial from another: study, preset, factors, seed and every sealed prediction."""
    sealed = (*load(name).predictions(preset, factors), *predictions)
    return {"study": name, "preset": preset, "factors": dict(factors), "seed": seed, "predictions": seal.plain(sealed)}


def name_of(whole: Mapping[str, Any]) -> str:
    return f"{whole['study']}-{whole['preset']}-{seal.digest(whole)[:10]}"


def blank(whole: Mapping[str, Any], *, state: TrialState = TrialState.FAILED, error: str = "") -> Trial:
    """A trial that has not (yet) measured anything."""
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    spec, seeds = dict(whole), (int(whole["seed"]),)
    return Trial(
        name_of(whole),
        whole["study"],
        whole["preset"],
        Scale.CONCEPTUAL,
        state,
        spec,
        seeds,
        environment(),
        (),
        (),
        error=error,
        started_at=started,
    )


def write(folder: Path, trial: Trial) -> None:
    """Writes trial.json whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "trial.json.part"
    part.write_text(seal.pretty(trial), encoding="utf-8")
    part.replace(folder / "trial.json")
    from sovereign.lab.report import markdown

    (folder / "report.md").write_text(markdown(trial), encoding="utf-8")
