"""The macros of character cards, `{{char}}` and its like, replaced where a prompt is built.

In any case, with blanks or none inside of the braces, one within another; those that nobody here knows are left as they are.
"""

import random
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from tavernkeep import NodeFailure
from tavernkeep.clock import Clock, now
from tavernkeep_nodes_processors.chance import dice
from tavernkeep_nodes_processors.moments import apart, formatted, time_in, zone_of

_BRACES: Final = re.compile(r"(\{\{(?!\{)|\}\})")
_NAMES: Final = re.compile(r"<(user|char|bot|group|charifnotgroup)>", re.IGNORECASE)
_TRIM: Final = re.compile(r"\{\{ ?trim ?\}\}", re.IGNORECASE)
_DIE: Final = re.compile(r"(\d{0,2})d(\d{1,6})(?:\s*([+-])\s*(\d{1,6}))?")
_DEEPEST: Final = 16  # macros within macros
_LONGEST: Final = 16 * 1024 * 1024  # characters of a prompt
_A_DIE: Final = 128  # characters that take as long as throwing one
_FIELDS: Final = {
    "description": "description",
    "personality": "personality",
    "scenario": "scenario",
    "mesexamples": "mes_example",
    "mesexamplesraw": "mes_example",
    "charprompt": "system_prompt",
    "charinstruction": "post_history_instructions",
    "charjailbreak": "post_history_instructions",
    "charfirstmessage": "first_mes",
    "charcreatornotes": "creator_notes",
    "creatornotes": "creator_notes",
    "charversion": "character_version",
    "char_version": "character_version",
}
_TIMES: Final = {"time": "LT", "date": "LL", "weekday": "dddd", "isotime": "HH:mm", "isodate": "YYYY-MM-DD"}


