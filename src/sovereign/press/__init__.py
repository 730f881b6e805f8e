"""Finished records to files: JSON, Markdown, HTML, PDF and BibTeX. Imports records and seal; refuses to change a word of the draft."""

from __future__ import annotations

from collections.abc import Mapping

from sovereign.records import Finished, Paper

FILES = ("draft.json", "draft.md", "draft.html", "draft.pdf", "references.bib")


def render(finished: Finished, figures: Mapping[str, bytes]) -> dict[str, bytes]:
    """name -> bytes of every file of the run folder. `figures`: file name as in the draft -> SVG or PNG bytes. Same records, same bytes."""
    from sovereign.press.bibtex import bibliography
    from sovereign.press.contract import document
    from sovereign.press.html import page
    from sovereign.press.markdown import text
    from sovereign.press.pdf import paper
    from sovereign.press.view import view
    from sovereign.seal import pretty

    shown = view(finished)
    return {
        "draft.json": pretty(document(finished)).encode(),
        "draft.md": text(shown).encode(),
        "draft.html": page(shown, figures).encode(),
        "draft.pdf": paper(shown, figures, finished.created_at),
        "references.bib": bibliography(_cited(finished)).encode(),
        **{f"figures/{name}": body for name, body in figures.items()},
    }


def _cited(finished: Finished) -> list[Paper]:
    papers = {a.paper.paper_id: a.paper for a in finished.admissions}
    return [papers[p] for p in finished.draft.references if p in papers]
