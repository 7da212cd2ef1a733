"""Its section of the configuration."""

import attrs


@attrs.frozen
class HistoryConfig:
    """What is kept of executions.

    Attributes:
        max_executions: How many of each user's; the oldest are forgotten.
        max_chunks: How many chunks of streams and reports of progress of one execution; more are left out.
        max_event_bytes: How much of the messages of one execution, in bytes; past that, no more chunks and progress.
        max_output_bytes: How much of one message, in bytes; of a larger one the outputs are left out.
        resume: Go on with what the server's end interrupted when it starts again.
    """

    max_executions: int = attrs.field(default=1000, validator=attrs.validators.ge(1))
    max_chunks: int = attrs.field(default=50_000, validator=attrs.validators.ge(0))
    max_event_bytes: int = attrs.field(default=16 * 1024 * 1024, validator=attrs.validators.ge(0))
    max_output_bytes: int = attrs.field(default=8 * 1024 * 1024, validator=attrs.validators.ge(1024))
    resume: bool = True
