"""Executions as a terminal shows them. What others have written into them steers nothing there."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from tavernkeep.wire import dumps
from tavernkeep_history.bodies import HistoryDetail, HistoryEntry

_CONTROL: Final = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LONGEST: Final = 60  # characters of a name in a table
_COLUMNS: Final = "{:21}  {:11}  {:19}  {:>10}  {:16}  {}"


def line_of(value: Any) -> str:
    """A value as JSON in one line; what could steer a terminal is escaped in it."""
    return _escaped(dumps(value).decode())


def pretty(value: Any) -> str:
    """A value as JSON for people; what could steer a terminal is escaped in it."""
    return _escaped(json.dumps(json.loads(dumps(value)), indent=2, ensure_ascii=False))


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def heading() -> str:
    """That of the table."""
    return _COLUMNS.format("ID", "STATUS", "SUBMITTED", "DURATION", "USER", "WORKFLOW")


def row_of(entry: HistoryEntry) -> str:
    """A line of the table."""
    user, name = entry.username or entry.user_id, entry.workflow_name or ""
    columns = (entry.prompt_id, entry.status.value, _moment(entry.submitted_at), _span(entry.duration_ms), user, name)
    return _COLUMNS.format(*(plain(column)[:_LONGEST] for column in columns)).rstrip()


def lines_of(found: HistoryDetail) -> Iterator[str]:
    """An execution for people."""
    execution = found.execution
    yield _field("execution", execution.prompt_id)
    yield _field("status", execution.status.value)
    yield _field("workflow", execution.workflow_name or "-")
    yield _field("user", f"{found.username} ({found.user_id})")
    yield _field("submitted", _moment(execution.submitted_at))
    if execution.started_at is not None:
        yield _field("started", _moment(execution.started_at))
    if execution.completed_at is not None:
        yield _field("ended", _moment(execution.completed_at))
    if execution.duration_ms is not None:
        yield _field("duration", _span(execution.duration_ms))
    if found.attempts:
        yield _field("attempts", f"the server has ended {found.attempts} times while nodes of it were at work")
    if execution.error_info is not None:
        yield _field("error", str(execution.error_info.get("message", "")))
    for warning in execution.warnings:
        yield _field("warning", warning)
    if execution.node_status:
        yield "nodes:"
    for node_id, status in execution.node_status.items():
        again = found.retries.get(node_id, 0)
        said = [str(status.error.get("message", ""))] if status.error else []
        said += [f"tried again {again} times"] if again else []
        yield plain(f"  {node_id:20} {status.status:10} {'; '.join(said)}".rstrip())
    if execution.outputs:
        yield "outputs:"
        yield pretty(execution.outputs)


def plain(text: str) -> str:
    """A text of somebody's, in one line, with nothing in it that cannot be seen."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _field(name: str, value: str) -> str:
    return plain(f"{name:10} {value}")


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _span(ms: int | None) -> str:
    if ms is None:
        return ""
    minutes, seconds = divmod(ms / 1000, 60)
    return f"{ms} ms" if ms < 1000 else f"{seconds:.1f} s" if not minutes else f"{minutes:.0f} min {seconds:.0f} s"
