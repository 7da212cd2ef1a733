"""Its section of the configuration."""

import attrs

from tavernkeep_history.durability import Durability


@attrs.frozen
class HistoryConfig:
    """What is kept of executions.

    Attributes:
        durability: What is recorded before anybody is told: `strict`, everything; `relaxed`, that it was accepted, and all else within 100
            ms; `off`, nothing, not even later.
        max_executions: How many of each user's; the oldest are forgotten.
        max_chunks: How many chunks of streams and reports of progress of one execution; more are left out.
        max_event_bytes: How much of the messages of one execution, in bytes; past that, no more chunks and progress.
        max_output_bytes: How much of one message, in bytes; of a larger one the outputs are left out.
        max_waiting_bytes: How much may wait to be recorded while the database cannot be written, in bytes; past that, chunks and progress
            are dropped, then the executions with the most are ended.
        resume: Go on with what the server's end interrupted when it starts again.
    """

    durability: Durability = Durability.STRICT
    max_executions: int = attrs.field(default=1000, validator=attrs.validators.ge(1))
    max_chunks: int = attrs.field(default=50_000, validator=attrs.validators.ge(0))
    max_event_bytes: int = attrs.field(default=16 * 1024 * 1024, validator=attrs.validators.ge(0))
    max_output_bytes: int = attrs.field(default=8 * 1024 * 1024, validator=attrs.validators.ge(1024))
    max_waiting_bytes: int = attrs.field(default=64 * 1024 * 1024, validator=attrs.validators.ge(1024))
    resume: bool = True
