"""Whether an execution that a process left open goes on, and what is said where it does not."""

from typing import Any, Final

import structlog

from tavernkeep.contracts.auth import AuthProvider, UserContext
from tavernkeep.contracts.execution import EXECUTE, RefusalReason, Refused, Unfinished
from tavernkeep.wire import unstructure

_log = structlog.get_logger(__name__)

_MOST_ATTEMPTS: Final = 5


async def renewed(unfinished: Unfinished, auth: AuthProvider) -> UserContext:
    """Whoever submitted it, as they are by now.

    Raises:
        Refused: It may be what ends the server; or its user may not run it any more.
    """
    if unfinished.attempts >= _MOST_ATTEMPTS:
        raise Refused(f"The server ended {unfinished.attempts} times while nodes of it were at work.", RefusalReason.INVALID)
    user = await auth.renew(unfinished.user)
    if user is None or not user.may(EXECUTE):
        raise Refused("Whoever submitted it may not run it any more.", RefusalReason.INVALID)
    return user


def why_given_up(unfinished: Unfinished, error: Exception) -> dict[str, Any]:
    """The `errorInfo` of an execution that does not go on: why, the problems of its payload, and the nodes that were at work."""
    expected = isinstance(error, Refused)
    why = str(error) or type(error).__name__
    _log.warning("an execution is given up", execution=unfinished.execution_id, reason=why, exc_info=None if expected else error)
    said: dict[str, Any] = {"message": f"The server ended in the middle of the execution, which cannot go on: {why}"}
    if isinstance(error, Refused) and error.problems:
        said["problems"] = unstructure(error.problems)
    if unfinished.at_work:
        said["nodesAtWork"] = list(unfinished.at_work)
    return said
