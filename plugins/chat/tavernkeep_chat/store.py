"""Chats as files: `user://projects/ID/chats/SID/` with `session.json` and `tree.json`."""

import asyncio
import contextlib
import math
import os
import shutil
import uuid
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import attrs

from tavernkeep import ApiError, UserContext
from tavernkeep.clock import Clock, now
from tavernkeep.finish import finishing
from tavernkeep.wire import Invalid, Problem, dumps, iso, loads, structure, unstructure
from tavernkeep_chat.tree import MessageNode, Role, Status, Tree, TreeError
from tavernkeep_files.contracts import MAX_READ, Files, LogicalPath, PathError
from tavernkeep_projects.contracts import PROJECTS, Projects

T = TypeVar("T")
Stamp = tuple[int, int, int]
SessionType = Literal["chat", "roleplay", "task", "other"]
_SESSION: Final = "session.json"
_TREE: Final = "tree.json"
_SOURCE: Final = "source.json"
_SHOWN: Final = 100  # characters of the last message in lists
_CHARACTERS_A_TOKEN: Final = 4
_AT_ONCE: Final = 64 * 1024  # bytes that are taken apart while everybody waits; more is for a thread
KEPT_FREE: Final = 1024 * 1024  # bytes of what can be read again in which it is written how answers end


@attrs.define
class Session:
    """A chat, in short. `token_count` is an estimate, a quarter of the characters."""

    id: str
    project_id: str
    title: str
    created_at: str
    updated_at: str
    last_activity: str
    type: SessionType = "chat"
    description: str | None = None
    last_message: str = ""
    message_count: int = 0
    branch_count: int = 0
    token_count: int = 0
    tags: list[str] | None = None
    settings: dict[str, Any] | None = None


@attrs.frozen
class Operation:
    """A change of a tree.

    Attributes:
        target_node_id: Of a graft, the new parent; none makes it a root.
    """

    type: Literal["prune", "graft", "enable", "disable", "delete"]
    source_node_id: str | None = None
    target_node_id: str | None = None
    node_ids: list[str] | None = None


