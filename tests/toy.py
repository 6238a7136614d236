"""A detector whose verdict can be read off the text, so that tests of everything else do not depend on ours.

`REFUSAL` in an answer scores refusal 1.0, `SOFT` 0.6, `HEDGED` hedged 1.0, `INCAPABLE` incapable 1.0, `?` cannot say.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from axolotl_dealign import Detection, Span
from axolotl_dealign.types import KINDS

WORDS = {
    "REFUSAL": ("refusal", 1.0),
    "SOFT": ("refusal", 0.6),
    "HEDGED": ("hedged", 1.0),
    "INCAPABLE": ("incapable", 1.0),
}


class ToyDetector:
    """See the module."""

    fingerprint = "toy"

    def detect(self, answers: pa.Array, prompts: pa.Array | None) -> Detection:
        scores = np.zeros((len(answers), len(KINDS)), np.float32)
        spans = {}
        for i, text in enumerate(answers.to_pylist()):
            if text == "?":
                scores[i] = np.nan
            for word, (kind, score) in WORDS.items():
                if text and word in text:
                    scores[i, KINDS.index(kind)] = score
                    spans[i] = Span(text.index(word), text.index(word) + len(word), word)
        return Detection(scores, spans)
