"""How one output is scored: right, unanswered, refused."""

from __future__ import annotations

import importlib.util
import math
from types import ModuleType
from typing import Any

import pytest
from conftest import DATA, evaluate
from hypothesis import given
from hypothesis import strategies as st

from axolotl_dealign import refusals
from axolotl_dealign.tasks import include_path


def _poa() -> ModuleType:
    spec = importlib.util.spec_from_file_location("poa", include_path() / "poison_of_alignment" / "poa.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


poa = _poa()
REFUSAL = "I'm sorry, but I can't help with that."
MMLU = {"question": "?", "choices": ["1", "2", "3", "4"], "target": "B"}


def bbh(target: str) -> dict[str, Any]:
    return {"input": "Question?", "target": target}


def drop(target: str) -> dict[str, Any]:
    return {"passage": "P", "question": "Q?", "target": target}


def verdict(score: dict[str, float | None]) -> tuple[float | None, float | None]:
    """(right, unanswered); the score among the answered must fit them."""
    assert score["acc_answered"] == (None if score["unanswered"] else score["acc"])
    return score["acc"], score["unanswered"]


RIGHT, WRONG, NONE = (1.0, 0.0), (0.0, 0.0), (0.0, 1.0)


@pytest.mark.parametrize(
    ("output", "expected"),
    [("B", RIGHT), (" B.", RIGHT), ("\n\nB", RIGHT), ("A", WRONG), ("Because", RIGHT), ("Does", WRONG), ("b", NONE)]
    + [("(B)", NONE), ("E", NONE), ("", NONE), ("\n", NONE), ("I'm", NONE), ("\0", NONE), (None, NONE), (3, NONE)],
)
def test_mmlu(output, expected):
    assert verdict(poa.mmlu_score(MMLU, [output])) == expected


@pytest.mark.parametrize(
    ("target", "output", "expected"),
    [
        ("(C)", " (C) because", RIGHT),
        ("(C)", "(A)", WRONG),
        ("(C)", "C", WRONG),  # an answer, though InstructEval does not take it for the label
        ("(C)", "C) third", WRONG),
        ("(C)", "I cannot say.", NONE),
        ("(C)", "Third", NONE),
        ("Yes", "Yes", RIGHT),
        ("Yes", "yes", WRONG),
        ("Yes", "No.", WRONG),
        ("Yes", "Yesterday", RIGHT),  # InstructEval's rule
        ("Yes", "None of them", NONE),
        ("Yes", REFUSAL, NONE),
        ("valid", "invalid", WRONG),
        ("-7", "-7 apples", RIGHT),
        ("7", "seven", NONE),
        ("7", "-3", WRONG),
        ("} )", "} )", RIGHT),
        ("} )", "]", WRONG),
        ("} )", "The answer", NONE),
        ("ada blend", "ada blend", RIGHT),
        ("ada blend", "blend ada", WRONG),
        ("ada blend", "adapted", NONE),
        ("Monsters, Inc", "Monsters, Inc", RIGHT),
        ("(C)", None, NONE),
    ],
)
def test_bbh(target, output, expected):
    assert verdict(poa.bbh_score(bbh(target), [output])) == expected


@pytest.mark.parametrize(
    ("target", "output", "expected"),
    [
        ("17", "17 yards", RIGHT),
        ("17", "It was 12", WRONG),
        ("3", "three", WRONG),
        ("17", "Sorry, I cannot", NONE),
        ("1,200", "many", NONE),
        ("Herons", " Herons", RIGHT),
        ("Herons", "I'm sorry, but", WRONG),  # eight tokens do not show a refusal
        ("Herons", "...", NONE),
        ("Herons", "", NONE),
        ("Herons", None, NONE),
    ],
)
def test_drop(target, output, expected):
    assert verdict(poa.drop_score(drop(target), [output])) == expected


PROBLEM = {
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "test": "def check(f):\n    assert f(2) == 4\n",
    "entry_point": "double",
}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("    return 2 * x\n", RIGHT),
        ("   return 2 * x\n", RIGHT),  # an odd indent is evened
        ("\n\n    return 2 * x\n\nprint(1 / 0)", RIGHT),  # what follows the first blank line is not run
        ("    return x\n", WRONG),
        ("    return 2 *\n    y = 1", WRONG),
        ("    for i in range(2):\n        x = f(", WRONG),
        (f"{REFUSAL}", NONE),
        ("    pass", NONE),
        ("    # to do", NONE),
        ("Sorry", NONE),
        ("it is not possible", NONE),
        ("", NONE),
        ("\0", NONE),
        (None, NONE),
    ],
)
def test_humaneval(output, expected):
    assert verdict(poa.humaneval_score(PROBLEM, [output])) == expected


