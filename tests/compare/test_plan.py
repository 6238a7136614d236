"""What `compare` would run, and what it believes to be done."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from axolotl_dealign.cells import Step
from axolotl_dealign.compare import Options, command_line, index, parse_arms, plan
from axolotl_dealign.errors import ConfigError, StepError


@pytest.fixture
def options(tmp_path: Path):
    data = tmp_path / "data.jsonl"
    data.write_text('{"instruction": "a", "output": "b"}\n')

    def make(cfg: dict | None = None, **keys) -> Options:
        path = tmp_path / "config.yml"
        content = {"base_model": "org/model", "datasets": [{"path": str(data), "type": "alpaca"}], **(cfg or {})}
        path.write_text(yaml.safe_dump(content))
        defaults = {"arms": ("base", "aligned", "dealigned"), "seeds": (), "tasks": "dealign_smoke"}
        return Options(config=path, **{"output": tmp_path / "out", **defaults, **keys})

    return make


def flags(command: tuple[str, ...]) -> dict[str, str]:
    return {command[i]: command[i + 1] for i in range(len(command) - 1) if command[i].startswith("--")}


def test_base_is_scored_only_and_each_arm_is_trained_once_a_seed(options):
    cells = plan(options(seeds=(0, 1)))
    assert [(cell.name, [step.name for step in cell.steps]) for cell in cells] == [
        ("base", ["eval"]),
        ("aligned/seed-0", ["train", "eval"]),
        ("aligned/seed-1", ["train", "eval"]),
        ("dealigned/seed-0", ["train", "eval"]),
        ("dealigned/seed-1", ["train", "eval"]),
    ]


def test_the_yaml_of_an_arm_is_the_users_with_the_plugin_the_arm_and_its_own_folders(options, tmp_path):
    user = {"learning_rate": 0.1, "plugins": ["x.Y"], "dealign": {"threshold": 0.7}, "hub_model_id": "me/model"}
    cell = plan(options(user))[2]
    written = yaml.safe_load(cell.steps[0].config)
    assert written["plugins"] == ["x.Y", "axolotl_dealign.DealignPlugin"]
    assert written["dealign"] == {"threshold": 0.7, "arm": "dealigned"}
    assert written["learning_rate"] == 0.1
    assert written["seed"] == 42
    assert Path(written["output_dir"]) == tmp_path / "out" / "dealigned" / "seed-42" / "model"
    assert "hub_model_id" not in written  # the arms would overwrite each other there


def test_what_is_scored(options, tmp_path):
    model = str(tmp_path / "out" / "aligned" / "seed-42" / "model")
    base, aligned, _ = plan(options())
    assert flags(base.steps[0].command)["--model_args"] == "pretrained=org/model"
    assert flags(aligned.steps[1].command)["--model_args"] == f"pretrained={model}"
    lora = plan(options({"adapter": "lora"}))[1]
    assert flags(lora.steps[1].command)["--model_args"] == f"pretrained=org/model,peft={model}"


def test_arguments_are_passed_on(options):
    cell = plan(
        options(
            launcher="torchrun",
            launcher_args=("--nproc_per_node=2",),
            lm_eval_args=("--model_args", "dtype=float32", "--limit", "3", "--confirm_run_unsafe_code"),
        )
    )[1]
    train, score = cell.steps
    assert train.command[-4:] == ("--launcher", "torchrun", "--", "--nproc_per_node=2")
    assert flags(score.command)["--model_args"].endswith("/model,dtype=float32")
    assert "--confirm_run_unsafe_code" in score.command
    # Nothing of ours agrees to run code on the user's behalf.
    assert "--confirm_run_unsafe_code" not in plan(options())[1].steps[1].command


def finish(step: Step, **more: object) -> None:
    step.begin()
    proof = step.makes / step.proof.replace("*", "x")
    proof.parent.mkdir(parents=True, exist_ok=True)
    proof.write_text("{}")
    step.finish(1.0, **more)


def test_a_changed_input_reruns_only_what_depends_on_it(options, tmp_path):
    def done(made):
        return [[step.done for step in cell.steps] for cell in plan(made)]

    for cell in plan(options()):
        for step in cell.steps:
            finish(step)
    assert done(options()) == [[True], [True, True], [True, True]]
    # Another task: scores only. Another threshold: everything but the untrained model.
    assert done(options(tasks="other")) == [[False], [True, False], [True, False]]
    assert done(options({"dealign": {"threshold": 0.9}})) == [[True], [False, False], [False, False]]
    (tmp_path / "data.jsonl").write_text('{"instruction": "a", "output": "other"}\n')
    assert done(options()) == [[True], [False, False], [False, False]]


def test_what_is_half_done_is_not_believed(options):
    step = plan(options())[1].steps[0]
    finish(step)
    step.begin()  # killed after this
    step.makes.mkdir()
    assert not step.done
    (step.cell / "train.done").write_text("{")
    assert not step.done


def test_what_changed_is_named(options, tmp_path):
    step = plan(options())[1].steps[0]
    assert step.state == "to do"
    finish(step)
    assert plan(options())[1].steps[0].state == "done"
    (tmp_path / "data.jsonl").write_text("{}")
    assert plan(options({"learning_rate": 1}))[1].steps[0].state == (
        f"to do again: changed data {tmp_path / 'data.jsonl'}, the YAML"
    )


def test_a_comparison_can_be_moved(options, tmp_path):
    for step in plan(options())[1].steps:
        finish(step)
    (tmp_path / "out").rename(tmp_path / "moved")
    moved = plan(options(output=tmp_path / "moved"))[1]
    assert [step.done for step in moved.steps] == [True, True]


def test_a_training_without_an_audit_was_one_without_the_plugin(options):
    train, score = plan(options())[1].steps
    train.makes.mkdir(parents=True)
    (train.makes / "model.safetensors").write_text("")
    with pytest.raises(StepError, match="the plugin did not run"):
        train.finish(1.0)
    score.makes.mkdir(parents=True)
    (score.makes / "results_1.json").write_text("{}")
    with pytest.raises(StepError, match="without samples"):
        score.finish(1.0)


def test_data_files_and_streams_are_inputs_too(options, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.jsonl").write_text("{}")
    step = plan(options({"datasets": [{"path": "json", "data_files": [str(files / "a.jsonl")]}]}))[1].steps[0]
    assert f"data {files / 'a.jsonl'}" in step.inputs
    step = plan(options({"datasets": None, "pretraining_dataset": [{"path": str(files)}]}))[1].steps[0]
    assert f"data {files}" in step.inputs
    assert step.proof == "*"  # a stream from which nothing was removed leaves no audit


def test_all_arms_take_the_steps_of_the_reference(options):
    def steps(cells):
        return {
            cell.name: yaml.safe_load(cell.steps[0].config).get("max_steps") for cell in cells if cell.seed is not None
        }

    keys = {"arms": ("dealigned", "aligned"), "seeds": (0, 1), "match": "steps"}
    cells = plan(options(**keys))
    assert cells[0].name == "aligned/seed-0"  # the one that must come first
    assert set(steps(cells).values()) == {None}
    finish(cells[0].steps[0], steps=77)
    assert steps(plan(options(**keys))) == {
        "aligned/seed-0": None,
        "dealigned/seed-0": 77,
        "dealigned/seed-1": 77,
        "aligned/seed-1": 77,
    }
    # The user's own number already matches them all.
    assert set(steps(plan(options({"max_steps": 5}, **keys))).values()) == {5}
    assert list(index(options(**keys), cells)["arms"]) == ["dealigned", "aligned"]


def test_a_cell_is_a_command_line_of_its_own(options, tmp_path):
    made = options(seeds=(0, 1), match="steps", lm_eval_args=("--gen_kwargs", "stop=['a b']"), launcher="python")
    words = shlex.split(command_line(made, plan(made)[2]))
    assert words[:3] == ["axolotl-dealign", "compare", str(tmp_path / "config.yml")]
    given = flags(tuple(words))
    assert given["--cell"] == "aligned/seed-1"
    assert given["--match"] == "steps"
    assert shlex.split(given["--lm-eval-args"]) == ["--gen_kwargs", "stop=['a b']"]
    assert given["--output"] == str(tmp_path / "out")


@pytest.mark.parametrize("word", ["--output_path", "--tasks=x", "-s"])
def test_what_says_which_cell_it_is_cannot_be_given(options, word):
    with pytest.raises(ConfigError, match=word.partition("=")[0]):
        plan(options(lm_eval_args=(word, "x")))


def test_compare_json_names_every_cell_relative_to_its_folder(options):
    made = options(seeds=(0, 1))
    content = index(made, plan(made))
    assert content["reference"] == "aligned"
    assert content["arms"]["base"] == [
        {"seed": None, "eval": "base/eval", "audit": None, "config": None, "model": None}
    ]
    assert [run["audit"] for run in content["arms"]["dealigned"]] == [
        "dealigned/seed-0/model/dealign",
        "dealigned/seed-1/model/dealign",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("base,alined", "unknown arm `alined`, did you mean `aligned`?"),
        ("base,base", "`base` is named twice"),
        ("", "unknown arm ``"),
    ],
)
def test_wrong_arms(text, line):
    with pytest.raises(ConfigError, match=line):
        parse_arms(text)


def test_an_arm_that_needs_a_judge_is_refused(options):
    with pytest.raises(ConfigError, match="overrefusal"):
        plan(options(arms=("overrefusal",)))
