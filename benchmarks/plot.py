"""The picture for the manual: operations down, ratios to plain Django across, a mark for each contender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

__all__ = ["SERIES", "plot"]

# Colours that can be told apart, with most kinds of colour blindness too, on white and on black; and a shape for each.
SERIES = {
    "cacheops": ("#d9822b", "triangle"),
    "cachalot": ("#9a7bd0", "square"),
    "everfresh": ("#2f9e7f", "circle"),
    "near": ("#3f8fd2", "diamond"),
}
INK = "#7f868d"
WIDTH, LEFT, RIGHT, TOP, ROW = 700, 165, 24, 54, 34
Ratios = Mapping[str, Mapping[str, Sequence[float]]]
"""By operation and contender: lower quartile, median and upper quartile of the time relative to plain Django's."""


def plot(ratios: Ratios, title: str) -> str:
    """An SVG document."""
    figures = [figure for row in ratios.values() for spread in row.values() for figure in spread]
    low, high = floor(log10(min(figures))), ceil(log10(max(figures)))
    height = TOP + ROW * len(ratios) + 34

    def x(ratio: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (log10(ratio) - low) / (high - low)

    canvas = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
    parts = [
        f'<svg {canvas} font-family="sans-serif" font-size="13" fill="{INK}" aria-label="{escape(title)}">',
        f'<text x="8" y="18" font-weight="bold">{escape(title)}</text>',
        *_legend(),
        *_axis(low, high, height, x(1)),
    ]
    for decade in range(low, high + 1):
        at = x(10**decade)
        parts.append(_line(at, TOP, at, height - 30, width=0.5))
        parts.append(f'<text x="{at:.1f}" y="{height - 12}" text-anchor="middle">{_multiple(decade)}</text>')
    for number, (operation, row) in enumerate(ratios.items()):
        middle = TOP + ROW * (number + 0.5)
        parts.append(f'<text x="{LEFT - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(operation)}</text>')
        for place, (contender, (colour, shape)) in enumerate(SERIES.items()):
            if contender in row:
                low_end, median, high_end = map(x, row[contender])
                y = middle + 6.5 * (place - (len(SERIES) - 1) / 2)
                parts.append(_line(low_end, y, high_end, y, colour=colour, width=1.5))
                parts.append(_mark(shape, median, y, colour))
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> list[str]:
    parts = []
    for number, (contender, (colour, shape)) in enumerate(SERIES.items()):
        at = LEFT + 110 * number
        parts.append(_mark(shape, at, 36, colour))
        parts.append(f'<text x="{at + 9}" y="40">{contender}</text>')
    return parts


def _axis(low: int, high: int, height: int, one: float) -> list[str]:
    return [_line(one, TOP - 4, one, height - 30, width=1.6)] if low <= 0 <= high else []


def _multiple(decade: int) -> str:
    return "plain" if not decade else f"{10**decade}x" if decade > 0 else f"1/{10**-decade}"


def _line(x1: float, y1: float, x2: float, y2: float, *, width: float, colour: str = INK) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _mark(shape: str, x: float, y: float, colour: str) -> str:
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    corners = {
        "triangle": [(0, -4.5), (4.5, 3.5), (-4.5, 3.5)],
        "square": [(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
        "diamond": [(0, -5), (5, 0), (0, 5), (-5, 0)],
    }[shape]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" fill="{colour}"/>'
