"""Metrics are counted from the record; spans go to the host's tracer, one per station that was worked on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sovereign import path, wiring
from sovereign.errors import BadInput
from sovereign.metrics import measure, quantile, traced
from sovereign.settings import Settings, load

QUESTION = "How much does Small Routers reduce TTFT on MMMU compared with the unspecialized router?"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "note.md").write_text("# Small Routers: a note\n\nSmall Routers reduces TTFT by 14% on MMMU.\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / "sovereign.toml").write_text('default_library = false\nsources = ["local"]\n')
    return load(home, offline=True)


def test_quantiles_are_nearest_rank_and_nothing_has_none() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile([3.0], 0.95), quantile([], 0.5)) == (50.0, 95.0, 3.0, None)


def test_an_empty_workspace_has_no_rates(settings: Settings) -> None:
    with wiring.workspace(settings) as ws:
        found = measure(ws)
    assert found["verification"]["supported_rate"] is None and found["cost_usd"] is None and found["runs"]["total"] == 0


def test_counts_agree_with_the_run_and_every_station_has_one_span(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    ended: list[str] = []

    class Span:
        def __init__(self, station: str):
            self.station = station

        def end(self) -> None:
            ended.append(self.station)

        def set_status(self, _status: Any) -> None:
            ended.append(f"error in {self.station}")

    class Tracer:
        def start_span(self, name: str, attributes: dict[str, str]) -> Span:
            assert name == "sovereign.station" and attributes["sovereign.run_id"].startswith("r-")
            return Span(attributes["sovereign.station"])

    monkeypatch.setattr(trace, "get_tracer", lambda _name: Tracer())
    result = wiring.ask(settings, QUESTION, library=[str(settings.home.parent / "note.md")])
    assert ended == list(path.STATIONS)
    with wiring.workspace(settings) as ws:
        found = measure(ws)
    assert found["runs"] == {"total": 1, "by_state": {"waiting_for_owner": 1}}
    assert found["verification"]["verdicts"] == len(result.body["claims"])
    assert found["searches"]["by_source"]["local"] and set(found["stations"]) == set(path.STATIONS)
    assert sum(found["decisions"].values()) == 1
    ended.clear()
    with pytest.raises(BadInput), traced("r-1", lambda *_: None) as told:
        told("question", "done")  # recalled: no span
        told("plan", "started")
        raise BadInput("no")
    assert ended == ["error in plan", "plan"]