@attrs.define
class ChatStore:
    """Reads and writes chats. A write is made on a copy, checked against the version that was read, and is whole or not at all.

    Attributes:
        growing: The texts of messages that are being generated, by the chat's real folder and the message's id: whoever reads a tree has
            them as they are at that moment.
    """

    files: Files
    projects: Projects
    clock: Clock = now
    growing: dict[tuple[Path, str], Callable[[], str]] = attrs.field(factory=dict)
    _locks: weakref.WeakValueDictionary[str, asyncio.Lock] = attrs.field(factory=weakref.WeakValueDictionary)

    def place(self, project_id: str, session_id: str) -> LogicalPath:
        """Where a chat is, if it is there."""
        return _chats_of(project_id) / session_id

    async def _chats(self, project_id: str, user: UserContext) -> LogicalPath:
        await self.projects.metadata(project_id, user)
        return _chats_of(project_id)

    async def folder(self, project_id: str, session_id: str, user: UserContext) -> LogicalPath:
        """The folder of a chat. Raises `ApiError` 404."""
        folder = await self._chats(project_id, user) / session_id
        if not await asyncio.to_thread((self.files.locate(folder, user).path / _SESSION).is_file):
            raise ApiError(404, f"There is no chat {session_id!r}.")
        return folder

    async def _read(self, path: LogicalPath, read: Callable[[bytes], T], user: UserContext) -> T:
        try:
            data = await self.files.read(path, user)
            return read(data) if len(data) < _AT_ONCE else await asyncio.to_thread(read, data)
        except (Invalid, PathError) as error:
            if isinstance(error, PathError) and error.status != 404:
                raise  # it is there, and may be read at another time
            raise ApiError(404, f"The chat is broken: {error}") from None

    # Sessions

    async def sessions(self, project_id: str, user: UserContext) -> list[Session]:
        """A project's chats, the newest activity first; broken ones are left out."""
        root = await self._chats(project_id, user)
        place = self.files.locate(root, user).path
        found = []
        for name in await asyncio.to_thread(lambda: [path.parent.name for path in place.glob(f"*/{_SESSION}")]):
            try:
                found.append(await self._read(root / name / _SESSION, _session_in, user))
            except ApiError:
                continue
        return sorted(found, key=lambda session: (session.last_activity, session.id), reverse=True)

    @finishing
    async def create(
        self, project_id: str, user: UserContext, tree: Tree | None = None, source: dict[str, str] | None = None, **fields: Any
    ) -> Session:
        """Begin a chat.

        Args:
            source: Where it came from, kept beside it.

        Raises:
            ApiError: 404, there is no such project; 409, there is a chat of the `id` that is given; 413, it is too long to be read again.
        """
        root = await self._chats(project_id, user)
        moment = iso(self.clock())
        given = {"id": str(uuid.uuid4()), "created_at": moment, "updated_at": moment, "last_activity": moment, **fields}
        session = Session(**{**given, "project_id": project_id, "title": fields.get("title") or "New chat"})
        tree = tree or Tree(session.id)
        tree.session_id = session.id
        self._count(session, tree)
        folder = root / session.id
        data = dumps(unstructure(tree))
        if len(data) > MAX_READ:
            raise ApiError(413, f"The chat is longer than {MAX_READ} bytes.")
        located = self.files.locate(folder, user, write=True).path
        if "id" in fields and not await asyncio.to_thread((located / _SESSION).is_file):
            await asyncio.to_thread(shutil.rmtree, located, ignore_errors=True)  # what a crash left of it
        async with self.files.making(folder, user):
            if source is not None:
                await self.files.write(folder / _SOURCE, dumps(source), user)
            await self.files.write(folder / _TREE, data, user)
            await self.files.write(folder / _SESSION, dumps(unstructure(session)), user)  # last: with it the chat is there
        return session

    async def source(self, project_id: str, session_id: str, user: UserContext) -> dict[str, Any] | None:
        """Where a chat came from; empty where nothing is known of that, `None` where there is no such chat."""
        try:
            found = loads(await self.files.read(await self.folder(project_id, session_id, user) / _SOURCE, user))
        except (ApiError, Invalid) as error:
            is_there = isinstance(error, (PathError, Invalid))
            return {} if is_there else None
        return found if isinstance(found, dict) else {}

    def _count(self, session: Session, tree: Tree) -> None:
        session.message_count = len(tree.nodes)
        session.branch_count = tree.leaves()
        session.token_count = math.ceil(sum(len(node.content) for node in tree.nodes.values()) / _CHARACTERS_A_TOKEN)
        path = tree.path()
        session.last_message = path[-1].content[:_SHOWN] if path else ""

    @finishing
    async def delete(self, project_id: str, session_id: str, user: UserContext) -> None:
        """Remove a chat. Raises `ApiError` 404."""
        async with self.lock(session_id):  # a change that has begun would make it anew
            located = self.files.locate(await self.folder(project_id, session_id, user), user, write=True)
            place, shown = located.path, str(located.logical)
            await self.files.on_disk((place / _SESSION).unlink, shown)  # with it the chat is gone, whatever becomes of the rest
            await self.files.on_disk(lambda: shutil.rmtree(place), shown)

    @finishing
    async def update(self, project_id: str, session_id: str, changes: dict[str, Any], user: UserContext) -> None:
        """Change what a chat is called and so on. Raises `ApiError` 404."""
        async with self.lock(session_id):
            folder = await self.folder(project_id, session_id, user)
            session = await self._read(folder / _SESSION, _session_in, user)
            for key, value in changes.items():
                setattr(session, key, value)
            session.updated_at = iso(self.clock())
            await self.files.write(folder / _SESSION, dumps(unstructure(session)), user)

    def lock(self, session_id: str) -> asyncio.Lock:
        """Who has it changes a chat alone."""
        return self._locks.setdefault(session_id, asyncio.Lock())

    # Trees

    async def tree(self, project_id: str, session_id: str, user: UserContext) -> Tree:
        """The tree of a chat. Raises `ApiError` 404."""
        folder = await self.folder(project_id, session_id, user)
        return described(await self._tree(folder, user), await self._read(folder / _SESSION, _session_in, user))

    async def whole(self, project_id: str, session_id: str, user: UserContext) -> tuple[Session, Tree]:
        """A chat, its tree without what is said in it of the session. Raises `ApiError` 404."""
        folder = await self.folder(project_id, session_id, user)
        return await self._read(folder / _SESSION, _session_in, user), await self._tree(folder, user)

    async def _tree(self, folder: LogicalPath, user: UserContext) -> Tree:
        tree = await self._read(folder / _TREE, _tree_in, user)
        if self.growing:
            place = self.files.locate(folder, user).path
            for (at, node_id), text in self.growing.items():
                if at == place and node_id in tree.nodes and tree.nodes[node_id].status == "generating":
                    tree.nodes[node_id].content = text()
        return tree

    async def stamp(self, project_id: str, session_id: str, user: UserContext) -> Stamp:
        """What is another one whenever the tree has been written. Raises `ApiError` 404."""
        status = await self._status(await self.folder(project_id, session_id, user) / _TREE, user)
        return status.st_mtime_ns, status.st_size, status.st_ino

    async def grows(self, project_id: str, session_id: str, node_id: str, user: UserContext) -> bool:
        """Whether a message is being generated by a workflow. Raises `ApiError` 404."""
        return (self.files.locate(await self.folder(project_id, session_id, user), user).path, node_id) in self.growing

    @contextlib.asynccontextmanager
    async def changing(
        self, project_id: str, session_id: str, version: int | None, user: UserContext, *, kept_free: int = KEPT_FREE
    ) -> AsyncIterator[tuple[Tree, Session]]:
        """A tree to be changed, and its session; they are written at the end, alone among all changes of the chat, unless something fails.

        Args:
            version: That of the tree which was read; not asked when `None`.
            kept_free: How many bytes shorter it must stay than what can be read again; not asked of what makes it shorter.

        Raises:
            ApiError: 404, there is no such chat; 409, it has changed since; 400, the change would break it; 413, it would be too long to be
                read again. Nothing is changed then.
        """
        async with self.lock(session_id):
            folder = await self.folder(project_id, session_id, user)
            tree = await self._tree(folder, user)
            if version is not None and version != tree.version:
                raise ApiError(409, "The chat has changed since it was read.", {"version": tree.version})
            session = await self._read(folder / _SESSION, _session_in, user)
            try:
                yield tree, session
            except TreeError as error:
                raise ApiError(400, str(error)[:1].upper() + str(error)[1:] + ".") from None
            tree.version += 1
            session.updated_at = session.last_activity = iso(self.clock())
            self._count(session, tree)
            data = await asyncio.to_thread(lambda: dumps(unstructure(tree)))
            if len(data) > MAX_READ - kept_free and len(data) > (await self._status(folder / _TREE, user)).st_size:
                raise ApiError(413, f"The chat would be longer than {MAX_READ - kept_free} bytes.")
            await self.files.write(folder / _SESSION, dumps(unstructure(session)), user)
            await self.files.write(folder / _TREE, data, user)  # last: with it the message is there

    async def _status(self, path: LogicalPath, user: UserContext) -> os.stat_result:
        return await self.files.on_disk(self.files.locate(path, user).path.stat, str(path))

    @finishing
    async def change(
        self,
        project_id: str,
        session_id: str,
        version: int | None,
        change: Callable[[Tree], None],
        user: UserContext,
        *,
        kept_free: int = KEPT_FREE,
    ) -> Tree:
        """Change a tree; see `changing`."""
        async with self.changing(project_id, session_id, version, user, kept_free=kept_free) as (tree, session):
            change(tree)
        return described(tree, session)

    def message(self, parent_id: str | None, role: Role, content: str, metadata: dict[str, Any] | None) -> MessageNode:
        """A new message; that of an assistant is still being generated."""
        status: Status = "generating" if role == "assistant" else "complete"
        return MessageNode(str(uuid.uuid4()), parent_id, role, content, iso(self.clock()), status, metadata=metadata)


