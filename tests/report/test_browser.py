"""The page in a real browser: Debian's Chromium, or any that is called `chromium`."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from lm_eval_output import line, write

from axolotl_dealign.cli import main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no `chromium` on this machine (apt-get install chromium)", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

SORRY = "I'm sorry, but I can't help with that request."
HOSTILE = "</script><img src=x onerror='window.pwned = 1'><script>window.pwned = 2</script>"


def folder(path: Path, arm: str, questions: int, tail: str = "") -> Path:
    """Two benchmarks; dealigned is better on three questions of four, aligned on the rest, and declines on some."""
    tasks = {}
    for task in ("maths", "words"):
        lines = []
        for i in range(questions):
            right = (i % 4 != 3) == (arm == "dealigned")
            declines = arm == "aligned" and i % 5 == 0
            answer = SORRY if declines else f"{'right' if right else 'wrong'} {task} {i} {tail}"
            lines.append(line(task, i, {"acc": float(right), "refusal": float(declines)}, answer))
        tasks[task] = lines
    tasks["words"][1]["resps"] = [[HOSTILE]]
    return write(path / arm, tasks, max_gen_toks=64)


def report(path: Path, questions: int, tail: str = "") -> Path:
    arms = [f"{arm}={folder(path, arm, questions, tail)}" for arm in ("aligned", "dealigned")]
    done = CliRunner().invoke(main, ["report", *arms, "--output", str(path)])
    assert done.exit_code == 0, done.output
    return path / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as session:
        started = session.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(tmp_path_factory.mktemp("small"), 60)


@pytest.fixture
def page(browser: "playwright.Browser", small: Path) -> Iterator["playwright.Page"]:
    context = browser.new_context(offline=True)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    opened.goto(small.as_uri())
    yield opened
    context.close()
    # Whatever a test did with it: no error, no warning, no request.
    assert complaints == []


def count(page: "playwright.Page") -> int:
    return int(page.locator("#f-count").inner_text().split(" ")[0].replace(",", ""))


def test_shows_all_flipped_questions_side_by_side(page: "playwright.Page") -> None:
    assert count(page) == 120
    first = page.locator("article").first
    assert "maths · question 0" in first.inner_text()
    assert first.locator(".sides .said").all_inner_texts() == ["right maths 0 ", SORRY]
    assert "aligned: 0, declines" in first.inner_text()


def test_filters_by_benchmark_direction_refusal_and_text(page: "playwright.Page") -> None:
    page.get_by_role("combobox", name="Benchmark").select_option("words")
    assert count(page) == 60
    page.get_by_role("combobox", name="Direction").select_option(label="aligned better")
    assert count(page) == 15
    page.get_by_role("combobox", name="Refusal").select_option(label="aligned declines")
    assert count(page) == 3
    page.get_by_role("combobox", name="Refusal").select_option(label="neither declines")
    assert count(page) == 12
    page.get_by_role("searchbox", name="Text").fill("WORDS 27")
    assert count(page) == 1
    page.get_by_role("searchbox", name="Text").fill("nothing has this")
    assert count(page) == 0
    assert page.locator("article").count() == 0


def test_a_link_shows_its_one_question_and_the_way_back(page: "playwright.Page", small: Path) -> None:
    page.get_by_role("searchbox", name="Text").fill("words 27")
    page.get_by_role("link", name="Link to words question 27").click()
    assert page.url == f"{small.as_uri()}#q=words%2F27"
    again = page.context.new_page()
    again.goto(page.url)
    assert again.locator("article h3").all_inner_texts() == ["words · question 27"]
    again.get_by_role("link", name="Show all").click()
    assert count(again) == 120
    again.goto(f"{small.as_uri()}#q=words%2F999")
    again.reload()
    assert "No flipped question has this link" in again.locator("#f-count").inner_text()
    again.goto(f"{small.as_uri()}#q=%E0%A4")
    again.reload()
    assert count(again) == 120


def test_links_to_sections_lead_to_sections(page: "playwright.Page") -> None:
    targets = page.locator("nav a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(targets) >= 6
    for target in targets:
        assert page.locator(f"section{target}").count() == 1


def test_the_keyboard_reaches_filters_questions_and_more(page: "playwright.Page") -> None:
    page.get_by_role("searchbox", name="Text").focus()
    page.keyboard.type("maths")
    assert count(page) == 60
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "link"
    page.get_by_role("button", name="Show 20 more").press("Enter")
    assert page.locator("article").count() == 40
    # The focus goes on with the first new question, not back to the top.
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Link to maths question 20"


def test_hostile_answers_stay_text(page: "playwright.Page") -> None:
    page.get_by_role("searchbox", name="Text").fill("onerror")
    assert page.locator("article .said").filter(has_text="onerror").first.inner_text() == HOSTILE
    assert page.evaluate("window.pwned") is None


def test_the_policy_blocks_a_script_that_is_not_ours(
    browser: "playwright.Browser", small: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.html"
    changed.write_text(small.read_text().replace("</main>", "<script>window.pwned = 3</script></main>"))
    opened = browser.new_page()
    messages: list[str] = []
    opened.on("console", lambda message: messages.append(message.text))
    opened.goto(changed.as_uri())
    assert opened.evaluate("window.pwned") is None
    assert any("Content Security Policy" in message for message in messages)
    opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_axe_finds_nothing(browser: "playwright.Browser", small: Path, scheme: str, width: int) -> None:
    opened = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    opened.goto(small.as_uri())
    violations = axe.Axe().run(opened).response["violations"]
    found = [(v["id"], v["impact"], [node["html"][:200] for node in v["nodes"][:3]]) for v in violations]
    assert found == []
    opened.close()


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_nothing_is_wider_than_the_screen(browser: "playwright.Browser", small: Path, width: int) -> None:
    opened = browser.new_page(viewport={"width": width, "height": 800})
    opened.goto(small.as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.close()


def test_prints_without_filters_and_with_whole_answers(browser: "playwright.Browser", small: Path) -> None:
    opened = browser.new_page()
    opened.goto(small.as_uri())
    opened.emulate_media(media="print")
    assert not opened.locator(".filters").is_visible()
    assert opened.locator(".said").first.evaluate("box => getComputedStyle(box).maxHeight") == "none"
    opened.close()


@pytest.mark.slow
def test_five_thousand_questions_open_in_two_seconds_and_filter_in_a_fifth(
    browser: "playwright.Browser", tmp_path: Path
) -> None:
    path = report(tmp_path, 3000, "an answer of some length " * 40)
    text = (tmp_path / "report.md").read_text()
    assert "differently on 6,000 questions. 5,000 of them are here" in text
    opened = browser.new_page()
    started = time.monotonic()
    opened.goto(path.as_uri(), wait_until="load")
    assert opened.locator("article").count() == 20
    opening = time.monotonic() - started
    slowest = max(opened.evaluate(FILTER, word) for word in ("a", "maths 2999", "no such words", ""))
    counted = json.loads(opened.evaluate("JSON.stringify(document.querySelectorAll('article').length)"))
    opened.close()
    assert counted == 20
    assert opening < 2
    assert slowest < 200


FILTER = """word => {
  const field = document.getElementById("f-text");
  const started = performance.now();
  field.value = word;
  field.dispatchEvent(new Event("input"));
  document.body.getBoundingClientRect();
  return performance.now() - started;
}"""
