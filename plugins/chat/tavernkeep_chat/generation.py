"""An answer that a workflow gives in a chat: how it is asked for, and what is known of it while it grows."""

import asyncio
from pathlib import Path
from typing import Any

import attrs

from tavernkeep import UserContext
from tavernkeep_chat.answering import GrowingAnswer
from tavernkeep_chat.store import Stamp
from tavernkeep_chat.tree import Tree


@attrs.frozen
class Wanted:
    """How an answer is to be generated.

    Attributes:
        workflow_id: Which workflow is asked; the one that the chat's settings name, or `main`, when `None`.
        inputs: Values for its inputs, over those of the chat's settings.
    """

    workflow_id: str | None = None
    inputs: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class BegunAnswer:
    """An answer that is being generated, and the tree with it."""

    node_id: str
    prompt_id: str
    tree: Tree


@attrs.define(eq=False)
class Generation:
    """An answer that is being generated.

    Attributes:
        user: Who runs it.
        owner: In whose folder the chat is, by whom it is written whoever else may write there.
        project_id: As the owner calls it.
        folder: Where the chat really is.
        refused: Why it must not go on.
        seen: Of the tree in which its message was last seen.
        tried: It has ended, and that is written or could not be at once.
    """

    execution_id: str
    user: UserContext
    owner: UserContext
    project_id: str
    session_id: str
    node_id: str
    folder: Path
    answer: GrowingAnswer
    refused: str | None = None
    seen: Stamp | None = None
    look: bool = False
    tried: asyncio.Event = attrs.field(factory=asyncio.Event)
    news: asyncio.Event = attrs.field(factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    @property
    def seen_as(self) -> str:
        """What the project is called by who runs it."""
        return self.project_id if self.user.uid == self.owner.uid else f"{self.project_id}@{self.owner.uid}"
