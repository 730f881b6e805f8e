"""Structure-based capture on tiny random checkpoints of seven families. One file: importing transformers costs seconds."""

import numpy as np
import pytest
import torch

pytestmark = [pytest.mark.lab, pytest.mark.slow]
transformers = pytest.importorskip("transformers")

from sovereign.errors import LabInput  # noqa: E402
from sovereign.lab import telemetry  # noqa: E402
from sovereign.lab.model import ModelConfig  # noqa: E402

SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "pad_token_id": 0}
FAMILIES = {
    "Olmoe": {"intermediate_size": 16, "num_experts": 8, "num_experts_per_tok": 2},
    "Mixtral": {"intermediate_size": 16, "num_local_experts": 8, "num_experts_per_tok": 2},
    "Qwen2Moe": {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 2},
    "Qwen3Moe": {"moe_intermediate_size": 16, "intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 2, "head_dim": 8},
    "DeepseekV2": {
        "moe_intermediate_size": 16, "intermediate_size": 32, "n_routed_experts": 8, "num_experts_per_tok": 2, "first_k_dense_replace": 0,
        "kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8, "n_group": 1, "topk_group": 1,
    },
    "DeepseekV3": {
        "moe_intermediate_size": 16, "intermediate_size": 32, "n_routed_experts": 8, "num_experts_per_tok": 2, "first_k_dense_replace": 1,
        "kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8, "n_group": 2, "topk_group": 1,
    },
    "GptOss": {"intermediate_size": 16, "num_local_experts": 8, "num_experts_per_tok": 2, "head_dim": 8},
    "GraniteMoe": {"intermediate_size": 16, "num_local_experts": 8, "num_experts_per_tok": 2},
}  # fmt: skip


def tiny(family: str):
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**SMALL, **FAMILIES[family])
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 2 and p.shape[0] == 8:
                p.normal_(0, 0.5)  # several families start their router at zero, which would make every choice a tie
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trace_of_any_family_validates_and_matches_the_routers_own_choice(family):
    model = tiny(family)
    rng = np.random.default_rng(1)
    prompts = [rng.integers(1, 64, 9).tolist(), rng.integers(1, 64, 5).tolist()]
    trace = telemetry.capture_hf(model, prompts, max_new=4, categories=["a", "b"])
    layers = telemetry.find_moe_layers(model)
    assert (trace.num_experts, trace.k, trace.layers) == (8, 2, len(layers))
    # The last generated token is never fed back; unless generation stopped early, 9 + 3 and 5 + 3 rows remain.
    assert trace.tokens <= 9 + 3 + 5 + 3
    assert (~trace.is_decode).sum() == 14
    assert trace.meta["gate"] == ("sigmoid" if family == "DeepseekV3" else "softmax")
    assert "transformers" in trace.meta["versions"]
    assert trace.weights is not None


def test_hooks_are_gone_after_an_error():
    model = tiny("Olmoe")
    layers = telemetry.find_moe_layers(model)
    with pytest.raises(RuntimeError), telemetry.hooked(layers):
        raise RuntimeError("stop")
    assert not any(layer.router._forward_hooks or layer.experts._forward_pre_hooks for layer in layers)


def test_a_dense_model_is_refused_in_one_line():
    config = transformers.LlamaConfig(**SMALL, intermediate_size=32)
    with pytest.raises(LabInput, match="no Mixture-of-Experts layer"):
        telemetry.find_moe_layers(transformers.LlamaForCausalLM(config))


def test_our_decoder_computes_what_the_library_computes_on_the_same_weights():
    """Guards against a decoder that only resembles OLMoE: logits and chosen experts must agree on copied weights."""
    theirs = tiny("Olmoe")
    ours = ModelConfig(vocab=64, layers=2, width=32, heads=4, experts=8, k=2, ffn=16).build(0)
    with torch.no_grad():
        source = theirs.model
        ours.embedding.weight.copy_(source.embed_tokens.weight)
        ours.norm.weight.copy_(source.norm.weight)
        ours.head.weight.copy_(theirs.lm_head.weight)
        for a, b in zip(ours.layers, source.layers, strict=True):
            for name in ("q", "k", "v", "o"):
                getattr(a.attention, name).weight.copy_(getattr(b.self_attn, f"{name}_proj").weight)
            a.attention.q_norm.weight.copy_(b.self_attn.q_norm.weight)
            a.attention.k_norm.weight.copy_(b.self_attn.k_norm.weight)
            a.attention_norm.weight.copy_(b.input_layernorm.weight)
            a.moe_norm.weight.copy_(b.post_attention_layernorm.weight)
            a.moe.router.weight.copy_(b.mlp.gate.weight)
            a.moe.experts.gate_up.copy_(b.mlp.experts.gate_up_proj)
            a.moe.experts.down.copy_(b.mlp.experts.down_proj)
        tokens = torch.randint(1, 64, (2, 12), generator=torch.Generator().manual_seed(3))
        torch.testing.assert_close(ours.eval()(tokens).logits_BSV, theirs(tokens).logits, atol=2e-5, rtol=1e-4)
    mine = telemetry.capture(ours, tokens.numpy())
    hers = telemetry.capture_hf(theirs, tokens.tolist())
    np.testing.assert_array_equal(np.sort(mine.experts, -1), np.sort(hers.experts, -1))


def test_the_study_runs_on_a_checkpoint_written_and_loaded_through_the_library(tmp_path):
    """The path of the exact replication, on a tiny random OLMoE."""
    from sovereign.lab import study
    from sovereign.lab.corpora import KINDS, documents, tokens
    from sovereign.records import Scale

    bpe = tokens.train_tokenizer([t for k in KINDS for t in documents(k, "train", 40, 0)], 400)
    torch.manual_seed(0)
    config = transformers.OlmoeConfig(**{**SMALL, "vocab_size": 400}, **FAMILIES["Olmoe"])
    model = transformers.OlmoeForCausalLM(config)
    with torch.no_grad():
        for block in model.model.layers:
            block.mlp.gate.weight.normal_(0, 0.5)
    model.save_pretrained(tmp_path / "m")
    transformers.PreTrainedTokenizerFast(tokenizer_object=bpe).save_pretrained(tmp_path / "m")
    factors = {
        "model": str(tmp_path / "m"), "dtype": "float32", "per_kind": "5", "prompt_tokens": "16", "new_tokens": "3", "max_tokens": "24",
        "reference_docs": "12", "permutations": "99", "bootstrap": "100", "chance_repeats": "2", "prompts_are": "paper",
    }  # fmt: skip
    trial = study.execute("routing_signatures", preset="smoke", factors=factors, out=tmp_path)
    names = {m.name for m in trial.measurements}
    assert {"d", "within", "across", "control.random_router.d", "control.shuffled_prompt.d", "control.matched.d"} <= names
    assert trial.scale is Scale.CONCEPTUAL, "a tiny model must never count as the paper's, whatever the person says of the prompts"
    assert any("shuffled_corpus" in line for line in trial.cannot_say)
    assert trial.spec["experts"] == 8


def test_nan_weights_are_refused_by_name(tmp_path):
    model = tiny("Olmoe")
    with torch.no_grad():
        model.model.layers[1].mlp.gate.weight[0, 0] = float("nan")
    model.save_pretrained(tmp_path)
    with pytest.raises(LabInput, match=r"NaN.*layers.1"):
        telemetry.load_hf(str(tmp_path), dtype="float32")
