"""The operator's configuration: `config.json`, then the environment, then files that hold secrets.

Each section is an attrs class; the kernel's own are here, plugins add theirs with `register_config`. Everything that is wrong is
reported at once, with its path and what was expected.
"""

import difflib
import json
import os
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import attrs

from tavernkeep.schema import Schema, SchemaBuilder
from tavernkeep.wire import Invalid, Problem, describe, loads, named, structure, unstructure, wire_name

T = TypeVar("T")

ENV_PREFIX: Final = "TAVERNKEEP_"
_SECRET: Final = {"secret": True}


class StartError(Exception):
    """Something stands in the way of starting; the message is for the operator and says what to do."""


class ConfigError(StartError):
    """The configuration is wrong; `problems` lists everything, `source` is the file."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        super().__init__(f"{source}: " + "; ".join(map(str, problems)))
        self.source = source
        self.problems = problems


@attrs.frozen
class BackendAddress:
    """Where the server listens.

    Attributes:
        host: Address to bind.
        port: TCP port.
    """

    host: str = "127.0.0.1"
    port: int = attrs.field(default=3233, validator=[attrs.validators.ge(0), attrs.validators.le(65535)])


@attrs.frozen
class FrontendAddress:
    """Where the browser application is served from: its origin may call this server.

    Attributes:
        port: Its port on localhost.
        base_url: Its address, when it is not on localhost.
    """

    port: int = 5573
    base_url: str | None = None


@attrs.frozen
class ServerConfig:
    """Addresses."""

    backend: BackendAddress = attrs.field(factory=BackendAddress)
    frontend: FrontendAddress = attrs.field(factory=FrontendAddress)


@attrs.frozen
class ExecutionConfig:
    """How workflows run.

    Attributes:
        max_concurrent_workflows: How many run at once; the others wait.
        log_dir: Where executions write their logs.
        provider: The scheduler to use.
    """

    max_concurrent_workflows: int = attrs.field(default=5, validator=attrs.validators.ge(1), metadata=named("max_concurrent_workflows"))
    log_dir: str | None = None
    provider: str = "embedded"


@attrs.frozen
class UserManagementConfig:
    """Who uses the server.

    Attributes:
        multi_user_mode: Chooses the multi-user auth provider, where `auth.provider` does not say otherwise.
        access_password_hash: Guards the single user's server.
    """

    multi_user_mode: bool = False
    access_password_hash: str | None = attrs.field(default=None, metadata=_SECRET, repr=False)


@attrs.frozen
class BackendPanelConfig:
    """The login of the server's own page."""

    enable_auth: bool = False
    username: str | None = None
    password: str | None = attrs.field(default=None, metadata=_SECRET, repr=False)


@attrs.frozen
class SecurityConfig:
    """What guards the server.

    Attributes:
        cors_allowed_origins: Origins of web pages, besides the front end's, that may call this server.
        panel_dev_origins: Origins of development servers of panels.
    """

    enable_credential_encryption: bool = True
    master_encryption_key_value: str | None = attrs.field(default=None, metadata=_SECRET, repr=False)
    cors_allowed_origins: list[str] = attrs.field(factory=list)
    panel_dev_origins: list[str] = attrs.field(factory=list)
    backend_panel: BackendPanelConfig = attrs.field(factory=BackendPanelConfig)


@attrs.frozen
class AuthConfig:
    """Who may do what.

    Attributes:
        provider: The auth provider; `local` or, with `userManagement.multiUserMode`, `multiuser` when it is not set.
    """

    provider: str | None = None


@attrs.frozen
class StorageConfig:
    """Where data is kept.

    Attributes:
        provider: The storage provider.
        url: The database; the provider's own default, in the data folder, when it is not set.
    """

    provider: str = "sqlite"
    url: str | None = attrs.field(default=None, metadata=_SECRET, repr=False)


