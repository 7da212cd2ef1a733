"""SillyTavern's chats read: a header and a message a line, each with the swipes that it offers, which become branches.

What a line says beside its message is kept with the message, under `metadata.sillytavern`, so that it goes out again as it came in
(`sillytavern_out`). What was written here and has no word there stands under `extra.tavernkeep`, and wins.
"""

import functools
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from tavernkeep.wire import Invalid, describe, structure
from tavernkeep_chat.contracts import ChatError
from tavernkeep_chat.dates import moment_of
from tavernkeep_chat.lines import LineError, lines_of, object_in
from tavernkeep_chat.store import SessionType
from tavernkeep_chat.tree import MessageNode, Role, Status, Tree

KEPT: Final = "sillytavern"
OURS: Final = "tavernkeep"
NARRATOR: Final = "narrator"  # what `extra.type` calls a message to the model that nobody says
_FILLED: Final = ("mes", "swipes", "swipe_id", "swipe_info")  # fields of a line that the messages of a tree hold
NOBODY: Final = ("unused", "none", "null", "undefined")  # what SillyTavern writes for a name of a header that it does not use

_HEADER: Final = ("chat_metadata", "user_name", "character_name", "create_date")
_ITS_OWN: Final = ("", "sillytavern system", "system", "note", "narrator")  # in whose names it speaks itself
_MOST_MESSAGES: Final = 100_000  # swipes are some
_MOST_PROBLEMS: Final = 1_000
_LONGEST_TITLE: Final = 200  # characters


@attrs.frozen
class Saved:
    """What a message has that SillyTavern has no word for; what is left out goes without saying.

    Attributes:
        is_enabled: Of a swipe that is not shown; of one that is, the line says it.
    """

    role: Role | None = None
    is_enabled: bool | None = None
    status: Status | None = None
    created_at: str | None = None
    updated_at: str | None = None
    metadata: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    attachments: list[Any] | None = None


@attrs.frozen
class SavedSession:
    """What a session has that a header has no word for."""

    title: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    settings: dict[str, Any] | None = None
    type: SessionType | None = None


@attrs.define
class Message:
    """A message as a line has it.

    Attributes:
        nodes: The swipes, with neither an id nor a parent.
        shown: Which of them is.
    """

    nodes: list[MessageNode]
    shown: int


