"""Values of a node's configuration that are none of those to choose from."""

from collections.abc import Mapping
from typing import Any, Final

from tavernkeep.contracts.nodes import NodeDefinition

_ONE_OF: Final = "ComboOption"  # the category of a slot that takes no other value than those that it suggests
_SHOWN: Final = 40  # choices, and characters of each


def wrong_choice(definition: NodeDefinition, config_values: Mapping[str, Any]) -> str | None:
    """What is wrong with the first such value, in words that name the choices; `None` where all are good. What is empty is no choice."""
    for key, value in config_values.items():
        choices = None if value in (None, "") else _choices_of(definition, key)
        if choices is not None and value not in choices and (key == definition.mode_config_key or not _is_written(value, choices)):
            names = ", ".join(str(choice)[:_SHOWN] for choice in choices[:_SHOWN])
            more = f" and {len(choices) - _SHOWN} more" if len(choices) > _SHOWN else ""
            return f"configValues.{key} is {str(value)[:_SHOWN]!r}, which is none of its choices: {names}{more}"
    return None


def _is_written(value: Any, choices: list[Any]) -> bool:
    """Whether it is one of them but for its case: what that means is the node's to say."""
    return isinstance(value, str) and value.casefold() in {str(choice).casefold() for choice in choices}


def _choices_of(definition: NodeDefinition, key: str) -> list[Any] | None:
    """What may stand at a key; `None` where that can be anything."""
    if key == definition.mode_config_key and definition.modes:
        return list(definition.modes)
    slot = (definition.config_schema or {}).get(key)
    offered = slot.config.get("suggestions") if slot is not None and _ONE_OF in slot.match_categories else None
    if not isinstance(offered, (list, tuple)):
        return None
    return [item.get("value") if isinstance(item, Mapping) else item for item in offered]
