"""Lessons in a real JupyterLab on the second day, after a restart, in the dark, and on a projector.

The tests are skipped without Chromium or playwright; with MOONSHINE_REQUIRE_BROWSER=1 they fail instead.
"""

import os
import re
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from browser_kit import LessonPage, Tally, find_chromium, jupyterlab_server, what_is_missing
from test_lab import free_port, start_lab, wait_for_address

from moonshine.cli.course_commands import copy_course

SET_UP = """from moonshine.lessons.answers import question
from moonshine.lessons.gates import gate
from moonshine.panels.base import Panel, buttons, canvas, checkbox, menu, show, slider
@question('0.31', unit='weights', because='Nine for each pair of channels.')
def first():
    'How many weights?'
    return 9 * 64 * 64
def draw(height):
    figure = canvas(3)
    figure.add_axes((0.1, 0.2, 0.8, 0.7)).bar(['one', 'two'], [1, height])
    return figure
"""
PANEL = """controls = dict(
    height=slider('height', [1, 2, 3], 2), way=menu('way', ['up', 'down'], 'up'),
    block=buttons('block', ['S', 'G'], 'G'), noise=checkbox('noise', True))
panel = Panel('bars', controls, lambda height, **others: 6 / (3 - height), draw,
    lambda data: f'The second bar has a height of {data}.', presets={'lower': dict(height=1)})
show(panel)"""
LESSON = "# A lesson\n\nOne panel, one gate.", SET_UP, PANEL, "gate('0.31')", "print('below the gate')"
RUN = "To use the controls, choose Run ▸ Run All Cells."
RESTART = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
# What the reader sees of generated content: pseudo-elements of the widgets and of the outputs around them.
GENERATED = """() => [...document.querySelectorAll('.jp-Notebook .jupyter-widgets, .jp-OutputArea-child')]
    .flatMap(e => ['::before', '::after'].map(which => [e, getComputedStyle(e, which)]))
    .filter(([e, style]) => e.checkVisibility() && style.display !== 'none' && style.content !== 'none')
    .map(([e, style]) => style.content.replaceAll('"', ''))"""
CONTRAST = Path(__file__).with_name("contrast.js").read_text()