@attrs.define
class ReadChat:
    """A chat as a file has it.

    Attributes:
        fields: Those of the session that the file knows.
        begun: When it was made, where the file says so.
        problems: What could not be read, with the number of its line.
    """

    fields: dict[str, Any]
    tree: Tree
    begun: str | None = None
    problems: list[str] = attrs.field(factory=list)

    def name(self, number: int, problem: str) -> None:
        """Note what is wrong with a line."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(f"line {number}: {problem}")
        elif len(self.problems) == _MOST_PROBLEMS:
            self.problems.append("and more of that kind")


def read_chat(data: bytes | str, moment: str) -> ReadChat:
    """Read a chat.

    Args:
        moment: What a message is dated where nothing says when it was.

    Raises:
        ChatError: There is no chat in it; the message says why.
    """
    chat = ReadChat({}, Tree("", metadata={KEPT: None}))
    header: dict[str, Any] | None = None
    parent: str | None = None
    for number, line in lines_of(data):
        try:
            if isinstance(line, LineError):
                raise line
            entry = object_in(line)
            if header is None and not chat.tree.nodes and "mes" not in entry and any(key in entry for key in _HEADER):
                header = entry
                continue
            message = message_of(entry, moment, functools.partial(chat.name, number))
        except LineError as error:
            chat.name(number, f"left out: {error}")
            continue
        if len(chat.tree.nodes) + len(message.nodes) > _MOST_MESSAGES:
            raise ChatError(f"it has more than {_MOST_MESSAGES} messages and swipes")
        ids = [str(uuid.uuid4()) for _ in message.nodes]
        for id_, node in zip(ids, message.nodes, strict=True):
            node.id, node.parent_id = id_, parent
            chat.tree.add(node)
        parent = ids[message.shown]
        moment = message.nodes[message.shown].created_at
    chat.tree.active_leaf_id = parent
    if header is None and not chat.tree.nodes:
        raise ChatError("; ".join(chat.problems) or "it is empty")
    _take_header(chat, header or {})
    if header is not None:
        chat.begun = moment_of(header.get("create_date"))
    return chat


def _take_header(chat: ReadChat, header: dict[str, Any]) -> None:
    chat.fields = {"title": title_of(header, chat.tree.path()), "type": "roleplay"}
    if not header:
        return
    metadata = header.get("chat_metadata")
    ours = metadata.get(OURS) if isinstance(metadata, dict) else None
    if isinstance(metadata, dict) and isinstance(ours, dict):
        header = {**header, "chat_metadata": {key: value for key, value in metadata.items() if key != OURS}}
        left_out = ours.get("leftOut")
        chat.problems += [f"in the export: {one}" for one in left_out if isinstance(one, str)] if isinstance(left_out, list) else []
    chat.tree.metadata = {KEPT: header}
    if not isinstance(ours, dict):
        return
    if isinstance(ours.get("metadata"), dict):
        chat.tree.metadata = ours["metadata"]
    try:
        saved = attrs.asdict(structure(ours.get("session") or {}, SavedSession), recurse=False)
        chat.fields |= {key: value for key, value in saved.items() if value is not None}
    except Invalid as invalid:
        chat.problems.append(f"the header's chat_metadata.{OURS}: {invalid}")


def title_of(header: Mapping[str, Any], path: Iterable[MessageNode]) -> str:
    """What a chat is called: after whom its header names, or else who speaks in it."""
    named = _text(header.get("character_name"))
    if named and named.strip().lower() not in NOBODY:
        return named[:_LONGEST_TITLE]
    authors = [(node.metadata or {}).get("name") for node in path if node.role == "assistant"]
    return next((name[:_LONGEST_TITLE] for name in authors if isinstance(name, str) and name), "Imported chat")


def message_of(entry: Mapping[str, Any], moment: str, name: Callable[[str], None]) -> Message:
    """The message of a line.

    Args:
        moment: When it was, where the line does not say so.
        name: Is told of what is wrong with it and yet can be left out.

    Raises:
        LineError: It is none.
    """
    if "mes" not in entry:
        raise LineError("it is no message: it has no mes")
    text = _text(entry["mes"])
    if text is None:
        raise LineError(f"its mes is {describe(entry['mes'])}, where a text belongs")
    role, enabled = flags_of(entry)
    texts, shown = _swipes(entry, text, name)
    infos = entry.get("swipe_info")
    if not isinstance(infos, list | None):
        name(f"its swipe_info is {describe(infos)}, where a list belongs")
    infos = infos if isinstance(infos, list) else []
    author = author_of(entry)
    date = entry.get("send_date")
    sent = moment_of(date)
    if sent is None and date not in (None, ""):
        name(f"its send_date {str(date)[:60]!r} is in no form that is known")
    line = _unmarked({key: None if key in _FILLED else value for key, value in entry.items()})
    nodes = []
    for place, (index, content) in enumerate(texts):
        info = infos[index] if index is not None and index < len(infos) and isinstance(infos[index], dict) else None
        at = sent if place == shown or info is None else moment_of(info.get("send_date")) or sent
        kept = {key: value for key, value in (("line", line if place == shown else None), ("swipe", _unmarked(info or {}))) if value}
        metadata: dict[str, Any] = ({"name": author} if author is not None else {}) | ({KEPT: kept} if kept else {})
        node = MessageNode("", None, role, content, at or moment, is_enabled=enabled, metadata=metadata or None)
        marked = _with_ours(node, entry if place == shown else info or {}, name)
        nodes.append(attrs.evolve(marked, is_enabled=enabled) if place == shown else marked)
    return Message(nodes, shown)


def _with_ours(node: MessageNode, holder: Mapping[str, Any], name: Callable[[str], None]) -> MessageNode:
    """What was written here and goes without saying there."""
    extra = holder.get("extra")
    ours = extra.get(OURS) if isinstance(extra, dict) else None
    if not isinstance(ours, dict):
        return node
    try:
        saved = attrs.asdict(structure(ours, Saved), recurse=False)
    except Invalid as invalid:
        name(f"its extra.{OURS}: {invalid}")
        return node
    changes = {key: value for key, value in saved.items() if value is not None}
    if "metadata" in ours:
        changes["metadata"] = saved["metadata"]
    if changes.get("status") == "generating":
        changes["status"] = "complete"  # nobody generates it here
    return attrs.evolve(node, **changes)


def _unmarked(holder: dict[str, Any]) -> dict[str, Any]:
    extra = holder.get("extra")
    if not isinstance(extra, dict) or OURS not in extra:
        return holder
    return {**holder, "extra": {key: value for key, value in extra.items() if key != OURS}}


def _swipes(entry: Mapping[str, Any], text: str, name: Callable[[str], None]) -> tuple[list[tuple[int | None, str]], int]:
    """What a message offers, each with its place among the swipes, and which of them is shown."""
    given = entry.get("swipes")
    if not isinstance(given, list | None):
        raise LineError(f"its swipes are {describe(given)}, where a list belongs")
    texts: list[tuple[int | None, str]] = []
    for index, swipe in enumerate(given or ()):
        content = _text(swipe)
        if content is None:
            name(f"its swipe {index} is left out: it is {describe(swipe)}, where a text belongs")
        else:
            texts.append((index, content))
    if not texts:
        return [(0, text)], 0
    chosen = _whole(entry.get("swipe_id"))
    if chosen is None or not 0 <= chosen < len(given or ()):
        if entry.get("swipe_id") is not None:
            name(f"its swipe_id {str(entry['swipe_id'])[:60]!r} is none of its {len(given or ())} swipes")
        chosen = None
    same = [place for place, (_, content) in enumerate(texts) if content == text]
    shown = next((place for place in same if texts[place][0] == chosen), same[-1] if same else None)
    if shown is None:
        name("what it shows is none of its swipes, and becomes one more")
        return [*texts, (None, text)], len(texts)
    return texts, shown


def flags_of(entry: Mapping[str, Any]) -> tuple[Role, bool]:
    """In which role a message speaks, and whether it counts: one that is hidden (`is_system`) never does, whoever has said it."""
    hidden = _truth(entry.get("is_system"))
    extra = entry.get("extra")
    if _truth(entry.get("is_user")):
        return "user", not hidden
    if isinstance(extra, dict) and extra.get("type") == NARRATOR:
        return "system", not hidden
    author = author_of(entry)
    if hidden and (author or "").strip().lower() in _ITS_OWN:
        return "system", author is None  # SillyTavern gives each an author, and shows none of these to a model
    return "assistant", not hidden


def author_of(entry: Mapping[str, Any]) -> str | None:
    """Who has said a message, where the line tells."""
    return _text(entry.get("name"))


def _text(value: Any) -> str | None:
    """A text, that may be a number."""
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
        return int(number) if number is not None and number == int(number) else None
    except (ValueError, OverflowError):
        return None


def _truth(value: Any) -> bool:
    """A boolean, that may be a number or a text."""
    return value.strip().lower() in ("true", "1", "yes", "on") if isinstance(value, str) else bool(value)
