"""The panel to draw on, in a real browser: its networks against PyTorch, pen and keyboard, looks, speed.

The tests are skipped without Chromium or playwright; with MOONSHINE_REQUIRE_BROWSER=1 they fail instead.
Screenshots go to MOONSHINE_SCREENSHOTS or a temporary folder.
"""

import os
from statistics import median

import pytest
import torch
from test_live import KIT, browser, opened  # noqa: F401

from moonshine.losses.attention import activations, attention_map
from moonshine.panels.draw import NAMES, STARTS, describe_answers, draw_panel, scenes
from moonshine.panels.live import live_html, live_page
from moonshine.pretrained import TRAINED, network_input, test_images, trained_network

ASK = """([name, pixels]) => live.forward(live.networks.find(n => n.name === name),
    live.normalized(pixels, live.given))"""
PAPER = "canvas.paper"


@pytest.fixture
def panel_page(opened):  # noqa: F811
    """Return a function that opens the panel and waits until all networks have answered."""

    def open_panel(width=700, theme="light", **options):
        page = opened(live_page("draw", draw_panel(**options).page_data()), width, color_scheme=theme)
        page.add_script_tag(content=KIT)
        page.wait_for_function("document.documentElement.dataset.rests > 0")
        return page

    return open_panel


def rests(page, act):
    """Do something, and wait until all networks have answered."""
    before = page.evaluate("+document.documentElement.dataset.rests")
    act()
    page.wait_for_function("n => document.documentElement.dataset.rests > n", arg=before)


def status(page):
    """Return the answers in words."""
    return page.locator("[role=status]").inner_text()


def probabilities(page):
    """Return the class probabilities of each network."""
    return page.evaluate("Object.values(live.answers).map(answer => answer.probabilities)")


