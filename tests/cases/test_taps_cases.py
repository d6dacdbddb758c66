"Taps and losses on ordinary networks: maps where there are maps, one line where there are none"

import copy
from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

from moonshine.errors import InputError
from moonshine.losses.attention import (
    Taps,
    activations,
    at_loss,
    attention_map,
    check_fit,
    compared_layers,
    dimensions_of,
    layers_to_compare,
    taps_for,
    try_loss,
)
from moonshine.losses.base import Output, cross_entropy
from moonshine.losses.kd import CONVENTIONS, kd_loss, soft_term
from moonshine.models.wide_resnet import wrn
from moonshine.surgery.attention_layers import attention_layers_of

OUTPUTS = "Layers that return tuples, dicts or tokens"
IN_PLACE = "In-place damage after a tap"
AUXILIARY = "Networks with several outputs"
WRAPPED = "Compiled, wrapped and half-precision teachers"
UNTOUCHED = "Taps leave the network as it was"
DENSE = "Knowledge distillation of dense logits"


def message_of(call):
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


class Returns(nn.Module):
    "A layer that works, and returns its result in some form"

    def __init__(self, form):
        super().__init__()
        self.conv, self.form = nn.Conv2d(3, 4, 3, 2, 1), form

    def forward(self, x):
        return self.form(self.conv(x))


class Reads(nn.Module):
    "A network around such a layer, which reads its result again"

    def __init__(self, form, read):
        super().__init__()
        self.layer, self.read, self.fc = Returns(form), read, nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(self.read(self.layer(x)).mean((2, 3)))


@dataclass
class Record:
    last_hidden_state: torch.Tensor
    pooler_output: torch.Tensor


class ModelOutput(OrderedDict):
    "As the outputs of Hugging Face's networks: a dict whose items are attributes too"


def tokens(x, extra=0):
    row = x.flatten(2).transpose(1, 2)
    return torch.cat([row.new_zeros(len(row), extra, row.shape[2]), row], 1)


def grid(row, extra=0):
    return row[:, extra:].transpose(1, 2).unflatten(2, (8, 4))


FORMS = {
    "tensor": (lambda x: x, lambda x: x),
    "tuple": (lambda x: (x, x.mean((2, 3))), lambda x: x[0]),
    "dict": (lambda x: dict(features=x), lambda x: x["features"]),
    "segmentation": (lambda x: OrderedDict(aux=x + 1, out=x), lambda x: x["out"]),
    "model output": (
        lambda x: ModelOutput(last_hidden_state=x, pooler_output=x.mean((2, 3))),
        lambda x: x["last_hidden_state"],
    ),
    "record": (lambda x: Record(x, x.mean((2, 3))), lambda x: x.last_hidden_state),
    "tokens": (tokens, grid),
    "tokens in a tuple": (lambda x: (tokens(x), None), lambda x: grid(x[0])),
    "class token": (lambda x: tokens(x, 1), lambda x: grid(x, 1)),
    "two tokens": (lambda x: tokens(x, 2), lambda x: grid(x, 2)),
}


@pytest.mark.kind(OUTPUTS)
@pytest.mark.parametrize("form", FORMS)
def test_the_map_is_that_of_the_convolution(form):
    model, x = Reads(*FORMS[form]), torch.randn(2, 3, 16, 8)
    logits, (found,) = activations(model, x, ["layer"])
    assert torch.equal(found, model.layer.conv(x))
    assert torch.equal(logits, model(x))


@pytest.mark.kind(OUTPUTS)
@pytest.mark.parametrize(
    "form, read, what",
    (
        (lambda x: [x, x], lambda x: x[0], "a list of 2"),
        (lambda x: {"0": x, "1": x}, lambda x: x["0"], "the parts 0, 1"),
        (lambda x: (None, x), lambda x: x[1], "a tuple of 2"),
        (lambda x: dict(a=[x]), lambda x: x["a"][0], "the parts a"),
    ),
)
def test_what_is_no_single_map_is_refused(form, read, what):
    message = message_of(lambda: activations(Reads(form, read), torch.randn(2, 3, 16, 8), ["layer"]))
    assert message == (
        f"layer layer returns {what}, not one feature map; name a layer that returns one tensor"
    )


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.attention = nn.Conv2d(3, 8, 4, 4), nn.MultiheadAttention(8, 2, batch_first=True)
        self.unused, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(8, 5)

    def forward(self, x):
        x = tokens(self.patches(x))
        return self.fc(self.attention(x, x, x)[0].mean(1))


