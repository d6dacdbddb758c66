"""Generated from nbs/panels/61_drawn.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.panels.drawn import *


import json
import os

import numpy as np
import torch
from fastcore.test import test_eq

from moonshine.panels.base import buttons, canvas, slider

os.environ["MOONSHINE_RAISE"] = "1"  # a callback that fails fails the test


def test_numbers_for_the_page():
    test_eq(rounded(torch.tensor([[1 / 3, -2.0]])), [0.3333, -2.0])
    image = torch.arange(12, dtype=torch.uint8).view(3, 2, 2)
    test_eq(as_pixels(image), dict(side=2, pixels=[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]))
    test_eq((as_bits(torch.tensor([[True, False], [False, True]])), as_bits(None)), ("1001", ""))
    test_eq(palette("viridis", 3), [[68, 1, 84], [33, 145, 140], [253, 231, 37]])


def test_a_drawn_panel_sends_numbers():
    def view(data):
        return dict(problem=f"{data}")


    controls = dict(
        network=buttons("network", ["a", "b"], "a"),
        opacity=slider("opacity", [0, 0.5, 1], 0.5),
    )
    options = dict(view=view, presets={"b": dict(network="b")})
    panel = DrawnPanel(
        "own",
        controls,
        lambda network, opacity: network * 3,
        lambda data: canvas(1),
        lambda data: f"It is {data}.",
        **options,
    )
    sent = []
    panel.image.observe(lambda change: sent.append(change["new"]), names="data")
    test_eq((panel.image.data, panel.image.number, panel.text), (dict(problem="aaa"), 1, "It is aaa."))
    test_eq((panel.image.opacities, panel.image.step), ([0, 0.5, 1], 1))
    controls["opacity"].value = 1  # the page does it: nothing is sent
    test_eq((sent, panel.renders), ([], 2))
    panel.image.told = dict(name="network", value="b", time=1)  # a click in the page
    test_eq((controls["network"].value, sent, panel.image.number), ("b", [dict(problem="bbb")], 3))
    assert panel.png[1:4] == b"PNG" and "start(panel, " in panel.image.page
    json.dumps(panel.image.get_state(["data", "opacities", "told"]))
