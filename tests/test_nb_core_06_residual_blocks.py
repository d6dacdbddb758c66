"""Generated from nbs/core/06_residual_blocks.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.blocks.residual import *


import torch
from fastcore.test import test_close, test_eq
from torch import nn

from moonshine.blocks.families import RELEASED_NAMES, parse_block
from moonshine.blocks.notation import BLOCKTYPES, FAMILIES, examples


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
        test_eq(residual_block(text, 32, 32)(x).shape, (2, 32, 8, 8))
        test_eq(residual_block(text, 32, 64, stride=2)(x).shape, (2, 64, 4, 4))


def test_every_name_in_every_layout():
    x = torch.randn(2, 64, 6, 6)
    others = [text for f in FAMILIES.values() if f.name != "module" for text in examples(f.names or f.notation)]
    for name in dict.fromkeys((*RELEASED_NAMES, "ACDC", *others)):
        for blocktype in BLOCKTYPES:
            unit = residual_block(parse_block(name, blocktype), 64, 128, stride=2)
            out = unit(x)
            test_eq((name, blocktype, out.shape), (name, blocktype, (2, 128, 3, 3)))
            out.square().sum().backward()
            test_eq([p_name for p_name, p in unit.named_parameters() if p.grad is None], [])


def test_batch_norms_are_as_many_as_table_1_says():
    def batch_norm_parameters(text, N):
        norms = [m for m in residual_block(text, N, N).modules() if isinstance(m, nn.BatchNorm2d)]
        return sum(4 * m.num_features for m in norms)


    for N in (32, 64):
        test_eq(batch_norm_parameters("S", N), 8 * N)
        test_eq(batch_norm_parameters("G(4)", N), 16 * N)
        for b in (2, 4):
            test_eq(batch_norm_parameters(f"BG({b},M/8)", N), N * (4 + 8 // b))


def test_pre_activation_by_hand():
    unit = residual_block("S", 4, 8, stride=2).eval()
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
