"""Predictors on other requests than they saw, a person's own trace, and the study from end to end at the smallest size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sovereign.errors import LabInput, NotFound, UnknownName  # noqa: E402
from sovereign.lab import study as studies  # noqa: E402
from sovereign.lab.caching import events as ev  # noqa: E402
from sovereign.lab.caching import forecast as fc  # noqa: E402
from sovereign.lab.caching import policies, predictors, sweep, synthetic  # noqa: E402
from sovereign.lab.model import ModelConfig  # noqa: E402
from sovereign.lab.studies import cache_grid, cache_setup  # noqa: E402
from sovereign.lab.trace import RoutingTrace, make_meta  # noqa: E402
from sovereign.records import GateVerdict, TrialState  # noqa: E402

pytestmark = pytest.mark.lab


def lexical(requests: int, seed: int) -> ev.Routes:
    """Routes that follow the token (experts t % 8 and its neighbour) except in one row of five."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 32, requests * 12)
    first = np.where(rng.random(len(tokens)) < 0.2, rng.integers(0, 8, len(tokens)), tokens % 8)
    experts = np.stack([np.stack([first, (first + 1 + layer) % 8], axis=1) for layer in range(3)], axis=1).astype(np.int16)
    position = np.tile(np.arange(12), requests)
    return ev.Routes(experts, np.repeat(np.arange(requests), 12), position, position >= 4, 8, tokens)


def test_the_path_predictor_learns_from_requests_it_is_not_scored_on() -> None:
    """The ceiling is 0.8 + 0.2 * chance; frequency alone gives 0.25. Seeds fixed, so no false alarm."""
    torch.set_num_threads(1)
    train, test = lexical(24, 0), lexical(8, 1)
    model = predictors.fit_path(train, 32, steps=30)
    found = predictors.path_forecasts(model, test)
    assert fc.recall(found["path"], test.experts) > 0.7
    assert fc.recall(predictors.table_forecast(train, test, 32), test.experts) > 0.7
    # the next token is random here, so nothing can know its path
    later = test.request[1:] == test.request[:-1]
    ahead = fc.Forecast("n", found["path_next"].ids[:-1][later])
    assert fc.recall(ahead, test.experts[1:][later]) < 0.5
    assert model.nbytes > 0
    assert found["path"].seconds_per_step > 0


def test_the_path_predictor_looks_at_nothing_that_is_not_known_when_a_step_begins() -> None:
    """Routes of a row's own step and later ones may not move its forecast; a prompt's rows may not see one another's routes at all."""
    torch.set_num_threads(1)
    train, test = lexical(24, 0), lexical(8, 1)
    states = torch.randn(len(train.experts), 6, generator=torch.Generator().manual_seed(0))
    model = predictors.fit_path(train, 32, steps=5, last_states=states)
    seen = predictors.Observed.of(test, states[: len(test.experts)])
    with torch.no_grad():
        before = model(seen)
        for row in (0, 3, 4, 7, 11):
            start = 0 if row < 4 else row  # the prompt is four tokens and one step
            used, moved = seen.used.clone(), seen.states.clone()  # type: ignore[union-attr]
            used[:, start:] = 1.0 - used[:, start:]
            moved[:, start:] += 1.0
            after = model(predictors.Observed(seen.tokens, used, seen.decode, moved))
            for old, new in zip(before, after, strict=True):
                assert torch.equal(old[:, : row + 1], new[:, : row + 1])
        known = predictors.Observed(seen.tokens, 1.0 - seen.used, seen.decode, seen.states)
        assert not torch.equal(model(known)[0][:, 5:], before[0][:, 5:])


