"""The prompts, one versioned Markdown file each. Imports the standard library and errors; refuses a prompt without a version or with an open place.

A prompt is instructions, then the material as one JSON block between MATERIAL marks. What a source says reaches a model only inside that block.
"""

from __future__ import annotations

import re
from pathlib import Path

from sovereign.errors import IntegrityBroken

_HEAD = re.compile(r"\A---\nname: (?P<name>[a-z_]+)\nversion: (?P<version>\d+)\n---\n(?P<text>.+)\Z", re.S)


def load() -> dict[str, str]:
    """Prompt name -> text, with "name/version" as its first line, so that the kept prompt says which one it was. Raises IntegrityBroken."""
    out = {}
    for file in sorted(Path(__file__).parent.glob("*.md")):
        match = _HEAD.match(file.read_text(encoding="utf-8"))
        if match is None or match.group("name") != file.stem or "{{material}}" not in match.group("text"):
            raise IntegrityBroken(f"The prompt file {file.name} is not a prompt.", mend="Install the package again.")
        out[match.group("name")] = f"[{match.group('name')}/{match.group('version')}]\n{match.group('text').strip()}"
    return out


def versions() -> dict[str, str]:
    """Prompt name -> "name/version"."""
    return {name: text.split("\n", 1)[0].strip("[]") for name, text in load().items()}
