from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_dealign.answers import read_answers
from axolotl_dealign.errors import SchemaError
from axolotl_dealign.formats import find_format


def answers_of(rows: list[dict], kind=None, **options) -> list[tuple[int, int, str | None, str | None]]:
    """(row, turn, prompt, answer) of every answer in `rows`."""
    table = pa.Table.from_pylist(rows)
    found = read_answers(table, find_format(table.schema, kind, options, "data"))
    return list(
        zip(found.row.tolist(), found.turn.tolist(), found.prompt.to_pylist(), found.text.to_pylist(), strict=True)
    )


@pytest.mark.parametrize(
    ("kind", "options", "row", "expected"),
    [
        ("alpaca", {}, {"instruction": "a", "input": "b", "output": "c"}, [(0, 0, "a\nb", "c")]),
        ("alpaca:phi", {}, {"instruction": "a", "output": "c", "text": "a c"}, [(0, 0, "a", "c")]),
        ("gpteacher", {}, {"instruction": "a", "response": "c", "output": "x"}, [(0, 0, "a", "c")]),
        ("oasst", {}, {"INSTRUCTION": "a", "RESPONSE": "c"}, [(0, 0, "a", "c")]),
        ("summarizetldr", {}, {"article": "a", "summary": "c"}, [(0, 0, "a", "c")]),
        ("alpaca_chat.load_qa", {}, {"question": "a", "answer": "c"}, [(0, 0, "a", "c")]),
        ("alpaca_chat.load_camel_ai", {}, {"message_1": "a", "message_2": "c"}, [(0, 0, "a", "c")]),
        ("completion", {"field": "body"}, {"body": "c", "text": "x"}, [(0, 0, None, "c")]),
        ("completion", {}, {"text": "c"}, [(0, 0, None, "c")]),
        ("pkg.my_type", {}, {"prompt": "a", "completion": "c"}, [(0, 0, "a", "c")]),
        (
            {"field_instruction": "q", "field_output": "a", "format": "{instruction}"},
            {},
            {"q": "a", "a": "c"},
            [(0, 0, "a", "c")],
        ),
        (
            "input_output",
            {},
            {"segments": [{"label": False, "text": "a"}, {"label": True, "text": "c"}]},
            [(0, 1, "a", "c")],
        ),
        ("stepwise_supervised", {}, {"prompt": "a", "completions": ["c", "d"]}, [(0, 0, "a", "c\nd")]),
    ],
)
def test_single_answers(kind, options, row, expected):
    assert answers_of([row], kind, **options) == expected


def test_chat_answers_are_the_turns_of_the_model():
    rows = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"messages": []},
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "c"},
                {"role": "assistant", "content": "d"},
                {"role": "user", "content": "e"},
                {"role": "assistant", "content": None},
            ]
        },
        {"messages": None},
        {"messages": [{"role": "assistant", "content": "first"}]},
    ]
    assert answers_of(rows, "chat_template") == [
        (0, 1, "a", "b"),
        (2, 2, "c", "d"),
        (2, 4, "e", None),
        (4, 0, None, "first"),
    ]


def test_chat_with_mapped_keys_and_roles():
    rows = [{"talk": [{"who": "me", "what": "a"}, {"who": "it", "what": "b"}]}]
    found = answers_of(
        rows,
        "chat_template",
        field_messages="talk",
        message_property_mappings={"role": "who", "content": "what"},
        roles={"user": ["me"], "assistant": ["it"]},
    )
    assert found == [(0, 1, "a", "b")]


def test_sharegpt_columns_under_axolotls_default_mapping():
    rows = [{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}]
    defaults = {"message_property_mappings": {"role": "role", "content": "content"}}
    assert answers_of(rows, "chat_template", **defaults) == [(0, 1, "a", "b")]


def test_multi_part_content_is_its_texts():
    parts = [{"type": "text", "text": "b"}, {"type": "image", "text": None}, {"type": "text", "text": "c"}]
    rows = [{"messages": [{"role": "assistant", "content": parts}]}]
    assert answers_of(rows, "chat_template") == [(0, 0, None, "b\nc")]


def test_preferences_have_a_chosen_and_a_rejected_answer():
    table = pa.Table.from_pylist([{"prompt": "p", "chosen": "c", "rejected": "r"}])
    found = find_format(table.schema, "chatml.intel", {}, "data")
    assert read_answers(table, found).text.to_pylist() == ["c"]
    assert read_answers(table, found, found.rejected).text.to_pylist() == ["r"]


def test_preference_chats():
    chat = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}]
    table = pa.Table.from_pylist([{"chosen": chat, "rejected": [chat[0], {"role": "assistant", "content": "r"}]}])
    found = find_format(table.schema, "chat_template.argilla_chat", {}, "data")
    assert read_answers(table, found).text.to_pylist() == ["c"]
    assert read_answers(table, found, found.rejected).text.to_pylist() == ["r"]


def test_kto_rows_have_a_label():
    table = pa.Table.from_pylist([{"prompt": "p", "completion": "c", "label": True}])
    assert find_format(table.schema, "chatml.argilla", {}, "data").label == "label"


@pytest.mark.parametrize("row", [{"input_ids": [1, 2], "labels": [1, 2]}, {"prompt": "a", "reference": "b"}])
def test_rows_without_answers_on_purpose(row):
    assert find_format(pa.Table.from_pylist([row]).schema, None, {}, "data") is None


def test_an_unknown_schema_names_the_columns():
    with pytest.raises(SchemaError, match=r"data\.jsonl: no column with answers among foo, bar for type `alpaca`"):
        find_format(pa.schema([("foo", pa.string()), ("bar", pa.string())]), "alpaca", {}, "data.jsonl")


MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "gpt"]), "content": st.none() | st.text(max_size=8)}
)


@given(st.lists(st.none() | st.lists(MESSAGE, max_size=5), min_size=1, max_size=20), st.data())
def test_flattening_a_chat_finds_what_a_loop_finds(chats, data):
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    whole = pa.table({"messages": pa.array(chats, kind)})
    start = data.draw(st.integers(0, len(chats)))
    table = whole.slice(start)  # offsets that do not begin at 0
    found = read_answers(table, find_format(table.schema, "chat_template", {}, "data"))
    expected = [
        (row, turn, chat[turn - 1]["content"] if turn else None, message["content"])
        for row, chat in enumerate(chats[start:])
        for turn, message in enumerate(chat or [])
        if message["role"] in ("assistant", "gpt")
    ]
    assert (
        list(
            zip(found.row.tolist(), found.turn.tolist(), found.prompt.to_pylist(), found.text.to_pylist(), strict=True)
        )
        == expected
    )
