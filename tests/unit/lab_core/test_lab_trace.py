"""A trace survives its file, the validator names each known way in which captures go wrong, importers refuse what does not fit."""

from dataclasses import replace

import numpy as np
import pytest

from sovereign.errors import LabInput, NotFound
from sovereign.lab import trace as tr

pytestmark = pytest.mark.lab
T, L, E, K = 40, 3, 8, 2


def good(seed: int = 0, requests: int = 2) -> tr.RoutingTrace:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(T, L, E))
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    experts = np.argsort(-probs, -1)[..., :K].astype(np.int16)
    each = T // requests
    return tr.RoutingTrace(
        experts=experts,
        weights=np.take_along_axis(probs, experts.astype(int), -1).astype(np.float32),
        probs=probs.astype(np.float16),
        request=np.repeat(np.arange(requests), each).astype(np.int32),
        position=np.tile(np.arange(each), requests).astype(np.int32),
        is_decode=np.tile(np.arange(each) >= 15, requests),
        token_id=rng.integers(0, 50, T).astype(np.int32),
        meta=tr.make_meta(num_experts=E, k=K, layers=L, model="m", versions={"torch": "2"}, categories=["a", "b"][:requests]),
    )


def test_a_trace_comes_back_from_its_file_unchanged_and_without_pickles(tmp_path):
    trace = good()
    path = trace.save(tmp_path / "t.npz")
    back = tr.RoutingTrace.load(path)
    assert back.digest() == trace.digest()
    assert back.categories == ["a", "b"]
    with np.load(path, allow_pickle=False) as held:
        assert set(held.files) == {*tr.ARRAYS, "meta"}
    assert trace.prefill().tokens + trace.decode().tokens == T


def test_the_digest_sees_one_changed_choice():
    trace = good()
    other = trace.experts.copy()
    other[0, 0] = other[0, 0][::-1]
    assert replace(trace, experts=other).digest() != trace.digest()


def spoil(name):
    t = good()
    e = t.experts.copy()
    if name == "id range":
        e[3, 1, 0] = E
    elif name == "twice":
        e[3, 1, 1] = e[3, 1, 0]
    elif name == "all-zero":
        e[5] = 0
    elif name == "repeat":
        e[:20] = e[0]
    changes = {
        "row counts": {"position": t.position[:-1]},
        "lost rows": {"position": np.where(t.position == 7, 8, t.position)},
        "sum": {"probs": t.probs * np.float16(0.7)},
        "raw logits": {"probs": np.log(t.probs.astype(np.float32))},
        "softmax of a softmax": {"probs": np.exp(t.probs) / np.exp(t.probs).sum(-1, keepdims=True)},
        "do not match": {"probs": np.ascontiguousarray(t.probs[..., ::-1])},
        "NaN": {"weights": np.full_like(t.weights, np.nan)},
        "k = ": {"meta": {**t.meta, "k": 3}},
        "version": {"meta": {**t.meta, "versions": {}}},
        "category": {"meta": {**t.meta, "categories": ["a"]}},
        "no tokens": {"experts": e[:0]},
    }.get(name, {"experts": e})
    return replace(t, **changes)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("id range", "run from"), ("twice", "one expert twice"), ("all-zero", "all-zero"), ("repeat", "repeat the row"), ("row counts", "shape"),
        ("lost rows", "lost or doubled"), ("sum", "do not sum to 1"), ("raw logits", "raw logits"), ("softmax of a softmax", "softmax of a softmax"),
        ("do not match", "outside the 2 most probable"), ("NaN", "NaN"), ("k = ", "meta says"), ("version", "version"), ("category", "no category"),
        ("no tokens", "no tokens"),
    ],
)  # fmt: skip
def test_the_validator_names_what_is_wrong(name, words):
    problems = tr.validate(spoil(name))
    assert any(words in p for p in problems), problems
    with pytest.raises(LabInput, match="cannot be used"):
        tr.check(spoil(name))


def test_the_validator_is_silent_on_good_traces_and_nearly_uniform_routers():
    """A fresh router is nearly uniform; it must not be taken for a softmax of a softmax. 20 seeds: no false alarm allowed."""
    for seed in range(20):
        assert tr.validate(good(seed)) == []
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(T, L, E)) * 0.2
        probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        t = replace(good(seed), probs=probs.astype(np.float16), experts=np.argsort(-probs, -1)[..., :K].astype(np.int16), weights=None)
        assert tr.validate(t) == []


def test_server_arrays_are_imported_per_request_with_prefill_and_decode():
    arrays = [good().experts[:20], good().experts[20:32]]
    t = tr.from_routed_experts(arrays, num_experts=E, prompt_lengths=[15, 12], versions={"vllm": "0.21"}, categories=["a", "b"])
    assert t.tokens == 32
    assert t.is_decode.sum() == 5
    assert (t.position[t.request == 1] == np.arange(12)).all()


@pytest.mark.parametrize("bad", ["wrong k", "too large", "none", "lengths"])
def test_server_arrays_that_do_not_fit_are_refused(bad):
    a = good().experts
    arrays = {"wrong k": [a, a[..., :1]], "too large": [a + E], "none": [], "lengths": [a]}[bad]
    with pytest.raises(LabInput):
        tr.from_routed_experts(arrays, num_experts=E, versions={"vllm": "1"}, prompt_lengths=[1, 2] if bad == "lengths" else None)


def test_jsonl_and_npz_give_the_same_trace(tmp_path):
    import json

    t = good(requests=1)
    lines = [
        json.dumps({"request": 7, "position": int(p), "experts": e.tolist(), "token_id": int(i)})
        for p, e, i in zip(t.position, t.experts, t.token_id, strict=True)
    ]
    a = tr.from_jsonl(reversed(lines), num_experts=E, versions={"x": "1"})
    np.savez(tmp_path / "r.npz", routed_experts=t.experts)
    b = tr.from_npz(tmp_path / "r.npz", num_experts=E, versions={"x": "1"})
    np.testing.assert_array_equal(a.experts, b.experts)
    np.testing.assert_array_equal(a.experts, t.experts)
    for bad in (
        ['{"request": 0}'],
        ["nonsense"],
        [],
        ['{"request":0,"position":0,"experts":[[1,2]]}', '{"request":0,"position":1,"experts":[[1]]}'],
    ):
        with pytest.raises(LabInput):
            tr.from_jsonl(bad, num_experts=E, versions={"x": "1"})


def test_files_that_are_no_traces_are_refused_in_one_line(tmp_path):
    with pytest.raises(NotFound):
        tr.RoutingTrace.load(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("not a zip")
    np.savez(tmp_path / "bare.npz", experts=good().experts)
    np.savez(tmp_path / "pickled.npz", meta=np.array({"schema": 1}, dtype=object), experts=good().experts)
    old = replace(good(), meta={**good().meta, "schema": 99}).save(tmp_path / "old.npz")
    for path in (tmp_path / "text.npz", tmp_path / "bare.npz", tmp_path / "pickled.npz", old):
        with pytest.raises(LabInput) as caught:
            tr.RoutingTrace.load(path)
        assert "\n" not in caught.value.line()


def test_traces_of_different_versions_are_not_merged():
    a, b = good(0), good(1)
    merged = tr.merge([a, b])
    assert merged.tokens == 2 * T
    assert len(merged.requests) == 4
    assert merged.categories == ["a", "b", "a", "b"]
    with pytest.raises(LabInput, match="differ in versions"):
        tr.merge([a, replace(b, meta={**b.meta, "versions": {"torch": "3"}})])
