"""Numbers and verdicts in words; a verdict says no more than its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from axolotl_dealign.stats import Effect

NONE = "–"
MINUS = "−"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 1 in per cent."""
    return NONE if share is None or math.isnan(share) else f"{_minus(f'{100 * share:.{digits}f}')} %"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    return NONE if difference is None or math.isnan(difference) else _minus(f"{100 * difference:+.1f}")


def interval(effect: Effect | None) -> str:
    """The 95 % interval in percentage points."""
    if effect is None or math.isnan(effect.low):
        return NONE
    return f"{points(effect.low)} to {points(effect.high)}"


def with_interval(effect: Effect | None) -> str:
    """An estimate in percentage points and its 95 % interval."""
    return NONE if effect is None else f"{points(effect.estimate)} ({interval(effect)})"


def p_value(p: float | None) -> str:
    """A p value, no more exact than anybody needs."""
    return NONE if p is None or math.isnan(p) else ("<0.001" if p < 0.001 else f"{p:.3f}")


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def count(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
