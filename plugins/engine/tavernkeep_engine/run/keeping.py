"""What is kept of an execution that has ended: outputs, up to a size."""

from typing import Any


def size_of(value: Any, most: int) -> int:
    """About how many bytes a value takes; it stops counting when that is more than `most`."""
    size, waiting = 0, [value]
    while waiting and size <= most:
        item = waiting.pop()
        size += 16
        if isinstance(item, (str, bytes, bytearray)):
            size += len(item)
        elif isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, (list, tuple, set, frozenset)):
            waiting += item
    return size


def trimmed(output: dict[str, Any], most: int) -> dict[str, Any]:
    """An output as it is kept: values that are too large are replaced by a word about it."""
    if size_of(output, most) <= most:
        return output
    return {slot: {"truncated": True, "limitBytes": most} if size_of(value, most) > most // 2 else value for slot, value in output.items()}