@pytest.mark.kind(OUTPUTS)
def test_multi_head_attention_is_a_map():
    _, (found,) = activations(Attends(), torch.randn(2, 3, 16, 16), ["attention"])
    assert found.shape == (2, 8, 4, 4)


@pytest.mark.kind(OUTPUTS)
@pytest.mark.parametrize("place", ("layers", "named", "pooled"))
def test_a_layer_that_is_never_called(place):
    name = "unused"
    settings = {place: name if place == "pooled" else [name]}
    taps = Taps(Attends(), **({"layers": []} | settings))
    assert message_of(lambda: taps(torch.randn(2, 3, 16, 16))).startswith(
        "layer unused was not called in the forward pass"
    )


@pytest.mark.kind(OUTPUTS)
@pytest.mark.parametrize("shape", ((2, 17, 8), (2, 8), (2, 4, 4, 4, 4, 4)))
@pytest.mark.parametrize("use", (attention_map, lambda x: at_loss(x, x)))
def test_no_attention_map_without_a_feature_map(shape, use):
    message = message_of(lambda: use(torch.randn(shape)))
    assert message == f"an attention map is made of a feature map (B, C, H, W), not of {shape}"


@pytest.mark.kind(OUTPUTS)
def test_a_vision_transformer_has_the_map_of_its_patches():
    model, x = models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5).eval(), torch.randn(2, 3, 32, 32)
    _, (found,) = activations(model, x, ["encoder.layers.encoder_layer_1"])
    caught = []
    hook = model.encoder.layers.encoder_layer_1.register_forward_hook(lambda m, a, out: caught.append(out))
    model(x)
    hook.remove()
    by_hand = caught[0][:, 1:].reshape(2, 4, 4, 16).permute(0, 3, 1, 2)
    assert torch.equal(found, by_hand)


@pytest.mark.kind(OUTPUTS)
def test_swin_keeps_its_channels_last():
    model = models.SwinTransformer([4, 4], 8, [1, 1], [1, 2], [4, 4], num_classes=5).eval()
    _, found = activations(model, torch.randn(2, 3, 32, 64), ["features.1", "features.3"])
    assert [tuple(a.shape) for a in found] == [(2, 8, 8, 16), (2, 16, 4, 8)]


@pytest.mark.kind(OUTPUTS)
def test_maps_of_videos_are_over_time_and_space():
    model = nn.Sequential(nn.Conv3d(3, 4, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 5))
    model.attention_layers = ["0"]
    x = torch.randn(2, 3, 4, 8, 8)
    _, (found,) = activations(model, x)
    f = found.pow(2).mean(1).flatten(1)
    assert torch.allclose(attention_map(found), f / f.norm(dim=1, keepdim=True), atol=1e-6)
    assert check_fit(model, model, x) == [(2, 6, 6)]


class Noise(nn.Module):
    def forward(self, x):
        return x.add_(torch.rand_like(x)) if self.training else x


class Drops(nn.Sequential):
    def __init__(self, after):
        super().__init__(
            OrderedDict(conv=nn.Conv2d(3, 4, 3), after=after, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())
        )


@pytest.mark.kind(IN_PLACE)
@pytest.mark.parametrize("training", (True, False))
@pytest.mark.parametrize(
    "after",
    (nn.Dropout2d(inplace=True), nn.Dropout(inplace=True), Noise(), nn.ReLU(inplace=True)),
)
def test_damage_is_detected_in_every_mode(after, training):
    taps, x = Taps(Drops(after).train(training), ["conv"]), torch.randn(2, 3, 8, 8)
    if not training and not isinstance(after, nn.ReLU):
        assert torch.equal(taps(x).activations[0], taps.model.conv(x))
        return
    assert message_of(lambda: taps(x)) == (
        "the layer after 'conv' overwrites its output in place; name that layer instead"
    )


@pytest.mark.kind(IN_PLACE)
@pytest.mark.parametrize("after", (nn.ReLU(inplace=True), nn.Hardswish(inplace=True)))
def test_in_inference_mode_a_copy_is_kept(after):
    taps, x = Taps(Drops(after).eval(), ["conv"]), torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        found = taps(x).activations[0]
    assert torch.equal(found, taps.model.conv(x))


