"""Sections of the configuration: which are refused, and whose keys clash."""

from typing import Any

import attrs
import pytest

from tavernkeep.config import CORE_SECTIONS, ConfigSection, check_section, clashes


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
    for path, class_ in CORE_SECTIONS.items():
        check_section(ConfigSection(path, class_))


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
