"""What flows between nodes: data-flow types, and the slots that values come in and go out by."""

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

ConfigValues = Mapping[str, Any]


class DataFlowType(enum.StrEnum):
    """What kind of value flows through a slot."""

    STRING = "STRING"
    INTEGER = "INTEGER"
    FLOAT = "FLOAT"
    BOOLEAN = "BOOLEAN"
    OBJECT = "OBJECT"
    ARRAY = "ARRAY"
    BINARY = "BINARY"
    WILDCARD = "WILDCARD"
    CONVERTIBLE_ANY = "CONVERTIBLE_ANY"

    @property
    def empty(self) -> Any:
        """The value that stands for nothing of this type; a new one each time."""
        return _EMPTY.get(self, lambda: None)()


_EMPTY: Final[Mapping[str, Callable[[], Any]]] = {
    "STRING": str,
    "INTEGER": int,
    "FLOAT": int,  # 0, not 0.0: that is how the protocol writes it
    "BOOLEAN": bool,
    "ARRAY": list,
    "OBJECT": dict,
}
_ANY: Final = (DataFlowType.WILDCARD, DataFlowType.CONVERTIBLE_ANY)
_TO_STRING: Final = (DataFlowType.INTEGER, DataFlowType.FLOAT, DataFlowType.BOOLEAN)


@attrs.frozen
class Slot:
    """An input, an output or a configuration value of a node.

    Attributes:
        config: What an editor needs to show it (`multiline`, `min`, `max`, `suggestions`, …); `default` is the value it has when
            nothing else gives one, unless
        form_only: The default is what the editor's form begins with, and no value: where nothing gives one, the node has none.
        required: Whether the node can run without a value; or a function of the node's configuration values that says so.
        multi: Takes several edges, and hands the node a list.
        is_stream: Carries chunks while its source is still running.
        live: Carries an object that is no data (an open client, a tensor) from node to node as it is, within the process; only from a slot
            that says so to one that does. Viewers see a description of it, and it is neither recorded nor remembered.
        secret: The value never appears in a message, a log line, a history row or an error.
    """

    data_flow_type: DataFlowType = DataFlowType.WILDCARD
    display_name: str | None = None
    description: str | None = None
    required: bool | Callable[[ConfigValues], bool] = False
    config: Mapping[str, Any] = attrs.field(factory=dict)
    match_categories: tuple[str, ...] = ()
    multi: bool = False
    is_stream: bool = False
    live: bool = False
    form_only: bool = False
    secret: bool = False
    allow_dynamic_type: bool = False
    hide_handle: bool = False
    min: float | None = None
    max: float | None = None
    actions: tuple[Mapping[str, Any], ...] = ()

    def is_required(self, config_values: ConfigValues) -> bool:
        """Whether a node with these configuration values needs a value here."""
        return self.required(config_values) if callable(self.required) else self.required


Slots = Mapping[str, Slot]


def choices(values: Iterable[Any] | Mapping[Any, str]) -> list[dict[str, Any]]:
    """Values to choose from, as the `suggestions` of a slot; a mapping says what they are called, else that is the value as text.

    >>> choices({"det": "Determinant"}), choices([1])
    ([{'value': 'det', 'label': 'Determinant'}], [{'value': 1, 'label': '1'}])
    """
    labels = values if isinstance(values, Mapping) else {}
    return [{"value": value, "label": labels.get(value, str(value))} for value in values]


def all_slots(_: object, attribute: "attrs.Attribute[Slots]", slots: Slots) -> None:
    """An attrs validator: a mapping of slots, and of nothing else."""
    for key, slot in slots.items():
        if not isinstance(slot, Slot):
            raise TypeError(f"{attribute.name}[{key!r}] is {slot!r}, expected a Slot")


def compatible(source: Slot, target: Slot) -> bool:
    """Whether an output of this kind may feed an input of that kind (the rule of the protocol's section on types)."""
    if source.is_stream != target.is_stream or (source.live and not target.live):
        return False
    given, wanted = source.data_flow_type, target.data_flow_type
    if given == wanted or given in _ANY or wanted in _ANY:
        return True
    if given is DataFlowType.INTEGER and wanted is DataFlowType.FLOAT:
        return True
    if given in _TO_STRING and wanted is DataFlowType.STRING:
        return True
    ours, theirs = source.match_categories, target.match_categories
    return "BehaviorWildcard" in ours or "BehaviorWildcard" in theirs or not set(ours).isdisjoint(theirs)
