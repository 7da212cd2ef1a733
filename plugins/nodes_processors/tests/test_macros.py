"""The macros of character cards, where a prompt is built."""

from types import SimpleNamespace
from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep_nodes_processors.context_builder import context_builder

ADA = {"name": "Ada", "description": "{{char}} serves {{user}}.", "scenario": "{{user}} comes in.", "character_version": "2"}


def built(**inputs: Any) -> list[Any]:
    context: Any = SimpleNamespace(
        cancelled=False, user=SimpleNamespace(username="Eve"), log=SimpleNamespace(warning=lambda *args, **kwargs: None)
    )
    messages: list[Any] = context_builder(inputs, context)["finalMessages"]
    return messages


def said(text: str, character: Any = ADA, **preset: Any) -> str:
    content: str = built(characterData=character, presetData={"user_prompt": text} | preset)[-1]["content"]
    return content


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{char}} and {{user}}", "Ada and Eve"),
        ("{{Char}}, {{USER}}, {{ char }}", "Ada, Eve, Ada"),
        ("<USER> and <bot>, <CHAR>", "Eve and Ada, Ada"),
        ("{{scenario}} {{charVersion}}", "Eve comes in. 2"),
        ("{{description}}", "Ada serves Eve."),
        ("{{unknown}} {{}} {char} {{{char}}}", "{{unknown}} {{}} {char} {Ada}"),
        ("{{personality}}", "{{personality}}"),
        ("a{{newline}}b{{noop}}c{{// a note}}d", "a\nbcd"),
        ("a\n\n{{trim}}\n{{trim}}\n\nb", "ab"),
        ("{{random:same,same}} {{pick::one thing::one thing}}", "same one thing"),
        ("{{random:a\\,b}}", "a,b"),
        ("{{roll:1d1}} {{roll 2d1+3}} {{roll:nothing}}", "1 5 {{roll:nothing}}"),
        ("{{input}}", "{{input}}"),
        ("<b>bold</b>", "<b>bold</b>"),
    ],
)
def test_macros(text: str, wanted: str) -> None:
    """In any case; those that nobody knows are left as they are."""
    assert said(text) == wanted


def test_they_are_replaced_everywhere() -> None:
    """In the system message, the history, its parts, the lore; keys see what was made of them."""
    history = [{"role": "assistant", "content": "I am {{char}}."}, {"role": "user", "content": [{"type": "text", "text": "{{user}}"}]}]
    book = {"entries": [{"keys": ["I am Ada"], "content": "{{char}} is old."}]}
    assert built(characterData=ADA, historyMessages=history, worldBookData=book) == [
        {"role": "system", "content": "Ada is old.\nAda serves Eve."},
        {"role": "assistant", "content": "I am Ada."},
        {"role": "user", "content": [{"type": "text", "text": "Eve"}]},
    ]
    assert history[0]["content"] == "I am {{char}}."


def test_who_is_who() -> None:
    """A nickname goes before a name, the preset's name before the account's; without a character its macro stays."""
    assert said("{{char}}", {"name": "Ada", "nickname": "Addie"}) == "Addie"
    assert said("{{user}}", user_name="Sir") == "Sir"
    assert said("{{char}}", None) == "{{char}}"


def test_chance_is_the_same_in_the_same_run() -> None:
    """And not the same for each macro of a text."""
    text = "{{roll:d100}} " * 20
    assert said(text) == said(text)
    assert len(set(said(text).split())) > 5


def test_a_prompt_that_grows_without_end_is_refused() -> None:
    """A short macro for a long text, many times."""
    with pytest.raises(NodeFailure, match="longer than"):
        said("{{description}}" * 1000, {"description": "x" * 100_000})
