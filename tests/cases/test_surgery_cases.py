"""Surgery says the truth: networks that once got a wrong plan, a wrong student or a raw error."""

import copy
import functools
import io
import threading
import types
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune
from torchvision import models as tv
from torchvision.models.convnext import LayerNorm2d
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import FrozenBatchNorm2d

from moonshine.blocks.custom import use_module
from moonshine.blocks.residual import initialize
from moonshine.costs.counting import mult_adds, paper_parameters
from moonshine.costs.latency import median_latency
from moonshine.errors import InputError
from moonshine.models.wide_resnet import wrn
from moonshine.surgery.sites import plan
from moonshine.surgery.student import cheapen

IMAGES = torch.linspace(-1, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)


def resnet18():
    """ResNet-18 for ten classes."""
    return tv.resnet18(weights=None, num_classes=10)


def reasons(model, block="G(2)", **options):
    """Why each layer of a plan is left, by name."""
    return {row["layer"]: row["reason"] for row in plan(model, block, **options)}


def conv(inp=8, out=8, **options):
    """A 3×3 convolution that keeps the size."""
    return nn.Conv2d(inp, out, 3, padding=1, **options)


def between(*parts):
    """A network with a first layer, some parts, and a classifier."""
    return nn.Sequential(conv(3), *parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


# ------------------------------------------------------------ residual blocks that somebody has changed


def another_stride(block):
    block.conv1.stride = block.downsample[0].stride = (1, 1)


def dilation(block):
    block.conv2.dilation = block.conv2.padding = (2, 2)


def activation(block):
    block.relu = nn.ELU()


def own_forward(block):
    block.forward = types.MethodType(lambda self, x: self.downsample(x), block)


def hook(block):
    block.bn2.register_forward_hook(lambda module, args, output: 2 * output)


def another_norm(block):
    block.bn1 = nn.GroupNorm(4, block.bn1.num_features)


def dropout(block):
    block.bn1 = nn.Sequential(block.bn1, nn.Dropout())


CHANGES = {
    another_stride: "conv1 (stride)",
    dilation: "conv2 (padding)",
    activation: "relu (ELU)",
    own_forward: "forward",
    hook: "bn2 (a hook)",
    another_norm: "bn1 (GroupNorm)",
    dropout: "bn1 (Sequential)",
}


@pytest.mark.kind("Changed residual blocks")
@pytest.mark.filterwarnings("ignore:the student has none of the hooks")
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_basic_block_is_treated_singly(change):
    net = resnet18()
    change(net.layer4[0])
    rows = {row["layer"]: row for row in plan(net, "B(2)")}
    assert "layer4.0" not in rows and rows["layer4.1"]["reason"] == ""
    if change is own_forward:
        assert rows["layer4.0.conv2"]["reason"] == "no forward pass calls it"
    else:
        note = f"(not as a whole BasicBlock: its {CHANGES[change]} is not stock)"
        assert rows["layer4.0.conv2"]["after"].endswith(note)
    student = cheapen(net, "B(2)")
    assert type(student.layer4[0]).__name__ == "BasicBlock"
    assert student(IMAGES).shape == (2, 10)
    assert student.layer4[0].relu.__class__ is net.layer4[0].relu.__class__


@pytest.mark.kind("Changed residual blocks")
def test_a_dilation_is_kept_and_an_own_forward_too():
    net = resnet18()
    dilation(net.layer4[0])
    own_forward(net.layer3[0])
    student = cheapen(net, "B(2)")
    assert student.layer4[0].conv2.conv.dilation == (2, 2)
    assert reasons(net, "B(2)")["layer3.0.conv1"] == "no forward pass calls it"
    assert torch.equal(
        student.layer3[0](torch.ones(1, 128, 8, 8)), student.layer3[0].downsample(torch.ones(1, 128, 8, 8))
    )


@pytest.mark.kind("Changed residual blocks")
@pytest.mark.parametrize("by", ["auto", "block"])
def test_a_changed_block_of_our_own(by):
    net = wrn(10, 1)
    block = net.get_submodule("block2.0.layer.0")
    block.conv1[0].dilation, block.conv1[0].padding = (2, 2), (2, 2)
    changed = [row["layer"] for row in plan(net, "G(4)", by=by)]
    assert [name for name in changed if name.endswith(("conv1.conv", "conv2.conv"))]
    student = cheapen(net, "G(4)", by=by)
    assert student(IMAGES).shape == (2, 10) and student.spec is None


# ------------------------------------------------------------ references outside the tree, tied weights


class Listed(nn.Module):
    """Runs its layers from a plain container."""

    def __init__(self, hold):
        super().__init__()
        self.stem, self.a, self.b, self.fc = conv(3), conv(), conv(), nn.Linear(8, 5)
        self.order = hold(self.stem, self.a, self.b)

    def layers(self):
        return self.order

    def forward(self, x):
        for layer in self.layers():
            x = layer(x).relu()
        return self.fc(x.mean((2, 3)))


class Holder:
    """A plain object with layers."""

    def __init__(self, *layers):
        self.layers = layers

    def __iter__(self):
        return iter(self.layers)


HOLDS = {
    "list": lambda *layers: list(layers),
    "object": Holder,
    "bound methods": lambda *layers: [layer.__call__ for layer in layers],
    "partials": lambda *layers: [functools.partial(layer) for layer in layers],
    "nested": lambda *layers: types.SimpleNamespace(x={"a": list(layers)}),
}


@pytest.mark.kind("References outside the module tree")
@pytest.mark.parametrize("hold", HOLDS)
def test_the_student_runs_what_the_plan_promises(hold):
    net = Listed(HOLDS[hold])
    if hold == "nested":
        Listed.layers, before = (lambda self: getattr(self.order, "x", {"a": self.order})["a"]), Listed.layers
    try:
        student, ran = cheapen(net, "G(2)"), []
        assert reasons(net) == {"stem": "first layer", "a": "", "b": ""}
        for name in ("a", "b"):
            part = getattr(student, name)
            assert type(part) is nn.Sequential and type(getattr(net, name)) is nn.Conv2d
            part.register_forward_hook(lambda *_, name=name: ran.append(name))
        student(IMAGES).sum().backward()
        assert ran == ["a", "b"] and all(p.grad is not None for p in student.parameters())
    finally:
        if hold == "nested":
            Listed.layers = before


@pytest.mark.kind("References outside the module tree")
@pytest.mark.parametrize("hold", [lambda *ls: [lambda x, m=m: m(x) for m in ls], lambda *ls: map_of(ls)])
def test_what_a_copy_does_not_reach_is_refused(hold):
    with pytest.raises(
        InputError, match="Listed calls its layer 'stem' through a function or another object"
    ):
        cheapen(Listed(hold), "G(2)")


def map_of(layers):
    """Functions that refer to the layers in their closures."""

    def runs(layer):
        def run(x):
            return layer(x)

        return run

    return [runs(layer) for layer in layers]


@pytest.mark.kind("References outside the module tree")
def test_layers_that_only_a_plain_list_holds_are_named():
    hidden = nn.Sequential()
    hidden.layers = [conv(3)]
    hidden.forward = lambda x: hidden.layers[0](x)
    with pytest.raises(
        InputError, match="Sequential holds layers in its plain attribute layers; use nn.Module"
    ):
        plan(hidden, "G(2)")
    net = between(conv(), nn.ReLU())
    net.helpers = {"a": conv()}
    with pytest.warns(UserWarning, match=r"only plain attributes hold them \(use nn.ModuleList\): helpers"):
        plan(net, "G(2)")


def tie_modules(net):
    net[1].weight = net[2].weight


def tie_to_list(net):
    net.decay = [net[1].weight]


def tie_to_parent(net):
    net.register_parameter("kernel", net[1].weight)


@pytest.mark.kind("Tied weights")
@pytest.mark.parametrize(
    "tie, other", [(tie_modules, "2.weight"), (tie_to_list, "decay"), (tie_to_parent, "kernel")]
)
def test_tied_weights_stay_tied(tie, other):
    net = between(conv(), conv(), conv(), nn.ReLU())
    tie(net)
    assert reasons(net)["1"] == f"its weight is also {other}" and reasons(net)["3"] == ""
    student = cheapen(net, "G(2)")
    tied = {tie_modules: lambda: student[2].weight, tie_to_list: lambda: student.decay[0]}
    assert student[1].weight is tied.get(tie, lambda: student.kernel)() and not torch.equal(
        student[1].weight, net[1].weight
    )


# ------------------------------------------------------------ names, copies, hooks


@pytest.mark.kind("Names of the user's attributes")
@pytest.mark.parametrize("name", ["spec", "title", "replaces", "history", "attention_layers", "block"])
@pytest.mark.parametrize("value", [lambda: nn.ModuleList([nn.ReLU()]), lambda: {"a": 1}, lambda: 7])
def test_a_users_attribute_may_have_any_name(name, value):
    net = Named(lambda layer, x: layer(x))
    setattr(net, name, value())
    student = cheapen(net, "G(2)", last=True)
    assert type(getattr(student, name)) is type(getattr(net, name)) and student(IMAGES).shape == (
        2,
        8,
        64,
        64,
    )


class Keeps(nn.Module):
    """Keeps something of its forward pass."""

    def __init__(self, keep):
        super().__init__()
        self.a, self.b, self.keep, self.kept = conv(3), conv(), keep, None

    def forward(self, x):
        x = self.a(x)
        self.kept = self.keep(x)
        return self.b(x).relu()


KEEPS = {
    "a feature": lambda x: x,
    "a list of features": lambda x: [x, {"x": (x,)}],
    "a lock": lambda x: threading.Lock(),
    "a file": lambda x: open(__file__, "rb"),  # noqa: SIM115
    "a generator": lambda x: (i for i in range(3)),
    "an object with a feature": lambda x: types.SimpleNamespace(x=x),
}


@pytest.mark.kind("Attributes that deepcopy refuses")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("keep", KEEPS)
def test_what_can_not_be_copied_is_no_obstacle(keep):
    net = Keeps(KEEPS[keep])
    net(IMAGES)
    with pytest.raises(Exception, match="pickle|deepcopy"):
        copy.deepcopy(net)
    kept = net.kept
    student = cheapen(net, "G(2)")
    assert net.kept is kept and type(student.b) is nn.Sequential
    assert student(IMAGES).shape == (2, 8, 64, 64)
    if hasattr(kept, "close"):
        kept.close()


@pytest.mark.kind("Attributes that deepcopy refuses")
def test_what_is_shared_is_said():
    net = Keeps(KEEPS["a lock"])
    net.kept = threading.Lock()
    with pytest.warns(UserWarning, match="teacher and student share what can't be copied: kept"):
        cheapen(net, "G(2)")


@pytest.mark.kind("Hooks")
@pytest.mark.parametrize("where", ["", "1", "2", "5"])
@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook", "full_backward_hook"])
def test_hooks_are_named_and_not_inherited(where, kind):
    net, fired = between(conv(), nn.ReLU(), conv(), nn.ReLU()), []
    getattr(net.get_submodule(where), f"register_{kind}")(lambda *args: fired.append(1))
    with pytest.warns(UserWarning, match="the student has none of the hooks that were put on its teacher: "):
        student = cheapen(net, "G(2)")
    assert not fired
    student(IMAGES).sum().backward()
    assert not fired
    net(IMAGES.clone().requires_grad_()).sum().backward()
    assert fired == [1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = "it has a hook, which a replacement would not have" if where == "1" else ""
        assert reasons(net)["1"] == expected


# ------------------------------------------------------------ new weights


def weight_norm(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(layer)


COMPUTED = {
    "weight_norm": weight_norm,
    "spectral_norm": nn.utils.spectral_norm,
    "pruning": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "random pruning of a linear layer": lambda layer: prune.random_unstructured(layer, "bias", 0.5) and layer,
    "parametrized weight_norm": parametrizations.weight_norm,
    "parametrized spectral_norm": parametrizations.spectral_norm,
}


@pytest.mark.kind("All new weights")
@pytest.mark.parametrize(
    "make", [lambda: conv(), lambda: nn.Conv2d(8, 8, 1), lambda: nn.Conv2d(8, 8, 3, groups=8)]
)
@pytest.mark.parametrize("wrap", COMPUTED)
def test_computed_weights_are_new(make, wrap):
    net = between(conv(), COMPUTED[wrap](make()), nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("error" if "bias" not in wrap and "linear" not in wrap else "ignore")
        student = cheapen(net, "G(2)")
    part, old = student[2], net[2]
    for (name, new), before in zip(part.named_parameters(), old.parameters()):
        if "linear" not in wrap or name == "weight":
            assert not torch.isclose(new, before).all(), name
    assert student(IMAGES).isfinite().all()
    kept = cheapen(net, "G(2)", keep_weights=True)
    assert all(torch.equal(a, b) for a, b in zip(kept[2].parameters(), old.parameters()))


class Pyramid(nn.Module):
    """A network with the head of a RetinaNet."""

    def __init__(self, head):
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, 16, 3, 4, 1), nn.Conv2d(16, 16, 3, padding=1), head

    def forward(self, x):
        x = self.body(self.stem(x).relu()).relu()
        return self.head([x, F.max_pool2d(x, 2)])


@pytest.mark.kind("Constructor initialization")
def test_the_prior_of_a_detector_stays():
    net = Pyramid(RetinaNetHead(16, 3, 4))
    heads = [net.head.classification_head.cls_logits, net.head.regression_head.bbox_reg]
    assert reasons(net)["head.classification_head.cls_logits"] == "makes the output"
    assert reasons(net)["head.regression_head.bbox_reg"] == "makes the output"
    student = cheapen(net, "G(2)")
    new = student.head.classification_head.cls_logits
    assert torch.equal(new.bias, heads[0].bias) and round(new.bias[0].item(), 1) == -4.6
    assert not torch.equal(new.weight, heads[0].weight)
    assert abs(new.weight.std() - heads[0].weight.std()) < 1e-6
    scores = student(IMAGES)["cls_logits"].sigmoid()
    assert scores.mean() < 0.05  # "probably nothing"
    other = cheapen(net, "G(2)", last=True).head.classification_head.cls_logits
    assert type(other) is nn.Sequential


@pytest.mark.kind("Constructor initialization")
def test_residual_branches_that_start_at_zero():
    net = tv.resnet18(weights=None, zero_init_residual=True)
    student = cheapen(net, "G(4)")
    assert student.layer3[1].bn2.weight.eq(0).all() and student.layer3[1].bn1.weight.eq(1).all()
    assert not torch.equal(student.fc.weight, net.fc.weight)


@pytest.mark.kind("Constructor initialization")
def test_layer_scale_and_lazily_trained_biases():
    net = tv.convnext_tiny(weights=None)
    student = cheapen(net, "G(2)", more_expensive=True)
    assert (
        student.features[1][0].layer_scale.unique().tolist()
        == net.features[1][0].layer_scale.unique().tolist()
    )


@pytest.mark.slow
@pytest.mark.kind("Constructor initialization")
@pytest.mark.parametrize("name", ["retinanet_resnet50_fpn", "fcos_resnet50_fpn"])
def test_the_first_loss_of_a_detector(name):
    torch.manual_seed(0)
    net = tv.get_model(name, weights=None, weights_backbone=None).train()
    student = cheapen(net, "G(4)")
    target = [dict(boxes=torch.tensor([[10.0, 10, 60, 70]]), labels=torch.tensor([3]))]
    losses = []
    for model in (net, student):
        model.transform.min_size, model.transform.max_size = (160,), 200
        torch.manual_seed(1)
        losses.append(sum(model([torch.rand(3, 128, 160)], target).values()).item())
    assert losses[1] < 2 * losses[0], losses


# ------------------------------------------------------------ inputs, calls, order


@pytest.mark.kind("Raw errors for an input")
@pytest.mark.parametrize(
    "make, shape, why",
    [
        (lambda: tv.vit_b_32(weights=None), (3, 32, 32), "Wrong image height! Expected 224 but got 32!"),
        (lambda: between(conv(), nn.Linear(3, 2)), (3, 8, 8), "mat1 and mat2 shapes cannot be multiplied"),
        (lambda: between(Raises(KeyError("rois"))), (3, 8, 8), "KeyError: 'rois'"),
        (lambda: between(Raises(IndexError("no such level"))), (3, 8, 8), "IndexError: no such level"),
        (lambda: between(conv()), (4, 8, 8), "expected input[2, 4, 8, 8] to have 3 channels"),
    ],
)
def test_an_input_that_does_not_fit_is_one_line(make, shape, why):
    model = make()
    for call in (plan, cheapen):
        with pytest.raises(InputError) as error:
            call(model, "G(2)", input_shape=shape)
        assert f"can't take an input of {shape}: " in str(error.value) and why in str(error.value)
        assert "\n" not in str(error.value)


class Raises(nn.Module):
    """Raises an error, whatever it gets."""

    def __init__(self, error):
        super().__init__()
        self.error, self.conv = error, conv()

    def forward(self, x):
        raise self.error


class Named(nn.Module):
    """Calls its layers with keyword arguments, extra arguments, or twice."""

    def __init__(self, how):
        super().__init__()
        self.stem, self.layer, self.how = conv(3), conv(), how

    def forward(self, x):
        x = self.stem(input=x)
        return self.how(self.layer, x).relu()


@pytest.mark.kind("Layers called in another way")
@pytest.mark.parametrize(
    "how, times",
    [
        (lambda layer, x: layer(input=x), 1),
        (lambda layer, x: layer(layer(x)), 2),
        (lambda layer, x: layer(**{"input": layer(x)}) + layer(x), 3),
    ],
)
def test_multiply_adds_are_counted_for_each_call(how, times):
    row = plan(Named(how), "G(2)", (3, 16, 16))[1]
    assert row["mult_adds_before"] == times * 16 * 16 * 9 * 8 * 8
    assert row["mult_adds_after"] == times * 16 * 16 * (9 * 8 * 8 // 2 + 8 * 8)


class Backwards(nn.Module):
    """Its layers are registered in another order than they run."""

    def __init__(self, stem):
        super().__init__()
        self.head, self.body, self.stem, self.fc = conv(16, 16), conv(16, 16), stem, nn.Linear(16, 2)

    def forward(self, x):
        x = self.head(self.body(self.stem(x).relu()).relu())
        return x, self.fc(x.mean((2, 3)))


@pytest.mark.kind("The first and the last layer")
@pytest.mark.parametrize(
    "stem", [conv(3, 16), nn.Conv2d(3, 16, 7, 2, 3), nn.Sequential(conv(3, 16), nn.ReLU())]
)
def test_the_first_layer_is_the_one_that_runs_first(stem):
    net = Backwards(stem)
    why = reasons(net)
    assert [why.pop(name) for name in list(why) if name.startswith("stem")] == ["first layer"]
    assert why == {"head": "", "body": ""}
    assert reasons(net, "G(N)", first=True)["body"] == ""
    shape = reasons(net, input_shape=(3, 40, 40))
    assert shape["head"] == ""


@pytest.mark.kind("The first and the last layer")
@pytest.mark.parametrize(
    "tail",
    [(), (nn.Upsample(scale_factor=2),), (nn.Sigmoid(),), (nn.Flatten(), nn.Softmax(1)), (nn.Dropout(),)],
)
def test_a_convolution_that_makes_the_output_is_left(tail):
    net = nn.Sequential(conv(3), conv(), nn.ReLU(), conv(), *tail)
    assert list(reasons(net).values()) == ["first layer", "", "makes the output"]
    assert list(reasons(net, last=True).values()) == ["first layer", "", ""]


@pytest.mark.kind("The first and the last layer")
@pytest.mark.parametrize("tail", [(nn.ReLU(),), (nn.BatchNorm2d(8),), (nn.Conv2d(8, 2, 1),)])
def test_one_that_another_layer_uses_is_not(tail):
    assert list(reasons(nn.Sequential(conv(3), conv(), *tail)).values()) == ["first layer", ""]


# ------------------------------------------------------------ what a chain shows, and what it is made of


@pytest.mark.kind("Attributes of the convolution")
@pytest.mark.parametrize("block", ["G(2)", "B(2)", "BG(2,2)", "S-2x2", "G(N)"])
def test_a_chain_has_the_settings_of_its_convolution(block):
    old = nn.Conv2d(8, 16, 3, stride=2, padding=2, dilation=2, groups=2)
    new = cheapen(nn.Sequential(conv(3), old, nn.ReLU()), block, more_expensive=True)[1]
    for name in ("kernel_size", "stride", "padding", "dilation", "groups", "in_channels", "out_channels"):
        assert getattr(new, name) == getattr(old, name)
    again = torch.load(io.BytesIO(saved(new)), weights_only=False)
    assert again.stride == (2, 2) and not {"stride", "groups"} & set(new.state_dict())


def saved(module):
    """The bytes of a saved module."""
    file = io.BytesIO()
    torch.save(module, file)
    return file.getvalue()


class Reads(nn.Module):
    """Reads something of its convolution in its forward pass."""

    def __init__(self, read):
        super().__init__()
        self.conv, self.read = conv(), read

    def forward(self, x):
        return self.conv(x).relu() * self.read(self.conv)


READS = {
    "stride": (lambda layer: layer.stride[0] * layer.out_channels, ""),
    "kernel": (lambda layer: layer.kernel_size[0], ""),
    "weight": (lambda layer: layer.weight.mean(), "Reads fails with a replacement: AttributeError: "),
    "bias": (lambda layer: layer.bias.mean(), "Reads fails with a replacement: AttributeError: "),
}


@pytest.mark.kind("Attributes of the convolution")
@pytest.mark.parametrize("read", READS)
def test_a_parent_that_reads_its_convolution(read):
    function, reason = READS[read]
    net = between(Reads(function), conv(), nn.ReLU(), Reads(function))
    why = reasons(net)
    assert why["2"] == "" and all(why[name].startswith(reason) for name in ("1.conv", "4.conv"))
    assert bool(why["1.conv"]) == bool(reason)
    assert cheapen(net, "G(2)")(IMAGES).shape == (2, 5)


class Functional(nn.Module):
    """Uses the weight of its convolution without calling it."""

    def __init__(self):
        super().__init__()
        self.conv = conv()

    def forward(self, x):
        return F.conv2d(x, self.conv.weight, self.conv.bias, padding=1).relu()


@pytest.mark.kind("Attributes of the convolution")
def test_a_convolution_that_is_never_called():
    net = between(Functional(), conv(), nn.ReLU())
    assert list(reasons(net).values()) == ["first layer", "no forward pass calls it", ""]
    assert cheapen(net, "G(2)")(IMAGES).shape == (2, 5)


@pytest.mark.kind("Inputs much wider than outputs")
@pytest.mark.parametrize(
    "inp, out, stride, last, first",
    [(128, 32, 1, 40_960, 6_400), (256, 64, 2, 163_840, 25_600), (96, 24, 1, 23_040, 3_600)],
)
def test_the_pointwise_layer_first_is_an_option(inp, out, stride, last, first):
    net = nn.Sequential(conv(3, inp), nn.Conv2d(inp, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out))
    paper = plan(net, "G(4)", more_expensive=True)[1]
    turned = plan(net, "G(4)", pointwise_first=True)[1]
    assert paper["parameters_after"] == last + 2 * inp  # with the batch norm in between
    assert turned["parameters_after"] == first + 2 * out
    assert turned["after"] == f"1×1 to {out}, 3×3 in 4 groups"
    student = cheapen(net, "G(4)", pointwise_first=True)
    assert student(IMAGES).shape == net(IMAGES).shape


STYLES = {
    "GroupNorm and SiLU": (lambda n: nn.GroupNorm(4, n), nn.SiLU),
    "frozen norm": (FrozenBatchNorm2d, nn.ReLU),
    "LayerNorm2d and GELU": (LayerNorm2d, nn.GELU),
    "InstanceNorm2d and LeakyReLU": (nn.InstanceNorm2d, lambda: nn.LeakyReLU(0.2)),
    "BatchNorm2d with another eps": (lambda n: nn.BatchNorm2d(n, 1e-3, 0.01), nn.Hardswish),
}


@pytest.mark.kind("Norm and activation")
@pytest.mark.parametrize("block", ["G(2)", "BG(2,2)"])
@pytest.mark.parametrize("style", STYLES)
def test_a_chain_follows_its_network(style, block):
    norm, act = STYLES[style]
    net = between(norm(8), act(), nn.Conv2d(8, 8, 3, padding=1, bias=False), norm(8), act())
    new = cheapen(net, block)[3]
    norms = [m for m in new if not isinstance(m, nn.Conv2d)]
    assert [type(m) for m in norms] == [type(norm(8)), type(act())] * (1 if block == "G(2)" else 2)
    assert norms[0].eps == norm(8).eps and repr(norms[1]) == repr(act())


@pytest.mark.kind("Norm and activation")
@pytest.mark.parametrize(
    "function, kind", [(F.silu, nn.SiLU), (F.gelu, nn.GELU), (F.relu, nn.ReLU), (F.hardswish, nn.Hardswish)]
)
def test_an_activation_that_is_a_function(function, kind):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.norm, self.b = conv(3), nn.GroupNorm(2, 8), conv()

        def forward(self, x):
            return function(self.b(function(self.norm(self.a(x)))))

    new = cheapen(Net(), "G(2)", last=True).b
    assert (type(new.bn), type(new.relu)) == (nn.GroupNorm, kind)


@pytest.mark.kind("Norm and activation")
def test_networks_of_torchvision_keep_their_style_and_their_totals():
    new = cheapen(tv.efficientnet_v2_s(weights=None), "G(4)").features[2][0].block[0][0]
    assert (type(new.relu), new.bn.eps) == (nn.SiLU, 1e-3)
    with torch.device("meta"):
        net = tv.resnet34(weights=None)
    assert [paper_parameters(cheapen(net, block)) for block in ("G(4)", "G(N)")] == [8_177_832, 3_163_752]


class Conv2dSame(nn.Conv2d):
    """Pads as TensorFlow does."""

    def forward(self, x):
        sizes = zip(x.shape[2:], self.kernel_size, self.stride, self.dilation)
        pads = [max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in sizes]
        x = F.pad(x, (pads[1] // 2, pads[1] - pads[1] // 2, pads[0] // 2, pads[0] - pads[0] // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class StdConv2d(nn.Conv2d):
    """Standardizes its weights."""

    def __init__(
        self,
        in_channel,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=False,
        eps=1e-6,
    ):
        super().__init__(in_channel, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.eps = eps

    def forward(self, x):
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(flat, None, None, training=True, momentum=0.0, eps=self.eps)
        return self._conv_forward(x, weight.reshape_as(self.weight), self.bias)


class ScaledStdConv2d(nn.Conv2d):
    """Standardizes its weights, and scales them by a gain and the number of inputs."""

    def __init__(
        self, inp, out, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, gamma=1.0
    ):
        super().__init__(inp, out, kernel_size, stride, padding, dilation, groups, bias)
        self.gain = nn.Parameter(torch.full((out, 1, 1, 1), 1.0))
        self.scale = gamma * self.weight[0].numel() ** -0.5

    def forward(self, x):
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(
            flat, None, None, (self.gain * self.scale).view(-1), training=True, momentum=0.0
        )
        return self._conv_forward(x, weight.reshape_as(self.weight), self.bias)


@pytest.mark.kind("Convolutions of a class of their own")
@pytest.mark.parametrize("stride, size", [(1, 64), (2, 64), (2, 63)])
@pytest.mark.parametrize("kind", [Conv2dSame, StdConv2d, ScaledStdConv2d])
def test_they_are_rebuilt_as_such(kind, stride, size):
    padding = 0 if kind is Conv2dSame else 1
    layer = kind(16, 32, 3, stride=stride, padding=padding)
    net = nn.Sequential(conv(3, 16), layer, nn.ReLU())
    assert list(reasons(net, "G(4)").values()) == ["first layer", ""]
    student, x = cheapen(net, "G(4)"), IMAGES[..., :size, :size]
    convolutions = [m for m in student[1] if isinstance(m, nn.Conv2d)]
    assert [type(m) for m in convolutions] == [kind] * 2 and student(x).shape == net(x).shape


@pytest.mark.kind("Convolutions of a class of their own")
def test_their_numbers_carry_over():
    net = between(
        StdConv2d(8, 8, 3, padding=1, eps=1e-3),
        nn.ReLU(),
        ScaledStdConv2d(8, 8, 3, padding=1, gamma=1.7),
        nn.ReLU(),
    )
    student = cheapen(net, "G(2)")
    assert [m.eps for m in student[1] if isinstance(m, StdConv2d)] == pytest.approx([1e-3, 1e-3])
    scales = [m.scale for m in student[3] if isinstance(m, ScaledStdConv2d)]
    assert scales == pytest.approx([1.7 * (9 * 4) ** -0.5, 1.7 * 8**-0.5])


@pytest.mark.kind("Convolutions of a class of their own")
def test_a_class_that_can_not_be_rebuilt_is_left():
    class Coordinates(nn.Conv2d):
        def __init__(self, inp, out, kernel_size, **options):
            super().__init__(inp + 1, out, kernel_size, **options)

        def forward(self, x):
            return super().forward(torch.cat([x, x[:, :1] * 0 + 1], 1))

    net = between(Coordinates(8, 8, 3, padding=1), nn.ReLU(), conv(), nn.ReLU())
    assert reasons(net)["1"] == "Coordinates overrides forward, and can't be built like a Conv2d"
    overridden = conv()
    overridden._conv_forward = lambda x, weight, bias: x
    assert reasons(between(overridden, nn.ReLU()))["1"] == "its method _conv_forward is overridden"


# ------------------------------------------------------------ nothing replaced, nothing touched


@pytest.mark.kind("A student that saves nothing")
@pytest.mark.parametrize(
    "make, why",
    [
        (
            lambda: tv.mobilenet_v3_small(weights=None),
            "nothing in this MobileNetV3 (1 × first layer, 11 × already depthwise)",
        ),
        (
            lambda: tv.mnasnet0_5(weights=None),
            "nothing in this MNASNet (1 × first layer, 17 × already depthwise)",
        ),
        (lambda: tv.vit_b_32(weights=None), "nothing in this VisionTransformer (1 × first layer)"),
    ],
)
def test_it_is_an_error(make, why):
    with pytest.raises(InputError) as error:
        cheapen(make(), "G(4)")
    assert f"G(4) replaces {why}; no other block would help" in str(error.value)


@pytest.mark.kind("A student that saves nothing")
def test_the_blocks_that_would_help_are_named():
    net = nn.Sequential(conv(3, 30), nn.Conv2d(30, 30, 3, bias=False), nn.ReLU())
    total = 30 * 28 + 9 * 900
    saved = {"G(N)": 9 * 900 - 9 * 30 - 60 - 900, "B(2)": 9 * 900 - 9 * 225 - 60 - 900}
    with pytest.raises(InputError) as error:
        cheapen(net, "G(4)")
    for block, number in saved.items():
        assert f"{block} would save {100 * number / total:.0f} %" in str(error.value) or (
            f"{block} {100 * number / total:.0f} %" in str(error.value)
        )
    with pytest.raises(InputError, match=r"with last=True$"):
        cheapen(nn.Sequential(conv(3), conv()), "G(2)")


class Restless(nn.Module):
    """Draws random numbers, counts, and looks at values."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.conv, self.fc = conv(3), nn.BatchNorm2d(8), conv(), nn.Linear(8, 5)
        self.calls = []

    def forward(self, x):
        self.calls.append(1)
        x = self.norm(self.stem(x))
        if x.mean() > -1e9:
            x = F.dropout(self.conv(x).relu())
        return self.fc(x.mean((2, 3)))


def snapshot(model):
    """All that a user can see of a network."""
    return dict(
        state={key: value.clone() for key, value in model.state_dict().items()},
        modes=[m.training for m in model.modules()],
        frozen=[p.requires_grad for p in model.parameters()],
        grads=[p.grad for p in model.parameters()],
        hooks=[(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        names=[sorted(vars(m)) for m in model.modules()],
        calls=list(getattr(model, "calls", [])),
    )


@pytest.mark.kind("The user's network is not touched")
@pytest.mark.parametrize("shape", [None, (3, 32, 32)])
@pytest.mark.parametrize("make", [Restless, resnet18, lambda: tv.googlenet(weights=None, init_weights=False)])
def test_the_users_network_comes_back_as_it_was(make, shape):
    torch.manual_seed(3)
    net = make().train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval().requires_grad_(False)
    before, state = snapshot(net), torch.get_rng_state()
    plan(net, "G(2)", shape)
    assert torch.equal(torch.get_rng_state(), state)
    cheapen(net, "G(2)", input_shape=shape)
    after = snapshot(net)
    assert all(torch.equal(before["state"][key], after["state"][key]) for key in before["state"])
    assert {**before, "state": 0} == {**after, "state": 0}


@pytest.mark.kind("The user's network is not touched")
@pytest.mark.parametrize(
    "call",
    [mult_adds, lambda net: median_latency(net, repeats=1), lambda net: plan(net, "G(2)", (3, 32, 32))],
)
def test_a_frozen_norm_stays_frozen(call):
    net = between(nn.BatchNorm2d(8), nn.ReLU(), conv(), nn.ReLU()).train()
    net[1].eval()
    call(net)
    assert [m.training for m in net] == [True, False, *[True] * (len(net) - 2)]


# ------------------------------------------------------------ initial weights, a user's own file


@pytest.mark.kind("Initial weights")
@pytest.mark.parametrize(
    "make", [lambda: nn.Linear(3, 3, bias=False), lambda: nn.LazyConv2d(3, 3), lambda: nn.LazyLinear(3)]
)
def test_initialize_takes_every_layer(make):
    net = nn.Sequential(make(), nn.Linear(3, 2), nn.Conv2d(4, 8, 3))
    initialize(net)
    assert net[1].bias.tolist() == [0, 0] and abs(net[2].weight.std() - (2 / 72) ** 0.5) < 0.05


SOURCES = {
    "a dataclass": "@dataclass\nclass Settings:\n    width: int = 3\n",
    "a postponed annotation": "@dataclass\nclass Settings:\n    other: 'ClassVar[int]' = 4\n",
    "a pickled class": "import sys\nassert sys.modules[__name__].nn is nn\n",
}


@pytest.mark.kind("Initial weights")
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ["mine.py", "json.py"])
def test_a_file_of_the_users_is_a_module(source, name, tmp_path):
    import json

    head = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n"
    )
    text = f"{head}from torch import nn\n{SOURCES[source]}\n\nclass Conv(nn.Conv2d):\n    pass\n"
    (tmp_path / name).write_text(text)
    block = use_module(tmp_path / name)
    net = nn.Sequential(conv(3), conv(bias=False), nn.ReLU())
    assert type(cheapen(net, block, more_expensive=True)[1]).__name__ == "Conv"
    import json as again

    assert again is json and json.dumps([1]) == "[1]"
