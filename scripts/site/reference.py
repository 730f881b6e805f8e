"""The reference pages of the documentation site, read from the code: commands, settings, policy, verdicts, errors, schemas. Imports sovereign without
extras; refuses to state anything by itself: a table here is the code's own words.

`pages()` gives every page as Markdown; scripts/site/hook.py hands them to MkDocs, and tests/docs hold them against the code.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import typing
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fieldnotes import Member, Told, classes

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "sovereign"
SCHEMAS = PACKAGE / "archive" / "schemas"
KINDS = {"str": "text", "int": "whole number", "float": "number", "Path": "path", "bool": "flag"}
EVERYWHERE = ("json_", "workspace")


def pages() -> dict[str, str]:
    """Path below docs/ -> Markdown."""
    return {
        "reference/cli.md": cli(),
        "reference/settings.md": settings(),
        "reference/api.md": api(),
        "reference/records.md": records(),
        "reference/policy.md": policy(),
        "reference/verdicts.md": verdicts(),
        "reference/errors.md": errors(),
        "reference/schemas.md": schemas(),
        "reference/studies.md": studies(),
    }


def files() -> dict[str, Path]:
    """Path on the site -> file that is copied as it is."""
    return {f"reference/schemas/{p.name}": p for p in sorted(SCHEMAS.glob("*.json"))}


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; bars inside cells are escaped, line ends become spaces."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(" ".join(c.split()).replace("|", "\\|") for c in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


# --- commands ---


def commands() -> Iterator[tuple[str, Any]]:
    """(full name without "sovereign", command) of every command that does something, in the order of `--help`."""
    import typer

    from sovereign.cli.app import app

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        below = getattr(command, "commands", None)
        if below is None:
            yield " ".join(path), command
            return
        for name, child in below.items():
            yield from walk(child, (*path, name))

    yield from walk(typer.main.get_command(app), ())


def cli() -> str:
    out = [
        "# The command line",
        "Printed from the commands themselves. Every command takes `--json` (one JSON document on stdout and nothing "
        "else there; progress goes to stderr) and "
        "`--workspace DIR` (default `$SOVEREIGN_HOME`, else the platform's data folder), unless its table leaves them out. "
        "Exit codes are [one list for all](errors.md).",
    ]
    found = list(commands())
    out.append(
        table(
            ("Command", "Does"),
            [(f"[`sovereign {n}`](#sovereign-{n.replace(' ', '-')})", _help(c.help).split(". ")[0].rstrip(".")) for n, c in found],
        )
    )
    for name, command in found:
        hints = typing.get_type_hints(inspect.unwrap(command.callback))
        shown = [p for p in command.params if p.name not in EVERYWHERE and p.name in hints]
        arguments = [p for p in shown if p.param_type_name == "argument"]
        options = [p for p in shown if p.param_type_name == "option"]
        usage = " ".join(["sovereign", name, *(_placed(p) for p in arguments), *(["[OPTIONS]"] if options else [])])
        out.append(f"## `sovereign {name}` {{ #sovereign-{name.replace(' ', '-')} }}")
        out.append(_help(command.help))
        out.append(f"```text\n{usage}\n```")
        rows = [(f"`{_name(p)}`", _kind(hints[p.name]), _default(p), _help(p.help)) for p in (*arguments, *options)]
        if rows:
            out.append(table(("Name", "Takes", "Default", "Meaning"), rows))
        missing = [f"`--{e.rstrip('_')}`" for e in EVERYWHERE if e not in {p.name for p in command.params}]
        if missing:
            out.append(f"Has no {' and no '.join(missing)}.")
    return "\n\n".join(out) + "\n"


def _help(text: str | None) -> str:
    return " ".join((text or "").split())


def _name(p: Any) -> str:
    return str(getattr(p, "metavar", None) or p.name.upper()) if p.param_type_name == "argument" else ", ".join(p.opts)


def _placed(p: Any) -> str:
    name = _name(p) + (" ..." if p.nargs == -1 else "")
    return name if p.required or name.startswith("[") else f"[{name}]"


def _kind(hint: Any) -> str:
    given = [a for a in typing.get_args(hint) if a is not type(None)] or [hint]
    several = typing.get_origin(hint) is list or typing.get_origin(given[0]) is list
    inner = typing.get_args(given[0])[0] if typing.get_origin(given[0]) is list else given[0]
    return KINDS.get(getattr(inner, "__name__", ""), "text") + (", repeatable" if several else "")


def _default(p: Any) -> str:
    if p.required:
        return "required"
    return "" if p.default in (None, "", False) or callable(p.default) else f"`{p.default}`"


# --- settings ---

UNITS = {"_s": "seconds", "_mib": "MiB", "_usd": "US dollars"}


def settings() -> str:
    from pydantic import SecretStr

    from sovereign.settings import Settings

    rows = []
    told = next(t for t in classes((PACKAGE / "settings.py").read_text(encoding="utf-8")) if t.name == "Settings")
    beside = {m.name: m.meaning for m in told.fields}
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"SOVEREIGN_{name.upper()}")
        kind = str(field.annotation).replace("<class '", "").replace("'>", "")
        secret = "SecretStr" in kind
        hint = field.annotation if not secret else SecretStr
        unit = next((u for suffix, u in UNITS.items() if name.endswith(suffix)), "")
        limits = ", ".join(_limit(m) for m in field.metadata if _limit(m))
        meaning = "; ".join(
            x
            for x in (field.description or beside.get(name, "") or _by_name(name), "a secret: never shown, never written" if secret else "")
            if x
        )
        rows.append((f"`{name}`<br>`{variable}`", _value(field), ", ".join(x for x in (unit or _plain(hint), limits) if x), meaning))
    return "\n\n".join(
        [
            "# Settings",
            "Printed from `src/sovereign/settings.py`. Later ones win: defaults, then `sovereign.toml` in the workspace, "
            "then the environment, then what the "
            "command line passes. A name that is not in this table is refused, with the place where it stands.",
            table(("In sovereign.toml, in the environment", "Default", "Takes", "Meaning"), rows),
        ]
    )


def _value(field: Any) -> str:
    if field.is_required():
        return "`$SOVEREIGN_HOME` or the platform's data folder"
    given = field.default
    if given is None or given == "":
        return "none"
    if isinstance(given, tuple):
        return " ".join(f"`{g}`" for g in given)
    return f"`{json.dumps(given)}`"


def _plain(hint: Any) -> str:
    kinds = [a for a in typing.get_args(hint) if a is not type(None)] or [hint]
    name = getattr(kinds[0], "__name__", "text")
    if typing.get_origin(hint) is tuple:
        return "list of texts"
    if typing.get_origin(hint) is dict:
        return "table"
    return {"SecretStr": "text", "bool": "true or false"}.get(name, KINDS.get(name, name))


def _by_name(name: str) -> str:
    return "the service's address" if name.endswith("_base") else ""


def _limit(mark: Any) -> str:
    for attribute, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
        if hasattr(mark, attribute):
            return f"{sign} {getattr(mark, attribute)}"
    pattern = getattr(mark, "pattern", None)
    return pattern.strip("^$()").replace("|", ", ") if isinstance(pattern, str) else ""


# --- policy ---


def policy() -> str:
    from sovereign.kernel import policy as code

    text = (PACKAGE / "kernel" / "policy.toml").read_text(encoding="utf-8")
    rules = code.parse(text)
    rows = []
    for number, rule in enumerate(rules, 1):
        needs = " and ".join(f"`{fact} {op} {_shown(wanted)}`" for fact, op, wanted in rule.when)
        rows.append((f"{number}. {rule.name}", needs, f"`{rule.then.value}`", rule.why))
    return "\n\n".join(
        [
            "# The policy",
            "Printed from `src/sovereign/kernel/policy.toml` and `policy.py`. The policy is a pure function over facts: "
            "the first rule whose conditions all hold "
            "decides; a condition on an unknown fact never holds; **what no rule foresaw escalates to the owner**. "
            "`AUTO_APPROVE` puts a draft into the owner's "
            "outbox and publishes nothing.",
            "`sovereign policy explain RUN` prints the facts of one run and the rule that fired; `sovereign policy test "
            "FILE` says what another rule file "
            "would have decided on every finished run. The setting `policy_file` puts your own file in its place.",
            "## The default rules",
            table(("Rule", "When", "Then", "Why"), rows),
            "## The facts that a rule may ask for",
            table(("Fact", "Meaning"), [(f"`{k}`", v) for k, v in code.FACTS.items()]),
            "## The rule file",
            f"```toml\n{text.strip()}\n```",
        ]
    )


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


# --- verdicts, levels and states ---

WORDS = (
    (
        "Verdict of a claim",
        "records/claim.py",
        "Verdict",
        "Depends on the claim, the source and the verifiers' versions, on nothing else. [How it is reached](../verification.md).",
    ),
    ("Level of a claim", "records/claim.py", "Level", "How far the evidence goes. A level above L4 needs an attached trial."),
    ("Basis of a verdict", "records/paper.py", "Basis", "What the verifier could look at."),
    ("State of a check", "records/claim.py", "State", "Absent, empty, failed and not-run are different values."),
    ("Stance of a piece of evidence", "records/claim.py", "Stance", ""),
    ("Verdict of a trial", "records/trial.py", "GateVerdict", "For a claim that a trial tested; never derived from a review score."),
    ("Scale of a trial", "records/trial.py", "Scale", ""),
    ("State of a trial", "records/trial.py", "TrialState", ""),
    ("Decision of the policy", "records/ruling.py", "Decision", "[Rules and facts](policy.md)."),
    ("Gravity of a finding", "records/ruling.py", "Severity", "[Points and kinds of finding](../tribunal.md)."),
    ("Kind of a sentence in a draft", "records/draft.py", "SentenceKind", ""),
    ("Kind of a facet", "records/question.py", "FacetKind", ""),
    ("Tier of a draft", "records/quality.py", "Tier", "[The bands](../tribunal.md#quality-record)."),
)


def verdicts() -> str:
    out = [
        "# Verdicts, levels and states",
        "Printed from `src/sovereign/records/`. These words mean the same everywhere: in drafts, in JSON, in the ledger.",
    ]
    for title, file, name, remark in WORDS:
        told = next(t for t in classes((PACKAGE / file).read_text(encoding="utf-8")) if t.name == name)
        out += [f"## {title}", *([remark] if remark else []), _members(told)]
    return "\n\n".join(out) + "\n"


def _members(told: Told) -> str:
    """The members of an enumeration: a table where something is said of one of them, else their names."""
    level = told.base == "IntEnum"
    written = [f"`L{m.value}`" if level else f"`{m.value.strip(chr(39))}`" for m in told.fields]
    if not any(m.meaning for m in told.fields):
        return ", ".join(written) + "."
    rows = [(w, m.meaning) for w, m in zip(written, told.fields, strict=True)]
    return table(("Written as", "Meaning"), rows)


# --- records and the Python API ---

MODULES = (
    ("question.py", "Question"),
    ("paper.py", "Papers, documents and searches"),
    ("claim.py", "Claims and rulings"),
    ("trial.py", "Trials"),
    ("draft.py", "The draft"),
    ("ruling.py", "Tribunal and policy"),
    ("quality.py", "Quality"),
    ("run.py", "A run as a whole"),
)


def records() -> str:
    """Every record with its fields; types that are records themselves are links."""
    sources = {file: (PACKAGE / "records" / file).read_text(encoding="utf-8") for file, _ in MODULES}
    known = {t.name for source in sources.values() for t in classes(source)}
    out = [
        "# Records",
        "Printed from `src/sovereign/records/`: frozen dataclasses, the only thing that crosses from one station of a "
        "run to the next, and what the Python API gives "
        "back. All names can be imported from `sovereign.records`. `None` and the empty tuple mean *not known* or *not said*, never zero.",
    ]
    for file, title in MODULES:
        out.append(f"## {title} {{ #{file.removesuffix('.py')}-module }}")
        for node in ast.parse(sources[file]).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.targets[0], ast.Name):
                out.append(f"`{node.targets[0].id}` is {_linked(ast.unparse(node.value), known)}.")
        for told in classes(sources[file]):
            out += [f"### {told.name} {{ #{told.name.lower()} }}", *_class(told, known)]
    return "\n\n".join(out) + "\n"


def _class(told: Told, known: set[str]) -> list[str]:
    out = [" ".join(p.split()) for p in told.text.split("\n\n") if p.strip()]
    if told.base.endswith("Enum"):
        return [*out, _members(told)]
    rows = [_field(m, known) for m in told.fields]
    rows += [(f"`{m.name}`", _linked(m.kind, known), "derived", m.meaning) for m in told.readings]
    return [*out, table(("Field", "Type", "Default", "Meaning"), rows)]


def _field(m: Member, known: set[str]) -> tuple[str, ...]:
    return (f"`{m.name}`", _linked(m.kind, known), f"`{m.value}`" if m.value else "", m.meaning)


def _linked(kind: str, known: set[str]) -> str:
    """A type as code, in which the names of records are links."""
    parts = re.split(rf"\b({'|'.join(sorted(known, key=len, reverse=True))})\b", kind)
    return "".join(f"[`{p}`](#{p.lower()})" if p in known else f"`{p}`" for p in parts if p)


def api() -> str:
    source = (PACKAGE / "api.py").read_text(encoding="utf-8")
    functions = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
    out = [
        "# Python API",
        "Printed from `src/sovereign/api.py`. How it is used, with an example that runs: [Python](../python-api.md). "
        "`ask`, `verify`, `check` and all "
        "[records](records.md) can be imported from `sovereign`; importing it loads nothing else, each name is imported when it is first "
        "used.",
    ]
    for node in functions:
        out += [
            f"## {node.name}",
            f"```python\n{_signature(node)}\n```",
            *(" ".join(p.split()) for p in (ast.get_docstring(node) or "").split("\n\n")),
        ]
    for told in classes(source):
        out += [f"## {told.name}", *_class(told, set())]
    return "\n\n".join(out) + "\n"


def _signature(node: ast.FunctionDef) -> str:
    """`def` line of a function; one argument a line where one line would be long."""
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    shown = [_argument(a, d) for a, d in zip(positional, defaults, strict=True)]
    if args.kwonlyargs:
        shown += ["*", *(_argument(a, d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True))]
    gives = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"def {node.name}({', '.join(shown)}){gives}"
    return line if len(line) <= 88 else f"def {node.name}(\n" + "".join(f"    {s},\n" for s in shown) + f"){gives}"


def _argument(arg: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(arg.annotation)}" if arg.annotation else ""
    return f"{arg.arg}{kind}" + (f" = {ast.unparse(default)}" if default is not None else "")


# --- errors ---


def errors() -> str:
    from sovereign import errors as code

    def walk(kind: type[code.SovereignError], depth: int) -> Iterator[tuple[str, ...]]:
        again = "yes" if kind.retryable else ""
        yield ("&nbsp;" * 4 * depth + f"`{kind.__name__}`", str(kind.exit_code), again, _help(inspect.getdoc(kind)))
        for child in kind.__subclasses__():
            if child.__module__ == code.__name__:
                yield from walk(child, depth + 1)

    codes = [
        ("0", "done"),
        ("1", "the work was done and the answer is “no”: refuted, rejected, not approved, a chain broken"),
        ("2", "usage or bad input: one clear line with the mend, no traceback"),
        ("3", "degraded: something that was asked for was not run"),
        ("4", "an outside failure after the retries that can help, or stopped from outside"),
    ]
    return "\n\n".join(
        [
            "# Errors and exit codes",
            table(("Exit code", "Means"), codes),
            "## The tree of errors",
            "Printed from `src/sovereign/errors.py`. `error.line()` is the one line that a person sees, `error.mend` what "
            "can be done about it, `error.retryable` whether "
            "trying again can help.",
            table(("Error", "Exit code", "Retry helps", "Meaning"), list(walk(code.SovereignError, 0))),
        ]
    )


# --- studies of the lab ---


def studies() -> str:
    from sovereign.lab import study
    from sovereign.lab.bench import REFERENCE, read_trial

    trials = [read_trial(path) for path in sorted(REFERENCE.glob("*/trial.json"))]
    out = [
        "# Studies and reference trials",
        "Printed from `src/sovereign/lab/studies/` and from the sealed records in `src/sovereign/lab/reference/`. What a study predicts is sealed "
        "before it runs; `VERIFIED` and `FALSIFIED` need the whole 95 % interval on one side, everything else is `UNVERIFIED`. "
        "A *conceptual* trial is of our own testbed and does not speak for the published system. "
        "How to run one: [the lab](../lab.md).",
    ]
    for name in study.STUDIES:
        info = study.load(name).info
        seconds = ", ".join(f"{preset} about {s:.0f} s" for preset, s in info.presets.items())
        rows = [
            ("Claim", info.claim),
            ("Source", info.source),
            ("Setup", info.setup),
            ("Expected", info.expected),
            ("Falsified if", info.falsified_if),
        ]
        out += [f"## {name}", table(("Declares", "Before it is run"), [*rows, ("Presets, on two idle cores", seconds)])]
        for trial in (t for t in trials if t.study == name):
            counts = Counter(s.verdict.value for s in trial.statements)
            seeds = f"{len(trial.seeds)} seed" + ("s" if len(trial.seeds) != 1 else "")
            out += [
                f"### `{trial.trial_id}` {{ #{trial.trial_id} }}",
                f"Scale {trial.scale.value}, preset {trial.preset}, {seeds}, {trial.started_at[:10]}, digest `{trial.digest[:16]}`: "
                + ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))
                + f". All of it: `sovereign lab show {trial.trial_id}`.",
                table(
                    ("Verdict", "Statement", "Source", "Why"),
                    [(f"`{s.verdict.value}`", _plain_text(s.text), _plain_text(s.source), _plain_text(s.why)) for s in trial.statements],
                ),
                "What this trial cannot say: " + " ".join(_plain_text(x) for x in trial.cannot_say),
            ]
    return "\n\n".join(out) + "\n"


def _plain_text(text: str) -> str:
    """A record's words as text: nothing in them is Markdown."""
    return re.sub(r"([\\`*_<>\[\]#])", r"\\\1", text)


