"""Chats written as SillyTavern's lines: the conversation that leads to the active message, and as its swipes the answers beside each.

Every line is read again as `sillytavern` reads it, and whatever comes out otherwise than it is in the tree is put under `extra.tavernkeep`.
So a chat that is read back is the one that was written, but for what the format has no place for: that is named.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from tavernkeep.wire import dumps, unstructure
from tavernkeep_chat.dates import moment_of
from tavernkeep_chat.sillytavern import (
    KEPT,
    NARRATOR,
    OURS,
    Saved,
    SavedSession,
    author_of,
    flags_of,
    message_of,
    title_of,
)
from tavernkeep_chat.store import Session
from tavernkeep_chat.tree import MessageNode, Tree

_NEVER: Final = "never"  # no message is dated so
_TOLD: Final = ("title", "createdAt", "updatedAt", "tokenCount")  # of a tree, that its session says
_OF_ONE: Final = ("send_date", "gen_started", "gen_finished", "extra")  # of a line, what is about the swipe that is shown
_NAMES: Final = {"user": "User", "assistant": "Assistant", "system": "System"}


def written(session: Session, tree: Tree) -> tuple[bytes, list[str]]:
    """A chat as lines, and what of it has no place in them."""
    path, left_out, lines = _conversation(tree), [], []
    deeper, at = 0, _NEVER
    for node in path:
        beside = [tree.nodes[id_] for id_ in tree.siblings(node.id)]
        others = [one for one in beside if one.role == node.role]
        deeper += sum(len(tree.below(one.id)) - 1 for one in others if one is not node)
        if strangers := [one for one in beside if one.role != node.role]:
            count = sum(len(tree.below(one.id)) for one in strangers)
            left_out.append(f"{count} messages in branches that begin in another role than the one taken")
        lines.append(_line(node, others, at))
        at = node.created_at
    if path:
        deeper += len(tree.below(path[-1].id)) - 1
    if deeper:
        left_out.append(f"{deeper} messages below answers that the conversation does not go through")
    if tree.assets or any(node.attachments for node in path):
        left_out.append("the content of attached files")
    header = _header(session, tree, path, left_out)
    return b"".join(dumps(line) + b"\n" for line in ([header] if header else []) + lines), left_out


def _conversation(tree: Tree) -> list[MessageNode]:
    """What leads to the active message; where there is none, as after it was removed with its root, to the last one."""
    path = tree.path()
    answers = [] if path else tree.root_node_ids
    while answers:
        path.append(tree.nodes[answers[-1]])
        answers = path[-1].children
    return path


def _header(session: Session, tree: Tree, path: list[MessageNode], left_out: list[str]) -> dict[str, Any] | None:
    """The first line; none where the chat came without one and nothing has to be said."""
    kept = tree.metadata.get(KEPT)
    begun = {"chat_metadata": {}, "user_name": _speaker(path, "user"), "character_name": _speaker(path, "assistant")}
    header = dict(kept) if isinstance(kept, dict) else {**begun, "create_date": session.created_at}
    was_read = KEPT in tree.metadata
    reads_as = SavedSession(title=title_of({} if was_read and kept is None else header, path), type="roleplay")
    ours: dict[str, Any] = {}
    metadata = {key: value for key, value in tree.metadata.items() if key not in _TOLD}
    if not was_read or len(metadata) > 1:
        ours["metadata"] = metadata
    said = {
        field.name: value
        for field in attrs.fields(SavedSession)
        if (value := getattr(session, field.name)) is not None and value != getattr(reads_as, field.name)
    }
    ours |= ({"session": said} if said else {}) | ({"leftOut": left_out} if left_out else {})
    if not ours:
        return None if was_read and kept is None else header
    theirs = header.get("chat_metadata")
    return {**header, "chat_metadata": {**(theirs if isinstance(theirs, dict) else {}), OURS: ours}}


def _speaker(path: list[MessageNode], role: str) -> str:
    names = ((node.metadata or {}).get("name") for node in path if node.role == role)
    return next((name for name in names if isinstance(name, str) and name), _NAMES[role])


def _line(node: MessageNode, swipes: list[MessageNode], before: str) -> dict[str, Any]:
    """The line of a message.

    Args:
        before: What it would be dated where it does not say when it was.
    """
    kept = _kept(node, "line") or _line_beside(node, swipes)
    line = dict(kept) if kept is not None else _plain(node)
    line["mes"] = node.content
    name = (node.metadata or {}).get("name")
    if isinstance(name, str) and name != author_of(line):
        line["name"] = name
    if "send_date" not in line:
        line["send_date"] = node.created_at
    if flags_of(line) != (node.role, node.is_enabled):
        line |= _flags(node, line)
    if len(swipes) > 1 or "swipes" in line:
        line["swipes"] = [one.content for one in swipes]
        if len(swipes) > 1 or "swipe_id" in line:
            line["swipe_id"] = swipes.index(node)
        if kept is None or "swipe_info" in line:
            line["swipe_info"] = _infos(swipes)
    return _with_ours(line, swipes, node, before)


def _line_beside(node: MessageNode, swipes: list[MessageNode]) -> dict[str, Any] | None:
    """The line that another swipe was shown in, with what is said of this one."""
    line = next((line for one in swipes if (line := _kept(one, "line"))), None)
    own = _kept(node, "swipe") or {"send_date": node.created_at, "extra": {}}
    shared = {key: value for key, value in (line or {}).items() if key not in _OF_ONE}
    return shared | {key: own[key] for key in _OF_ONE if key in own} if line is not None else None


def _infos(swipes: list[MessageNode]) -> list[dict[str, Any]]:
    """What is said beside each swipe; nothing of those behind the last of which there is something to say."""
    said = [_kept(one, "swipe") or ({} if _kept(one, "line") else {"send_date": one.created_at, "extra": {}}) for one in swipes]
    while said and not said[-1]:
        said.pop()
    return [dict(one) for one in said]


def _unsaid(problem: str) -> None:
    """What is wrong with a line that was read before has been named then."""


def _plain(node: MessageNode) -> dict[str, Any]:
    """The line of a message that was written here."""
    extra = {"type": NARRATOR} if node.role == "system" else {}
    flags = {"is_user": node.role == "user", "is_system": not node.is_enabled}
    date = node.created_at if moment_of(node.created_at) else ""
    return {"name": _NAMES[node.role], **flags, "send_date": date, "mes": "", "extra": extra}


def _flags(node: MessageNode, line: Mapping[str, Any]) -> dict[str, Any]:
    extra = line.get("extra")
    extra = {key: value for key, value in (extra if isinstance(extra, dict) else {}).items() if key != "type" or value != NARRATOR}
    if node.role == "system":
        extra["type"] = NARRATOR
    author = {} if node.is_enabled or author_of(line) is not None else {"name": _NAMES[node.role]}  # without one it would count
    return {**author, "is_user": node.role == "user", "is_system": not node.is_enabled, "extra": extra}


def _kept(node: MessageNode, part: str) -> dict[str, Any] | None:
    """What a line, or its entry for a swipe, said beside the message when it was read."""
    kept = (node.metadata or {}).get(KEPT)
    found = kept.get(part) if isinstance(kept, dict) else None
    return found if isinstance(found, dict) else None


def _with_ours(line: dict[str, Any], swipes: list[MessageNode], node: MessageNode, before: str) -> dict[str, Any]:
    """The line, with what would be read out of it otherwise than it is."""
    read = message_of(line, before, _unsaid)
    if len(read.nodes) != len(swipes):
        return line
    for place, (one, as_read) in enumerate(zip(swipes, read.nodes, strict=True)):
        names = [field.name for field in attrs.fields(Saved)]
        differs = {name: value for name in names if (value := getattr(one, name)) != getattr(as_read, name)}
        if _besides(one) == _besides(as_read):
            differs.pop("metadata", None)
        if not differs:
            continue
        ours = unstructure(Saved(**differs)) | ({"metadata": one.metadata} if "metadata" in differs else {})
        if one is node:
            line["extra"] = _marked(line.get("extra"), ours)
        if "swipe_info" in line or one is not node:
            infos = line.get("swipe_info")
            infos = line["swipe_info"] = infos if isinstance(infos, list) else []
            infos += [{} for _ in range(place + 1 - len(infos))]
            infos[place]["extra"] = _marked(infos[place].get("extra"), ours)
    return line


def _besides(node: MessageNode) -> tuple[bool, dict[str, Any]]:
    """What a message has beside what a line said, and whether it is from one."""
    metadata = node.metadata or {}
    was_read = isinstance(metadata.get(KEPT), dict)
    return was_read, {key: value for key, value in metadata.items() if key != KEPT or not was_read}


def _marked(extra: Any, ours: dict[str, Any]) -> dict[str, Any]:
    return {**(extra if isinstance(extra, dict) else {}), OURS: ours}
