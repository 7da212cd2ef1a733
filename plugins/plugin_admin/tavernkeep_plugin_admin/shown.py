"""Node definitions as `GET /api/nodes` shows them: no function, no path of the server."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tavernkeep.contracts.nodes import NodeDefinition, NodeMode
from tavernkeep.contracts.slots import ConfigValues, DataFlowType, Slot, Slots
from tavernkeep.wire import unstructure

_CHOICES: Final = {"suggestions", "acceptedTypes"}


_Shown = Callable[[Slots], dict[str, Any]]


def shown_node(definition: NodeDefinition) -> dict[str, Any]:
    """A definition as editors read it."""

    def slots(of: Slots) -> dict[str, Any]:
        return {key: shown_slot(slot, key, definition.config_values) for key, slot in of.items()}

    def fields(of: Slots) -> dict[str, Any]:
        return {key: _with_texts(slot) for key, slot in slots(of).items()}

    wire: dict[str, Any] = {
        "type": definition.type,
        "namespace": definition.namespace,
        "category": definition.category,
        "displayName": definition.display_name or humanized(definition.type),
        "description": definition.description,
        "inputs": fields(definition.inputs),
        "outputs": slots(definition.outputs),
    }
    optional: dict[str, Any] = {
        "width": definition.width,
        "configSchema": None if definition.config_schema is None else _described(fields(definition.config_schema)),
        "configValues": dict(definition.config_values) or None,
        "modes": {key: _shown_mode(mode, fields, slots) for key, mode in definition.modes.items()} or None,
        "defaultModeId": definition.default_mode_id,
        "modeConfigKey": definition.mode_config_key,
        "dynamicSlots": definition.dynamic_slots or None,
        "bypassBehavior": unstructure(definition.bypass_behavior),
        "clientScriptUrl": definition.client_script_url,
        "isUiNode": definition.is_ui_node or None,
        "deprecated": definition.deprecated or None,
        "experimental": definition.experimental or None,
        "isPreviewUnsafe": definition.is_preview_unsafe or None,
    }
    wire.update((name, value) for name, value in optional.items() if value is not None)
    return wire


def _shown_mode(mode: NodeMode, fields: _Shown, slots: _Shown) -> dict[str, Any]:
    return {
        "id": mode.id,
        "displayName": mode.display_name or humanized(mode.id),
        "inputs": fields(mode.inputs),
        "outputs": slots(mode.outputs),
    }


def shown_slot(slot: Slot, key: str, config_values: ConfigValues) -> dict[str, Any]:
    """A slot as editors read it; whether it is required depends on the configuration values."""
    wire: dict[str, Any] = {
        "key": key,
        "dataFlowType": slot.data_flow_type.value,
        "displayName": slot.display_name or humanized(key),
        "required": slot.is_required(config_values),
    }
    optional = {
        "description": slot.description,
        "config": _shown_config(slot.config),
        "matchCategories": list(slot.match_categories),
        "multi": slot.multi,
        "isStream": slot.is_stream,
        "live": slot.live,
        "secret": slot.secret,
        "allowDynamicType": slot.allow_dynamic_type,
        "hideHandle": slot.hide_handle,
        "min": slot.min,
        "max": slot.max,
        "actions": list(slot.actions),
    }
    wire.update((name, value) for name, value in optional.items() if value not in (None, False, {}, []))
    return wire


def _with_texts(slot: dict[str, Any]) -> dict[str, Any]:
    """What a person fills in or presses, with the texts that editors show for it: without them they show its key."""
    categories = slot.get("matchCategories", ())
    if "Trigger" in categories:
        key = "label"
    elif slot["dataFlowType"] == DataFlowType.STRING and not slot.get("multi") and "ComboOption" not in categories:
        key = "placeholder"
    else:
        return slot
    return slot | {"config": {key: slot["displayName"], **slot.get("config", {})}}


def _described(slots: dict[str, Any]) -> dict[str, Any]:
    return {key: {"description": slot["displayName"], **slot} for key, slot in slots.items()}


def _shown_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Editors show, and store, what has no label as something that nobody meant."""
    shown = dict(config)
    for key in _CHOICES & shown.keys():
        if isinstance(shown[key], (list, tuple)):
            shown[key] = [_choice(item) for item in shown[key]]
    return shown


def _choice(item: Any) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        return {"value": item, "label": str(item)}
    label = item.get("label")
    return {**item, "label": str(item.get("value") if label is None else label)}


def humanized(name: str) -> str:
    """A name for people, made of an identifier.

    >>> humanized("text_inputs"), humanized("GenericLlmRequest")
    ('Text inputs', 'Generic Llm Request')
    """
    words = "".join(f" {char}" if char.isupper() and name[index - 1 : index].islower() else char for index, char in enumerate(name))
    text = words.replace("_", " ").strip()
    return text[:1].upper() + text[1:]
