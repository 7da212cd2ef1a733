"""What this plugin publishes: running a workflow at the terminal, and reading one in whichever form; and what it asks of a history."""

from collections.abc import Iterable
from typing import Any, Protocol

from tavernkeep.contracts.execution import Submission
from tavernkeep.contracts.workflow import WorkflowPayload


class Foreground(Protocol):
    """Runs workflows as `tavernkeep run` does; a service for commands."""

    async def run(self, submission: Submission, *, quiet: bool = False, answers: Iterable[str] = ()) -> int:
        """Run a workflow to its end: progress and streamed text go to standard error, its outputs to standard output.

        What its nodes ask is asked at the terminal; SIGINT and SIGTERM interrupt it.

        Args:
            quiet: Show no progress and no streamed text.
            answers: What to answer when a node asks, once each: `NODE=VALUE`, with JSON, or else text.

        Returns:
            The exit code: 0 where it is complete, 1 where a node failed, 130 where it was interrupted.

        Raises:
            Refused: It is not taken.
            click.UsageError: An answer is not of that form.
        """


class LeftOpen(Protocol):
    """Knows executions that are open, and that this server could not take up; a service that a history may provide."""

    async def interrupt(self, execution_id: str) -> bool:
        """End one of them for good, and tell of it; `False` where it is none of them.

        Raises:
            tavernkeep.contracts.storage.Unavailable: That is not possible at present.
        """
        ...


class WorkflowForms(Protocol):
    """Reads workflows in either form, the stored one or the execution payload.

    What is another program's is refused by name, with `Invalid`; so is what is no workflow at all.
    """

    def payload(self, data: object) -> WorkflowPayload:
        """What it is run by."""

    def stored(self, data: object) -> dict[str, Any]:
        """What is stored of it; a stored one is given back as it is, and need not be a sound one."""
