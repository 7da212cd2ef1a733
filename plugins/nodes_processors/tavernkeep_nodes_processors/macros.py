"""The macros of character cards, `{{char}}` and its like, replaced where a prompt is built.

In any case, with blanks or none inside of the braces; those that nobody here knows are left as they are.
"""

import hashlib
import random
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from tavernkeep import NodeFailure

_MACRO: Final = re.compile(r"\{\{([^{}]*)\}\}|<(user|char|bot)>", re.IGNORECASE)
_TRIM: Final = re.compile(r"\{\{ ?trim ?\}\}", re.IGNORECASE)
_DIE: Final = re.compile(r"(\d{0,2})d(\d{1,6})(?:\s*\+\s*(\d{1,6}))?")
_LONGEST: Final = 16 * 1024 * 1024  # characters of a prompt
_FIELDS: Final = {
    "description": "description",
    "personality": "personality",
    "scenario": "scenario",
    "mesexamples": "mes_example",
    "mesexamplesraw": "mes_example",
    "charprompt": "system_prompt",
    "charinstruction": "post_history_instructions",
    "charjailbreak": "post_history_instructions",
    "charversion": "character_version",
    "char_version": "character_version",
}


@attrs.define
class Macros:
    """Replaces macros by what they stand for; one for a prompt, so that its size is bounded as a whole."""

    _values: Mapping[str, str]
    _made: int = 0

    @classmethod
    def of(cls, character: Mapping[str, Any], user: str, more: Mapping[str, str]) -> "Macros":
        """Those of a character and of who talks to it.

        Args:
            more: What else is known, by the macros' names in lower case.
        """
        values = dict(more) | {"user": user, "newline": "\n", "noop": ""}
        name = character.get("nickname") or character.get("name")
        if isinstance(name, str) and name:
            values |= dict.fromkeys(("char", "bot", "charifnotgroup", "group"), name)
        names = cls(values)
        fields = {macro: character[key] for macro, key in _FIELDS.items() if isinstance(character.get(key), str)}
        return cls({macro: names.filled(text) for macro, text in fields.items()} | values)

    def filled(self, text: str) -> str:
        """The text with its macros replaced.

        Raises:
            NodeFailure: All texts together grow too long.
        """
        if "{{" not in text and "<" not in text:
            return text
        trimmed = _trimmed(text)
        self._made += len(text)
        # Chance is decided by the text alone, so that the same run gives the same.
        dice = random.Random(hashlib.sha256(text.encode("utf-8", "replace")).digest())  # noqa: S311 - no secret  # nosec B311

        def value(found: re.Match[str]) -> str:
            made = self._value(found, dice)
            self._made += len(made)
            if self._made > _LONGEST:
                raise NodeFailure(f"the macros make the prompt longer than {_LONGEST} characters")
            return made

        return _MACRO.sub(value, trimmed)

    def _value(self, found: re.Match[str], dice: random.Random) -> str:
        given = (found[1] if found[1] is not None else found[2]).strip()
        name = given.lower()
        if name in self._values:
            return self._values[name]
        if name.startswith("//"):
            return ""
        what, sign, rest = given.partition(":")
        what, rest = what.strip().lower(), rest.removeprefix(":")
        if sign and what in ("random", "pick"):
            choices = rest.split("::") if "::" in rest else re.split(r"(?<!\\),", rest)
            chosen: str = dice.choice(choices)
            return chosen.replace("\\,", ",").strip()
        if (sign and what == "roll") or name.startswith("roll "):
            return _rolled(rest.strip() or given[4:].strip(), dice) or found[0]
        return found[0]


def _rolled(die: str, dice: random.Random) -> str:
    found = _DIE.fullmatch(f"1d{die}" if die.isdecimal() else die.lower())
    if found is None or int(found[2]) < 1:
        return ""
    return str(sum(dice.randint(1, int(found[2])) for _ in range(int(found[1] or 1))) + int(found[3] or 0))


def _trimmed(text: str) -> str:
    """The text without `{{trim}}` and the line ends around it."""
    first, *others = _TRIM.split(text)
    if not others:
        return text
    return "".join([first.rstrip("\n"), *(part.strip("\n") for part in others[:-1]), others[-1].lstrip("\n")])
