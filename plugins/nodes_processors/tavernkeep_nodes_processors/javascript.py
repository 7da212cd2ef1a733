"""JavaScript's regular expressions, in a JavaScript engine.

It is the one thing that means by a pattern exactly what its author does. It has a time limit that holds inside of a single match, and gives
up the interpreter's lock while it works, so call it in a thread.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import quickjs

TIME_LIMIT_S: Final = 2.0
_MEMORY_LIMIT: Final = 512 * 1024 * 1024  # bytes
# Arguments and results cross as JSON: as they are, U+0000 would end a text, and half a surrogate pair could not cross at all.
_SCRIPT: Final = """({
    replace: (text, pattern, flags, replacement, trimmed) => {
        const regex = new RegExp(pattern, flags);
        if (!trimmed.length) return text.replace(regex, replacement);
        const cut = part => trimmed.reduce((left, one) => left.replaceAll(one, ""), part ?? "");
        return text.replace(regex, (...given) => {
            const named = typeof given.at(-1) === "object" ? given.pop() : {}, groups = given.slice(0, -2);
            return replacement.replace(/\\$(?:([$&])|(\\d\\d?)|<([^>]*)>)/g, (_, sign, number, name) =>
                sign === "$" ? "$" : cut(sign === "&" ? groups[0] : number === undefined ? named[name] : groups[number]));
        });
    },
    match: (text, pattern, flags, most) => {
        const regex = new RegExp(pattern, flags), found = [];
        if (!regex.global) { const one = regex.exec(text); if (one) found.push(one); }
        else for (const one of text.matchAll(regex)) { found.push(one); if (found.length >= most) break; }
        return found.map(one => ({match: one[0], groups: [...one].slice(1), named: {...one.groups}}));
    },
    test: (text, pattern, flags) => new RegExp(pattern, flags).test(text),
    call(name, given) { return JSON.stringify(this[name](...JSON.parse(given))); },
})"""


class PatternError(ValueError):
    """A pattern is none, or its flags are not."""


class TooMuch(Exception):
    """A pattern takes too long on a text, or too much memory."""


class RegexEngine:
    """An engine for one thread and one piece of work.

    Args:
        time_limit_s: For all calls together, in seconds of processor time.
    """

    def __init__(self, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._time_limit_s = time_limit_s
        context = quickjs.Context()
        context.set_memory_limit(_MEMORY_LIMIT)
        context.set_time_limit(time_limit_s)
        context.set("functions", context.eval(_SCRIPT))
        self._function = context.eval("(name, given) => functions.call(name, given)")

    def replace(self, text: str, pattern: str, flags: str, replacement: str, trimmed: Sequence[str] = ()) -> str:
        """`text.replace(new RegExp(pattern, flags), replacement)`.

        Args:
            trimmed: Texts that are cut out of what the replacement takes over of the match.

        Raises:
            PatternError: The pattern or the flags are none.
            TooMuch: It takes too long, or too much memory.
        """
        result: str = self._call("replace", text, pattern, flags, replacement, list(filter(None, trimmed)))
        return result

    def match(self, text: str, pattern: str, flags: str, most: int) -> list[dict[str, Any]]:
        """The matches, all with the flag `g` and else the first: `{match, groups, named}` each.

        Raises:
            PatternError: The pattern or the flags are none.
            TooMuch: It takes too long, or too much memory.
        """
        matches: list[dict[str, Any]] = self._call("match", text, pattern, flags, most)
        return matches

    def test(self, text: str, pattern: str, flags: str) -> bool:
        """Whether the pattern is found in the text.

        Raises:
            PatternError: The pattern or the flags are none.
            TooMuch: It takes too long, or too much memory.
        """
        found: bool = self._call("test", text, pattern, flags)
        return found

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            return json.loads(self._function(name, json.dumps(arguments)))
        except (quickjs.JSException, quickjs.StackOverflow) as error:
            reason = str(error).partition("\n")[0]
            if "interrupted" in reason:
                raise TooMuch(f"takes longer than {self._time_limit_s:g} s on this text") from None
            if "memory" in reason or isinstance(error, quickjs.StackOverflow):
                raise TooMuch("needs too much memory on this text") from None
            raise PatternError(reason) from None
