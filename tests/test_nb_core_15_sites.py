"""Generated from nbs/core/15_sites.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.surgery.sites import *


import tempfile
import warnings
from pathlib import Path

import torch
from fastcore.test import test_eq, test_fail
from torch import nn

from moonshine.blocks.custom import use_module
from moonshine.blocks.families import parse_block
from moonshine.blocks.residual import residual_block
from moonshine.costs.counting import text_table
from moonshine.models.wide_resnet import wrn


def test_what_cannot_be_rebuilt():
    from torch.nn.utils import parametrizations, prune
    from torchvision.ops import DeformConv2d


    class Standardized(nn.Conv2d):
        def forward(self, x):
            return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)


    class Square(Standardized):
        def __init__(self, channels):
            super().__init__(channels, channels, 3)


    test_eq([cannot_be_rebuilt(kind(8, 8, 3)) for kind in (nn.Conv2d, Standardized)], ["", ""])
    test_eq(cannot_be_rebuilt(Square(8)), "Square overrides forward, and can't be built like a Conv2d")
    hooked, overridden = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
    hooked.register_forward_pre_hook(print)
    overridden.forward = lambda x: x
    test_eq(cannot_be_rebuilt(hooked), "it has a hook, which a replacement would not have")
    test_eq(cannot_be_rebuilt(overridden), "its method forward is overridden")
    computed = [
        parametrizations.weight_norm(nn.Conv2d(8, 8, 3)),
        prune.l1_unstructured(nn.Conv2d(8, 8, 3), "weight", 0.5),
    ]
    test_eq([cannot_be_rebuilt(conv) for conv in computed], ["its weight is computed from other tensors"] * 2)
    assert "run the network once" in cannot_be_rebuilt(nn.LazyConv2d(8, 3))
    for kind in (nn.ConvTranspose2d, nn.Conv1d, nn.Conv3d, DeformConv2d):
        assert is_convolution(kind(8, 8, 3))
        test_eq(cannot_be_rebuilt(kind(8, 8, 3)), f"no cheap form for a {kind.__name__}")


def test_what_a_block_has_no_form_for():
    depthwise, wide = nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 5)
    test_eq(unsuited(depthwise, parse_block("G(2)")), "already depthwise")
    test_eq(unsuited(wide, parse_block("G(2)")), "")
    test_eq(unsuited(wide, parse_block("S-2x2")), "S-2x2 is for 3×3 kernels")
    test_eq(unsuited(wide, parse_block("ACDC")), "ACDC/Basic is for convolutions without groups and bias")
    test_eq(unsuited(nn.Conv2d(8, 8, 5, bias=False), parse_block("ACDC")), "")


def test_shared_modules_are_one_site():
    conv = nn.Conv2d(8, 8, 3)
    net = nn.Sequential(conv, nn.Conv2d(8, 8, 1), nn.Sequential(conv, nn.ReLU()))
    test_eq([site.names for site in candidates(net, parse_block("G(2)"), "auto")], [["0", "2.0"]])
    names = [site.names[0] for site in candidates(wrn(10, 1), parse_block("G(4)"), "auto")]
    test_eq(names, ["conv1", "block1.0.layer.0", "block2.0.layer.0", "block3.0.layer.0"])


def test_a_changed_residual_block_is_treated_singly():
    from torchvision.models import resnet18

    net = resnet18(weights=None)
    net.layer4[1].relu = nn.ELU()
    sites = candidates(net, parse_block("B(2)"), "auto")
    test_eq([site.names[0] for site in sites][-3:], ["layer4.0", "layer4.1.conv1", "layer4.1.conv2"])
    test_eq(sites[-1].note, "not as a whole BasicBlock: its relu (ELU) is not stock")


def test_a_name_keeps_all_that_is_in_it():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.Conv2d(8, 8, 3)))
    kept = keep_filter(net, ["1"])
    test_eq([kept(name, None) for name in ("0", "1", "1.0", "10")], [False, True, True, False])
    test_fail(lambda: keep_filter(net, "1.9"), contains="no layer '1.9' to keep; did you mean '1.0'?")


def test_copies_of_networks_that_resist():
    import threading

    heard = []


    class Keeper(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.lock, self.kept = nn.Conv2d(3, 4, 3), threading.Lock(), []
            self.conv.register_forward_hook(self.keep)

        def keep(self, module, args, output):
            self.kept.append({"feature": output})

        def forward(self, x):
            return self.conv(x).relu()


    net = Keeper()
    net.register_forward_hook(lambda module, args, output: heard.append(output))
    net(torch.zeros(1, 3, 8, 8))
    for meta in (False, True):
        copied = duplicate(net, meta)
        test_eq((copied.lock is net.lock, copied.conv.weight.is_meta), (True, meta))
        copied(copied.conv.weight.new_zeros(1, 3, 8, 8))
        test_eq((len(copied.kept), len(net.kept), len(heard)), (2, 1, 1))  # its own hook stays, ours does not
    test_eq([name for name, _ in not_copyable(net)], ["lock"])
    test_eq([(name, kind) for name, _, kind, _ in outside_hooks(net)], [("", "_forward_hooks")])


def test_who_makes_the_output():
    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.far, self.near, self.stem = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            x = nn.functional.silu(self.norm(self.stem(x)), inplace=True)
            return {"near": self.near(input=x), "far": self.far(x).sigmoid().mean((2, 3))}


    net = TwoHeads()
    probe = Probe(net)
    net(torch.zeros(2, 4, 8, 8))
    test_eq(list(probe.inputs), ["stem", "norm", "near", "far", ""])
    test_eq(probe.inputs["near"], [(4, 8, 8)])
    test_eq((probe.used, probe.shown), ({"stem", "norm"}, {"near", "far"}))
    test_eq(probe.passed["SiluBackward0"], 2)


def test_a_trial_leaves_no_trace():
    class Restless(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.calls = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4).eval(), 0

        def forward(self, x):
            self.calls += 1
            if x.sum() > 0:  # needs values
                x = x / 255
            return nn.functional.dropout(self.norm(self.conv(x)), 0.5)


    net = Restless().requires_grad_(False)
    before = torch.get_rng_state(), {key: value.clone() for key, value in net.state_dict().items()}
    trial = try_out(net, None, ["conv"])
    test_eq((trial.complete, trial.x.shape, trial.x.is_meta), (True, (2, 3, 64, 64), False))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert all(torch.equal(value, before[1][key]) for key, value in net.state_dict().items())
    test_eq([m.training for m in net.modules()], [True, True, False])
    test_eq([net.calls, net.conv.weight.requires_grad, len(net.conv._forward_hooks)], [0, False, 0])
    test_fail(lambda: try_out(net, (1, 8, 8), ["conv"]), contains="Restless can't take an input of (1, 8, 8)")
    test_eq(try_out(nn.Bilinear(3, 3, 3), None, []), None)


def test_a_layer_that_a_copy_does_not_reach():
    class Captured(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
            self.run = lambda x: self.b(self.a(x))

        def forward(self, x):
            return self.run(x)


    test_fail(lambda: try_out(Captured(), None, ["a", "b"]), contains="Captured calls its layer 'a' through")


def test_options_are_checked_once():
    test_eq(SurgeryOptions(by="block").placement, "between")
    test_fail(lambda: SurgeryOptions(by="blocks"), contains="use auto, convolution or block")
    test_fail(lambda: SurgeryOptions(placement="mid"), contains="use between, pre or post")


def test_a_style_of_its_own():
    group, layer = nn.GroupNorm(2, 8), nn.LayerNorm(8)
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(8, 8, 3), group, nn.SiLU(), nn.Sigmoid()), nn.Conv2d(8, 8, 3), layer
    )
    assert nearest(net, "0.0", is_norm) is group and nearest(net, "0.0", is_activation) is net[0][2]
    assert nearest(net[1], "", is_norm) is None
    test_eq(
        [is_norm(m) for m in (nn.BatchNorm1d(8), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3))], [False, True, False]
    )


def test_what_a_student_does_not_take_over():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.ReLU())
    net[1].register_forward_pre_hook(lambda module, args: None)
    net.helpers = [nn.Conv2d(8, 8, 3)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sites = find_sites(net, "G(2)")
    test_eq(
        [str(w.message) for w in caught],
        [
            "the student has none of the hooks that were put on its teacher: 1 (forward pre hook)",
            "not replaced, because only plain attributes hold them (use nn.ModuleList): helpers",
        ],
    )
    test_eq(sites[1].reason, "it has a hook, which a replacement would not have")


def test_sites_and_their_replacements():
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU())
    first, second = find_sites(net, "G(4)")
    test_eq((first.reason, first.build, first.parameters), ("first layer", None, (448, 448)))
    test_eq((second.before, second.after), ("3×3, 16→32, stride 2", "3×3 in 4 groups, 1×1"))
    test_eq(second.build(second.module)(torch.zeros(2, 16, 9, 9)).shape, (2, 32, 4, 4))
    third = nn.Conv2d(32, 32, 3)
    test_eq([site.reason for site in find_sites(nn.Sequential(*net, third), "G(4)")][2], "makes the output")
    test_fail(lambda: find_sites(nn.Linear(3, 3), "G(4)"), contains="Linear has no convolution")
    whole = SurgeryOptions(by="block")
    test_fail(lambda: find_sites(net, "G(4)", whole), contains="no residual block that is known")


def test_a_replacement_goes_wherever_its_layer_was():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
            self.order, self.by_name = [self.stem, self.a, self.b], {"a": (self.a,)}
            self.again = self.a

        def forward(self, x):
            for layer in self.order:
                x = layer(x).relu()
            return x


    net = Listed()
    student = substitute(duplicate(net), find_sites(net, "G(2)"))
    assert student.a is student.again is student.order[1] is student.by_name["a"][0]
    test_eq([type(layer).__name__ for layer in student.order], ["Conv2d", "Sequential", "Sequential"])
    test_eq(type(net.order[1]).__name__, "Conv2d")


def test_a_layer_that_reads_the_weight_itself_is_left():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x):
            return self.conv(x).relu() * self.conv.weight.abs().mean()


    class Asks(Reads):
        def forward(self, x):
            return self.conv(x)[..., : x.shape[3] // self.conv.stride[0]].relu()


    net = nn.Sequential(nn.Conv2d(3, 8, 3), Reads(), Reads(), Asks(), nn.ReLU())
    reasons = [site.reason for site in find_sites(net, "G(2)")]
    test_eq((reasons[0], reasons[3]), ("first layer", ""))
    test_eq(reasons[1], reasons[2])
    assert reasons[1].startswith("Reads fails with a replacement: AttributeError: "), reasons[1]


def test_a_forward_pass_leaves_nothing_behind():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4).eval())
    seen = []
    watch_forward(net, (3, 8, 8), {"conv": net[0]}, lambda name, args, out: seen.append((name, out.shape)))
    test_eq(seen, [("conv", (2, 4, 6, 6))])
    test_eq([module.training for module in net.modules()], [True, True, False])
    test_eq([len(module._forward_hooks) for module in net.modules()], [0, 0, 0])
    test_fail(lambda: watch_forward(net, (1, 8, 8), {}, print), contains="can't take an input of (1, 8, 8)")


def test_layers_in_words():
    def before(module):
        return plan(module, "G(4)")[0]["before"]


    def after(block, module=nn.Conv2d(64, 64, 3, bias=False)):
        return plan(module, block)[0]["after"]


    test_eq(before(nn.Conv2d(64, 128, 3, stride=2, padding=1)), "3×3, 64→128, stride 2")
    test_eq(before(nn.Conv2d(8, 8, (1, 7), dilation=(1, 2), groups=4)), "1×7, 8→8, dilation (1, 2), groups 4")
    test_eq(before(nn.ConvTranspose2d(8, 4, 2, stride=2)), "ConvTranspose2d 2×2, 8→4, stride 2")
    test_eq(before(residual_block("S", 16, 32, 2)), "residual block 3×3, 3×3; 16→32, stride 2")
    test_eq(
        [after(block) for block in ("G(8)", "G(N)", "BG(2,4)")],
        ["3×3 in 8 groups, 1×1", "3×3 depthwise, 1×1", "1×1 to 32, 3×3 in 4 groups, 1×1"],
    )
    test_eq([after(block) for block in ("S-2x2", "ACDC")], ["2×2", "3×3 depthwise, ACDC"])
    test_eq(after("B(2)", residual_block("S", 16, 32, 2)), "1×1, 3×3, 1×1")


def test_options():
    def reasons(block, **options):
        return [row["reason"].split(":")[0] for row in plan(net, block, **options)]


    net = nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.Conv2d(16, 30, 3),
        nn.Sequential(nn.Conv2d(30, 32, 3), nn.Conv2d(32, 16, 3), nn.ReLU()),
    )
    test_eq(reasons("G(4)"), ["first layer", "", "G(4) does not divide its channels; G(5) would fit", ""])
    test_eq(reasons("G(4)", round_groups=True), ["first layer", "", "", ""])
    assert "rounded to G(5)" in plan(net, "G(4)", round_groups=True)[2]["after"]
    test_eq(reasons("G(4)", first=True)[0], "G(4) does not divide its channels; G(3) would fit")
    test_eq(reasons("G(N)", first=True), ["", "", "", ""])
    test_eq(reasons("G(N)", keep=["2"])[2:], ["kept as requested"] * 2)  # all that is in it
    test_eq(reasons("G(N)", keep="2.1")[1:], ["", "", "kept as requested"])
    test_eq(reasons("G(N)", keep=lambda name, module: module.in_channels == 16)[1], "kept as requested")
    test_eq(reasons("B(1)"), ["first layer", "would not be cheaper", "would not be cheaper", ""])
    test_eq(reasons("B(1)", more_expensive=True), ["first layer", "", "", ""])
    test_eq(set(reasons("S")[1:]), {"would not be cheaper"})


def test_mistakes_are_one_line():
    net, pointwise = wrn(10, 1), nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    test_fail(lambda: plan(pointwise, "G(4)"), contains="no convolution with a kernel larger")
    test_fail(lambda: plan(net, "G4"), contains="unknown block")
    test_fail(lambda: plan("resnet18", "G(4)"), contains="network_from_torchvision")
    test_fail(lambda: plan(net, "G(4)", (1, 32, 32)), contains="can't take an input of (1, 32, 32)")


def test_the_reasons_in_a_plan():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old_style = nn.utils.weight_norm(nn.Conv2d(8, 8, 3))
    net = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3), old_style, nn.Conv3d(8, 8, 3))
    rows = plan(net, "G(2)")
    test_eq(
        [row["reason"] for row in rows],
        ["first layer", "", "its weight is computed from other tensors", "no cheap form for a Conv3d"],
    )
    test_eq([row["after"] for row in rows][::2], ["unchanged", "unchanged"])


def test_the_first_the_last_and_the_shared():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.a, self.b, self.c, self.spare, self.stem = (
                nn.Conv2d(8, 8, 3, padding=1) for _ in range(6)
            )
            self.b.weight = self.a.weight
            self.weights = [self.c.weight]

        def forward(self, x):
            for layer in (self.stem, self.a, self.b, self.c):
                x = layer(x).relu()
            return self.head(x)


    test_eq(
        [row["reason"] for row in plan(Tied(), "G(2)")],
        [
            "makes the output",
            "its weight is also b.weight",
            "its weight is also a.weight",
            "its weight is also weights",
            "no forward pass calls it",
            "first layer",
        ],
    )
    test_eq([row["reason"] for row in plan(Tied(), "G(2)", first=True, last=True)][::5], ["", ""])


def test_a_quantized_network_is_left():
    from torch.ao.nn import quantized

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch is about to retire these classes
        net = nn.Sequential(nn.Conv2d(3, 8, 3), quantized.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 8))
    test_eq([row["reason"] for row in plan(net, "G(2)")], ["first layer", "no cheap form for a Conv2d", ""])


def test_structured_layers_and_user_code():
    folder = Path(tempfile.mkdtemp())
    (folder / "mine.py").write_text("import torch\nConv = torch.nn.Conv2d\n")
    own = use_module(folder / "mine.py")
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        nn.Conv2d(8, 8, 3),
        nn.Conv2d(8, 8, 5, groups=2, bias=False),
        nn.Conv2d(8, 8, 5, bias=False),
        nn.ReLU(),
    )


    def left(block):
        return [row["reason"] != "" for row in plan(net, block, more_expensive=True)]


    test_eq(left("ACDC"), [True, False, True, True, False])
    test_eq(left("DConv3D"), [True, False, True, True, False])
    test_eq(left(own), [True, False, True, True, True])
