"""Generated from nbs/distillation/43_demonstration.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.demonstration import *


import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from fastcore.test import test_eq

from moonshine.data.drawing import shapes
from moonshine.models.wide_resnet import wrn


def test_a_network_looks_like_itself():
    data = shapes(train=20, test=10)
    a, b = wrn(10, 0.5), wrn(10, 0.5)
    test_eq(attention_distance(a, a, data), 0)
    assert attention_distance(a, b, data) > 0


def test_looking_at_test_images():
    data = shapes(train=20, test=10)
    networks = dict(a=wrn(10, 0.5), b=wrn(10, 1))
    seen = group_activations(networks, data.test.select(slice(4)), data.normalization())
    test_eq((seen["a"].shape, seen["b"].shape), ((4, 16, 16, 16), (4, 32, 16, 16)))
    assert all(0 < share < 1 for share in share_on_object(networks, data).values())


def test_a_tiny_demo_writes_its_files():
    with tempfile.TemporaryDirectory() as folder:
        said = []
        rows = demo(folder, train=64, test=32, recipe=replace(RECIPE, epochs=1), say=said.append)
        test_eq(sorted(p.name for p in Path(folder).iterdir()), ["maps.png", "results.json", "table.png"])
        assert all(p.stat().st_size > 1000 for p in Path(folder).glob("*.png"))
        written = json.loads(Path(folder, "results.json").read_text())["rows"]
        test_eq([row["network"] for row in written], ["teacher", "scratch", "kd", "at"])
        test_eq(written[0]["map_distance"], 0)
    assert rows[0]["parameters"] > rows[1]["parameters"] == rows[2]["parameters"] == rows[3]["parameters"]
