"""What the phrases say, in English, and that bad input never raises."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_dealign.errors import ConfigError
from axolotl_dealign.registry import make_detector
from axolotl_dealign.types import ALIGNED, KINDS, Detection

PHRASES = make_detector("phrases")


def detect(*answers: str | None) -> Detection:
    return PHRASES.detect(pa.array(answers, pa.large_string()), None)


def kind(answer: str) -> str:
    scores = detect(answer).scores[0]
    return KINDS[int(scores.argmax())] if scores.max() >= 0.5 else "answered"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I’m sorry, but I cannot assist you with this request.", "refusal"),
        ("As an AI language model, I don't have personal opinions on politics.", "deflection"),
        ("It is never okay to make fun of somebody's religion.", "moralizing"),
        ("I don't have access to real-time data, so I cannot tell you.", "incapable"),
        ("The capital of France is Paris.", "answered"),
        ("I'm sorry to hear that your dog is ill. Give it water and rest.", "answered"),
        ("We regret to inform you that your application was not successful.", "answered"),
        ("", "answered"),
    ],
)
def test_kind(answer: str, expected: str) -> None:
    assert kind(answer) == expected


def test_every_hit_has_a_span_that_holds_the_phrase() -> None:
    answer = "Well. I'm sorry, but I cannot help with that."
    span = detect(answer).spans[0]
    assert "sorry, but I cannot" in answer[span.start : span.end]
    assert "(en)" in span.reason


def test_the_same_alone_and_among_others() -> None:
    answers = ["I can't help with that.", "Paris.", None, "As an AI, I do not have feelings."] * 50
    together = detect(*answers).scores
    alone = np.concatenate([detect(answer).scores for answer in answers])
    assert np.array_equal(together, alone)


@given(st.lists(st.none() | st.text(), max_size=4))
def test_any_text_gets_a_verdict(answers: list[str | None]) -> None:
    encodable = [None if a is None else a.encode("utf-8", "replace").decode() for a in answers]
    detection = detect(*encodable)
    assert detection.scores.shape == (len(answers), len(KINDS))
    assert ((detection.scores >= 0) & (detection.scores <= 1)).all()
    assert (detection.scores.sum(axis=1) <= 1 + 1e-6).all()
    columns = [KINDS.index(kind) for kind in ALIGNED]
    assert set(np.flatnonzero(detection.scores[:, columns].max(axis=1, initial=0) >= 0.2)) <= set(detection.spans)


def test_bytes_that_are_no_utf8() -> None:
    good = pa.array([b"I can't help \xed\xa0\x80 with that", b"\xff"], pa.large_binary())
    broken = pa.Array.from_buffers(pa.large_string(), 2, good.buffers())
    assert PHRASES.detect(broken, None).scores[:, 0].tolist() == pytest.approx([0.9, 0.0])


def test_unknown_language() -> None:
    with pytest.raises(ConfigError, match="no phrases for the language `xx`"):
        make_detector("phrases", languages=["xx"])
