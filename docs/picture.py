"""Draws the architecture from the code, as an SVG: which plugins use whose contracts, and what the kernel's parts are, in their order."""

import importlib
import textwrap
from collections.abc import Iterable, Mapping
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Final

import attrs
import grimp

from tavernkeep.schema import first_line

Graph = Mapping[str, set[str]]

_KERNEL: Final = "tavernkeep"
_PASSES: Final = "→"  # in the name of a place that a line passes
_WIDTH: Final = 760  # pixels, as wide as a page of the documentation
_BOX: Final = 26  # the height of a box
_MARGIN: Final = 30
_LINE: Final = 88  # characters of a line of text
_GAP: Final = 12  # between boxes of a row
_STEP: Final = 68  # from a row to the next
_CHARACTER: Final = 7.1  # the width of one, at the font's size
_STYLE: Final = """
  text { font: 12px system-ui, sans-serif; fill: #1d2530; text-anchor: middle }
  .title { font-weight: 600; text-anchor: start } .note { fill: #4a5563; text-anchor: start }
  .page { fill: #ffffff } .band { fill: #f4f6f9; stroke: #d5dbe3 }
  .plugin { fill: #e3eefb; stroke: #4a7ab5 } .kernel { fill: #fdf1dc; stroke: #b5853a }
  path { fill: none; stroke: #8793a3; stroke-width: 1.1 } .head { fill: #8793a3; stroke: none }
"""


def write_picture(file: Path, packages: Iterable[str]) -> None:
    """Draw the kernel and the plugins as they import each other now.

    Args:
        packages: The import names of the plugins.
    """
    imports = grimp.build_graph(_KERNEL, *packages, cache_dir=None)
    plugins: dict[str, set[str]] = {_plugin(package): set() for package in packages}
    kernel: dict[str, set[str]] = {part: set() for module in imports.modules if _is_kernel(module) and (part := _part(module))}
    for importer in imports.modules:
        for imported in imports.find_modules_directly_imported_by(importer):
            if _is_kernel(importer) != _is_kernel(imported):
                continue  # every plugin uses the kernel; of plugins it knows one, for `tavernkeep.testing`
            graph, name = (kernel, _part) if _is_kernel(importer) else (plugins, _plugin)
            user, used = name(importer), name(imported)
            if user and used and user != used:
                graph[user].add(used)
    file.write_text(_drawn(plugins, kernel), encoding="utf-8")


def _is_kernel(module: str) -> bool:
    return module.partition(".")[0] == _KERNEL


def _plugin(module: str) -> str:
    return module.partition(".")[0].removeprefix("tavernkeep_")


def _part(module: str) -> str:
    """The room or module of the kernel; nothing for what only gives names to what stands elsewhere."""
    part = module.split(".")[1] if "." in module else ""
    return "" if part in ("__main__", "testing") else part


def _is_for(part: str) -> list[str]:
    """What a part of the kernel is for, as it says itself, in lines; of the hooks, their names."""
    module = importlib.import_module(f"{_KERNEL}.{part}")
    if part == "hookspecs":
        return textwrap.wrap(" · ".join(name for name, value in vars(module).items() if hasattr(value, f"{_KERNEL}_spec")), _LINE)
    return textwrap.wrap(first_line(module).replace("`", ""), _LINE)


def layers(graph: Graph) -> list[list[str]]:
    """The names in rows, each above all those that it uses.

    >>> layers({"a": {"b", "c"}, "b": {"c"}, "c": set()})
    [['a'], ['b'], ['c']]

    Raises:
        ValueError: Some use each other in a circle.
    """
    height: dict[str, int] = {}

    def climb(name: str, path: tuple[str, ...]) -> int:
        if name in path:
            raise ValueError("a circle of imports: " + " → ".join((*path, name)))
        if name not in height:
            height[name] = 1 + max((climb(used, (*path, name)) for used in graph[name]), default=-1)
        return height[name]

    for name in graph:
        climb(name, ())
    return [sorted(name for name in graph if height[name] == level) for level in reversed(range(max(height.values(), default=-1) + 1))]


def routed(graph: Graph) -> tuple[list[list[str]], Graph]:
    """The rows, and the graph, with a place in each row that a line passes on its way; in a row, what uses the same is near each other.

    >>> routed({"a": {"b", "c"}, "b": {"c"}, "c": set()})[0]
    [['a'], ['a→c 1', 'b'], ['c']]
    """
    rows = layers(graph)
    level = {name: index for index, row in enumerate(rows) for name in row}
    steps: dict[str, set[str]] = {name: set() for name in graph}
    for name, uses in graph.items():
        for used in uses:
            passed = [f"{name}{_PASSES}{used} {index}" for index in range(level[name] + 1, level[used])]
            for index, place in enumerate(passed, level[name] + 1):
                rows[index].append(place)
            for one, next_ in pairwise((name, *passed, used)):
                steps.setdefault(one, set()).add(next_)
    place_of: dict[str, float] = {}
    for row in reversed(rows):
        row.sort(key=lambda name: (sum(place_of[used] for used in steps[name]) / max(1, len(steps[name])), name))
        place_of.update((name, (index + 0.5) / len(row)) for index, name in enumerate(row))
    return rows, steps