def test_the_table_of_a_training_sequence_does_not_know_its_own_answer() -> None:
    """Two sequences, one token each time: without its own counts the first must get the table counted on the second alone."""
    tokens = torch.zeros(2, 3, dtype=torch.long)
    used = torch.zeros(2, 3, 1, 4)
    used[0, :, 0, 0], used[1, :, 0, 1] = 1.0, 1.0
    data = predictors.Observed(tokens, used, torch.zeros(2, 3, dtype=torch.bool), None)
    table = predictors.Counts(data, 2, 0)
    share = table(data, True).sigmoid()
    assert share[0, 0].tolist() == pytest.approx(
        [0.2, 0.8, 0.001, 0.001]
    )  # 3 uses of expert 1 in 3, prior of 2 at the mean (1/2, 1/2, 0, 0)
    own = predictors.Observed(tokens, used, torch.ones(2, 3, dtype=torch.bool), None)
    later = table(own, True).sigmoid()[0, 2].tolist()  # two earlier rows of its own, each twice: 4 uses of expert 0 beside 3 of expert 1
    assert later == pytest.approx([5 / 9, 4 / 9, 0.001, 0.001])


def test_the_outlook_is_the_fading_share_of_later_tokens() -> None:
    """By hand, fade 0.5: uses 1, 0, 1 of one expert: from row 0 (0 + 0.5 * 1) / 1.5, from row 1 all, from row 2 nothing is known."""
    used = torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1)
    share, weight = predictors.later_use(used, 0.5)
    assert share.flatten().tolist() == pytest.approx([1 / 3, 1.0, 0.0])
    assert weight.tolist() == pytest.approx([0.75, 0.5, 0.0])


def outlook_case(good: bool) -> tuple[ev.Events, fc.Forecast, ev.Routes]:
    """Tokens that need experts 0 and 1 for twenty steps, then 2 and 3; the outlook knows (or says the opposite)."""
    first = np.repeat([0, 2], [20, 20])
    experts = np.stack([first, first + 1], axis=1)[:, None, :].astype(np.int16)
    routes = ev.Routes(experts, np.zeros(40, np.int64), np.arange(40), np.arange(40) > 0, 4)
    truth = np.zeros((40, 1, 4), np.float32)
    following = np.append(first[1:], first[-1])
    truth[np.arange(40), 0, following] = truth[np.arange(40), 0, following + 1] = 0.95
    return ev.to_events(routes, batch=1), fc.Forecast("path", experts, outlook=truth if good else 0.95 - truth), routes


def test_an_outlook_that_errs_loses_its_say_and_uses_no_later_step() -> None:
    events, good, _ = outlook_case(True)
    _, bad, _ = outlook_case(False)
    popularity = np.full(4, 0.5)
    kept, lost = (fc.outlook(events, f, popularity) for f in (good, bad))
    assert kept[18, 0] > 0.9 and kept[30, 2] > 0.9
    assert lost[18, 0] > 0.8  # the running rate speaks instead
    cut = ev.to_events(ev.Routes(*[x[:25] for x in (good.ids, np.zeros(40, np.int64), np.arange(40), np.arange(40) > 0)], 4), batch=1)
    early = fc.outlook(cut, good.rows(np.arange(40) < 25), popularity)
    assert np.array_equal(early, kept[:25])
    bare = fc.outlook(
        events, fc.Forecast("path", good.ids), popularity
    )  # no outlook: the running rates alone, this step's prediction counted
    assert bare[18, 0] > 0.8 > bare[18, 2] and bare[39, 2] > 0.8
    wrong = fc.outlook(events, fc.Forecast("path", (good.ids + 2) % 4), popularity)
    assert bare[18, 0] > wrong[18, 0]


def test_two_uses_of_a_stranger_do_not_outweigh_thirty_of_a_regular() -> None:
    """Where the outlook errs the running rates speak, and a quick one alone would keep the stranger (0.3 twice gives 0.51 against 0.49)."""
    first = np.repeat([0, 3], [30, 3])
    routes = ev.Routes(first[:, None, None].astype(np.int16), np.zeros(33, np.int64), np.arange(33), np.arange(33) > 0, 4)
    wrong = np.full((33, 1, 4), 0.5, np.float32)
    wrong[:, 0, 0], wrong[:, 0, 3] = 0.02, 0.95
    found = fc.outlook(ev.to_events(routes, batch=1), fc.Forecast("path", routes.experts, outlook=wrong), np.full(4, 0.25))
    assert found[32, 0] > found[32, 3]
    assert np.all((found > 0.0) & (found < 1.0))


