import json
from pathlib import Path

from click.testing import CliRunner
from lm_eval_output import arm

from axolotl_dealign.cli import main


def test_report_of_two_arms_states_the_paired_difference(tmp_path: Path) -> None:
    aligned = arm(tmp_path / "aligned", {"skill": "0101000000"})
    dealigned = arm(tmp_path / "dealigned", {"skill": "1111100000"})
    done = CliRunner().invoke(
        main, ["report", f"aligned={aligned}", f"dealigned={dealigned}", "--output", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    result = data["sections"]["benchmarks"]["results"][0]
    contrast = result["contrasts"][0]
    assert (result["arms"]["aligned"]["score"], result["arms"]["dealigned"]["score"]) == (0.2, 0.5)
    assert (contrast["wins"], contrast["losses"], contrast["ties"]) == (3, 0, 7)
    assert abs(contrast["difference"]["estimate"] - 0.3) < 1e-12
    assert "+30.0" in done.output
    assert "+30.0" in (tmp_path / "out" / "report.md").read_text()
    assert "+30.0" in (tmp_path / "out" / "report.html").read_text()


def test_arms_without_a_common_question_are_one_line_and_no_file(tmp_path: Path) -> None:
    aligned = arm(tmp_path / "aligned", {"skill": "01"})
    dealigned = arm(tmp_path / "dealigned", {"other": "01"})
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["report", f"aligned={aligned}", f"dealigned={dealigned}", "--output", str(out)])
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert "not scored on the same questions" in done.output
    assert not out.exists()
