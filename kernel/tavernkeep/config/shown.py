"""The configuration as it is read by the rest: section by section, its folders, and shown without its secrets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs

from tavernkeep.config.sections import PLUGIN_PATHS, AuthConfig, ConfigError, PathsConfig, UserManagementConfig
from tavernkeep.wire import Problem, unstructure, wire_name

T = TypeVar("T")


@attrs.frozen
class Configuration:
    """The configuration, read and checked.

    Attributes:
        file: The file that it came from, whether it exists or not.
        custom_plugins_paths: Folders with plugin folders in them.
        warnings: Keys that nobody knows.
    """

    file: Path
    custom_plugins_paths: tuple[Path, ...]
    warnings: tuple[Problem, ...]
    _sections: tuple[tuple[str, Any], ...]

    def section(self, type_: type[T]) -> T:
        """The section of a class, each key at its configured value or its default."""
        for _, section in self._sections:
            if type(section) is type_:
                return section
        raise LookupError(f"no plugin registered a configuration section of type {type_.__qualname__}")

    @property
    def data(self) -> Path:
        """The folder of everything that the server writes."""
        return beside(self.file, self.section(PathsConfig).data)

    def folder(self, name: Literal["public", "library", "logs"]) -> Path:
        """One of the other folders."""
        configured = getattr(self.section(PathsConfig), name)
        return beside(self.file, configured) if configured else self.data / name

    @property
    def auth_provider(self) -> str:
        """The name of the auth provider to use."""
        multi = self.section(UserManagementConfig).multi_user_mode
        return self.section(AuthConfig).provider or ("multiuser" if multi else "local")

    def secrets(self) -> set[str]:
        """Every secret that the configuration holds."""
        return {secret for _, section in self._sections for secret in _secrets(section)}

    def to_wire(self) -> dict[str, Any]:
        """Every key with its value; secrets are shown as `***`."""
        shown: dict[str, Any] = {PLUGIN_PATHS: [str(path) for path in self.custom_plugins_paths]}
        for path, section in self._sections:
            holder = shown
            for key in path.split("."):
                holder = holder.setdefault(key, {})
            holder.update(_shown(section))
        return dict(sorted(shown.items()))


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


def _shown(value: Any) -> Any:
    if attrs.has(type(value)):
        return {wire_name(field): _shown_field(field, getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list) else unstructure(value)


def _shown_field(field: "attrs.Attribute[Any]", value: Any) -> Any:
    return "***" if field.metadata.get("secret") and value is not None else _shown(value)


def beside(file: Path, text: str) -> Path:
    """A path that a configuration file names: from where the file is, or from the user's home.

    Raises:
        ConfigError: It is none: it has a NUL in it, or names the home of nobody.
    """
    try:
        return (file.parent / Path(text).expanduser()).resolve()
    except (ValueError, RuntimeError) as error:
        raise ConfigError(str(file), [Problem("", f"{text!r} is no path: {error}")]) from None
