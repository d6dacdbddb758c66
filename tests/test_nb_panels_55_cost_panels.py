"""Generated from nbs/panels/55_cost_panels.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.panels.costs import *


import os
from itertools import product

import torch
from fastcore.test import test_eq, test_fail
from torch.nn import functional as F

from moonshine.blocks.families import block_layers, convolution_parameters, parse_block
from moonshine.blocks.layers import chain
from moonshine.blocks.residual import residual_block
from moonshine.costs.counting import mult_adds
from moonshine.paper.cost_tables import paper_table
from moonshine.paper.tables import evaluate

os.environ["MOONSHINE_RAISE"] = "1"  # a callback that fails fails the test


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
    for kind, b, g, N, size in (
        ("S", 2, "1", 16, 8),
        ("S-2x2", 2, "1", 16, 8),
        ("G", 2, "N/8", 32, 8),
        ("B", 4, "1", 32, 4),
        ("BG", 2, "N", 32, 8),
    ):
        data = block_design(kind, b, g, N, size)
        test_eq(data["mult_adds"], mult_adds(residual_block(parse_block(data["block"]), N, N), (N, size, size)))
    test_eq(block_design("BG", 2, "N/8")["block"], "BG(2,M/8)")  # groups of 8 of the M channels inside
    assert "can't split" in block_design("G", 2, "32", 48)["problem"]
    assert "can't contract" in block_design("B", 4, "1", 30)["problem"]
    test_fail(lambda: block_design("Q"), contains="unknown kind of block 'Q'")


def test_a_formula_for_every_kind():
    formulas = chain_formulas()
    test_eq(list(formulas), ["S", "S-2x2", "G", "B", "BG"])
    down, middle, up = formulas["BG"]["layers"]
    test_eq([down["outputs"], middle["kernel"], middle["grouped"], up["outputs"]], ["M", 9, True, "N"])
    test_eq((formulas["G"]["times"], formulas["BG"]["times"], formulas["BG"]["compared"]), (2, 1, "B({b})"))


def test_block_panel_makes_its_point():
    panel = block_panel()
    data = block_design("G", 2, "N", 64, 32)
    test_eq(panel.data, data)  # what it opens with
    test_eq((data["full"], data["parameters"], data["pointwise"]), (73_728, 9_344, 8_192))
    assert "7.9 times fewer than S" in panel.text and "64 groups do not make it 64 times cheaper" in panel.text
    panel.choose(kind="B")
    assert "Nothing is grouped" in panel.text
    panel.choose(kind="S", channels=256, size=128)
    assert "as many as S; 19,327 million multiply-adds" in panel.text
    panel.choose(kind="G", groups="1", channels=64, size=32)
    assert "1.11 times as many as S" in panel.text
    before = panel.png
    panel.press("one that can't be built")
    assert "can't be built" in panel.text and "32 do not divide them" in panel.text and panel.png != before
    test_eq(panel.state, BLOCK_DEFAULT | dict(groups="32", channels=48))
    test_fail(lambda: block_panel(groups="3"), contains="groups can't be '3'")


def test_wiring_is_the_jacobian():
    def jacobian(module, channels):
        "Return (out, in): the absolute derivatives of each output by each input, summed over positions."
        x = torch.randn(1, channels, 5, 5, dtype=torch.float64)
        J = torch.autograd.functional.jacobian(module.double().eval(), x)[0, :, :, :, 0]  # (out, 5, 5, in, 5, 5)
        return J.abs().sum((1, 2, 4, 5))


    torch.manual_seed(0)
    for groups in (1, 2, 4, 8, 16):
        diagonal = torch.block_diag(*[torch.ones(16 // groups, 16 // groups)] * groups).bool()
        module = chain(block_layers(f"G({groups})", 16, 16))  # grouped, BN, ReLU, 1×1
        assert torch.equal(wiring(groups)["influence"] > 0, diagonal)
        assert torch.equal(jacobian(module[0], 16) > 0, diagonal)
        assert (wiring(groups, True)["influence"] > 0).all() and (jacobian(module, 16) > 0).all()
    test_eq(wiring(4, False, 5)["moved"], [4, 5, 6, 7])
    test_eq(wiring(16, False, 5)["moved"], [5])
    test_fail(lambda: wiring(3), contains="do not divide")


def test_wiring_panel_makes_its_point():
    panel = wiring_panel()
    assert "4 of 16 outputs change, those of its own group, 4 to 7" in panel.text
    panel.choose(channel=12)
    assert "12 to 15" in panel.text
    first = panel.png
    panel.press("the block G(4)")
    assert "16 of 16 outputs change, all of them" in panel.text and panel.png != first
    panel.choose(groups=16, pointwise=False)
    test_eq(panel.data["moved"], [5])
    assert "only number 5" in panel.text


def test_pareto_choice_finds_what_a_reader_can_see_in_table2():
    counts = {
        (each["method"], each["other"], dataset): (each["lower"], each["equal"], each["higher"])
        for dataset in ("cifar10", "cifar100")
        for each in pareto_choice(dataset)["contests"]
    }
    for dataset in ("cifar10", "cifar100"):
        test_eq(counts["at", "scratch", dataset], (25, 0, 0))  # AT beats scratch in 25 of 25
        test_eq(counts["kd", "scratch", dataset][2], 10)  # KD is worse in 10 of 25
    test_eq(counts["at", "kd", "cifar100"], (23, 0, 2))  # AT loses to KD twice on CIFAR-100
    test_eq(counts["at", "kd", "cifar10"], (25, 0, 0))
    lead = pareto_choice()["lead"]  # G(N/4) against G(N)
    test_eq((str(lead["points"]), lead["parameters"][0] - lead["parameters"][1]), ("1.26", 69_552))
    by_label = {point["label"]: point for point in pareto_choice()["points"]}
    small, thin = by_label["BG(2,2)"], by_label["S, 16-2"]  # BG(2,2) beats WRN-16-2 with 292 K against 693 K
    assert small["error"] < thin["error"] and (small["parameters"], thin["parameters"]) == (292_090, 693_498)
    teacher, half = by_label["S"], by_label["G(2)"]
    assert half["error"] - teacher["error"] < 0.0801 and half["parameters"] < 0.61 * teacher["parameters"]


def test_the_best_within_a_budget_is_the_best():
    for dataset, method, blocks, budget in product(
        ("cifar10", "cifar100"),
        ("scratch", "kd", "at"),
        ("all", "S", "S-2x2", "G", "B", "BG"),
        (80_000, 180_000, 2_300_000),
    ):
        data = pareto_choice(dataset, method, budget, blocks)
        shown = [point for point in data["points"] if point["shown"]]
        allowed = [point["error"] for point in shown if point["parameters"] <= budget]
        test_eq(data["best"] and data["best"]["error"], min(allowed, default=None))
        for point in shown:  # on the front, or dominated
            better = [p for p in shown if p["parameters"] <= point["parameters"] and p["error"] <= point["error"]]
            test_eq(len(better) == 1, point in data["front"])
        grouped = [point for point in data["points"] if point["family"] == "G"]
        test_eq(
            max(grouped, key=lambda point: point["error"])["label"], "G(N)"
        )  # depthwise: the worst of its family
    test_eq(pareto_choice()["best"]["label"], "G(N/4)")
    test_eq(pareto_choice(budget=300_000)["best"]["label"], "BG(2,2)")
    test_fail(lambda: pareto_choice(method="dk"), contains="known: scratch, kd, at")
    test_fail(lambda: pareto_choice(blocks="GB"), contains="family of blocks")


def test_pareto_panel_makes_its_point():
    panel = pareto_panel()
    test_eq(panel.data, pareto_choice("cifar10", "at", 400_000, "all"))
    assert "G(N/4) has the lowest error, 5.31 %, with 373,626 parameters, 17 % of the teacher's" in panel.text
    assert "Depthwise is not best: G(N) has 1.26 points more error than G(N/4)" in panel.text
    assert "lower than that of scratch for 13, equal for 2, higher for 10" in panel.text
    assert "AT against scratch: 25, 0, 0" in panel.text
    first = panel.png
    panel.press("KD on CIFAR-100")
    assert "for 15, equal for 0, higher for 10" in panel.text and panel.png != first
    panel.choose(blocks="B", budget=100_000)
    assert panel.data["best"] is None and "none fits" in panel.text
    panel.choose(blocks="G", budget=2_300_000)
    assert "family G" in panel.text and "G(2) has the lowest error" in panel.text
