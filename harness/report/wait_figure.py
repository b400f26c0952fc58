"""The waits of a finding's goroutines as a figure for any HTML page; its style comes with it."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from markupsafe import Markup, escape

from harness.buildkit.goroutines.model import Goroutine
from harness.buildkit.goroutines.picture import Node, Picture, picture_of
from harness.core.records import Diagnosis

_WIDE, _HIGH, _ACROSS, _DOWN = 300, 46, 400, 66
"""Pixels: a box, and the steps from one to the next."""
_BELOW: Final = 40
"""How far an arrow that leads back dips."""
_LETTERS: Final = 40
"""As many fit into a box."""
_LONG_MINUTES: Final = 5
_STYLE: Final = Markup(
    "<style>.waits svg{width:100%;height:auto;font-size:13px}.waits rect{fill:var(--fill,#f4f7fa);stroke:#86bbd8}"
    ".waits .thing rect{fill:var(--paper,#fff);stroke:#888;stroke-dasharray:4 3}"
    ".waits .long rect{fill:var(--bad-back,#fdecea);stroke:#c0392b}"
    ".waits .named rect{stroke-width:3}.waits text{fill:var(--ink,#222)}"
    ".waits .note{fill:var(--faint,#666);font-size:11px}"
    ".waits path{fill:none;stroke:#4a86b5}.waits path.held{stroke:#c0392b;stroke-dasharray:5 3}"
    ".waits marker path{fill:#4a86b5;stroke:none}.waits figcaption{color:var(--faint,#666)}</style>"
)


def wait_figure(found: Diagnosis, dump: Sequence[Goroutine]) -> Markup:
    """Return the waits as a `<figure>`; empty if no goroutine waits for a lock, a group or something outside.

    Args:
        found: what the dumps come to: the goroutines that it names are shown, and drawn with a thick line.
        dump: the last of them, as `read_dump(EvidenceFolder.dumps()[-1])` returns it.
    """
    picture = picture_of(dump, found.goroutines)
    if not picture.nodes:
        return Markup("")
    return Markup(
        '<figure class="waits">{}{}<figcaption>Each box is goroutines at one place: red ones have waited for minutes, '
        "thick ones are those that the diagnosis rests on. A dashed box is what they wait for; a dashed arrow leads "
        "from a lock to who holds it.</figcaption></figure>"
    ).format(_STYLE, drawing(picture))


def drawing(picture: Picture) -> Markup:
    """Return the picture as SVG: a waiter stands left of what it waits for."""
    columns = _columns(picture)
    places: dict[int, tuple[int, int]] = {}
    filled: dict[int, int] = {}
    for number in range(len(picture.nodes)):
        column = columns[number]
        row = filled[column] = filled.get(column, -1) + 1
        places[number] = 10 + column * _ACROSS, 10 + row * _DOWN
    width = 20 + max(columns.values(), default=0) * _ACROSS + _WIDE
    height = 20 + (max(filled.values(), default=0) + 1) * _DOWN + _BELOW // 2
    tip = f"to-{sha256(repr(picture).encode()).hexdigest()[:8]}"  # a page may have several figures
    head = Markup(
        '<svg viewBox="0 0 {} {}" style="max-width:{}px" role="img" aria-label="who waits for whom">'
        '<defs><marker id="{}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker></defs>'
    ).format(width, height, width, tip)
    arrows = Markup("").join(_arrow(places[a.start], places[a.end], a.count, tip, held=a.held) for a in picture.arrows)
    boxes = Markup("").join(_box(places[number], node) for number, node in enumerate(picture.nodes))
    return head + arrows + boxes + Markup("</svg>")


def _columns(picture: Picture) -> Mapping[int, int]:
    """Return in which column each node stands: right of all that wait for it, but for arrows that close a circle."""
    ahead: dict[int, list[int]] = {}
    for arrow in picture.arrows:
        ahead.setdefault(arrow.start, []).append(arrow.end)
    order: list[int] = []
    open_: set[int] = set()
    back: set[tuple[int, int]] = set()

    def visit(number: int) -> None:
        open_.add(number)
        for end in ahead.get(number, ()):
            if end in open_:
                back.add((number, end))
            elif end not in order:
                visit(end)
        open_.remove(number)
        order.append(number)

    ends = {arrow.end for arrow in picture.arrows}
    for number in sorted(range(len(picture.nodes)), key=lambda number: number in ends):
        if number not in order:
            visit(number)
    columns = dict.fromkeys(range(len(picture.nodes)), 0)
    for number in reversed(order):
        for end in ahead.get(number, ()):
            if (number, end) not in back:
                columns[end] = max(columns[end], columns[number] + 1)
    return columns


def _box(place: tuple[int, int], node: Node) -> Markup:
    x, y = place
    kind = "thing" if not node.is_goroutines else "long" if node.most_minutes >= _LONG_MINUTES else "some"
    named = " named" if node.named else ""
    name = node.name if len(node.name) <= _LETTERS else f"…{node.name[1 - _LETTERS :]}"
    return Markup(
        '<g class="{}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="6"/>'
        '<text x="{}" y="{}">{}</text><text class="note" x="{}" y="{}">{}</text></g>'
    ).format(kind + named, _full(node), x, y, _WIDE, _HIGH, x + 8, y + 19, name, x + 8, y + 36, caption(node))


def _arrow(start: tuple[int, int], end: tuple[int, int], count: int, tip: str, *, held: bool) -> Markup:
    """Draw an arrow: from side to side, or, where it leads back, below the boxes."""
    if end[0] > start[0]:
        x, y, to_x, to_y = start[0] + _WIDE, start[1] + _HIGH // 2, end[0], end[1] + _HIGH // 2
        bend = max(40, (to_x - x) // 2)
        curve = f"M{x} {y}C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"
    else:
        x, y, to_x, to_y = start[0] + _WIDE // 2, start[1] + _HIGH, end[0] + _WIDE // 2 - 20, end[1] + _HIGH
        curve = f"M{x} {y}C{x} {y + _BELOW} {to_x} {to_y + _BELOW} {to_x} {to_y}"
    note = "is held by" if held else str(count)
    return Markup('<path class="{}" d="{}" marker-end="url(#{})"/><text class="note" x="{}" y="{}">{}</text>').format(
        "held" if held else "wait", curve, tip, x + 6, y - 4 if end[0] > start[0] else y + 14, note
    )


def caption(node: Node) -> str:
    """Return what a node is, in words: ``12 × select, 3 to 5 min``."""
    if not node.is_goroutines:
        return "waited for"
    least, most = node.least_minutes, node.most_minutes
    waits = f", {most} min" if most and least == most else f", {least} to {most} min" if most else ""
    return f"{node.count} × {node.state}{waits}"


def _full(node: Node) -> Markup:
    ids = ", ".join(map(str, node.ids[:20]))
    return escape(f"{node.name}: {caption(node)}{f'; goroutines {ids}' if ids else ''}")
