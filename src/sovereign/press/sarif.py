"""The result of a manuscript check as SARIF 2.1.0, for editors and CI. Imports the standard library; refuses results without a rule.

Shape: OASIS, Static Analysis Results Interchange Format 2.1.0 (sections 3.13-3.30). A supported claim is a result of kind "pass"; what was not run
has the kind "open", never "pass".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_CLAIMS = {  # verdict: (rule, level, kind, what the rule is)
    "SUPPORTED": ("claim-supported", "none", "pass", "The cited source says this."),
    "CONTRADICTED": ("claim-contradicted", "error", "fail", "The cited source says something else."),
    "QUALIFIED": ("claim-qualified", "warning", "fail", "The cited source says this under another condition or more weakly."),
    "NOT_FOUND": ("claim-not-found", "none", "review", "No passage of the cited source speaks of this."),
    "UNRESOLVED": ("claim-unresolved", "none", "review", "The verifier abstains; a person decides."),
    "NOT_CHECKABLE": ("claim-not-checkable", "none", "notApplicable", "The sentence states nothing that a source could settle."),
    "NOT_RUN": ("claim-not-run", "none", "open", "The cited source was not given, so nothing was compared."),
}
_REFERENCES = {
    "metadata_differs": ("reference-differs", "error", "fail", "The bibliography entry and the record of the work disagree."),
    "withdrawn": ("reference-withdrawn", "error", "fail", "The cited work was withdrawn."),
    "retracted": ("reference-retracted", "error", "fail", "The cited work was retracted."),
    "unresolved": ("reference-unresolved", "none", "open", "Nobody who could know was asked, or no answer came."),
    "missing": ("reference-missing", "error", "fail", "The bibliography has no usable entry, or a service does not know its identifier."),
}
_ENTRY = ("bibliography-entry", "warning", "fail", "An entry of the bibliography is broken or its key stands twice.")


def log(body: Mapping[str, Any]) -> dict[str, Any]:
    """The SARIF log of one check; `body` is the JSON of `sovereign check`."""
    results = [_claim(c, body) for c in body["claims"]]
    results += [_reference(r, body) for r in body["references"] if r["status"] != "resolved"]
    results += [_entry(p, body) for p in body["bibliography"]["problems"]]
    rules = [*_CLAIMS.values(), *_REFERENCES.values(), _ENTRY]
    numbers = {rule[0]: n for n, rule in enumerate(rules)}
    for result in results:
        result["ruleIndex"] = numbers[result["ruleId"]]
    manuscript = body["manuscript"]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "sovereign check",
                        "version": body["version"],
                        "rules": [
                            {"id": name, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}} for name, level, _, text in rules
                        ],
                    }
                },
                "artifacts": [{"location": {"uri": _uri(manuscript["file"])}, "hashes": {"sha-256": manuscript["sha256"]}, "roles": ["analysisTarget"]}],
                "columnKind": "unicodeCodePoints",
                "invocations": [{"executionSuccessful": True, "exitCode": body["summary"]["exit_code"], "exitCodeDescription": body["summary"]["answer"]}],
                "results": results,
            }
        ],
    }  # fmt: skip


def _uri(path: str) -> str:
    """A relative reference, or a file URI for an absolute path (3.4.3)."""
    return Path(path).as_uri() if Path(path).is_absolute() else quote(Path(path).as_posix())


def _beside(body: Mapping[str, Any], name: str) -> str:
    return _uri(str(Path(body["manuscript"]["file"]).parent / name))


def _claim(c: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    rule, level, kind, _ = _CLAIMS[c["verdict"]]
    text = f"“{c['text']}” {c['verdict']}: {c['reason']}" + (f" {c['mend']}" if c["mend"] else "")
    result = _result(rule, level, kind, text, [_where(c, body)], f"{c['text']}|{','.join(c['cites'])}")
    names = {s["paper"]: s["file"] for s in body["sources"]}
    related = [
        {
            "physicalLocation": {"artifactLocation": {"uri": quote(names.get(e["paper"], e["paper"]))}},
            "message": {
                "text": f"{names.get(e['paper'], e['paper'])}{', ' + e['section'] if e['section'] else ''}: “{' '.join(e['quote'].split())}”"
            },
        }
        for e in c["evidence"]
        if "quote" in e
    ]
    if related:
        result["relatedLocations"] = [{"id": n, **r} for n, r in enumerate(related, 1)]
    result["properties"] = {"verdict": c["verdict"], "slot": c["slot"], "cites": c["cites"], "level": c["level"]}
    return result


def _where(c: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    place = c["location"]
    if place is None:
        where: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": _uri(body["manuscript"]["file"])}}}
    else:
        region = {
            "startLine": place["line"],
            "startColumn": place["column"],
            "endLine": place["end_line"],
            "endColumn": place["end_column"],
        }
        where = {"physicalLocation": {"artifactLocation": {"uri": _beside(body, place["file"])}, "region": region}}
    if c["section"]:
        where["logicalLocations"] = [{"name": c["section"].split(" / ")[-1], "fullyQualifiedName": c["section"]}]
    return where


def _reference(r: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    rule, level, kind, _ = _REFERENCES["missing" if r["status"] == "unresolved" and r["fault"] else r["status"]]
    where: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": _uri(body["manuscript"]["file"])}}}
    if r["location"] is not None:
        where = _line(body, r["location"]["file"], r["location"]["line"])
    text = f"{r['key']}: {r['status'].replace('_', ' ')}; {r['detail']}." + (f" {r['mend']}" if r["mend"] else "")
    return _result(rule, level, kind, text, [where], f"{r['key']}|{r['status']}")


def _entry(p: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    rule, level, kind, _ = _ENTRY
    return _result(
        rule, level, kind, f"{p['key']}: {p['problem']}.", [_line(body, p["file"], p["line"])], f"{p['key']}|{p['kind']}|{p['problem']}"
    )


def _line(body: Mapping[str, Any], name: str, line: int) -> dict[str, Any]:
    path = next((f for f in body["bibliography"]["paths"] if Path(f).name == name), name)
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(path)}, "region": {"startLine": line}}}


def _result(rule: str, level: str, kind: str, text: str, where: list[dict[str, Any]], identity: str) -> dict[str, Any]:
    stable = sha256(re.sub(r"\s+", " ", f"{rule}|{identity}").encode()).hexdigest()
    return {
        "ruleId": rule,
        "level": level,
        "kind": kind,
        "message": {"text": text},
        "locations": where,
        "partialFingerprints": {"claim/v1": stable},
    }
