"""Finds text that tries to steer a machine reader. Standard library only; never acts on what it finds: it quotes it for the report."""

from __future__ import annotations

import re

_REVIEWER = (
    r"(?:llms?|large language models?|language models?|(?:ai|automated|machine) (?:reviewers?|assistants?|systems?|models?|agents?)|chatgpt|gpt-?\d?"
    r"|claude|gemini|chatbots?|ai)"
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:ignore|disregard|forget|override|bypass)\b[^.\n]{0,30}"
        r"\b(?:previous|prior|above|earlier|preceding|all other|existing|your)\b[^.\n]{0,20}"
        r"\b(?:instructions?|prompts?|directions?|guidelines?|rules|messages?|context)\b",
        r"\b(?:give|write|provide|produce|submit|generate|output|return|leave)\b[^.\n]{0,30}"
        r"\b(?:only )?(?:positive|favou?rable|glowing|strong|excellent|good)\b"
        r"[^.\n]{0,20}\b(?:reviews?|scores?|ratings?|evaluations?|assessments?|recommendations?)\b",
        r"\bdo not\b[^.\n]{0,20}\b(?:highlight|mention|report|list|point out|discuss|criticis?z?e)\b[^.\n]{0,30}"
        r"\b(?:negatives?|weakness(?:es)?|limitations?|flaws|shortcomings|drawbacks|problems)\b",
        r"\b(?:recommend|suggest)\b[^.\n]{0,20}\b(?:accept(?:ing|ance)?)\b[^.\n]{0,30}\b(?:paper|submission|manuscript|work)\b",
        r"\b(?:note|attention|instructions?|messages?|dear|hey|notice|for|to)\b[ ,:]{0,3}(?:to |for |all |any |the ){0,3}"
        + _REVIEWER
        + r" reviewers?\b",
        r"\bif you are (?:an? )?" + _REVIEWER + r"\b",
        r"\bas an? " + _REVIEWER + r",? you (?:must|should|will|are to|shall)\b",
        r"\b(?:you are now|from now on,? you|new instructions?:|system prompt:)",
        r"<\|(?:im_start|im_end|system|endoftext|begin_of_text)\|>|\[/?INST\]|<<SYS>>",
        r"\b(?:reveal|print|repeat|leak)\b[^.\n]{0,20}\b(?:system prompt|api keys?|your instructions)\b",
    )
)
QUOTE_CHARS = 240


def instruction_like(text: str) -> list[str]:
    """The sentences or lines around each match, in order, each at most QUOTE_CHARS long and each once."""
    found: dict[str, None] = {}
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            start = max(text.rfind(". ", 0, match.start()) + 1, text.rfind("\n", 0, match.start()) + 1, match.start() - QUOTE_CHARS // 2, 0)
            stops = [p for p in (text.find(". ", match.end()), text.find("\n", match.end())) if p >= 0]
            end = min([*(s + 1 for s in stops), len(text), start + QUOTE_CHARS])
            found.setdefault(" ".join(text[start : max(end, match.end())].split())[:QUOTE_CHARS])
    return list(found)


def quote(where: str, text: str) -> str:
    """One line for Document.suspicious."""
    flat = " ".join(text.split())
    return f"{where}: “{flat[:QUOTE_CHARS]}{'…' if len(flat) > QUOTE_CHARS else ''}”"
