"""What is read from the logs of Axolotl and lm-eval: pieces of real ones."""

import io

from rich.console import Console

from axolotl_dealign.cells import Cell, Step
from axolotl_dealign.progress import Board, Progress, duration, read_progress, trained_steps

TRAINING = (
    "  3%|3         | 10/320 [00:01<00:43,  7.11it/s]\n{'loss': '7.402', 'grad_norm': '0.9724', 'epoch': '0.32'}\n\n"
    "  4%|3         | 12/320 [00:02<00:42,  7.29it/s]"
)
END = (
    "100%|##########| 320/320 [01:19<00:00,  7.57it/s]\n      {'train_runtime': '79.82', 'train_loss': '4.157'}\n"
    "100%|##########| 320/320 [01:19<00:00,  4.01it/s]\nWriting model shards: 100%|###| 1/1 [00:00<00:00, 422.86it/s]\n"
)


def test_a_training():
    assert read_progress(TRAINING) == Progress(
        12, 320, "00:42", "7.402", "4%|3         | 12/320 [00:02<00:42,  7.29it/s]"
    )
    assert read_progress(END).line.startswith("Writing model shards")


def test_an_evaluation_that_has_just_begun():
    assert read_progress("Running generate_until requests:   0%|          | 0/72 [00:00<?, ?it/s]").left == ""
    assert read_progress("") == Progress()


def test_steps_are_those_of_the_training_not_of_what_came_after():
    assert trained_steps(TRAINING + "\n" + END) == 320
    saved = END.replace("      {'train", "Writing model shards: 100%|###| 1/1 [00:00<00:00, 422.86it/s]\n{'train", 1)
    assert trained_steps(TRAINING + "\n" + saved) == 320
    assert trained_steps(TRAINING) is None


def test_duration():
    assert [duration(s) for s in (0, 59.4, 61, 3600, 7384)] == ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "2 h 3 min"]


def cells(tmp_path):
    step = Step("train", tmp_path, ("x",), tmp_path / "model", {})
    return [Cell("aligned", 0, tmp_path, (step,)), Cell("base", None, tmp_path, (step,))]


def test_elsewhere_than_on_a_terminal_each_change_is_a_plain_line(tmp_path, capsys, monkeypatch):
    board = Board(cells(tmp_path))
    cell = cells(tmp_path)[0]
    with board.shown():
        board.say(cell, cell.steps[0], "running")
        board.note(cell, TRAINING)
        monkeypatch.setattr("axolotl_dealign.progress._HEARTBEAT_SECONDS", 0.0)
        board.note(cell, TRAINING)
        board.say(cell, cell.steps[0], "done in 3 s")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"[0/2] aligned/seed-0: train running, log: {tmp_path / 'train.log'}",
        "[0/2] aligned/seed-0: train: running for 0 s, 12/320, 00:42 left, loss 7.402",
        "[1/2] aligned/seed-0: train done in 3 s",
    ]


def test_on_a_terminal_there_is_one_line_a_cell(tmp_path):
    board = Board(cells(tmp_path))
    board._console = Console(file=io.StringIO(), force_terminal=True, width=100)
    cell = cells(tmp_path)[0]
    board.say(cell, cell.steps[0], "running")
    board.note(cell, TRAINING + "\n[red]not markup[/red] " + "x" * 200)
    board._console.print(board._table())
    lines = board._console.file.getvalue().splitlines()
    assert len(lines) == 3
    assert "aligned/seed-0" in lines[0]
    assert "12/320, 00:42 left, loss 7.402" in lines[0]
    assert "[red]" in lines[0]
    assert "waiting" in lines[1]
    assert lines[2].startswith("0/2 steps")
