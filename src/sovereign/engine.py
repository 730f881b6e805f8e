"""The durable-workflow engine (DBOS) as the path needs it: start, recover or restart one run, one recorded step at a time. Imports dbos lazily.

The engine stores step names and output digests as JSON, nothing else: bodies are blobs, and pickle is never used. A run's executor id and its
application version are the run's own: the engine recovers through one queue that every process polls, and it hands out by version. So a process
only ever performs the run it was asked for; a file lock keeps two processes of one machine from working on one run. A run that stands open in
the engine's tables while nobody performs it (its thread died with the database) is begun again: its closed steps are recalled from the ledger.
"""

from __future__ import annotations

import fcntl
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sovereign import errors
from sovereign.errors import Busy, SovereignError, WorkspaceUnusable

Step = Callable[[str, Callable[[], str]], str]
Perform = Callable[[str, Step], None]
OPEN = ("PENDING", "ENQUEUED")
STALLED_S = 5.0  # a recovery begins within milliseconds of the launch


@contextmanager
def engine(home: Path, run_id: str, perform: Perform, *, url: str = "") -> Iterator[Callable[[], None]]:
    """Yields `finish`, which brings the run to its end or raises what stopped it. Everything the engine opened is closed on leaving."""
    from dbos import DBOS
    from dbos._error import DBOSAwaitedWorkflowCancelledError
    from dbos._serialization import Serializer
    from sqlalchemy.exc import SQLAlchemyError

    class Plain(Serializer):  # type: ignore[misc]
        """JSON in the engine's tables; an error is kept as its kind and line."""

        def serialize(self, data: Any) -> str:
            return json.dumps({"error": _packed(data)} if isinstance(data, BaseException) else {"value": data}, default=list)

        def deserialize(cls, serialized_data: str) -> Any:  # the library's own spelling
            held = json.loads(serialized_data)
            return _unpacked(held["error"]) if "error" in held else _tuples(held["value"])

        def name(self) -> str:
            return "plain-json"

    working: list[str] = []  # what this process is really doing now; the engine's tables may say more
    with _only_worker(home, run_id):
        _quiet()
        DBOS.destroy(destroy_registry=True)
        DBOS(
            config={
                "name": "sovereign",
                "system_database_url": url or f"sqlite:///{home / 'engine.sqlite3'}",
                "application_version": f"path-1/{run_id}",
                "executor_id": run_id,
                "serializer": Plain(),
                "log_level": "CRITICAL",
                "console_log_level": "CRITICAL",
                "run_migrations": True,
                "enable_otlp": False,
                "notification_listener_polling_interval_sec": 0.01,
            }
        )

        @DBOS.workflow(name="research")  # type: ignore[untyped-decorator]
        def research(asked: str) -> str:
            working.append(asked)
            try:
                perform(asked, lambda key, work: DBOS.run_step({"name": key}, work))
            finally:
                working.remove(asked)
            return "done"

        def finish() -> None:
            from dbos import SetWorkflowID

            attempts = DBOS.list_workflows(workflow_id_prefix=run_id, load_input=False, load_output=False)
            attempts = [a for a in attempts if a.workflow_id == run_id or a.workflow_id.startswith(f"{run_id}#")]
            still_open = [a.workflow_id for a in attempts if a.status in OPEN]
            try:
                if still_open:  # launch has already begun to recover it, because the executor id is the run id
                    if _ended(DBOS.retrieve_workflow(still_open[-1]), working):
                        return
                    DBOS.cancel_workflows(still_open)
                with SetWorkflowID(run_id if not attempts else f"{run_id}#{len(attempts) + 1}"):
                    DBOS.start_workflow(research, run_id).get_result()
            except DBOSAwaitedWorkflowCancelledError as exc:
                raise Busy(f"Run {run_id} was begun again by another process.", mend="Look: sovereign runs list") from exc

        try:
            DBOS.launch()
        except (OSError, SQLAlchemyError) as exc:
            raise WorkspaceUnusable(
                f"The run engine cannot start in {home}: {exc}.", mend="Check the disk and the rights of the workspace."
            ) from exc
        try:
            yield finish
        except SQLAlchemyError as exc:
            raise WorkspaceUnusable(f"The run engine lost its database: {exc}.", mend="The run goes on when it is back.") from exc
        finally:
            DBOS.destroy(workflow_completion_timeout_sec=0)


def _ended(handle: Any, working: list[str]) -> bool:
    """Waits for the end of a recovered run, and raises what it raised. False when nobody performs it: its thread may have died with the database
    before it could write that down, or the tables name an executor that will not come back."""
    seen = time.monotonic()
    while handle.get_status().status in OPEN:
        if working:
            seen = time.monotonic()
        elif time.monotonic() - seen > STALLED_S:
            return False
        time.sleep(0.05)
    handle.get_result()
    return True


@contextmanager
def _only_worker(home: Path, run_id: str) -> Iterator[None]:
    folder = home / "runs" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Busy(f"Run {run_id} is being worked on by another process.", mend="Wait for it, or look: sovereign runs list") from exc
        yield


def _packed(error: BaseException) -> dict[str, Any]:
    if isinstance(error, SovereignError):
        state = {k: v for k, v in error.__dict__.items() if v is None or isinstance(v, (str, int, float, bool))}
        return {"kind": type(error).__name__, "state": state}
    return {
        "kind": "SovereignError",
        "state": {"message": f"{type(error).__name__}: {error}", "mend": "", "station": None, "subject": None},
    }


def _unpacked(held: dict[str, Any]) -> SovereignError:
    kind = getattr(errors, held["kind"], SovereignError)
    return errors.rebuild(kind, held["state"])


def _tuples(value: Any) -> Any:
    """The engine expects the arguments of a workflow back as a tuple."""
    if isinstance(value, dict) and set(value) == {"args", "kwargs"}:
        return {"args": tuple(value["args"]), "kwargs": value["kwargs"]}
    return value


def _quiet() -> None:
    for name in ("dbos", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