@attrs.define
class Macros:
    """Replaces macros by what they stand for; one for a prompt, so that its size is bounded as a whole.

    Attributes:
        moment: The time that is told.
        seed: What chance depends on, besides the text.
    """

    _values: Mapping[str, str]
    moment: datetime
    seed: str
    _made: int = 0

    @classmethod
    def of(cls, character: Mapping[str, Any], user: str, more: Mapping[str, str], moment: datetime, seed: str) -> "Macros":
        """Those of a character and of who talks to it.

        Args:
            more: What else is known, by the macros' names in lower case.
            moment: The time that is told, in the zone in which it is.
            seed: What chance depends on, besides the text: with the same, the same comes.
        """
        values = dict(more) | {"user": user, "notchar": user, "newline": "\n", "noop": ""}
        name = character.get("nickname") or character.get("name")
        if isinstance(name, str) and name:
            values |= dict.fromkeys(("char", "bot", "charifnotgroup", "group", "groupnotmuted"), name)
        names = cls(values, moment, seed)
        fields = {macro: character[key] for macro, key in _FIELDS.items() if isinstance(character.get(key), str)}
        return cls({macro: names.filled(text) for macro, text in fields.items()} | values, moment, seed)

    def filled(self, text: str) -> str:
        """The text with its macros replaced.

        Raises:
            NodeFailure: All texts together grow too long.
        """
        if "{{" not in text and "<" not in text:
            return text
        self._made += len(text)
        drawing = _Drawing(dice(text), dice(f"{self.seed}\0{text}"))
        levels: list[list[str]] = [[]]  # the text, and the macros that have begun in it
        for piece in _BRACES.split(_trimmed(text)):
            if piece == "{{":
                if len(levels) > _DEEPEST:  # the outermost is taken for text, as what others wrote is not looked at again and again
                    outermost = levels.pop(1)
                    levels[0] += ["{{", *outermost]
                levels.append([])
            elif piece == "}}" and len(levels) > 1:
                inner = "".join(levels.pop())
                value = self._value(inner, drawing)
                levels[-1] += ["{{", inner, "}}"] if value is None else [self._counted(value)]
            else:
                levels[-1].append(_NAMES.sub(lambda found: self._counted(self._values.get(found[1].lower(), found[0])), piece))
        return "{{".join(map("".join, levels))

    def _counted(self, value: str) -> str:
        self._count(len(value))
        return value

    def _count(self, characters: int) -> None:
        self._made += characters
        if self._made > _LONGEST:
            raise NodeFailure(f"the macros make the prompt longer than {_LONGEST} characters, or throw too many dice")

    def _value(self, inner: str, drawing: "_Drawing") -> str | None:
        """What a macro stands for; `None` for one that nobody knows."""
        given = inner.strip()
        name = given.lower()
        if name in self._values:
            return self._values[name]
        if name.startswith("//"):
            return ""
        word, rest = _parted(given)
        if word in ("random", "pick") and rest:
            choices = rest.split("::") if "::" in rest else re.split(r"(?<!\\),", rest)
            chosen: str = (drawing.steady if word == "pick" else drawing.free).choice(choices)
            return chosen.replace("\\,", ",").strip()
        if word == "roll":
            return self._rolled(rest, drawing.free)
        if word == "reverse" and rest:
            return rest[::-1]
        if word == "banned" and rest:  # the words are kept from models whose samplers can; there are none here
            return ""
        return self._time(word, rest)

    def _rolled(self, die: str, chance: random.Random) -> str | None:
        found = _DIE.fullmatch(f"1d{die}" if die.isdecimal() else die.lower())
        if found is None or int(found[2]) < 1:
            return None
        thrown, more = int(found[1] or 1), int(found[4] or 0) * (-1 if found[3] == "-" else 1)
        self._count(thrown * _A_DIE)
        return str(sum(chance.randint(1, int(found[2])) for _ in range(thrown)) + more)

    def _time(self, word: str, rest: str) -> str | None:
        try:
            if word == "timediff":
                first, _, second = rest.partition("::")
                return apart(time_in(first, self.moment.tzinfo), time_in(second, self.moment.tzinfo))
            if word == "datetimeformat" and rest:
                return formatted(self.moment, rest)
            if word.startswith("time_utc") or (word == "time" and rest):
                return formatted(self.moment.astimezone(zone_of(word.removeprefix("time_") if word != "time" else rest)), _TIMES["time"])
        except (ValueError, OverflowError):
            return None
        return formatted(self.moment, _TIMES[word]) if word in _TIMES and not rest else None


@attrs.frozen
class _Drawing:
    """What draws lots for a text: the same at each time, and not."""

    steady: random.Random
    free: random.Random


def moment_of(time: Any, zone: Any, clock_says: datetime) -> datetime:
    """The time that a prompt tells: what is given, or else what the clock says, in a time zone or else in that of the machine.

    Raises:
        NodeFailure: One of them is none.
    """
    try:
        known = zone_of(zone) if isinstance(zone, str) and zone.strip() else None
        return time_in(time, known) if isinstance(time, str) and time.strip() else clock_says.astimezone(known)
    except (ValueError, OverflowError) as error:
        raise NodeFailure(f"presetData: {error}", slot="presetData") from None


def _parted(given: str) -> tuple[str, str]:
    """The name of a macro in small letters, and what follows it: after colons, or after a blank."""
    found = re.match(r"([^\s:]+)\s*(?:::?|\s)\s*(.*)", given, re.DOTALL)
    return (found[1].lower(), found[2].strip()) if found else (given.lower(), "")


def _trimmed(text: str) -> str:
    """The text without `{{trim}}` and the line ends around it."""
    first, *others = _TRIM.split(text)
    if not others:
        return text
    return "".join([first.rstrip("\n"), *(part.strip("\n") for part in others[:-1]), others[-1].lstrip("\n")])


@attrs.frozen
class CardTexts:
    """See `tavernkeep_nodes_processors.contracts.CardMacros`."""

    clock: Clock = now

    def filled(self, texts: Iterable[str], character: Mapping[str, Any], user: str) -> list[str]:
        """See `CardMacros`."""
        macros = Macros.of(character, user, {}, self.clock(), "")
        return [macros.filled(text) for text in texts]
