"""Generated from nbs/core/03_blocks.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.blocks.families import *


import tempfile
from pathlib import Path

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn


def test_groups_are_a_block_diagonal_matrix():
    grouped = nn.Conv2d(6, 6, 1, groups=3, bias=False)
    blocks = grouped.weight[:, :, 0, 0].split(2)  # three 2x2 blocks
    full = nn.Conv2d(6, 6, 1, bias=False)
    full.weight.data = torch.block_diag(*blocks)[:, :, None, None]
    x = torch.randn(2, 6, 5, 5)
    test_close(grouped(x), full(x), eps=1e-5)


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
    test_eq(str(parse_block("G(N/1)")), "G(N)")  # one channel a group is depthwise
    test_eq(str(parse_block("BG(2,1)")), "B(2)")  # one group is no group
    test_eq(parse_block(parse_block("G(4)")), parse_block("G(4)"))


def test_what_is_no_block_is_refused():
    test_fail(lambda: parse_block("G8"), contains="unknown block 'G8'; use S")
    test_fail(
        lambda: parse_block("G8B2", "Bottel"), contains="unknown block type 'Bottel'; use Basic, Bottle or Old"
    )
    test_fail(lambda: parse_block("BG(2,M/8)", "Basic"), contains="write G8B2 for the same convolution")
    test_fail(lambda: parse_block("G(0)"), contains="start at 1")


def test_impossible_groups_name_the_layer():
    test_eq([l.groups for l in layers("BG(2,M/8)", 64, 64)], [1, 4, 1])  # M = 32 channels, 8 in each group
    test_eq([l.groups for l in layers("G(N/8)", 16, 32)], [2, 1])  # grouped on the 16 input channels
    test_fail(
        lambda: layers("G(5)", 16, 32, where="block1.0.layer.0.conv1"),
        contains="block1.0.layer.0.conv1 has 16 channels",
    )
    test_fail(lambda: layers(parse_block("G16B4", "Bottle"), 32, 32), contains="can't split into groups of 16")
    test_fail(lambda: layers("B(3)", 16, 16), contains="can't contract by 3")


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


def test_every_form_of_block_keeps_the_shape():
    for text in [
        "S",
        "S-2x2",
        "G(4)",
        "G(N/8)",
        "G(N)",
        "B(2)",
        "BG(2,4)",
        "BG(2,M/8)",
        "BG(4,M)",
        "G8B2/Basic",
        "Conv/Old",
        "DConv/Old",
    ]:
        x = torch.randn(2, 32, 8, 8)
        test_eq(residual(text, 32, 32)(x).shape, (2, 32, 8, 8))
        test_eq(residual(text, 32, 64, stride=2)(x).shape, (2, 64, 4, 4))


def test_every_released_name_in_every_layout():
    test_eq((len(RELEASED_NAMES), len(set(RELEASED_NAMES))), (32, 32))
    x = torch.randn(2, 64, 6, 6)
    for name in (*RELEASED_NAMES, "ACDC"):
        for blocktype in BLOCKTYPES:
            unit = residual(parse_block(name, blocktype), 64, 128, stride=2)
            out = unit(x)
            test_eq((name, blocktype, out.shape), (name, blocktype, (2, 128, 3, 3)))
            out.square().sum().backward()
            test_eq([p_name for p_name, p in unit.named_parameters() if p.grad is None], [])
            test_eq(str(parse_block(str(parse_block(name, blocktype)))), str(parse_block(name, blocktype)))


def test_a_file_of_your_own():
    folder = Path(tempfile.mkdtemp())
    (folder / "mine.py").write_text("import torch\nConv = torch.nn.Conv2d\n")
    own = use_module(folder / "mine.py")
    test_eq(str(own), "module(mine.py)/Basic")
    test_eq(
        [p.shape for p in residual(own, 8, 8).parameters()],  # the full convolution, by another way
        [p.shape for p in residual("S", 8, 8).parameters()],
    )
    (folder / "block.py").write_text(
        "from torch import nn\nclass Conv(nn.Conv2d): pass\n"
        "class Block(nn.Sequential):\n"
        "    def __init__(self, i, o, stride, conv):"
        " super().__init__(conv(i, o, 3, stride=stride, padding=1), nn.ReLU())\n"
    )
    test_eq(type(residual(use_module(folder / "block.py"), 8, 16, 2)).__name__, "Block")


def test_a_file_that_fails_says_why():
    folder = Path(tempfile.mkdtemp())
    for text, why in {
        "x = 1": "defines no Conv",
        "import nothing_of_this_name": "ModuleNotFoundError: No module named",
        "def (": "SyntaxError",
    }.items():
        (folder / "bad.py").write_text(text)
        test_fail(lambda: use_module(folder / "bad.py"), contains=why)
    test_fail(lambda: use_module(folder / "absent.py"), contains="no file")
    (folder / "odd.py").write_text("class Conv:\n    def __init__(self, a): pass\n")
    test_fail(
        lambda: residual(use_module(folder / "odd.py"), 8, 8), contains="Conv of odd.py can't be built: TypeError"
    )
    test_fail(lambda: residual("module(other.py)/Basic", 8, 8), contains="give it with --module")


def test_batch_norms_are_as_many_as_table_1_says():
    def batch_norm_parameters(text, N):
        return sum(4 * m.num_features for m in residual(text, N, N).modules() if isinstance(m, nn.BatchNorm2d))


    for N in (32, 64):
        test_eq(batch_norm_parameters("S", N), 8 * N)
        test_eq(batch_norm_parameters("G(4)", N), 16 * N)
        for b in (2, 4):
            test_eq(batch_norm_parameters(f"BG({b},M/8)", N), N * (4 + 8 // b))


def test_pre_activation_by_hand():
    unit = residual("S", 4, 8, stride=2).eval()
    x = torch.randn(2, 4, 6, 6)


    def bn_relu(bn, x):
        deviation = (bn.running_var[:, None, None] + bn.eps).sqrt()
        return ((x - bn.running_mean[:, None, None]) / deviation).relu()


    active = bn_relu(unit.bn1, x)
    h = torch.conv2d(active, unit.conv1.conv.weight, stride=2, padding=1)
    h = torch.conv2d(bn_relu(unit.bn2, h), unit.conv2.conv.weight, padding=1)
    test_close(unit(x), h + torch.conv2d(active, unit.convShortcut.weight, stride=2), eps=1e-5)


def test_initial_weights_have_the_released_spread():
    torch.manual_seed(0)
    conv = initialize(nn.Conv2d(256, 256, 3, groups=256))
    test_close(conv.weight.std().item(), (2 / (9 * 256)) ** 0.5, eps=2e-3)
    test_eq(initialize(nn.Linear(3, 3)).bias.tolist(), [0, 0, 0])
