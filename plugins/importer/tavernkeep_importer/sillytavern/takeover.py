"""Taking over a user's folder of SillyTavern, file by file. Each is taken whole or not at all, and what is here already stays as it is."""

import asyncio
import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, Final

import attrs
import click

from tavernkeep import ApiError, UserContext
from tavernkeep.contracts.services import ServiceNotFound, Services
from tavernkeep.wire import Invalid, dumps
from tavernkeep_characters.contracts import CardError, Cards
from tavernkeep_chat.contracts import LONGEST, ChatError, Chats, ChatSource
from tavernkeep_files.contracts import Files, LogicalPath, PathError
from tavernkeep_importer.sillytavern.folder import Foreign, NotTaken, content, walk
from tavernkeep_importer.sillytavern.kinds import CARDS, LEFT_OUT, LIBRARY, FileKind, check, json_in, kind_of
from tavernkeep_importer.sillytavern.settings import read_settings
from tavernkeep_llm_config.contracts import LlmImport
from tavernkeep_projects.contracts import Projects

NEW, SAME, DIFFERENT, OUT = "taken over", "here already", "here with another content, left as it is", "left out"
_CHATS: Final = ("chats", "group chats")
_NO_ROOM: Final = 507


@attrs.define
class SillyTavernTakeover:
    """One of them. It says what becomes of each file, or would."""

    services: Services
    source: Path
    user: UserContext
    project: str
    with_keys: bool
    dry_run: bool
    _counts: Counter[str] = attrs.field(factory=Counter)
    _taken: dict[str, str] = attrs.field(factory=dict)  # by the place in one case, what has it
    _places: dict[str, str] = attrs.field(factory=dict)  # by what it is there, where it is here
    _settings: dict[str, str] = attrs.field(factory=dict)  # of each chat, which answers are asked for with
    _groups: dict[str, str] = attrs.field(factory=dict)  # by the id of a chat, the name of its group

    async def run(self) -> None:
        """Do it all.

        Raises:
            click.ClickException: There is no room, a plugin is not there, or the like; what has been taken over is whole.
        """
        try:
            self._need(Cards, Chats, Files, Projects)
        except ServiceNotFound as error:
            raise click.ClickException(str(error)) from None
        found = await asyncio.to_thread(lambda: sorted(walk(self.source), key=lambda one: one.parts[0] in _CHATS))  # they name the others
        self._groups = await asyncio.to_thread(_groups, found)
        silent: Counter[str] = Counter()
        for one in found:
            reason = LEFT_OUT.get(one.parts[0])
            if reason is not None and one.problem is None:
                silent[one.parts[0]] += 1
                continue
            await self._one(one)
        for name, count in sorted(silent.items()):
            if name != "secrets.json" or not self.with_keys:  # else it is told of with the settings
                self._say(name, OUT, f"{LEFT_OUT[name]} ({count} file{'s' if count > 1 else ''})")
        click.echo(f"  in all: {', '.join(f'{count} {state}' for state, count in sorted(self._counts.items())) or 'nothing'}")

    def _need(self, *contracts: type[Any]) -> None:
        for contract in contracts:
            self.services.get(contract)

    async def _one(self, one: Foreign) -> None:
        name = "/".join(one.parts)
        try:
            if one.problem is not None:
                raise NotTaken(one.problem)
            if one.parts[0] in _CHATS and len(one.parts) > 1:
                await self._chat(one, name)
            elif one.parts == ("settings.json",):
                await self._take_settings(one, name)
            elif kind := kind_of(one.parts):
                await self._file(one, name, kind)
            else:
                raise NotTaken("nothing here is known to do with it")
        except NotTaken as error:
            self._say(name, OUT, str(error))
        except ApiError as error:
            if error.status == _NO_ROOM or error.status >= 500:
                raise click.ClickException(
                    f"{_shown(name)}: {error}; what has been taken over is whole, so that it can be run again"
                ) from None
            self._say(name, OUT, str(error))

    def _say(self, name: str, state: str, more: str = "") -> None:
        state = f"would be {state}" if self.dry_run and state == NEW else state
        self._counts[state] += 1
        click.echo(_shown(f"  {name}: {state}{f', {more}' if more else ''}"))

    # Files

    async def _file(self, one: Foreign, name: str, kind: FileKind) -> None:
        data = await asyncio.to_thread(content, one.path)
        check(kind.form, data)
        if kind.form == "card":
            try:
                self.services.get(Cards).character(data)
            except CardError as error:
                raise NotTaken(f"is no character card: {error}") from None
        await self._keep(name, f"{LIBRARY}/{kind.folder}", one.parts[1:], data)

    async def _keep(self, name: str, folder: str, parts: tuple[str, ...], data: bytes) -> None:
        files = self.services.get(Files)
        path = LogicalPath.parse(folder)
        for part in parts:
            path /= _name(files, part)
        path = self._free(path, name)
        self._places[name] = str(path)
        try:
            there = await files.read(path, self.user)
        except PathError as error:
            if error.status != 404:
                raise
            if not self.dry_run:
                await files.write(path, data, self.user)
            self._say(name, NEW, f"as {path}")
            return
        self._say(name, SAME if there == data else DIFFERENT, f"as {path}")

    def _free(self, path: LogicalPath, name: str) -> LogicalPath:
        """A place that no other file of the folder has been given, also where case makes no difference."""
        chosen, number = path, 1
        while self._taken.setdefault(_folded(str(chosen)), name) != name:
            number += 1
            stem, suffix = PurePath(path.name).stem, PurePath(path.name).suffix
            chosen = path.parent / f"{stem} ({number}){suffix}"
        return chosen

    # Chats

    async def _chat(self, one: Foreign, name: str) -> None:
        if one.path.suffix.lower() != ".jsonl":
            raise NotTaken("is no chat: its name does not end in .jsonl")
        data = await asyncio.to_thread(content, one.path, LONGEST)
        chats, stem = self.services.get(Chats), one.path.stem
        group = self._groups.get(stem) if one.parts[0] == "group chats" else None
        with_ = group or (one.parts[1] if len(one.parts) > 2 else None)
        try:
            chat = await asyncio.to_thread(chats.read, data, _clean(f"{group}: {stem}" if group else stem))
        except ChatError as error:
            raise NotTaken(f"is no chat: {error}") from None
        id_ = f"sillytavern-{hashlib.sha256(os.fsencode(name)).hexdigest()[:24]}"
        source = ChatSource(_clean(name), hashlib.sha256(data).hexdigest())
        state = await chats.known(self._project_id, id_, source, self.user)
        if state == "new" and not self.dry_run:
            await self._make_project()
            fields = {"tags": [_clean(with_)] if with_ else None, "settings": self._settings_of(one, with_) or None}
            await chats.take_over(self._project_id, id_, chat, source, fields, self.user)
        more = f"as a chat of the project {self._project_id} with {chat.messages} messages and swipes"
        self._say(name, {"new": NEW, "same": SAME, "different": DIFFERENT}[state], more)
        for problem in chat.problems:
            click.echo(_shown(f"    {problem}"))

    def _settings_of(self, one: Foreign, character: str | None) -> dict[str, str]:
        """What a chat's answers are asked for with: its character, and what is active in SillyTavern."""
        settings = dict(self._settings)
        if one.parts[0] == "chats" and character is not None:
            for suffix in CARDS:
                for ending in (suffix, suffix.upper()):
                    if place := self._places.get(f"characters/{character}{ending}"):
                        settings.setdefault("character", place)
        if "worldBook" in settings:
            settings["worldBook"] = self._places.get(f"worlds/{settings['worldBook']}.json", "")
        return {key: value for key, value in settings.items() if value}

    @property
    def _project_id(self) -> str:
        return self.services.get(Files).safe_name(self.project)

    async def _make_project(self) -> None:
        projects = self.services.get(Projects)
        try:
            await projects.metadata(self._project_id, self.user)
        except ApiError as error:
            if error.status != 404:
                raise
            await projects.create(self.project, "Chats from SillyTavern", self.user)

    # Settings

    async def _take_settings(self, one: Foreign, name: str) -> None:
        value = json_in(await asyncio.to_thread(content, one.path))
        if not isinstance(value, dict):
            raise NotTaken("holds no object")
        settings = read_settings(value, self._secrets(), self.user.uid)
        self._settings = {"userName": settings.kept.get("userName", ""), "worldBook": next(iter(settings.kept.get("activeWorlds", ())), "")}
        if settings.kept:
            await self._keep(f"{name}, names and what is active", LIBRARY, ("settings.json",), dumps(settings.kept))
        if settings.scripts:
            await self._keep(f"{name}, regex scripts", f"{LIBRARY}/RegexRule", ("settings.json",), dumps(settings.scripts))
        llm = self.services.find(LlmImport)
        for id_, channel in settings.channels.items():
            with_key = "with its key" if channel["apiKey"] else "without a key"
            shown = f"as the LLM channel {channel['label']!r} {with_key}"
            try:
                made = self.dry_run or llm is None or await llm.take_over_channel(self.user.uid, id_, channel)
            except Invalid as invalid:
                self._say(f"{name}, a connection", OUT, str(invalid))
                continue
            self._say(f"{name}, a connection", OUT if llm is None else NEW if made else SAME, shown)
        for reason in settings.left_out:
            self._say(f"{name}, a part", OUT, reason)

    def _secrets(self) -> Mapping[str, Any]:
        if not self.with_keys:
            return {}
        try:
            secrets = json_in(content(self.source / "secrets.json"))
        except NotTaken as error:
            self._say("secrets.json", OUT, str(error))
            return {}
        return secrets if isinstance(secrets, dict) else {}


def _groups(found: list[Foreign]) -> dict[str, str]:
    """The names of the groups by the ids of their chats; what is no group is told of where it is looked at."""
    names: dict[str, str] = {}
    for one in found:
        if one.parts[0] == "groups" and one.problem is None and one.path.suffix == ".json":
            try:
                group = json_in(content(one.path))
            except NotTaken:
                continue
            if isinstance(group, dict) and isinstance(group.get("name"), str):
                chats = group.get("chats")
                for id_ in [group.get("chat_id"), group.get("id"), *(chats if isinstance(chats, list) else [])]:
                    if isinstance(id_, str):
                        names.setdefault(id_, group["name"])
    return names


def _name(files: Files, name: str) -> str:
    """A name that is one here: it, or what can be made of it, with its ending."""
    try:
        LogicalPath("user", "", ()) / name
    except (PathError, UnicodeError):
        stem, suffix = PurePath(name).stem, PurePath(name).suffix
        return files.safe_name(stem) + (files.safe_name(suffix) if suffix else "")
    return name


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _clean(text: str) -> str:
    """A name of a file as a text that can be kept: file systems take bytes that are no characters."""
    return text.encode("utf-8", "replace").decode()


def _shown(text: str) -> str:
    """A text from outside as it may stand in a terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
