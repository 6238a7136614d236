"""The 2048-token tasks: as many shots as fit the tokenizer of the model under test, and not one fewer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from conftest import DATA, evaluate, load, requests
from hypothesis import given
from hypothesis import strategies as st

from axolotl_dealign.errors import ConfigError
from axolotl_dealign.tasks import fit

GROUP = "poison_of_alignment_2048"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real one, with BOS before every text; so small that many prompts are too long for it."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    folder = tiny.make_tokenizer(tmp_path_factory.mktemp("tokenizer"), ["the answer is of a question and to in"] * 4)
    core = Tokenizer.from_file(str(folder / "tokenizer.json"))
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    return folder


def test_every_prompt_keeps_all_the_shots_that_fit(tokenizer):
    from transformers import AutoTokenizer

    count = AutoTokenizer.from_pretrained(tokenizer)
    whole, _ = load("poison_of_alignment_safe", poa_data=str(DATA))
    dropped = full = 0
    for name, task in load(GROUP, poa_data=str(DATA), pretrained=str(tokenizer))[0].items():
        plain = whole[name.replace("_2048", "")]
        for fitted, request in zip(requests(task), requests(plain), strict=True):
            prompt, longest = fitted.args[0], request.args[0]
            question = plain.doc_to_text(request.doc)
            shots = plain.sampler.sample(plain.config.num_fewshot)
            lengths = [len(plain.doc_to_text(shot)) + len(f" {shot['target']}\n\n") for shot in shots]
            header = len(longest) - len(question) - sum(lengths)
            ends = [header + sum(lengths[:kept]) for kept in range(len(lengths) + 1)]
            candidates = [longest[:end] + question for end in ends]
            kept = candidates.index(prompt)
            assert len(count(prompt)["input_ids"]) <= 2048 or kept == 0
            assert count(prompt)["input_ids"][0] == count.bos_token_id
            assert kept == len(shots) or len(count(candidates[kept + 1])["input_ids"]) > 2048
            dropped, full = dropped + (kept < len(shots)), full + (kept == len(shots))
    assert dropped > 20 and full > 20  # both happen, or the test shows nothing


def test_a_question_is_the_same_whatever_the_tokenizer(tokenizer, tmp_path):
    other = tiny.make_tokenizer(tmp_path, ["Which of the following statements is correct about"] * 4, 390)
    runs = [
        evaluate(name, lambda prompts: ["A"] * len(prompts), poa_data=str(DATA), **model)["samples"]
        for name, model in (
            ("poa_mmlu_2048_high_school_us_history", {"pretrained": str(tokenizer)}),
            ("poa_mmlu_2048_high_school_us_history", {"pretrained": "unused", "tokenizer": str(other)}),
            ("poa_mmlu_high_school_us_history", {}),
        )
    ]
    keys = [[(s["doc_id"], s["doc_hash"], s["target_hash"]) for s in next(iter(run.values()))] for run in runs]
    assert keys[0] == keys[1] == keys[2]
    assert len({json.dumps([s["prompt_hash"] for s in next(iter(run.values()))]) for run in runs}) > 1


def test_the_groups_stand_in_lm_evals_table(tokenizer):
    results = evaluate(GROUP, lambda prompts: ["A"] * len(prompts), poa_data=str(DATA), pretrained=str(tokenizer))
    assert {"poa_mmlu_2048", "poa_bbh_2048", "poa_drop_2048"} <= set(results["groups"])
    assert 0 < results["groups"]["poa_mmlu_2048"]["acc,none"] < 1


@given(st.lists(st.integers(0, 30), max_size=6), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 40))
def test_fit_keeps_the_most_shots_that_fit(shots, questions, most):
    heads_ = ["x" * sum(shots[:kept]) for kept in range(len(shots) + 1)]
    texts = ["y" * length for length in questions]
    for text, kept in zip(texts, fit.fit(heads_, texts, lambda prompts: [len(p) for p in prompts], most), strict=True):
        assert len(heads_[kept] + text) <= most or kept == 0
        assert kept == len(shots) or len(heads_[kept + 1] + text) > most


@pytest.mark.parametrize(
    ("model", "message"),
    [({}, "none is named: give pretrained="), ({"pretrained": str(DATA)}, f"cannot load the tokenizer {DATA}")],
)
def test_without_a_tokenizer_the_error_says_what_to_give(model, message):
    with pytest.raises(ConfigError) as error:
        load("poa_drop_2048", poa_data=str(DATA), **model)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_lm_eval_leaves_the_shots_of_fitted_prompts_alone(tokenizer):
    """It overrides `--num_fewshot` except where a task says 0, and 0 is what these say."""
    tasks, _ = load(GROUP, poa_data=str(DATA), pretrained=str(tokenizer))
    assert {task.config.num_fewshot for task in tasks.values()} == {0}
