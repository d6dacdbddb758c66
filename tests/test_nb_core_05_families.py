"""Generated from nbs/core/05_families.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.blocks.families import *


import subprocess
import sys

import torch
from fastcore.test import test_eq, test_fail

from moonshine.blocks.layers import chain
from moonshine.blocks.notation import BLOCKTYPES, FAMILIES, Block, examples, parse_block, released_name


def test_the_corners_of_a_3x3():
    (full,) = block_layers("S", 8, 16, stride=2)
    (corners,) = block_layers("S-2x2", 8, 16, stride=2)
    test_eq((full.kernel, full.dilation, corners.kernel, corners.dilation), (3, 1, 2, 2))
    test_eq((full.weights, corners.weights), (9 * 8 * 16, 4 * 8 * 16))
    x = torch.randn(1, 8, 6, 6)
    test_eq(full.module()(x).shape, corners.module()(x).shape)


def test_groups_by_number_or_by_size():
    test_eq(group_count(Block("separable", groups=4), 64), 4)
    test_eq(group_count(Block("separable", groups=None, group_size=4), 64), 16)
    test_fail(lambda: group_count(Block("separable", groups=5), 64, "conv1"), contains="conv1 has 64 channels")


def test_numbers_are_rounded_to_divisors():
    test_eq([divisor(30, wanted) for wanted in (4, 7, 100)], [5, 6, 30])  # 3 and 5 are equally near to 4
    test_eq(fit_groups(Block("separable", groups=4), 30, 60).groups, 5)
    test_eq(fit_bottleneck(Block("bottleneck", contraction=4), 16, 9).contraction, 3)


def test_text_and_block_are_inverse_for_every_family():
    for family in FAMILIES.values():
        texts = examples(family.notation) + [f"{name}/{t}" for name in examples(family.names) for t in BLOCKTYPES]
        assert texts, family.name
        for text in texts:
            block = parse_block(text)
            test_eq((block.family, parse_block(str(block))), (family.name, block))
        for name in examples(family.names):
            test_eq(released_name(parse_block(name)), name)


def test_every_chain_counts_what_it_builds():
    x = torch.randn(2, 32, 8, 8)
    for family in FAMILIES.values():
        for text in [] if family.name == "module" else examples(family.forms):
            parts = block_layers(text, 32, 64, stride=2)
            test_eq((text, parts[0].in_channels, parts[-1].out_channels), (text, 32, 64))
            for layer in parts:
                test_eq((text, sum(p.numel() for p in layer.module().parameters())), (text, layer.weights))
                assert layer.label and layer.kind in ("spatial", "pointwise", "other")
            test_eq(chain(parts)(x).shape, (2, 64, 4, 4))


def test_impossible_groups_name_the_layer():
    test_eq(
        [layer.groups for layer in block_layers("BG(2,M/8)", 64, 64)], [1, 4, 1]
    )  # M = 32 channels, 8 in each group
    test_eq(
        [layer.groups for layer in block_layers("G(N/8)", 16, 32)], [2, 1]
    )  # grouped on the 16 input channels
    test_fail(
        lambda: block_layers("G(5)", 16, 32, where="block1.0.layer.0.conv1"),
        contains="block1.0.layer.0.conv1 has 16 channels",
    )
    test_fail(
        lambda: block_layers(parse_block("G16B4", "Bottle"), 32, 32), contains="can't split into groups of 16"
    )
    test_fail(lambda: block_layers("B(3)", 16, 16), contains="can't contract by 3")


def test_a_rounded_block_always_fits():
    for family in FAMILIES.values():
        for text in [] if family.name == "module" else examples(family.forms):
            block = fitting(parse_block(text), 30, 45)
            test_eq(parse_block(str(block)), block)
            block_layers(block, 30, 45)
    test_eq(str(fitting(parse_block("G(4)"), 30, 60)), "G(5)")  # 3 and 5 are equally near
    test_eq(str(fitting(parse_block("BG(2,16)"), 99, 16)), "BG(2,8)")  # 8 channels in the bottleneck


def test_notation_and_released_names_agree():
    pairs = {
        "S": "Conv/Basic",
        "S-2x2": "Conv2x2/Basic",
        "G(8)": "DConvA8/Basic",
        "G(N/8)": "DConvG8/Basic",
        "G(N)": "DConv/Basic",
        "B(2)": "ConvB2/Bottle",
        "BG(2,8)": "A8B2/Bottle",
        "BG(2,M/8)": "G8B2/Bottle",
        "BG(2,M)": "DConvB2/Bottle",
        "BG(4,M)": "DConvB4/Bottle",
    }
    for paper, released in pairs.items():
        name, blocktype = released.split("/")
        test_eq(parse_block(paper), parse_block(name, blocktype))
        test_eq(str(parse_block(name, blocktype)), paper)
        test_eq(released_name(parse_block(paper)), name)


def test_text_and_value_are_inverse():
    for text in [
        "G8B2/Basic",
        "ConvB4/Old",
        "Conv/Old",
        "DConvG2/Bottle",
        "A4B2/Basic",
        "Conv/Bottle",
        "DConv3D/Basic",
        "ACDC/Old",
        "module(mine.py)/Basic",
    ]:
        test_eq(str(parse_block(text)), text)
    test_eq(str(parse_block(" BG( 2, M / 8 ) ")), "BG(2,M/8)")  # spaces are allowed
    test_eq(str(parse_block("G(N/1)")), "G(N)")  # one channel per group is depthwise
    test_eq(str(parse_block("BG(2,1)")), "B(2)")  # one group is no group
    test_eq(parse_block(parse_block("G(4)")), parse_block("G(4)"))
    test_eq((len(RELEASED_NAMES), len(set(RELEASED_NAMES))), (32, 32))
    for name in (*RELEASED_NAMES, "ACDC"):
        for blocktype in BLOCKTYPES:
            test_eq(parse_block(str(parse_block(name, blocktype))), parse_block(name, blocktype))


def test_what_is_no_block_is_refused():
    test_fail(lambda: parse_block("G8"), contains="unknown block 'G8'; use S")
    test_fail(
        lambda: parse_block("G8B2", "Bottel"), contains="unknown block type 'Bottel'; use Basic, Bottle or Old"
    )
    test_fail(lambda: parse_block("BG(2,M/8)", "Basic"), contains="write G8B2 for the same convolution")
    test_fail(lambda: parse_block("G(0)"), contains="start at 1")


def test_parsing_a_block_does_not_import_torch():
    code = """
import sys, time
start = time.process_time()
from moonshine.blocks.families import parse_block
parse_block("BG(2,M/8)")
print(time.process_time() - start, "torch" in sys.modules)
"""
    done = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(3)]
    seconds, torch_imported = zip(*[result.stdout.split() for result in done])
    test_eq(set(torch_imported), {"False"})
    assert min(map(float, seconds)) < 0.1, seconds


def test_table_1_by_its_formulas():
    for N in (16, 32, 64, 128):
        test_eq(convolution_parameters("S", N), 2 * N**2 * 9)
        test_eq(convolution_parameters("S-2x2", N), 2 * N**2 * 4)
        for g in (2, 4, 8, 16):
            test_eq(convolution_parameters(f"G({g})", N), 2 * N**2 * (9 / g + 1))
            if N >= 2 * g:
                test_eq(convolution_parameters(f"BG(2,{g})", N), N**2 * (9 / (g * 4) + 2 / 2))
        for b in (2, 4):
            test_eq(convolution_parameters(f"B({b})", N), N**2 * (9 / b**2 + 2 / b))