@attrs.frozen
class PluginsConfig:
    """Which plugins run.

    Attributes:
        disabled: Plugins that are installed and must not run.
        required: Plugins without which the server must not start.
        only: When set, no other plugins run; for finding the one that breaks something.
    """

    disabled: list[str] = attrs.field(factory=list)
    required: list[str] = attrs.field(factory=list)
    only: list[str] | None = None


@attrs.frozen
class PathsConfig:
    """Folders; relative ones are relative to the config file's.

    Attributes:
        data: Everything that the server writes.
        public: Files that are served as they are; `public` in the data folder when not set.
        library: The shared library; `library` in the data folder when not set.
        logs: Log files; `logs` in the data folder when not set.
    """

    data: str = "data"
    public: str | None = None
    library: str | None = None
    logs: str | None = None


@attrs.frozen
class LoggingConfig:
    """What is logged, and how. Logs go to standard error.

    Attributes:
        level: The least level that is logged.
        format: `console` for people, `json` for machines; `auto` is console on a terminal.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


CORE_SECTIONS: Final[Mapping[str, type]] = {
    "server": ServerConfig,
    "execution": ExecutionConfig,
    "userManagement": UserManagementConfig,
    "security": SecurityConfig,
    "auth": AuthConfig,
    "storage": StorageConfig,
    "plugins": PluginsConfig,
    "paths": PathsConfig,
    "logging": LoggingConfig,
}
_PLUGIN_PATHS: Final = "customPluginsPaths"


@attrs.frozen
class ConfigSection:
    """A plugin's part of the configuration.

    Attributes:
        path: Where it stands: `engine`, or `auth.local` within another section.
        type: An attrs class, every attribute with a default.
    """

    path: str
    type: type


@attrs.frozen
class Config:
    """The configuration, read and checked.

    Attributes:
        file: The file that it came from, whether it exists or not.
        custom_plugins_paths: Folders with plugin folders in them.
        warnings: Keys that nobody knows.
    """

    file: Path
    custom_plugins_paths: tuple[Path, ...]
    warnings: tuple[Problem, ...]
    _sections: Mapping[str, Any]

    def section(self, type_: type[T]) -> T:
        """The section of a class, each key at its configured value or its default."""
        for section in self._sections.values():
            if type(section) is type_:
                return section
        raise LookupError(f"no plugin registered a configuration section of type {type_.__qualname__}")

    @property
    def data(self) -> Path:
        """The folder of everything that the server writes."""
        return self._path(self.section(PathsConfig).data)

    def folder(self, name: Literal["public", "library", "logs"]) -> Path:
        """One of the other folders."""
        configured = getattr(self.section(PathsConfig), name)
        return self._path(configured) if configured else self.data / name

    def _path(self, text: str) -> Path:
        return _beside(self.file, text)

    @property
    def auth_provider(self) -> str:
        """The name of the auth provider to use."""
        multi = self.section(UserManagementConfig).multi_user_mode
        return self.section(AuthConfig).provider or ("multiuser" if multi else "local")

    def secrets(self) -> set[str]:
        """Every secret that the configuration holds."""
        return {secret for section in self._sections.values() for secret in _secrets(section)}

    def to_wire(self) -> dict[str, Any]:
        """Every key with its value; secrets are shown as `***`."""
        shown: dict[str, Any] = {_PLUGIN_PATHS: [str(path) for path in self.custom_plugins_paths]}
        for path, section in sorted(self._sections.items()):
            *parents, last = path.split(".")
            holder = shown
            for key in parents:
                holder = holder.setdefault(key, {})
            holder.setdefault(last, {}).update(_shown(section))
        return shown


def _secrets(value: Any, *, secret: bool = False) -> Iterator[str]:
    if attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from _secrets(getattr(value, field.name), secret=field.metadata.get("secret", False))
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, secret=secret)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _secrets(item, secret=secret)
    elif secret and isinstance(value, str) and value:
        yield value


def _shown(section: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for field in attrs.fields(type(section)):
        value = getattr(section, field.name)
        if field.metadata.get("secret") and value is not None:
            value = "***"
        elif attrs.has(type(value)):
            value = _shown(value)
        elif isinstance(value, list) and any(attrs.has(type(item)) for item in value):
            value = [_shown(item) for item in value]
        else:
            value = unstructure(value)
        shown[wire_name(field)] = value
    return shown


@attrs.frozen
class ConfigSource:
    """What the file and the environment say, before anybody knows what it means."""

    file: Path
    _values: Mapping[str, Any]
    _environment: Mapping[str, str]

    @classmethod
    def read(cls, file: Path, environment: Mapping[str, str] = os.environ, *, must_exist: bool = False) -> "ConfigSource":
        """Read a config file; one that is not there counts as empty.

        Raises:
            ConfigError: It cannot be read, or is not a JSON object, or (with `must_exist`) is not there.
        """
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            if must_exist:
                raise ConfigError(str(file), [Problem("", "there is no such file")]) from None
            data = b"{}"
        except OSError as error:
            raise ConfigError(str(file), [Problem("", f"cannot be read: {error.strerror}")]) from None
        try:
            values = loads(data.removeprefix(b"\xef\xbb\xbf"))
        except Invalid as error:
            raise ConfigError(str(file), _located(data, error.problems)) from None
        if not isinstance(values, dict):
            raise ConfigError(str(file), [Problem("", f"expected an object, got {describe(values)}")])
        return cls(file.resolve(), values, environment)

    def early(self, path: str, type_: type[T]) -> T:
        """One of the kernel's sections or keys, before the plugins have said what theirs are.

        Where it is wrong it is at its defaults here: `resolve` reports that, with everything else.
        """
        values = json.loads(json.dumps(self._values))
        self._apply_environment(values, CORE_SECTIONS, [])
        try:
            return structure(_lookup(values, path) or {}, type_, path)
        except Invalid:
            return type_()

    def plugin_folders(self) -> list[Path]:
        """Where plugin folders are looked for: `customPluginsPaths`, and `plugins` in the data folder where there is one."""
        named = [_beside(self.file, path) for path in self.early(_PLUGIN_PATHS, list[str])]
        dropped_in = _beside(self.file, self.early("paths", PathsConfig).data) / "plugins"
        return [*named, dropped_in] if dropped_in.is_dir() else named

    def resolve(self, plugin_sections: Mapping[str, type]) -> Config:
        """Make every section, the kernel's and the plugins'.

        Raises:
            ConfigError: With everything that is wrong in any of them.
        """
        sections = {**CORE_SECTIONS, **plugin_sections}
        problems: list[Problem] = []
        values = json.loads(json.dumps(self._values))  # a copy: the environment is written over it
        warnings = self._apply_environment(values, sections, problems)
        made: dict[str, Any] = {}
        for path, type_ in sections.items():
            found = _lookup(values, path)
            try:
                made[path] = structure({} if found is None else found, type_, path)
            except Invalid as error:
                problems += error.problems
        warnings += [problem for problem in _unknown_keys(values, "", None, sections) if not problem.path.startswith(_PLUGIN_PATHS)]
        try:
            plugin_paths = structure(values.get(_PLUGIN_PATHS, []), list[str], _PLUGIN_PATHS)
        except Invalid as error:
            problems += error.problems
        if problems:
            raise ConfigError(str(self.file), problems + warnings)
        return Config(self.file, tuple(_beside(self.file, path) for path in plugin_paths), tuple(warnings), made)

    def _apply_environment(self, values: dict[str, Any], sections: Mapping[str, type], problems: list[Problem]) -> list[Problem]:
        known = {_normal(path): (path, type_) for path, type_ in _leaves(sections)} | {_normal(_PLUGIN_PATHS): (_PLUGIN_PATHS, list[str])}
        warnings = []
        for variable, text in sorted(self._environment.items()):
            if not variable.startswith(ENV_PREFIX) or variable == f"{ENV_PREFIX}CONFIG":
                continue
            name = variable.removeprefix(ENV_PREFIX)
            entry = known.get(_normal(name.replace("__", ".")))
            if entry is None and name.endswith("_FILE"):
                entry = known.get(_normal(name.removesuffix("_FILE").replace("__", ".")))
                if entry is not None:
                    try:
                        text = Path(text).read_text(encoding="utf-8").strip()
                    except (OSError, UnicodeError) as error:
                        problems.append(Problem(variable, f"cannot read the file it names: {error}"))
                        continue
            if entry is None:
                warnings.append(Problem(variable, "names no configuration key"))
                continue
            path, type_ = entry
            _store(values, path, _from_text(text, type_))
        return warnings


def write_config(file: Path, values: Mapping[str, Any]) -> None:
    """Write a configuration file whole, by way of a temporary one beside it.

    Raises:
        OSError: It cannot be written; it is as it was.
    """
    temporary = file.with_name(f".{file.name}.writing")
    temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(file)


def _beside(file: Path, text: str) -> Path:
    """A path that a configuration file names: from where the file is, or from the user's home."""
    return (file.parent / Path(text).expanduser()).resolve()


