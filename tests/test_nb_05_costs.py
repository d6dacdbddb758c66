"""Generated from nbs/05_costs.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.costs import *


import torch
from torch import nn
from fastcore.test import test_eq, test_close, test_fail
from moonshine.blocks import parse_block
from moonshine.wrn import wrn


def test_two_ways_to_count_the_teacher():
    teacher = wrn(40, 2)
    print(f"{parameters(teacher):,} trainable, {paper_parameters(teacher):,} as the paper counts")
    test_eq(parameters(teacher), 2_243_546)
    test_eq(paper_parameters(teacher), 2_248_954)


def test_mult_adds_by_hand():
    def by_hand(model, x):
        total = 0
        def count(layer, args, out):
            nonlocal total
            if isinstance(layer, nn.Conv2d):
                k = layer.kernel_size[0] * layer.kernel_size[1]
                total += k * layer.in_channels // layer.groups * out.shape[1] * out.shape[2] * out.shape[3]
            elif isinstance(layer, nn.Linear): total += layer.in_features * layer.out_features
        handles = [m.register_forward_hook(count) for m in model.modules()]
        model.eval()(x)
        for handle in handles: handle.remove()
        return total

    for block in ("S", "S-2x2", "G(4)", "G(N)", "B(2)", "BG(2,M/8)", "Conv/Old"):
        test_eq(mult_adds(wrn(16, 1, block)), by_hand(wrn(16, 1, block), torch.zeros(1, 3, 32, 32)))
    test_eq(mult_adds(nn.Conv2d(8, 6, 3, stride=2, padding=2, dilation=2, groups=2), (8, 9, 9)), 9 * 4 * 6 * 5 * 5)


def test_the_52_totals_of_table_2():
    rows = [row for dataset in ("cifar10", "cifar100") for row in table2(dataset)]
    differ = [row for row in rows if row["parameters"] != row["printed"]]
    print(f"{len(rows) - len(differ)} of {len(rows)} totals agree")
    test_eq(len(rows), 52)
    test_eq([(row["block"], row["parameters"], row["printed"]) for row in differ],
            [("BG(2,M/16)", 243_706, 234_704)])
    print(differ[0]["note"])


def test_released_names_build_table_2():
    for row in paper_table(2): test_eq(parse_block(row["conv"], row["blocktype"]), parse_block(row["block"]))


def test_the_trap_in_g8b2():
    test_eq(paper_parameters(wrn(40, 2, parse_block("G8B2"))), 383_482)
    test_eq(paper_parameters(wrn(40, 2, parse_block("G8B2", "Bottle"))), 195_322)


def test_cheap_blocks_are_cheaper():
    rows = block_costs(["S", "G(N/8)", "BG(2,M/8)"], depth=16, width=1)
    assert rows[0]["parameters"] > rows[1]["parameters"] > rows[2]["parameters"]
    assert rows[0]["mult_adds"] > rows[1]["mult_adds"] > rows[2]["mult_adds"]
    test_eq(text_table([dict(block="S", parameters=1234), dict(block="G(N)", parameters=5)]),
            "block  parameters\nS           1,234\nG(N)            5")
