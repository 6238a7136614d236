"""The words of the project as frozen dataclasses: kinds, arms, spans, detections.

Nothing here does I/O or imports anything heavier than numpy; every other module may import this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Kind = Literal["refusal", "deflection", "moralizing", "incapable", "hedged"]
"""What an answer can be besides `answered`.

refusal     declines what was asked
deflection  policy, or "as an AI I have no opinion", in place of an answer
moralizing  a lecture or a redirection in place of an answer
incapable   "I can't browse", "I don't know"
hedged      a disclaimer, then a real answer
"""

KINDS: tuple[Kind, ...] = get_args(Kind)
"""Order of the columns of `Detection.scores`."""

ALIGNED: tuple[Kind, ...] = ("refusal", "deflection", "moralizing")
"""The kinds that are aligned answers unless the user says otherwise."""

Arm = Literal["base", "aligned", "dealigned", "control", "overrefusal"]
"""base: the untrained model, scored only. aligned: all rows. dealigned: aligned rows removed.
control: as many rows removed, at random. overrefusal: only aligned answers to harmless prompts removed."""

ARMS: tuple[Arm, ...] = get_args(Arm)

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """Why a detector gave an answer its score.

    Attributes:
        start: First code point of the match in the answer.
        end: One past the last code point; equal to `start` where the reason has no single place in the text.
        reason: The name of the phrase that matched, or the strongest features, in words a person can check.
    """

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Detection:
    """What one detector says about `n` answers.

    The kinds exclude each other: a row of `scores` sums to at most 1, and the rest is the score of `answered`.
    The score of a set of kinds is therefore the sum over the set.

    Attributes:
        scores: float32, shape (n, len(KINDS)), each in [0, 1], columns in the order of `KINDS`. A row of NaN
            means that the detector could not say (`undecided`), which is never the same as a row of 0.
        spans: Answer index -> why. Sparse: there must be one for every answer with a kind at 0.2 or above
            (the lowest threshold that removes anything); the others need none.
    """

    scores: Scores
    spans: Mapping[int, Span] = field(default_factory=dict)


JSON = dict[str, Any]
"""A parsed JSON object, where its shape is somebody else's."""
