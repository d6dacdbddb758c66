"""The live panels in a real browser: every state against Python, pointer, keyboard, looks, speed.

The tests are skipped without Chromium or playwright; with MOONSHINE_REQUIRE_BROWSER=1 they fail instead.
Screenshots go to MOONSHINE_SCREENSHOTS or a temporary folder.
"""

import html
import json
import os
import random
import re
from decimal import Decimal
from itertools import product
from math import isclose, prod
from pathlib import Path
from statistics import median

import pytest
import torch
from browser_kit import find_chromium, what_is_missing
from conftest import ROOT

from moonshine.panels.live import live_html, live_page, script
from moonshine.panels.widgets import block_panel, kd_panel, pareto_panel, wiring_panel

MAKE = dict(block=block_panel, wiring=wiring_panel, kd=kd_panel, pareto=pareto_panel)
EVERY = pytest.mark.parametrize("name", MAKE)
FULL = 5000  # up to so many states, all of them are compared
KIT = (Path(__file__).parent / "live_kit.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser():
    """Yield a browser."""
    missing = what_is_missing()
    if missing:
        (pytest.fail if os.environ.get("MOONSHINE_REQUIRE_BROWSER") == "1" else pytest.skip)(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = play.chromium.launch(executable_path=find_chromium(), args=options)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Yield a function that opens a page; at the end, there must be no errors and no requests."""
    pages, problems = [], []

    def open_page(content, width=700, **options):
        page = browser.new_page(viewport=dict(width=width, height=1000), **options)
        page.on("console", lambda said: problems.append(said.text) if said.type != "log" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: problems.append(f"asks for {asked.url}"))
        page.set_content(content)
        pages.append(page)
        return page

    yield open_page
    assert problems == []
    for page in pages:
        page.close()


@pytest.fixture
def live(opened):
    """Return a function that opens a panel by name and waits for its first drawing."""

    def open_panel(name, width=700, **options):
        state = options.pop("state", {})
        panel = MAKE[name](**state)
        page = opened(live_page(name, panel.page_data()), width, **options)
        page.add_script_tag(content=KIT)
        page.wait_for_function("document.documentElement.dataset.n > 0")
        settle(page)
        return page, panel

    return open_panel


def settle(page):
    """Wait until everything that was asked for is drawn."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def count(page):
    """Return how many times the panel was drawn."""
    return int(page.evaluate("document.documentElement.dataset.n"))


def state_of(page):
    """Return the state of the panel on the page."""
    settle(page)
    return page.evaluate("live.state")


def status(page):
    """Return the text below the drawing."""
    settle(page)
    return page.locator("[role=status]").inner_text()


def plain(value):
    """Return Python's data as JSON would have it."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def differences(python, js, where="data"):
    """List where two nested values differ; integers and texts must agree exactly."""
    if isinstance(python, dict) and isinstance(js, dict):
        if python.keys() != js.keys():
            return [f"{where}: {sorted(python)} != {sorted(js)}"]
        return [each for name in python for each in differences(python[name], js[name], f"{where}.{name}")]
    if isinstance(python, list) and isinstance(js, list) and len(python) == len(js):
        pairs = enumerate(zip(python, js))
        return [each for i, (a, b) in pairs for each in differences(a, b, f"{where}[{i}]")]
    if isinstance(python, float) and isinstance(js, int | float) and not isinstance(js, bool):
        agree = isclose(python, js, rel_tol=1e-9, abs_tol=1e-12)
    else:
        agree = python == js and isinstance(python, bool) == isinstance(js, bool)
    return [] if agree else [f"{where}: {python!r} != {js!r}"]


def states_of(panel, seed=0):
    """Return the states to compare: all, or each control's and 500 random ones; and random finer values."""
    values = {name: control.values for name, control in panel.controls.items()}
    rng = random.Random(seed)
    if prod(map(len, values.values())) < FULL:
        states = [panel.state | dict(zip(values, each)) for each in product(*values.values())]
    else:
        states = [panel.state | {name: value} for name in values for value in values[name]]
        states += [panel.state | {name: rng.choice(values[name]) for name in values} for _ in range(500)]
    for _ in range(500):  # what only a drag can reach
        state = panel.state | {name: rng.choice(values[name]) for name in values}
        if panel.name == "kd":
            logits = [[rng.randint(-40, 100) / 10 for _ in range(10)] for _ in range(2)]
            states.append(state | dict(case="your own", student=logits[0], teacher=logits[1]))
        if panel.name == "pareto":
            states.append(state | dict(budget=1000 * rng.randint(80, 2300)))
    return states


# The same numbers as Python


@EVERY
def test_every_state_is_computed_as_in_python(live, name):
    page, panel = live(name)
    states = states_of(panel)
    found = page.evaluate("states => kit.compare(states)", states)
    assert len(found) == len(states) >= 160
    for state, (data, text) in zip(states, found):
        python = panel.compute(**state)
        expected = plain(python)
        if name == "wiring":
            expected["influence"] = (python["influence"] > 0).tolist()
        assert differences(expected, data) == [], state
        assert text == panel.describe(python), state
    print(f"{name}: {len(states)} states agree")


def test_a_difference_is_found():
    assert differences(dict(a=[1, 2.0]), dict(a=[1, 2])) == []
    assert differences(dict(a=[1, 2.0]), dict(a=[1, 2.00001])) == ["data.a[1]: 2.0 != 2.00001"]
    assert differences(dict(a=1), dict(a=1.5)) and differences(dict(a=True), dict(a=1))
    assert differences(dict(a=1), dict(b=1)) and differences([1], [1, 2]) and differences("a", "b")


# Pointer and keyboard


@EVERY
def test_every_control_works_by_keyboard(live, name):
    page, panel = live(name)
    for control, about in panel.controls.items():
        before, shown, start = count(page), page.locator("svg").inner_html(), state_of(page)[control]
        field = page.locator(f"[name={control}]:enabled")
        if not field.count():
            continue  # it has no meaning in this state
        if about.kind == "slider":
            at_end = field.evaluate("e => e.value === e.max")
            field.press("ArrowLeft" if at_end else "ArrowRight")
            assert len(field.get_attribute("aria-valuetext")) > 0
        elif about.kind == "buttons":
            page.locator(f"[name={control}]:checked").press("ArrowRight")
        elif about.kind == "menu":
            field.select_option(index=2)
        else:
            field.press("Space")
        assert state_of(page)[control] != start, control
        assert count(page) > before and page.locator("svg").inner_html() != shown, control
    assert status(page) == panel.describe(panel.compute(**state_of(page)))


@EVERY
def test_a_preset_sets_the_whole_state(live, name):
    page, panel = live(name)
    values = {control: about.values[0] for control, about in panel.controls.items()}
    for label, whole in panel.presets.items():
        page.evaluate("values => live.change(values)", values)
        page.get_by_role("button", name=label, exact=True).click()
        assert state_of(page) == whole
        assert status(page) == panel.describe(panel.compute(**whole))


@EVERY
def test_states_in_between_are_dropped(live, name):
    page, panel = live(name)
    before = count(page)
    page.evaluate("kit.burst()")
    settle(page)
    assert before < count(page) <= before + 2


def drag(page, place, dx, dy):
    """Drag the middle of an element."""
    box = page.locator(place).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for part in (0.3, 0.7, 1):
        page.mouse.move(x + part * dx, y + part * dy)
    page.mouse.up()
    settle(page)


def test_a_logit_is_dragged(live):
    page, panel = live("kd")
    dog = panel.data["logits"]["student"][5].item()
    drag(page, "[data-drag='student:5'] .hit", 0, -60)
    state = state_of(page)
    assert state["case"] == "your own" and state["student"][5] > dog + 3
    assert state["teacher"] == panel.data["logits"]["teacher"].tolist()
    assert page.locator("select").evaluate("e => e.selectedOptions[0].text") == "your own"
    assert status(page) == panel.describe(panel.compute(**state)) != panel.text
    assert page.locator("svg .ghost").count() > 3  # what it was before
    drag(page, "[data-drag='student:5'] .hit", 0, -500)
    assert state_of(page)["student"][5] == 10  # not beyond the axis
    bar = page.locator("[data-drag='teacher:0']")
    bar.press("ArrowDown")
    assert state_of(page)["teacher"][0] == state["teacher"][0] - 0.5
    assert bar.get_attribute("aria-valuetext") == "−2.5" and bar.evaluate("e => e === document.activeElement")
    page.locator("select").select_option(label="student = teacher")
    assert "is 0 for every logit" in status(page) and state_of(page)["student"] is None


def test_the_convention_and_the_hard_term_can_be_seen(live):
    page, _ = live("kd")
    soft_term = "kit.numbers('rect[fill=\"var(--blue)\"]', 'width').at(-1)"
    paper = page.evaluate(soft_term)
    page.get_by_label("code").check()
    settle(page)
    assert page.evaluate(soft_term) < paper - 40  # pixels
    hard = "rect[fill='url(#hatch-red)']"
    tall = page.evaluate("hard => kit.numbers(hard, 'height').slice(0, 10)", hard)
    assert len(tall) == 10 and max(tall) > 4


def test_the_budget_is_dragged(live):
    page, panel = live("pareto")
    drag(page, "[data-drag=budget] .hit", -60, 0)
    state = state_of(page)
    assert state["budget"] < 330_000 and status(page) == panel.describe(panel.compute(**state))
    assert page.locator("input[type=range]").get_attribute("aria-valuetext") in status(page).replace(
        ",000", " K"
    )
    line = page.locator("[data-drag=budget]")
    line.press("End")
    assert state_of(page)["budget"] == 2_300_000
    line.press("ArrowLeft")
    assert state_of(page)["budget"] == 1_400_000
    assert line.get_attribute("aria-valuetext") == "1,400,000 parameters"


def test_a_point_tells_its_errors(live):
    page, panel = live("pareto")
    data = panel.data
    number = next(i for i, point in enumerate(data["points"]) if point["label"] == "G(N)")
    page.locator(f"[data-point='{number}'] .hit").hover()
    settle(page)
    card = page.locator(".card").inner_html()
    for expected in ("G(N)", "304,074 parameters", "scratch ", "KD ", "AT 6.57 %"):
        assert expected in card
    page.mouse.move(5, 5)
    settle(page)
    assert page.locator(".card").count() == 0
    first = page.locator("[data-point][tabindex='0']")
    first.focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    second = sorted(data["points"], key=lambda point: point["parameters"])[1]
    assert f"{second['parameters']:,} parameters" in page.locator(".card").inner_html()
    assert f"AT {second['error']:.2f} %" in page.evaluate("document.activeElement.getAttribute('aria-label')")


def test_names_cover_no_points(live):
    page, panel = live("pareto")
    bad = []
    for state in states_of(panel)[:612:7]:
        page.evaluate("state => live.change(state)", state)
        settle(page)
        bad += [state] * page.evaluate("kit.covered()")
    assert bad == []


def test_a_channel_is_clicked(live):
    page, panel = live("wiring")
    box = page.locator("[data-drag=channel] .hit").bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + box["height"] * 12.5 / 16)
    assert state_of(page)["channel"] == 12 and "those of its own group, 12 to 15" in status(page)
    page.keyboard.press("ArrowDown")
    assert state_of(page)["channel"] == 13
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] * 2.5 / 16)
    page.mouse.up()
    assert state_of(page)["channel"] == 2


