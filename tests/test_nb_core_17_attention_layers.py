"""Generated from nbs/core/17_attention_layers.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.surgery.attention_layers import *


from functools import partial

import torch
from fastcore.test import test_eq, test_fail
from torch import nn
from torchvision.models import get_model

from moonshine.models.wide_resnet import wrn
from moonshine.surgery.student import cheapen


def skeleton(name):
    "A network of torchvision on the meta device: shapes without values"
    options = dict(init_weights=False) if name == "googlenet" else {}
    return get_model(name, weights=None, **options).to("meta")


def test_one_tensor_of_many_kinds_of_output():
    a, b = torch.zeros(2, 3), torch.ones(2, 3)
    for output in (a, (a, b), [a], dict(x=a), dict(logits=a, aux=b), dict(out=a, aux=b)):
        assert pick_tensor(output, "layer x") is a
    levels = {"0": torch.zeros(1, 2, 4, 4), "1": torch.zeros(1, 2, 2, 2)}
    test_fail(lambda: pick_tensor(levels, "layer fpn"), contains="layer fpn returns the parts 0, 1, not one")
    test_fail(lambda: pick_tensor([*levels.values()], "layer fpn"), contains="returns a list of 2, not one")
    test_fail(lambda: pick_tensor(None, "layer x"), contains="layer x returns NoneType, not one feature map")


def test_tokens_become_maps():
    grid = torch.arange(2 * 4 * 2 * 3).view(2, 3, 4, 2).float()  # (B, C, H, W)
    tokens = grid.flatten(2).transpose(1, 2)  # (B, N, C)
    for extra in EXTRA_TOKENS:
        test_eq(as_map(torch.cat([torch.zeros(2, extra, 3), tokens], 1), (32, 16)), grid)
    test_eq(as_map(grid.permute(0, 2, 3, 1), (32, 16), {3}), grid)
    test_eq(as_map(grid, (32, 16), {2}), grid)
    test_eq(as_map(tokens[:, 2:], (32, 16)), tokens[:, 2:])  # 6 tokens are no grid twice as high as wide


def test_the_inside_of_a_residual_block():
    inner = inner_names(wrn(10, 1))
    assert "block1.0.layer.0.conv1" in inner and not {"conv1", "block1.0", "block1.0.layer.0", "fc"} & inner
    student = cheapen(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.ReLU()), "G(2)")
    test_eq(inner_names(student), {"1.convdw", "1.bn", "1.relu", "1.conv1x1"})


def test_layers_that_count():
    full, depthwise = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3, groups=8)
    stem, pointwise, norm = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.LayerNorm(8)
    network = nn.Sequential(full, depthwise, pointwise, stem, norm)  # not in the order of execution
    test_eq(working_layers(network, ["3", "1", "2", "0", "4"]), {"0", "1", "4"})


def test_the_choice_for_resnets_is_the_papers():
    groups = ["layer1", "layer2", "layer3", "layer4"]
    for name in ("resnet18", "resnet50"):
        net = get_model(name, weights=None, num_classes=10)
        net.layer1[0].eval()  # one part in another mode
        test_eq(attention_layers_of(net, (3, 64, 64)), groups)
        test_eq(attention_layers_of(net, torch.randn(2, 3, 64, 64)), groups)
        test_eq((net.training, net.layer1[0].training), (True, False))  # modes as before
        test_eq([m for m in net.modules() if m._forward_hooks], [])
    test_eq(attention_layers_of(net, (3, 32, 32)), groups[:3])  # a map of 1×1 shows nothing
    test_eq(attention_layers_of(wrn(10, 1), (3, 32, 32)), ["block1.0", "block2.0", "block3.0"])
    with torch.inference_mode():
        test_eq(attention_layers_of(net, (3, 64, 64)), groups)


def test_the_names_fit_teacher_and_student():
    def map_sizes(net, names):
        sizes = {}

        def note(name, module, args, out):
            sizes[name] = out.shape[2:]

        for name in names:
            net.get_submodule(name).register_forward_hook(partial(note, name))
        net.eval()(torch.zeros(1, 3, 64, 64, device="meta"))
        return sizes


    for name, block in [("resnet18", "G(N)"), ("resnet18", "BG(2,M/8)"), ("googlenet", "G(N)")]:
        teacher = skeleton(name)
        student, chosen = cheapen(teacher, block), attention_layers_of(teacher, (3, 64, 64))
        test_eq((name, block, attention_layers_of(student, (3, 64, 64))), (name, block, chosen))
        test_eq(map_sizes(student, chosen), map_sizes(teacher, chosen))  # the maps can be compared


def test_what_is_overwritten_or_called_twice_is_not_chosen():
    class Overwrites(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.twice = nn.Conv2d(3, 4, 1), nn.Identity()
            self.a, self.b = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x):
            x = self.b(self.a(self.stem(x)))
            return dict(out=(self.twice(self.twice(x.relu_() + 1)),))


    test_eq(attention_layers_of(Overwrites(), (3, 8, 8)), ["a"])  # b is overwritten, twice is called twice
    alone = nn.Sequential(nn.Conv2d(3, 4, 3))
    test_fail(lambda: attention_layers_of(alone, (3, 8, 8)), contains="name the layers")
    drops = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Dropout2d(inplace=True), nn.Flatten())
    test_eq(attention_layers_of(drops, (3, 8, 8)), ["2"])  # not 1, which is overwritten in training
    test_fail(lambda: attention_layers_of(nn.Sequential(nn.Linear(4, 5)), (4,)), contains="name the layers")


def test_transformers_segmentation_and_video():
    for name, shape, last in (
        ("vit_b_32", (3, 224, 224), "encoder"),
        ("swin_t", (3, 224, 224), "permute"),
        ("lraspp_mobilenet_v3_large", (3, 64, 64), "backbone.16"),
        ("r3d_18", (3, 8, 32, 32), "layer4"),
    ):
        options = dict(weights_backbone=None) if name.startswith("lraspp") else {}
        chosen = attention_layers_of(get_model(name, weights=None, **options).to("meta"), shape)
        print(f"{name:28}{', '.join(chosen)}")
        test_eq(chosen[-1], last)
