"""Trials of the lab: what was predicted, run, measured and judged. Standard library only; refuses to run anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class TrialState(StrEnum):
    DONE = "done"
    FAILED = "failed"
    KILLED = "killed"


class GateVerdict(StrEnum):
    """For a claim that a trial tested; never derived from a review score."""

    VERIFIED = "VERIFIED"  # the sealed prediction held, on its whole interval
    FALSIFIED = "FALSIFIED"  # the sealed prediction failed, on its whole interval
    UNVERIFIED = "UNVERIFIED"  # the trial does not decide it


class Scale(StrEnum):
    """CONCEPTUAL: our testbed, direction and rough size (at most L5). EXACT: same model, data and metric, within tolerance (L6)."""

    CONCEPTUAL = "conceptual"
    EXACT = "exact"


@dataclass(frozen=True)
class Measurement:
    """One number with unit, setting and spread. `interval` is 95 % unless `setting` says otherwise; None when one repeat gives none.

    timing: wall-clock figures; they are left out of the digest and judged only as ratios.
    modelled: computed from declared constants, not measured.
    """

    name: str
    value: float | None
    unit: str
    interval: tuple[float, float] | None = None
    setting: str = ""
    n: int | None = None  # repeats, seeds or items behind the value
    timing: bool = False
    modelled: bool = False


@dataclass(frozen=True)
class Prediction:
    """Sealed before the run. `statistic` names a measurement; `rule` is one of: >, <, >=, <=, within, equal, outside.

    The rule is judged on the interval where there is one (all of it must satisfy the rule), else on the value.
    """

    statement: str
    source: str  # arXiv id, section
    statistic: str
    rule: str
    threshold: float
    tolerance: float = 0.0
    scale: Scale = Scale.CONCEPTUAL
    claim_id: str | None = None


@dataclass(frozen=True)
class Statement:
    """One published statement and what this trial says about it."""

    text: str
    source: str
    prediction: Prediction | None
    verdict: GateVerdict
    why: str


@dataclass(frozen=True)
class Trial:
    """One sealed execution of a study. `digest` covers everything that is not a timing or a machine reading.

    figures: file names relative to the trial's folder. environment: versions and machine; contention: busy and steal share while measuring.
    """

    trial_id: str
    study: str
    preset: str
    scale: Scale
    state: TrialState
    spec: dict[str, Any]
    seeds: tuple[int, ...]
    environment: dict[str, Any]
    measurements: tuple[Measurement, ...]
    statements: tuple[Statement, ...]
    figures: tuple[str, ...] = ()
    cannot_say: tuple[str, ...] = ()  # what this scale cannot support
    digest: str = ""
    error: str = ""
    timings_s: dict[str, float] = field(default_factory=dict)
    started_at: str = ""


@dataclass(frozen=True)
class StudyInfo:
    """What a study declares before it is run. `keys`: words of subject or metric that its trials can speak to, lower case."""

    name: str
    claim: str
    source: str
    setup: str
    expected: str
    falsified_if: str
    keys: tuple[str, ...] = ()
    presets: dict[str, float] = field(default_factory=dict)  # preset -> expected seconds on 2 cores