def test_impossible_groups_are_jumped_over(live):
    page, _ = live("block", state=dict(channels=48, groups="16"))
    crossed = page.locator(".scale .impossible").all_inner_texts()
    assert crossed == ["32"]
    slider = page.locator("[name=groups]")
    slider.press("ArrowRight")
    assert state_of(page)["groups"] == "N/16"
    slider.press("ArrowLeft")
    assert state_of(page)["groups"] == "16"
    page.get_by_label("B", exact=True).check()
    settle(page)
    assert slider.is_disabled() and page.locator("[name=contraction]").is_enabled()
    page.get_by_role("button", name="one that can't be built").click()
    assert "can't be built" in status(page) and "can't split into groups" in page.locator("svg").inner_html()


def test_the_axes_of_the_block_designer_stand_still(live):
    page, panel = live("block")
    ticks = "kit.numbers('line.grid', 'x1')"
    length = (
        "() => [...document.querySelectorAll('.piece')].reduce((sum, e) => sum + +e.getAttribute('width'), 0)"
    )
    before, long = page.evaluate(ticks), page.evaluate(length)
    for groups in ("1", "8", "N/8"):
        page.evaluate("groups => live.change({ groups })", groups)
        settle(page)
        share = panel.compute(**state_of(page))["parameters"] / 9344
        assert page.evaluate(ticks) == before and isclose(page.evaluate(length), share * long, rel_tol=1e-6)
    page.locator("[name=channels]").press("ArrowRight")
    settle(page)
    assert page.evaluate(ticks) == before and page.locator("svg > g > .ghost").count() == 2


