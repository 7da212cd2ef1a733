"""The sections of the configuration: its own, and its part of `execution`, which it shares with the kernel's choice of a scheduler."""

import attrs

from tavernkeep.wire import named


@attrs.frozen
class EngineConfig:
    """The embedded engine.

    Attributes:
        max_concurrent_nodes: How many nodes of one execution may be at work at once.
        stream_buffer: How many chunks a stream holds for a consumer before its producer waits; of large ones fewer, a mebibyte in all.
        max_nodes: How many nodes a workflow may have.
        max_queued: How many executions may wait; more are refused, but for those of users who have less than an equal part of them.
        max_queued_per_user: How many of one user's may wait; more are refused.
        max_running_per_user: How many of one user's may run at once; as many as run at all when not set.
        execution_timeout_s: After so many seconds an execution is stopped and ends in `error`; never when not set.
        max_concurrent_processes: How many nodes may compute in processes of their own at once; half the processors when not set.
        cache_bytes: How much is kept of the outputs of deterministic nodes, in bytes; 0 keeps none.
        max_value_bytes: How many bytes one value that a node gives may take; a node that gives a larger one fails.
        max_execution_bytes: How many bytes all values that one execution holds may take; the node that gives more fails.
        max_retained_bytes: How many bytes may be taken by the values of all executions that run, with all that is remembered of those that
            have ended. These are forgotten first, the oldest before others; where that is not enough the node that gives more fails.
        remembered_executions: How many ended executions are remembered at most. What a history has is asked of that.
        kept_output_bytes: Without a history, how much of a node's output is kept once its execution has ended, in bytes; larger values are
            left out.
        remembered_events: How many of its last events are kept of each execution, for viewers that come late or come back. Of one
            that has ended and is in a history, 64 KiB of them at most.
        shutdown_grace_s: How long running executions may go on when the server stops, in seconds.
    """

    max_concurrent_nodes: int = attrs.field(default=64, validator=attrs.validators.ge(1))
    max_concurrent_processes: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    cache_bytes: int = attrs.field(default=64 * 1024 * 1024, validator=attrs.validators.ge(0))
    stream_buffer: int = attrs.field(default=64, validator=attrs.validators.ge(1))
    max_nodes: int = attrs.field(default=200_000, validator=attrs.validators.ge(1))
    max_queued: int = attrs.field(default=1000, validator=attrs.validators.ge(0))
    max_queued_per_user: int = attrs.field(default=1000, validator=attrs.validators.ge(0))
    max_running_per_user: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    execution_timeout_s: float | None = attrs.field(default=None, metadata={"wire_name": "executionTimeoutS"})
    max_value_bytes: int = attrs.field(default=128 * 1024 * 1024, validator=attrs.validators.ge(1024))
    max_execution_bytes: int = attrs.field(default=512 * 1024 * 1024, validator=attrs.validators.ge(1024))
    max_retained_bytes: int = attrs.field(default=1024 * 1024 * 1024, validator=attrs.validators.ge(1024))
    remembered_executions: int = attrs.field(default=200, validator=attrs.validators.ge(1))
    kept_output_bytes: int = attrs.field(default=8 * 1024 * 1024, validator=attrs.validators.ge(1024))
    remembered_events: int = attrs.field(default=2000, validator=attrs.validators.ge(0))
    shutdown_grace_s: float = attrs.field(default=5.0, metadata={"wire_name": "shutdownGraceS"})


@attrs.frozen
class WorkflowsConfig:
    """How many workflows run.

    Attributes:
        max_concurrent_workflows: How many run at once; the others wait.
        log_dir: Taken from existing installations, and not used: what executions log goes where all logs go.
    """

    max_concurrent_workflows: int = attrs.field(default=5, validator=attrs.validators.ge(1), metadata=named("max_concurrent_workflows"))
    log_dir: str | None = None
