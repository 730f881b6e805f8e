"""The command line: a thin face over wiring. Imports typer when a command is really parsed; --version needs nothing."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `sovereign`. Errors become one line on stderr and the exit code of their kind; never a traceback for bad input."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from sovereign.version import __version__

        print(f"sovereign {__version__}")
        return
    from sovereign.errors import SovereignError

    try:
        from sovereign.cli.app import app

        app()
    except SovereignError as exc:
        print(f"sovereign: {exc.line()}", file=sys.stderr)
        raise SystemExit(exc.exit_code) from None
    except KeyboardInterrupt:
        print(
            "sovereign: stopped; what is recorded stays. Go on with: sovereign runs list, then sovereign runs resume RUN", file=sys.stderr
        )
        raise SystemExit(4) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
