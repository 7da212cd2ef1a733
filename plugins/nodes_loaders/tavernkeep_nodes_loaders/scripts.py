"""Regex rules as people have them: this application's own, and SillyTavern's scripts, which are made into such."""

import re
from typing import Any, Final

import structlog

from tavernkeep import NodeFailure
from tavernkeep.wire import describe

_log = structlog.get_logger(__name__)

_FOUND: Final = re.compile(r"/([\s\S]+)/([gimsuy]*)")
_GROUPS: Final = re.compile(r"\{\{match\}\}|\$(\d+)|\$<([^>]+)>|\$", re.IGNORECASE)
_WITHOUT_MEANING: Final = ("markdownOnly", "promptOnly", "minDepth", "maxDepth", "substituteRegex")


def rules_in(content: Any, path: str) -> list[dict[str, Any]]:
    """The rules of a file: a list, an object with `rules`, a single one, or the scripts in a card, a preset or settings.

    Raises:
        NodeFailure: It is something else, or one of them is.
    """
    rules: list[dict[str, Any]] = []
    for number, given in enumerate(_listed(content, path), 1):
        if isinstance(given, dict) and "findRegex" in given:
            rule = _converted(given, number, path)
        elif isinstance(given, dict) and {"pattern", "replacement"} <= given.keys():
            rule = given
        else:
            raise NodeFailure(f"{path}: number {number} is neither a regex rule nor a script: {_what(given)}")
        rules.append(rule)
    names = [rule.get("name") for rule in rules]
    for number, rule in enumerate(rules):  # scripts may share a name, of which rules have each once
        if "placement" in rule and rule["name"] in names[:number]:
            rule["name"] = f"{rule['name']} ({number + 1})"
    return rules


def _listed(content: Any, path: str) -> list[Any]:
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        if {"findRegex", "pattern"} & content.keys():
            return [content]
        inner = content.get("data") if isinstance(content.get("data"), dict) else {}
        for place in (content, content.get("extensions"), content.get("extension_settings"), (inner or {}).get("extensions")):
            for key in ("rules", "regex_scripts", "regex"):
                if isinstance(place, dict) and isinstance(place.get(key), list):
                    found: list[Any] = place[key]
                    return found
    raise NodeFailure(f"{path} holds no regex rules: it is {_what(content)}")


def _what(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(map(str, list(value)[:5]))
        return f"an object with {keys[:200]}" if keys else "an empty object"
    return describe(value)


def _converted(script: dict[str, Any], number: int, path: str) -> dict[str, Any]:
    name = str(script.get("scriptName") or f"script {number}")
    pattern, replacement, trimmed = script["findRegex"], script.get("replaceString"), script.get("trimStrings") or []
    trimmed = trimmed if isinstance(trimmed, list) else [trimmed]
    if not isinstance(pattern, str) or not isinstance(replacement, str | None) or not all(isinstance(text, str) for text in trimmed):
        raise NodeFailure(f"{path}: the script {name!r} has a findRegex, a replaceString or trimStrings that are no texts")
    without = [key for key in _WITHOUT_MEANING if script.get(key) not in (None, False, 0, "")]
    if without:
        _log.warning("a regex script says what has no meaning here", file=path, script=name, fields=without)
    if not pattern:
        _log.warning("a regex script looks for nothing, and is off", file=path, script=name)
    found = _FOUND.fullmatch(pattern)
    disabled = script.get("disabled")
    return {
        "name": name,
        "pattern": found[1] if found else pattern,
        "flags": found[2] if found else "",
        "replacement": _GROUPS.sub(_group, replacement or ""),
        "enabled": bool(pattern) and str(disabled).strip().lower() not in ("true", "1", "yes", "on"),
        "trimStrings": trimmed,
        "placement": script.get("placement"),
    }


def _group(found: re.Match[str]) -> str:
    """What a script means by it, in JavaScript's words: all of the match, a group, or else the sign itself."""
    if found[2]:
        return f"$<{found[2]}>"
    if found[1] is None:
        return "$&" if found[0] != "$" else "$$"
    return "$&" if not int(found[1]) else f"${found[1]}"
