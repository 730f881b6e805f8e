"""The draft as CommonMark with tables. Imports nothing of ours; text from outside is escaped, so that no source can inject markup."""

from __future__ import annotations

import re
from typing import Any

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")


def text(v: dict[str, Any]) -> str:
    lines = [f"# {_e(v['title'])}", "", f"**{_e(v['stamp'])}**", "", f"Run `{v['run_id']}` · {v['date']} · tribunal {v['score']}/10 ({v['decision']}, "
             f"revision round {v['revision_round']}) · policy {_e(v['policy']['decision'])} · {v['answered']} parts of the question answered", "",
             f"> {_e(v['question'])}", "", "## Abstract", "", " ".join(_sentence(s) for s in v["abstract"])]  # fmt: skip
    for section in v["sections"]:
        lines += ["", f"## {_e(section['title'])}", ""]
        lines += _paragraphs(section["sentences"])
        for table in section["tables"]:
            lines += ["", f"*{_e(table['caption'])}*", "", *_table(table["header"], table["rows"])]
        for figure in section["figures"]:
            lines += ["", f"![{_e(figure['caption'])}](figures/{figure['path']})", "", f"*{_e(figure['caption'])}*"]
    lines += ["", "## Claims", ""]
    rows = [
        [f'<a id="{c["label"].lower()}"></a>{c["label"]}', _e(c["text"]), c["verdict"], c["level"], c["probability"], _e(c["where"])]
        for c in v["claims"]
    ]
    lines += (
        _table(["", "Claim", "Verdict", "Level", "Probability", "Where (section, characters)"], rows, escaped=True)
        if rows
        else ["No claim was found."]
    )
    lines += ["", "## Sources, and why", ""]
    rows = [
        [str(s["number"] or "—"), _e(s["title"]), s["kind"], s["basis"], "admitted" if s["admitted"] else "left out", _e(s["reason"])]
        for s in v["sources"]
    ]
    lines += _table(["Reference", "Title", "Kind", "Read", "", "Reason"], rows, escaped=True) if rows else ["No source was found."]
    if v["more_sources"]:
        lines += ["", f"{v['more_sources']} further works were looked at and left out; draft.json names each with its reason."]
    lines += ["", "## Review", ""]
    for role in v["roles"]:
        lines.append(f"- **{role['role']}** {role['score']}/10" + ("" if role["findings"] else ": no findings"))
        lines += [f"  - {f['severity']}: {_e(f['text'])}" for f in role["findings"]]
    lines += [f"- {_e(n)}" for n in v["notes"]]
    lines += [
        "",
        f"Policy rule “{_e(v['policy']['rule'])}”: {_e(' '.join(v['policy']['reasons']))}",
        "",
        "| Check | State | Reason |",
        "|---|---|---|",
    ]
    lines += [f"| {_e(c['name'])} | {c['state']} | {_e(c['reason'])} |" for c in v["checks"]]
    if v["quality"]:
        q = v["quality"]
        lines += [
            "",
            "## Quality",
            "",
            f"Tier: **{q['tier']}** ({_e(q['why'])}), with {q['verified']} verified claims. A tier is a label; it publishes nothing.",
            "",
        ]
        lines += _table(["", "Dimension", "Level", "Score of 10", "From"], q["rows"])
    lines += ["", "## References", ""]
    lines += [
        f"{r['number']}. {_e(r['text'])}" + (f" <{r['url']}>" if r["url"] else "") + (f" {_e(r['note'])}" if r["note"] else "")
        for r in v["references"]
    ]
    return "\n".join(lines).rstrip() + "\n"


def _e(value: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def _sentence(s: dict[str, Any]) -> str:
    marks = "".join(f" [{n}]" for n in s["cites"])
    claims = " ".join(f"[{c}](#{c.lower()})" for c in s["claims"])
    return _e(s["text"]) + marks + (f" <sup>{claims}</sup>" if claims else "")


def _paragraphs(sentences: list[dict[str, Any]]) -> list[str]:
    """A new paragraph at every run-in heading."""
    out: list[str] = []
    for s in sentences:
        lead = f"**{_e(s['lead'])}.** " if s["lead"] else ""
        if lead or not out:
            out += ([""] if out else []) + [lead + _sentence(s)]
        else:
            out[-1] += " " + _sentence(s)
    return out


def _table(header: list[str], rows: list[list[str]], *, escaped: bool = False) -> list[str]:
    cell = (lambda c: c) if escaped else _e
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *("| " + " | ".join(cell(c) for c in row) + " |" for row in rows)]
