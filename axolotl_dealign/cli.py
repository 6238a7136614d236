"""The command line: `axolotl-dealign …`, and the same as `axolotl dealign …`.

Light on purpose: `axolotl --help` imports this module, so every command imports its work when it runs.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, Literal

import click

from axolotl_dealign.errors import ConfigError, DealignError

PATH = click.Path(path_type=Path)


class _Group(click.Group):
    """Prints a DealignError as one line and exits with its code: 1 failed, 2 usage."""

    def invoke(self, ctx: click.Context) -> Any:
        # A terminal whose locale is not UTF-8 must not end a run: what it cannot show is escaped.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except DealignError as error:
            click.echo(f"axolotl-dealign: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="axolotl-dealign")
def main() -> None:
    """Remove aligned answers from fine-tuning data, and measure what that did."""


@main.command()
@click.option("--list", "listed", is_flag=True, help="Print the groups instead: what they ask, measure and cost.")
def tasks(listed: bool) -> None:
    """Print the folder to give to `lm_eval run --include_path`."""
    from axolotl_dealign.tasks import include_path

    if not listed:
        click.echo(include_path())
        return
    from axolotl_dealign.tasks.catalog import table

    click.echo(table())


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="ARM=DIR[,DIR…]… | FOLDER")
@click.option("--reference", metavar="ARM", help="The arm that the others are compared with.  [default: aligned]")
@click.option(
    "--output",
    type=PATH,
    metavar="DIR",
    help="Where report.html, .md and .json go.  [default: FOLDER, or the current folder]",
)
def report(sources: tuple[str, ...], reference: str | None, output: Path | None) -> None:
    """Compare arms that lm-eval has scored.

    Name each arm with the folder that was `--output_path` of `lm_eval run --log_samples`, several trainings of one
    arm by commas, or give one FOLDER that `compare` wrote:

    \b
        axolotl-dealign report aligned=out/a dealigned=out/d control=out/c
        axolotl-dealign report aligned=out/a1,out/a2 dealigned=out/d1,out/d2
        axolotl-dealign report my-comparison/
    """  # noqa: D301  click wants the control character
    from axolotl_dealign.report import write_report

    if len(sources) == 1 and ("=" not in sources[0] or Path(sources[0]).is_dir()):
        folder = Path(sources[0])
        path = write_report(folder, output or folder, reference)
    else:
        arms: dict[str, list[Path]] = {}
        for source in sources:
            arm, equals, folders = source.partition("=")
            if not equals or not arm or not folders:
                raise ConfigError(f"`{source}` is no ARM=DIR; give e.g. aligned=out/aligned dealigned=out/dealigned")
            if arm in arms:
                raise ConfigError(f"arm `{arm}` is given twice; name its folders together: {arm}=DIR,DIR")
            arms[arm] = [Path(part) for part in folders.split(",")]
        path = write_report(arms, output or Path(), reference)
    click.echo(f"{path}")


@main.command()
@click.argument("folder", type=PATH)
@click.option("--judge", metavar="DETECTOR", help="The registered detector that judges.  [default: phrases]")
def rescore(folder: Path, judge: str | None) -> None:
    """Judge the outputs of an earlier lm-eval run in FOLDER for refusals.

    Writes `refusal` into its samples_*.jsonl and results_*.json, whatever tasks they are of. Outputs of fewer than 32
    new tokens cannot show a refusal and get none.
    """
    from axolotl_dealign.errors import ResultsError
    from axolotl_dealign.registry import DEFAULT_DETECTOR
    from axolotl_dealign.rescore import rescore as rescored

    judged = 0
    for task in rescored(folder, judge or DEFAULT_DETECTOR):
        judged += task.judged
        share = f"{task.refused:.1%} of {task.judged} refused" if task.judged else "not judged"
        click.echo(f"{task.task}: {share}{f' ({task.why_not})' if task.why_not else ''}")
    if not judged:
        raise ResultsError(f"nothing in {folder} is long enough to be judged; no file was changed")


@main.command()
@click.argument("config", type=PATH)
@click.option("--arms", default="base,aligned,dealigned,control", show_default=True, help="What to train and score.")
@click.option("--seeds", default="", help="Axolotl's `seed` of each training, by commas.  [default: the YAML's]")
@click.option("--tasks", required=True, help="As for lm_eval: groups or tasks by commas; ours are included.")
@click.option("--output", type=PATH, required=True, metavar="DIR", help="Where everything goes; run again to go on.")
@click.option("--reference", default="aligned", show_default=True, help="The arm that the others are compared with.")
@click.option("--launcher", type=click.Choice(["accelerate", "torchrun", "python"]), help="For `axolotl train`.")
@click.option("--launcher-args", default="", metavar="ARGS", help="Arguments for that launcher, in quotes.")
@click.option("--lm-eval-args", default="", metavar="ARGS", help="More arguments for `lm_eval run`, in quotes.")
@click.option("--jobs", type=click.IntRange(1), help="Cells at a time.  [default: one, or one a GPU of --gpus]")
@click.option("--gpus", default="", metavar="0,1,…", help="Spread the cells over these CUDA devices.")
@click.option(
    "--match",
    type=click.Choice(["epochs", "steps"]),
    default="epochs",
    show_default=True,
    help="Train every arm for as many epochs of its own rows, or for as many steps as the reference arm.",
)
@click.option("--dry-run", is_flag=True, help="Show what would run, and what is done already.")
@click.option("--print-commands", is_flag=True, help="Print one command line a cell, independent of the others.")
@click.option("--cell", "only", metavar="CELL", help="Run this cell alone, e.g. aligned/seed-0, without a report.")
def compare(
    config: Path,
    arms: str,
    seeds: str,
    tasks: str,
    output: Path,
    reference: str,
    launcher: str | None,
    launcher_args: str,
    lm_eval_args: str,
    jobs: int | None,
    gpus: str,
    match: Literal["epochs", "steps"],
    dry_run: bool,
    print_commands: bool,
    only: str | None,
) -> None:
    """Train the arms of CONFIG with Axolotl, score them with lm-eval, and report.

    What is done already is skipped, also after a kill.

    \b
        axolotl-dealign compare config.yml --tasks dealign_smoke --output my-comparison
        axolotl-dealign compare config.yml --tasks poison_of_alignment --output my-comparison \\
            --seeds 0,1,2 --gpus 0,1 --lm-eval-args '--batch_size 1 --confirm_run_unsafe_code'
    """  # noqa: D301  click wants the control character
    import shlex

    from axolotl_dealign import grid
    from axolotl_dealign.compare import Options, command_line, parse_arms, plan
    from axolotl_dealign.registry import did_you_mean
    from axolotl_dealign.report import write_report
    from axolotl_dealign.scoring import check_tasks

    try:
        numbers = tuple(int(seed) for seed in seeds.split(",") if seed)
    except ValueError:
        raise ConfigError(f"--seeds: `{seeds}` are no whole numbers by commas; give e.g. 0,1,2") from None
    devices = [gpu.strip() for gpu in gpus.split(",") if gpu.strip()]
    options = Options(
        config=config,
        output=output.absolute(),
        arms=parse_arms(arms),
        seeds=numbers,
        tasks=tasks,
        reference=reference,
        launcher=launcher,
        launcher_args=tuple(shlex.split(launcher_args)),
        lm_eval_args=tuple(shlex.split(lm_eval_args)),
        match=match,
    )
    cells = plan(options)
    if only is not None and only not in [cell.name for cell in cells]:
        raise ConfigError(f"--cell: no cell `{only}`{did_you_mean(only, [cell.name for cell in cells])}")
    if dry_run:
        for cell in cells:
            for step in cell.steps:
                click.echo(f"# {cell.name}: {step.name} ({step.state})\n{shlex.join(step.command)}")
                if step.config is not None:
                    click.echo("".join(f"#   {line}\n" for line in step.config.splitlines()), nl=False)
        return
    if print_commands:
        for cell in cells:
            click.echo(command_line(options, cell))
        return
    if not all(cell.steps[-1].done for cell in cells):
        check_tasks(tasks, options.lm_eval_args)
    pace = next((cell for cell in cells if cell.seed is not None), None)
    if match == "steps" and pace is not None and only not in (None, "base", pace.name) and not pace.steps[0].done:
        raise ConfigError(f"--match steps: `{only}` is trained as long as `{pace.name}`; run that cell first")
    if match == "steps" and pace is not None and only is None:
        grid.run(options, cells, [pace], jobs or 1, devices)
        cells = plan(options)
    chosen = [cell for cell in cells if only in (None, cell.name)]
    grid.run(options, cells, chosen, jobs or max(1, len(devices)), devices)
    if only is None:
        click.echo(
            f"\n{write_report(options.output, options.output, reference if reference in options.arms else None)}"
        )


@main.command()
@click.argument("source", metavar="IN")
@click.argument("output", metavar="OUT", type=PATH)
@click.option(
    "--audit", type=PATH, metavar="DIR", help="Where the rows not kept as they were go.  [default: OUT.dealign]"
)
@click.option("--config", type=PATH, metavar="FILE", help="An Axolotl YAML: its `dealign:` block and its dataset IN.")
@click.option(
    "--type", "dataset_type", metavar="TYPE", help="Axolotl's `type:` of the rows.  [default: by their columns]"
)
@click.option("--split", metavar="NAME", help="The only split to take of a folder or hub dataset.")
@click.option("--arm", metavar="ARM", help="dealigned, control or aligned.  [default: dealigned]")
@click.option("--remove", multiple=True, metavar="KIND", help="A kind of answer to remove; give it once for each.")
@click.option("--threshold", type=float, metavar="SCORE", help="Score from which an answer is aligned, 0.2 to 1.")
@click.option("--preset", metavar="NAME", help="Instead: strict (0.8), balanced (0.5) or thorough (0.2).")
@click.option("--detector", "detectors", multiple=True, metavar="NAME", help="Who looks; give it once for each.")
@click.option("--on-turn", metavar="HOW", help="Conversations: drop_row, truncate or mask.")
@click.option("--on-chosen", metavar="HOW", help="Preference pairs: drop or swap.")
@click.option("--on-desirable", metavar="HOW", help="KTO rows: drop or flip.")
@click.option("--on-unknown", metavar="HOW", help="Rows without a known answer column: stop or keep.")
@click.option(
    "--max-removed", type=float, metavar="SHARE", help="Stop when more than this share would go.  [default: 0.5]"
)
@click.option("--seed", type=int, metavar="N", help="Draws the rows of `--arm control`.  [default: 42]")
@click.option("--keep-file", metavar="FILE", help="Content hashes of rows to keep whatever a detector says.")
@click.option("--remove-file", metavar="FILE", help="Content hashes of rows to remove.")
def clean(
    source: str,
    output: Path,
    audit: Path | None,
    config: Path | None,
    dataset_type: str | None,
    split: str | None,
    **policy: Any,
) -> None:
    """Do to a file what the plugin does when Axolotl loads it.

    IN is JSON lines or a JSON array (.jsonl, .json, also .gz, .zst, .bz2), Parquet, Arrow, a folder, or the id of a
    dataset on the hub. OUT gets its format, and JSON rows that are kept stand there as they were, byte for byte.
    Flags win over the `dealign:` block of --config.

    \b
        axolotl-dealign clean data.jsonl clean.jsonl
        axolotl-dealign clean data.parquet clean.parquet --preset strict --remove refusal
        axolotl-dealign clean data.jsonl clean.jsonl --config train.yml
    """  # noqa: D301  click wants the control character
    from axolotl_dealign.files.clean import clean_file
    from axolotl_dealign.files.settings import from_flags
    from axolotl_dealign.summary import print_table

    flags = {key: list(value) if isinstance(value, tuple) else value for key, value in policy.items()}
    watch, described = from_flags(flags, config, source, dataset_type, split)
    if described.note:
        click.echo(described.note, err=True)
    audit_dir = audit or output.with_name(f"{output.name}.dealign")
    summary = clean_file(source, output, watch, described, audit_dir, lambda line: click.echo(line, err=True))
    print_table(summary, audit_dir)
    click.echo(f"{output}")


@main.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "--kind", "kinds", multiple=True, metavar="KIND", help="Only answers of this kind; give it once for each."
)
@click.option("--min-score", type=float, metavar="SCORE", help="Only answers with this score or more.")
@click.option("--max-score", type=float, metavar="SCORE", help="Only answers with this score or less.")
@click.option("--text", metavar="TEXT", help="Only where this stands in the answer or its prompt, whatever its case.")
@click.option("--dataset", metavar="NAME", help="Only rows of this dataset.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many to show.  [default: 20; 5000 with --html; all with --format json]",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print them.")
@click.option("--restore", type=PATH, metavar="OUT", help="Write them as they were, to a .jsonl or .parquet file.")
@click.option("--html", type=PATH, metavar="FILE", help="Write a page to review them with the keyboard.")
def removed(
    folder: Path,
    kinds: tuple[str, ...],
    min_score: float | None,
    max_score: float | None,
    text: str | None,
    dataset: str | None,
    limit: int | None,
    form: str,
    restore: Path | None,
    html: Path | None,
) -> None:
    """Look at the rows of an audit: what was removed or changed, and why.

    DIR is what the plugin (`{output_dir}/dealign`) or `clean` (`OUT.dealign`) wrote.

    \b
        axolotl-dealign removed out/dealign --kind moralizing --max-score 0.6
        axolotl-dealign removed out/dealign --html review.html
        axolotl-dealign removed out/dealign --text "as an AI" --restore back.jsonl
    """  # noqa: D301  click wants the control character
    from axolotl_dealign.removed.read import Wanted, open_audit, rows

    if restore and html:
        raise ConfigError("--restore and --html each write what matches; give one of them")
    parts = open_audit(folder)
    wanted = Wanted(kinds, min_score, max_score, text, dataset)
    wanted.check(parts)
    if restore:
        from axolotl_dealign.removed.restore import restore as restored

        click.echo(f"{restore}: {restored(parts, wanted, restore):,} rows")
    elif html:
        from axolotl_dealign.removed.page import write_page

        shown, total = write_page(rows(parts, wanted), html, limit)
        click.echo(f"{html}: {shown:,} of {total:,} rows that match")
    elif form == "json":
        from axolotl_dealign.removed.show import print_json

        print_json(rows(parts, wanted), limit)
    else:
        from axolotl_dealign.removed.show import show

        shown, total = show(rows(parts, wanted), limit or 20)
        click.echo(f"{shown:,} of {total:,} rows that match", err=True)


@main.command()
@click.argument("config", type=PATH)
def check(config: Path) -> None:
    """Make sure that CONFIG will be trained with the plugin: exit 0 only if it will.

    For `axolotl-dealign check CONFIG && axolotl train CONFIG`: axolotl 0.19 only logs a plugin that it cannot import,
    and trains on everything.
    """
    from axolotl_dealign.check import check_file

    click.echo(check_file(config))


if __name__ == "__main__":
    main()
