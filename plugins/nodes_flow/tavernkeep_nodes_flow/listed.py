"""Lists in a node's configuration, which editors have a text field for."""

from collections.abc import Mapping
from typing import Any

from tavernkeep import NodeFailure
from tavernkeep.wire import Invalid, describe, loads


def listed(config: Mapping[str, Any], key: str) -> list[Any]:
    """The items of a list: one as it is, the JSON of one, or a text with an item on each line.

    >>> listed({"cases": "yes\\n no \\n"}, "cases"), listed({"cases": '[1, "a"]'}, "cases"), listed({}, "cases")
    (['yes', 'no'], [1, 'a'], [])

    Raises:
        NodeFailure: It is none.
    """
    value = config.get(key)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = loads(value)
        except Invalid as invalid:
            raise NodeFailure(f"{key} begins as a JSON list and is none: {invalid}") from None
    if isinstance(value, list):
        return value
    if value is not None and not isinstance(value, str):
        raise NodeFailure(f"{key} must be a list, or a text with an item on each line, not {describe(value)}")
    return [line.strip() for line in (value or "").splitlines() if line.strip()]
