"""The page that draws what a kernel computed, in a real browser: numbers, pointer, keyboard, looks, speed.

The tests are skipped without Chromium or playwright; with MOONSHINE_REQUIRE_BROWSER=1 they fail instead.
Screenshots go to MOONSHINE_SCREENSHOTS or a temporary folder.
"""

import base64
import io
import os
from functools import lru_cache
from statistics import median

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from PIL import Image
from test_live import KIT, browser, opened  # noqa: F401

from moonshine.panels.attention import attention_panel, where_panel
from moonshine.panels.drawn import maps_page

STATES = {  # a name for screenshots -> a panel
    "attention": lambda: attention_panel(),
    "one": lambda: attention_panel(view="one", network="kd"),
    "group_1": lambda: attention_panel(group=1, shuffled=True),
    "photographs": lambda: attention_panel(data="cifar10"),
    "where": lambda: where_panel(number=2),
    "teacher": lambda: where_panel(network="teacher", group=1),
    "box": lambda: where_panel(data="cifar10"),
}
EVERY = pytest.mark.parametrize("name", STATES)


@lru_cache
def panel_of(name):
    """Return a panel; computing its data takes a second."""
    return STATES[name]()


@pytest.fixture
def drawn(opened):  # noqa: F811
    """Return a function that opens the page of a panel, and shows the panel's data."""

    def open_page(name, width=700, theme="light"):
        page = opened(maps_page("maps"), width, color_scheme=theme)
        page.add_script_tag(content=KIT)
        page.wait_for_function("window.live && live.drawn")
        page.evaluate("data => live.change({ data })", panel_of(name).image.data)
        settle(page)
        return page

    return open_page


def settle(page):
    """Wait until everything that was asked for is drawn."""
    page.evaluate("live.drawn()")


def status(page):
    """Return the text below the drawing."""
    settle(page)
    return page.locator("[role=status]").inner_text()


def short2(value):
    """Return a number as the page writes it: two digits, no exponent."""
    return "0" if abs(value) < 5e-5 else f"{'−' * (value < 0)}{float(f'{abs(value):.2g}'):g}"


def maps_of(page):
    """Return the drawings of the maps, by the name of the network."""
    return {each.get_attribute("data-map"): each for each in page.locator("[data-map]").all()}


def point(page, target, x, y):
    """Move the pointer to a position of a map, given as fractions."""
    box = target.locator("rect.frame").bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    settle(page)


# The numbers


@EVERY
def test_maps_have_the_colors_of_their_values(drawn, name):
    page, data = drawn(name), panel_of(name).image.data
    shown = maps_of(page)
    rows = [row for row in data["rows"] if row["name"] in shown]
    assert len(rows) == len(shown) >= 1
    top = max(max(row["map"]) for row in rows)
    for row in rows:
        url = shown[row["name"]].locator("image").nth(1).get_attribute("href")
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))
        values = np.array(row["map"]).reshape(row["side"], -1) / top
        expected = colormaps["viridis"](values, bytes=True)[..., :3]
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).max() <= 6  # 64 colors stand for 256


@EVERY
def test_pointing_reads_the_value_of_every_network(drawn, name):
    page, panel = drawn(name), panel_of(name)
    data = panel.image.data
    target = next(iter(maps_of(page).values()))
    for x, y in ((0.02, 0.02), (0.4, 0.7), (0.98, 0.98)):
        point(page, target, x, y)
        words = status(page)
        for row in data["rows"]:
            value = row["map"][int(y * row["side"]) * row["side"] + int(x * row["side"])]
            assert f"{row['name']} {short2(value)}" in words, (words, row["name"], value)
        side = data["rows"][0]["side"]
        assert f"Row {int(y * side) + 1}, column {int(x * side) + 1} of the map" in words
    page.mouse.move(2, 600)
    assert "Point at a map" in status(page)


def test_the_difference_is_that_of_python(drawn):
    page, panel = drawn("attention"), panel_of("attention")
    found = page.evaluate("""() => { const { rows } = live.state.data;
        return rows.map(row => difference(row, rows[0])); }""")
    for ours, row in zip(found, panel.data["rows"], strict=True):
        ours = torch.tensor(ours, dtype=torch.float)
        assert torch.allclose(ours, row["difference"].flatten(), atol=2e-4)


# Pointer and keyboard


def test_opacity_needs_no_kernel(drawn):
    page = drawn("attention")
    for opacity in (0, 0.4, 1):
        page.evaluate("opacity => live.change({ opacity })", opacity)
        settle(page)
        shown = [m.locator("image").nth(1).get_attribute("opacity") for m in maps_of(page).values()]
        assert shown == [f"{opacity}"] * 4


@pytest.mark.parametrize("name", ["attention", "where"])
def test_a_click_on_a_network_tells_the_kernel(drawn, name):
    page = drawn(name)
    page.evaluate("() => { window.said = []; live.tell = told => said.push(told); }")
    if name == "attention":
        maps_of(page)["kd"].locator("rect.frame").click()
        maps_of(page)["scratch"].press("Enter")
    else:
        page.locator("[data-network=kd]").click()
        page.locator("[data-network=scratch]").click()
    told = [dict(name="network", value="kd"), dict(name="network", value="scratch")]
    assert page.evaluate("said") == told


def test_the_arrow_keys_move_the_position(drawn):
    page = drawn("attention")
    target = maps_of(page)["at"]
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        target.press(key)
    assert "Row 6, column 7 of the map" in status(page)
    for _ in range(9):
        target.press("ArrowLeft")
    assert "Row 6, column 1 of the map" in status(page)
    assert target.get_attribute("aria-label").startswith("attention map of at, 8 by 8; peak ")


def test_a_problem_is_said(drawn):
    page = drawn("attention")
    page.evaluate("live.change({ data: { problem: 'nothing is uploaded yet' } })")
    assert status(page) == "nothing is uploaded yet"
    assert "nothing is uploaded yet" in page.locator("svg").inner_html()


# Looks and speed


@EVERY
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [580, 700, 1200])
def test_text_is_large_dark_and_inside(drawn, name, theme, width, tmp_path_factory):
    page = drawn(name, width, theme)
    folder = os.environ.get("MOONSHINE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots")
    page.screenshot(path=f"{folder}/drawn_{name}_{theme}_{width}.png", full_page=True)
    faintest, smallest = page.evaluate("kit.looks()")
    assert faintest["contrast"] >= 4.5, faintest
    assert smallest["size"] >= 11, smallest
    assert page.evaluate("kit.clipped()") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@EVERY
def test_drawing_takes_less_than_50_ms(drawn, name, capsys):
    page = drawn(name, 1200)
    js = """async data => { const found = [], frame = () => new Promise(requestAnimationFrame);
        for (let i = 0; i < 30; i++) { await frame(); const start = performance.now();
            live.change({ data: structuredClone(data) }); await frame();
            document.querySelector("svg").getBoundingClientRect();
            found.push(performance.now() - start); } return found; }"""
    times = page.evaluate(js, panel_of(name).image.data)
    with capsys.disabled():
        print(f"\n{name}: new data to drawing {median(times):.1f} ms (median of {len(times)})")
    assert median(times) < 50
