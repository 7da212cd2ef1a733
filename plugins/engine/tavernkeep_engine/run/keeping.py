"""What is kept of an execution that has ended: outputs, up to a size."""

from typing import Any

from tavernkeep_engine.run.values import size_of


def trimmed(output: dict[str, Any], most: int) -> dict[str, Any]:
    """An output as it is kept: values that are too large are replaced by a word about it."""
    if size_of(output) <= most:
        return output
    return {slot: {"truncated": True, "limitBytes": most} if size_of(value) > most // 2 else value for slot, value in output.items()}
