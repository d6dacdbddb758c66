"""Generated from nbs/extend/1_add_a_block.ipynb by tools/export.py. Edit the notebook, not this file."""


import math
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from fastcore.test import test_eq, test_fail
from torch import nn

from moonshine.blocks.families import block_layers, convolution_parameters, fitting, parse_block
from moonshine.blocks.notation import FAMILIES, register_block, registered_block
from moonshine.blocks.residual import residual_block
from moonshine.costs.counting import mult_adds, paper_parameters
from moonshine.models.resnet import resnet18_half
from moonshine.models.segmentation import erfnet
from moonshine.models.wide_resnet import wrn
from moonshine.panels.costs import block_design, block_panel, chain_formulas, draw_block
from moonshine.plots.figures import block_diagram, block_family, point_kinds
from moonshine.surgery.sites import plan
from moonshine.surgery.student import cheapen
from moonshine.training.checkpoints import load, save


from moonshine.blocks.families import divisor, group_count
from moonshine.blocks.layers import Layer, ModuleLayer
from moonshine.blocks.notation import Family, Form, Kind


def shuffled(block, inp, out, stride, where, dilation):
    "Grouped 3×3, channel shuffle, grouped 1×1."
    groups = group_count(block, inp, where)
    group_count(block, out, where)  # the groups of the 1×1 must divide its output channels too

    def shuffle(inp, out):
        return nn.ChannelShuffle(groups)

    return [
        Layer("convdw", inp, inp, 3, stride, groups, dilation),
        ModuleLayer("shuffle", inp, inp, shuffle, weights=0, label="shuffle", norm=False),
        Layer("conv1x1", inp, out, groups=groups),
    ]


def fit_both(block, in_channels, out_channels):
    "The block with its groups rounded to a divisor of both widths."
    return replace(block, groups=divisor(math.gcd(in_channels, out_channels), block.groups))


def without_groups(block, conv):
    "A shuffle would mix the groups of a convolution that is grouped already."
    return f"{block} is for convolutions without groups" if conv.groups > 1 else ""


SHUFFLED = Family(
    name="shuffled",
    about="a grouped 3×3 convolution, a channel shuffle, and a grouped 1×1",
    layers=shuffled,
    notation=(Form("GS({groups})"),),
    fit=fit_both,
    unsuited=without_groups,
    kinds=(Kind("GS", "GS: grouped, shuffled", "GS({g})"),),
)


def test_text_and_block_are_inverse():
    with registered_block(SHUFFLED):
        for text in ("GS(2)", "GS(16)", "GS(4)/Old", "GS(4)/Bottle"):
            test_eq(str(parse_block(text)), text)
        test_eq(parse_block("GS(4)", "Old"), parse_block("GS(4)/Old"))
        test_eq((parse_block("GS(4)").record.about, parse_block("GS(4)").groups), (SHUFFLED.about, 4))
        test_fail(lambda: parse_block("GS(0)"), contains="start at 1")


def test_every_output_sees_every_group():
    with registered_block(SHUFFLED):
        parts = [layer.module() for layer in block_layers("GS(4)", 16, 16)]
    x = torch.ones(1, 16, 1, 1, requires_grad=True)
    (gradient,) = torch.autograd.grad(nn.Sequential(*parts)(x)[0, 0].sum(), x)
    test_eq((gradient.reshape(4, 4) != 0).any(1).tolist(), [True] * 4)  # all four groups


