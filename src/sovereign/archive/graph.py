"""Claims and sources as one static SVG. Standard library only; refuses scripts and anything that was not escaped."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

GOOD = ("SUPPORTED", "QUALIFIED")
ROW = 30  # px between two rows
MOST = 60  # rows of one column that a picture can carry; the page lists the rest


def graph(sources: Sequence[tuple[str, str]], nodes: Sequence[Mapping[str, Any]], title: str) -> str:
    """sources: (id, title), drawn left. nodes: {id, label, verdict, sources: [ids], contested: [node ids]}, drawn right."""
    sources, nodes = sources[:MOST], nodes[:MOST]
    height = 24 + ROW * max(len(sources), len(nodes), 1)
    left = {s: (330, _y(i, len(sources), height)) for i, (s, _) in enumerate(sources)}
    right = {str(n["id"]): (560, _y(i, len(nodes), height)) for i, n in enumerate(nodes)}
    edges, marks = [], []
    for n in nodes:
        x2, y2 = right[str(n["id"])]
        for s in n["sources"]:
            if s in left:
                x1, y1 = left[s]
                kind = "good" if n["verdict"] in GOOD else "bad"
                edges.append(f'<path class="edge {kind}" d="M{x1 + 6} {y1} C{x1 + 110} {y1} {x2 - 110} {y2} {x2 - 6} {y2}"/>')
        for other in n.get("contested", ()):
            if str(other) in right and str(other) > str(n["id"]):
                y3 = right[str(other)][1]
                edges.append(f'<path class="edge contest" d="M{x2 + 6} {y2} C{x2 + 40} {y2} {x2 + 40} {y3} {x2 + 6} {y3}"/>')
    for s, name in sources:
        x, y = left[s]
        marks.append(f'<g><title>{escape(name)}</title><rect class="source" x="{x - 5}" y="{y - 5}" width="10" height="10"/>'
                     f'<text x="{x - 12}" y="{y + 4}" text-anchor="end">{escape(textwrap.shorten(name, 46, placeholder="…"))}</text></g>')  # fmt: skip
    for n in nodes:
        x, y = right[str(n["id"])]
        kind = "good" if n["verdict"] in GOOD else "bad"
        label = escape(textwrap.shorten(str(n["label"]), 54, placeholder="…"))
        text = f'<text x="{x + 14}" y="{y + 4}">{label}</text>'
        if n.get("href"):
            text = f'<a href="{escape(str(n["href"]), quote=True)}">{text}</a>'
        marks.append(
            f'<g><title>{escape(str(n["label"]))} — {escape(str(n["verdict"]))}</title><circle class="node {kind}" cx="{x}" cy="{y}" r="5"/>{text}</g>'
        )
    role = "group" if any(n.get("href") for n in nodes) else "img"  # what is an image to a reader cannot hold links
    style = (
        ".edge{fill:none;stroke-width:1.2;opacity:.55}.edge.good{stroke:#2f7d57}.edge.bad{stroke:#b4552d;stroke-dasharray:4 3}"
        ".edge.contest{stroke:#b4552d;stroke-width:1.6;opacity:.9}.source{fill:#3b6ea5}.node.good{fill:#2f7d57}.node.bad{fill:#b4552d}"
        "text{font:12px system-ui,sans-serif;fill:#1d2730}a text{text-decoration:underline}rect.back{fill:#fff}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 980 {height}" role="{role}" aria-label="{escape(title, quote=True)}"><style>{style}</style>'
        f'<rect class="back" width="980" height="{height}"/>{"".join(edges)}{"".join(marks)}</svg>\n'
    )


def _y(i: int, n: int, height: int) -> int:
    return int(12 + (height - 24) * (i + 0.5) / max(n, 1))
