"""Every write path, cut off and made to fail at each of its awaits: it has happened or it has not, and the database answers the next."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs
import pyotp
import pytest
import pytest_asyncio

from tavernkeep import ApiError, UserContext
from tavernkeep.app import Application
from tavernkeep.config import ConfigSource
from tavernkeep.contracts.app import Role
from tavernkeep.contracts.auth import AuditLog
from tavernkeep.contracts.storage import Storage
from tavernkeep_accounts.contracts import Accounts, Passwords, Sessions
from tavernkeep_accounts.models import Credential, ServiceKey, SessionRow, User
from tavernkeep_auth_multiuser.models import Login, Ticket
from tavernkeep_auth_multiuser.service import Logins
from tavernkeep_chat.store import ChatStore
from tavernkeep_devkit.cutting import every_cut
from tavernkeep_files.contracts import Files, LogicalPath
from tavernkeep_files.operations import Operations
from tavernkeep_guard.models import AuditRow
from tavernkeep_llm_config.bodies import ChannelBody
from tavernkeep_llm_config.contracts import LlmImport
from tavernkeep_llm_config.models import ChannelRow, ModelRow
from tavernkeep_panels.bodies import NewPanel
from tavernkeep_panels.store import PanelStore
from tavernkeep_plugin_admin.models import PluginSettings
from tavernkeep_projects.contracts import Projects
from tavernkeep_projects.models import ProjectShare

NEW = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[0-9:.]+Z|(?<=_)\d{13}")
HOLDERS = ("projects", "projects/inn/chats", "projects/inn/ui", ".recycle_bin", ".recycle_bin/inn", ".recycle_bin/inn/workflows")
FAULT = OSError("made to fail")
CHANNEL = ChannelBody(label="l", base_url="http://127.0.0.1:9", api_key="k" * 20, custom_headers={"X-Key": "v"})


@pytest_asyncio.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Application]:
    """Everything that keeps data, without a server."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "config.json").write_text(json.dumps({"auth": {"provider": "multiuser"}}))
    app = Application.load(ConfigSource.read(folder / "config.json", {}))
    await app.start(Role.NONE, alone=True)
    yield app
    await app.stop()


@attrs.define
class Way:
    """A write path: what it does, what can be seen of it, and how it is taken back."""

    work: Callable[[], Coroutine[Any, Any, Any]]
    seen: Callable[[], Awaitable[Any]]
    back: Callable[[], Awaitable[Any]]


async def walk(app: Application, path: Way, error: Exception | None, *, happened: bool = False) -> None:
    """Cut the work off at each await: afterwards all of it is there, or nothing, and the door is open."""
    await path.back()
    before = await path.seen()
    await path.work()
    after = await path.seen()
    assert after != before, "the work does nothing that can be seen"
    await path.back()
    cuts = 0
    async for cut in every_cut(path.work, error, happened=happened):
        async with asyncio.timeout(30):
            await app.services.get(Storage).check()
            assert await path.seen() in (before, after), cut
            await path.back()
        cuts += 1
    assert cuts > 0
    assert await path.seen() == after


def files_below(folder: Path) -> dict[str, str]:
    """What is there with what is in it, each new id and time as `*`; folders that only hold others may be there, or not."""
    found = {str(path.relative_to(folder)): path.read_text() if path.is_file() else "" for path in sorted(folder.rglob("*"))}
    return {NEW.sub("*", name): NEW.sub("*", text) for name, text in found.items() if name not in HOLDERS}


USER = UserContext("u1", "ada", False)


