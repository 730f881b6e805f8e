"""Reference trials that ship with the package: sealed runs of our studies that can be cited without torch.

Imports errors, records, seal and lab.study. Refuses a trial whose digest does not match its content.
"""

from __future__ import annotations

from pathlib import Path

from sovereign import seal
from sovereign.errors import IntegrityBroken, UnknownName
from sovereign.lab.study import trial_digest
from sovereign.records import Trial


def root() -> Path:
    """The folder that holds one folder per trial."""
    return Path(__file__).parent


def names() -> tuple[str, ...]:
    """Trial ids, sorted."""
    return tuple(sorted(p.parent.name for p in root().glob("*/trial.json")))


def load(name: str) -> Trial:
    """Raises UnknownName, or IntegrityBroken when the file was changed after it was sealed."""
    if name not in names():
        raise UnknownName("reference trial", name, names())
    trial = seal.revive(Trial, (root() / name / "trial.json").read_bytes())
    if trial_digest(trial) != trial.digest:
        raise IntegrityBroken(f"The reference trial {name} does not match its digest.", mend="Install the package again.")
    return trial


def for_study(study: str) -> tuple[Trial, ...]:
    """All reference trials of one study."""
    return tuple(t for t in map(load, names()) if t.study == study)
