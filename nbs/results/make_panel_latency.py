"""How long a reader waits: from a key press on a slider to the new figure, in a real JupyterLab.

    python nbs/results/make_panel_latency.py

It measures the live panels of this checkout, and the block designer of commit BEFORE, which was made of
widgets and drawn by the kernel. It needs git, and what the browser tests need. Writes `panel_latency.json`
beside it.
"""

import io
import json
import subprocess
import sys
import tarfile
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

BEFORE = "b89aa83"  # the last commit whose block designer was drawn by the kernel
MAKERS = ("block_panel", "wiring_panel", "kd_panel", "pareto_panel")
# From the key press to the frame after the one in which the new figure is there.
WATCH = """() => { window.waited = new Promise(done => {
    const image = () => document.querySelector('.moonshine-image');
    const number = () => image() ? image().dataset.n : document.documentElement.dataset.n;
    const ready = () => !image() || image().complete;
    addEventListener('keydown', () => {
        const start = performance.now(), before = number();
        const look = () => number() !== before && ready()
            ? requestAnimationFrame(() => done(performance.now() - start)) : requestAnimationFrame(look);
        look();
    }, { once: true, capture: true });
}); }"""


def write_notebook(folder: Path) -> Path:
    """Write a notebook with a panel in each cell."""
    imports = f"from moonshine.panels.widgets import {', '.join(MAKERS)}, show"
    cells = [nbformat.v4.new_code_cell(source) for source in (imports, *(f"show({m}())" for m in MAKERS))]
    kernel = dict(kernelspec=dict(name="python3", display_name="python3", language="python"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "panels.ipynb")
    return folder / "panels.ipynb"


def source_of(commit: str, folder: Path) -> Path:
    """Unpack the package as it was at a commit."""
    archive = subprocess.run(
        ["git", "-C", ROOT, "archive", commit, "moonshine"], check=True, capture_output=True
    ).stdout
    tarfile.open(fileobj=io.BytesIO(archive)).extractall(folder, filter="data")
    return folder / "moonshine"


def press(
    place,  # the page or frame that has the panel
    slider,  # what takes the key
    page,  # the page
    times: int,
) -> float:
    """Return the median milliseconds from a key press to the figure."""
    found = []
    for i in range(times):
        slider.focus()
        place.evaluate(WATCH)
        page.keyboard.press("ArrowRight" if i % 2 else "ArrowLeft")
        found.append(place.evaluate("waited"))
        page.wait_for_timeout(150)
    return round(median(found), 1)


def measure(
    package: Path,  # the folder `moonshine` to run
    play,
    times: int = 20,
) -> dict:  # panel -> milliseconds
    """Open the panels of a package in JupyterLab, and press keys."""
    browser_kit.moonshine.__file__ = str(package / "__init__.py")  # the server's PYTHONPATH
    with tempfile.TemporaryDirectory() as course, tempfile.TemporaryDirectory() as home:
        notebook = write_notebook(Path(course))
        browser = play.chromium.launch(
            executable_path=browser_kit.find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        with browser_kit.jupyterlab_server(Path(course), Path(home)) as url:
            lesson = browser_kit.LessonPage(browser, url, notebook, browser_kit.Tally())
            lesson.open()
            lesson.run_all()
            rows = {}
            for panel in lesson.panels():
                live = isinstance(panel, browser_kit.LiveOnPage)
                if not live and rows:
                    continue  # the image that WATCH finds is the first one's
                slider = panel.controls("[type=range]" if live else ".noUi-handle")[0]
                rows[panel.name] = press(panel.inside if live else lesson.page, slider, lesson.page, times)
            lesson.stop_kernel()
        browser.close()
    return rows


with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
    before = measure(source_of(BEFORE, Path(folder)), play)
    after = measure(ROOT / "moonshine", play)
facts = dict(
    machine=machine(torch.device("cpu")),
    measured="milliseconds from a key press on a slider to the new figure, median of 20, in JupyterLab",
    widgets_and_png=before,
    in_the_page=after,
)
print(json.dumps(facts, indent=1))
(Path(__file__).parent / "panel_latency.json").write_text(json.dumps(facts, indent=1) + "\n")
