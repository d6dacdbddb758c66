"""Generated from nbs/15a_cost_panels.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cost_panels import *


import os, re
from itertools import product
import torch
from torch.nn import functional as F
from fastcore.test import test_eq, test_close, test_fail
from moonshine.blocks import chain, convolution_parameters, layers, parse_block, residual
from moonshine.costs import mult_adds, paper_table
from moonshine.paper import evaluate
os.environ["MOONSHINE_RAISE"] = "1"    # a callback that fails fails the test


def test_block_design_by_table_1():
    formulas = {row["block"]: row["convolutions"] for row in paper_table(1)}
    forms = {"S": "S", "S-2x2": "S-2x2", "G": "G(g)", "B": "B(b)", "BG": "BG(b,g)"}
    for kind, b, g, N in product(forms, (2, 4), (1, 2, 8), (32, 96)):
        data = block_design(kind, b, str(g), N, 16)
        test_eq(data["parameters"], evaluate(formulas[forms[kind]], N=N, k=3, g=g, b=b))
        test_eq(data["parameters"], convolution_parameters(data["block"], N))
        test_eq(data["mult_adds"], 16 * 16 * data["parameters"])
        test_eq(data["parameters"], data["times"] * sum(row["parameters"] for row in data["layers"]))


def test_block_design_against_built_blocks():
    for kind, b, g, N, size in (("S", 2, "1", 16, 8), ("S-2x2", 2, "1", 16, 8), ("G", 2, "N/8", 32, 8),
                                ("B", 4, "1", 32, 4), ("BG", 2, "N", 32, 8)):
        data = block_design(kind, b, g, N, size)
        test_eq(data["mult_adds"], mult_adds(residual(parse_block(data["block"]), N, N), (N, size, size)))
    test_eq(block_design("BG", 2, "N/8")["block"], "BG(2,M/8)")  # groups of 8 of the M channels inside
    assert "can't split" in block_design("G", 2, "32", 48)["problem"]
    assert "can't contract" in block_design("B", 4, "1", 30)["problem"]
    test_fail(lambda: block_design("Q"), contains="unknown kind of block 'Q'")


def test_block_panel_makes_its_point():
    panel = block_panel()
    data = block_design("G", 2, "N", 64, 32)
    test_eq(panel.data, data)                                    # what it opens with
    test_eq((data["full"], data["parameters"], data["pointwise"]), (73_728, 9_344, 8_192))
    assert "7.9 times fewer than S" in panel.text and "64 groups do not make it 64 times cheaper" in panel.text
    panel.controls["kind"].value = "B"
    test_eq([panel.controls[name].disabled for name in ("groups", "contraction")], [True, False])
    assert "Nothing is grouped" in panel.text
    n, before = panel.renders, panel.image.value
    panel.press("one that can't be built")
    test_eq(panel.renders, n + 1)                                # three controls, one redraw
    assert "can't be built" in panel.text and "32 do not divide them" in panel.text
    alt = lambda value: re.search('alt="([^"]*)"', value)[1]
    assert alt(before) and alt(panel.image.value) and alt(before) != alt(panel.image.value)


def test_wiring_is_the_jacobian():
    def jacobian(module, channels):
        "(out, in): how far each output, summed over positions, follows each input, in absolute value"
        x = torch.randn(1, channels, 5, 5, dtype=torch.float64)
        J = torch.autograd.functional.jacobian(module.double().eval(), x)[0, :, :, :, 0]   # (out, 5, 5, in, 5, 5)
        return J.abs().sum((1, 2, 4, 5))
    torch.manual_seed(0)
    for groups in (1, 2, 4, 8, 16):
        diagonal = torch.block_diag(*[torch.ones(16 // groups, 16 // groups)] * groups).bool()
        module = chain(layers(f"G({groups})", 16, 16))           # grouped, BN, ReLU, 1×1
        assert torch.equal(wiring(groups)["influence"] > 0, diagonal)
        assert torch.equal(jacobian(module[0], 16) > 0, diagonal)
        assert (wiring(groups, True)["influence"] > 0).all() and (jacobian(module, 16) > 0).all()
    test_eq(wiring(4, False, 5)["moved"], [4, 5, 6, 7])
    test_eq(wiring(16, False, 5)["moved"], [5])
    test_fail(lambda: wiring(3), contains="do not divide")


def test_wiring_panel_makes_its_point():
    panel = wiring_panel()
    assert "4 of 16 outputs move, those of its own group, 4 to 7" in panel.text
    panel.controls["channel"].value = 12
    assert "12 to 15" in panel.text
    first = panel.png
    panel.press("the block G(4)")
    assert "16 of 16 outputs move, all of them" in panel.text and panel.png != first
    n = panel.renders
    panel.press("depthwise alone")
    test_eq((panel.data["moved"], panel.renders), ([12], n + 1))
    assert "number 12 alone" in panel.text
