"""What this plugin publishes: reading chats that other programs wrote, and taking them over."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import attrs

from tavernkeep import UserContext

LONGEST: Final = 48 * 1024 * 1024  # bytes of a chat's file; what becomes of it has to be read again


class ChatError(ValueError):
    """A file is no chat; the message says why."""


@attrs.frozen
class ForeignChat:
    """A chat that another program wrote.

    Attributes:
        title: What it is called here.
        messages: How many there are, each swipe one.
        problems: What of it could not be read, each with the number of its line.
        conversation: What a model may see: `role` and `content` of each message that is shown and not hidden.
        content: For who takes it over.
    """

    title: str
    messages: int
    problems: Sequence[str]
    conversation: Sequence[Mapping[str, str]]
    content: Any = attrs.field(repr=False)


@attrs.frozen
class ChatSource:
    """Where a chat came from.

    Attributes:
        sha256: Of the file, in hexadecimal.
    """

    file: str
    sha256: str


class Chats(Protocol):
    """Reads SillyTavern's chats, and takes them over into a project."""

    def read(self, data: bytes, title: str | None = None) -> ForeignChat:
        """The chat in a file of JSON lines.

        Args:
            title: What it is called; after whom it is with, where that is not said.

        Raises:
            ChatError: There is none in it.
        """

    async def known(self, project_id: str, id_: str, source: ChatSource, user: UserContext) -> Literal["new", "same", "different"]:
        """Whether a chat of an id has been taken over already, out of the same file or of one that has changed since."""

    async def take_over(
        self, project_id: str, id_: str, chat: ForeignChat, source: ChatSource, fields: Mapping[str, Any], user: UserContext
    ) -> None:
        """Keep a chat with a project, whole or not at all.

        Args:
            id_: What it is called on the disk.
            fields: More of what its session is to have: `tags`, `settings`.

        Raises:
            ApiError: 404, there is no such project; 409, there is a chat of that id; 413, it is too long.
        """
