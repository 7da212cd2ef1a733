"""What becomes of an execution that a journal keeps, or cannot keep."""

from collections.abc import Callable

import structlog

from tavernkeep.contracts.execution import Opening, RefusalReason, Refused, Submission, Unfinished
from tavernkeep_engine.schedule.execution import Execution

_log = structlog.get_logger(__name__)


def opening_of(
    execution: Execution,
    submission: Submission,
    stop: Callable[[Execution], None],
    forget: Callable[[Execution], None],
    unfinished: Unfinished | None = None,
) -> Opening:
    """An execution, for its journal.

    Args:
        unfinished: What it goes on with.
        stop: Ends its run; one that was not accepted is forgotten then.
        forget: Forgets one that has ended already.
    """

    def accepted() -> None:
        if execution.taken.done():  # it goes on
            return
        execution.taken.set_result(None)
        try:
            submission.on_accepted(execution.id)
        except Exception:
            _log.exception("who submitted an execution could not be told that it is accepted", execution=execution.id)

    def end_unheard(why: Exception) -> None:
        execution.disown(why)
        if execution.status.is_final:
            forget(execution)
        else:
            stop(execution)

    def overtaken() -> None:
        _log.warning("an execution is another process's now, or forgotten, and ends here", execution=execution.id)
        end_unheard(Refused("The execution was taken over, or forgotten.", RefusalReason.UNRECORDED))

    def broken(reason: str) -> None:
        if not execution.status.is_final:
            execution.broken = reason
            stop(execution)

    warnings, submitted_at = [str(warning) for warning in execution.plan.warnings], execution.submitted_at
    told = (accepted, end_unheard, broken, overtaken)
    return Opening(execution.id, submission, submitted_at, warnings, execution.now, *told, unfinished, execution.ran_ms)
