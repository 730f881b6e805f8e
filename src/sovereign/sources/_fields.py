"""Reading foreign JSON and XML field by field: what is missing or of another type is None, never a default and never an error.

Imports lxml (lazily) and the standard library. Refuses XML with a document type declaration: entities are how XML bodies attack.
"""

from __future__ import annotations

import datetime
import html
import json
import re
from typing import Any

from sovereign.sources._http import Answer, BadBody

TEXT_LIMIT = 200_000  # characters of one field; an abstract is some 2 000


# Control characters, lone surrogates (they cannot be stored as UTF-8) and the marks that make text read in another order than it is.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def text(value: Any) -> str | None:
    """A string with its blanks collapsed and without control characters, or None."""
    if not isinstance(value, str) or len(value) > TEXT_LIMIT:
        return None
    return " ".join(_UNSAFE.sub(" ", value).split()) or None


def whole(value: Any) -> int | None:
    """A whole number (also one written as text), or None; True is not a number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,18}\s*", value):
        return int(value)
    return value if isinstance(value, int) else None


def year(value: Any) -> int | None:
    found = whole(value)
    return found if found is not None and 1000 <= found <= 2999 else None


def date(value: Any) -> str | None:
    """An ISO date from the front of a date or time, or None (also for a thirtieth of February)."""
    match = re.match(r"[12]\d{3}-\d\d-\d\d", value) if isinstance(value, str) else None
    try:
        return datetime.date.fromisoformat(match[0]).isoformat() if match else None
    except ValueError:
        return None


def link(value: Any) -> str | None:
    found = text(value)
    return found if found and re.match(r"https?://[^\s]+$", found) else None


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def record(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def unmarked(value: str | None) -> str | None:
    """Text out of HTML or JATS fragments ("<jats:p>We ...</jats:p>")."""
    if value is None:
        return None
    plain = re.sub(r"</?(?:jats:)?(?:title|p|sec|list|list-item)\b[^<>]*>", " ", value)
    return text(html.unescape(re.sub(r"</?[A-Za-z][^<>]*>", "", plain)))


def json_value(answer: Answer) -> Any:
    """The body as JSON of any kind. Raises BadBody."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as exc:
        raise BadBody(f"not JSON, {len(answer.body)} bytes") from exc


def json_object(answer: Answer) -> dict[str, Any]:
    """The body as a JSON object. Raises BadBody for anything else: HTML error pages, cut bodies, lists."""
    if answer.body.lstrip()[:1] == b"<":
        raise BadBody("an HTML page in place of JSON")
    found = json_value(answer)
    if not isinstance(found, dict):
        raise BadBody("JSON, but not an object")
    return found


def xml_root(answer: Answer) -> Any:
    """The root element. Raises BadBody for what is not well-formed, for HTML, and for any document type declaration."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False, recover=False)
    if b"<!DOCTYPE" in answer.body[:4096].upper():
        raise BadBody("an HTML page or a document type declaration in place of a feed")
    try:
        root = etree.fromstring(answer.body, parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise BadBody(f"not well-formed XML, {len(answer.body)} bytes") from exc
    info = root.getroottree().docinfo
    if info.doctype or info.internalDTD is not None:
        raise BadBody("a document type declaration")
    if isinstance(root.tag, str) and etree.QName(root).localname.lower() == "html":
        raise BadBody("an HTML page in place of a feed")
    return root