@pytest.fixture(scope="module")
def browser():
    missing = what_is_missing()
    if missing:
        (pytest.fail if os.environ.get("MOONSHINE_REQUIRE_BROWSER") == "1" else pytest.skip)(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        launched = play.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return the folder for the screenshots."""
    folder = Path(os.environ.get("MOONSHINE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_lesson(path, *cells):
    """Write a notebook whose first cell is text."""
    first, *code = cells
    made = [nbformat.v4.new_markdown_cell(first), *map(nbformat.v4.new_code_cell, code)]
    notebook = nbformat.v4.new_notebook(cells=made)
    notebook.metadata.kernelspec = dict(name="python3", display_name="Python 3", language="python")
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Yield (URL, folder) of a JupyterLab with its own defaults, as `jupyter lab` starts it."""
    course, home = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("home")
    with jupyterlab_server(course, home) as url:
        yield url, course


@contextmanager
def opened(browser, served, name):
    """Yield a lesson that has run."""
    url, course = served
    lesson = LessonPage(browser, url, write_lesson(course / name, *LESSON), Tally())
    lesson.open()
    lesson.run_all()
    lesson.page.locator(".moonshine-panel .moonshine-image").wait_for()
    yield lesson
    lesson.stop_kernel()
    lesson.page.close()


def shows_figure_and_text(page, image):
    """Check what every reader sees of a panel, alive or not."""
    page.locator(image).first.wait_for()
    assert page.locator(image).first.evaluate("i => i.complete && i.naturalWidth > 500")
    assert page.get_by_text("The second bar has a height of 6.0.").locator("visible=true").count() == 1
    assert page.get_by_text("Error displaying").locator("visible=true").count() == 0
    icons = [text for text in page.evaluate(GENERATED) if re.search(r"[^\x20-\x7e▸]", text)]
    assert not icons, f"broken links: {icons}"


def test_figures_stay_after_a_restart_and_on_the_second_day(browser, served, images):
    with opened(browser, served, "second_day.ipynb") as lesson:
        page, live = lesson.page, ".moonshine-panel .moonshine-image"
        shows_figure_and_text(page, live)
        assert RUN not in page.evaluate(GENERATED) and page.locator(".moonshine-controls").first.is_visible()
        below = page.locator(".jp-OutputArea-output", has_text="below the gate")
        assert below.is_hidden()  # the gate is closed
        lesson.save()

        page.evaluate(RESTART)
        page.locator(".moonshine-bars.jupyter-widgets-disconnected").wait_for()
        shows_figure_and_text(page, live)
        assert page.evaluate(GENERATED).count(RUN) == 1
        assert page.locator(".moonshine-controls").first.is_hidden()
        form = page.locator(".moonshine-gate-page")
        assert form.get_by_text("How many weights?").is_visible() and below.is_visible()
        page.screenshot(path=images / "lab_restarted.png")

        lesson.stop_kernel()
        lesson.open()
        page.get_by_text("Error displaying").first.wait_for(state="attached")  # JupyterLab has given up
        shows_figure_and_text(page, ".jp-RenderedImage img")
        assert page.evaluate(GENERATED).count(RUN) == 1
        form.get_by_label("your guess").fill("9*64*64")
        form.get_by_role("button", name="Commit").click()
        assert form.get_by_text("The answer is 36,864 weights.").is_visible()
        page.screenshot(path=images / "lab_second_day.png")

        lesson.run_all()
        page.locator(live).wait_for()
        shows_figure_and_text(page, live)
        assert RUN not in page.evaluate(GENERATED) and page.locator(".jp-RenderedImage").first.is_hidden()


def has_contrast(page, texts):
    """Check the texts of panels and gates, of which there are at least so many."""
    found = page.evaluate(CONTRAST)
    assert found["texts"] >= texts and not found["faint"], found


def test_a_lesson_from_elsewhere_shows_figures_and_no_code_of_ours(browser, served):
    url, course = served
    stored = nbformat.read(course / "second_day.ipynb", as_version=4)
    stored.cells[0].source += " Sent by mail."  # JupyterLab trusts only what it has run itself
    nbformat.write(stored, course / "from_elsewhere.ipynb")
    lesson = LessonPage(browser, url, course / "from_elsewhere.ipynb", Tally())
    lesson.open()
    shows_figure_and_text(lesson.page, ".jp-RenderedImage img")
    outputs = "\n".join(lesson.page.locator(".jp-OutputArea-output").all_inner_texts())
    assert "How many weights?" in outputs and "moonshine-" not in outputs, outputs
    lesson.stop_kernel()
    lesson.page.close()


def test_text_has_contrast_and_sliders_have_names(browser, served, images):
    with opened(browser, served, "looks.ipynb") as lesson:
        page = lesson.page
        handle = page.get_by_role("slider", name="height")
        assert handle.get_attribute("aria-valuetext") == "2"
        handle.focus()
        handle.press("ArrowRight")  # 6 / 0: the panel fails
        page.get_by_text("This panel failed. ZeroDivisionError").wait_for()
        assert handle.get_attribute("aria-valuetext") == "3"
        for theme in ("JupyterLab Light", "JupyterLab Dark"):
            page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
            dark = str(theme.endswith("Light")).lower()
            page.wait_for_function("dark => document.body.dataset.jpThemeLight === dark", arg=dark)
            page.wait_for_timeout(1000)
            page.screenshot(path=images / f"lab_{theme.split()[1].lower()}.png")
            has_contrast(page, texts=12)
        page.evaluate(RESTART)  # the gate's page takes the place of its widget
        form = page.locator(".moonshine-gate-page")
        form.get_by_text("How many weights?").wait_for()
        form.get_by_role("button", name="Show the answer").click()
        form.get_by_text("You skipped the question.").wait_for()
        has_contrast(page, texts=3)
        form.scroll_into_view_if_needed()
        page.screenshot(path=images / "lab_dark_restarted.png")


@pytest.fixture
def projector(tmp_path):
    """Yield (address of lesson 1, address of our own lesson) in `moonshine lab --projector`."""
    port = free_port()
    server = start_lab(tmp_path, "--port", str(port), "--projector")
    try:
        path, token = wait_for_address(server, tmp_path / "log")
        (tmp_path / "own").mkdir()
        write_lesson(tmp_path / "own" / "1_own.ipynb", *LESSON)
        copy_course(tmp_path / "own", tmp_path / "moonshine-projector", projector=True)
        site = f"http://127.0.0.1:{port}"
        yield f"{site}{path}?token={token}", f"{site}/doc/tree/1_own.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(20)


def test_a_lecture_fills_the_screen(browser, projector, images):
    page = browser.new_page(viewport=dict(width=1280, height=720))
    page.goto(projector[0])
    page.get_by_role("heading", name="1. What does a convolution cost?").wait_for()
    page.wait_for_timeout(2000)  # for a pop-up, if there is one
    assert page.locator(".jp-Dialog, .Toastify__toast, .jp-Launcher").count() == 0
    page.screenshot(path=images / "lab_projector_lesson_1.png")
    page.goto(projector[1])
    prose = page.locator(".jp-MarkdownCell p", has_text="One panel").first
    prose.wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()  # as a lecturer does it
    page.get_by_text("Run All Cells", exact=True).click()
    panel = page.locator(".moonshine-panel")
    panel.first.locator(".moonshine-image").wait_for()
    size = "e => parseFloat(getComputedStyle(e).fontSize) * (e.currentCSSZoom || 1)"
    shown = prose, panel.first.get_by_role("status"), panel.first.locator(".widget-label").first
    assert min(text.evaluate(size) for text in shown) >= 18
    assert page.locator(".jp-CodeCell .cm-content").locator("visible=true").count() == 0  # folded
    width = "e => e.getBoundingClientRect().width / e.closest('.jp-Notebook').clientWidth"
    assert panel.first.locator(".moonshine-image").evaluate(width) > 0.85
    assert page.locator(".jp-Notebook").evaluate("e => e.scrollWidth - e.clientWidth") <= 1
    page.get_by_role("slider", name="height").scroll_into_view_if_needed()
    page.screenshot(path=images / "lab_projector.png")
    page.close()
