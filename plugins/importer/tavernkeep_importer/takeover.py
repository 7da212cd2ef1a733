"""Taking over another installation: its configuration, its database, its files."""

import asyncio
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Set
from pathlib import Path
from typing import Any, Final

import attrs
import click

from tavernkeep.app import Application
from tavernkeep.config import ConfigError, ConfigSource, write_config
from tavernkeep.config.sections import CORE_SECTIONS
from tavernkeep.contracts.app import Role
from tavernkeep.wire import Invalid
from tavernkeep_accounts.contracts import DEFAULT_UID, Account, Accounts, ForeignKey
from tavernkeep_importer.ciphers import looks_sealed, open_sealed
from tavernkeep_importer.database import ForeignData, Row, decoded, first, moment, read_database, text
from tavernkeep_importer.folders import copy_folder
from tavernkeep_importer.installation import Installation
from tavernkeep_llm_config.contracts import LlmImport

_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_NOBODYS: Final = "whose user is not there, left out"
_CHANNEL_FIELDS: Final = {
    "providerid": "providerId",
    "adaptertype": "adapterType",
    "modellistendpoint": "modelListEndpoint",
}
_MODEL_FIELDS: Final = {
    "modeltype": "modelType",
    "groupname": "groupName",
    "icon": "icon",
    "defaultchannelid": "defaultChannelId",
    "tokenizerid": "tokenizerId",
}

_SECTIONS: Final = ("server", "execution", "userManagement", "security")  # of the configuration, that are there as here
# These are not taken over: its secrets are sealed with a key of its own.
_NOT_TAKEN: Final = {"userManagement.accessPasswordHash", "security.masterEncryptionKeyValue"}


