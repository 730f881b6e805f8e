"""Reference trials are whole, honest and readable without torch."""

import subprocess
import sys

import pytest

from sovereign.errors import IntegrityBroken, UnknownName
from sovereign.lab import reference
from sovereign.records import GateVerdict, Scale, TrialState

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("name", reference.names())
def test_every_reference_trial_matches_its_digest_and_its_files_are_there(name):
    trial = reference.load(name)
    assert trial.trial_id == name
    assert trial.state is TrialState.DONE
    folder = reference.root() / name
    assert all((folder / f).is_file() for f in trial.figures)
    assert sum(p.stat().st_size for p in folder.iterdir()) < 1_500_000, "package data stays small"
    assert trial.cannot_say


def test_the_signature_trial_has_three_seeds_and_keeps_its_negatives():
    (trial,) = (t for t in reference.for_study("routing_signatures") if t.preset == "standard")
    assert len(trial.seeds) == 3
    assert trial.scale is Scale.CONCEPTUAL
    assert {GateVerdict.VERIFIED, GateVerdict.FALSIFIED, GateVerdict.UNVERIFIED} == {s.verdict for s in trial.statements}


def test_a_changed_number_is_found(tmp_path, monkeypatch):
    name = reference.names()[0]
    source = (reference.root() / name / "trial.json").read_text()
    (tmp_path / name).mkdir()
    value = next(m.value for m in reference.load(name).measurements if m.value is not None and not m.timing)
    (tmp_path / name / "trial.json").write_text(source.replace(repr(value), repr(value + 1), 1))
    monkeypatch.setattr(reference, "root", lambda: tmp_path)
    with pytest.raises(IntegrityBroken):
        reference.load(name)


def test_an_unknown_trial_is_named():
    with pytest.raises(UnknownName):
        reference.load("nothing")


def test_citing_a_reference_trial_does_not_import_torch():
    code = "import sys; from sovereign.lab import reference as r; [r.load(n) for n in r.names()]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
