"""What sections are made of: paragraphs, tables, plots, quotes. All text in them is text, never markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from axolotl_dealign.stats import Effect
from axolotl_dealign.types import JSON


@dataclass(frozen=True, slots=True)
class Table:
    """A table: cells are text, and shown as text.

    Attributes:
        columns: The headings; one that starts with ">" holds numbers and is set to the right.
        rows: One cell a column.
        caption: What it shows, above it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A row of a forest plot: an arm's difference with its interval, on one benchmark or subtask."""

    label: str
    arm: str
    effect: Effect
    p: str = ""
    cells: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Forest:
    """Differences with their intervals on one scale, in percentage points.

    Attributes:
        points: The rows; those of one label stand together.
        caption: What is subtracted from what.
        columns: Headings of the points' `cells`, which stand between label and plot.
        name: The plot is also written as report-NAME.svg and .png; "" for no file.
    """

    points: Sequence[Point]
    caption: str
    columns: Sequence[str] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One answer on the first screen."""

    question: str
    answer: str
    detail: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Facts:
    """The first screen: questions with their answers."""

    facts: Sequence[Fact]


@dataclass(frozen=True, slots=True)
class Quote:
    """A row's or a model's own words, with the matched characters marked where there are any."""

    title: str
    text: str
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Quotes:
    """Examples."""

    quotes: Sequence[Quote]


@dataclass(frozen=True, slots=True)
class Flips:
    """Questions that two arms answered differently, for the viewer.

    Attributes:
        first: The arm on the left.
        second: The arm on the right.
        records: What the viewer shows; see report.js.
        total: How many there are; more than `records` where some are left out.
    """

    first: str
    second: str
    records: Sequence[JSON]
    total: int


Block = str | Table | Forest | Facts | Quotes | Flips


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report; what it holds is written to all three files.

    Attributes:
        name: A slug, unique among the sections: its anchor and its key in report.json.
        title: The heading.
        blocks: Paragraphs (plain strings), tables, plots. All text in them is shown as text, never as markup.
        data: What report.json holds for it.
    """

    name: str
    title: str
    blocks: Sequence[Block]
    data: JSON = field(default_factory=dict)
