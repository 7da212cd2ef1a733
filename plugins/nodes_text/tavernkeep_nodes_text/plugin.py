"""Nodes for templates, JSON, and parts of texts."""

from typing import Any

from tavernkeep import Node, NodeDefinition, hookimpl
from tavernkeep_nodes_text.json_nodes import JSON_BUILD, json_parse, json_path
from tavernkeep_nodes_text.parts import case, join, split
from tavernkeep_nodes_text.template import TEMPLATE


@hookimpl
def register_nodes() -> list[Node[Any] | NodeDefinition]:
    return [TEMPLATE, JSON_BUILD, json_parse, json_path, split, join, case]
