"""The tree of a chat, beside a naive model: whatever is done, it stays a forest."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tavernkeep_chat.tree import MessageNode, Tree, TreeError


def node(id_: str, parent: str | None = None) -> MessageNode:
    return MessageNode(id_, parent, "user", id_, "")


class Forest(RuleBasedStateMachine):
    """Random operations on the tree, and on a mapping from each message to its parent."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.tree = Tree("s")
        self.parents: dict[str, str | None] = {}
        self.next = 0

    def _below(self, id_: str) -> set[str]:
        found = {id_}
        while more := {child for child, parent in self.parents.items() if parent in found} - found:
            found |= more
        return found

    def _both(self, change: Any, allowed: bool) -> bool:
        """Change the tree; it must refuse exactly what the model forbids."""
        try:
            change()
        except TreeError:
            assert not allowed
            return False
        assert allowed
        return True

    @rule(target=ids, parent=st.one_of(st.none(), ids))
    def add(self, parent: str | None) -> str:
        id_ = f"n{self.next}"
        self.next += 1
        if self._both(lambda: self.tree.add(node(id_, parent)), parent is None or parent in self.parents):
            self.parents[id_] = parent
        return id_

    @rule(id_=consumes(ids))
    def prune(self, id_: str) -> None:
        if self._both(lambda: self.tree.prune(id_), id_ in self.parents):
            for gone in self._below(id_):
                del self.parents[gone]

    @rule(id_=consumes(ids))
    def delete(self, id_: str) -> None:
        if self._both(lambda: self.tree.delete(id_), id_ in self.parents):
            parent = self.parents.pop(id_)
            self.parents = {child: parent if above == id_ else above for child, above in self.parents.items()}

    @rule(id_=ids, place=st.one_of(st.none(), ids))
    def graft(self, id_: str, place: str | None) -> None:
        allowed = id_ in self.parents and (place is None or (place in self.parents and place not in self._below(id_)))
        if self._both(lambda: self.tree.graft(id_, place), allowed):
            self.parents[id_] = place

    @rule(id_=ids)
    def activate(self, id_: str) -> None:
        self._both(lambda: self.tree.activate(id_), id_ in self.parents)

    @invariant()
    def same_as_the_model(self) -> None:
        assert {id_: node.parent_id for id_, node in self.tree.nodes.items()} == self.parents

    @invariant()
    def a_forest(self) -> None:
        listed = [child for node in self.tree.nodes.values() for child in node.children] + self.tree.root_node_ids
        assert sorted(listed) == sorted(self.tree.nodes)  # each stands in one place, and none is missing
        for id_, found in self.tree.nodes.items():
            above = self.tree.root_node_ids if found.parent_id is None else self.tree.nodes[found.parent_id].children
            assert id_ in above
        reached = {below for root in self.tree.root_node_ids for below in self.tree.below(root)}
        assert reached == set(self.tree.nodes)  # no circle hangs beside the roots
        assert self.tree.active_leaf_id is None or self.tree.active_leaf_id in self.tree.nodes


TestForest = pytest.mark.filterwarnings("ignore")(Forest.TestCase)
TestForest.settings = settings(max_examples=150, stateful_step_count=40)
