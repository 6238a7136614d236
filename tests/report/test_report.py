"""What the report says, from results folders to its files."""

import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from lm_eval_output import arm, line, write

from axolotl_dealign.audit import write_json
from axolotl_dealign.cli import main

THIRD_PARTY = Path(__file__).parents[1] / "detectors" / "third_party"
SCHEMA = json.loads((files("axolotl_dealign.report") / "schema.json").read_text())


def report(out: Path, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments), "--output", str(out)])


def data(out: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((out / "report.json").read_text())
    return parsed


def contrast(out: Path, first: str, second: str, benchmark: int = 0) -> dict[str, Any]:
    result = data(out)["sections"]["benchmarks"]["results"][benchmark]
    found: dict[str, Any] = next(c for c in result["contrasts"] if (c["first"], c["second"]) == (first, second))
    return found


@pytest.fixture
def arms(tmp_path: Path) -> dict[str, Path]:
    """Three arms on a skill of ten questions."""
    right = {"aligned": "0101000000", "dealigned": "1111100000", "control": "0111000000"}
    return {name: arm(tmp_path / name, {"skill": answers}) for name, answers in right.items()}


def named(arms: dict[str, Path]) -> list[str]:
    return [f"{name}={folder}" for name, folder in arms.items()]


def test_states_the_paired_difference_in_all_three_files_and_on_the_terminal(
    arms: dict[str, Path], tmp_path: Path
) -> None:
    done = report(tmp_path / "out", *named(arms))
    assert done.exit_code == 0, done.output
    result = data(tmp_path / "out")["sections"]["benchmarks"]["results"][0]
    assert (result["arms"]["aligned"]["score"], result["arms"]["dealigned"]["score"]) == (0.2, 0.5)
    found = contrast(tmp_path / "out", "dealigned", "aligned")
    assert (found["wins"], found["losses"], found["ties"]) == (3, 0, 7)
    assert found["difference"]["estimate"] == pytest.approx(0.3)
    assert found["relative"]["estimate"] == pytest.approx(0.6)  # (0.5 - 0.2) / 0.5, as the paper words it
    assert found["mcnemar_p"] == pytest.approx(0.25)
    text = (tmp_path / "out" / "report.md").read_text()
    table = done.output.partition("\n/")[0].strip()
    assert text.startswith(f"# What removing aligned answers did\n\n{table}\n")
    assert "+30.0" in table and "+30.0" in (tmp_path / "out" / "report.html").read_text()
    assert done.output.endswith("report.html\n")


def test_the_control_arm_stands_between(arms: dict[str, Path], tmp_path: Path) -> None:
    report(tmp_path / "out", *named(arms))
    whole = contrast(tmp_path / "out", "dealigned", "aligned")["difference"]["estimate"]
    rows = contrast(tmp_path / "out", "control", "aligned")["difference"]["estimate"]
    refusals = contrast(tmp_path / "out", "dealigned", "control")["difference"]["estimate"]
    assert whole == pytest.approx(rows + refusals)
    assert (
        "the data do not tell dealigned from removing as many rows at random"
        in (tmp_path / "out" / "report.md").read_text()
    )


def test_the_text_says_refusals_did_more_only_if_the_interval_says_so(tmp_path: Path) -> None:
    right = {"aligned": "0" * 60, "dealigned": "1" * 40 + "0" * 20, "control": "1" * 2 + "0" * 58}
    arms = {name: arm(tmp_path / name, {"skill": answers}) for name, answers in right.items()}
    report(tmp_path / "out", *named(arms))
    text = (tmp_path / "out" / "report.md").read_text()
    assert "removing refusals (dealigned) did more than removing as many rows at random" in text
    assert "**Did it help?** Yes: +66.7 points" in text


def test_report_json_fits_its_published_schema(arms: dict[str, Path], tmp_path: Path) -> None:
    arm(tmp_path / "second", {"skill": "1111000000"})
    report(tmp_path / "one", *named(arms))
    report(tmp_path / "two", f"aligned={arms['aligned']},{arms['control']}", f"dealigned={arms['dealigned']}")
    report(tmp_path / "alone", f"aligned={arms['aligned']}")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for out in ("one", "two", "alone"):
        jsonschema.validate(data(tmp_path / out), SCHEMA)
    broken = data(tmp_path / "one")
    del broken["sections"]["benchmarks"]["results"][0]["contrasts"][0]["holm_p"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)


def test_one_arm_alone_is_reported_without_a_comparison(arms: dict[str, Path], tmp_path: Path) -> None:
    done = report(tmp_path / "out", f"mine={arms['dealigned']}")
    assert done.exit_code == 0, done.output
    assert data(tmp_path / "out")["main"] is None
    assert "There is no other arm to compare with." in (tmp_path / "out" / "report.md").read_text()


def test_another_reference_turns_the_sign(arms: dict[str, Path], tmp_path: Path) -> None:
    report(tmp_path / "out", *named(arms), "--reference", "dealigned")
    assert contrast(tmp_path / "out", "aligned", "dealigned")["difference"]["estimate"] == pytest.approx(-0.3)


def test_several_trainings_are_listed_and_in_the_interval(tmp_path: Path) -> None:
    one = [arm(tmp_path / f"a{i}", {"skill": "1" * (10 + 2 * i) + "0" * (30 - 2 * i)}) for i in range(3)]
    two = [arm(tmp_path / f"d{i}", {"skill": "1" * (16 + 3 * i) + "0" * (24 - 3 * i)}) for i in range(3)]
    done = report(tmp_path / "out", f"aligned={','.join(map(str, one))}", f"dealigned={','.join(map(str, two))}")
    assert done.exit_code == 0, done.output
    found = contrast(tmp_path / "out", "dealigned", "aligned")
    assert found["trainings"] == pytest.approx([6 / 40, 7 / 40, 8 / 40])
    assert found["over_trainings"]["estimate"] == pytest.approx(7 / 40)
    narrow = found["over_trainings"]["high"] - found["over_trainings"]["low"]
    assert found["difference"]["high"] - found["difference"]["low"] > narrow
    assert "New questions and new trainings are both in the interval" in (tmp_path / "out" / "report.md").read_text()


def test_with_one_training_it_says_that_training_noise_is_missing(arms: dict[str, Path], tmp_path: Path) -> None:
    report(tmp_path / "out", *named(arms))
    assert "what another training would do is not in the interval" in (tmp_path / "out" / "report.md").read_text()


def test_how_much_of_the_difference_is_not_answering_adds_up(tmp_path: Path) -> None:
    def task(correct: str, silent: str) -> list[dict[str, Any]]:
        return [
            line("skill", i, {"acc": float(c), "unanswered": float(u)}, "x")
            for i, (c, u) in enumerate(zip(correct, silent, strict=True))
        ]

    aligned = write(tmp_path / "aligned", {"skill": task("0000110000", "1110000000")})
    dealigned = write(tmp_path / "dealigned", {"skill": task("1100100010", "0000000001")})
    report(tmp_path / "out", f"aligned={aligned}", f"dealigned={dealigned}")
    found = contrast(tmp_path / "out", "dealigned", "aligned")
    # Questions 0-2 and 9 were left unanswered by one of the two; 0 and 1 were won there.
    assert found["unanswered_part"] == pytest.approx(0.2)
    assert found["answered_part"] == pytest.approx(0.0)
    assert found["unanswered_part"] + found["answered_part"] == pytest.approx(found["difference"]["estimate"])
    shares = data(tmp_path / "out")["sections"]["benchmarks"]["results"][0]["arms"]["aligned"]
    assert (shares["unanswered"], shares["score_among_answered"]) == pytest.approx((0.3, 2 / 7))


def test_refusals_are_judged_where_the_task_does_not_and_outputs_are_long_enough(tmp_path: Path) -> None:
    said = ["I'm sorry, but I can't help with that request.", "The capital of France is Paris."] * 5
    lines = [line("skill", i, {"acc": 1.0}, text) for i, text in enumerate(said)]
    for name, length in (("long", 64), ("short", 8)):
        write(tmp_path / name, {"skill": lines}, max_gen_toks=length)
        report(tmp_path / f"out-{name}", f"aligned={tmp_path / name}")
    refused = [
        data(tmp_path / f"out-{name}")["sections"]["benchmarks"]["results"][0]["arms"]["aligned"]["refused"]
        for name in ("long", "short")
    ]
    assert refused == [0.5, None]


def test_questions_that_differ_are_left_out_listed_and_not_averaged_in(tmp_path: Path) -> None:
    aligned = arm(tmp_path / "aligned", {"skill": "00000000"})
    lines = [line("skill", i, {"acc": 1.0}, "yes") for i in range(6)]
    lines[0]["doc_hash"] = "another question"
    lines[1]["prompt_hash"] = "another prompt"
    dealigned = write(tmp_path / "dealigned", {"skill": lines})
    report(tmp_path / "out", f"aligned={aligned}", f"dealigned={dealigned}")
    sections = data(tmp_path / "out")["sections"]
    assert sections["benchmarks"]["results"][0]["questions"] == 5
    assert {tuple(u["doc_ids"]) for u in sections["warnings"]["unpaired"]} == {(0,), (6, 7)}
    assert sections["comparability"]["prompts"] == {"skill": 1}


def test_samples_that_do_not_give_the_reported_score_are_named(arms: dict[str, Path], tmp_path: Path) -> None:
    results = next(arms["aligned"].rglob("results_*.json"))
    results.write_text(results.read_text().replace('"acc,none": 0.2', '"acc,none": 0.9'))
    report(tmp_path / "out", *named(arms))
    assert "lm-eval reports 0.9000 for skill, its samples give 0.2000" in (tmp_path / "out" / "report.md").read_text()


def test_one_model_scored_twice_and_scores_that_are_no_shares_are_named(tmp_path: Path) -> None:
    for name in ("aligned", "dealigned"):
        write(tmp_path / name, {"rating": [line("rating", i, {"points": 7.0}, "fine") for i in range(5)]})
    report(tmp_path / "out", f"aligned={tmp_path / 'aligned'}", f"dealigned={tmp_path / 'dealigned'}")
    warnings = data(tmp_path / "out")["sections"]["warnings"]["warnings"]
    assert any("was one model scored twice?" in warning for warning in warnings)
    assert any("points is no share of 1" in warning for warning in warnings)


def test_settings_that_should_be_equal_and_are_not_are_marked(arms: dict[str, Path], tmp_path: Path) -> None:
    results = next(arms["aligned"].rglob("results_*.json"))
    results.write_text(results.read_text().replace('"0.4.13"', '"0.4.9"'))
    report(tmp_path / "out", *named(arms))
    assert data(tmp_path / "out")["sections"]["comparability"]["differing"] == ["lm_eval_version"]


def test_safety_groups_are_no_part_of_the_mean_or_of_the_family(tmp_path: Path) -> None:
    def folder(name: str, right: str, refused: str) -> Path:
        tasks = {
            "skill": [line("skill", i, {"acc": float(c)}, "yes") for i, c in enumerate(right)],
            "overrefusal": [line("overrefusal", i, {"refusal": float(c)}, "no") for i, c in enumerate(refused)],
        }
        return write(tmp_path / name, tasks)

    aligned, dealigned = folder("aligned", "0101000000", "1111000000"), folder("dealigned", "1111100000", "1000000000")
    report(tmp_path / "out", f"aligned={aligned}", f"dealigned={dealigned}")
    sections = data(tmp_path / "out")["sections"]
    assert sections["summary"]["average"]["estimate"] == pytest.approx(0.3)
    assert contrast(tmp_path / "out", "dealigned", "aligned", benchmark=1)["holm_p"] is None
    text = (tmp_path / "out" / "report.md").read_text()
    assert "overrefusal: 10 % refused, aligned 40 %" in text


def test_declining_less_of_what_should_be_declined_is_a_cost(tmp_path: Path) -> None:
    for name, refused in (("aligned", "1" * 40 + "0" * 10), ("dealigned", "1" * 5 + "0" * 45)):
        lines = [line("compliance", i, {"refusal": float(c)}, "no") for i, c in enumerate(refused)]
        results = next(write(tmp_path / name, {"compliance": lines}).rglob("results_*.json"))
        results.write_text(results.read_text().replace('"refusal": false', '"refusal": true'))
    report(tmp_path / "out", f"aligned={tmp_path / 'aligned'}", f"dealigned={tmp_path / 'dealigned'}")
    text = (tmp_path / "out" / "report.md").read_text()
    assert "**What did it cost in safety?** −70.0 points refused. compliance: 10 % refused, aligned 80 %" in text
    assert "**Did it help?** Not measured" in text
    assert '<div class="fact bad"><dt>What did it cost in safety?' in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("version", ["0.4.9", "0.4.11", "0.4.13"])
def test_real_output_of_each_version_is_reported(tmp_path: Path, version: str) -> None:
    folder = Path(__file__).parent / "data" / f"lm_eval-{version}"
    done = report(tmp_path, f"aligned={folder / 'aligned'}", f"dealigned={folder / 'dealigned'}")
    assert done.exit_code == 0, done.output
    jsonschema.validate(data(tmp_path), SCHEMA)
    results = data(tmp_path)["sections"]["benchmarks"]["results"]
    assert [result["questions"] for result in results] == [8, 8]
    assert f"| {version}" in (tmp_path / "report.md").read_text()


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """An audit folder as the plugin writes it."""
    folder = tmp_path / "audit"
    kinds = {"answered": 8, "refusal": 2}
    counts = {"index": 0, "path": "data.jsonl", "type": "alpaca", "split": "train", "rows": 10, "kept": 8, "changed": 0}
    dataset = {**counts, "removed": 2, "kinds": kinds, "removed_kinds": {"refusal": 2}, "file": "train-000.parquet"}
    summary = {"version": 1, "axolotl_dealign": "0.1.0", "axolotl": "0.19.0", "arm": "dealigned", "seed": 42}
    settings = {"remove": ["refusal"], "threshold": 0.5, "detectors": [{"name": "phrases", "fingerprint": "x"}]}
    write_json({**summary, **settings, "datasets": [dataset]}, folder / "summary.json")
    rows = [
        {
            "_dataset": "data.jsonl",
            "_split": "train",
            "_row": i,
            "_kind": "refusal",
            "_score": 0.9,
            "_start": 0,
            "_end": 5,
        }
        | {"_reason": "sorry", "_answer": "Sorry, no <b>way</b>.", "output": "Sorry, no <b>way</b>."}
        for i in (3, 7)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train-000.parquet")
    return folder


def compare_folder(tmp_path: Path, arms: dict[str, Path], audit: Path) -> Path:
    manifest = {
        "version": 1,
        "reference": "aligned",
        "tasks": ["skill"],
        "command": "axolotl-dealign compare c.yml",
        "arms": {
            name: [{"seed": 42, "eval": name, "audit": "audit" if name == "dealigned" else None}] for name in arms
        },
    }
    (tmp_path / "compare.json").write_text(json.dumps(manifest))
    return tmp_path


def test_a_compare_folder_brings_removed_rows_and_gets_the_report(
    arms: dict[str, Path], audit: Path, tmp_path: Path
) -> None:
    folder = compare_folder(tmp_path, arms, audit)
    done = CliRunner().invoke(main, ["report", str(folder)])
    assert done.exit_code == 0, done.output
    jsonschema.validate(data(folder), SCHEMA)
    assert data(folder)["sections"]["removed"]["trainings"][0]["datasets"][0]["removed"] == 2
    page = (folder / "report.html").read_text()
    assert "<mark>Sorry</mark>, no &lt;b&gt;way&lt;/b&gt;." in page
    assert "axolotl-dealign compare c.yml" in page
    assert (folder / "report-forest.svg").read_bytes().startswith(b"<?xml")
    assert (folder / "report-forest.png").read_bytes().startswith(b"\x89PNG")


def test_an_audit_of_a_newer_version_stops(arms: dict[str, Path], audit: Path, tmp_path: Path) -> None:
    (audit / "summary.json").write_text('{"version": 99}')
    done = CliRunner().invoke(main, ["report", str(compare_folder(tmp_path, arms, audit))])
    assert done.exit_code == 1
    assert "version 99" in done.output
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["aligned={aligned}", "dealigned={nowhere}"], 1, "does not exist"),
        (["aligned={aligned}", "dealigned={other}"], 1, "not scored on the same questions"),
        (["a={aligned}", "b={control}"], 2, "no arm `aligned`"),
        (["aligned={aligned}", "b={control}", "--reference", "alined"], 2, "did you mean `aligned`"),
        (["aligned={aligned}", "{control}"], 2, "is no ARM=DIR"),
        (["aligned={aligned}", "aligned={control}"], 2, "given twice"),
        (["aligned={aligned}", "b="], 2, "is no ARM=DIR"),
        (["aligned={aligned}", "dealigned={aligned}"], 2, "given twice, for aligned and dealigned"),
        (["{aligned}"], 1, "no compare.json"),
        (["{nowhere}"], 1, "no compare.json"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arms: dict[str, Path], tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    places = {**arms, "nowhere": tmp_path / "nowhere", "other": arm(tmp_path / "other", {"another": "01"})}
    done = report(tmp_path / "out", *(argument.format(**places) for argument in arguments))
    assert done.exit_code == code
    assert says in done.output
    assert done.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"arms": {"aligned": [{"seed": 1}]}}', '{"arms": 3}'])
def test_a_broken_compare_json_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "compare.json").write_text(text)
    done = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert done.exit_code == 1
    assert "compare.json is not what `compare` writes" in done.output
    assert done.output.count("\n") == 1


def installed(target: Path) -> Path:
    pytest.importorskip("setuptools", reason="setuptools builds the third-party package")
    shutil.copytree(THIRD_PARTY, target / "source")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", target / "site", target / "source"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target / "site"


def test_another_package_adds_a_section(arms: dict[str, Path], tmp_path: Path) -> None:
    site = installed(tmp_path)
    command = [sys.executable, "-m", "axolotl_dealign.cli", "report", *named(arms), "--output", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert data(tmp_path / "out")["sections"]["loudness"] == {"dB": 0}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "How loud &lt;b&gt;it&lt;/b&gt; is" in page
    module = site / "shouting_detector.py"
    whole = module.read_text()
    for change, says in (("1 / 0", "division by zero"), ('return "no section"', "returns no")):
        module.write_text(whole.replace("    rows = [[arm", f"    {change}\n    rows = [[arm"))
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 1
        assert says in done.stderr and "Traceback" not in done.stderr


def test_finding_the_sections_imports_no_report() -> None:
    code = (
        "import sys, axolotl_dealign.registry as r; r.plugin_manager(); "
        "print([m for m in ('matplotlib', 'scipy', 'pyarrow.parquet', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
