"""Rows and model outputs are text, whatever they hold: in HTML, Markdown, JSON and on the terminal."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from lm_eval_output import line, write

from axolotl_dealign.cli import main
from axolotl_dealign.report.render import embedded
from axolotl_dealign.report.text import markdown, visible

NASTY = {
    "script": "</script><script>window.pwned = 1</script>",
    "comment": "<!--<script>",
    "image": "<img src=x onerror='window.pwned = 2'>",
    "link": "[click](javascript:window.pwned=3) <a href='javascript:window.pwned=4'>here</a>",
    "style": "</style><style>body{display:none}</style>",
    "template": "{{ 7*7 }} {% raw %} ${7*7}",
    "ansi": "\x1b[31mred\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x1b[2J",
    "bidi": "safe\u202etxt.exe\u2066x",
    "nul": "a\x00b\ud800c\ufeff\u200bd",
    "separators": "a\u2028b\u2029c\r\nd\x85e",
    "table": "a | b\n| c | `d` *e* _f_ # g",
    "long": "x" * 1_000_000,
    "empty": "",
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose questions, targets, answers, and names of tasks and arms are hostile."""
    tmp_path = tmp_path_factory.mktemp("hostile")
    texts = list(NASTY.values())
    task = "<b>task|`x`[y](javascript:z)"

    def folder(name: str, right: float) -> Path:
        lines = [
            line(task, i, {"acc": right}, text, target=text, doc={"question": text}, model=name)
            | {"arguments": {"gen_args_0": {"arg_0": f"{text}\nAnswer:", "arg_1": {"until": []}}}}
            for i, text in enumerate(texts)
        ]
        return write(tmp_path / name, {task: lines}, max_gen_toks=64, model="<i>model</i>".replace("/", "_"))

    first, second = folder("first", 0.0), folder("second", 1.0)
    arms = [f"aligned={first}", f"<script>alert(1)</script>\x1b[31m={second}"]
    done = CliRunner().invoke(main, ["report", *arms, "--output", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    (tmp_path / "out" / "terminal.txt").write_text(done.output)
    return tmp_path / "out"


class Page(HTMLParser):
    """What a browser makes of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def test_the_page_holds_no_element_that_is_not_ours(hostile: Path) -> None:
    page = Page()
    page.feed((hostile / "report.html").read_text())
    assert page.tags.count("script") == 2  # the data and the viewer
    assert page.tags.count("style") == 1
    assert not page.handlers
    assert all(link.startswith("#") for link in page.links)
    assert not {"img", "b", "i", "iframe", "base", "form"}.intersection(page.tags) - {"form"}


def test_the_page_may_load_nothing_and_run_only_our_script(hostile: Path) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', (hostile / "report.html").read_text())
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].replace("&#39;", "'").split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", rules["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", rules["style-src"])


def test_a_million_characters_are_cut_and_counted(hostile: Path) -> None:
    page = (hostile / "report.html").read_text()
    assert len(page) < 200_000
    assert "[998,500 more characters]" in page


@pytest.mark.parametrize("name", ["report.html", "report.md", "terminal.txt"])
def test_nothing_invisible_is_left(hostile: Path, name: str) -> None:
    text = (hostile / name).read_text()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", text)


def test_markdown_holds_no_markup_of_others(hostile: Path) -> None:
    text = (hostile / "report.md").read_text()
    assert "<script" not in text.replace("\\<", "")
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert rows and all(
        len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", rows[0])) for row in rows[:3]
    )


def test_json_is_plain_ascii(hostile: Path) -> None:
    (hostile / "report.json").read_bytes().decode("ascii")


@given(st.text(alphabet=st.characters()))
def test_embedded_json_ends_no_script_and_is_the_same_text(text: str) -> None:
    shown = embedded([text])
    assert not re.search(r"[<>&\u2028\u2029]", shown)
    assert json.loads(shown) == [text]


@given(st.text(alphabet=st.characters(), max_size=200), st.integers(0, 50))
def test_visible_text_is_harmless_and_says_what_it_leaves_out(text: str, limit: int) -> None:
    shown = visible(text, limit)
    shown.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert (f"{len(text) - limit:,} more characters" in shown) == (len(text) > limit)


@given(st.text(alphabet=st.characters(), max_size=200))
def test_markdown_stays_in_its_cell(text: str) -> None:
    cell = markdown(text)
    assert "\n" not in cell
    assert not re.search(r"(?<!\\)(\\\\)*[|<>`*\[\]]", cell)


@given(st.text(alphabet="abc def.,-", max_size=50))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text
