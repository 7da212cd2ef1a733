"""The macros of character cards, where a prompt is built."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep_nodes_processors.context_builder import CONTEXT_BUILDER, context_builder

ADA = {"name": "Ada", "description": "{{char}} serves {{user}}.", "scenario": "{{user}} comes in.", "character_version": "2"}


CLOCK = datetime(2026, 11, 25, 16, 7, 8, 90_000, UTC)


def built(**inputs: Any) -> list[Any]:
    context: Any = SimpleNamespace(
        cancelled=False, user=SimpleNamespace(username="Eve"), log=SimpleNamespace(warning=lambda *args, **kwargs: None)
    )
    messages: list[Any] = context_builder(inputs, context, lambda: CLOCK)["finalMessages"]
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
        ("{{random::{{char}}::{{char}}}} {{reverse:{{user}}}}", "Ada evE"),
        ("{{unknown::{{char}}}} {{char {{user}} }}", "{{unknown::Ada}} {{char Eve }}"),
        ('{{roll:1d1-3}} {{banned "x"}}{{notChar}}', "-2 Eve"),
        ("{{char", "{{char"),
        ("char}}", "char}}"),
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


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{time}} | {{date}} | {{weekday}}", "4:07 PM | November 25, 2026 | Wednesday"),
        ("{{ISOdate}} {{isoTime}}", "2026-11-25 16:07"),
        ("{{datetimeformat DD.MM.YYYY HH:mm:ss [at] dddd Do}}", "25.11.2026 16:07:08 at Wednesday 25th"),
        ("{{datetimeformat::hh A Z X DDD SSS}}", "04 PM +00:00 1795622828 329 090"),
        ("{{time_UTC+8}} {{time_utc-3}} {{time::UTC+5:30}}", "12:07 AM 1:07 PM 9:37 PM"),
        ("{{timeDiff::2026-01-03::2026-01-01}}, {{timediff::2026-01-01::2026-01-01T03:00}}", "in 2 days, 3 hours ago"),
        ("{{time_UTC+99}} {{time::noon}} {{timeDiff::a::b}} {{datetimeformat}}",) * 2,
    ],
)
def test_the_time(text: str, wanted: str) -> None:
    """As the clock says it where the preset wants it; what is no time is left as it is."""
    assert said(text, time_zone="UTC") == wanted


def test_whose_time_it_is() -> None:
    """That of the preset's zone, by its name or what it is off; a time that is given is told instead of the clock's."""
    assert said("{{isodate}} {{isotime}}", time_zone="Asia/Shanghai") == "2026-11-26 00:07"
    assert said("{{isotime}}", time_zone="UTC-3") == "13:07"
    assert said("{{isotime}}") == f"{CLOCK.astimezone():%H:%M}"
    assert said("{{isodate}} {{isotime}}", time="2020-02-03T04:05:00Z", time_zone="+02:00") == "2020-02-03 06:05"
    assert said("{{isotime}}", time="2020-02-03T04:05", time_zone="+02:00") == "04:05"
    for zone, time in (("Nowhere/Town", ""), ("../x", ""), ("Europe", ""), ("UTC", "noon"), ("-08:00", "0001-01-01T00:00Z")):
        with pytest.raises(NodeFailure, match="presetData"):
            said("{{time}}", time_zone=zone, time=time)


def test_no_time_is_remembered() -> None:
    """The node's outputs are not kept for the next run: the time in them would be the last one's."""
    assert not CONTEXT_BUILDER.deterministic


def test_chance_is_the_same_in_the_same_run() -> None:
    """And not the same for each macro of a text, after another message, or with another seed; what was picked, or said, stays."""
    text = "{{roll:d100}} " * 20
    assert said(text) == said(text)
    assert len(set(said(text).split())) > 5
    assert said(text, seed=1) == said(text, seed=1) != said(text, seed=2)
    picked = "{{pick::" + "::".join(map(str, range(1000))) + "}}"
    rolls = []
    for history in ([], [{"role": "user", "content": text}], [{"role": "user", "content": text}, {"role": "user", "content": "more"}]):
        messages = built(characterData=ADA, historyMessages=history, presetData={"user_prompt": text + picked})
        rolls.append((messages[-1]["content"].rpartition(" "), messages[1]["content"]))
    assert len({roll for (roll, _, _), _ in rolls}) == 3
    assert len({pick for (_, _, pick), _ in rolls}) == 1
    assert rolls[1][1] == rolls[2][1]


def test_macros_within_macros_cost_no_more_than_their_length() -> None:
    """However deep: those that are too deep are text, and those within them still macros."""
    for text in ("{{" * 100_000, "{{" * 100_000 + "}}" * 100_000, "{{a" * 100_000 + "}}" * 100_000, "{{" + "}}{{" * 100_000):
        assert said(text) == text
    assert said("{{x" * 1000 + "{{char}}" + "}}" * 1000) == "{{x" * 1000 + "Ada" + "}}" * 1000


def test_a_prompt_that_grows_without_end_is_refused() -> None:
    """A short macro for a long text, many times."""
    with pytest.raises(NodeFailure, match="longer than"):
        said("{{description}}" * 1000, {"description": "x" * 100_000})


def test_a_card_that_throws_dice_without_end_is_refused() -> None:
    """As each costs time, however little it writes; a game's worth of them is nothing."""
    assert said("{{roll:99d1}}" * 100) == "99" * 100
    with pytest.raises(NodeFailure, match="too many dice"):
        said("{{roll:99d6}}" * 10_000)