def test_predictors_refuse_what_they_cannot_learn_from() -> None:
    bare = ev.Routes(**{**lexical(4, 0).__dict__, "tokens": None})
    with pytest.raises(LabInput, match="no token ids"):
        predictors.fit_path(bare, 32, steps=1)
    with pytest.raises(LabInput, match="too few"):
        predictors.fit_path(lexical(2, 0), 32, steps=1)
    uneven = lexical(4, 0)
    cut = ev.Routes(**{k: (v[:-1] if isinstance(v, np.ndarray) else v) for k, v in uneven.__dict__.items()})
    with pytest.raises(LabInput, match="different lengths"):
        predictors.fit_path(cut, 32, steps=1)


def test_a_gate_on_its_own_layers_state_is_exact_and_probes_know_their_distance() -> None:
    """The states captured by hooks must be what the router saw: top-k of the logits equals the routes of the model."""
    model = ModelConfig(vocab=32, layers=3, width=16, heads=2, experts=8, k=2, ffn=8).build(0).eval()
    tokens = torch.arange(24).view(2, 12) % 32
    chosen: list[torch.Tensor] = []
    model(tokens, router_hook=lambda _i, r: chosen.append(r.idx_TK))
    experts = torch.stack(chosen, dim=1).to(torch.int16).numpy()
    position = np.tile(np.arange(12), 2)
    routes = ev.Routes(experts, np.repeat([0, 1], 12), position, position > 3, 8, tokens.flatten().numpy())
    seen = predictors.states(model, routes)
    top = seen.logits.topk(2, dim=-1).indices.numpy()
    assert (np.sort(top, -1) == np.sort(experts, -1)).all()
    guess = predictors.probed(predictors.fit_probe(seen, 2), seen, 2)
    assert (guess.ids[:, :2] == -1).all() and (guess.ids[:, 2:] >= 0).all()
    assert (predictors.speculative(seen, 2).ids[:, 0] == -1).all()


def saved_trace(folder: Path, requests: int = 4) -> Path:
    routes = synthetic.routes(synthetic.Shape("s", 3, 8, 2, 1), requests=requests, prompt=2, decode=6, seed=0)
    trace = RoutingTrace(
        experts=routes.experts.astype(np.int16),
        request=routes.request.astype(np.int32),
        position=routes.position.astype(np.int32),
        is_decode=routes.is_decode,
        meta=make_meta(num_experts=8, k=2, layers=3, model="s", versions={"numpy": np.__version__}),
    )
    return trace.save(folder / "own.npz")


@pytest.mark.parametrize("name", list(policies.POLICIES))
def test_a_persons_trace_is_replayed_under_every_policy(tmp_path: Path, name: str) -> None:
    found = sweep.simulate_trace(saved_trace(tmp_path), name, 0.5, batch=2)
    body = json.loads(json.dumps(found))
    assert body["policy"] == name
    assert body["result"]["hits"] + body["result"]["late"] + body["result"]["misses"] == body["trace"]["accesses"]
    assert body["setting"]["costs"]["modelled"] is True
    assert 0 <= body["belady_hit_ratio"] <= 1


def test_a_persons_bad_input_is_one_line(tmp_path: Path) -> None:
    path = saved_trace(tmp_path)
    with pytest.raises(NotFound, match="no trace"):
        sweep.simulate_trace(tmp_path / "gone.npz", "lru", 0.5)
    with pytest.raises(UnknownName, match="magic"):
        sweep.simulate_trace(path, "magic", 0.5)
    with pytest.raises(LabInput, match="between 0 and 1"):
        sweep.simulate_trace(path, "lru", 1.5)
    with pytest.raises(LabInput, match="never delivers"):
        sweep.simulate_trace(path, "lru", 0.5, bandwidth=0.0)
    with pytest.raises(LabInput, match="but the cache holds 1"):
        sweep.simulate_trace(path, "lru", 0.125, batch=2, strict=True)
    with pytest.raises(LabInput, match="at least 1"):
        sweep.simulate_trace(path, "lru", 0.5, batch=0)
    (tmp_path / "broken.npz").write_bytes(b"no trace at all")
    with pytest.raises(LabInput, match="not a readable trace"):
        sweep.simulate_trace(tmp_path / "broken.npz", "lru", 0.5)
    with pytest.raises(LabInput, match="frequencies from other requests"):
        sweep.simulate_trace(saved_trace(tmp_path, requests=1), "static_frequency", 0.5)