def reduced(graph: Graph) -> Graph:
    """The graph without what follows from the rest of it.

    >>> reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}
    True
    """

    def reach(name: str) -> set[str]:
        return set().union(*({used} | reach(used) for used in graph[name]))

    return {name: {used for used in uses if not any(used in reach(other) for other in uses - {used})} for name, uses in graph.items()}


@attrs.define
class _Page:
    """What has been drawn so far; boxes are above the lines between them."""

    lines: list[str] = attrs.field(factory=list)
    boxes: list[str] = attrs.field(factory=list)
    places: dict[str, tuple[float, float, float]] = attrs.field(factory=dict)

    def box(self, kind: str, name: str, left: float, top: float, width: float) -> None:
        self.places[name] = (left + width / 2, top, width)
        if _PASSES not in name:
            self.boxes.append(f'<rect class="{kind}" x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{_BOX}" rx="5"/>')
            self.boxes.append(f'<text x="{left + width / 2:.0f}" y="{top + _BOX / 2 + 4:.0f}">{escape(name)}</text>')

    def row(self, kind: str, names: list[str], top: float) -> None:
        gap = (_WIDTH - 2 * _MARGIN - sum(map(_width, names))) / (len(names) + 1)
        left = _MARGIN + gap
        for name in names:
            self.box(kind, name, left, top, _width(name))
            left += _width(name) + gap

    def arrows(self, steps: Graph) -> None:
        for name, uses in steps.items():
            middle, top, width = self.places[name]
            top += _BOX
            for index, used in enumerate(sorted(uses, key=lambda other: self.places[other][0]), 1):
                start = middle + width * (index / (len(uses) + 1) - 0.5)
                end, below, _ = self.places[used]
                stop = below + _BOX if _PASSES in used else below - 5
                bend = (below - top) / 2
                curve = f"C{start:.0f},{top + bend:.0f} {end:.0f},{below - bend:.0f} {end:.0f},{below:.0f} L{end:.0f},{stop:.0f}"
                self.lines.append(f'<path d="M{start:.0f},{top:.0f} {curve}"/>')
                if _PASSES not in used:
                    self.lines.append(f'<path class="head" d="M{end:.0f},{below:.0f} l-3.5,-7 h7 z"/>')

    def write(self, kind: str, text: str, left: float, top: float) -> None:
        self.boxes.append(f'<text class="{kind}" x="{left:.0f}" y="{top:.0f}">{escape(text)}</text>')


def _width(name: str) -> float:
    return 4 if _PASSES in name else len(name) * _CHARACTER + 18


def _drawn(plugins: Graph, kernel: Graph) -> str:
    page = _Page()
    page.write("title", "Plugins: an arrow is the use of another's contracts", _MARGIN, 30)
    used = set().union(*plugins.values())
    alone = sorted(name for name, uses in plugins.items() if not uses and name not in used)
    rows, steps = routed(reduced({name: uses for name, uses in plugins.items() if name not in alone}))
    top = 48.0
    for row in rows:
        page.row("plugin", row, top)
        top += _STEP
    page.arrows(steps)
    page.write("note", "and these, which use no other's:", _MARGIN, top - 12)
    left = float(_MARGIN)
    for name in alone:
        if left + _width(name) > _WIDTH - _MARGIN:
            left, top = _MARGIN, top + _BOX + _GAP
        page.box("plugin", name, left, top, _width(name))
        left += _width(name) + _GAP
    middle = top + _BOX + 14
    page.write("title", "Kernel: each part uses only those below it; plugins use its contracts and hooks", _MARGIN, middle + 36)
    top = middle + 52
    widest = max(map(_width, kernel))
    for part in (part for row in layers(kernel) for part in row):
        page.box("kernel", part, _MARGIN, top, widest)
        lines = _is_for(part)
        for index, line in enumerate(lines):
            page.write("note", line, _MARGIN + widest + _GAP, top + _BOX / 2 + 4 + 16 * index)
        top += max(_BOX, 16 * len(lines)) + 8
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 14:.0f}" width="{_WIDTH}" height="{top + 14:.0f}">',
            f"<style>{_STYLE}</style>",
            f'<rect class="page" width="{_WIDTH}" height="{top + 14:.0f}" rx="8"/>',
            f'<rect class="band" x="12" y="8" width="{_WIDTH - 24}" height="{middle - 8:.0f}" rx="8"/>',
            f'<rect class="band" x="12" y="{middle + 12:.0f}" width="{_WIDTH - 24}" height="{top - middle - 8:.0f}" rx="8"/>',
            *page.lines,
            *page.boxes,
            "</svg>",
            "",
        ]
    )