async def paths(app: Application) -> dict[str, Way]:
    """Each write path that has more than one step, and the single ones of each plugin."""
    get = app.services.get
    accounts: Any = get(Accounts)
    sessions, passwords, logins, llm = get(Sessions), get(Passwords), get(Logins), get(LlmImport)
    store: Any = llm
    audit: Any = get(AuditLog)
    files: Any = get(Files)
    projects: Any = get(Projects)
    plugin: Any = next(plugin for plugin in app.plugins if plugin.name == "projects")
    shares = plugin.implementation._shares
    await app.services.get(Storage).put(User, {"uid": USER.uid}, {"username": USER.username})
    hashed = await passwords.hash("a long password")
    account = await accounts.get(USER.uid)
    root = files.locate("user://", USER).path

    async def no_files() -> None:
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)

    async def all_files() -> dict[str, str]:
        return await asyncio.to_thread(files_below, root)

    async def a_panel() -> dict[str, str]:
        # The project only mentions it, and may go on to: what is there are its own files.
        return {name: text for name, text in (await all_files()).items() if name != "projects/inn/project.json"}

    async def count(*models: Any) -> list[int]:
        return [await model.all().count() for model in models]

    def rows(work: Callable[[], Coroutine[Any, Any, Any]], *models: Any) -> Way:
        async def back() -> None:
            for model in models:
                await (model.exclude(uid=USER.uid) if model is User else model.all()).delete()

        return Way(work, lambda: count(*models), back)

    async def with_ticket() -> Any:
        ticket = await Ticket.first()
        return await logins._create("bob", hashed, "user", ticket)

    async def ticket_back() -> None:
        for model in (Login, Ticket):
            await model.all().delete()
        await User.exclude(uid=USER.uid).delete()
        await logins.invite("user", "x")

    async def reset_password() -> None:
        ticket = await Ticket.first()
        await logins._change_password(USER.uid, hashed, ticket)

    async def reset_back() -> None:
        for model in (Login, Ticket, SessionRow):
            await model.all().delete()
        await logins._issue("reset", uid=USER.uid, created_by="x")
        await sessions.begin(USER.uid, address=None, agent="a")

    async def role() -> None:
        await accounts.change(USER.uid, role="viewer")

    async def role_back() -> None:
        await User.filter(uid=USER.uid).update(is_viewer=False)
        await SessionRow.all().delete()
        await sessions.begin(USER.uid, address=None, agent="a")

    async def role_seen() -> Any:
        return (await User.get(uid=USER.uid)).is_viewer, await SessionRow.all().count()

    async def note() -> None:
        audit.note("a", None, target="t\0", details="\ud800")
        audit.note("b", None)
        await audit.flush()

    async def audit_back() -> None:
        audit._waiting.clear()
        await AuditRow.all().delete()

    async def channel() -> None:
        row = await ChannelRow.first()
        assert row is not None
        await store.update(row.id, {"label": "other", "apiKey": "o" * 20}, USER)

    async def channel_back() -> None:
        await ChannelRow.all().delete()
        await store.create(CHANNEL, USER)

    async def channel_seen() -> Any:
        return [(row.label, row.key_hint) for row in await ChannelRow.all()]

    async def share() -> None:
        await shares.grant("inn", USER, "g", True)

    async def share_seen() -> Any:
        return await ProjectShare.all().count(), shares.of("inn", USER)

    async def share_back() -> None:
        await shares.grant("inn", USER, "g", True)
        await shares.withdraw("inn", USER)

    async def unshare() -> None:
        await shares.withdraw("inn", USER)

    async def unshare_back() -> None:
        await shares.grant("inn", USER, "g", True)
        await shares.grant("inn", USER, "h", False)

    async def a_project() -> None:
        await no_files()
        await projects.create("inn", None, USER)

    async def a_file() -> None:
        await no_files()
        await files.write("user://folder/a.txt", b"a", USER)

    async def a_workflow() -> None:
        await a_project()
        made = await projects.create_workflow("inn", {"name": "w", "nodes": [], "edges": []}, USER)
        ids["workflow"] = made["id"]

    async def renamed() -> None:
        await projects.update_workflow("inn", ids["workflow"], {"name": "other", "nodes": [], "edges": []}, None, USER)

    async def a_chat() -> None:
        await a_project()
        ids["chat"] = (await chats.create("inn", USER)).id

    async def said() -> None:
        await chats.change("inn", ids["chat"], None, lambda tree: tree.add(chats.message(None, "user", "hello", None)), USER)

    async def heard() -> Any:
        return [node.content for node in (await chats.tree("inn", ids["chat"], USER)).nodes.values()]

    async def chats_there() -> Any:
        return [chat.title for chat in await chats.sessions("inn", USER)]

    async def codes() -> Any:
        return [(bool(login.totp), login.totp_confirmed) for login in await Login.all()]

    async def no_codes() -> None:
        await Login.all().delete()
        await Login.create(uid=USER.uid, password=hashed)

    async def codes_begun() -> None:
        await no_codes()
        ids["secret"] = (await logins.begin_totp(account))["secret"]

    async def codes_wanted() -> None:
        await codes_begun()
        await Login.all().update(totp_confirmed=True)

    async def confirmed() -> None:
        # A code counts once: each try has the user's next one.
        await logins.confirm_totp(USER.uid, pyotp.TOTP(ids["secret"]).now())

    ids: dict[str, str] = {}
    operations = Operations(files)
    chats, panels = ChatStore(files, projects), PanelStore(files, projects)
    at = LogicalPath.parse

    async def receive() -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"1" * 1000
            yield b"2" * 1000

        await operations.receive(at("user://"), "up.bin", chunks(), 10_000, USER)

    return {
        "user": rows(lambda: accounts.create("cy", "user"), User),
        "key": rows(lambda: accounts.make_key(USER.uid, "n", ["*"]), ServiceKey),
        "credential": rows(lambda: accounts.add_credential(USER.uid, "s", "c" * 20, None), Credential),
        "sight": rows(lambda: accounts.remember(UserContext("u9", "zoe", False)), User),
        "role": Way(role, role_seen, role_back),
        "session": rows(lambda: sessions.begin(USER.uid, address="a\0", agent="\ud800"), SessionRow),
        "registration": Way(with_ticket, lambda: count(User, Login, Ticket), ticket_back),
        "reset": Way(reset_password, lambda: count(Login, Ticket, SessionRow), reset_back),
        "password": rows(lambda: logins._change_password(account.uid, hashed), Login),
        "invitation": rows(lambda: logins.invite("user", "x"), Ticket),
        "audit": Way(note, lambda: count(AuditRow), audit_back),
        "new channel": rows(lambda: store.create(CHANNEL, USER), ChannelRow),
        "channel": Way(channel, channel_seen, channel_back),
        "model": rows(lambda: store.create_model({"modelId": "m"}, USER), ModelRow),
        "imported model": rows(lambda: llm.take_over_model("u1", {"modelId": "m", "displayName": "m"}), ModelRow),
        "settings": rows(lambda: get(Storage).put(PluginSettings, {"user_id": "u1", "plugin": "p"}, {"content": {}}), PluginSettings),
        "share": Way(share, share_seen, share_back),
        "unshare": Way(unshare, share_seen, unshare_back),
        "file": Way(lambda: files.write("user://d/a.txt", b"a", USER), all_files, no_files),
        "upload": Way(receive, all_files, no_files),
        "removed file": Way(lambda: operations.delete(at("user://folder/a.txt"), USER), all_files, a_file),
        "moved file": Way(lambda: operations.move(at("user://folder/a.txt"), at("user://b.txt"), USER), all_files, a_file),
        "project": Way(lambda: projects.create("inn", None, USER), all_files, no_files),
        "workflow": Way(lambda: projects.create_workflow("inn", {"name": "w", "nodes": [], "edges": []}, USER), all_files, a_project),
        "chat": Way(lambda: chats.create("inn", USER), all_files, a_project),
        "panel": Way(lambda: panels.create("inn", NewPanel("p", "P"), USER), a_panel, a_project),
        "changed project": Way(lambda: projects.update("inn", {"description": "d"}, None, USER), all_files, a_project),
        "removed project": Way(lambda: projects.recycle("inn", USER), all_files, a_project),
        "renamed workflow": Way(renamed, all_files, a_workflow),
        "removed workflow": Way(lambda: projects.recycle_workflow("inn", ids["workflow"], USER), all_files, a_workflow),
        "renamed chat": Way(lambda: chats.update("inn", ids["chat"], {"title": "t"}, USER), all_files, a_chat),
        "message": Way(said, heard, a_chat),
        "removed chat": Way(lambda: chats.delete("inn", ids["chat"], USER), chats_there, a_chat),
        "panel's file": Way(lambda: files.write("user://projects/inn/panel_data/p/a.txt", b"a", USER), all_files, a_project),
        "codes begun": Way(lambda: logins.begin_totp(account), codes, no_codes),
        "codes confirmed": Way(confirmed, codes, codes_begun),
        "codes ended": Way(lambda: logins.end_totp(USER.uid), codes, codes_wanted),
    }


