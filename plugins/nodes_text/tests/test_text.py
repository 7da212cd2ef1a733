"""Templates, JSON, parts of texts."""

from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep.testing import RunNode
from tavernkeep_nodes_text.json_nodes import json_path
from tavernkeep_nodes_text.parts import case, join, split
from tavernkeep_nodes_text.template import render


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("Hello {{ name }}!\n", {"name": "Ada 🎭"}, "Hello Ada 🎭!\n"),
        ("{% for x in xs %}{{ loop.index }}:{{ x }} {% endfor %}", {"xs": ["a", "b"]}, "1:a 2:b "),
        ("{{ data.a[0].b | upper }}", {"data": {"a": [{"b": "x"}]}}, "X"),
        ("{{ 2 * 3 }} {{ 'ab' * 2 }} {{ 7 % 4 }} {{ 2 ** 10 }}", {}, "6 abab 3 1024"),
        ("{{ x | default('none') }}", {}, "none"),
        ("<b>{{ x }}</b>", {"x": "<i>"}, "<b><i></b>"),
    ],
)
def test_templates(template: str, values: dict[str, Any], text: str) -> None:
    """Jinja's, and nothing is escaped: it is text, not HTML."""
    assert render(template, values) == text


@pytest.mark.parametrize(
    ("template", "mention"),
    [
        ("{{ missing }}", "'missing' is undefined"),
        ("a\n{% for %}", "line 2"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ self.__init__.__globals__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__.os }}", "unsafe"),
        ("{{ x.append(1) }}", "undefined|unsafe"),
        ("{% set y = [1] %}{{ y.append(2) }}", "unsafe"),
        ("{% for i in range(1000000) %}{% endfor %}", "OverflowError|range"),
        ("{{ 'x' * 100000000 }}", "too long"),
        ("{{ [1] * 100000000 }}", "too long"),
        ("{{ 9 ** 99999999 }}", "too large"),
        ("{{ '%1000000000d' % 1 }}", "does not format"),
        ("{% include 'x' %}", "no loader"),
        ("{% import 'os' as os %}", "no loader"),
        ("{% for i in range(99999) %}{{ 'x' * 99 }}{% endfor %}", "more than"),
    ],
)
def test_what_a_template_must_not(template: str, mention: str) -> None:
    """It cannot get out of its sandbox, nor fill the memory."""
    with pytest.raises(NodeFailure, match=mention):
        render(template, {})


def test_a_template_that_never_ends_is_ended(run_node: RunNode) -> None:
    """Its process is killed at the time limit, and the next template renders."""
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    ran = run_node("text:Template", template=endless, config={"executionPolicy": {"timeoutS": 1}}, check=False)
    assert "took longer than 1 s" in ran.errors[0]["message"]
    assert run_node("text:Template", template="{{ who }}", who="still here").outputs == {"text": "still here"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.a", [1]),
        ("$.items[*].n", [1, 2, 3]),
        ("$.items[?@.n > 1].n", [2, 3]),
        ("$..n", [1, 2, 3]),
        ("$.items[-1:].n", [3]),
        ("$.none", []),
        ("$['a']", [1]),
    ],
)
def test_json_path(path: str, found: list[Any]) -> None:
    """RFC 9535."""
    data = {"a": 1, "items": [{"n": 1}, {"n": 2}, {"n": 3}]}
    assert json_path(data, path) == {"values": found, "value": found[0] if found else None}


@pytest.mark.parametrize("path", ["a", "$.", "$[?match(@.a, '(a+)+$')]", "$[?@.a =~ /x/]", "$[", ""])
def test_json_path_refuses(path: str) -> None:
    """What is no path, and patterns."""
    with pytest.raises(NodeFailure, match="path"):
        json_path({}, path)


def test_json_build_and_parse(run_node: RunNode) -> None:
    """An object of the inputs by their names, and back."""
    built = run_node("text:JsonBuild", base='{"a": 1, "b": 2}', b=None, name="酒").outputs
    assert built == {"value": {"a": 1, "b": None, "name": "酒"}, "text": '{"a": 1, "b": null, "name": "酒"}'}
    assert run_node("text:JsonParse", text=built["text"]).outputs == {"value": built["value"]}
    assert "JSON" in run_node("text:JsonParse", text="{", check=False).errors[0]["message"]


def test_numbered_inputs_have_names(run_node: RunNode) -> None:
    """The configuration says what the inputs that an editor shows are called; without a name each is called by its key."""
    inputs = {"value_1": 2, "value_0": 1, "value_2": 3, "other": 4}
    built = run_node("text:JsonBuild", config={"inputCount": "3", "inputNames": "a， b"}, **inputs).outputs
    assert built["text"] == '{"other": 4, "a": 1, "b": 2, "value_2": 3}'
    assert run_node("text:JsonBuild", config={"inputNames": ["", "b"]}, **inputs).outputs["value"] == {
        "value_0": 1,
        "b": 2,
        "value_2": 3,
        "other": 4,
    }
    ran = run_node("text:Template", template="{{ who }} {{ value_1 }}", value_0="Ada", value_1="!", config={"inputNames": "who"})
    assert ran.outputs == {"text": "Ada !"}
    for names, mention in (("other", "two inputs are called 'other'"), ("a, a", "'a'"), (5, "inputNames must be")):
        ran = run_node("text:JsonBuild", config={"inputNames": names}, check=False, **inputs)
        assert mention in ran.errors[0]["message"]
    ran = run_node("text:Template", template="", config={"inputCount": "many"}, check=False)
    assert "inputCount is 'many', which is none of its choices: 0, 1, 2" in ran.errors[0]["message"]


def test_split_and_join() -> None:
    """By a separator with escapes, or at blanks."""
    assert split("a\n b \n\nc") == ["a", "b", "c"]
    assert split("a,,b", ",", drop_empty=False) == ["a", "", "b"]
    assert split("a  b\tc", "") == ["a", "b", "c"]
    assert split(" a | b ", "|", trim=False) == [" a ", " b "]
    assert join(["a", 1, None], "-") == "a-1-"
    with pytest.raises(NodeFailure):
        join("abc")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("lower", "some http name"),
        ("upper", "SOME HTTP NAME"),
        ("title", "Some Http Name"),
        ("snake", "some_http_name"),
        ("kebab", "some-http-name"),
        ("camel", "someHttpName"),
        ("capitalize", "Some http name"),
    ],
)
def test_case(style: str, text: str) -> None:
    """Of a text and of an identifier."""
    assert case("some HTTP name", style) == text


def test_unknown_case() -> None:
    """Is refused with those there are."""
    with pytest.raises(NodeFailure, match="lower, upper"):
        case("x", "leet")