# Looks


@EVERY
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [700, 1200])
def test_text_is_large_dark_and_inside(live, name, theme, width, tmp_path_factory):
    page, panel = live(name, width, color_scheme=theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    folder = os.environ.get("MOONSHINE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots")
    for number, state in enumerate([panel.state, *panel.presets.values()]):
        page.evaluate("state => live.change(state)", state)
        settle(page)
        faintest, smallest = page.evaluate("kit.looks()")
        assert faintest["contrast"] >= 4.5, faintest
        assert smallest["size"] >= 11, smallest
        assert page.evaluate("kit.clipped()") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=f"{folder}/live_{name}_{theme}_{width}_{number}.png", full_page=True)


def test_a_phone_shows_all_of_it(live):
    for name in MAKE:
        page, _ = live(name, 380)
        assert page.evaluate("document.documentElement.scrollWidth") <= 380, name


# The outputs of a cell in JupyterLab and nbconvert, and on the website.
LAB = """<body data-jp-theme-light="false"><div class="jp-OutputArea">
    <div class="jp-OutputArea-child">{live}</div>
    <div class="jp-OutputArea-child" id="image">an image</div>
    <div class="jp-OutputArea-child" id="text">a text</div>
    <div class="jp-OutputArea-child" id="more">the next</div></div></body>"""
