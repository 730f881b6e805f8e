"""The laboratory as the kernel sees it: ports.Bench over the registry of studies and the committed reference trials. Refuses torch at import.

A trial that the kernel asks for runs in a confined child: no network, nothing writable but its own folder, limits on time, memory, processes and
file size. A trial that is stopped or fails is sealed as a trial too. Reference trials are package data under lab/reference/<trial id>/: they count
as executed evidence without torch, marked with their date and machine; one whose digest no longer matches its content is not offered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sovereign import seal
from sovereign.errors import IntegrityBroken, MissingExtra, TrialFailed, UnknownName
from sovereign.lab import study
from sovereign.records import Prediction, StudyInfo, Trial, TrialState
from sovereign.sandbox import Limits, run_confined
from sovereign.settings import Settings

REFERENCE = Path(__file__).with_name("reference")
PATIENCE = 4.0  # times the preset's expected seconds on two idle cores, before a trial is stopped
MEMORY_MIB = 8_192


class LabBench:
    def __init__(self, settings: Settings, reference: Path = REFERENCE):
        self._settings, self._reference = settings, reference

    def studies(self) -> tuple[StudyInfo, ...]:
        """Every registered study that can be described here; one whose libraries are missing is left out (its reference trials are not)."""
        out = []
        for name in study.STUDIES:
            try:
                out.append(study.load(name).info)
            except ModuleNotFoundError:
                continue
        return tuple(out)

    def reference_trials(self) -> tuple[Trial, ...]:
        """Raises IntegrityBroken for a committed trial that was changed after it was sealed."""
        return tuple(read_trial(f / "trial.json") for f in sorted(self._reference.glob("*/")) if (f / "trial.json").is_file())

    def predictions(self, name: str, *, preset: str) -> tuple[Prediction, ...]:
        """Raises UnknownName, or MissingExtra without torch."""
        return self._study(name, preset).predictions(preset, {})

    def figure(self, trial_id: str, name: str) -> bytes | None:
        for root in (self._reference, self._settings.home / "trials"):
            found = (root / trial_id / name).resolve()
            if found.is_file() and found.is_relative_to(root.resolve()):
                return found.read_bytes()
        return None

    def run(self, name: str, *, preset: str, factors: Mapping[str, str], out: Path, predictions: Sequence[Prediction] = ()) -> Trial:
        """The sealed trial, also when it failed or was stopped (state, error). Raises UnknownName, or MissingExtra without torch."""
        info = self._study(name, preset).info
        out.mkdir(parents=True, exist_ok=True)
        limits = Limits(
            wall_s=max(120.0, PATIENCE * info.presets[preset]),
            memory_mib=MEMORY_MIB,
            address_space_mib=65_536,
            processes=1,
            threads=256,
            file_mib=512,
            open_files=512,
        )
        args = {
            "name": name,
            "preset": preset,
            "factors": dict(factors),
            "out": str(out.absolute()),
            "predictions": seal.plain(tuple(predictions)),
        }
        done = run_confined("sovereign.lab.bench:confined", args, limits=limits, writable=[out])
        if done.state == "done":
            return read_trial(out / done.result["trial_id"] / "trial.json")
        return _stopped(name, preset, factors, out, predictions, done.state, done.reason)

    def _study(self, name: str, preset: str) -> study.Study:
        try:
            found = study.load(name)
        except ModuleNotFoundError as exc:
            raise MissingExtra("lab", f"Running {name}") from exc
        if preset not in found.info.presets:
            raise UnknownName("preset", preset, tuple(found.info.presets))
        return found


def confined(name: str, preset: str, factors: dict[str, str], out: str, predictions: list[dict[str, Any]]) -> dict[str, str]:
    """What the confined child does; its answer is the trial's id."""
    sealed = seal.revive(tuple[Prediction, ...], json.dumps(predictions))  # type: ignore[arg-type]
    return {"trial_id": study.execute(name, preset=preset, factors=factors, out=Path(out), predictions=sealed).trial_id}


def _stopped(
    name: str, preset: str, factors: Mapping[str, str], out: Path, predictions: Sequence[Prediction], state: str, reason: str
) -> Trial:
    """The trial of a child that did not come back: what it had sealed, and how it ended."""
    identity = study.identity(name, preset, factors, 0, predictions)
    folder = out / study.name_of(identity)
    if (folder / "trial.json").is_file():  # the study itself failed and was sealed as failed
        held = read_trial(folder / "trial.json")
        if held.state is not TrialState.DONE:
            return held
    ended = TrialState.FAILED if state == "failed" else TrialState.KILLED
    trial = study.blank(identity, state=ended, error=reason)
    trial = replace(trial, digest=study.trial_digest(trial))
    try:
        study.write(folder, trial)
    except OSError as exc:
        raise TrialFailed(f"Trial {trial.trial_id} ended ({reason}) and could not be recorded: {exc.strerror}.", subject=name) from exc
    return trial


def read_trial(path: Path) -> Trial:
    """Raises IntegrityBroken when the trial does not match its seal."""
    trial = seal.revive(Trial, path.read_bytes())
    if study.trial_digest(trial) != trial.digest:
        raise IntegrityBroken(
            f"Trial {path.parent.name} does not match its seal.",
            mend="Run it again; a sealed trial is never edited.",
            subject=path.parent.name,
        )
    return trial