# --- schemas ---


def schemas() -> str:
    out = [
        "# JSON Schemas",
        "The files that a published site carries under `schemas/` (JSON Schema 2020-12), printed from "
        "`src/sovereign/archive/schemas/`. Every document names its schema in "
        "the field `schema`.",
    ]
    for path in sorted(SCHEMAS.glob("*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        needed = set(body.get("required", ()))
        rows = [(f"`{k}`", _type(v), "yes" if k in needed else "", v.get("description", "")) for k, v in body.get("properties", {}).items()]
        out += [f"## {body['$id']} {{ #{path.stem} }}", f"{body['title']}. [The schema](schemas/{path.name})."]
        header = ("Field", "Type", "Required", "Meaning")
        if not any(r[3] for r in rows):
            header, rows = header[:3], [r[:3] for r in rows]
        out.append(table(header, rows))
    return "\n\n".join(out) + "\n"


def _type(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(v)}`" for v in schema["enum"])
    if "$ref" in schema:
        return f"`{re.sub(r'.*/', '', schema['$ref'])}`"
    kind = schema.get("type", "any")
    words = ", ".join(kind) if isinstance(kind, list) else str(kind)
    return words + (
        f" of {_type(schema['items'])}" if kind == "array" and isinstance(schema.get("items"), dict) and schema["items"] else ""
    )
