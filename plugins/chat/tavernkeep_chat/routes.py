"""`/api/chat/…`."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import attrs

from tavernkeep import ApiError, FileResponse, Request, Response, Route, UserContext
from tavernkeep.wire import iso, unstructure
from tavernkeep_chat.bodies import (
    Activated,
    Added,
    Asset,
    Changed,
    Edit,
    Export,
    Generate,
    Import,
    Imported,
    Leaf,
    NewMessage,
    NewSession,
    NodeChanges,
    ProjectQuery,
    SessionChanges,
    Stop,
    Stopped,
    Success,
)
from tavernkeep_chat.generating import Generations
from tavernkeep_chat.generation import BegunAnswer, Wanted
from tavernkeep_chat.greeting import Greetings
from tavernkeep_chat.placing import Placed, being_generated, going_on, placed
from tavernkeep_chat.store import ChatStore, Session, apply, check_version
from tavernkeep_chat.transfer import ENDINGS, exported, imported
from tavernkeep_chat.tree import MessageNode, Tree
from tavernkeep_files.contracts import SANDBOX, Files, PathError
from tavernkeep_projects.contracts import READ, WRITE

_MAX_ASSET: Final = 64 * 1024 * 1024  # bytes


@attrs.frozen
class ChatRoutes:
    """The handlers; each does what its route says."""

    store: ChatStore
    files: Files
    generations: Generations
    greetings: Greetings

    def routes(self) -> list[Route]:
        """The routes."""
        gone = {404: "There is no such project, chat or message.", 400: "The id is no safe one, or the change would break the tree."}
        stale = gone | {409: "The chat has changed since the version that was read."}
        answered = stale | {422: "The workflow cannot be run, or has no input or output for it.", 503: "There is no room."}
        sessions, one = "/api/chat/sessions", "/api/chat/sessions/{session_id}"
        chat = "/api/chat/{session_id}"
        return [
            Route("GET", sessions, self.sessions, READ, errors=gone, resource="project_id"),
            Route("POST", sessions, self.create, WRITE, status=201, errors=gone, resource="project_id"),
            Route("POST", f"{sessions}/import", self.take_in, WRITE, status=201, errors=gone, resource="project_id"),
            Route("DELETE", one, self.delete, WRITE, errors=gone, resource="project_id"),
            Route("PUT", one + "/metadata", self.update, WRITE, errors=gone, resource="project_id"),
            Route("POST", one + "/export", self.give_out, READ, errors=gone, resource="project_id"),
            Route("GET", chat + "/tree", self.tree, READ, errors=gone, resource="project_id"),
            Route("POST", chat + "/message", self.add, WRITE, status=201, errors=answered, resource="project_id"),
            Route("POST", chat + "/generate", self.generate, WRITE, status=201, errors=answered, resource="project_id"),
            Route("POST", chat + "/stop", self.stop, WRITE, errors=gone, resource="project_id"),
            Route("PUT", chat + "/tree/edit", self.edit, WRITE, errors=stale, resource="project_id"),
            Route("PUT", chat + "/node/{node_id}/state", self.change, WRITE, errors=stale, resource="project_id"),
            Route("PUT", chat + "/active_leaf", self.activate, WRITE, errors=stale, resource="project_id"),
            Route("GET", chat + "/assets", self.assets, READ, errors=gone, resource="project_id"),
            Route(
                "POST",
                chat + "/assets",
                self.upload,
                WRITE,
                status=201,
                errors=gone | {413: "The file is too large."},
                max_body=_MAX_ASSET + 1024 * 1024,
                content="multipart/form-data",
                resource="project_id",
            ),
            Route("GET", chat + "/assets/{name}", self.asset, READ, errors=gone, resource="project_id"),
        ]

    async def sessions(self, query: ProjectQuery, user: UserContext) -> list[Session]:
        """A project's chats, the newest activity first."""
        return await self.store.sessions(query.project_id, user)

    async def create(self, body: NewSession, user: UserContext) -> Session:
        """Begin a chat; where its settings name a character's card, with the character's greetings."""
        fields = {key: value for key, value in attrs.asdict(body).items() if key != "project_id"}
        greetings = await self.greetings.begin(body.settings or {}, user)
        return await self.store.create(body.project_id, user, greetings, **fields)

    async def take_in(self, body: Import, user: UserContext) -> Imported:
        """Take a chat in. What of it could not be read is named in `warnings`."""
        fields, tree, problems = await asyncio.to_thread(imported, body.data, body.format, iso(self.store.clock()))
        session = await self.store.create(body.project_id, user, tree, **fields)
        return Imported(**attrs.asdict(session, recurse=False), warnings=problems or None)

    async def delete(self, session_id: str, query: ProjectQuery, user: UserContext) -> None:
        """Remove a chat."""
        await self.store.delete(query.project_id, session_id, user)
        self.generations.look()

    async def update(self, session_id: str, body: SessionChanges, query: ProjectQuery, user: UserContext) -> Success:
        """Change what a chat is called, and so on."""
        changes = {key: value for key, value in attrs.asdict(body).items() if value is not None}
        await self.store.update(query.project_id, session_id, changes, user)
        return Success()

    async def give_out(self, session_id: str, body: Export, query: ProjectQuery, user: UserContext) -> Response:
        """A chat as a file. What of it has no place in the format is named in the header `X-Left-Out`."""
        session, tree = await self.store.whole(query.project_id, session_id, user)
        ending, kind = ENDINGS[body.format]
        headers = {"Content-Disposition": f'attachment; filename="chat-{quote(session_id)}.{ending}"'}
        content, left_out = await asyncio.to_thread(exported, session, tree, body.format)
        if left_out:
            headers["X-Left-Out"] = "; ".join(left_out)
        return Response(content, kind, headers=headers)

    async def tree(self, session_id: str, query: ProjectQuery, user: UserContext) -> Tree:
        """The tree of a chat."""
        return await self.store.tree(query.project_id, session_id, user)

    async def add(self, session_id: str, body: NewMessage, query: ProjectQuery, request: Request, user: UserContext) -> Added:
        """Add a message; that of an assistant starts as `generating`. With `generate`, have the workflow answer it."""
        node = self.store.message(body.parent_id, body.role, body.content, body.metadata)
        version = _version(body.version, query, request)
        if not body.generate:
            return Added(node.id, await self.store.change(query.project_id, session_id, version, lambda tree: tree.add(node), user))

        def place(tree: Tree) -> Placed:
            tree.add(node)
            if node.role != "assistant":
                return placed(tree, node.id, "answer", self.store.message(None, "assistant", "", None))
            node.status = "complete"
            return going_on(tree, node)

        begun = await self._begin(session_id, query, version, user, place, body)
        return Added(node.id, begun.tree, begun.node_id, begun.prompt_id)

    async def generate(self, session_id: str, body: Generate | None, query: ProjectQuery, request: Request, user: UserContext) -> Added:
        """Have the workflow answer a message, answer it once more, or go on with an answer; it streams into the message that is named."""
        wanted, answer = body or Generate(), self.store.message(None, "assistant", "", None)
        version = _version(wanted.version, query, request)

        def place(tree: Tree) -> Placed:
            return placed(tree, wanted.node_id or wanted.parent_id, wanted.mode, answer)

        begun = await self._begin(session_id, query, version, user, place, wanted)
        return Added(begun.node_id, begun.tree, begun.node_id, begun.prompt_id)

    async def _begin(
        self,
        session_id: str,
        query: ProjectQuery,
        version: int | None,
        user: UserContext,
        place: Callable[[Tree], Placed],
        body: NewMessage | Generate,
    ) -> BegunAnswer:
        return await self.generations.begin(query.project_id, session_id, version, user, place, Wanted(body.workflow_id, body.inputs))

    async def stop(self, session_id: str, body: Stop | None, query: ProjectQuery, user: UserContext) -> Stopped:
        """Stop what is being generated; answered when that is written, with what there is of it."""
        stopped = await self.generations.stop(query.project_id, session_id, body.node_id if body else None, user)
        return Stopped(True, stopped, await self.store.tree(query.project_id, session_id, user))

    async def edit(self, session_id: str, body: Edit, query: ProjectQuery, request: Request, user: UserContext) -> Tree:
        """Prune, graft, enable, disable, delete: all of it, or nothing."""
        version = _version(body.version, query, request)
        tree = await self.store.change(query.project_id, session_id, version, lambda tree: apply(tree, body.operations), user)
        self.generations.look()
        return tree

    async def change(
        self, session_id: str, node_id: str, body: NodeChanges, query: ProjectQuery, request: Request, user: UserContext
    ) -> Changed:
        """Change a message. What a workflow writes into at present is changed by that alone; stop it first."""
        writes = body.content is not None or body.status is not None
        if writes and await self.store.grows(query.project_id, session_id, node_id, user):
            raise being_generated(node_id)
        moment = iso(self.store.clock())

        def change(tree: Tree) -> None:
            node = _found(tree, node_id)
            for key in ("is_enabled", "status", "content", "metadata"):
                if (value := getattr(body, key)) is not None:
                    setattr(node, key, value)
            node.updated_at = moment

        return Changed(True, await self.store.change(query.project_id, session_id, _version(body.version, query, request), change, user))

    async def activate(self, session_id: str, body: Leaf, query: ProjectQuery, request: Request, user: UserContext) -> Activated:
        """Make a message the active leaf."""
        version = _version(body.version, query, request)
        await self.store.change(query.project_id, session_id, version, lambda tree: tree.activate(_found(tree, body.leaf_node_id).id), user)
        return Activated(True, body.leaf_node_id)

    async def assets(self, session_id: str, query: ProjectQuery, user: UserContext) -> list[dict[str, Any]]:
        """The files of a chat."""
        folder = self.files.locate(await self.store.folder(query.project_id, session_id, user) / "assets", user).path
        names = await asyncio.to_thread(lambda: sorted(os.listdir(folder)) if folder.is_dir() else [])
        return [unstructure(_asset(session_id, query.project_id, name)) for name in names]

    async def upload(self, session_id: str, query: ProjectQuery, request: Request, user: UserContext) -> Asset:
        """Keep a file with a chat: the first file of a multipart body."""
        folder = await self.store.folder(query.project_id, session_id, user) / "assets"
        async for part in request.parts():
            if part.filename is None:
                continue
            pieces, size = [], 0
            async for chunk in part.chunks:
                size += len(chunk)
                if size > _MAX_ASSET:
                    raise ApiError(413, f"The file is larger than {_MAX_ASSET} bytes.")
                pieces.append(chunk)
            name = self.files.safe_name(part.filename)
            await self.files.write(folder / name, b"".join(pieces), user)
            return _asset(session_id, query.project_id, name)
        raise ApiError(400, "There is no file in it.")

    async def asset(self, session_id: str, name: str, query: ProjectQuery, user: UserContext) -> FileResponse:
        """A file of a chat."""
        located = self.files.locate(await self.store.folder(query.project_id, session_id, user) / "assets" / name, user)
        if not await asyncio.to_thread(located.path.is_file):
            raise PathError(f"There is no file {name!r}.", 404)
        return FileResponse(located.path, self.files.kind_of(name), headers=SANDBOX)


def _found(tree: Tree, node_id: str) -> MessageNode:
    if node_id not in tree.nodes:
        raise ApiError(404, f"There is no message {node_id!r}.")
    return tree.nodes[node_id]


def _version(in_body: int | None, query: ProjectQuery, request: Request) -> int | None:
    if in_body is not None:
        return in_body
    return query.version if query.version is not None else check_version(request.headers.get("if-match"))


def _asset(session_id: str, project_id: str, name: str) -> Asset:
    url = f"/api/chat/{quote(session_id)}/assets/{quote(name, safe='')}?projectId={quote(project_id, safe='')}"
    return Asset(True, f"assets/{name}", url)
