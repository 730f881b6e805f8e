"""The laboratory as the kernel sees it: ports.Bench over the registry of studies and the committed reference trials. Refuses torch at import.

Reference trials are package data under lab/reference/<trial id>/: trial.json with its figures. They count as executed evidence without torch, marked
with their date and machine; a trial whose digest no longer matches its content is not offered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sovereign import seal
from sovereign.errors import IntegrityBroken
from sovereign.lab import study
from sovereign.records import Prediction, StudyInfo, Trial
from sovereign.settings import Settings

REFERENCE = Path(__file__).with_name("reference")


class LabBench:
    def __init__(self, settings: Settings, reference: Path = REFERENCE):
        self._settings, self._reference = settings, reference

    def studies(self) -> tuple[StudyInfo, ...]:
        """Every registered study that can be described here; one whose libraries are missing is described only by its reference trial."""
        out = []
        for name in study.STUDIES:
            try:
                out.append(study.load(name).info)
            except ModuleNotFoundError:
                continue
        return tuple(out)

    def reference_trials(self) -> tuple[Trial, ...]:
        """Raises IntegrityBroken for a committed trial that was changed after it was sealed."""
        out = []
        for folder in sorted(self._reference.glob("*/")):
            held = folder / "trial.json"
            if not held.is_file():
                continue
            trial = seal.revive(Trial, held.read_bytes())
            if study.trial_digest(trial) != trial.digest:
                raise IntegrityBroken(f"Reference trial {folder.name} does not match its seal.", mend="Reinstall SOVEREIGN.", subject=folder.name)
            out.append(trial)
        return tuple(out)

    def figure(self, trial_id: str, name: str) -> bytes | None:
        for root in (self._reference, self._settings.home / "trials"):
            found = (root / trial_id / name).resolve()
            if found.is_file() and found.is_relative_to(root.resolve()):
                return found.read_bytes()
        return None

    def run(self, name: str, *, preset: str, factors: Mapping[str, str], out: Path, predictions: Sequence[Prediction] = ()) -> Trial:
        return study.execute(name, preset=preset, factors=factors, out=out, predictions=predictions)
