"""Errors carry their context through pickling; settings refuse what they do not know; keys never show."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from sovereign import errors
from sovereign.errors import SettingsInvalid, SourceFailed, SovereignError, UnknownName, Unreadable
from sovereign.settings import load


def _kinds(root: type[SovereignError]) -> list[type[SovereignError]]:
    return [root, *(k for s in root.__subclasses__() for k in _kinds(s))]


def test_every_error_survives_a_process_pool_with_its_state() -> None:
    """A pool that drops `mend` or `source` makes an outage anonymous."""
    samples = [
        SourceFailed("no answer", source="arxiv", kind="timeout", retry_after_s=3.0, mend="wait"),
        Unreadable("encrypted", kind="encrypted", mend="Remove the password."),
        UnknownName("source", "nope", ("a", "b")),
        errors.IntegrityBroken("broken", subject="r-1"),
    ]
    for error in samples:
        back = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes, to prove the round trip
        assert type(back) is type(error)
        assert back.__dict__ == error.__dict__
        assert back.line() == error.line()


def test_every_kind_has_an_exit_code_of_the_contract() -> None:
    assert {k.exit_code for k in _kinds(SovereignError)} <= {1, 2, 4}
    assert len(_kinds(SovereignError)) > 15


def test_unknown_setting_in_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "sovereign.toml").write_text("max_clams = 3\n")
    with pytest.raises(SettingsInvalid, match="max_clams"):
        load(tmp_path)


def test_broken_toml_and_out_of_range_values_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "sovereign.toml").write_text("max_claims = [")
    with pytest.raises(SettingsInvalid, match="not valid TOML"):
        load(tmp_path)
    (tmp_path / "sovereign.toml").write_text("max_claims = 0")
    with pytest.raises(SettingsInvalid, match="max_claims"):
        load(tmp_path)


def test_the_environment_beats_the_file_and_the_caller_beats_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sovereign.toml").write_text("max_claims = 5\n")
    assert load(tmp_path).max_claims == 5
    monkeypatch.setenv("SOVEREIGN_MAX_CLAIMS", "6")
    assert load(tmp_path).max_claims == 6
    assert load(tmp_path, max_claims=7).max_claims == 7


def test_keys_never_show_in_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOVEREIGN_OPENALEX_KEY", "sekrit-value")
    held = load(tmp_path)
    assert "sekrit" not in repr(held) + str(held) + held.model_dump_json()
    assert held.openalex_key is not None and held.openalex_key.get_secret_value() == "sekrit-value"