def example_images():
    """Return twenty test images and five of noise: (25, 3, 32, 32) uint8."""
    noise = torch.randint(0, 256, (5, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    return torch.cat([test_images(20).images, noise.byte()])


def largest_difference(page, name, images):
    """Return how far logits and attention maps in the page are from PyTorch's, at most."""
    with torch.no_grad():
        logits, seen = activations(trained_network(name), network_input(images))
    maps, worst = [attention_map(each) for each in seen], [0.0, 0.0]
    for number, image in enumerate(images):
        found = page.evaluate(ASK, [name, image.permute(1, 2, 0).flatten().tolist()])
        worst[0] = max(worst[0], (torch.tensor(found["logits"]) - logits[number]).abs().max().item())
        for ours, theirs in zip(found["maps"], maps, strict=True):
            worst[1] = max(worst[1], (torch.tensor(ours) - theirs[number]).abs().max().item())
    return worst


# The same numbers as PyTorch


def test_logits_and_maps_are_those_of_pytorch(panel_page, capsys):
    page = panel_page(names=TRAINED, half=False)
    for name in TRAINED:
        worst = largest_difference(page, name, example_images())
        with capsys.disabled():
            print(f"\n{name}: logits differ by {worst[0]:.1e}, maps by {worst[1]:.1e}")
        assert max(worst) < 1e-4, (name, worst)


def test_half_precision_moves_no_test_image(panel_page, capsys):
    page, images = panel_page(), test_images(200).images
    for name in NAMES:
        with torch.no_grad():
            exact = trained_network(name)(network_input(images)).softmax(1)
        found = [page.evaluate(ASK, [name, each.permute(1, 2, 0).flatten().tolist()]) for each in images]
        rounded = torch.tensor([each["probabilities"] for each in found])
        with capsys.disabled():
            print(f"\n{name}: probabilities differ by {(rounded - exact).abs().max():.4f}")
        assert (rounded.argmax(1) == exact.argmax(1)).all()
        assert (rounded - exact).abs().max() < 0.01


def test_a_scene_is_answered_as_in_python(panel_page):
    page = panel_page()
    for number, scene in enumerate(scenes()):
        rests(page, page.locator(".scenes button").nth(number).click)
        words = describe_answers(draw_panel(number).data).split(". ", 1)[1]
        shown = status(page)
        assert shown.startswith(scene["title"]) and shown.count("says") == len(NAMES)
        assert [part.split(",")[0] for part in shown.split(". ", 1)[1].split(";")] == [
            part.split(",")[0] for part in words.split(";")
        ]
        assert page.evaluate("live.pixels()") == scene["image"].permute(1, 2, 0).flatten().tolist()


def test_it_lives_in_an_iframe(opened):  # noqa: F811
    page = opened(live_html("draw", draw_panel().page_data(), 100))
    page.wait_for_selector("[data-alive]")
    inside = page.locator("iframe").element_handle().content_frame()
    inside.wait_for_function("document.documentElement.dataset.rests > 0")
    assert inside.locator("[role=status]").inner_text().startswith("Test image 1, class square. The teacher")
    needed, tall = inside.evaluate("[document.body.scrollHeight, frameElement.offsetHeight]")
    assert needed <= tall <= needed + 10


# Pen and keyboard


def draw_line(page, points):
    """Move the pen over the paper through points given in pixels of the image."""
    box = page.locator(PAPER).bounding_box()
    place = [(box["x"] + x * box["width"] / 32, box["y"] + y * box["height"] / 32) for x, y in points]
    page.mouse.move(*place[0])
    page.mouse.down()
    for each in place[1:]:
        page.mouse.move(*each, steps=4)
    page.mouse.up()


def test_a_drawing_changes_the_answers(panel_page):
    page = panel_page()
    rests(page, page.get_by_role("button", name="clear").click)
    empty, blank = probabilities(page), page.evaluate("live.pixels()")
    assert "no class for nothing" in status(page)
    rests(page, lambda: draw_line(page, [(16, 5), (16, 27)]))
    rests(page, lambda: draw_line(page, [(5, 16), (27, 16)]))
    after = probabilities(page)
    for before, now in zip(empty, after):
        assert max(abs(a - b) for a, b in zip(before, now)) > 0.2
        assert sum(now) == pytest.approx(1)
    assert status(page).startswith("Your drawing. The teacher says cross, ")
    assert page.evaluate("live.pixels()") != blank
    for _ in range(2):
        rests(page, page.get_by_role("button", name="undo").click)
    assert page.evaluate("live.pixels()") == blank and probabilities(page) == empty
    rests(page, page.get_by_role("button", name="undo").click)
    assert status(page).startswith("Test image 1, class square")
    rests(page, page.get_by_role("button", name="undo").click)  # there is nothing left
    assert status(page).startswith("Test image 1, class square")


def test_the_eraser_brings_the_scene_back(panel_page):
    page = panel_page()
    before = page.evaluate("live.pixels()")
    rests(page, lambda: draw_line(page, [(4, 4), (28, 28)]))
    assert page.evaluate("live.pixels()") != before
    page.get_by_label("eraser").check()
    page.get_by_label("brush size").fill("8")
    rests(page, lambda: draw_line(page, [(4, 4), (28, 28)]))
    assert page.evaluate("live.pixels()") == before


def changed_pixels(page, before):
    """Return how many pixels differ from an earlier image."""
    now = page.evaluate("live.pixels()")
    return sum(now[i : i + 3] != before[i : i + 3] for i in range(0, len(now), 3))


def test_the_brush_is_as_wide_as_it_says(panel_page):
    page, counts = panel_page(scene=len(STARTS)), []
    for size in (1, 4, 8):
        page.get_by_label("brush size").fill(f"{size}")
        before = page.evaluate("live.pixels()")
        rests(page, lambda: draw_line(page, [(16.5, 16.5)]))
        counts.append(changed_pixels(page, before))
        rests(page, page.get_by_role("button", name="undo").click)
    assert counts[0] <= 9 and counts[0] < counts[1] < counts[2] <= 81
    assert page.locator("output").nth(1).inner_text() == "8 pixels"


def test_the_keyboard_draws(panel_page):
    page = panel_page(scene=len(STARTS))
    before = page.evaluate("live.pixels()")
    paper = page.locator(PAPER)
    paper.focus()
    rests(page, lambda: paper.press("ArrowRight"))
    assert changed_pixels(page, before) == 0  # the brush moves, and paints nothing
    rests(page, lambda: paper.press("Space"))
    dab = changed_pixels(page, before)
    assert dab > 8
    for _ in range(6):
        paper.press("Shift+ArrowDown")
    rests(page, lambda: paper.press("ArrowLeft"))
    assert changed_pixels(page, before) > dab + 12
    rests(page, lambda: page.keyboard.press("Control+z"))
    assert changed_pixels(page, before) < dab + 24
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Your drawing")


def test_everything_has_a_name(panel_page):
    page = panel_page()
    unnamed = """[...document.querySelectorAll('button, input, canvas:not([aria-hidden]), svg')].filter(
        e => !(e.getAttribute('aria-label') || e.getAttribute('aria-hidden') || e.textContent.trim()))
        .map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(unnamed) == []
    label = page.locator(".maps canvas").nth(2).get_attribute("aria-label")
    assert label.startswith("attention map of the teacher, group 3, 8 by 8; its peak is in row ")


# Looks


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [700, 1200])
def test_text_is_large_dark_and_inside(panel_page, theme, width, tmp_path_factory):
    page = panel_page(width, theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    folder = os.environ.get("MOONSHINE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots")
    page.screenshot(path=f"{folder}/draw_{theme}_{width}_opens.png", full_page=True)
    rests(page, page.get_by_role("button", name="clear").click)
    star = [(16, 4), (9, 27), (28, 12), (4, 12), (23, 27), (16, 4)]
    rests(page, lambda: draw_line(page, star))
    page.screenshot(path=f"{folder}/draw_{theme}_{width}_star.png", full_page=True)
    faintest, smallest = page.evaluate("kit.looks()")
    assert faintest["contrast"] >= 4.5, faintest
    assert smallest["size"] >= 11, smallest
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_shows_all_of_it(panel_page):
    page = panel_page(380)
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


# Speed


def test_a_student_answers_within_a_frame(panel_page, capsys):
    page = panel_page(names=TRAINED, half=False)
    times = {}
    for name in TRAINED:
        image = test_images(1).images[0].permute(1, 2, 0).flatten().tolist()
        js = """([name, pixels]) => { const x = live.normalized(pixels, live.given), found = [];
            const network = live.networks.find(n => n.name === name);
            for (let i = 0; i < 40; i++) { const start = performance.now(); live.forward(network, x);
                found.push(performance.now() - start); } return found; }"""
        times[name] = median(page.evaluate(js, [name, image])[10:])
    with capsys.disabled():
        print("\nmilliseconds for an image:", {name: round(ms, 1) for name, ms in times.items()})
    assert all(times[name] < 50 for name in TRAINED if name != "teacher")
