"""What becomes of an execution that a journal keeps, or cannot keep."""

from collections.abc import Callable

import structlog

from tavernkeep.contracts.events import Event
from tavernkeep.contracts.execution import Opening, Refused, Submission
from tavernkeep_engine.schedule.execution import Execution

_log = structlog.get_logger(__name__)


def opening_of(
    execution: Execution, submission: Submission, stop: Callable[[Execution], None], forget: Callable[[Execution], None]
) -> Opening:
    """An execution, for its journal.

    Args:
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

    def refused(refusal: Refused) -> None:
        execution.taken.set_exception(refusal)
        execution.taken.exception()  # whoever submitted it may have hung up
        execution.publish = _unheard
        if execution.status.is_final:
            forget(execution)
        else:
            stop(execution)

    def broken(reason: str) -> None:
        if not execution.status.is_final:
            execution.broken = reason
            stop(execution)

    warnings = [str(warning) for warning in execution.plan.warnings]
    return Opening(execution.id, submission, execution.submitted_at, warnings, execution.now, accepted, refused, broken)


def _unheard(event: Event) -> None:
    """Nobody learns of what happens to an execution that was not accepted."""
