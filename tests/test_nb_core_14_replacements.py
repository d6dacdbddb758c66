"""Generated from nbs/core/14_replacements.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.surgery.replacements import *


import copy
import itertools

import torch
from fastcore.test import test_eq, test_fail
from torch import nn
from torchvision.models.resnet import BasicBlock

from moonshine.blocks.families import fitting, parse_block
from moonshine.blocks.layers import Layer, chain
from moonshine.blocks.notation import Family, Form, registered_block
from moonshine.blocks.residual import residual_block
from moonshine.errors import InputError

S, B = parse_block("S"), parse_block("B(2)")


class Centered(nn.Conv2d):
    def __init__(self, *args, gain=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.gain = gain

    def forward(self, x):
        return self._conv_forward(x, self.gain * (self.weight - self.weight.mean()), self.bias)


def test_convolutions_in_words():
    test_eq(convolution_text(nn.Conv2d(64, 128, 3, stride=2, padding=1)), "3×3, 64→128, stride 2")
    conv = nn.Conv2d(8, 8, (1, 7), dilation=(1, 2), groups=4)
    test_eq(convolution_text(conv), "1×7, 8→8, dilation (1, 2), groups 4")
    test_eq(convolution_text(nn.ConvTranspose2d(8, 4, 2, stride=2)), "ConvTranspose2d 2×2, 8→4, stride 2")


def test_the_pointwise_layer_first():
    def weights(conv, **options):
        return sum(layer.weights for layer in replacement_layers(parse_block("G(4)"), conv, **options))


    narrowing = nn.Conv2d(128, 32, 3, stride=2, padding=1)
    test_eq([weights(narrowing), weights(narrowing, pointwise_first=True)], [40_960, 6_400])
    turned = chain(replacement_layers(parse_block("G(4)"), narrowing, True))
    test_eq([m.bias is not None for m in turned if isinstance(m, nn.Conv2d)], [False, True])
    test_eq(turned(torch.zeros(2, 128, 9, 9)).shape, (2, 32, 5, 5))
    for conv in (nn.Conv2d(32, 128, 3), nn.Conv2d(128, 30, 3)):  # dearer that way; 4 does not divide 30
        test_eq(weights(conv, pointwise_first=True), weights(conv))


def test_the_output_has_the_size_of_the_original():
    kernels = [*range(1, 8), (1, 7), (7, 1)]
    grid = itertools.product(kernels, [1, (2, 3)], [(2, 1), "same", "valid"], [1, (2, 3)])
    groups_and_bias = itertools.cycle([(1, True), (2, False), (2, True)])  # a kind for each point of the grid
    x = torch.zeros(1, 8, 23, 26)
    checked = 0
    for (kernel, stride, padding, dilation), (groups, bias) in zip(grid, groups_and_bias):
        if padding == "same" and (stride != 1 or kernel in (2, 4, 6)):
            continue  # PyTorch refuses, or warns
        conv = nn.Conv2d(8, 16, kernel, stride, padding, dilation, groups, bias)
        for block in ("G(4)", "S-2x2") if kernel == 3 else ("B(2)",):
            cheap = chain(replacement_layers(parse_block(block), conv)).eval()
            test_eq((block, conv, cheap(x).shape), (block, conv, conv(x).shape))
            biased = [m.bias is not None for m in cheap if isinstance(m, nn.Conv2d)]
            test_eq(biased, [False] * (len(biased) - 1) + [bias])
            checked += 1
    print(f"{checked} chains")


def test_padding_of_another_kind():
    for mode in ("reflect", "replicate", "circular"):
        conv = nn.Conv2d(8, 8, 3, padding=2, dilation=2, padding_mode=mode)
        for block in ("G(N)", "S-2x2"):
            cheap = chain(replacement_layers(parse_block(block), conv)).eval()
            test_eq(cheap[0].padding_mode, mode)
            test_eq(cheap(torch.randn(1, 8, 9, 9)).shape, (1, 8, 9, 9))


def test_a_kernel_of_the_family_stays():
    from moonshine.surgery.sites import plan


    def any_kernel(block, inp, out, stride, where, dilation):
        return [Layer("conv", inp, out, block.kernel, stride, dilation=dilation)]


    ANY = Family("any_kernel", "a full k×k convolution", any_kernel, notation=(Form("K{kernel}"),))
    with registered_block(ANY):
        for kernel, padding, dilation in [
            (3, 1, 1),
            (7, 3, 1),
            (3, 0, 1),
            (3, 2, 2),
            ((1, 7), (0, 3), 1),
            (3, "same", 1),
        ]:
            for stride in (1,) if padding == "same" else (1, 2, (1, 2), (2, 1)):
                conv = nn.Conv2d(4, 6, kernel, stride, padding, dilation)
                (five,) = replacement_layers(parse_block("K5"), conv)
                test_eq((five.kernel, five.stride), (5, conv.stride))
                test_eq(five.module()(torch.zeros(1, 4, 19, 20)).shape, conv(torch.zeros(1, 4, 19, 20)).shape)
                test_eq(replacement_layers(parse_block("K3"), conv)[0].kernel, conv.kernel_size)
        for conv in (nn.Conv2d(4, 4, 7), nn.Conv2d(4, 4, 4, padding=1)):
            test_fail(
                lambda: replacement_layers(parse_block("K5"), conv),
                exc=SizeMismatch,
                contains="K5 does not suit",
            )
        net = nn.Sequential(nn.Conv2d(4, 16, 3), nn.Conv2d(16, 16, 7), nn.ReLU())
        (row,) = [row for row in plan(net, "K5") if row["layer"] == "1"]
        assert "K5 does not suit 7×7, 16→16" in row["reason"], row


def test_only_one_layer_carries_the_stride():
    def two_layers(kernels, strided):
        def layers(block, inp, out, stride, where, dilation):
            steps = [stride if i == strided else 1 for i in (0, 1)]
            names, widths = ("a", "b"), ((inp, inp), (inp, out))
            shapes = zip(names, widths, kernels, steps)
            return [Layer(name, *width, kernel, step, dilation=dilation) for name, width, kernel, step in shapes]

        return layers


    x = torch.zeros(1, 4, 19, 20)
    for kernels, strided in itertools.product([(3, 3), ((3, 1), (1, 3)), (5, 3), (3, 1), (1, 3)], (0, 1)):
        family = Family("two", "two layers", two_layers(kernels, strided), notation=(Form("TWO"),))
        with registered_block(family):
            for stride, padding, dilation in itertools.product((1, 2, (2, 3), (1, 2)), (0, 1, 2), (1, 2)):
                conv = nn.Conv2d(4, 6, 3, stride, padding, dilation)
                try:
                    parts = replacement_layers(parse_block("TWO"), conv)
                except SizeMismatch:
                    assert padding < dilation  # the image shrinks by more than the kernel with the stride spans
                    continue
                test_eq(
                    [layer.kernel for layer in parts if layer.kernel not in (1, (3, 3))],
                    [kernel for kernel in kernels if kernel not in (1, 3)],
                )
                if stride != 1:
                    test_eq([layer.stride in (1, (1, 1)) for layer in parts], [i != strided for i in (0, 1)])
                test_eq(chain(parts).eval()(x).shape, conv(x).shape)


def test_separate_channels_stay_separate():
    def dependencies(module):
        x = torch.randn(2, 12, 6, 6, dtype=torch.double, requires_grad=True)
        parts = module.double().eval()(x).chunk(3, 1)  # the outputs of the three groups
        slopes = [torch.autograd.grad(part.square().sum(), x, retain_graph=True)[0] for part in parts]
        return torch.stack(slopes).abs().sum((1, 3, 4)) > 0  # (3 groups of outputs, 12 inputs)


    conv = nn.Conv2d(12, 24, 3, padding=1, groups=3)
    for block in ("G(2)", "G(N)", "B(2)", "BG(2,2)", "S-2x2"):
        cheap = chain(replacement_layers(parse_block(block), conv))
        for layer in cheap:
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.constant_(layer.bias, 3)  # so that no ReLU is inactive
        assert torch.equal(dependencies(cheap), dependencies(conv)), block
    test_eq(dependencies(conv).sum(1).tolist(), [4, 4, 4])


def test_rounding_to_divisors():
    test_eq(str(fitting(parse_block("G(4)"), 30, 60)), "G(5)")  # 3 and 5 are equally near
    test_eq(str(fitting(parse_block("G(N/8)"), 12, 24)), "G(N/6)")
    test_eq(str(fitting(parse_block("BG(2,16)"), 99, 16)), "BG(2,8)")  # 8 channels in the bottleneck
    test_eq(str(fitting(parse_block("B(4)"), 16, 9)), "B(3)")
    for text in ("S", "S-2x2", "G(N)", "G(8)", "BG(4,M/8)"):
        test_eq(fitting(parse_block(text), 64, 128), parse_block(text))


def test_norms_and_activations_like_the_networks_own():
    from torchvision.models.convnext import LayerNorm2d
    from torchvision.ops import FrozenBatchNorm2d

    for norm in (nn.BatchNorm2d(8, 1e-3, 0.01), nn.InstanceNorm2d(8), FrozenBatchNorm2d(8, 1e-4), LayerNorm2d(8)):
        new = norm_like(norm, 12)
        test_eq((type(new), new.eps), (type(norm), norm.eps))
        test_eq(new(torch.ones(2, 12, 3, 3)).shape, (2, 12, 3, 3))
    test_eq(norm_like(nn.BatchNorm2d(8, 1e-3, 0.01), 12).momentum, 0.01)
    test_eq([norm_like(nn.GroupNorm(8, 64), n).num_groups for n in (32, 36, 12)], [8, 9, 6])
    test_eq(norm_like(nn.LayerNorm(8), 12).num_groups, 1)
    test_eq(activation_like(nn.LeakyReLU(0.2), 12).negative_slope, 0.2)
    test_eq([activation_like(nn.PReLU(n), 12).num_parameters for n in (1, 8)], [1, 12])


def test_convolutions_of_a_class_of_their_own():
    class Odd(Centered):
        def __init__(self, channels):
            super().__init__(channels, channels, 3)


    conv, odd = Centered(8, 16, 3, gain=2.0), Odd(8)
    state = torch.get_rng_state()
    test_eq([is_rebuildable(c) for c in (conv, copy.deepcopy(conv).to("meta"), odd)], [True, True, False])
    assert torch.equal(torch.get_rng_state(), state)


def test_bn_and_relu_at_the_ends_of_a_chain():
    conv = nn.Conv2d(8, 16, 3).double().eval()
    names = {}
    for placement in PLACEMENTS:
        cheap = new_chain(replacement_layers(parse_block("G(N)"), conv), placement, "3×3, 8→16", conv)
        names[placement] = [name for name, _ in cheap.named_children()]
        test_eq(cheap(torch.zeros(2, 8, 9, 9).double()).shape, (2, 16, 7, 7))
        test_eq((cheap.replaces, cheap.training), ("3×3, 8→16", False))
    test_eq(names["between"], ["convdw", "bn", "relu", "conv1x1"])
    test_eq(names["pre"], ["bn_pre", "relu_pre", *names["between"]])
    test_eq(names["post"], [*names["between"], "bn_post", "relu_post"])


def test_a_chain_follows_its_network():
    conv = Centered(8, 16, 3, stride=2, gain=2.0)
    parts = replacement_layers(parse_block("BG(2,4)"), conv)
    cheap = new_chain(parts, "post", "", conv, nn.GroupNorm(4, 16), nn.SiLU())
    kinds = [type(part).__name__ for part in cheap]
    test_eq(kinds, ["Centered", "GroupNorm", "SiLU"] * 3)
    test_eq([part.gain for part in cheap if isinstance(part, Centered)], [2.0] * 3)
    test_eq((cheap.kernel_size, cheap.stride, cheap.out_channels, cheap.groups), ((3, 3), (2, 2), 16, 1))


def test_which_residual_blocks_are_replaced_whole():
    ours, theirs = residual_block("S", 16, 32, 2), BasicBlock(16, 16)
    test_eq([is_replaced_whole(theirs, B, by) for by in ("auto", "convolution", "block")], [True, False, True])
    test_eq([is_replaced_whole(theirs, S, by) for by in ("auto", "convolution", "block")], [False, False, True])
    test_eq([is_replaced_whole(ours, S, by) for by in ("auto", "convolution", "block")], [True] * 3)
    theirs.conv1 = nn.Conv2d(16, 16, 5)
    assert not is_basic_block(theirs)  # somebody has changed it


def test_a_changed_block_is_not_taken_whole():
    def theirs():
        projection = nn.Sequential(nn.Conv2d(16, 32, 1, 2, bias=False), nn.BatchNorm2d(32))
        return BasicBlock(16, 32, 2, projection)


    def ours():
        return residual_block("S", 16, 32, 2)


    def changed(change, make=theirs):
        residual = make()
        change(residual)
        return changed_part(residual)


    test_eq(changed(lambda b: None), "")
    test_eq(changed(lambda b: setattr(b.conv1, "stride", (1, 1))), "conv1 (stride)")
    test_eq(changed(lambda b: setattr(b.conv2, "dilation", (2, 2))), "conv2 (dilation)")
    test_eq(changed(lambda b: setattr(b, "relu", nn.ELU())), "relu (ELU)")
    test_eq(changed(lambda b: setattr(b, "forward", lambda x: x)), "forward")
    test_eq(changed(lambda b: b.bn1.register_forward_hook(print)), "bn1 (a hook)")
    test_eq(changed(lambda b: setattr(b, "drop", nn.Dropout())), "drop (Dropout)")
    test_eq(changed(lambda b: setattr(b.bn2, "eps", 1e-3)), "bn2 (eps)")
    for text in ("S", "G(4)", "B(2)", "BG(2,4)", "S-2x2", "Conv/Old", "DConv/Old"):
        test_eq(changed(lambda b: None, lambda: residual_block(text, 16, 32, 2)), "")
    test_eq(changed(lambda b: setattr(b.bn1, "momentum", 0.01), ours), "bn1 (momentum)")
    test_eq(changed(lambda b: setattr(b, "forward", lambda x: x), ours), "forward")
    changed_block = ours()
    changed_block.convShortcut.stride = (1, 1)
    test_eq(changed_part(changed_block), "conv1.conv (stride)")


def test_shape_and_layout_of_a_residual_block():
    test_eq(residual_shape(residual_block("S", 16, 32, 2)), (16, 32, 2))
    test_eq(residual_shape(residual_block("Conv/Old", 16, 32, 2)), (16, 32, 2))
    test_eq(residual_shape(residual_block("S", 16, 16)), (16, 16, 1))
    test_eq(residual_shape(BasicBlock(16, 16)), (16, 16, 1))
    test_eq(str(laid_out_for(residual_block("S", 16, 16), B, "auto")), "B(2)")
    test_eq(str(laid_out_for(residual_block("S", 16, 16), B, "convolution")), "ConvB2/Basic")
    test_eq(str(laid_out_for(BasicBlock(16, 16), S, "auto")), "Conv/Old")


def test_norms_and_shortcut_are_taken_over():
    for old in (residual_block("S", 16, 32, 2), BasicBlock(16, 32, 2, nn.Sequential(nn.Conv2d(16, 32, 1, 2)))):
        new = new_residual_block(laid_out_for(old, B, "auto"), "layer", old)
        assert new.bn1 is old.bn1
        assert getattr(new, "convShortcut", 0) is getattr(old, "convShortcut", 0)
        test_eq(new(torch.randn(2, 16, 8, 8)).shape, (2, 32, 4, 4))


def test_chains_in_words():
    conv = nn.Conv2d(64, 64, 3, bias=False)
    texts = {
        "G(8)": "3×3 in 8 groups, 1×1",
        "G(N)": "3×3 depthwise, 1×1",
        "BG(2,4)": "1×1 to 32, 3×3 in 4 groups, 1×1",
        "S-2x2": "2×2",
        "ACDC": "3×3 depthwise, ACDC",
    }
    for block, text in texts.items():
        test_eq(chain_text(replacement_layers(parse_block(block), conv)), text)


def test_residual_blocks_in_words():
    test_eq(residual_text(residual_block("S", 16, 32, 2)), "residual block 3×3, 3×3; 16→32, stride 2")
    test_eq(new_residual_text(residual_block("S", 16, 32, 2), B), "1×1, 3×3, 1×1")
    test_eq(new_residual_text(residual_block("S", 16, 32, 2), S), "3×3, 3×3")
