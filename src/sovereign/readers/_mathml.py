"""MathML as one line of text: the author's TeX where it is attached, else the presentation tree. Imports the TeX notation only."""

from __future__ import annotations

import re
from typing import Any

from sovereign.readers import _tex

_RELATIONS = frozenset("=<>≤≥≠≈∼≃≡∝≪≫∈∉⊂⊆→←⇒⇔↦≔")


def name_of(element: Any) -> str:
    """Local name in lower case; "" for comments, processing instructions and entity nodes."""
    tag = element.tag
    return tag.rpartition("}")[2].rpartition(":")[2].lower() if isinstance(tag, str) else ""


def text(math: Any) -> str:
    """alttext, then an application/x-tex annotation, then the tree: numbers live in all three, the first is the most faithful."""
    alternative = math.get("alttext") or math.get("alt")
    if alternative and alternative.strip():
        return _tex.math(alternative)
    for node in math.iter():
        if name_of(node) == "annotation" and "tex" in (node.get("encoding") or "").lower() and (node.text or "").strip():
            return _tex.math(node.text.strip())
    return re.sub(r" {2,}", " ", _presentation(math, 0)).strip()


def _presentation(node: Any, depth: int) -> str:
    name = name_of(node)
    if not name or name in ("annotation", "annotation-xml", "mphantom") or depth > 60:
        return ""
    children = [c for c in node if name_of(c)]
    if name in ("mi", "mn", "mo", "mtext", "ms", "cn", "ci"):
        value = " ".join("".join(node.itertext()).split()).replace("\u2061", "").replace("\u2062", "").replace("\u2063", "")
        return f" {value} " if name == "mo" and value in _RELATIONS else value
    parts = [
        _presentation(c, depth + 1).strip() if name not in ("mrow", "math", "mstyle") else _presentation(c, depth + 1) for c in children
    ]
    if name == "mfrac" and len(parts) == 2:
        return f"{_grouped(parts[0])}/{_grouped(parts[1])}"
    if name == "msup" and len(parts) == 2:
        return parts[0] + _script("^", parts[1])
    if name in ("msub", "munder") and len(parts) == 2:
        return parts[0] + _script("_", parts[1])
    if name in ("msubsup", "munderover") and len(parts) == 3:
        return parts[0] + _script("_", parts[1]) + _script("^", parts[2])
    if name == "msqrt":
        return "√" + _grouped("".join(parts))
    if name == "mroot" and len(parts) == 2:
        return f"^{parts[1]}√{_grouped(parts[0])}"
    if name == "mtable":
        return "; ".join(parts)
    if name in ("mtr", "mlabeledtr"):
        return " ".join(parts)
    if name == "mspace":
        return " "
    if name == "mfenced":
        return (node.get("open") or "(") + ", ".join(parts) + (node.get("close") or ")")
    return "".join(parts) if parts else (node.text or "")


def _script(sign: str, inner: str) -> str:
    return sign + (inner if re.fullmatch(r"[-+−]?[\w.]+|[^\w\s]", inner) else f"({inner})") if inner else ""


def _grouped(inner: str) -> str:
    return inner if re.fullmatch(r"[\w.%°]*", inner) else f"({inner})"
