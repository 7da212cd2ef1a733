"""Where the configuration comes from: `config.json`, then the environment, then files that hold secrets.

Everything that is wrong is reported at once, with its path and what was expected.
"""

import difflib
import json
import os
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import attrs

from tavernkeep.config.sections import CORE_SECTIONS, PLUGIN_PATHS, ConfigError, ConfigSection, PathsConfig, normal
from tavernkeep.config.shown import Configuration, beside
from tavernkeep.wire import Invalid, Problem, describe, loads, structure

T = TypeVar("T")

ENV_PREFIX: Final = "TAVERNKEEP_"


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

    def again(self) -> "ConfigSource":
        """The same, as the file is now.

        Raises:
            ConfigError: As `read`.
        """
        return self.read(self.file, self._environment)

    def early(self, path: str, type_: type[T]) -> T:
        """One section or key, before all plugins have said what theirs are.

        Where it is wrong it is at its defaults here: `resolve` reports that, with everything else. What a mistake in its class raises comes
        through.
        """
        values = json.loads(json.dumps(self._values))
        sections = [*CORE_SECTIONS, ConfigSection(path, type_)] if attrs.has(type_) else CORE_SECTIONS
        self._apply_environment(values, sections, [])
        try:
            return structure(_lookup(values, path) or {}, type_, path)
        except Invalid:
            return type_()

    def plugin_folders(self) -> list[Path]:
        """Where plugin folders are looked for: `customPluginsPaths`, and `plugins` in the data folder where there is one."""
        named = [beside(self.file, path) for path in self.early(PLUGIN_PATHS, list[str])]
        dropped_in = beside(self.file, self.early("paths", PathsConfig).data) / "plugins"
        return [*named, dropped_in] if dropped_in.is_dir() else named

    def resolve(self, plugin_sections: Iterable[ConfigSection]) -> Configuration:
        """Make every section, the kernel's and the plugins'.

        Raises:
            ConfigError: With everything that is wrong in any of them.
        """
        sections = (*CORE_SECTIONS, *plugin_sections)
        problems: list[Problem] = []
        values = json.loads(json.dumps(self._values))  # a copy: the environment is written over it
        warnings = self._apply_environment(values, sections, problems)
        made: list[tuple[str, Any]] = []
        for section in sections:
            found = _lookup(values, section.path)
            try:
                made.append((section.path, structure({} if found is None else found, section.type, section.path)))
            except Invalid as error:
                problems += [problem for problem in error.problems if problem not in problems]  # who share a section both say what it is
        try:
            plugin_paths = structure(values.pop(PLUGIN_PATHS, []), list[str], PLUGIN_PATHS)
        except Invalid as error:
            problems += error.problems
        values.pop("$schema", None)
        warnings += [problem for problem in _strange_keys(values, "", _tree(sections)) if problem not in problems]
        if problems:
            raise ConfigError(str(self.file), problems + warnings)
        return Configuration(self.file, tuple(beside(self.file, path) for path in plugin_paths), tuple(warnings), tuple(made))

    def _apply_environment(self, values: dict[str, Any], sections: Iterable[ConfigSection], problems: list[Problem]) -> list[Problem]:
        known: dict[str, tuple[str, Any]] = {normal(PLUGIN_PATHS): (PLUGIN_PATHS, list[str])}
        for section in sections:
            known.update((normal(path), (path, type_)) for path, type_ in section.leaves())
        warnings = []
        for variable, text in sorted(self._environment.items()):
            # The others of its names are what commands read.
            if not variable.startswith(ENV_PREFIX) or variable.removeprefix(ENV_PREFIX) in ("CONFIG", "KEY", "NEW_PASSWORD"):
                continue
            name = variable.removeprefix(ENV_PREFIX)
            entry = known.get(normal(name.replace("__", ".")))
            if entry is None and name.endswith("_FILE"):
                entry = known.get(normal(name.removesuffix("_FILE").replace("__", ".")))
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


def _located(data: bytes, problems: list[Problem]) -> list[Problem]:
    """The standard library's decoder knows line and column, so a broken file is read once more to say where."""
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        return [Problem("", f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}")]
    except (UnicodeError, RecursionError):
        pass
    return problems


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


def _tree(sections: Iterable[ConfigSection]) -> dict[str, Any]:
    """The names that are known: a section's are in a mapping of their own, that of a key is `None`."""
    tree: dict[str, Any] = {}
    for section in sections:
        for path, _ in section.leaves():
            *parents, last = path.split(".")
            holder = tree
            for name in parents:
                holder = holder.setdefault(name, {})
            holder[last] = None
    return tree


def _strange_keys(values: Mapping[str, Any], prefix: str, known: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield Problem(prefix + key, f"unknown key{hint}")
        elif isinstance(value, dict) and known[key] is not None:
            yield from _strange_keys(value, f"{prefix}{key}.", known[key])
        elif value is not None and known[key] is not None:
            yield Problem(prefix + key, f"expected an object, got {describe(value)}")
