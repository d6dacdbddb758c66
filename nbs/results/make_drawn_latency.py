"""How long a reader waits for the panels that a kernel computes and the page draws, in a real JupyterLab.

    python nbs/results/make_drawn_latency.py

Presses keys on sliders, moves the pointer over a map and clicks networks. It needs what the browser tests
need. Writes `drawn_latency.json` beside it.
"""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

import nbformat
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import browser_kit  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from moonshine.training.provenance import machine  # noqa: E402

TIMES = 20
# From an event to the frame in which the drawing has changed. A drawing that the kernel has computed carries
# a number on its holder; one that the page made by itself is counted in the frame.
WATCH = """([kind, kernel]) => { window.waited = new Promise(done => {
    const holder = document.querySelector('.moonshine-image'), frame = holder.querySelector('iframe');
    const inside = frame.contentDocument.documentElement, from = kernel ? holder : inside;
    const target = kind === 'keydown' ? window : frame.contentWindow;
    target.addEventListener(kind, () => {
        const start = performance.now();
        const seen = new MutationObserver(() => {
            seen.disconnect();
            requestAnimationFrame(() => done(performance.now() - start));
        });
        seen.observe(from, { attributeFilter: ['data-n'] });
    }, { once: true, capture: true });
}); }"""


def write_notebook(folder: Path, maker: str) -> Path:
    """Write a notebook with one panel."""
    source = f"from moonshine.panels.widgets import {maker}, show\nshow({maker}())"
    kernel = dict(kernelspec=dict(name="python3", display_name="python3", language="python"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata=kernel)
    nbformat.write(notebook, folder / f"{maker}.ipynb")
    return folder / f"{maker}.ipynb"


def waits(lesson, act, kind: str, kernel: bool) -> float:
    """Return the median milliseconds from what `act` does to the drawing."""
    found = []
    for i in range(TIMES):
        lesson.page.evaluate(WATCH, [kind, kernel])
        act(i)
        found.append(lesson.page.evaluate("waited"))
        lesson.page.wait_for_timeout(200)
    return round(median(found), 1)


def press(lesson, slider):
    """Return a function that moves a slider to and fro."""

    def act(i):
        slider.focus()
        lesson.page.keyboard.press("ArrowRight" if i % 2 else "ArrowLeft")

    return act


def measure(lesson, maker: str) -> dict:
    """Return what a panel's reader waits for, and how long."""
    panel = lesson.panels()[0]
    assert isinstance(panel, browser_kit.DrawnOnPage)
    sliders, page = panel.controls(".noUi-handle"), lesson.page
    found = {f"{panel.name}: another image, from the kernel": (press(lesson, sliders[0]), "keydown", True)}
    if maker == "attention_panel":
        maps = panel.drawing.locator("[data-map]")
        box = maps.first.bounding_box()

        def click(i):
            maps.nth(1 + i % 3).click()

        def point(i):
            page.mouse.move(box["x"] + 4 + 5 * i, box["y"] + 20 + i)

        found["attention: a click on a network, from the kernel"] = click, "click", True
        found["attention: opacity, in the page"] = press(lesson, sliders[-1]), "keydown", False
        found["attention: pointing at a position, in the page"] = point, "pointermove", False
    return {label: waits(lesson, *how) for label, how in found.items()}


rows = {}
with (
    sync_playwright() as play,
    tempfile.TemporaryDirectory() as course,
    tempfile.TemporaryDirectory() as home,
):
    options = ["--no-sandbox", "--disable-dev-shm-usage"]
    browser = play.chromium.launch(executable_path=browser_kit.find_chromium(), args=options)
    makers = ("attention_panel", "where_panel")
    notebooks = {maker: write_notebook(Path(course), maker) for maker in makers}
    with browser_kit.jupyterlab_server(Path(course), Path(home)) as url:
        for maker, notebook in notebooks.items():
            lesson = browser_kit.LessonPage(browser, url, notebook, browser_kit.Tally())
            lesson.open()
            lesson.run_all()
            rows |= measure(lesson, maker)
            assert not lesson.complaints, lesson.complaints
            lesson.stop_kernel()
            lesson.page.close()
    browser.close()
facts = dict(
    machine=machine(torch.device("cpu")),
    measured=(
        f"milliseconds from what the reader does until the page is drawn anew, median of {TIMES}, "
        "in JupyterLab; the screen shows it with its next frame, at most 16.7 ms later"
    ),
    rows=rows,
)
print(json.dumps(facts, indent=1))
(Path(__file__).parent / "drawn_latency.json").write_text(json.dumps(facts, indent=1) + "\n")