SITE = """<body data-theme="dark"><div class="cell_output"><div class="output text_html">{live}</div>
    <a id="image">an image</a><div class="output stream" id="text">a text</div>
    <div class="output" id="more">the next</div></div></body>"""


@pytest.mark.parametrize("outputs", [LAB, SITE], ids=["lab", "site"])
def test_a_living_panel_hides_its_copy_and_follows_the_theme(opened, outputs):
    panel = wiring_panel()
    alive = live_html("wiring", panel.page_data(), 100)
    page = opened(outputs.format(live=alive))
    page.wait_for_selector("[data-alive]")
    hidden = "['image', 'text', 'more'].map(id => document.getElementById(id).offsetHeight === 0)"
    assert page.evaluate(hidden) == [True, True, False]
    inner = "document.querySelector('iframe').contentDocument.documentElement.dataset.theme"
    assert page.evaluate(inner) == "dark"
    name, light = ("jpThemeLight", "true") if outputs == LAB else ("theme", "light")
    page.evaluate("([name, light]) => { document.body.dataset[name] = light; }", [name, light])
    settle(page)
    assert page.evaluate(inner) == "light"
    tall, needed = page.evaluate("""[document.querySelector('iframe').offsetHeight,
        document.querySelector('iframe').contentDocument.body.scrollHeight]""")
    assert needed <= tall <= needed + 10
    stripped = opened(outputs.format(live=alive.split("<iframe")[0] + "</div>"))  # as on GitHub
    assert stripped.evaluate(hidden) == [False, False, False]


# Storage


def test_notebooks_store_the_panels_of_today():
    """A stored iframe holds a copy of the JavaScript: after a change, run the notebooks that show panels."""
    stored = 0
    for path in sorted((ROOT / "nbs").rglob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
        for made in ("".join(data.get("text/html", "")) for data in outputs):
            if name := re.search(r'class="moonshine-live moonshine-(\w+)"', made):
                stored += 1
                for file in ("base.css", "base.js", f"{name[1]}.js"):
                    assert html.escape(script(file)) in made, f"{path.name} has another {file}: run it again"
    assert stored >= 4


# Speed


@EVERY
def test_pixels_follow_the_input(live, name, capsys):
    page, _ = live(name, 1200)
    times = page.evaluate("kit.times(40)")
    with capsys.disabled():
        print(f"\n{name}: input to drawing {median(times):.1f} ms (median of {len(times)})")
    assert median(times) < 50
