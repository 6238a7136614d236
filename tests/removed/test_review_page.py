"""The review page in a real browser: Debian's Chromium, or any that is called `chromium`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from datasets import disable_progress_bars

from axolotl_dealign.cli import main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no `chromium` on this machine (apt-get install chromium)", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

REFUSAL = "I'm sorry, but I can't help with that request."
HOSTILE = "</script><img src=x onerror='window.pwned = 1'><script>window.pwned = 2</script>"
ROWS = [
    {"instruction": f"Do {i}. {HOSTILE}", "output": f"{REFUSAL} ({i}) {HOSTILE}" if i < 5 else f"Done {i}."}
    for i in range(12)
]


def run(*args: str) -> None:
    done = CliRunner().invoke(main, list(args))
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    disable_progress_bars()
    path = tmp_path_factory.mktemp("review")
    (path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    run("clean", f"{path}/in.jsonl", f"{path}/out.jsonl")
    run("removed", f"{path}/out.jsonl.dealign", "--html", f"{path}/page.html")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as session:
        started = session.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: playwright.Browser, folder: Path) -> Iterator[playwright.Page]:
    context = browser.new_context(offline=True)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    opened.goto((folder / "page.html").as_uri())
    yield opened
    context.close()
    # Whatever a test did with it: no error, no warning, no request.
    assert complaints == []


def test_rows_are_judged_by_keyboard_and_the_files_overrule_the_detector(page, folder, tmp_path):
    assert page.inner_text("#count") == "Row 1 of 5; 0 of 5 judged."
    for key in ("w", "r", "j", "w", "u"):  # row 1 wrong, 2 right, 3 passed over, 4 wrong, 5 not judged
        page.keyboard.press(key)
    assert page.inner_text("#count") == "Row 5 of 5; 3 of 5 judged."
    files = {}
    for button, name in (("#keep", "keep_file.txt"), ("#remove", "remove_file.txt")):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename == name
        files[name] = tmp_path / name
        download.value.save_as(files[name])
    assert [len(path.read_text().splitlines()) for path in files.values()] == [2, 1]
    flags = [f"--{name.removesuffix('.txt').replace('_', '-')}={path}" for name, path in files.items()]
    run("clean", f"{folder}/in.jsonl", f"{tmp_path}/out.jsonl", *flags)
    kept = [json.loads(line)["output"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [text.startswith(f"{REFUSAL} ({i})") for i, text in zip((0, 3), kept[:2], strict=True)] == [True, True]
    assert len(kept) == len(ROWS) - 5 + 2


def test_text_of_rows_is_text(page):
    assert HOSTILE in page.inner_text("#answer")
    assert page.evaluate("window.pwned") is None
    assert REFUSAL[:9] in page.inner_text("#answer mark")
    page.click("summary")
    assert HOSTILE in page.inner_text("#row")
    assert page.evaluate("document.images.length") == 0


def test_judgements_survive_a_reload_and_typing_is_no_judgement(page):
    page.keyboard.press("w")
    page.reload()
    assert page.inner_text("#verdict") == "✗ wrong"
    page.fill("#text", "")
    page.type("#text", "w (3)")
    assert page.inner_text("#n-wrong") == "1"
    page.fill("#text", "(3)")
    assert page.inner_text("#count") == "Row 1 of 1; 1 of 5 judged."
    page.fill("#text", "nowhere")
    assert page.is_hidden("#card")
    page.fill("#text", "")
    page.select_option("#judged", "wrong")
    assert page.inner_text("#count").startswith("Row 1 of 1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1200])
def test_accessible_in_light_and_dark(page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.keyboard.press("w")
    page.keyboard.press("k")
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
