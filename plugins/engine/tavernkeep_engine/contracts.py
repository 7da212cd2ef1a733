"""What this plugin publishes: running a workflow at the terminal."""

from collections.abc import Iterable
from typing import Protocol

from tavernkeep.contracts.execution import Submission


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
