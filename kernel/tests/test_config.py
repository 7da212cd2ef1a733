"""Sections of the configuration: which are refused, and whose keys clash."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from tavernkeep.config import ConfigError, ConfigSection, ConfigSource, check_section, clashes
from tavernkeep.config.schema import config_schema
from tavernkeep.config.sections import CORE_SECTIONS


@attrs.frozen
class Inner:
    deep: int = 1


@attrs.frozen
class Good:
    one: str = ""
    two_words: list[str] = attrs.field(factory=list)
    inner: Inner = attrs.field(factory=Inner)


@attrs.frozen
class NoDefault:
    needed: str


@attrs.frozen
class DeepNoDefault:
    inner: NoDefault = attrs.field(factory=lambda: NoDefault(""))


@attrs.frozen
class NoSuchType:
    one: "NothingOfThatName" = None  # type: ignore[name-defined]  # noqa: F821


@attrs.frozen
class Refusing:
    port: int = attrs.field(default=-1, validator=attrs.validators.ge(0))


@attrs.frozen
class SameNames:
    two_words: int = 1
    twoWords: int = 1


@attrs.frozen
class Unreadable:
    at: type = int


class Plain:
    one = 1


@pytest.mark.parametrize(
    ("path", "class_", "error", "mention"),
    [
        ("demo", Plain, TypeError, "must be an attrs class"),
        ("demo", "Good", TypeError, "must be an attrs class, not 'Good'"),
        ("demo", NoDefault, ValueError, "'demo.needed' has no default"),
        ("demo", DeepNoDefault, ValueError, "'demo.inner.needed' has no default"),
        ("demo", NoSuchType, TypeError, "NothingOfThatName"),
        ("demo", Unreadable, TypeError, "cannot be made of its class: Unsupported type"),
        ("demo", Refusing, ValueError, "'port' must be >= 0"),
        ("demo", SameNames, ValueError, "twice"),
        ("", Good, ValueError, "is no path"),
        ("a..b", Good, ValueError, "is no path"),
        (5, Good, ValueError, "5 is no path"),
    ],
)
def test_a_section_that_cannot_be_one_is_refused(path: Any, class_: Any, error: type[Exception], mention: str) -> None:
    """A class that is no attrs class, a key without a default, a path that is none: each is said, with its key."""
    with pytest.raises(error, match=mention):
        check_section(ConfigSection(path, class_))


def test_the_kernels_own_sections_are_good() -> None:
    """Each passes the check that those of plugins go through."""
    for section in CORE_SECTIONS:
        check_section(section)


def test_several_classes_may_share_a_section_but_no_key() -> None:
    """What clashes is a key of the same name however it is spelt, a key below a key, and a class that is a section already."""
    ours = ConfigSection("demo", Good)
    assert not clashes(ConfigSection("demo", Inner), ours)
    assert clashes(ConfigSection("demo.inner", Inner), ours)
    assert clashes(ConfigSection("demo", attrs.make_class("Other", {"twoWords": attrs.field(default=1, type=int)})), ours) == [
        "demo.twoWords"
    ]
    assert clashes(ConfigSection("demo.one", Inner), ours) == ["demo.one.deep"]
    assert clashes(ConfigSection("elsewhere", Good), ours) == ["elsewhere"]


@attrs.frozen
class Shared:
    two_more: int = 2
    password: str | None = attrs.field(default=None, metadata={"secret": True})


SHARED = (ConfigSection("demo", Good), ConfigSection("demo", Shared), ConfigSection("demo.deeper", Inner))


def source(values: dict[str, Any], **environment: str) -> ConfigSource:
    return ConfigSource(Path("/nowhere/config.json"), values, environment)


def test_who_shares_a_section_reads_its_own_keys() -> None:
    """Each class finds its keys in the file or in the environment; what none of them knows is told with the nearest that one does."""
    values = {"demo": {"one": "x", "twoMore": 7, "deeper": {"deep": 3}, "twoMoer": 1}}
    config = source(values, TAVERNKEEP_DEMO__TWO_WORDS="a,b", TAVERNKEEP_DEMO__PASSWORD="hidden").resolve(SHARED)
    assert config.section(Good) == Good(one="x", two_words=["a", "b"])
    assert config.section(Shared) == Shared(7, "hidden")
    assert config.section(Inner) == Inner(3)
    assert list(map(str, config.warnings)) == ["demo.twoMoer: unknown key; did you mean 'twoMore'?"]
    assert config.to_wire()["demo"] == {
        "one": "x",
        "twoWords": ["a", "b"],
        "inner": {"deep": 1},
        "twoMore": 7,
        "password": "***",
        "deeper": {"deep": 3},
    }
    assert config.secrets() == {"hidden"}
    assert set(config_schema(SHARED)["properties"]["demo"]["properties"]) == set(config.to_wire()["demo"])


def test_secrets_are_hidden_however_deep_they_stand() -> None:
    """In classes within lists and within mappings too."""

    @attrs.frozen
    class Several:
        listed: list[Shared] = attrs.field(factory=lambda: [Shared(1, "one")])
        by_name: dict[str, Shared] = attrs.field(factory=lambda: {"a_name": Shared(2, "two")})

    config = source({}).resolve([ConfigSection("several", Several)])
    assert config.secrets() == {"one", "two"}
    assert config.to_wire()["several"] == {
        "listed": [{"twoMore": 1, "password": "***"}],
        "byName": {"a_name": {"twoMore": 2, "password": "***"}},
    }


@pytest.mark.parametrize("sections", [SHARED, SHARED[2:]])
def test_a_section_that_is_no_object_is_told_once(sections: tuple[ConfigSection, ...]) -> None:
    """However many share it, and also where only one deeper in it has keys."""
    try:
        problems = [str(problem) for problem in source({"demo": 5}).resolve(sections).warnings]
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
    assert problems == ["demo: expected an object, got an integer"]


def test_what_commands_read_of_the_environment_is_no_key() -> None:
    """The configuration file, an API key and a new password are not taken for misspelt keys, as any other name is."""
    given = {f"TAVERNKEEP_{name}": "x" for name in ("CONFIG", "KEY", "NEW_PASSWORD", "KEYS")}
    assert [str(problem) for problem in source({}, **given).resolve(SHARED).warnings] == ["TAVERNKEEP_KEYS: names no configuration key"]
