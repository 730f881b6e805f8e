"""A small library of three notes and questions over it: runs take about a second."""

from __future__ import annotations

from pathlib import Path

from sovereign import wiring
from sovereign.settings import Settings, load

NOTES = {
    "routers.md": "# Small Routers: a note\n\nSmall Routers reduces TTFT by 14% on MMMU compared with the unspecialized router.\n",
    "caches.md": "# Wide Caches: a note\n\nWide Caches raises the hit ratio to 91% on XSUM, while LRU reaches 74%.\n",
    "gates.md": "# Fast Gates: a note\n\nFast Gates lowers latency by 2.5x on VQAv2 at batch size 8.\n",
}
QUESTIONS = (
    "How much does Small Routers reduce TTFT on MMMU?",
    "Which hit ratio does Wide Caches reach on XSUM compared with LRU?",
    "How much does Fast Gates lower latency on VQAv2?",
    "What is the perplexity of Small Routers?",
    "What does Wide Caches reach on XSUM?",
    "What does Fast Gates reach at batch size 8?",
)


def prepared(home: Path, url: str = "") -> Settings:
    """A workspace with three notes, indexed, and its settings."""
    home.mkdir()
    (home / "sovereign.toml").write_text('default_library = false\nsources = ["local"]\noffline = true\n')
    for name, text in NOTES.items():
        (home.parent / name).write_text(text)
    settings = load(home, database_url=url or None)
    with wiring.workspace(settings) as ws:
        wiring.add_to_library(ws, settings, [str(home.parent / name) for name in NOTES])
    return settings