NAMES = [
    "user",
    "key",
    "credential",
    "sight",
    "role",
    "session",
    "registration",
    "reset",
    "password",
    "invitation",
    "audit",
    "new channel",
    "channel",
    "model",
    "imported model",
    "settings",
    "share",
    "unshare",
    "file",
    "upload",
    "removed file",
    "moved file",
    "project",
    "workflow",
    "chat",
    "panel",
    "changed project",
    "removed project",
    "renamed workflow",
    "removed workflow",
    "renamed chat",
    "message",
    "removed chat",
    "panel's file",
    "codes begun",
    "codes confirmed",
    "codes ended",
]


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_cut_off_is_whole(app: Application, name: str) -> None:
    """A client that hangs up at any moment leaves all of it, or nothing."""
    every = await paths(app)
    assert list(every) == NAMES
    await walk(app, every[name], None)


OF_ROWS = [name for name in NAMES if NAMES.index(name) < NAMES.index("share") or name.startswith("codes")]
OF_FILES = [name for name in NAMES[NAMES.index("file") :] if name not in OF_ROWS]


@pytest.mark.parametrize("name", OF_ROWS)
async def test_what_fails_is_whole(app: Application, name: str) -> None:
    """A database that fails at any moment leaves all of it, or nothing."""
    await walk(app, (await paths(app))[name], FAULT)


