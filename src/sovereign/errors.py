"""Every way SOVEREIGN can fail, drawn as one tree; each error knows its station, its subject and whether retrying can help.

Imports nothing but the standard library. Refuses to print: faces (cli, web, mcp) turn an error into one line and an exit code.

    SovereignError
    ├── BadInput                 exit 2   what the person gave cannot be used
    │   ├── QuestionRefused              empty, hopelessly long, or control characters only
    │   ├── UnknownName                  not one of the known names, which it lists
    │   ├── SettingsInvalid              a setting that contradicts itself or cannot be read
    │   ├── MissingExtra                 an optional part is not installed; names the extra
    │   ├── NotFound                     a run, paper, trial or file that does not exist
    │   ├── AskedAlready                 the same question is queued or was asked; names it
    │   ├── LabInput                     a trace, model, factor or budget that the lab must refuse
    │   ├── Busy                         another process works on the same run
    │   └── WorkspaceUnusable            cannot be read, written, or is of a newer version; disk full
    ├── AnswerIsNo               exit 1   the work was done and the answer is "no"
    │   ├── IntegrityBroken              hash, chain or signature does not match
    │   └── Refused                      the owner's gate or a policy says no
    ├── Unreadable               exit 2   a document that no reader could turn into text, with the reason
    ├── OutsideFailed            exit 4   a service or a child process failed after the retries that can help
    │   ├── SourceFailed                 one literature service
    │   ├── ModelFailed                  one model endpoint
    │   └── TrialFailed                  a sandboxed trial ended badly (it is kept as a trial)
    └── Interrupted              exit 4   stopped from outside; resumable
"""

from __future__ import annotations


class SovereignError(Exception):
    """The root. `mend` is one sentence that says what the person can do; it may be empty, never invented."""

    exit_code = 2
    retryable = False

    def __init__(self, message: str, *, mend: str = "", station: str | None = None, subject: str | None = None):
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.station = station
        self.subject = subject

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only state must survive pickling: worker pools carry errors between processes.
        return (rebuild, (type(self), self.__dict__.copy()))

    def line(self) -> str:
        """The one line that a face shows."""
        return f"{self.message} {self.mend}".strip()


def rebuild(kind: type[SovereignError], state: dict[str, object]) -> SovereignError:
    """An error of this kind with this state: for pickling, and for engines that store errors."""
    error = kind.__new__(kind)
    Exception.__init__(error, state.get("message", ""))
    error.__dict__.update(state)
    return error


class BadInput(SovereignError):
    """What the person gave cannot be used."""


class QuestionRefused(BadInput):
    """The question is empty, hopelessly long or not text."""


class UnknownName(BadInput):
    """A name that no registry holds; the message lists the known ones."""

    def __init__(self, what: str, name: str, known: list[str] | tuple[str, ...]):
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(f"Unknown {what} {name!r}.", mend=f"Known: {listed}.", subject=name)


class SettingsInvalid(BadInput):
    """A setting cannot be read or contradicts another."""


class MissingExtra(BadInput):
    """An optional part is not installed."""

    def __init__(self, extra: str, why: str):
        super().__init__(
            f"{why} needs the '{extra}' extra, which is not installed.", mend=f"Run: pip install 'sovereign-kernel[{extra}]'", subject=extra
        )


class NotFound(BadInput):
    """A run, paper, trial or file that does not exist."""


class AskedAlready(BadInput):
    """The same question is queued or was asked; `subject` is that item or run."""


class LabInput(BadInput):
    """A trace, model, factor or budget that the lab must refuse."""


class Busy(BadInput):
    """Another process works on the same run; it will end or its lease will."""

    retryable = True


class WorkspaceUnusable(BadInput):
    """The workspace cannot be read or written, is full, or was written by a newer version."""


class AnswerIsNo(SovereignError):
    """The work was done and the answer is no."""

    exit_code = 1


class IntegrityBroken(AnswerIsNo):
    """A hash, a chain link or a signature does not match what it covers."""


class Refused(AnswerIsNo):
    """The owner's gate or the policy says no."""


class Unreadable(SovereignError):
    """No reader could turn the document into text. `kind` is a short code such as encrypted, image_only, corrupt, too_large, timeout."""

    def __init__(self, message: str, *, kind: str, mend: str = "", subject: str | None = None):
        super().__init__(message, mend=mend, station="read", subject=subject)
        self.kind = kind


class OutsideFailed(SovereignError):
    """Something outside failed after the retries that can help."""

    exit_code = 4
    retryable = True


class SourceFailed(OutsideFailed):
    """One literature service did not answer. `kind`: rate_limited, server_error, timeout, unreachable, bad_body, refused, budget_spent."""

    def __init__(
        self, message: str, *, source: str, kind: str, url: str = "", attempts: int = 1, retry_after_s: float | None = None, mend: str = ""
    ):
        super().__init__(message, mend=mend, station="search", subject=source)
        self.source = source
        self.kind = kind
        self.url = url
        self.attempts = attempts
        self.retry_after_s = retry_after_s


class ModelFailed(OutsideFailed):
    """One model endpoint did not give a usable answer. `kind`: unreachable, unauthorized, rate_limited, timeout, bad_shape, over_budget, too_long."""

    def __init__(self, message: str, *, model: str, kind: str, mend: str = ""):
        super().__init__(message, mend=mend, subject=model)
        self.model = model
        self.kind = kind


class TrialFailed(OutsideFailed):
    """A sandboxed trial was killed or failed; the failed trial itself is kept as evidence."""


class Interrupted(SovereignError):
    """Stopped from outside; what is recorded stays, and the run can be resumed."""

    exit_code = 4
    retryable = True
