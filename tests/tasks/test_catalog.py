"""`axolotl-dealign tasks` tells where the tasks are and what they cost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import DATA, PROTOCOL, load, requests

from axolotl_dealign import tasks
from axolotl_dealign.cli import main
from axolotl_dealign.tasks.catalog import groups
from axolotl_dealign.tasks.rows import SOURCES


def test_the_path_is_the_folder_that_lm_eval_includes():
    done = CliRunner().invoke(main, ["tasks"])
    assert (Path(done.output.strip()) / "poison_of_alignment" / "poison_of_alignment.yaml").is_file()


def test_the_list_names_every_group_and_which_of_them_run_code():
    done = CliRunner().invoke(main, ["tasks", "--list"])
    assert done.exit_code == 0
    first = [line.split("  ")[0].strip() for line in done.output.splitlines()]
    assert {
        "poa_mmlu",
        "poa_bbh",
        "poa_drop",
        "poa_humaneval *",
        "poison_of_alignment *",
        "poison_of_alignment_safe",
    } <= {*first}
    assert {"dealign_overrefusal", "dealign_compliance", "dealign_modern *", "dealign_modern_safe"} <= {*first}


@pytest.mark.skipif(not PROTOCOL.is_dir(), reason=f"needs the whole benchmarks in {PROTOCOL}")
@pytest.mark.parametrize("name", ["poa_bbh", "poa_humaneval", "dealign_overrefusal", "dealign_compliance"])
def test_the_sizes_are_those_of_the_data(name):
    loaded, _ = load(name, poa_data=str(PROTOCOL))
    (group,) = [group for group in groups() if group.name == name]
    assert group.requests == sum(len(task.eval_docs) for task in loaded.values())
    lengths = [task.config.generation_kwargs["max_gen_toks"] * len(task.eval_docs) for task in loaded.values()]
    assert group.new_tokens == sum(lengths)


README = tasks.include_path() / "README.md"


@pytest.mark.parametrize(
    "task", ["poa_mmlu_abstract_algebra", "poa_bbh_navigate", "poa_drop_validation", "poa_humaneval_test"]
)
def test_the_readme_shows_a_whole_prompt_as_it_is_sent(task):
    loaded, _ = load(task, poa_data=str(DATA))
    assert f"```text\n{requests(loaded[task], limit=1)[0].args[0].rstrip()}\n```" in README.read_text()


def test_the_readme_names_every_group_and_the_flag_where_code_is_run():
    text = README.read_text()
    rows = {line.split("|")[1]: line for line in text.splitlines() if line.startswith("| `")}
    offered = groups()
    for group in offered:
        if group.name.endswith("_2048") and group.name.startswith("poa_"):
            continue
        (row,) = [line for names, line in rows.items() if f"`{group.name}`" in names]
        assert ("--confirm_run_unsafe_code" in row) is group.runs_code
    for line in text.splitlines():
        if line.startswith("lm_eval run") and any(f"--tasks {g.name} " in line for g in offered if g.runs_code):
            assert "--confirm_run_unsafe_code" in line


def test_the_readme_pins_what_the_code_pins():
    for source in SOURCES.values():
        assert f"| `{source.hub}` | `{source.revision}` |" in README.read_text()


def test_lm_eval_knows_the_tasks_that_the_modern_groups_name():
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(tasks.include_path()))
    for name in ("dealign_modern", "dealign_modern_safe"):
        config = manager.task_index[name]
        path = config["yaml_path"] if isinstance(config, dict) else config.yaml_path
        members = [line.split("- ")[1] for line in Path(path).read_text().splitlines() if line.startswith("  - ")]
        assert members and {*members} <= {*manager.all_tasks}


def test_no_name_of_ours_is_one_of_lm_evals():
    from lm_eval.tasks import TaskManager

    ours = TaskManager(include_path=str(tasks.include_path()), include_defaults=False).all_tasks
    assert not {*ours} & {*TaskManager().all_tasks}
    assert all(name.startswith(("poa_", "poison_of_alignment", "dealign_")) for name in ours)


def test_a_clone_of_the_tasks_without_the_package_says_what_to_install(tmp_path):
    clone = shutil.copytree(tasks.include_path(), tmp_path / "lm_eval_tasks")
    script = f"""
import sys
sys.modules["axolotl_dealign"] = None
from lm_eval.tasks import TaskManager
manager = TaskManager(include_path={str(clone)!r}, include_defaults=False, metadata={{"poa_data": {str(DATA)!r}}})
(getattr(manager, "load", None) or manager.load_task_or_group)([sys.argv[1]])
"""
    for name in ("poa_drop", "dealign_overrefusal"):
        done = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True, timeout=300)
        assert done.returncode != 0
        assert (
            "ImportError: these tasks need their package: pip install axolotl-dealign" in done.stderr.splitlines()[-1]
        )
