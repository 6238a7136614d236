"""A detector in another installed package is found by its entry point, and a broken one stops the run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "third_party"

ASK = """
import json, pyarrow as pa
from axolotl_dealign.registry import detector_factories, make_detector
detection = make_detector("shouting", word="NEIN").detect(pa.array(["well NEIN", "NO", None], pa.large_string()), None)
span = detection.spans[0]
print(json.dumps({
    "names": sorted(detector_factories()),
    "refusal": [None if s != s else float(s) for s in detection.scores[:, 0]],
    "span": [span.start, span.end, span.reason],
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", reason="setuptools builds the third-party package")
    source, target = tmp_path_factory.mktemp("source") / "package", tmp_path_factory.mktemp("target")
    shutil.copytree(PACKAGE, source)  # a build leaves files beside its source
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", target, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def run(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(path)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)


def test_is_found_beside_the_built_in_ones(installed: Path) -> None:
    done = run(ASK, installed)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {"phrases", "shouting"} <= set(said["names"])
    assert said["refusal"] == [1.0, 0.0, None]
    assert said["span"] == [5, 9, "shouts NEIN"]


def test_one_that_cannot_be_imported_stops_with_its_name(installed: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(installed, broken)
    (broken / "shouting_detector.py").write_text("import no_such_module_anywhere")
    done = run(ASK, broken)
    assert done.returncode != 0
    assert "PluginError" in done.stderr and "no_such_module_anywhere" in done.stderr


def test_the_same_name_twice_stops(installed: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(installed, twin)
    module = twin / "shouting_detector.py"
    module.write_text(module.read_text().replace('{"shouting":', '{"phrases":'))
    done = run(ASK, twin)
    assert done.returncode != 0
    assert "two installed packages register the detector `phrases`" in done.stderr
