"""Takes over chats that another program wrote."""

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from tavernkeep import UserContext
from tavernkeep.wire import iso, unstructure
from tavernkeep_chat.contracts import LONGEST, ChatError, ChatSource, ForeignChat
from tavernkeep_chat.sillytavern import ReadChat, read_chat
from tavernkeep_chat.store import ChatStore


@attrs.frozen
class ForeignChats:
    """See `Chats`."""

    store: ChatStore

    def read(self, data: bytes, title: str | None = None) -> ForeignChat:
        """See `Chats`."""
        if len(data) > LONGEST:
            raise ChatError(f"it is longer than {LONGEST} bytes")
        chat = read_chat(data, iso(self.store.clock()))
        conversation = [{"role": node.role, "content": node.content} for node in chat.tree.path() if node.is_enabled]
        return ForeignChat(title or chat.fields["title"], len(chat.tree.nodes), chat.problems, conversation, chat)

    async def known(self, project_id: str, id_: str, source: ChatSource, user: UserContext) -> Literal["new", "same", "different"]:
        """See `Chats`."""
        there = await self.store.source(project_id, id_, user)
        if there is None:
            return "new"
        return "same" if there.get("sha256") == source.sha256 else "different"

    async def take_over(
        self, project_id: str, id_: str, chat: ForeignChat, source: ChatSource, fields: Mapping[str, Any], user: UserContext
    ) -> None:
        """See `Chats`."""
        read: ReadChat = chat.content
        path = read.tree.path()
        begun = read.begun or (path[0].created_at if path else None)
        times = {"created_at": begun, "last_activity": path[-1].created_at if path else begun}
        own = {"id": id_, "title": chat.title} | {key: value for key, value in times.items() if value}
        await self.store.create(project_id, user, read.tree, unstructure(source), **{**read.fields, **fields, **own})
