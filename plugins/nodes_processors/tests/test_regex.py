"""ApplyRegex: JavaScript's patterns, flags and replacements, with a time limit."""

from types import SimpleNamespace
from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep_nodes_processors.apply_regex import apply_regex
from tavernkeep_nodes_processors.regex_extract import regex_extract


def applied(text: str, *rules: Any, inline: Any = None) -> tuple[str, list[dict[str, Any]]]:
    warned: list[dict[str, Any]] = []
    context: Any = SimpleNamespace(cancelled=False, log=SimpleNamespace(warning=lambda *args, **kwargs: warned.append(kwargs)))
    inputs = {"inputText": text, "inlineRegexRules": inline, "regexRules": list(rules)}
    return apply_regex(inputs, context)["outputText"], warned


def rule(pattern: str, replacement: str, **more: Any) -> dict[str, Any]:
    return {"name": more.pop("name", pattern), "pattern": pattern, "replacement": replacement, **more}


@pytest.mark.parametrize(
    ("text", "made", "wanted"),
    [
        ("aaa", rule("a", "b", flags=""), "baa"),
        ("aaa", rule("a", "b", flags="g"), "bbb"),
        ("aaa", rule("a", "b"), "baa"),
        ("aaa", rule("a", "b", flags=None), "baa"),
        ("aaa", rule("a", "b", enabled="false"), "aaa"),
        ("in 1984", {"name": 1, "pattern": 1984, "replacement": 2.5}, "in 2.5"),
        ("aaa", rule("a", "b", enabled=0), "aaa"),
        ("<a><b>", rule("<(.)>", "[$&$1]$$", flags="g", trimStrings=["<", "b"]), "[a>a]$[>]$"),
        ("xay", rule("x(?<n>.)(z)?", "$<n>$2$1", trimStrings=["q"]), "aay"),
        ("Aa", rule("a", "x", flags="gi"), "xx"),
        ("a\nb", rule("^b", "x", flags="m"), "a\nx"),
        ("a\nb", rule("a.b", "x", flags="s"), "x"),
        ("aab", rule("a", "x", flags="y"), "xab"),
        ("baa", rule("a", "x", flags="y"), "baa"),
        ("🎭", rule("^.$", "x", flags="u"), "x"),
        ("🎭", rule("^.$", "x", flags=""), "🎭"),
        ("john smith", rule(r"(\w+) (\w+)", "$2, $1"), "smith, john"),
        ("john", rule(r"(?<first>\w+)", "<$<first>>"), "<john>"),
        ("ab", rule("b", "[$&]$$[$`]"), "a[b]$[a]"),
        ("ab", rule("a", "$'"), "bb"),
        ("ab", rule("(a)", "$1$2$01"), "a$2ab"),
        ("price: 5", rule(r"(?<=: )\d", "6"), "price: 6"),
        ("a\x00b", rule("\x00", "-"), "a-b"),
        ("x", rule("", "-", flags="g"), "-x-"),
        ("中文", rule(r"\p{Script=Han}", "h", flags="gu"), "hh"),
        ("abc", rule("b", "\\n"), "a\\nc"),
    ],
)
def test_javascript_semantics(text: str, made: dict[str, Any], wanted: str) -> None:
    """As `String.prototype.replace` does it; without `g` only the first match is replaced."""
    assert applied(text, made) == (wanted, [])


def test_rules_apply_in_turn_inline_first_and_each_name_once() -> None:
    """A name that was seen before is left out; a disabled rule does nothing, and still has its name."""
    inline = [rule("a", "b", name="one"), rule("x", "y", name="off", enabled=False)]
    text, warned = applied("ax", rule("b", "c", name="two"), rule("c", "d", name="one"), rule("x", "z", name="off"), inline=inline)
    assert text == "cx"
    assert len(warned) == 2


@pytest.mark.parametrize(
    "broken",
    [
        None,
        5,
        "a",
        [],
        {},
        {"name": "n"},
        rule("a", "x", trimStrings="x"),
        rule("a", "x", flags="q"),
        rule("a", "x", flags=5),
        rule("a", ["x"]),  # type: ignore[arg-type]
        rule("a", True),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_rule_is_skipped_with_a_warning(broken: Any) -> None:
    """And the others apply."""
    text, warned = applied("a", broken, rule("a", "b", name="good"))
    assert (text, len(warned)) == ("b", 1)


def test_a_pattern_that_is_none_fails_the_node() -> None:
    """And the rule is named."""
    with pytest.raises(NodeFailure, match="'broken' has a pattern that is none"):
        applied("a", rule("(", "x", name="broken"), rule("a", "b"))


def test_a_pattern_that_never_ends_is_ended() -> None:
    """Catastrophic backtracking fails the node with the rule's name."""
    with pytest.raises(NodeFailure, match="'slow' takes longer"):
        applied("a" * 50 + "b", rule("(a+)+$", "", name="slow"))


def test_a_text_that_grows_without_end_is_refused() -> None:
    """A rule that multiplies the text stops at the bound."""
    rules = [rule("a", "a" * 1000, name=str(number), flags="g") for number in range(5)]
    with pytest.raises(NodeFailure, match=r"longer than|too much memory"):
        applied("a", *rules)


def test_a_text_comes_out_whole() -> None:
    """U+0000 does not end it, and half an emoji is half an emoji."""
    assert applied("a\ud800b\x00d", rule("b", "c"))[0] == "a\ud800c\x00d"
    assert applied("🎭", rule("^.", "", flags=""))[0] == "\udfad"
    assert regex_extract("a\x00b", "a.b")["first"] == "a\x00b"


def test_regex_extract() -> None:
    """All matches or the first; groups; names."""
    assert regex_extract("a1 b2", r"\w(\d)") == {"matches": ["1", "2"], "first": "1", "named": {}, "found": True}
    assert regex_extract("a1 b2", r"(?<letter>\w)\d", "")["named"] == {"letter": "a"}
    assert regex_extract("x", r"\d") == {"matches": [], "first": "", "named": {}, "found": False}
    for pattern in ("(", "(a+)+$"):
        with pytest.raises(NodeFailure, match="the pattern"):
            regex_extract("a" * 50 + "b", pattern)
