"""Plots as SVG text, without any library: small, self-contained, readable in a browser and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 220, 46, 40, 26
_INNER_W, _INNER_H = WIDTH - LEFT - 12, HEIGHT - BOTTOM - TOP


def histogram(values: Sequence[float], title: str, unit: str, bins: int = 20) -> str:
    """How often which value, up to the 99th percentile; an empty frame of nothing."""
    if not len(values):
        return _frame(title, unit, "", (0, 1), (0, 1))
    whole = np.asarray(values, float)
    top = max(float(np.percentile(whole, 99)), float(whole.min()) + 1e-9)
    if np.array_equal(whole, whole.round()) and top - whole.min() < bins:  # counts: one bar a number
        edges = np.arange(whole.min() - 0.5, np.ceil(top) + 1)
    else:
        edges = np.linspace(float(whole.min()), top, bins + 1)
    counts, _ = np.histogram(whole, edges)
    xs, ys = (float(edges[0]), float(edges[-1])), (0.0, float(max(counts.max(), 1)))
    bars = "".join(
        f'<rect x="{_x(a, xs) + 0.5:.1f}" y="{_y(n, ys):.1f}" width="{max(_x(b, xs) - _x(a, xs) - 1, 0.5):.1f}" '
        f'height="{_y(0, ys) - _y(n, ys):.1f}"/>'
        for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)
    )
    middle = float(np.median(whole))
    line = f'<line class="m" x1="{_x(middle, xs):.1f}" x2="{_x(middle, xs):.1f}" y1="{TOP}" y2="{TOP + _INNER_H}"/>'
    return _frame(f"{title} (median {middle:.3g})", unit, bars + line, xs, ys)


def scatter(x: Sequence[float], y: Sequence[float], title: str, unit: str) -> str:
    """One dot a pair."""
    if not len(x):
        return _frame(title, unit, "", (0, 1), (0, 1))
    xs = (float(min(x)), float(max(x)) if max(x) > min(x) else float(min(x)) + 1)
    ys = (0.0, float(max(y)) or 1.0)
    dots = "".join(f'<circle cx="{_x(a, xs):.1f}" cy="{_y(b, ys):.1f}" r="2.5"/>' for a, b in zip(x, y, strict=True))
    return _frame(title, unit, dots, xs, ys)


def _x(value: float, span: tuple[float, float]) -> float:
    return LEFT + _INNER_W * (value - span[0]) / (span[1] - span[0])


def _y(value: float, span: tuple[float, float]) -> float:
    return TOP + _INNER_H * (1 - (value - span[0]) / (span[1] - span[0]))


def _frame(title: str, unit: str, inside: str, xs: tuple[float, float], ys: tuple[float, float]) -> str:
    marks = "".join(
        f'<text x="{_x(v, xs):.0f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{v:.3g}</text>'
        for v in np.linspace(*xs, 4)
    ) + "".join(
        f'<text x="{LEFT - 6}" y="{_y(v, ys) + 4:.0f}" text-anchor="end">{v:.3g}</text>' for v in np.linspace(*ys, 3)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text x="{LEFT}" y="16" class="t">{escape(title)}</text>{inside}'
        f'<path class="a" d="M{LEFT} {TOP}V{TOP + _INNER_H}H{LEFT + _INNER_W}"/>{marks}'
        f'<text x="{LEFT + _INNER_W / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(unit)}</text></svg>'
    )
