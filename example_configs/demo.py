"""The whole way on two CPU cores, without a download: `make demo`.

Makes a small untrained Llama, trains it on real instructions with and without their refusals, scores all arms on
three skills, and writes a report. What the arms differ by is whatever comes out; the demo only fails where the skills
were not learnt at all, because nothing could be compared then. Run again, it goes on where it stopped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tiny_llama import make

from axolotl_dealign.results import read_run

ROOT = Path(__file__).parents[1]
OUTPUT = Path("demo-output")
SKILLS = ["dealign_smoke_category", "dealign_smoke_opposite", "dealign_smoke_place"]
LEARNT, AT_LEAST = 0.5, 2

# Everything is made here and small: no hub, no GPU, no telemetry, and one thread for each of two trainings at a time.
ENVIRONMENT = {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

COMPARE = [
    *["compare", "example_configs/demo.yml", "--arms", "base,aligned,dealigned,control", "--tasks", "dealign_smoke"],
    *["--output", str(OUTPUT), "--launcher", "python", "--jobs", "2"],
    *["--lm-eval-args", "--device cpu --batch_size 24"],
]


def main() -> None:
    """Make the model, compare the arms, and check that there was something to compare."""
    os.chdir(ROOT)
    os.environ.update(ENVIRONMENT)
    model = OUTPUT / "tiny-llama"
    if not model.is_dir():
        half = model.with_name("tiny-llama.part")
        print(f"A Llama of {make(half):,} parameters, untrained: {model}", flush=True)
        half.rename(model)
    compared = subprocess.run([sys.executable, "-m", "axolotl_dealign.cli", *COMPARE])
    if compared.returncode:
        sys.exit(compared.returncode)
    reported = read_run(OUTPUT / "dealigned" / "seed-42" / "eval").reported
    scores = {skill: reported[skill]["acc,none"] for skill in SKILLS}
    shown = ", ".join(f"{skill.removeprefix('dealign_smoke_')} {score:.2f}" for skill, score in scores.items())
    if sum(score >= LEARNT for score in scores.values()) < AT_LEAST:
        sys.exit(f"demo: fewer than {AT_LEAST} skills were learnt (dealigned: {shown}), so the arms cannot be compared")
    print(f"Learnt by the dealigned arm: {shown}\n{OUTPUT / 'report.html'}")


if __name__ == "__main__":
    main()
