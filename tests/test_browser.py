"""The lessons in a real browser: open and run each one, and operate every panel by keyboard and pointer.

The tests are skipped without Chromium or playwright; with MOONSHINE_REQUIRE_BROWSER=1 they fail instead.
Screenshots and the counts, browser.json, go to MOONSHINE_SCREENSHOTS or a temporary folder.
"""

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from browser_kit import LessonPage, LiveOnPage, Tally, find_chromium, jupyterlab_server, what_is_missing
from conftest import ROOT

from moonshine.cli.course_commands import copy_course, find_lessons

COURSE = Path(os.environ.get("MOONSHINE_COURSE") or ROOT / "nbs" / "course")
WIDTHS = 1280, 700


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Return the folder for the screenshots."""
    folder = Path(os.environ.get("MOONSHINE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def tally(images, request):
    """Yield the counts, which are printed and saved at the end."""
    counts = Tally()
    yield counts
    (images / "browser.json").write_text(json.dumps(asdict(counts), indent=1))
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(
            f"\n{counts}; screenshots: {images}", file=sys.stderr, flush=True
        )  # a worker of xdist has no stdout


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """Yield (URL of a JupyterLab, the copy of the course that it serves, a browser)."""
    missing = what_is_missing()
    if missing:
        (pytest.fail if os.environ.get("MOONSHINE_REQUIRE_BROWSER") == "1" else pytest.skip)(missing)
    from playwright.sync_api import sync_playwright

    course, home = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("jupyter")
    copy_course(COURSE, course)
    with jupyterlab_server(course, home) as url, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield url, course, browser
        browser.close()


@pytest.fixture
def lesson(jupyter, tally, images, request):
    """Yield a lesson that is open in the browser; take a final screenshot and shut down its kernel."""
    url, course, browser = jupyter
    opened, start = LessonPage(browser, url, course / request.param, tally), time.time()
    opened.open()
    yield opened
    opened.page.screenshot(path=images / f"{opened.path.stem}_at_the_end.png")
    opened.stop_kernel()
    opened.page.close()
    tally.seconds[opened.path.stem] = round(time.time() - start, 1)


def stored_outputs(path):
    """Return the outputs stored in a notebook, cell by cell."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell["outputs"] for cell in cells if cell["cell_type"] == "code"]


def stored_images(path):
    """Count the images stored in a notebook."""
    return sum(
        "image/png" in output.get("data", {}) for outputs in stored_outputs(path) for output in outputs
    )


def opens_with_its_images(lesson):
    """Check that a notebook that has not been run shows its stored images."""
    lesson.tally.check(lesson.count(".moonshine-panel") == 0, "there is a widget before the first run")
    alive = lesson.alive()  # none in a notebook from elsewhere: JupyterLab takes iframes out of it
    stored, seen = stored_images(lesson.path), lesson.images()
    lesson.tally.check(stored == seen + alive > 0, f"{stored} images are stored, {seen} are seen")


def runs_through(lesson):
    """Run all cells, and check that there are no errors, no stderr output, and consecutive cell numbers."""
    lesson.run_all()
    for kind in ("error", "stderr"):
        found = lesson.text(f'.jp-Notebook [data-mime-type="application/vnd.jupyter.{kind}"]')
        lesson.tally.check(not found, f"{kind} of a cell: {found}")
    prompts = lesson.prompts()
    lesson.tally.check(
        prompts == [f"[{i}]:" for i in range(1, len(prompts) + 1)], f"not all cells ran: {prompts}"
    )


def moves(panel):
    """Check that a panel reacts to keyboard and pointer, in the image and in the text."""
    panel.look()
    panel.check(panel.hides_what_is_stored(), "the static image is visible next to the live one")
    panel.check(panel.by_keyboard(), "no key moves it")
    panel.check(panel.by_pointer(), "no pointer moves it")
    panel.check(len(panel.texts) > 1, "its text never changes")
    panel.check(len(panel.sources) > 1, "its image never changes")
    panel.lesson.tally.panels_moved += 1


def fits(lesson, panels, width, images):
    """Check that nothing extends beyond the window, and take screenshots."""
    lesson.set_width(width)
    for number, panel in enumerate(panels, 1):
        panel.element.scroll_into_view_if_needed()
        panel.check(not panel.too_wide(), f"too wide for a window of {width}: {panel.too_wide()}")
        panel.element.screenshot(path=images / f"{lesson.path.stem}_{number}_{panel.name}_{width}.png")
    sideways = lesson.page.locator(".jp-Notebook").evaluate("e => e.scrollWidth - e.clientWidth")
    lesson.tally.check(sideways <= 1, f"the notebook scrolls sideways by {sideways} in a window of {width}")
    lesson.screenshot(images / f"{lesson.path.stem}_{width}.png")


def keeps_its_images(lesson, panels):
    """Save, restart and reopen the lesson, and check the stored image and text of every panel."""
    lesson.save()
    stored = stored_outputs(lesson.path)
    for panel in panels:
        outputs = stored[panel.code_cell]
        panel.check(any("image/png" in output.get("data", {}) for output in outputs), "no image was saved")
        panel.check(any(output["output_type"] == "stream" for output in outputs), "no text was saved")
    lesson.stop_kernel()
    lesson.open()
    opens_with_its_images(lesson)
    live = sum(isinstance(panel, LiveOnPage) for panel in panels)
    lesson.tally.check(lesson.alive() == live, f"only some of {live} panels live without the kernel's help")


@pytest.mark.parametrize("lesson", [path.name for path in find_lessons(COURSE)], indirect=True)
def test_lesson(lesson, tally, images):
    """Test one lesson from its first opening to its second."""
    tally.check(stored_images(lesson.path) == 0, "the reader's copy shows results before it is run")
    runs_through(lesson)
    lesson.pass_gates()
    panels = lesson.panels()
    tally.check(panels, "no live panel")
    for number, panel in enumerate(panels, 1):
        panel.element.screenshot(path=images / f"{lesson.path.stem}_{number}_{panel.name}_opens.png")
        moves(panel)
    for width in WIDTHS:
        fits(lesson, panels, width, images)
    tally.check(not lesson.complaints, f"the browser's console has errors: {lesson.complaints}")
    keeps_its_images(lesson, panels)
    tally.lessons += 1