@pytest.mark.kind(IN_PLACE)
@pytest.mark.slow
def test_a_compiled_tap_keeps_what_the_layer_returned():
    taps, x = Taps(Drops(nn.ReLU(inplace=True)), ["conv"]), torch.randn(2, 3, 8, 8)
    found = torch.compile(taps, backend="eager")(x).activations[0]
    assert torch.allclose(found, taps.model.conv(x), atol=1e-6)


class Several(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.fc, self.form = nn.Linear(48, 5), form

    def forward(self, x):
        return self.form(self.fc(x.flatten(1)))


@pytest.mark.kind(AUXILIARY)
@pytest.mark.parametrize(
    "form",
    (
        lambda x: x,
        lambda x: (x, x + 1),
        lambda x: dict(logits=x, aux=x + 1),
        lambda x: dict(aux=x + 1, out=x),
        lambda x: models.GoogLeNetOutputs(x, x + 1, x + 2),
        lambda x: models.InceptionOutputs(x, x + 1),
    ),
)
def test_the_logits_are_found(form):
    model, x, y = Several(form), torch.randn(2, 3, 4, 4), torch.tensor([0, 1])
    logits = Taps(model, [])(x).logits
    assert torch.equal(logits, model.fc(x.flatten(1)))
    assert torch.allclose(cross_entropy()(Output(logits), None, y)[0], F.cross_entropy(logits, y))


@pytest.mark.kind(AUXILIARY)
@pytest.mark.slow
def test_googlenet_in_training():
    model = models.googlenet(weights=None, num_classes=5, aux_logits=True, init_weights=False).train()
    assert Taps(model, ["inception3b"])(torch.randn(2, 3, 64, 64)).logits.shape == (2, 5)


@pytest.mark.kind(AUXILIARY)
def test_no_loss_of_what_is_no_tensor():
    loss = cross_entropy()
    message = message_of(lambda: loss(Output([dict(boxes=1)]), None, torch.tensor([0])))
    assert message == "a loss needs logits or activations as one tensor, not list"


@pytest.mark.kind(WRAPPED)
@pytest.mark.parametrize(
    "wrap",
    (
        nn.DataParallel,
        lambda model: torch.compile(model, backend="eager"),
        torch.optim.swa_utils.AveragedModel,
        lambda model: torch.compile(nn.DataParallel(model), backend="eager"),
    ),
)
def test_a_wrapped_teacher_is_looked_into(wrap):
    teacher, student, x = wrn(10, 1).eval(), wrn(10, 0.5).eval(), torch.randn(2, 3, 16, 16)
    expected = activations(teacher, x)
    wrapped = wrap(teacher).eval()
    assert layers_to_compare(wrapped) == ["block1.0", "block2.0", "block3.0"]
    assert compared_layers(student, wrapped) == compared_layers(student, teacher)
    for a, b in zip((expected[0], *expected[1]), (lambda t: (t[0], *t[1]))(activations(wrapped, x))):
        assert torch.allclose(a, b, atol=1e-6)
    assert check_fit(student, wrapped, x) == [(16, 16), (8, 8), (4, 4)]
    assert dimensions_of(student, wrapped, x).teacher[2] == (64, 4, 4)
    try_loss("at", student, wrapped, x, torch.tensor([0, 1]))


@pytest.mark.kind(WRAPPED)
@pytest.mark.parametrize("kind", (torch.bfloat16, torch.float16, torch.float64))
@pytest.mark.parametrize("loss", ("at", "kd"))
def test_a_teacher_in_another_precision_teaches(kind, loss):
    teacher, student = wrn(10, 1).eval().to(kind), wrn(10, 0.5)
    x, y = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    assert Taps(teacher)(x).logits.dtype == kind
    try_loss(loss, student, teacher.requires_grad_(False), x, y)


@pytest.mark.kind(WRAPPED)
def test_a_student_may_be_frozen_in_part():
    student = wrn(10, 0.5)
    student.conv1.requires_grad_(False)
    try_loss("at", student, wrn(10, 1), torch.randn(2, 3, 16, 16), torch.tensor([0, 1]))


def description(model):
    return [
        (
            module.training,
            sorted(vars(module)),
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            [(p.requires_grad, p.device, p.dtype) for p in module.parameters(recurse=False)],
        )
        for module in model.modules()
    ]


@pytest.mark.kind(UNTOUCHED)
@pytest.mark.parametrize(
    "use",
    (
        lambda s, t, x: activations(t, x),
        lambda s, t, x: check_fit(s, t, x),
        lambda s, t, x: dimensions_of(s, t, x),
        lambda s, t, x: try_loss("at", s, t, x, torch.tensor([0, 1])),
        lambda s, t, x: message_of(lambda: Taps(t, ["block1.0"], named=["block9"])),
        lambda s, t, x: message_of(lambda: Taps(t, ["block1.0"], pooled="fcc")),
    ),
)
def test_modes_hooks_and_attributes_stay(use):
    student, teacher = wrn(10, 0.5).train(), wrn(10, 1).train().requires_grad_(False)
    teacher.block1.eval()
    before, weights = description(student) + description(teacher), copy.deepcopy(teacher.state_dict())
    use(student, teacher.eval() if use is None else teacher, torch.randn(2, 3, 16, 16))
    assert description(student) + description(teacher) == before
    assert list(weights) == list(teacher.state_dict())


@pytest.mark.kind(UNTOUCHED)
def test_no_hook_stays_on_the_student_if_the_teacher_does_not_fit():
    from moonshine.losses.base import Loss, Term

    def zero(student, teacher, labels):
        return student.logits.sum() * 0

    student, teacher = wrn(10, 0.5), wrn(10, 1)
    before = description(student)
    loss = Loss((Term("x", 1.0, zero, "nothing", ("teacher",), (("block1", "block9"),)),))
    assert message_of(lambda: taps_for(loss, student, teacher)).startswith("WRN has no layer 'block9'")
    assert description(student) == before


@pytest.mark.kind(UNTOUCHED)
@pytest.mark.parametrize("own", (nn.ModuleList([nn.Conv2d(3, 3, 1)]), nn.Identity(), "layers", 3, []))
def test_an_attribute_of_the_users_is_no_list_of_layers(own):
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    model.attention_layers = own
    assert message_of(lambda: layers_to_compare(model)).startswith("name the layers to look at")


@pytest.mark.kind(DENSE)
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("positions", ((), (6,), (3, 4), (2, 3, 4)))
def test_every_position_is_a_sample(convention, positions):
    s, t = (torch.randn(2, 5, *positions, dtype=torch.float64) for _ in range(2))
    y = torch.randint(0, 5, (2, *positions))
    rows = [x.movedim(1, -1).reshape(-1, 5) for x in (s, t)]
    p, q = (torch.softmax(x / 4, 1) for x in (rows[1], rows[0]))
    soft = -(p * q.log()).sum(1).mean() if convention == "paper" else (p * (p / q).log()).sum(1).mean()
    weight = {"paper": 2 * 16 * 0.9, "code": 2 * 16 * 0.9 / 5, "standard": 16 * 0.9}[convention]
    expected = 0.1 * F.cross_entropy(s, y) + weight * soft
    assert torch.allclose(soft_term(s, t, 4.0, convention), soft)
    assert torch.allclose(kd_loss(s, t, y, convention=convention), expected)


@pytest.mark.kind(DENSE)
@pytest.mark.parametrize(
    "shapes, message",
    (
        (((2, 5), (2, 4)), "the teacher has 4 classes and the student 5; they must agree"),
        (((2, 5, 4, 4), (2, 6, 4, 4)), "the teacher has 6 classes and the student 5; they must agree"),
        (
            ((2, 5, 4, 4), (2, 5, 8, 8)),
            "the teacher's logits are (2, 5, 8, 8) and the student's (2, 5, 4, 4); they must have one size",
        ),
        (((2, 5), (2, 5, 4, 4)), "the teacher's logits are (2, 5, 4, 4) and the student's (2, 5)"),
    ),
)
def test_shapes_that_differ_are_refused(shapes, message):
    assert message_of(lambda: soft_term(*(torch.randn(shape) for shape in shapes))) == message


CHOICE = "Attention layers reach the end of the network, never its logits"
LAST = {  # network -> (shape, the last layers that a person would choose)
    "resnet18": ((3, 64, 64), ["layer1", "layer2", "layer3", "layer4"]),
    "maxvit_t": ((3, 224, 224), ["blocks.0", "blocks.1", "blocks.2", "blocks.3"]),
    "efficientnet_v2_s": ((3, 64, 64), ["features.3", "features.5", "features"]),
    "convnext_tiny": ((3, 64, 64), ["features.1", "features.3", "features.5", "features"]),
    "vit_b_32": ((3, 224, 224), ["encoder"]),
    "swin_t": ((3, 64, 64), ["features.1", "features.3", "features.5", "permute"]),
    "swin_v2_t": ((3, 64, 128), ["features.1", "features.3", "features.5", "permute"]),
    "fcn_resnet50": ((3, 64, 64), ["backbone.layer1", "backbone"]),
    "deeplabv3_mobilenet_v3_large": ((3, 64, 64), ["backbone.3", "backbone.6", "backbone"]),
    "lraspp_mobilenet_v3_large": ((3, 64, 64), ["backbone.3", "backbone.6", "backbone.16"]),
    "r3d_18": ((3, 8, 32, 32), ["layer1", "layer2", "layer3", "layer4"]),
}


def skeleton(name):
    options = dict(weights_backbone=None) if "mobilenet_v3_large" in name or "fcn" in name else {}
    return models.get_model(name, weights=None, **options).to("meta")


@pytest.mark.kind(CHOICE)
@pytest.mark.parametrize("name", LAST)
def test_the_last_stages_are_chosen(name):
    shape, last = LAST[name]
    model = skeleton(name)
    before = description(model)
    assert attention_layers_of(model, shape)[-len(last) :] == last
    assert description(model) == before


@pytest.mark.kind(CHOICE)
@pytest.mark.slow
def test_detection():
    model = models.get_model(
        "fasterrcnn_mobilenet_v3_large_320_fpn", weights=None, weights_backbone=None
    ).eval()
    chosen = attention_layers_of(model, (3, 64, 64))
    assert chosen[-1] == "backbone.body.16"
    assert activations(model, torch.rand(1, 3, 64, 64), chosen)[1][-1].dim() == 4


class UNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 16, 3, 2, 1))
        self.bottom, self.up = nn.Conv2d(16, 16, 3, 1, 1), nn.ConvTranspose2d(16, 8, 2, 2)
        self.mix, self.head = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, classes, 1)

    def forward(self, x):
        return self.head(self.mix(self.up(self.bottom(self.down(x)))))


