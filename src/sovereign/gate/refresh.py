"""Asks the live services what became of papers: retracted, withdrawn, superseded by a later version. Imports sources lazily; decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sovereign.records import Found, Paper
from sovereign.settings import Settings

Asked = tuple[dict[str, tuple[str, ...]], list[tuple[str, str]], int]


def ask(papers: Mapping[str, Paper], settings: Settings) -> Asked:
    """(paper id -> new flags, (paper id, why it was not checked), number checked). A service's silence is never "nothing happened"."""
    if settings.offline:
        return {}, [(p, "offline") for p in papers], 0
    return asyncio.run(_ask(papers, settings))


async def _ask(papers: Mapping[str, Paper], settings: Settings) -> Asked:
    from sovereign.identity import parse_arxiv_id
    from sovereign.sources import services

    live = services(settings, state_dir=settings.home)
    flags: dict[str, tuple[str, ...]] = {}
    unchecked: list[tuple[str, str]] = []
    checked = 0
    for paper_id, paper in papers.items():
        arxiv = paper.arxiv_id or (parse_arxiv_id(paper_id.removeprefix("arxiv:")) or ("", None))[0]
        if not arxiv and not paper.doi:
            unchecked.append((paper_id, "it has neither an arXiv id nor a DOI"))
            continue
        said = await live.flags(paper)
        found, answered = set(said.flags), bool(said.checked)
        if arxiv:
            newest = await live.arxiv.lookup(arxiv)
            if isinstance(newest, Found):
                answered = True
                found |= set(newest.papers[0].flags)
                if paper.version and (newest.papers[0].version or 0) > paper.version:
                    found.add("superseded")
        if not answered:
            unchecked.append((paper_id, "; ".join(f"{name}: {f.reason}" for name, f in said.failed) or "no service answered"))
            continue
        checked += 1
        if fresh := found - set(paper.flags):
            flags[paper_id] = tuple(sorted(fresh))
    return flags, unchecked, checked
