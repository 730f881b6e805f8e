"""`python -m sovereign.lab`: the lab without the kernel and without the command-line library.

Imports lab.study, lab.report, errors and seal. Exit codes as everywhere: 0 done, 2 bad input, 4 a trial that failed. One JSON document with --json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sovereign import seal
from sovereign.errors import LabInput, SovereignError
from sovereign.lab import study as studies
from sovereign.lab.report import markdown


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    given = _parser().parse_args(arguments)
    try:
        return _list(given.json) if given.command == "list" else _run(given)
    except SovereignError as exc:
        sys.stderr.write(f"{exc.line()}\n")
        return exc.exit_code
    except ModuleNotFoundError as exc:
        sys.stderr.write(f"The lab needs {exc.name}, which is not installed. Run: pip install 'sovereign-kernel[lab]'\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sovereign.lab", description="Run the lab's studies; every run is a sealed trial.")
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("list", help="the studies and their presets")
    run = commands.add_parser("run", help="run one study")
    run.add_argument("study")
    run.add_argument("--preset", default="smoke")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a factor of the study; may be repeated")
    run.add_argument("--model", help="a checkpoint folder or hub id; short for --set model=...")
    run.add_argument("--out", type=Path, default=Path("trials"))
    run.add_argument("--seed", type=int, default=0)
    for command in (shown, run):
        command.add_argument("--json", action="store_true")
    return parser


def _list(as_json: bool) -> int:
    infos, missing = [], []
    for name in studies.STUDIES:
        try:
            infos.append(studies.load(name).info)
        except ModuleNotFoundError as exc:
            missing.append(f"{name}: not available here ({exc.name} is not installed)")
    if as_json:
        sys.stdout.write(seal.pretty(infos))
    else:
        for info in infos:
            presets = ", ".join(f"{p} (about {s:.0f} s)" for p, s in info.presets.items())
            sys.stdout.write(f"{info.name}: {info.claim}\n    source {info.source}; presets {presets}\n")
    for line in missing:
        sys.stderr.write(line + "\n")
    return 0


def _run(given: argparse.Namespace) -> int:
    factors = {} if given.model is None else {"model": given.model}
    for item in given.set:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise LabInput(f"--set {item!r} is not KEY=VALUE.", mend="Write for example --set steps=50.")
        factors[key] = value

    def progress(what: str, share: float) -> None:
        sys.stderr.write(f"{100 * share:5.1f} %  {what}\n")

    trial = studies.execute(given.study, preset=given.preset, factors=factors, out=given.out, seed=given.seed, progress=progress)
    sys.stdout.write(seal.pretty(trial) if given.json else markdown(trial))
    return 0


if __name__ == "__main__":
    sys.exit(main())