@pytest.mark.parametrize("name", OF_FILES)
async def test_what_fails_on_the_disk_is_whole(app: Application, name: str) -> None:
    """A disk that fails after any step leaves all of it, or nothing."""
    await walk(app, (await paths(app))[name], FAULT, happened=True)


async def test_two_administrators_who_demote_each_other_leave_one(app: Application) -> None:
    """The second of them finds that the other is the last."""
    accounts = app.services.get(Accounts)
    both = [await accounts.create(name, "admin") for name in ("left", "right")]
    results = await asyncio.gather(*(accounts.change(one.uid, role="user") for one in both), return_exceptions=True)
    assert sum(isinstance(result, ApiError) and result.status == 409 for result in results) == 1
    assert await User.filter(uid__in=[one.uid for one in both], is_admin=True).count() == 1


async def test_a_user_whom_only_the_provider_knows_gets_a_row_at_first_sight(app: Application) -> None:
    """An ordinary one, under a free name, and only once."""
    accounts: Any = app.services.get(Accounts)
    await accounts.create("eve", "user")
    stranger = UserContext("elsewhere-1", "eve", True)
    await asyncio.gather(*(accounts.remember(stranger) for _ in range(3)))
    row = await User.get(uid="elsewhere-1")
    assert (row.username, row.is_admin) == ("eve 2", False)
    assert (await accounts.make_key(stranger.uid, None, ["*"]))["secret"]