def _located(data: bytes, problems: list[Problem]) -> list[Problem]:
    """The standard library's decoder knows line and column, so a broken file is read once more to say where."""
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        return [Problem("", f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}")]
    except (UnicodeError, RecursionError):
        pass
    return problems


def _normal(path: str) -> str:
    return path.replace("_", "").lower()


def _lookup(values: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(values, dict):
            return None
        values = values.get(key)
    return values


def _store(values: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for key in parents:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            return  # the file has something else there, and that is reported
        values = inner
    values[last] = value


def _leaves(sections: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for path, type_ in sections.items():
        hints = typing.get_type_hints(type_)
        for field in attrs.fields(type_):
            inner = hints[field.name]
            if attrs.has(inner):
                yield from _leaves({f"{path}.{wire_name(field)}": inner})
            else:
                yield f"{path}.{wire_name(field)}", inner


def _from_text(text: str, type_: Any) -> Any:
    """A value from an environment variable: what the key's type wants, and the text itself where it does not fit."""
    options = typing.get_args(type_) if type(None) in typing.get_args(type_) else (type_,)
    if str in options or any(typing.get_origin(option) is Literal for option in options):
        return text
    if any(typing.get_origin(option) is list for option in options) and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unknown_keys(values: Any, path: str, type_: Any, sections: Mapping[str, type]) -> Iterator[Problem]:
    if not isinstance(values, dict):
        return
    prefix = f"{path}." if path else ""
    known: dict[str, Any] = {}
    if type_ is not None:
        hints = typing.get_type_hints(type_)
        known = {wire_name(field): hints[field.name] for field in attrs.fields(type_)}
    for section, section_type in sections.items():
        if section.startswith(prefix):
            head, _, rest = section.removeprefix(prefix).partition(".")
            known[head] = section_type if not rest else known.get(head)
    for key, value in values.items():
        here = prefix + key
        if key not in known:
            if not path and key in ("$schema", _PLUGIN_PATHS):
                continue
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield Problem(here, f"unknown key{hint}")
        elif attrs.has(known[key]) or known[key] is None:
            yield from _unknown_keys(value, here, known[key], sections)


def config_schema(plugin_sections: Mapping[str, type]) -> Schema:
    """The JSON Schema of the whole config file."""
    builder = SchemaBuilder()
    properties: Schema = {_PLUGIN_PATHS: builder.of(list[str]), "$schema": {"type": "string"}}
    for path, type_ in sorted({**CORE_SECTIONS, **plugin_sections}.items()):
        head, _, rest = path.partition(".")
        if rest:
            holder = properties.setdefault(head, {})
            holder.setdefault("properties", {})[rest] = builder.of(type_)
        else:
            properties[head] = builder.of(type_)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tavernkeep configuration",
        "type": "object",
        "properties": properties,
        "$defs": builder.definitions,
    }
