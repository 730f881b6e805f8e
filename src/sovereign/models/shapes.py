"""The shapes that answers must have: a small JSON-schema checker and the reading of JSON out of a model's text. Standard library only.

It knows the keywords that the kernel's own shapes use and refuses any other: a keyword that is silently ignored would be a check that does not run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_KNOWN = frozenset(
    "type properties required additionalProperties items enum minimum maximum minLength maxLength minItems maxItems description title".split()
)
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
MAX_ERRORS = 8
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.S)


def problems(value: Any, shape: Mapping[str, Any], where: str = "$") -> list[str]:
    """What is wrong with `value`, one line each; empty when it has the shape. Raises ValueError for a keyword this checker does not know."""
    if unknown := set(shape) - _KNOWN:
        raise ValueError(f"shape at {where} uses {sorted(unknown)[0]!r}, which this checker does not know")
    out: list[str] = []
    wanted = shape.get("type")
    names = [wanted] if isinstance(wanted, str) else list(wanted or ())
    if names and not any(_is(value, n) for n in names):
        return [f"{where} is {_kind(value)}, not {' or '.join(names)}"]
    if "enum" in shape and value not in shape["enum"]:
        out.append(f"{where} is {str(value)[:40]!r}, not one of {', '.join(map(str, shape['enum']))}")
    if isinstance(value, dict):
        out += _object(value, shape, where)
    elif isinstance(value, list):
        out += _sized(len(value), shape, "Items", where, "items")
        for n, item in enumerate(value):
            out += problems(item, shape.get("items", {}), f"{where}[{n}]")
    elif isinstance(value, str):
        out += _sized(len(value), shape, "Length", where, "characters")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = shape.get("minimum", -math.inf), shape.get("maximum", math.inf)
        out += [] if low <= value <= high else [f"{where} is {value}, outside {low} to {high}"]
    return out[:MAX_ERRORS]


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, _TYPES[name])


def _kind(value: Any) -> str:
    return next((n for n in ("boolean", *_TYPES) if _is(value, n)), type(value).__name__)


def _object(value: Mapping[str, Any], shape: Mapping[str, Any], where: str) -> list[str]:
    known: Mapping[str, Any] = shape.get("properties", {})
    out = [f"{where}.{name} is missing" for name in shape.get("required", ()) if name not in value]
    if shape.get("additionalProperties") is False:
        out += [f"{where}.{name} is not asked for" for name in value if name not in known]
    for name, part in known.items():
        if name in value:
            out += problems(value[name], part, f"{where}.{name}")
    return out


def _sized(n: int, shape: Mapping[str, Any], suffix: str, where: str, what: str) -> list[str]:
    if n < shape.get(f"min{suffix}", 0) or n > shape.get(f"max{suffix}", math.inf):
        return [f"{where} has {n} {what}, asked are {shape.get(f'min{suffix}', 0)} to {shape.get(f'max{suffix}', 'any')}"]
    return []


def read(text: str) -> Any:
    """The JSON value in a model's text: the whole text, one fenced block, or the only top-level object. Raises ValueError when there is none or several."""
    stripped = text.strip()
    try:
        return _loads(stripped)
    except ValueError:
        pass
    fenced = _FENCE.findall(stripped)
    if len(fenced) == 1:
        return _loads(fenced[0].strip())
    found = _objects(stripped)
    if len(found) != 1:
        raise ValueError("there is no JSON in the answer" if not found else f"there are {len(found)} JSON objects in the answer")
    return found[0]


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _objects(text: str) -> list[Any]:
    out: list[Any] = []
    at = 0
    decoder = json.JSONDecoder(parse_constant=_refuse)
    while (start := text.find("{", at)) != -1 and len(out) < 3:
        try:
            value, at = decoder.raw_decode(text, start)
        except ValueError:
            at = start + 1
            continue
        except RecursionError:
            break
        out.append(value)
    return out
