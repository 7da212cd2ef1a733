"""Writes the pages that follow from the code: hooks, configuration, node types, commands, events, and the picture of the architecture."""

import inspect
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import click
from picture import write_picture

from tavernkeep import hookspecs
from tavernkeep.app import Application
from tavernkeep.cli import program
from tavernkeep.config import ConfigSource
from tavernkeep.config.sections import CORE_SECTIONS
from tavernkeep.contracts.events import PROTOCOL, Event, Notice
from tavernkeep.contracts.nodes import NodeDefinition, Slots
from tavernkeep.schema import attribute_docs, first_line
from tavernkeep.wire import unstructure, wire_name

PLUGINS: Final = Path(__file__).parents[1] / "plugins"


def write_reference(folder: Path) -> None:
    """Write every page anew into a folder that holds nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "nodes").mkdir(parents=True)
    app = Application.load(ConfigSource.read(folder / "config.json", {}))
    app.collect_nodes()
    write_picture(folder / "architecture.svg", sorted(path.name for path in PLUGINS.glob("*/tavernkeep_*")))
    (folder / "hooks.md").write_text(_hooks(app), encoding="utf-8")
    (folder / "configuration.md").write_text(_configuration(app), encoding="utf-8")
    (folder / "commands.md").write_text(_commands(app), encoding="utf-8")
    (folder / "events.md").write_text(_events(), encoding="utf-8")
    _write_nodes(folder / "nodes", sorted(app.nodes, key=lambda node: node.full_type))


def _hooks(app: Application) -> str:
    lines = ["# Hooks", "", first_line(hookspecs), "", *_specifications(hookspecs, app)]
    for plugin in sorted(app.plugins, key=lambda plugin: plugin.name):
        if register := getattr(plugin.implementation, "register_hookspecs", None):
            for module in register():
                lines += [f"# Hooks of `{plugin.name}`", "", first_line(module), "", *_specifications(module, app)]
    return "\n".join(lines)


def _specifications(module: object, app: Application) -> list[str]:
    lines: list[str] = []
    for name, function in vars(module).items():
        if hasattr(function, f"{hookspecs.PROJECT}_spec"):
            signature = ", ".join(inspect.signature(function).parameters)
            prefix = "async " if inspect.iscoroutinefunction(function) else ""
            lines += [f"## {name}", "", f"`{prefix}{name}({signature})`", "", inspect.getdoc(function) or "", ""]
            users = sorted(
                plugin.name for plugin in app.plugins if hasattr(getattr(plugin.implementation, name, None), f"{hookspecs.PROJECT}_impl")
            )
            lines += [f"Here: {', '.join(f'`{user}`' for user in users) or 'no plugin'}.", ""]
    return lines


def _configuration(app: Application) -> str:
    lines = ["# Configuration", "", "Every key of `config.json` with its default. Each can be set by the variable beside it;", ""]
    lines += ["a secret one also from a file that the variable with `_FILE` at its end names.", ""]
    shared: defaultdict[str, list[type]] = defaultdict(list)
    for section in (*CORE_SECTIONS, *app.sections):
        shared[section.path].append(section.type)
    for path, classes in sorted(shared.items()):
        lines += [f"## {path}", "", " ".join(map(first_line, classes)), "", "| key | default | variable | meaning |", "|---|---|---|---|"]
        for key, default, meaning in (row for class_ in classes for row in _keys(class_, path)):
            variable = "TAVERNKEEP_" + "__".join(_upper(part) for part in key.split("."))
            lines.append(f"| `{key}` | `{default}` | `{variable}` | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def _upper(key: str) -> str:
    return "".join(f"_{char}" if char.isupper() and key[index - 1 : index].islower() else char for index, char in enumerate(key)).upper()


def _keys(class_: type, path: str) -> Iterator[tuple[str, str, str]]:
    documented = attribute_docs(class_)
    defaults = class_()
    for field in attrs.fields(class_):
        value, key = getattr(defaults, field.name), f"{path}.{wire_name(field)}"
        if attrs.has(type(value)):
            yield from _keys(type(value), key)
        else:
            yield key, json.dumps(unstructure(value), ensure_ascii=False), documented.get(field.name, "")


def _commands(app: Application) -> str:
    lines = ["# Commands", "", "`tavernkeep COMMAND`; `--config FILE` before the command names the configuration.", ""]
    commands = {**program.commands, **app.commands}
    for name, command in sorted(commands.items()):
        lines += [f"## {name}", "", *_command(name, command)]
    return "\n".join(lines)


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"tavernkeep {name}")
    yield from ("```text", command.get_help(context), "```", "")
    if isinstance(command, click.Group):
        for inner_name, inner in command.commands.items():
            yield from _command(f"{name} {inner_name}", inner)


def _events() -> str:
    """The two tables that the page about the protocol includes."""
    lines = []
    for title, wanted in (("Events of an execution", False), ("Notices to everyone", True)):
        lines += [f"## {title}", "", "| message | meaning |", "|---|---|"]
        for type_, class_ in PROTOCOL.items():
            if issubclass(class_, Notice) is wanted:
                lines.append(f"| `{type_} {{{', '.join(_event_fields(class_))}}}` | {_cell(_meaning(class_))} |")
        lines.append("")
    return "\n".join(lines)


def _event_fields(class_: type[Event]) -> Iterator[str]:
    if not issubclass(class_, Notice):
        yield from ("promptId", "seq")
    for field in attrs.fields(class_):
        if field.init:
            optional = "?" if field.default is not attrs.NOTHING else ""
            yield "…" if field.metadata.get("flat") else wire_name(field) + optional


def _meaning(class_: type[Event]) -> str:
    fields = attrs.fields_dict(class_)
    about = [f"`{wire_name(fields[name])}`: {text}" for name, text in attribute_docs(class_).items() if name in fields]
    return " ".join([first_line(class_), *about])


def _write_nodes(folder: Path, nodes: list[NodeDefinition]) -> None:
    by_category: dict[str, list[NodeDefinition]] = defaultdict(list)
    for node in nodes:
        by_category[node.category].append(node)
        (folder / f"{_file(node)}.md").write_text(_node(node), encoding="utf-8")
    lines = ["# Nodes", ""]
    for category, entries in sorted(by_category.items()):
        lines += [f"## {category or 'Other'}", "", "| type | what it does |", "|---|---|"]
        lines += [f"| [`{node.full_type}`]({_file(node)}.md) | {_cell(node.description)} |" for node in entries]
        lines.append("")
    lines += ["```{toctree}", ":hidden:", "", *map(_file, nodes), "```", ""]
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")


def _file(node: NodeDefinition) -> str:
    return node.full_type.replace(":", ".")


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _node(node: NodeDefinition) -> str:
    lines = [f"# {node.full_type}", "", node.description, ""]
    if node.config_schema:
        lines += ["## Configuration", "", *_slots(node.config_schema)]
    if node.modes:
        lines += [f"The configuration value `{node.mode_config_key}` picks one of these modes; unset, it is `{node.default_mode_id}`.", ""]
        for mode in node.modes.values():
            lines += [f"## Mode {mode.id}", "", "Inputs:", "", *_slots(mode.inputs), "Outputs:", "", *_slots(mode.outputs)]
    else:
        lines += ["## Inputs", "", *_slots(node.inputs), "## Outputs", "", *_slots(node.outputs)]
    if node.dynamic_slots:
        lines += ["Its slots follow from the workflow; those above are what an editor begins with.", ""]
    return "\n".join(lines)


def _slots(slots: Slots) -> list[str]:
    if not slots:
        return ["None.", ""]
    rows = [f"| `{key}` | {_type(slot)} | {_default(slot)} | {_cell(slot.description or '')} |" for key, slot in slots.items()]
    return ["| slot | type | default | meaning |", "|---|---|---|---|", *rows, ""]


def _type(slot: Any) -> str:
    notes = [slot.data_flow_type.value]
    notes += [word for word, there in (("stream", slot.is_stream), ("several", slot.multi), ("required", slot.required is True)) if there]
    return ", ".join(notes)


def _default(slot: Any) -> str:
    if "default" not in slot.config:
        return ""
    text = json.dumps(slot.config["default"], ensure_ascii=False)
    return f"`` {_cell(text if len(text) < 80 else text[:77] + '…')} ``"
