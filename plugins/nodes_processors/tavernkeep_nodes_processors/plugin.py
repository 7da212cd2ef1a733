"""Nodes that work on texts, messages, numbers and matrices."""

from typing import Any

from tavernkeep import Node, NodeDefinition, Services, hookimpl
from tavernkeep_nodes_processors.apply_regex import APPLY_REGEX
from tavernkeep_nodes_processors.context_builder import CONTEXT_BUILDER
from tavernkeep_nodes_processors.contracts import CardMacros
from tavernkeep_nodes_processors.macros import CardTexts
from tavernkeep_nodes_processors.math_operation import MATH_OPERATION
from tavernkeep_nodes_processors.matrix_operation import MATRIX_OPERATION
from tavernkeep_nodes_processors.regex_extract import regex_extract


@hookimpl
def register_services(services: Services, owner: str) -> None:
    services.add(CardMacros, CardTexts(), owner=owner)


@hookimpl
def register_nodes() -> list[Node[Any] | NodeDefinition]:
    return [APPLY_REGEX, CONTEXT_BUILDER, MATH_OPERATION, MATRIX_OPERATION, regex_extract]