@attrs.define
class Takeover:
    """One of them. It says each thing that it does, or would do."""

    app: Application
    source: Installation
    dry_run: bool

    async def run(self) -> None:
        """Do it all."""
        self._config()
        if self.dry_run:
            await self._database(None, None)
            await self._files()
            return
        await self.app.start(Role.NONE, alone=True)
        try:
            accounts = self.app.services.get(Accounts)
            await accounts.default()
            await self._database(accounts, self.app.services.find(LlmImport))
            await self._files()
        finally:
            await self.app.stop()

    def _say(self, what: str, line: str) -> None:
        click.echo(f"  {what:14} {line}")

    # Configuration

    def _config(self) -> None:
        file = self.app.config.file
        mine = json.loads(file.read_bytes()) if file.exists() else {}  # it has been read before, so it is what it should be
        taken: list[str] = []
        known = {path for section in (*CORE_SECTIONS, *self.app.sections) for path, _ in section.leaves()}
        theirs = {name: self.source.config[name] for name in _SECTIONS if name in self.source.config}
        merged = _merge(mine, theirs, known - _NOT_TAKEN, "", taken)
        try:
            ConfigSource(file, merged, {}).resolve(self.app.sections)
        except ConfigError as error:
            self._say("configuration", f"left out: {'; '.join(map(str, error.problems))}")
            return
        self._say("configuration", ", ".join(taken) or "nothing new")
        if taken and not self.dry_run:
            write_config(file, merged)

    # Database

    async def _database(self, accounts: Accounts | None, llm: LlmImport | None) -> None:
        if not self.source.databases:
            self._say("database", "none found (name it with --database)")
        for path in self.source.databases:
            try:
                data = read_database(path)
            except sqlite3.Error as error:
                self._say("database", f"{path} cannot be read: {error}")
                continue
            if any(data.rows.values()) or len(self.source.databases) == 1:
                await self._take(path, data, accounts, llm)

    async def _take(self, path: Path, data: ForeignData, accounts: Accounts | None, llm: LlmImport | None) -> None:
        kinds = "; ".join(f"{kind} from {', '.join(tables)}" for kind, tables in data.tables.items() if tables)
        self._say("database", f"{path}: {kinds or 'no table that is known'}")
        if data.left_out:
            self._say("", f"left out: {', '.join(data.left_out)}")
        steps: tuple[tuple[str, Callable[[Row], Awaitable[str]]], ...] = (
            ("users", lambda row: self._user(row, accounts)),
            ("keys", lambda row: self._key(row, accounts)),
            ("credentials", lambda row: self._credential(row, accounts)),
            ("channels", lambda row: self._channel(row, llm)),
            ("models", lambda row: self._model(row, llm)),
        )
        for kind, take in steps:
            outcomes = Counter([await take(row) for row in data.rows[kind]])
            if outcomes:
                self._say(kind, ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))

    def _done(self, made: bool) -> str:
        return "taken over" if made else "here already"

    async def _user(self, row: Row, accounts: Accounts | None) -> str:
        uid, name = text(row, "uid", "id"), text(row, "username")
        if not uid or not name:
            return "without an id or a name, left out"
        account = Account(uid, name, bool(first(row, "isadmin", "admin")) or uid == DEFAULT_UID, moment(first(row, "createdat")))
        return self._done(await accounts.take_over(account)) if accounts else "found"

    async def _key(self, row: Row, accounts: Accounts | None) -> str:
        digest = text(row, "hashedkey", "keyhash", "hash", "digest") or ""
        if not _SHA256.fullmatch(digest):
            return "hashed in another way than SHA-256, left out (make new ones)"
        scopes = decoded(first(row, "scopes"))
        if accounts is not None and await accounts.get(_owner(row)) is None:
            return _NOBODYS
        key = ForeignKey(
            text(row, "id") or digest[:36],
            text(row, "name"),
            (text(row, "prefix", "keyprefix") or "")[:16],
            digest.lower(),
            [str(scope) for scope in scopes] if isinstance(scopes, list) else ["*"],
            moment(first(row, "createdat")),
        )
        return self._done(await accounts.take_over_key(_owner(row), key)) if accounts else "found"

    async def _credential(self, row: Row, accounts: Accounts | None) -> str:
        secret = self._opened(text(row, "encryptedcredential", "credential", "encryptedvalue") or "")
        id_ = text(row, "id")
        if secret is None or id_ is None:
            return "that the key does not open, left out"
        if accounts is None:
            return "found"
        if await accounts.get(_owner(row)) is None:
            return _NOBODYS
        service, shown = text(row, "servicename", "service") or "", text(row, "displayname")
        return self._done(await accounts.take_over_credential(_owner(row), id_, service, shown, secret))

    async def _channel(self, row: Row, llm: LlmImport | None) -> str:
        key = self._opened(text(row, "apikey", "encryptedapikey") or "")
        id_ = text(row, "id")
        if key is None or id_ is None:
            return "whose key cannot be opened, left out"
        models, headers = decoded(first(row, "supportedmodels")), decoded(first(row, "customheaders"))
        channel = {
            "label": text(row, "label", "name") or "",
            "baseUrl": text(row, "baseurl") or "",
            "apiKey": key,
            "supportedModels": [str(model) for model in models] if isinstance(models, list) else [],
            "customHeaders": {str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {},
            "disabled": bool(first(row, "disabled")),
            **{field: text(row, column) for column, field in _CHANNEL_FIELDS.items() if text(row, column)},
        }
        return await self._checked(lambda: llm.take_over_channel(_owner(row), id_, channel)) if llm else "found"

    async def _model(self, row: Row, llm: LlmImport | None) -> str:
        capabilities, tags = decoded(first(row, "capabilities")), decoded(first(row, "tags"))
        model = {
            "modelId": text(row, "modelid") or "",
            "displayName": text(row, "displayname") or "",
            "capabilities": [str(entry) for entry in capabilities] if isinstance(capabilities, list) else [],
            **({"tags": [str(tag) for tag in tags]} if isinstance(tags, list) else {}),
            **{field: text(row, column) for column, field in _MODEL_FIELDS.items() if text(row, column)},
        }
        return await self._checked(lambda: llm.take_over_model(_owner(row), model)) if llm else "found"

    async def _checked(self, take: Callable[[], Awaitable[bool]]) -> str:
        try:
            return self._done(await take())
        except Invalid as invalid:
            return f"left out ({invalid})"

    def _opened(self, value: str) -> str | None:
        if not looks_sealed(value):
            return value
        return open_sealed(value, self.source.master_key) if self.source.master_key else None

    # Files

    async def _files(self) -> None:
        folders = [(self.source.user_data, self.app.config.data / "users", "users' files", "--user-data")]
        folders.append((self.source.library, self.app.config.folder("library"), "library", "--library"))
        for source, target, what, option in folders:
            if source is None:
                self._say(what, f"no folder found (name it with {option})")
                continue
            copied = await asyncio.to_thread(copy_folder, source, target, dry_run=self.dry_run)
            self._say(what, f"{source}: {copied.new} new, {copied.same} here already")
            for name in copied.different:
                self._say("", f"{name} is here with another content, left as it is")
            for name in copied.unsafe:
                self._say("", f"{name} has no safe name, or is a link, left out")


def _owner(row: Row) -> str:
    return text(row, "userid", "useruid", "uid") or DEFAULT_UID


def _merge(mine: Any, theirs: Mapping[str, Any], known: Set[str], prefix: str, taken: list[str]) -> Any:
    """What is set there, is known here and is not set here, added; `taken` gets the keys."""
    if not isinstance(mine, dict):
        return mine
    merged = dict(mine)
    for key, value in theirs.items():
        path = prefix + key
        if path in known and value is not None and key not in mine:
            merged[key] = value
            taken.append(path)
        elif path not in known and isinstance(value, dict) and (inner := _merge(mine.get(key, {}), value, known, f"{path}.", taken)):
            merged[key] = inner
    return merged
