"""Where in a tree an answer goes, and what leads there."""

from collections.abc import Sequence
from typing import Literal

import attrs

from tavernkeep import ApiError
from tavernkeep_chat.tree import MessageNode, Tree

Mode = Literal["answer", "regenerate", "continue"]


@attrs.frozen
class Placed:
    """A message that is to be generated.

    Attributes:
        path: The messages that lead to it.
        kept: What stands in it, and is to be gone on with.
    """

    node: MessageNode
    path: Sequence[MessageNode]
    kept: str = ""


def placed(tree: Tree, node_id: str | None, mode: Mode | None, answer: MessageNode) -> Placed:
    """Make room for an answer.

    Args:
        node_id: The message that it is about; the active one when `None`.
        mode: A new answer below that message, another one beside it, or more of it; for `None` another one beside an answer that is
            named, and else a new one below.
        answer: The message that it becomes; with `continue` that is the old one.

    Raises:
        TreeError: There is no such message.
        ApiError: 409, it is being generated itself, or nothing was said yet; 400, it is no answer.
    """
    if node_id is None and tree.active_leaf_id is None:
        raise ApiError(409, "Nothing was said yet.")
    about = tree.get(node_id or tree.active_leaf_id)
    if mode is None:
        mode = "regenerate" if node_id is not None and about.role == "assistant" else "answer"
    if mode == "answer":
        return _below(tree, about.id, answer)
    if about.role != "assistant":
        raise ApiError(400, f"Message {about.id!r} is no answer: it is the {about.role}'s.")
    if mode == "regenerate":
        return _below(tree, about.parent_id, answer)
    return going_on(tree, about)


def going_on(tree: Tree, node: MessageNode) -> Placed:
    """More of a message, or its beginning where nothing stands in it.

    Raises:
        ApiError: 409, it or one that leads to it is being generated.
    """
    path = _whole(tree, node.id if node.content.strip() else node.parent_id)
    tree.active_leaf_id = node.id
    return Placed(node, path, node.content if node.content.strip() else "")


def _below(tree: Tree, parent_id: str | None, answer: MessageNode) -> Placed:
    path = _whole(tree, parent_id)
    answer.parent_id = parent_id
    tree.add(answer)
    return Placed(answer, path)


def being_generated(node_id: str) -> ApiError:
    """What is said to who wants a message for something else meanwhile."""
    return ApiError(409, f"Message {node_id!r} is being generated; wait for its end, or stop it first.")


def _whole(tree: Tree, node_id: str | None) -> list[MessageNode]:
    """The messages that lead to one, and it."""
    path = tree.path(node_id) if node_id is not None else []
    if unfinished := next((node for node in path if node.status == "generating"), None):
        raise being_generated(unfinished.id)
    return path
