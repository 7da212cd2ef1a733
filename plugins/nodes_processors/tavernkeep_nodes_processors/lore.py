"""Which entries of world books apply to a conversation."""

import re
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from tavernkeep import NodeFailure
from tavernkeep_nodes_processors.chance import dice
from tavernkeep_nodes_processors.javascript import PatternError, RegexEngine, TooMuch
from tavernkeep_nodes_processors.world_book import Key, LoreEntry, Warn

_MOST_PASSES: Final = 50  # of lore that wakes other lore


def applying(entries: Sequence[LoreEntry], talk: Sequence[str], prompt: str, warn: Warn, cancelled: Callable[[], bool]) -> list[LoreEntry]:
    """The entries that apply, in the order in which they are given.

    What is left to chance is decided by the conversation and the entry alone, so that the same run gives the same.

    Args:
        talk: The messages so far, as texts.
        prompt: What is said last; it is always looked at.

    Raises:
        NodeFailure: The patterns in keys take too long.
    """
    matcher = _Matcher(warn)
    scanned = {
        entry.scan_depth: "\n".join([*(talk if entry.scan_depth is None else talk[max(0, len(talk) - entry.scan_depth) :]), prompt])
        for entry in entries
    }
    told = "\n".join([*talk, prompt])
    messages = len(talk) + bool(prompt)
    awake = {
        number: entry
        for number, entry in enumerate(entries)
        if (entry.constant or (entry.woken_by_talk and matcher.wakes(entry, scanned[entry.scan_depth])))
    }
    tried = set(awake)
    awake = {number: entry for number, entry in awake.items() if entry.delay <= messages and _lucky(entry, told)}
    new = list(awake.values())
    for turn in range(_MOST_PASSES + 1):
        lore = "\n".join(entry.content for entry in new if entry.recursive and entry.wakes_lore)
        if not lore or cancelled():
            break
        if turn == _MOST_PASSES:
            warn("lore wakes other lore without end", passes=turn)
            break
        new, seen = [], told + "\n" + lore
        for number, entry in enumerate(entries):
            if number in tried or not (entry.recursive and entry.woken_by_lore) or not matcher.wakes(entry, seen):
                continue
            tried.add(number)
            if entry.delay <= messages and _lucky(entry, told):
                awake[number] = entry
                new.append(entry)
    return _one_of_each_group([awake[number] for number in sorted(awake)], told)


def _lucky(entry: LoreEntry, told: str) -> bool:
    return entry.probability >= 1 or dice(f"{entry.name}\0{entry.content}\0{told}").random() < entry.probability


def _one_of_each_group(entries: list[LoreEntry], told: str) -> list[LoreEntry]:
    lost: set[int] = set()
    for group in dict.fromkeys(group for entry in entries for group in entry.groups):
        rivals = [entry for entry in entries if group in entry.groups and id(entry) not in lost]
        if len(rivals) < 2:
            continue
        first = [entry for entry in rivals if entry.group_wins]
        weights = [entry.group_weight for entry in rivals]
        if first:
            winner = max(first, key=lambda entry: entry.order)
        else:
            winner = dice(f"{group}\0{told}").choices(rivals, weights if any(weights) else None)[0]
        lost |= {id(entry) for entry in rivals if entry is not winner}
    return [entry for entry in entries if id(entry) not in lost]


@attrs.define
class _Matcher:
    """Looks for keys in texts, patterns in one engine, so that their time is bounded together."""

    warn: Warn
    _engine: RegexEngine = attrs.field(factory=RegexEngine)
    _broken: set[Key] = attrs.field(factory=set)
    _folded: tuple[str, str] = ("", "")  # the last text, and it for keys in any case

    def wakes(self, entry: LoreEntry, text: str) -> bool:
        if not any(self._found(key, entry, text) for key in entry.keys):
            return False
        if not entry.secondary:
            return True
        found = (self._found(key, entry, text) for key in entry.secondary)
        if entry.logic == 1:
            return not all(found)
        if entry.logic == 2:
            return not any(found)
        return all(found) if entry.logic == 3 else any(found)

    def _found(self, key: Key, entry: LoreEntry, text: str) -> bool:
        if key.flags is not None and key not in self._broken:
            try:
                return self._engine.test(text, key.text, key.flags)
            except PatternError as error:
                self._broken.add(key)
                self.warn("a key of a world book is looked for as it stands", entry=entry.name, key=key.text, problem=str(error))
            except TooMuch as error:
                raise NodeFailure(f"the key {key.text!r} of the world book's entry {entry.name!r} {error}", slot="worldBookData") from None
        sought = key.text if key.flags is None else f"/{key.text}/{key.flags}"
        if not entry.case_sensitive:
            sought = sought.casefold()
            if self._folded[0] is not text:
                self._folded = (text, text.casefold())
            text = self._folded[1]
        if entry.whole_words and len(sought.split()) == 1:
            # A word's end is what it is in JavaScript, so that keys in Chinese, which has no blanks, are found.
            return re.search(rf"(?:^|\W){re.escape(sought)}(?:$|\W)", text, re.ASCII) is not None
        return sought in text
