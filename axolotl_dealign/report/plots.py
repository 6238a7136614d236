"""Forest plots: laid out for the page, and drawn for a paper."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from axolotl_dealign.report.blocks import Forest, Point
from axolotl_dealign.report.text import visible
from axolotl_dealign.report.words import MINUS, interval, points, with_interval

# Okabe and Ito's colours, told apart by colour-blind readers; the marker differs as well.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
MARKERS = ("o", "s", "D", "^", "v", "P")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point stands on the scale, in per cent of its width; None where it has no interval."""

    point: Point
    series: int
    first: bool
    rows: int
    text: str
    x: str
    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class Scale:
    """The common scale of a forest plot: where its ticks and zero stand, in per cent of its width."""

    ticks: list[tuple[str, str]]
    zero: str
    places: list[Place]
    series: list[str]


def layout(forest: Forest) -> Scale:
    """Places on a common scale that holds zero and every interval."""
    low, high, ticks = _range(forest)
    series = list(dict.fromkeys(point.arm for point in forest.points))

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    labels = [point.label for point in forest.points]
    places = [
        Place(
            point=point,
            series=series.index(point.arm) % len(COLOURS),
            first=i == 0 or labels[i - 1] != point.label,
            rows=next((j for j, other in enumerate(labels[i:]) if other != point.label), len(labels) - i),
            text=with_interval(point.effect),
            x=at(point.effect.estimate),
            low=None if math.isnan(point.effect.low) else at(point.effect.low),
            high=None if math.isnan(point.effect.high) else at(point.effect.high),
        )
        for i, point in enumerate(forest.points)
    ]
    return Scale(
        [(at(tick), f"{100 * tick:+g}".replace("-", MINUS) if tick else "0") for tick in ticks], at(0), places, series
    )


def draw(forest: Forest) -> Iterator[tuple[str, bytes]]:
    """The plot as ("svg", …) and ("png", …) at 300 dpi, black on white."""
    series = list(dict.fromkeys(point.arm for point in forest.points))
    height = 0.9 + 0.26 * len(forest.points)
    figure = Figure(figsize=(6.5, height), layout="constrained")
    axes = figure.subplots()
    drawn: set[str] = set()
    for y, point in enumerate(forest.points):
        kind = series.index(point.arm) % len(COLOURS)
        effect = point.effect
        if not math.isnan(effect.low):
            axes.plot([100 * effect.low, 100 * effect.high], [y, y], color=COLOURS[kind], lw=1.4, solid_capstyle="butt")
        label = None if point.arm in drawn else visible(point.arm)
        axes.plot([100 * effect.estimate], [y], MARKERS[kind], color=COLOURS[kind], ms=4.5, label=label, ls="none")
        drawn.add(point.arm)
        text = f"{points(effect.estimate)}  [{interval(effect)}]"
        axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7)
    firsts = [i for i, p in enumerate(forest.points) if i == 0 or forest.points[i - 1].label != p.label]
    names = [visible(forest.points[i].label, 60) for i in firsts]
    axes.set_yticks(firsts, names, fontsize=8, parse_math=False)
    axes.axvline(0, color="0.4", lw=0.8, zorder=0)
    for i in firsts[1:] if len(series) > 1 else []:
        axes.axhline(i - 0.5, color="0.85", lw=0.6, zorder=0)
    axes.set_ylim(len(forest.points) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("difference in percentage points, 95 % interval", fontsize=8)
    if len(series) > 1:
        legend = axes.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        for text_ in legend.get_texts():
            text_.set_parse_math(False)
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes, and still right in the report itself.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        for kind_ in ("svg", "png"):
            buffer = BytesIO()
            figure.savefig(buffer, format=kind_, dpi=300, metadata={"Date": None} if kind_ == "svg" else {})
            yield kind_, buffer.getvalue()


def _range(forest: Forest) -> tuple[float, float, list[float]]:
    ends = [0.0]
    for point in forest.points:
        ends += [v for v in (point.effect.estimate, point.effect.low, point.effect.high) if not math.isnan(v)]
    low, high = min(ends), max(ends)
    if low == high:
        low, high = -0.01, 0.01
    ticks = [float(tick) for tick in MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(100 * low, 100 * high)]
    # The ends of the axis are ticks, so that no label is cut off where the plot is narrow.
    return ticks[0] / 100, ticks[-1] / 100, [tick / 100 for tick in ticks]
