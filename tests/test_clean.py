from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import ToyDetector

from axolotl_dealign.args import Dealign
from axolotl_dealign.clean import clean
from axolotl_dealign.formats import find_format
from axolotl_dealign.policy import decide
from axolotl_dealign.verdicts import join, judge


def run(rows: list[dict], **settings):
    table = pa.Table.from_pylist(rows)
    return clean(table, find_format(table.schema, None, {}, "data"), [ToyDetector()], Dealign(**settings))


def outputs(table: pa.Table) -> list:
    return table.column("output").to_pylist()


ROWS = [{"output": text} for text in ["yes", "REFUSAL", "HEDGED", "SOFT", "INCAPABLE", "?", None]]


def test_aligned_rows_go_and_the_others_stay_in_order():
    cleaned = run(ROWS)
    assert outputs(cleaned.kept) == ["yes", "HEDGED", "INCAPABLE", "?", None]
    assert outputs(cleaned.removed) == ["REFUSAL", "SOFT"]


def test_every_answer_is_counted_once():
    assert run(ROWS).verdicts.counts() == {
        "refusal": 2,
        "deflection": 0,
        "moralizing": 0,
        "incapable": 1,
        "hedged": 1,
        "answered": 2,
        "undecided": 1,
        "unscored": 0,
    }


def test_the_user_chooses_the_kinds():
    assert outputs(run(ROWS, remove=["hedged", "incapable"]).removed) == ["HEDGED", "INCAPABLE"]


def test_the_threshold():
    assert outputs(run(ROWS, threshold=0.7).removed) == ["REFUSAL"]
    assert outputs(run(ROWS, preset="strict").removed) == ["REFUSAL"]
    assert outputs(run(ROWS, preset="thorough").removed) == ["REFUSAL", "SOFT"]


def test_the_arm_aligned_only_counts():
    cleaned = run(ROWS, arm="aligned")
    assert cleaned.removed.num_rows == 0
    assert cleaned.verdicts.counts()["refusal"] == 2


def test_the_arm_control_removes_as_many_rows_at_random():
    rows = [{"output": "REFUSAL" if i % 3 == 0 else str(i)} for i in range(90)]
    first, again, other = (run(rows, arm="control", seed=seed) for seed in (1, 1, 2))
    assert first.removed.num_rows == 30
    assert outputs(first.removed) == outputs(again.removed)
    assert outputs(first.removed) != outputs(other.removed)
    assert 0 < sum(text == "REFUSAL" for text in outputs(first.removed)) < 30


def test_a_silent_detector_leaves_a_row_undecided_unless_another_finds_it():
    table = pa.table({"output": ["?", "REFUSAL"]})

    class Silent(ToyDetector):
        def detect(self, answers, prompts):
            found = super().detect(answers, prompts)
            found.scores[:] = float("nan")
            return found

    row_format = find_format(table.schema, None, {}, "data")
    verdicts = judge(table, row_format, [ToyDetector(), Silent()], Dealign())
    assert verdicts.counts()["undecided"] == 1
    assert verdicts.counts()["refusal"] == 1


@pytest.mark.parametrize("arm", ["aligned", "dealigned", "control"])
@given(
    texts=st.lists(st.sampled_from(["yes", "REFUSAL", "SOFT", "?", "", None]), min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=3),
)
def test_no_row_is_lost_and_pieces_decide_as_the_whole(arm, texts, cuts):
    table = pa.table({"output": pa.array(texts, pa.string()), "id": range(len(texts))})
    settings = Dealign(arm=arm)
    row_format = find_format(table.schema, None, {}, "data")
    cleaned = clean(table, row_format, [ToyDetector()], settings)
    kept, removed = cleaned.kept.column("id").to_pylist(), cleaned.removed.column("id").to_pylist()
    assert sorted(kept + removed) == list(range(len(texts)))
    assert kept == sorted(kept)

    edges = sorted({0, len(texts), *(cut for cut in cuts if cut < len(texts))})
    pieces = [table.slice(a, b - a) for a, b in zip(edges, edges[1:], strict=False)]
    joined = join([judge(piece, row_format, [ToyDetector()], settings) for piece in pieces])
    assert decide(joined, row_format, settings).removed.tolist() == removed
    assert joined.spans == cleaned.verdicts.spans
