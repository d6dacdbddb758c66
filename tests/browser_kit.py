"""A real JupyterLab in a real browser, for tests/test_browser.py: the server, a lesson, a panel.

Nothing here knows a lesson or a panel by name: everything is derived from the page.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import moonshine

READY = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
RUN = """() => { window.moonshineRan = false;
    jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.moonshineRan = true; }); }"""
SAVED = "() => !jupyterapp.shell.currentWidget.context.model.dirty"
# Elements that extend beyond the right edge of their cell or of the window.
TOO_WIDE = """panel => {
    const room = panel.closest('.jp-OutputArea-output').getBoundingClientRect().right + 1, found = [];
    for (const e of [panel, ...panel.querySelectorAll('*')]) {
        const box = e.getBoundingClientRect();
        if (box.width && box.right > Math.min(room, window.innerWidth)) found.push(e.className || e.tagName);
    }
    return found;
}"""
NOISE = ("favicon", "ResizeObserver loop")  # console errors that are not ours


@dataclass
class Tally:
    """Counts of what the browser tests did."""

    lessons: int = 0
    panels_moved: int = 0
    gates: int = 0
    assertions: int = 0
    seconds: dict = field(default_factory=dict)

    def check(self, holds, message: str) -> None:
        """Assert, and count the assertion."""
        self.assertions += 1
        assert holds, message

    def __str__(self) -> str:
        return (
            f"browser: {self.lessons} lessons, {self.panels_moved} panels moved, {self.gates} gates opened, "
            f"{self.assertions} assertions"
        )


def find_chromium() -> str | None:
    """Return the path of the browser: MOONSHINE_CHROMIUM, or chromium on the PATH."""
    return (
        os.environ.get("MOONSHINE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )


def what_is_missing() -> str:
    """Return why the browser tests can't run here, or an empty string."""
    try:
        import jupyterlab.galata  # noqa: E401, F401
        import playwright.sync_api  # noqa: F401
    except ImportError as error:
        return f"no browser tests without {error.name}: pip install -e '.[dev]'"
    if find_chromium():
        return ""
    return "no browser tests without Chromium: apt-get install chromium, or set MOONSHINE_CHROMIUM"


