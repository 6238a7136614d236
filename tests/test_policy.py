"""What happens to conversations, preference pairs and KTO rows."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import ToyDetector

from axolotl_dealign.args import Dealign
from axolotl_dealign.clean import clean
from axolotl_dealign.formats import find_format


def run(rows: list[dict], kind: str | None = None, **settings):
    table = pa.Table.from_pylist(rows)
    return clean(table, find_format(table.schema, kind, {}, "data"), [ToyDetector()], Dealign(**settings))


def chat(*turns: str | None) -> dict:
    """Turns of user and assistant in turn."""
    return {"messages": [{"role": ["user", "assistant"][i % 2], "content": text} for i, text in enumerate(turns)]}


def texts(table: pa.Table) -> list[list[str]]:
    return [[message["content"] for message in row] for row in table.column("messages").to_pylist()]


CHATS = [
    chat("a", "b", "c", "REFUSAL", "d", "e"),
    chat("a", "REFUSAL"),
    chat("a", "b"),
    chat("a", "b", "c", "d", "e", "SOFT"),
]


def test_a_conversation_with_an_aligned_turn_goes_whole_by_default():
    cleaned = run(CHATS)
    assert texts(cleaned.kept) == [["a", "b"]]
    assert cleaned.removed.num_rows == 3


def test_truncate_cuts_before_the_question_of_the_first_aligned_turn():
    cleaned = run(CHATS, on_turn="truncate")
    assert texts(cleaned.kept) == [["a", "b"], ["a", "b"], ["a", "b", "c", "d"]]
    assert texts(cleaned.removed) == [["a", "REFUSAL"]]  # nothing was left to learn
    assert cleaned.kept.schema == cleaned.removed.schema


def test_mask_keeps_every_text_and_marks_the_aligned_turns():
    cleaned = run(CHATS, "chat_template", on_turn="mask")
    assert cleaned.removed.num_rows == 0
    assert texts(cleaned.kept) == texts(pa.Table.from_pylist(CHATS))
    marks = [[message["train"] for message in row] for row in cleaned.kept.column("messages").to_pylist()]
    assert marks == [
        [None, None, None, False, None, None],
        [None, False],
        [None, None],
        [None, None, None, None, None, False],
    ]


def test_mask_leaves_the_marks_that_were_there():
    row = chat("a", "b", "c", "REFUSAL")
    for message, mark in zip(row["messages"], [False, True, None, True], strict=True):
        message["train"] = mark
    marks = [message["train"] for message in run([row], on_turn="mask").kept.column("messages").to_pylist()[0]]
    assert marks == [False, True, None, False]


def pair(chosen: str, rejected: str) -> dict:
    return {"prompt": "p", "chosen": chosen, "rejected": rejected}


PAIRS = [pair("REFUSAL", "yes"), pair("yes", "REFUSAL"), pair("REFUSAL", "SOFT"), pair("a", "b"), pair("REFUSAL", "?")]


def test_an_aligned_chosen_goes_and_an_aligned_rejected_stays():
    kept = run(PAIRS).kept.to_pylist()
    assert kept == [PAIRS[1], PAIRS[3]]


def test_swap_only_where_the_rejected_one_answers():
    cleaned = run(PAIRS, on_chosen="swap")
    assert cleaned.kept.to_pylist() == [pair("yes", "REFUSAL"), PAIRS[1], PAIRS[3]]
    assert cleaned.removed.to_pylist() == [PAIRS[2], PAIRS[4]]


def test_swap_of_conversations():
    def turns(answer):
        return [{"role": "user", "content": "p"}, {"role": "assistant", "content": answer}]

    rows = [{"chosen": turns("REFUSAL"), "rejected": turns("yes")}, {"chosen": turns("a"), "rejected": turns("b")}]
    kept = run(rows, on_chosen="swap").kept.to_pylist()
    assert kept == [{"chosen": turns("yes"), "rejected": turns("REFUSAL")}, rows[1]]


def test_of_a_preference_conversation_only_the_last_answer_counts():
    history = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "REFUSAL"}]
    last = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "yes"}]
    assert run([{"chosen": history + last, "rejected": history + last}]).kept.num_rows == 1


def kto(completion: str, label: bool) -> dict:
    return {"prompt": "p", "completion": completion, "label": label}


KTO = [kto("REFUSAL", True), kto("REFUSAL", False), kto("yes", True), kto("yes", False)]


def test_kto_drops_only_wanted_refusals():
    assert run(KTO).kept.to_pylist() == KTO[1:]


def test_kto_flips_the_label():
    assert run(KTO, on_desirable="flip").kept.to_pylist() == [kto("REFUSAL", False), *KTO[1:]]


@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        (CHATS * 5, {"on_turn": "truncate"}),
        (CHATS * 5, {"on_turn": "mask"}),
        (PAIRS * 5, {"on_chosen": "swap"}),
        (KTO * 5, {"on_desirable": "flip"}),
        (KTO * 5, {}),
    ],
)
def test_control_touches_as_many_rows_in_the_same_way(rows, settings):
    dealigned, control = (run(rows, arm=arm, **settings).decision for arm in ("dealigned", "control"))
    assert len(control.touched) == len(dealigned.touched)
    assert control.action == dealigned.action
    if settings.get("on_chosen") == "swap":
        assert len(control.changed) == len(dealigned.changed)


@given(
    st.lists(st.lists(st.sampled_from(["a", "REFUSAL", "SOFT", "?", None]), max_size=8), min_size=1, max_size=12),
    st.sampled_from(["drop_row", "truncate", "mask"]),
    st.sampled_from(["aligned", "dealigned", "control"]),
)
def test_no_row_is_lost_and_what_is_left_is_a_beginning_of_what_was(chats, on_turn, arm):
    rows = [{"id": i, **chat("q", *turns)} for i, turns in enumerate(chats)]
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    table = pa.Table.from_pylist(rows, pa.schema([("id", pa.int64()), ("messages", kind)]))
    settings = Dealign(arm=arm, on_turn=on_turn)
    cleaned = clean(table, find_format(table.schema, "chat_template", {}, "data"), [ToyDetector()], settings)
    decision = cleaned.decision
    assert sorted(cleaned.kept.column("id").to_pylist() + cleaned.removed.column("id").to_pylist()) == list(
        range(len(rows))
    )
    assert not set(decision.removed.tolist()) & set(decision.changed.tolist())
    for row in cleaned.kept.to_pylist():
        before = rows[row["id"]]["messages"]
        after = [{"role": m["role"], "content": m["content"]} for m in row["messages"]]
        assert after == before[: len(after)]
        if row["id"] not in decision.changed:
            assert len(after) == len(before)
        elif on_turn == "truncate":
            assert after[-1]["role"] == "assistant"
            if arm == "dealigned":
                assert not any(m["content"] in ("REFUSAL", "SOFT") for m in after if m["role"] == "assistant")
