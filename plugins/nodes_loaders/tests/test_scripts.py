"""Regex rules and scripts as people have them: what stands in the file, what is made of it."""

from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep_nodes_loaders.scripts import rules_in

RULE = {"name": "r", "pattern": "a", "replacement": "b"}
SCRIPT = {"scriptName": "s", "findRegex": "/a/g", "replaceString": "b", "trimStrings": [], "disabled": False, "placement": [2]}


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ({}, {"name": "s", "pattern": "a", "flags": "g", "replacement": "b", "enabled": True, "placement": [2]}),
        ({"findRegex": "a/b"}, {"pattern": "a/b", "flags": ""}),
        ({"findRegex": "/a\\/b\n/gi"}, {"pattern": "a\\/b\n", "flags": "gi"}),
        ({"replaceString": "{{match}} $0 $1 $<n> $$ $"}, {"replacement": "$& $& $1 $<n> $$$$ $$"}),
        ({"replaceString": None}, {"replacement": ""}),
        ({"disabled": 1}, {"enabled": False}),
        ({"disabled": "true"}, {"enabled": False}),
        ({"findRegex": ""}, {"pattern": "", "enabled": False}),
        ({"trimStrings": ["<"]}, {"trimStrings": ["<"]}),
        ({"scriptName": ""}, {"name": "script 1"}),
    ],
)
def test_scripts_become_rules(script: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Its pattern with the flags behind it, its words for the match in JavaScript's."""
    (rule,) = rules_in(SCRIPT | script, "x.json")
    assert wanted.items() <= rule.items()


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ([], []),
        ([RULE, SCRIPT, SCRIPT], ["r", "s", "s (3)"]),
        ({"rules": [RULE]}, ["r"]),
        (RULE, ["r"]),
        ({"extension_settings": {"regex": [SCRIPT]}}, ["s"]),
        ({"spec": "chara_card_v2", "data": {"extensions": {"regex_scripts": [SCRIPT]}}}, ["s"]),
    ],
)
def test_where_rules_stand(content: Any, wanted: list[str]) -> None:
    """In a list, an object, alone; in settings and cards."""
    assert [rule["name"] for rule in rules_in(content, "x.json")] == wanted


@pytest.mark.parametrize(
    ("content", "mention"),
    [
        ({"entries": {}}, "an object with entries"),
        ("text", "a string"),
        (None, "null"),
        ([RULE, {"find": "a"}], "number 2 is neither"),
        ([5], "an integer"),
        (SCRIPT | {"findRegex": 5}, "'s' has a findRegex"),
        (SCRIPT | {"trimStrings": [5]}, "'s' has a findRegex"),
    ],
)
def test_another_form_is_refused(content: Any, mention: str) -> None:
    """With what it is."""
    with pytest.raises(NodeFailure, match=mention):
        rules_in(content, "x.json")