def test_weights_and_multiply_adds_by_the_formula():
    with registered_block(SHUFFLED):
        for N, g in [(16, 2), (64, 4), (64, 16)]:
            test_eq(convolution_parameters(f"GS({g})", N), 2 * N**2 * (9 + 1) // g)
            unit = residual_block(f"GS({g})", N, N)
            convolutions = sum(m.weight.numel() for m in unit.modules() if isinstance(m, nn.Conv2d))
            test_eq(convolutions, convolution_parameters(f"GS({g})", N))
            test_eq(paper_parameters(unit), convolutions + 16 * N)  # four batch norms, as in a G block
            test_eq(mult_adds(unit, (N, 8, 8)), 64 * convolutions)


def test_networks_build_and_train():
    with registered_block(SHUFFLED):
        for net, size in [(wrn(10, 1, "GS(4)"), 16), (resnet18_half("GS(8)", 10), 64), (erfnet("GS(4)", 3), 16)]:
            out = net(torch.randn(2, 3, size, size))
            out.square().mean().backward()
            missing = [name for name, p in net.named_parameters() if p.grad is None]
            test_eq([name for name in missing if not name.startswith("encoder.output")], [])
        test_eq(wrn(10, 1, "GS(4)").title, "WRN-10-1 GS(4)")
        test_fail(lambda: wrn(10, 1, "GS(3)"), contains="conv1 has 16 channels, which GS(3) can't split")


def test_panels_and_plots_know_it():
    with registered_block(SHUFFLED):
        data = block_design(kind="GS", groups="4", channels=64)
        test_eq([row["label"] for row in data["layers"]], ["3×3", "shuffle", "1×1"])
        test_eq((data["parameters"], data["groups"], data["base"]), (2 * 64**2 * 10 // 4, 4, "S"))
        draw_block(data)
        test_eq([layer["kernel"] for layer in chain_formulas()["GS"]["layers"]], [9, 0, 1])
        test_eq(block_panel(kind="GS", groups="4").data, data)
        words = [text.get_text() for text in block_diagram("GS(4)", 64).axes[0].texts]
        assert any(text.startswith("shuffle, 64 → 64") for text in words), words
        test_eq(point_kinds()[block_family("GS(4)")], "GS: grouped, shuffled")


def test_resnet34_becomes_cheaper():
    from torchvision.models import resnet34

    with registered_block(SHUFFLED):
        with torch.device("meta"):
            teacher = resnet34(weights=None)
            student = cheapen(teacher, "GS(4)")
        test_eq(student(torch.empty(1, 3, 64, 64, device="meta")).shape, (1, 1000))
        test_eq(sum(isinstance(m, nn.ChannelShuffle) for m in student.modules()), 32)  # every 3×3 convolution
        test_eq(paper_parameters(student), 6_420_648)  # G(4) has 8,177,832: the paper's Table 3
        test_eq(str(fitting(parse_block("GS(16)"), 24, 40)), "GS(8)")  # both widths are multiples of 8
        reasons = {
            row["reason"] for row in plan(nn.Sequential(nn.Conv2d(8, 8, 3, groups=2)), "GS(2)", first=True)
        }
        assert any("without groups" in reason for reason in reasons), reasons


def test_a_checkpoint_names_the_block():
    with tempfile.TemporaryDirectory() as folder:
        path, x = Path(folder, "student.pt"), torch.randn(2, 3, 16, 16)
        with registered_block(SHUFFLED):
            model = wrn(10, 1, "GS(4)").eval()
            save(path, model)
            again, info = load(path)
            test_eq((info["block"], again.spec), ("GS(4)", model.spec))
            assert torch.equal(model(x), again(x))
        if "shuffled" not in FAMILIES:  # in this notebook it still is registered
            test_fail(lambda: load(path), contains="unknown block 'GS(4)'")


def test_mistakes_are_refused():
    same = replace(SHUFFLED, name="twin")
    with registered_block(SHUFFLED):
        test_fail(lambda: register_block(same), contains="matches the same text as GS({groups}) of shuffled")
    twin = replace(same, notation=(Form("GT({groups})"),), kinds=(Kind("GT", "twin", "GT({g})"),))
    for change, why in [
        (dict(name="bottleneck"), "a block family bottleneck is registered already"),
        (dict(notation=(Form("G({groups})"),)), "matches the same text as G({groups}) of separable"),
        (dict(notation=()), "it can't be written"),
        (dict(notation=(Form("GT({heads})"),)), "has no field heads"),
        (dict(notation=[Form("GT({groups})")]), "`notation` must be a tuple of Forms"),
        (dict(notation=(Form("GT({groups"),)), "the form GT({groups is a broken template"),
        (dict(layers=None), "`layers` must be a function"),
        (dict(layers=lambda block, inp, out: []), "the form GT({groups}) can't be built"),
        (dict(layers=lambda *given: []), "the form GT({groups}) needs a list of layers"),
        (
            dict(kinds=(Kind("GT", "G: grouped", "GT({g})"),)),
            "has the words 'G: grouped' of the family separable",
        ),
        (dict(kinds=(Kind("GT", "twin", "GT({heads})"),)), "the kind 'GT' has no field heads"),
    ]:
        test_fail(lambda: register_block(replace(twin, **change)), contains=why)