@pytest.mark.kind(CHOICE)
@pytest.mark.parametrize("classes", (1, 5, 8, 16))
@pytest.mark.parametrize("wrap", (lambda model: model, nn.Sequential))
def test_never_the_logits_of_a_segmentation_network(classes, wrap):
    model = wrap(UNet(classes))
    prefix = "0." if isinstance(model, nn.Sequential) else ""
    assert attention_layers_of(model, (3, 16, 16)) == [f"{prefix}bottom", f"{prefix}mix"]


@pytest.mark.kind(CHOICE)
@pytest.mark.parametrize("drop", (nn.Dropout(inplace=True), nn.Dropout2d(0.2, inplace=True)))
@pytest.mark.parametrize("training", (True, False))
def test_what_dropout_overwrites_in_training_is_not_chosen(drop, training):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), drop, nn.Flatten()).train(training)
    before, random = description(model), torch.get_rng_state()
    assert attention_layers_of(model, (3, 8, 8)) == ["2"]
    assert description(model) == before and torch.equal(random, torch.get_rng_state())
    Taps(model.train(), ["2"])(torch.randn(2, 3, 8, 8))


@pytest.mark.kind(CHOICE)
@pytest.mark.parametrize("wrap", (nn.DataParallel, lambda m: torch.compile(m, backend="eager")))
def test_a_wrapped_network_has_the_same_layers(wrap):
    assert attention_layers_of(wrap(wrn(10, 1)), (3, 32, 32)) == ["block1.0", "block2.0", "block3.0"]


@pytest.mark.kind(WRAPPED)
@pytest.mark.slow
def test_a_teacher_compiled_in_place_before_the_hooks():
    teacher, x = wrn(10, 1).eval(), torch.randn(2, 3, 16, 16)
    expected = activations(teacher, x)
    teacher.compile(backend="eager")
    teacher(x)
    found = activations(teacher, x)
    for a, b in zip((expected[0], *expected[1]), (found[0], *found[1])):
        assert torch.allclose(a, b, atol=1e-6)
    assert teacher._compiled_call_impl is not None
    del teacher.attention_layers
    assert attention_layers_of(teacher, (3, 16, 16)) == ["block1", "block2", "block3"]