def test_the_command_serves_a_persons_trace_and_refuses_in_one_line(tmp_path: Path) -> None:
    """The docs promise `--json`, `--strict` and `--error-rate`."""
    command = [sys.executable, "-c", "from sovereign.cli import main; main()", "lab", "simulate", str(saved_trace(tmp_path))]
    command += ["--policy", "expertflow_a,s3_fifo", "--cache", "0.125", "--batch", "2", "--workspace", str(tmp_path / "home")]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], capture_output=True, text=True, timeout=300, check=False)

    done = run("--error-rate", "0.5", "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert (first["policy"], second["policy"]) == ("expertflow_a", "s3_fifo")
    assert first["setting"]["forecast_error_rate"] == 0.5 and second["setting"]["forecast_error_rate"] is None
    refused = run("--strict")
    assert refused.returncode == 2 and refused.stdout == ""
    lines = [x for x in refused.stderr.splitlines() if x.startswith("sovereign:")]
    assert len(lines) == 1 and "cache holds" in lines[0]


@pytest.mark.parametrize(
    ("factors", "error"),
    [
        ({"colour": "red"}, UnknownName),
        ({"steps": "many"}, LabInput),
        ({"bandwidths": "0"}, LabInput),
        ({"fractions": "0.5,2"}, LabInput),
        ({"repeats": "1"}, LabInput),
        ({"device": "cuda:7"}, LabInput),
    ],
)
def test_factors_that_cannot_be_are_refused(factors: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        cache_setup.plan_for("smoke", factors)


def test_the_gpu_preset_is_refused_without_a_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(LabInput, match="not available here"):
        cache_setup.plan_for("gpu", {})


TINY = {
    "steps": "4", "layers": "2", "experts": "8", "k": "2", "width": "32", "ffn": "16", "vocab": "320", "docs": "30", "learn": "4", "requests": "4",
    "prompt": "12", "new": "5", "fit": "4", "repeats": "2", "synthetic_requests": "4", "synthetic_new": "4", "fractions": "0.25,0.5", "batches": "1,8",
    "bandwidths": "6,100", "runtime_layers": "2", "runtime_width": "32", "runtime_ffn": "16", "runtime_experts": "4", "runtime_new": "3",
    "batch": "4", "seq": "24",
}  # fmt: skip


@pytest.mark.slow
def test_the_study_judges_every_statement_and_repeats_itself(tmp_path: Path) -> None:
    """Every prediction finds its measurement; figures exist; the digest does not depend on the clock."""
    trial = studies.execute("expert_cache", preset="smoke", factors=TINY, out=tmp_path / "a")
    assert trial.state is TrialState.DONE
    measured = {m.name for m in trial.measurements}
    missing = [s.prediction.statistic for s in trial.statements if s.prediction and s.prediction.statistic not in measured]
    assert missing == []
    folder = tmp_path / "a" / trial.trial_id
    assert trial.figures
    for name in trial.figures:
        assert (folder / name).stat().st_size > 5_000
    rows = cache_grid.read(folder, trial)
    every = {
        (w, p, f, b, x)
        for w in ("trained", "olmoe")
        for p in policies.POLICIES
        for f in (0.25, 0.5)
        for b in (1, 8)
        for x in (6.0, 25.0, 100.0)
    }
    assert {(r["workload"], r["policy"], r["resident"], r["batch"], r["gb_per_s"]) for r in rows} == every
    digest = [m for m in trial.measurements if m.name.startswith("grid.")]
    assert len(digest) == 2 * 2 * 3 * 3  # workloads, batches, links; two sizes and one time
    equal = next(s for s in trial.statements if s.prediction and s.prediction.statistic == "runtime.bit_equal")
    assert equal.verdict is GateVerdict.VERIFIED
    again = studies.execute("expert_cache", preset="smoke", factors=TINY, out=tmp_path / "b")
    assert again.digest == trial.digest
