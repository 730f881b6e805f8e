"""Texts are seeded and split without leaks, matched prompts hold the same tokens, training resumes to the bit."""

import re
from collections import Counter

import numpy as np
import pytest
import torch

from sovereign.errors import LabInput, NotFound, UnknownName
from sovereign.lab import telemetry
from sovereign.lab.corpora import KINDS, LabelledText, documents, matched, math, source_code, story, tokens
from sovereign.lab.model import ModelConfig
from sovereign.lab.training import TrainSpec, evaluate, learning_rate, load_model, sample_batch, save_checkpoint, train

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("kind", KINDS)
def test_texts_follow_their_seed_and_the_splits_share_nothing(kind):
    a = documents(kind, "train", 30, 0)
    assert a == documents(kind, "train", 30, 0)
    assert a != documents(kind, "train", 30, 1)
    held = documents(kind, "heldout", 30, 0)
    assert len(a) == len(held) == 30
    assert not set(a) & set(held)


def test_templates_names_and_files_of_the_splits_are_disjoint():
    """The prototype held out texts but not templates; its separation was inflated by prompts that shared a training template."""
    for module in (math, story):
        assert not set(module.NAMES["train"]) & set(module.NAMES["heldout"])
    skeletons = [{re.sub(r"\d+", "#", t("N", "M", "O", 3, 4, 5)) for t in side} for side in (math.TRAIN, math.HELDOUT)]
    assert not skeletons[0] & skeletons[1]
    assert not set(story.TRAIN) & set(story.HELDOUT)
    assert not set(source_code.library_files("train")) & set(source_code.library_files("heldout"))


def test_math_documents_are_true():
    """Every 'a op b = c' that a document states must hold: a model should not learn wrong sums from us."""
    checked = 0
    for text in documents("math", "train", 40, 3) + documents("math", "heldout", 40, 3):
        for a, op, b, c in re.findall(r"(?<![\d+*/-] )(?<![\d(])\b(\d+) ([+*/-]) (\d+) = (\d+)", text):
            checked += 1
            assert {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b), "/": int(a) // int(b)}[op] == int(c), text
    assert checked > 50


def test_code_has_no_docstrings_and_parses_when_it_is_whole():
    import ast

    for text in documents("code", "heldout", 20, 0):
        if len(text) < source_code.MAX_CHARS:
            assert ast.get_docstring(ast.parse(text).body[0]) is None


@pytest.fixture(scope="module")
def tokenizer():
    return tokens.train_tokenizer([t for k in KINDS for t in documents(k, "train", 60, 0)], 512)


