"""Generated from nbs/panels/54_panel.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.panels.base import *


import base64
import os
from unittest.mock import patch

from fastcore.test import test_eq, test_fail

from moonshine.panels.live import png

os.environ["MOONSHINE_RAISE"] = "1"  # a callback that fails fails the test


def test_a_failing_callback_reports_its_error():
    seen = []
    divide = safe_callback(lambda x: 1 / x, seen.append)
    test_eq((divide(2), seen), (0.5, []))
    with patch.dict(os.environ, MOONSHINE_RAISE="0"):
        divide(0)
    test_eq(seen, ["ZeroDivisionError: division by zero"])
    test_fail(lambda: divide(0), contains="division by zero")
    test_eq(len(seen), 2)


def test_an_image_has_a_text_alternative():
    image = png(canvas(1))
    assert image.startswith(b"\x89PNG")
    element = image_html(image, "1 < 2", 3)
    assert 'alt="1 &lt; 2"' in element and 'data-n="3"' in element and base64.b64encode(image).decode() in element


def test_every_control_has_a_value():
    test_eq(slider("N", [("sixteen", 16), ("thirty-two", 32)], 32).value, 32)
    test_eq(buttons("block", ["S", "G"], "G").value, "G")
    test_eq(menu("case", ["a", "b"], "a").value, "a")
    test_eq(checkbox("noise", True).value, True)


def test_a_panel_keeps_image_and_text_in_sync():
    def draw(product):
        figure = canvas(1)
        figure.add_axes((0.1, 0.3, 0.8, 0.6)).barh([0], [product])
        return figure


    controls = dict(a=slider("a", [0, 1, 2, 3], 1), b=slider("b", [1, 2, 3], 1, live=False))
    panel = Panel(
        "product",
        controls,
        lambda a, b: a * b,
        draw,
        lambda product: f"The product is {product} > 0",
        presets={"both 3": dict(a=3, b=3)},
    )
    first = panel.png
    test_eq((panel.data, panel.text, panel.renders), (1, "The product is 1 > 0", 1))
    controls["a"].value = 2
    test_eq((panel.data, panel.renders), (2, 2))
    assert panel.png != first and panel.png[1:4] == b"PNG"
    assert 'alt="The product is 2 &gt; 0" data-n="2"' in panel.image.value and "2 &gt; 0" in panel.status.value
    panel.buttons["both 3"].click()  # two controls change: one redraw
    test_eq((panel.data, panel.renders), (9, 3))
    test_eq([c.continuous_update for c in controls.values()], [True, False])
    assert "moonshine-product" in panel._dom_classes and len(repr(panel)) < 110
    test_fail(lambda: panel.choose(c=1), contains="unknown control 'c'")
    test_fail(lambda: panel.press("both 4"), contains="did you mean both 3")


def test_redraw_times_moves_every_value_twice():
    seen = []


    def compute(x):
        seen.append(x)
        return x


    panel = Panel("x", dict(x=slider("x", [1, 2, 3], 2)), compute, lambda x: canvas(1), str)
    times = redraw_times(panel, "x")
    test_eq((seen, panel.data, set(times)), ([2, 1, 3, 2, 1, 3, 2], 2, {"cold", "cached"}))
    assert 0 < times["cached"] < 10_000


def test_a_panel_that_fails_says_so():
    controls = dict(x=slider("x", [0, 1, 2], 1))
    panel = Panel(
        "broken",
        controls,
        lambda x: 1 / x,
        lambda y: canvas(1),
        lambda y: f"1/x is {y:g}",
        actions={"fail": lambda panel: 1 / 0},
    )
    with patch.dict(os.environ, MOONSHINE_RAISE="0"):
        controls["x"].value = 0
        assert "ZeroDivisionError" in panel.text and "ZeroDivisionError" in panel.status.value
        test_eq(panel.renders, 1)  # the image is unchanged
        controls["x"].value = 2
        test_eq(panel.text, "1/x is 0.5")  # and the panel keeps working
        panel.buttons["fail"].click()
        assert "ZeroDivisionError" in panel.text


    def move():
        controls["x"].value = 0


    test_fail(move, contains="division by zero")  # setting `.value` raises the exception
    test_fail(lambda: panel.press("fail"), contains="division by zero")


def test_the_style_sheet_comes_before_a_panel():
    shown, panel = [], PanelView("empty", {}, [])
    with patch.dict(show.__globals__, display=lambda given, **how: shown.append(given)):
        show(panel, static=False)
        projector()
        show("a panel that needs no kernel", static=False)
    (sheet, first), (large, other) = shown[:2], shown[2:]
    test_eq((first, other), (panel, "a panel that needs no kernel"))
    assert "jupyter-widgets-disconnected" in sheet["text/html"] and "http" not in sheet["text/html"]
    assert "zoom" in large["text/html"] and "<script" not in large["text/html"]
