"""What is recorded of an execution and cannot be read any more."""

import zlib
from collections.abc import Callable
from typing import Final, TypeVar

from tavernkeep import ApiError
from tavernkeep_history.models import EventBlock

T = TypeVar("T")

UNREADABLE: Final = (
    zlib.error,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
)  # what reading raises where something else was written


class Damaged(ApiError):
    """Something of an execution cannot be read any more, which concerns it alone.

    Args:
        what: What of it, as `its workflow`.
        until: The number of the last event that cannot be read.
    """

    def __init__(self, execution_id: str, what: str, until: int = 0) -> None:
        super().__init__(409, f"What is recorded of execution {execution_id} is damaged: {what} cannot be read.")
        self.what = what
        self.until = until


def read(block: EventBlock, reader: Callable[[bytes, int], T], after: int) -> T:
    """What a block holds of events with a higher number; from any thread.

    Raises:
        Damaged: It cannot be read.
    """
    try:
        if block.inexact is None:
            raise ValueError("which of them say what a node gave")
        return reader(block.lines, after)
    except UNREADABLE as error:
        what = f"what was told from event {block.first_seq} to {block.last_seq}"
        raise Damaged(block.execution_id, what, block.last_seq) from error
