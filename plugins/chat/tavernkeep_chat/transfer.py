"""Chats out and in: JSON, Markdown, plain text and SillyTavern's lines; JSON and SillyTavern's lines."""

import uuid
from typing import Any, Final, Literal

from tavernkeep import ApiError
from tavernkeep.wire import Invalid, dumps, loads, structure, unstructure
from tavernkeep_chat.contracts import ChatError
from tavernkeep_chat.sillytavern import read_chat
from tavernkeep_chat.sillytavern_out import written
from tavernkeep_chat.store import Session
from tavernkeep_chat.tree import MessageNode, Tree

Format = Literal["json", "markdown", "text", "sillytavern"]
ENDINGS: Final = {
    "json": ("json", "application/json"),
    "markdown": ("md", "text/markdown; charset=utf-8"),
    "text": ("txt", "text/plain; charset=utf-8"),
    "sillytavern": ("jsonl", "application/jsonl"),
}
_KEPT: Final = ("title", "description", "type", "tags", "settings")


def exported(session: Session, tree: Tree, format_: Format) -> tuple[bytes, list[str]]:
    """A chat as a file, and what of it has no place there.

    JSON has all of it, SillyTavern's lines the conversation that leads to the active message with the answers beside it, the others the
    conversation alone.
    """
    if format_ == "json":
        return dumps({"session": unstructure(session), "tree": unstructure(tree)}), []
    if format_ == "sillytavern":
        return written(session, tree)
    path = [node for node in tree.path() if node.is_enabled]
    if format_ == "markdown":
        text = f"# {session.title}\n\n" + "\n\n".join(f"**{node.role}**\n\n{node.content}" for node in path)
    else:
        text = "\n\n".join(f"{node.role}: {node.content}" for node in path)
    return (text + "\n").encode("utf-8", "replace"), []


def imported(data: Any, format_: Literal["json", "sillytavern"], moment: str) -> tuple[dict[str, Any], Tree, list[str]]:
    """What a session is called, its tree, and what could not be read.

    Raises:
        ApiError: 400, the data are not of that form, or the tree is broken.
    """
    try:
        return _from_lines(data, moment) if format_ == "sillytavern" else _from_json(data)
    except Invalid as invalid:
        raise ApiError(400, f"That is no chat: {invalid}", [unstructure(problem) for problem in invalid.problems]) from None


def _from_json(data: Any) -> tuple[dict[str, Any], Tree, list[str]]:
    content = loads(data) if isinstance(data, str) else data
    if not isinstance(content, dict) or "tree" not in content:
        raise ApiError(400, "That is no chat: it has no tree.")
    tree = _rebuilt(structure(content["tree"], Tree, "tree"))
    session = content.get("session")
    kept = {key: session[key] for key in _KEPT if key in session} if isinstance(session, dict) else {}
    kept["title"] = kept.get("title") or "Imported chat"
    structure({**kept, "id": "", "projectId": "", **_TIMES}, Session)  # says what is wrong with it
    return kept, tree, []


_TIMES: Final = {"createdAt": "", "updatedAt": "", "lastActivity": ""}


def _rebuilt(given: Tree) -> Tree:
    """The same tree with new ids, made message by message: so what is broken in it is found."""
    tree = Tree("", metadata=given.metadata, assets=given.assets)
    ids: dict[str, str] = {}
    waiting: list[tuple[str, str | None]] = [(root, None) for root in reversed(given.root_node_ids)]
    while waiting:
        old, parent = waiting.pop()
        node = given.nodes.get(old)
        if node is None or old in ids:
            raise ApiError(400, f"That is no chat: message {old!r} is not there, or stands in two places.")
        ids[old] = str(uuid.uuid4())
        fields = {
            name: getattr(node, name)
            for name in ("role", "content", "created_at", "is_enabled", "updated_at", "metadata", "error", "attachments")
        }
        status = "complete" if node.status == "generating" else node.status
        tree.add(MessageNode(id=ids[old], parent_id=parent, status=status, **fields))
        waiting += [(child, ids[old]) for child in reversed(node.children)]
    if len(ids) != len(given.nodes):
        raise ApiError(400, "That is no chat: some of its messages hang on nothing.")
    tree.active_leaf_id = ids.get(given.active_leaf_id or "") or tree.active_leaf_id
    return tree


def _from_lines(data: Any, moment: str) -> tuple[dict[str, Any], Tree, list[str]]:
    if isinstance(data, list):  # the lines, taken apart already
        data = b"\n".join(map(dumps, data)).decode()
    if not isinstance(data, str):
        raise ApiError(400, "A SillyTavern chat is a text of JSON lines.")
    try:
        chat = read_chat(data, moment)
    except ChatError as error:
        raise ApiError(400, f"That is no SillyTavern chat: {error}.") from None
    structure({**chat.fields, "id": "", "projectId": "", **_TIMES}, Session)  # says what is wrong with it
    return chat.fields, chat.tree, chat.problems
