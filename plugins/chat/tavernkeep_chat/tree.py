"""The tree of a chat: messages with their answers, which may be many. An operation that would break it changes nothing.

A tree is a forest in truth: each root begins a conversation. Every node but the roots has a parent that lists it among its children, once;
there is no circle; the active leaf is a node, or there is none.
"""

from collections.abc import Iterable
from typing import Any, Literal

import attrs

Role = Literal["user", "assistant", "system"]
Status = Literal["generating", "complete", "error"]


class TreeError(ValueError):
    """An operation cannot be done; the message says why."""


@attrs.define
class MessageNode:
    """A message."""

    id: str
    parent_id: str | None
    role: Role
    content: str
    created_at: str
    status: Status = "complete"
    is_enabled: bool = True
    children: list[str] = attrs.field(factory=list)
    updated_at: str | None = None
    metadata: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    attachments: list[Any] | None = None


@attrs.define
class Tree:
    """The messages of a chat.

    Attributes:
        version: Counts the writes; who writes says which one was read. A new tree has 1.
        metadata: The title, the times and the count of tokens, as the session has them, beside what an import has brought along.
    """

    session_id: str
    version: int = 1
    nodes: dict[str, MessageNode] = attrs.field(factory=dict)
    root_node_ids: list[str] = attrs.field(factory=list)
    active_leaf_id: str | None = attrs.field(factory=lambda: None)  # a default that is made is sent, too
    metadata: dict[str, Any] = attrs.field(factory=dict)
    assets: list[Any] | None = None

    def mend(self) -> None:
        """Set right how its messages hang together, as in a file that somebody else has written or cut.

        All of them stay; links that lead nowhere, or in a circle, go. What hangs on nothing then is a root.
        """
        for id_, node in self.nodes.items():
            node.id = id_
            node.parent_id = node.parent_id if node.parent_id in self.nodes else None
        whole: set[str] = set()  # those from which the way up ends
        for id_ in self.nodes:
            way: set[str] = set()
            here: str | None = id_
            while here is not None and here not in whole:
                way.add(here)
                if self.nodes[here].parent_id in way:
                    self.nodes[here].parent_id = None
                here = self.nodes[here].parent_id
            whole |= way
        below: dict[str | None, dict[str, None]] = {None: {}} | {id_: {} for id_ in self.nodes}
        listed = [(None, self.root_node_ids), *((id_, node.children) for id_, node in self.nodes.items())]
        for parent, ids in [*listed, *((node.parent_id, [id_]) for id_, node in self.nodes.items())]:  # in the order that is given
            below[parent].update((id_, None) for id_ in ids if id_ in self.nodes and self.nodes[id_].parent_id == parent)
        self.root_node_ids = list(below[None])
        for id_, node in self.nodes.items():
            node.children = list(below[id_])
        self.active_leaf_id = self.active_leaf_id if self.active_leaf_id in self.nodes else None

    def get(self, id_: str | None) -> MessageNode:
        """A node. Raises `TreeError`."""
        if id_ is None or id_ not in self.nodes:
            raise TreeError(f"there is no message {id_!r}")
        return self.nodes[id_]

    def add(self, node: MessageNode) -> None:
        """Add a message below its parent, or as a root; it becomes the active leaf. Raises `TreeError`."""
        if node.id in self.nodes:
            raise TreeError(f"there is a message {node.id!r} already")
        siblings = self.root_node_ids if node.parent_id is None else self.get(node.parent_id).children
        self.nodes[node.id] = node
        siblings.append(node.id)
        self.active_leaf_id = node.id

    def below(self, id_: str) -> list[str]:
        """A message and all that is below it."""
        found, waiting = [], [id_]
        while waiting:
            here = waiting.pop()
            found.append(here)
            waiting += self.nodes[here].children
        return found

    def prune(self, id_: str) -> None:
        """Remove a message with all that is below it. Raises `TreeError`."""
        node = self.get(id_)
        gone = set(self.below(id_))
        self._siblings(node).remove(id_)
        for one in gone:
            del self.nodes[one]
        if self.active_leaf_id in gone:
            self.active_leaf_id = node.parent_id

    def delete(self, id_: str) -> None:
        """Remove a message alone; what is below it moves up to its place. Raises `TreeError`."""
        node = self.get(id_)
        siblings = self._siblings(node)
        place = siblings.index(id_)
        siblings[place : place + 1] = node.children
        for child in node.children:
            self.nodes[child].parent_id = node.parent_id
        del self.nodes[id_]
        if self.active_leaf_id == id_:
            self.active_leaf_id = node.children[-1] if node.children else node.parent_id

    def graft(self, id_: str, target: str | None) -> None:
        """Move a message, with all that is below it, below another, or (for no target) to the roots. Raises `TreeError`."""
        node = self.get(id_)
        if target is not None:
            self.get(target)
            if target in self.below(id_):
                raise TreeError(f"message {id_!r} cannot be moved below itself")
        self._siblings(node).remove(id_)
        node.parent_id = target
        self._siblings(node).append(id_)

    def enable(self, ids: Iterable[str], *, enabled: bool) -> None:
        """Let messages count, or not. Raises `TreeError`."""
        for id_ in ids:
            self.get(id_).is_enabled = enabled

    def activate(self, id_: str) -> None:
        """Make a message the active leaf. Raises `TreeError`."""
        self.get(id_)
        self.active_leaf_id = id_

    def siblings(self, id_: str) -> list[str]:
        """A message and those beside it, which answer the same. Raises `TreeError`."""
        return self._siblings(self.get(id_))

    def _siblings(self, node: MessageNode) -> list[str]:
        return self.root_node_ids if node.parent_id is None else self.nodes[node.parent_id].children

    def path(self, to: str | None = None) -> list[MessageNode]:
        """The conversation that leads to a message, the active leaf when `None`."""
        found: list[MessageNode] = []
        here = self.active_leaf_id if to is None else to
        while here is not None:
            found.append(self.nodes[here])
            here = self.nodes[here].parent_id
        return found[::-1]

    def leaves(self) -> int:
        """How many ends it has: its branches."""
        return sum(not node.children for node in self.nodes.values())