def test_the_tokenizer_loses_nothing_and_follows_its_texts(tokenizer):
    for text in ("def f(x):\n    return x", "Größe 12 % — ok", " a  b"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    again = tokens.train_tokenizer([t for k in KINDS for t in documents(k, "train", 60, 0)], 512)
    assert again.to_str() == tokenizer.to_str()


def test_matched_prompts_are_told_apart_by_order_alone(tokenizer):
    assert all(not Counter(p.split()) - matched.bag() for side in matched.PATTERNS.values() for p in side)
    prompts = tokens.matched_prompts(tokenizer, 6, 0)
    assert prompts.tokens_NS.shape[0] == 24
    for i in range(6):
        quad = [sorted(prompts.tokens_NS[i + 6 * k]) for k in range(4)]
        assert quad[0] == quad[1] == quad[2] == quad[3]
        assert len({tuple(prompts.tokens_NS[i + 6 * k]) for k in range(4)}) == 4


def test_heldout_prompts_have_one_length_and_are_distinct(tokenizer):
    prompts = tokens.heldout_prompts(tokenizer, 5, 20, 0)
    assert prompts.tokens_NS.shape == (20, 20)
    assert len({tuple(r) for r in prompts.tokens_NS}) == 20
    assert Counter(prompts.categories) == dict.fromkeys(KINDS, 5)
    with pytest.raises(LabInput, match="prompts of 4000 tokens"):
        tokens.heldout_prompts(tokenizer, 5, 4000, 0)


def test_shuffling_keeps_each_documents_tokens():
    docs = [np.array([5, 6, 7, 8, 0]), np.array([9, 9, 1, 0])]
    mixed = tokens.shuffle_within(docs, 0)
    assert [sorted(d) for d in mixed] == [sorted(d) for d in docs]
    assert all(d[-1] == tokens.END for d in mixed)


def test_prompt_files_are_read_or_refused_in_one_line(tmp_path):
    path = tmp_path / "p.jsonl"
    rows = [f'{{"category": "{c}", "prompt": "{c} {i}"}}' for c in ("x", "y") for i in range(6)]
    path.write_text("\n".join(rows))
    chosen = tokens.read_prompts(path, per_kind=4, seed=0)
    assert Counter(p.kind for p in chosen) == {"x": 4, "y": 4}
    assert chosen == tokens.read_prompts(path, per_kind=4, seed=0)
    for text in ("nonsense", '{"category": "x"}', '{"category": "x", "prompt": " "}', "\n".join(rows[:6]), "\n".join(rows[:7])):
        path.write_text(text)
        with pytest.raises(LabInput):
            tokens.read_prompts(path, per_kind=4, seed=0)
    with pytest.raises(NotFound):
        tokens.read_prompts(tmp_path / "absent", per_kind=4, seed=0)


def test_unknown_kinds_and_splits_are_named():
    with pytest.raises(UnknownName, match="poetry"):
        documents("poetry", "train", 1, 0)
    with pytest.raises(UnknownName):
        documents("math", "test", 1, 0)


# --- training ---

CONFIG = ModelConfig(vocab=64, layers=2, width=32, heads=2, experts=4, k=2, ffn=16)
SPEC = TrainSpec(steps=8, batch=4, seq=16, warmup=2)


@pytest.fixture
def streams():
    rng = np.random.default_rng(0)
    return {"a": np.arange(2000) % 60 + 1, "b": rng.integers(1, 64, 2000)}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def equal(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_a_resumed_run_ends_with_the_same_bits(streams, tmp_path):
    whole = CONFIG.build(1)
    train(whole, streams, SPEC, checkpoint=tmp_path / "whole.safetensors")

    class Stop(Exception):
        pass

    def stop_at(what, share):
        if share >= 1:
            raise Stop

    # The interrupted run saves after step 5 and never reaches its end.
    broken = CONFIG.build(1)
    with pytest.raises(Stop):
        train(broken, streams, SPEC, checkpoint=tmp_path / "c.safetensors", every=5, progress=stop_at)
    resumed = CONFIG.build(99)
    result = train(resumed, streams, SPEC, checkpoint=tmp_path / "c.safetensors")
    assert result.steps == 3
    assert equal(whole, resumed)
    assert equal(load_model(tmp_path / "whole.safetensors"), whole)


def test_training_learns_and_seeds_matter(streams):
    spec = TrainSpec(steps=60, batch=8, seq=16, warmup=5)
    a, b, c = CONFIG.build(0), CONFIG.build(0), CONFIG.build(0)
    first = train(a, streams, spec)
    train(b, streams, spec)
    train(c, streams, TrainSpec(**{**spec.__dict__, "seed": 1}))
    assert equal(a, b)
    assert not equal(a, c)
    assert first.last_loss < first.first_loss - 0.5
    held = evaluate(a, np.arange(500) % 60 + 1, seq=16, windows=4)
    assert len(held) == 4
    assert np.mean(held) < np.log(64)


def test_batches_depend_on_seed_and_step_alone_and_take_kinds_in_turn(streams):
    sample_batch(streams, SPEC, 0)
    a = sample_batch(streams, SPEC, 5)
    assert torch.equal(a, sample_batch(streams, SPEC, 5))
    assert not torch.equal(a, sample_batch(streams, SPEC, 6))
    steps_of_a = (a[0, 1:] - a[0, :-1]) % 60
    assert (steps_of_a == 1).all(), "row 0 comes from the counting stream"


def test_the_learning_rate_warms_up_and_decays_to_a_tenth():
    spec = TrainSpec(steps=100, warmup=10, lr=1.0)
    rates = [learning_rate(spec, i) for i in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_foreign_or_damaged_checkpoints_and_short_streams_are_refused(streams, tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, CONFIG.build(0), None, SPEC, 3)
    other = ModelConfig(**{**CONFIG.as_dict(), "ffn": 8}).build(0)
    with pytest.raises(LabInput, match="another model"):
        train(other, streams, SPEC, checkpoint=path)
    with pytest.raises(LabInput, match="another training"):
        train(CONFIG.build(0), streams, TrainSpec(steps=9), checkpoint=path)
    path.write_bytes(b"broken")
    with pytest.raises(LabInput, match="damaged"):
        load_model(path)
    with pytest.raises(LabInput, match="window"):
        train(CONFIG.build(0), {"a": np.arange(10)}, SPEC)
    with pytest.raises(NotFound):
        load_model(tmp_path / "absent")


def test_a_diverging_run_stops_with_its_mend(streams):
    with pytest.raises(LabInput, match="became"):
        train(CONFIG.build(0), streams, TrainSpec(steps=30, batch=2, seq=16, lr=1e20))


# --- capture from our decoder ---


def test_a_captured_generation_equals_a_fresh_forward_pass_over_its_tokens():
    """Guards against decode rows that belong to another step, layer or request."""
    model = CONFIG.build(3)
    prompts = np.random.default_rng(0).integers(1, 64, (5, 7))
    t = telemetry.capture(model, prompts, max_new=4, temperature=1.0, seed=1, batch=2, categories=["a"] * 5)
    assert t.tokens == 5 * (7 + 3)
    ids = t.token_id.reshape(5, 10).astype(np.int64)
    np.testing.assert_array_equal(ids[:, :7], prompts)
    again = telemetry.capture(model, ids)
    assert (np.sort(t.experts, -1) == np.sort(again.experts, -1)).mean() > 0.999  # ties at the last bit of a cached product may differ
    assert t.is_decode.reshape(5, 10)[:, 7:].all()
    assert not t.is_decode.reshape(5, 10)[:, :7].any()


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_no_prompts_and_empty_prompts_are_refused(shape):
    with pytest.raises(LabInput):
        telemetry.capture(CONFIG.build(0), np.zeros(shape, dtype=np.int64))


def test_texts_of_one_kind_can_be_encoded_with_labels(tokenizer):
    items = [LabelledText("b", "one two three four"), LabelledText("a", "five six seven eight")]
    p = tokens.encode_prompts(tokenizer, items, 3)
    assert p.kinds == ("a", "b")
    assert p.labels.tolist() == [1, 0]
    with pytest.raises(LabInput, match="fewer than 50"):
        tokens.encode_prompts(tokenizer, items, 50)
