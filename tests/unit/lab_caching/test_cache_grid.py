"""The full grid's table and digest, the error rates of a pre-gate, and the parts of ExpertFlow A's gap: small cases worked by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sovereign.errors import IntegrityBroken, NotFound  # noqa: E402
from sovereign.lab import study as studies  # noqa: E402
from sovereign.lab.caching import predictors, sweep, synthetic  # noqa: E402
from sovereign.lab.studies import cache_grid, cache_measures, cache_pregate  # noqa: E402
from sovereign.records import Trial  # noqa: E402

pytestmark = pytest.mark.lab
SHAPE = synthetic.Shape("small", 4, 16, 2, 1_000)


def workload(error: float = 0.2) -> sweep.Workload:
    routes = synthetic.routes(SHAPE, requests=6, prompt=3, decode=12, seed=0)
    forecasts = sweep.invented_forecasts(routes, error=error)
    forecasts["path_next"] = forecasts["path"]
    return sweep.Workload("small", routes, predictors.popularity_of(routes), forecasts)


@pytest.fixture(scope="module")
def points() -> list[sweep.Point]:
    return sweep.evaluate(workload(), cache_grid.ALL, fractions=(0.25, 0.5, 1.0), batches=(1, 2), bandwidths=(6e9, 25e9))


def sealed(points: list[sweep.Point], folder: Path) -> Trial:
    """A trial whose spec holds what `write` gave back."""
    blank = studies.blank(studies.identity("expert_cache", "smoke", {}, 0))
    return replace(blank, spec={**blank.spec, "table": cache_grid.write(points, folder)})


def test_the_table_holds_every_cell_once_and_what_the_time_line_said(points: list[sweep.Point], tmp_path: Path) -> None:
    rows = cache_grid.read(tmp_path, sealed(points, tmp_path))
    cells = {(r["policy"], r["resident"], r["batch"], r["gb_per_s"]) for r in rows}
    assert len(rows) == len(cells) == len(cache_grid.ALL) * 3 * 2 * 2
    for point, row in zip(points, rows, strict=True):
        assert row["hit_percent"] == pytest.approx(100 * point.outcome.hit_ratio, rel=1e-4)
        assert row["tpot_ms"] == pytest.approx(1e3 * (point.outcome.tpot_s or 0.0), rel=1e-4)


def test_a_table_that_was_changed_is_refused(points: list[sweep.Point], tmp_path: Path) -> None:
    trial = sealed(points, tmp_path)
    path = tmp_path / cache_grid.FILE
    path.write_text(path.read_text().replace('"lru",0.25', '"lru",0.24', 1))
    with pytest.raises(IntegrityBroken, match="not the table"):
        cache_grid.read(tmp_path, trial)
    path.unlink()
    with pytest.raises(NotFound, match=r"no sweep\.json"):
        cache_grid.read(tmp_path, trial)


def test_another_table_gives_the_trial_another_digest(points: list[sweep.Point], tmp_path: Path) -> None:
    trials = [sealed(points[:count], tmp_path) for count in (len(points), len(points) - 1)]
    assert studies.trial_digest(trials[0]) != studies.trial_digest(trials[1])


def timed(points: list[sweep.Point], **milliseconds: float) -> list[sweep.Point]:
    """The given policies with the given TPOT, everybody else slower than all of them."""
    out = []
    for p in points:
        out.append(replace(p, outcome=replace(p.outcome, tpot_s=1e-3 * milliseconds.get(p.policy, 1e3 + len(p.policy)))))
    return out


def test_the_fastest_is_no_oracle_and_names_who_is_close(points: list[sweep.Point]) -> None:
    here = cache_grid.cells(timed(points, oracle_prefetch=1.0, all_resident=1.0, belady=1.0, lru=5.0, arc=5.05, expertflow_a=6.0))
    best = cache_grid.fastest(here["small", 1, 25e9], 0.25)
    assert best is not None
    assert (best.policy, best.fraction, best.close) == ("lru", 0.25, ("arc",))
    assert cache_grid.fastest(here["small", 1, 25e9], 0.33) is None


def test_the_least_memory_in_time_is_below_all_and_on_demand_holds_nothing(points: list[sweep.Point]) -> None:
    here = cache_grid.cells(timed(points, all_resident=4.0, lru=6.0, lfu=5.9, expertflow_a=6.1))["small", 1, 25e9]
    best = cache_grid.smallest(here)
    assert best is not None
    assert (best.policy, best.fraction) == ("lfu", 0.25)  # 1.5 x 4 ms: ExpertFlow A misses it by 0.1
    slower = cache_grid.cells(timed(points, all_resident=3.0, lru=6.0))["small", 1, 25e9]
    assert cache_grid.smallest(slower) is None
    nothing = cache_grid.smallest(cache_grid.cells(timed(points, all_resident=4.0, lru=5.0, on_demand=6.0))["small", 1, 25e9])
    assert nothing is not None
    assert nothing.policy == "on_demand"


def test_a_cell_without_every_policy_is_no_cell_of_the_grid(points: list[sweep.Point]) -> None:
    """The figure over the link replays fewer policies at more links: no winner may be named there."""
    more = [replace(p, bandwidth=50e9) for p in points if p.policy in ("lru", "all_resident")]
    assert {link for _, _, link in cache_grid.cells([*points, *more])} == {6e9, 25e9}


def test_the_digest_says_both_readings_for_every_batch_and_link(points: list[sweep.Point]) -> None:
    names = {m.name: m for m in cache_grid.digest(points)}
    assert len(names) == 2 * 2 * 3
    found = names["grid.tpot.best.small.f25.b1.l6"]
    assert found.unit == "ms" and found.modelled and "lru" in found.setting
    assert names["grid.memory.least.small.b2.l25"].unit == "GB"


def test_crossings_by_hand() -> None:
    rates = (0.0, 0.2, 0.4)
    assert cache_pregate.crossing(rates, np.array([1.2, 1.1, 0.9]), 1.0) == pytest.approx(0.3)
    assert cache_pregate.crossing(rates, np.array([1.2, 1.1, 1.05]), 1.0) is None  # stays above
    assert cache_pregate.crossing(rates, np.array([0.9, 0.8, 0.7]), 1.0) is None  # begins below
    assert cache_pregate.crossing(rates, np.array([1.2, 1.0, 0.7]), 1.0) == pytest.approx(0.2)


def test_errors_cost_a_pregate_hits_and_time_until_lru_is_faster() -> None:
    """Right names beat LRU, names that are all wrong lose to it, so there is a break-even between; the seed is fixed."""
    parts = [workload().part(range(3)), workload().part(range(3, 6))]
    found = cache_pregate._sweep(parts, 0.5, 1, 0)
    assert found.speed.shape == found.hits.shape == (2, len(cache_pregate.RATES))
    assert (found.speed[:, 0] > 1.0).all() and (found.speed[:, -1] < 1.0).all()
    assert found.hits[:, 0].mean() > found.hits[:, -1].mean()
    rows = {m.name: m for m in cache_pregate.measurements([found])}
    even = rows["pregated_error.break_even.speed.f50.b1"]
    assert even.value is not None and 0.0 < even.value < 100.0 and even.interval is not None
    assert rows["pregated_error.probe_error.f50.b1"].value == pytest.approx(20, abs=6)  # invented with 20 % errors


def test_a_break_even_that_no_fold_reached_is_not_measured() -> None:
    flat = np.full((2, len(cache_pregate.RATES)), 1.5)
    found = cache_pregate.Sweep(0.25, 1, flat, 40 * flat, np.full((2, 2), 1.2), np.full(2, 10.0), np.full(2, 0.1))
    rows = {m.name: m for m in cache_pregate.measurements([found])}
    assert rows["pregated_error.break_even.speed.f25.b1"].value is None
    assert "no crossing" in rows["pregated_error.break_even.speed.f25.b1"].setting


def test_the_parts_of_the_gap_add_up_and_a_true_path_leaves_no_prediction_to_gain() -> None:
    for error in (0.0, 0.3):
        said: list[tuple[str, float]] = []
        cache_measures._parts_of_the_gap(workload(error), lambda name, value, _unit, _setting, said=said: said.append((name, value)))  # type: ignore[misc]
        found = dict(said)
        for label in ("", "fast."):
            for at in ("f25.b1", "f50.b1"):
                parts = [found[f"hit_gap_part.{label}{name}.{at}"] for name in ("prediction", "retention", "across_steps")]
                assert sum(parts) == pytest.approx(found[f"hit_gap_part.{label}whole.{at}"])
                if error == 0.0:
                    assert parts[0] == pytest.approx(0.0, abs=1e-9)
