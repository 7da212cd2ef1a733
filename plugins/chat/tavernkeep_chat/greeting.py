"""How a character begins a chat: its first message, and the others that its card offers beside it."""

import asyncio
from typing import Any, Final

import attrs

from tavernkeep import NodeFailure, Services, UserContext
from tavernkeep.wire import Invalid, Problem
from tavernkeep_characters.contracts import CardError, Cards
from tavernkeep_chat.store import ChatStore
from tavernkeep_chat.tree import Tree
from tavernkeep_files.contracts import PathError
from tavernkeep_nodes_processors.contracts import CardMacros

_SETTING: Final = "character"
_MOST: Final = 1000  # greetings of a card


@attrs.frozen
class Greetings:
    """Reads them from the card that a chat's settings name; without a reader of cards there are none."""

    store: ChatStore
    services: Services

    async def begin(self, settings: dict[str, Any], user: UserContext) -> Tree | None:
        """A tree with the greetings at its roots, the first of them active; `None` where there are none.

        Raises:
            Invalid: The settings name a file that is no card, or cannot be read.
        """
        path, cards = settings.get(_SETTING), self.services.find(Cards)
        if not isinstance(path, str) or "://" not in path or cards is None:
            return None
        try:
            character = cards.character(await self.store.files.read(path, user))
            name = settings.get("userName")
            texts = await asyncio.to_thread(self._filled, character, name if isinstance(name, str) and name else user.username)
        except (CardError, PathError, NodeFailure) as error:
            raise Invalid([Problem(f"settings.{_SETTING}", f"{path}: {error}")]) from None
        tree = Tree("")
        for text in texts:
            message = self.store.message(None, "assistant", text, None)
            message.status = "complete"
            tree.add(message)
        tree.active_leaf_id = next(iter(tree.root_node_ids), None)
        return tree if texts else None

    def _filled(self, character: dict[str, Any], user: str) -> list[str]:
        others = character.get("alternate_greetings")
        given = [character.get("first_mes"), *(others if isinstance(others, list) else ())]
        texts = [text for text in given if isinstance(text, str) and text.strip()]
        if len(texts) > _MOST:
            raise CardError(f"it has more than {_MOST} greetings")
        macros = self.services.find(CardMacros)
        return texts if macros is None else macros.filled(texts, character, user)