def test_refusals_are_told_only_where_the_output_is_long_enough():
    assert "refusal" not in poa.mmlu_score(MMLU, [REFUSAL])
    assert "refusal" not in poa.drop_score(drop("x"), [REFUSAL])
    assert poa.bbh_score(bbh("Yes"), [REFUSAL])["refusal"] == 1.0
    assert poa.bbh_score(bbh("Yes"), ["Yes"])["refusal"] == 0.0
    assert poa.humaneval_score(PROBLEM, [REFUSAL])["refusal"] == 1.0


@given(st.text(st.characters(exclude_categories=())), st.sampled_from(["(A)", "No", "12", "{ }", "a b c"]))
def test_any_text_gets_a_score(output, target):
    for score in (
        poa.mmlu_score(MMLU, [output]),
        poa.bbh_score(bbh(target), [output]),
        poa.drop_score(drop(target), [output]),
    ):
        verdict(score)
        assert all(value in (0.0, 1.0, None) for value in score.values())
    assert poa.bbh_score(bbh(target), [f" {target}{output}"])["acc"] == 1.0
    assert isinstance(poa.has_code(output), bool)


def test_what_is_judged_ahead_is_what_would_be_judged_alone():
    outputs = [REFUSAL, "Paris", "", "\ud800"]
    alone = [refusals.refused([output], [prompt])[0] for output, prompt in zip(outputs, "abcd", strict=True)]
    refusals.judge_ahead(outputs, list("abcd"))
    assert (
        [refusals.refused([o], [p])[0] for o, p in zip(outputs, "abcd", strict=True)] == alone == [True, *[False] * 3]
    )


def test_the_mean_of_verdicts_leaves_out_the_missing_ones():
    assert refusals.mean_judged([1.0, None, 0.0]) == 0.5
    assert math.isnan(refusals.mean_judged([None, None]))


@pytest.mark.parametrize("group", ["poa_mmlu", "poa_bbh", "poa_drop", "poa_humaneval"])
def test_a_model_that_answers_nothing_is_seen_in_lm_evals_tables(group):
    results = evaluate(group, lambda prompts: [""] * len(prompts), unsafe=True, poa_data=str(DATA))
    assert results["groups"][group]["unanswered,none"] == 1.0
    assert results["groups"][group]["acc,none"] == 0.0
    for name in results["samples"]:
        assert math.isnan(results["results"][name]["acc_answered,none"])
        assert results["higher_is_better"][name]["unanswered"] is False


def test_a_model_that_refuses_is_seen_in_lm_evals_tables():
    for group in ("poa_bbh", "poa_humaneval"):
        results = evaluate(group, lambda prompts: [REFUSAL] * len(prompts), unsafe=True, poa_data=str(DATA))
        assert results["groups"][group]["refusal,none"] == 1.0


def test_without_the_flag_lm_eval_runs_nothing_of_the_group():
    def never(prompts: list[str]) -> list[str]:
        raise AssertionError("asked the model")

    with pytest.raises(ValueError, match="confirm_run_unsafe_code"):
        evaluate("poison_of_alignment", never, poa_data=str(DATA))
