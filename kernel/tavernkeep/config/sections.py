"""What a section of the configuration is, the kernel's own sections, and what is raised when something stands in the way of starting."""

import re
import typing
from collections.abc import Iterator
from typing import Any, Final, Literal

import attrs

from tavernkeep.wire import Invalid, Problem, structure, wire_name

PLUGIN_PATHS: Final = "customPluginsPaths"
_PATH: Final = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*", re.ASCII)


class StartError(Exception):
    """Something stands in the way of starting; the message is for the operator and says what to do."""


class FolderTaken(StartError):
    """Another process has the data folder for itself."""


class ConfigError(StartError):
    """The configuration is wrong; `problems` lists everything, `source` is the file."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        super().__init__(f"{source}: " + "; ".join(map(str, problems)))
        self.source = source
        self.problems = problems


@attrs.frozen
class ConfigSection:
    """A plugin's part of the configuration. Several plugins may share a section of the file, each with keys of its own.

    Attributes:
        path: Where it stands: `engine`, or `auth.local` within another section.
        type: An attrs class, every attribute with a default.
    """

    path: str
    type: type

    def leaves(self) -> Iterator[tuple[str, Any]]:
        """Every key of it, by its whole path, with its type; those of attrs classes within it one by one."""
        hints = typing.get_type_hints(self.type)
        for field in attrs.fields(self.type):
            path, type_ = f"{self.path}.{wire_name(field)}", hints[field.name]
            if attrs.has(type_):
                yield from ConfigSection(path, type_).leaves()
            elif field.init:
                yield path, type_


def check_section(section: ConfigSection) -> None:
    """See that a section can be read at all, and that it needs nothing in the file.

    Raises:
        TypeError: Its class is no attrs class, or a type in it cannot be found or is none that can be read.
        ValueError: Its path is none, it has one key twice, or a key without a default, or its defaults do not pass its own validators.
    """
    if not isinstance(section.path, str) or not _PATH.fullmatch(section.path) or _within(normal(section.path), normal(PLUGIN_PATHS)):
        raise ValueError(f"{section.path!r} is no path of a configuration section; it is names with dots between them, as `auth.local`")
    _check_class(section.path, section.type)
    paths = [normal(path) for path, _ in section.leaves()]
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise ValueError(f"the configuration section {section.path!r} has the key {twice[0]!r} twice")
    try:
        structure({}, section.type)
    except Invalid as error:
        raise ValueError(f"the defaults of the configuration section {section.path!r} are refused by its own class: {error}") from error
    except Exception as error:
        raise TypeError(f"the configuration section {section.path!r} cannot be made of its class: {error}") from error


def _check_class(path: str, class_: object) -> None:
    if not isinstance(class_, type) or not attrs.has(class_):
        raise TypeError(f"the configuration section {path!r} must be an attrs class, not {class_!r}")
    try:
        hints = typing.get_type_hints(class_)
    except Exception as error:
        raise TypeError(f"the configuration section {path!r} has a type that cannot be found: {error}") from error
    for field in attrs.fields(class_):
        key = f"{path}.{wire_name(field)}"
        if field.default is attrs.NOTHING:
            raise ValueError(f"the configuration key {key!r} has no default; every key needs one")
        if attrs.has(hints[field.name]):
            _check_class(key, hints[field.name])


def clashes(section: ConfigSection, other: ConfigSection) -> list[str]:
    """The keys of a section that are another one's too, or stand where it has a key. Several classes may share a section but no key.

    A class can be only one section: it is by its class that a section is asked for.
    """
    if section.type is other.type:
        return [section.path]
    theirs = [normal(path) for path, _ in other.leaves()]
    return [path for path, _ in section.leaves() if any(_within(normal(path), taken) for taken in theirs)]


def _within(path: str, taken: str) -> bool:
    return path == taken or path.startswith(f"{taken}.") or taken.startswith(f"{path}.")


def normal(path: str) -> str:
    """A key's path as an environment variable can say it: without capitals and underscores."""
    return path.replace("_", "").lower()


@attrs.frozen
class ExecutionConfig:
    """How workflows run.

    Attributes:
        provider: The scheduler to use.
    """

    provider: str = "embedded"


@attrs.frozen
class UserManagementConfig:
    """Who uses the server.

    Attributes:
        multi_user_mode: Chooses the multi-user auth provider, where `auth.provider` does not say otherwise.
    """

    multi_user_mode: bool = False


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
    url: str | None = attrs.field(default=None, metadata={"secret": True}, repr=False)


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


@attrs.frozen
class StopConfig:
    """How the server ends.

    Attributes:
        stop_wait_s: How long a stop may take, beside `engine.shutdownGraceS`, in seconds; then the process ends, whatever is left.
    """

    stop_wait_s: float = attrs.field(
        default=20.0, validator=[attrs.validators.ge(0), attrs.validators.le(86_400)], metadata={"wire_name": "stopWaitS"}
    )


CORE_SECTIONS: Final = (
    ConfigSection("execution", ExecutionConfig),
    ConfigSection("server", StopConfig),
    ConfigSection("userManagement", UserManagementConfig),
    ConfigSection("auth", AuthConfig),
    ConfigSection("storage", StorageConfig),
    ConfigSection("plugins", PluginsConfig),
    ConfigSection("paths", PathsConfig),
    ConfigSection("logging", LoggingConfig),
)
