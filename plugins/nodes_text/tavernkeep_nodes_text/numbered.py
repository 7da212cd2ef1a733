"""Inputs that a person adds in an editor: as many as the configuration says, each called as it says."""

import re
from collections.abc import Mapping
from typing import Any, Final

from tavernkeep import DataFlowType, NodeFailure, NodeMode, Slot, choices
from tavernkeep.contracts.slots import Slots
from tavernkeep.wire import describe

COUNT: Final = "inputCount"  # the configuration key by which an editor shows more or fewer inputs
SHOWN: Final = "4"  # inputs where nobody has said how many
_NAMES: Final = "inputNames"
_COUNTS: Final = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16)
_INPUT: Final = re.compile(r"value_([0-9]{1,3})")

CONFIG: Final = {
    COUNT: Slot(
        DataFlowType.STRING,
        display_name="Inputs shown 显示的输入",
        description="How many further inputs the editor shows: value_0, value_1, …",
        match_categories=("ComboOption",),
        config={"default": SHOWN, "suggestions": choices({str(count): f"{count} inputs {count} 个输入" for count in _COUNTS})},
    ),
    _NAMES: Slot(
        DataFlowType.STRING,
        display_name="Their names 输入的名称",
        description="What value_0, value_1, … are called, in this order, with commas or line breaks between them.",
        config={"default": "", "placeholder": "name, topic 名称，主题"},
    ),
}
CONFIG_VALUES: Final = {COUNT: SHOWN, _NAMES: ""}


def modes_of(inputs: Slots, outputs: Slots) -> dict[str, NodeMode]:
    """A mode for each number of further inputs."""
    return {
        str(count): NodeMode(
            str(count),
            {
                **inputs,
                **{
                    f"value_{number}": Slot(display_name=f"Value {number}", match_categories=("BehaviorWildcard",))
                    for number in range(count)
                },
            },
            outputs,
            display_name=f"{count} inputs",
        )
        for count in _COUNTS
    }


def named(inputs: Mapping[str, Any], config: Mapping[str, Any], own: Slots) -> dict[str, Any]:
    """The further inputs by the names that they are given, else by their keys.

    Args:
        own: The inputs that the node has in any case.

    Raises:
        NodeFailure: Two have one name, or the names are none.
    """
    names = _names(config.get(_NAMES))
    found: dict[str, Any] = {}
    for key, value in sorted(inputs.items(), key=lambda entry: _number(entry[0])):
        if key in own:
            continue
        number = _number(key)
        name = names[number] if 0 <= number < len(names) and names[number] else key
        if name in found:
            raise NodeFailure(f"two inputs are called {name!r} ({_NAMES})")
        found[name] = value
    return found


def _number(key: str) -> int:
    match = _INPUT.fullmatch(key)
    return int(match[1]) if match else -1


def _names(given: Any) -> list[str]:
    if isinstance(given, list):
        return [str(name).strip() for name in given]
    if given is not None and not isinstance(given, str):
        raise NodeFailure(f"{_NAMES} must be a text with commas between the names, not {describe(given)}")
    return [name.strip() for name in re.split(r"[,，\n]", given or "")]