def free_port() -> int:
    """Return an unused port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def write_settings(home: Path, course: Path, port: int) -> None:
    """Configure a server without a token or dialogs that doesn't touch the user's own settings."""
    (home / "jupyter_server_config.py").write_text(
        "from jupyterlab.galata import configure_jupyter_server\nconfigure_jupyter_server(c)\n"
        f"c.ServerApp.ip = '127.0.0.1'\nc.ServerApp.port = {port}\nc.ServerApp.allow_root = True\n"
        f"c.ServerApp.root_dir = {str(course)!r}\nc.LabApp.workspaces_dir = {str(home / 'workspaces')!r}\n"
        f"c.LabApp.app_settings_dir = {str(home)!r}\nc.LabApp.user_settings_dir = {str(home / 'user')!r}\n"
        "c.LabApp.news_url = None\nc.LabApp.check_for_updates_class = 'jupyterlab.NeverCheckForUpdate'\n"
    )
    (home / "overrides.json").write_text(
        json.dumps(
            {
                "@jupyterlab/apputils-extension:notification": {
                    "fetchNews": "false",
                    "checkForUpdates": False,
                },
                "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
            }
        )
    )


@contextmanager
def jupyterlab_server(course: Path, home: Path):
    """Run JupyterLab on the folder `course`, with its own files in `home`; yields its URL."""
    port = free_port()
    write_settings(home, course, port)
    env = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "user"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(moonshine.__file__).parent.parent),
    }
    url, log = f"http://127.0.0.1:{port}", home / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--config", str(home / "jupyter_server_config.py")],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_server(server, url, log)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def wait_for_server(server, url: str, log: Path, limit: float = 60) -> None:
    """Wait until the server answers."""
    end = time.time() + limit
    while time.time() < end and server.poll() is None:
        try:
            return urllib.request.urlopen(f"{url}/api/status", timeout=5).close()
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


class LessonPage:
    """A notebook that is open in JupyterLab."""

    def __init__(self, browser, url: str, path: Path, tally: Tally):
        self.url, self.path, self.tally, self.complaints = url, path, tally, []
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(30_000)
        self.page.on(
            "console",
            lambda said: self.complain(f"{said.text} {said.location}") if said.type == "error" else None,
        )
        self.page.on("pageerror", lambda error: self.complain(str(error)))

    def complain(self, text: str) -> None:
        """Record an error from the browser's console."""
        if not any(word in text for word in NOISE):
            self.complaints.append(text)

    def open(self) -> None:
        """Open the notebook as stored, start its kernel, and close the sidebar."""
        self.page.goto(f"{self.url}/lab/tree/{self.path.name}?reset")
        self.page.wait_for_function(READY)
        self.page.evaluate("jupyterapp.shell.collapseLeft()")
        self.page.wait_for_timeout(300)

    def run_all(self, limit: float = 120) -> None:
        """Run all cells and wait for the last one."""
        self.page.evaluate(RUN)
        self.page.wait_for_function("window.moonshineRan", timeout=1000 * limit)
        self.page.wait_for_function(READY)

    def set_width(self, width: int, height: int = 900) -> None:
        """Resize the window, and wait until the page has adapted."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.wait_for_timeout(400)

    def count(self, selector: str) -> int:
        """Count the matching elements on the page."""
        return self.page.locator(selector).count()

    def text(self, selector: str) -> str:
        """Return the text of all matching elements."""
        return "\n".join(self.page.locator(selector).all_inner_texts())

    def prompts(self) -> list[str]:
        """Return the prompts of the code cells: "[1]:", or "[ ]:" for a cell that has not run."""
        code = self.page.locator(".jp-Notebook .jp-CodeCell")
        return [
            code.nth(i).locator(".jp-InputPrompt").inner_text().strip()
            for i in range(code.count())
            if code.nth(i).locator(".cm-content").inner_text().strip()
        ]

    def images(self) -> int:
        """Count the stored images that are visible, excluding those of live panels."""
        return self.page.evaluate("""[
            ...document.querySelectorAll('.jp-Notebook .jp-RenderedImage img')].filter(
            i => i.naturalWidth > 0 && i.getBoundingClientRect().width > 0).length""")

    def pass_gates(self) -> None:
        """Answer every question in order: each opens the cells down to the next one."""
        gates = self.page.locator(".moonshine-gate")
        for number in range(gates.count()):
            gate, later = gates.nth(number), gates.nth(number + 1)
            gate.wait_for()
            commit = gate.get_by_role("button", name="Commit")
            self.tally.check(commit.is_disabled(), f"gate {number + 1} accepts a commit without a guess")
            hidden = number + 1 == gates.count() or not later.is_visible()
            self.tally.check(hidden, f"gate {number + 2} shows before gate {number + 1} is answered")
            for box in gate.locator(".widget-text input").all():
                box.fill("2+1")
                gate.get_by_text("Your guess: 3").wait_for()
            for choice in gate.locator(".widget-toggle-buttons button").all()[:1]:
                choice.click()
            commit.click()
            gate.get_by_text("The answer is").wait_for(timeout=60_000)
            self.tally.gates += 1

    def panels(self) -> list["PanelOnPage"]:
        """Return the panels that work, from top to bottom: widgets, and pages in the page."""
        found = self.page.locator(PANELS)
        kinds = [found.nth(i).evaluate(KIND) for i in range(found.count())]
        return [KINDS[kind](self, i) for i, kind in enumerate(kinds)]

    def alive(self) -> int:
        """Count the panels that work without a kernel, and hide their stored image."""
        frames = self.page.locator(".jp-Notebook .moonshine-live iframe")
        for i in range(frames.count()):
            frames.nth(i).scroll_into_view_if_needed()
            self.page.wait_for_function(
                "e => e.parentElement.dataset.alive", arg=frames.nth(i).element_handle()
            )
        return frames.count()

    def save(self) -> None:
        """Save the notebook and wait until it is written."""
        self.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
        self.page.wait_for_function(SAVED)

    def stop_kernel(self) -> None:
        """Shut down the kernel to free its memory."""
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def screenshot(self, path: Path, limit: int = 12_000) -> None:
        """Take a screenshot of the whole notebook, starting at its title."""
        size = self.page.viewport_size
        needed = self.page.evaluate("""() => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].reduce(
            (sum, cell) => sum + cell.getBoundingClientRect().height, 0)""")
        self.set_width(size["width"], int(min(needed + 300, limit)))
        self.page.evaluate("""() => { const outer = '.jp-Notebook, .jp-WindowedPanel-outer';
            document.querySelectorAll(outer).forEach(e => { e.scrollTop = 0; }); }""")
        self.page.screenshot(path=path)
        self.set_width(**size)


PANELS = ".jp-Notebook .moonshine-panel:not(.moonshine-gate), .jp-Notebook .moonshine-live"


class PanelOnPage:
    """A panel made of widgets, identified by its index among all panels on the page."""

    def __init__(self, lesson: LessonPage, index: int):
        self.lesson, self.page = lesson, lesson.page
        self.element = self.page.locator(PANELS).nth(index)
        classes = self.element.get_attribute("class").split()
        ours = [c.removeprefix("moonshine-") for c in classes if c.startswith("moonshine-")]
        self.name = next(name for name in ours if name not in ("panel", "live"))
        self.inside = self.where_to_look()
        self.image, self.status = (
            self.element.locator(".moonshine-image"),
            self.inside.locator("[role=status]"),
        )
        self.code_cell = self.element.evaluate("""p => [
            ...document.querySelectorAll('.jp-Notebook .jp-CodeCell')]
            .indexOf(p.closest('.jp-CodeCell'))""")
        self.texts, self.sources = set(), set()

    def where_to_look(self):
        """Return what holds the controls."""
        return self.element

    def check(self, holds, message: str) -> None:
        """Assert something about this panel."""
        self.lesson.tally.check(holds, f"{self.lesson.path.name}, panel {self.name}: {message}")

    def number(self) -> int:
        """Return how many times the image was drawn."""
        return int(self.image.get_attribute("data-n"))

    def look(self) -> None:
        """Check what every state must show: a loaded image, a text, and no error."""
        alt, text = self.image.get_attribute("alt"), self.status.inner_text()
        self.page.wait_for_function("i => i.naturalWidth > 0", arg=self.image.element_handle())
        self.check(self.image.evaluate("i => i.complete && i.naturalWidth > 0"), "the image did not load")
        self.check(len(alt) > 20 and len(text) > 20, f"has no text: {alt!r}, {text!r}")
        self.check("This panel failed" not in text, text)
        self.texts.add(text)
        self.sources.add(self.image.get_attribute("src"))

    def shows(self) -> tuple:
        """Return the image and the text."""
        return self.image.get_attribute("src"), self.status.inner_text()

    def moves(self, what: str, act) -> bool:
        """Do something that must cause a redraw; return whether the image or the text changed."""
        before, shown = self.number(), self.shows()
        act()
        self.wait_beyond(before, what)
        self.look()
        return self.shows() != shown

    def wait_beyond(self, before: int, what: str) -> None:
        """Wait for an image later than number `before`, and until there are no more."""
        js = "([panel, n]) => +panel.querySelector('.moonshine-image').dataset.n > n"
        try:
            self.page.wait_for_function(js, arg=[self.element.element_handle(), before], timeout=15_000)
        except Exception as error:
            self.check(
                False, f"{what}: no new image ({type(error).__name__}); it says: {self.status.inner_text()}"
            )
        self.check(True, "")
        self.settle()

    def settle(self, limit: float = 4) -> None:
        """Wait until the kernel is idle and the image is stable, but not for the end of a training."""
        end, number = time.time() + limit, None
        while number != self.number() and time.time() < end:
            number = self.number()
            self.page.wait_for_timeout(120)
            self.page.wait_for_function(READY)

    def controls(self, selector: str) -> list:
        """Return the enabled controls of one kind."""
        found = self.inside.locator(selector)
        alive = "e => e.offsetParent && !e.closest('[disabled]')"
        return [found.nth(i) for i in range(found.count()) if found.nth(i).evaluate(alive)]

    def by_keyboard(self) -> int:
        """Operate all sliders, menus and checkboxes by keyboard, or else a button; count the effects."""
        actions = [
            ("slider", lambda h=handle: self.press_arrow(h)) for handle in self.controls(".noUi-handle")
        ]
        for menu in self.controls("select"):
            actions += [("menu", lambda m=menu: self.next_option(m))] * 2  # there and back
        actions += [
            ("checkbox", lambda b=box: b.press("Space")) for box in self.controls("input[type=checkbox]")
        ]
        shown = sum(self.moves(f"{what} by keyboard", act) for what, act in actions)
        if not shown:
            button = self.controls(".jupyter-button:not(.mod-active, .widget-upload)")[0]
            shown = self.moves("button by keyboard", lambda: button.press("Space"))
        return shown

    def press_arrow(self, handle) -> None:
        """Move a slider by one step, to the right unless it is at its end."""
        at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
        handle.focus()
        handle.press("ArrowLeft" if at_end else "ArrowRight")

    def next_option(self, menu) -> None:
        """Open a menu and choose an option (JupyterLab intercepts arrow keys on a closed menu)."""
        first = menu.evaluate("m => m.selectedIndex === 0")
        menu.focus()
        for key in ("Space", "ArrowDown" if first else "ArrowUp", "Enter"):
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(100)

    def by_pointer(self) -> int:
        """Drag a slider, click a button of each row, press the others; return how many had an effect."""
        shown = 0
        for handle in self.controls(".noUi-handle")[:1]:
            shown += self.moves("slider dragged", lambda: self.drag(handle))
        for row in self.controls(".widget-toggle-buttons"):
            shown += self.moves("word clicked", row.locator(OTHER_CHOICE).first.click)
        for button in self.controls(".jupyter-button:not(.widget-toggle-button, .widget-upload)"):
            shown += self.click(button)
        return shown

    def click(self, button) -> bool:
        """Press a button, which may be disabled by now; return whether anything changed."""
        shown = self.shows()
        if button.is_enabled():
            button.click()
            self.page.wait_for_timeout(200)
            self.settle()
            self.look()
        return self.shows() != shown

    def drag(self, handle) -> None:
        """Drag a handle over more than half of its slider, which may have only two positions."""
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        left, width = (
            handle.evaluate("""h => { const track = h.closest('.noUi-target').getBoundingClientRect();
                                               return [track.x, track.width]; }""")
        )
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        step = 0.6 * width * (-1 if x > left + width / 2 else 1)
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for part in (0.4, 0.8, 1):
            self.page.mouse.move(x + part * step, y)
        self.page.mouse.up()

    def too_wide(self) -> list[str]:
        """Return the parts that extend beyond the cell or the window."""
        return self.element.evaluate(TOO_WIDE)

    def hides_what_is_stored(self) -> bool:
        """Return whether the static image and text below a live panel are hidden."""
        return self.element.evaluate("""p => {
            const area = p.closest('.jp-OutputArea');
            const outputs = [...area.querySelectorAll(':scope > .jp-OutputArea-child')];
            const below = outputs.slice(outputs.findIndex(output => output.contains(p)) + 1).slice(0, 2);
            const hidden = output => output.getBoundingClientRect().height === 0;
            return below.length === 2 && below.every(hidden); }""")


class DrawnOnPage(PanelOnPage):
    """A panel of widgets whose image is a page in an iframe."""

    @property
    def drawing(self):
        """Return the page in the page, when it has been drawn; a reload makes another one."""
        self.element.scroll_into_view_if_needed()
        self.page.wait_for_function("e => e.dataset.n", arg=self.image.element_handle())
        return self.image.locator("iframe").element_handle().content_frame()

    def number(self) -> int:
        """Return how many times the panel was drawn."""
        return int(self.image.get_attribute("data-n") or 0)

    def look(self) -> None:
        """Check what every state must show: a drawing, a text, and no error."""
        drawing, text = self.shows()
        self.check(len(text) > 20, f"has no text: {text!r}")
        self.check(len(drawing) > 1000 or text in drawing, f"draws nothing: {drawing}")  # or says why not
        self.check("This panel failed" not in text, text)
        self.texts.add(text)
        self.sources.add(drawing)

    def shows(self) -> tuple:
        """Return the drawing and the text."""
        return self.drawing.locator("main svg").inner_html(), self.status.inner_text()


class LiveOnPage(PanelOnPage):
    """A panel that is a page of its own, in an iframe."""

    def where_to_look(self):
        """Return the page in the page, when it has been drawn."""
        self.element.scroll_into_view_if_needed()
        handle = self.element.element_handle()
        self.page.wait_for_function("e => e.dataset.alive", arg=handle)
        return self.element.locator("iframe").element_handle().content_frame()

    def number(self) -> int:
        """Return how many times the panel was drawn."""
        return int(self.inside.evaluate("document.documentElement.dataset.n"))

    def look(self) -> None:
        """Check what every state must show: a drawing and a text."""
        text, drawing = self.shows()[::-1]
        self.check(len(text) > 20 and len(drawing) > 1000, f"shows nothing: {text!r}")
        self.texts.add(text)
        self.sources.add(drawing)

    def shows(self) -> tuple:
        """Return the drawing and the text."""
        return self.inside.locator("main").inner_html(), self.status.inner_text()

    def wait_beyond(self, before: int, what: str) -> None:
        """Wait for a drawing later than number `before`."""
        try:
            self.inside.wait_for_function("n => +document.documentElement.dataset.n > n", arg=before)
        except Exception as error:
            self.check(False, f"{what}: nothing is drawn ({type(error).__name__})")
        self.check(True, "")
        self.page.wait_for_timeout(60)

    def by_keyboard(self) -> int:
        """Operate all sliders, menus, checkboxes and bars by keyboard; count the effects."""
        if papers := self.controls("canvas[tabindex]"):  # the other controls are the tools to draw with
            return self.moves("a dot by keyboard", lambda: papers[0].press("Space"))
        actions = [
            ("slider", lambda s=slider: self.press_slider(s)) for slider in self.controls("[type=range]")
        ]
        actions += [("checkbox", lambda b=box: b.press("Space")) for box in self.controls("[type=checkbox]")]
        actions += [
            ("menu", lambda m=menu: m.select_option(index=self.other(m))) for menu in self.controls("select")
        ]
        actions += [
            ("radio", lambda r=row: self.press_radio(r)) for row in self.controls("[role=radiogroup]")
        ]
        for bar in self.inside.locator("[data-drag]").all()[:3]:
            actions.append(("bar", lambda b=bar: b.press("ArrowUp")))
        return sum(self.moves(f"{what} by keyboard", act) for what, act in actions)

    def press_slider(self, slider) -> None:
        """Move a slider by one step, to the right unless it is at its end."""
        if slider.is_enabled():  # an earlier action may have taken its meaning away
            slider.press("ArrowLeft" if slider.evaluate("s => s.value === s.max") else "ArrowRight")
        else:
            self.inside.evaluate("live.change({})")

    def press_radio(self, row) -> None:
        """Choose the next of a row of choices."""
        row.locator(":checked").press("ArrowRight")

    def other(self, menu) -> int:
        """Return the index of an option that is not selected; the first one is hidden."""
        return 2 if menu.evaluate("m => m.selectedIndex") == 1 else 1

    def by_pointer(self) -> int:
        """Drag what can be dragged, and press all presets; return how many had an effect."""
        shown = 0
        for bar in self.inside.locator("[data-drag] .hit").all()[:2]:
            shown += self.moves("a drag", lambda b=bar: self.drag_part(b))
        for button in self.inside.locator("button").all():
            shown += self.moves("a preset", button.click)
        return shown

    def drag_part(self, part) -> None:
        """Drag a part of the drawing by 50 pixels, to the left and up."""
        part.scroll_into_view_if_needed()
        box = part.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for way in (0.5, 1):
            self.page.mouse.move(x - 50 * way, y - 50 * way)
        self.page.mouse.up()

    def too_wide(self) -> list[str]:
        """Return the parts that extend beyond the cell, the window or the page in the page."""
        inside = self.inside.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return [*super().too_wide(), *(["the page in the iframe"] if inside else [])]


OTHER_CHOICE = ".widget-toggle-button:not(.mod-active)"
KIND = "e => e.matches('.moonshine-live') ? 'live' : e.querySelector('.moonshine-drawn') ? 'drawn' : 'image'"
KINDS = dict(live=LiveOnPage, drawn=DrawnOnPage, image=PanelOnPage)