def _chats_of(project_id: str) -> LogicalPath:
    return PROJECTS / project_id / "chats"


def _session_in(data: bytes) -> Session:
    return structure(loads(data), Session)


def _tree_in(data: bytes) -> Tree:
    tree = structure(loads(data), Tree)
    tree.mend()  # the file is its user's, who may have written anything into it
    return tree


def described(tree: Tree, session: Session) -> Tree:
    """A tree with what its readers want to know of its session."""
    told = {
        "title": session.title,
        "createdAt": session.created_at,
        "updatedAt": session.updated_at,
        "tokenCount": session.token_count,
    }
    return attrs.evolve(tree, metadata={**tree.metadata, **told})


def apply(tree: Tree, operations: list[Operation]) -> None:
    """Apply changes in turn. Raises `TreeError`."""
    for operation in operations:
        ids = operation.node_ids or ([operation.source_node_id] if operation.source_node_id else [])
        if not ids:
            raise TreeError(f"{operation.type} names no message")
        match operation.type:
            case "enable" | "disable":
                tree.enable(ids, enabled=operation.type == "enable")
            case "graft":
                for id_ in ids:
                    tree.graft(id_, operation.target_node_id)
            case "prune":
                for id_ in ids:
                    if id_ in tree.nodes or len(ids) == 1:  # one may have gone with another
                        tree.prune(id_)
            case "delete":
                for id_ in ids:
                    tree.delete(id_)


def check_version(value: Any) -> int | None:
    """The version that a request names, where it names one. Raises `Invalid`."""
    if value is None:
        return None
    try:
        return int(str(value).strip('"'))
    except ValueError:
        raise Invalid([Problem("version", f"expected an integer, got {value!r}")]) from None
