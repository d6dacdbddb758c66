"""Generated from nbs/core/18_zoo.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.surgery.zoo import *


import torch
from fastcore.test import test_close, test_eq, test_fail

from moonshine.surgery.student import cheapen


def test_networks_by_name():
    net = network_from_torchvision("squeezenet1_1", 10, "G(4)", keep=["features.3"])
    test_eq((net.title, net.spec["block"]), ("squeezenet1_1 G(4)", "G(4)"))
    test_eq(net.spec["options"]["keep"], ["features.3"])
    again = network_from_torchvision(**{key: value for key, value in net.spec.items() if key != "network"})
    again.load_state_dict(net.state_dict())
    test_eq(again.spec, net.spec)
    x = torch.randn(2, 3, 32, 32)
    test_close(again.eval()(x), net.eval()(x))
    test_eq(type(network_from_torchvision("googlenet", 10).eval()(x)), torch.Tensor)  # no auxiliary outputs


def test_students_by_name():
    plain = network_from_torchvision("squeezenet1_1", 10)
    test_eq(
        plain.spec,
        dict(network="torchvision", architecture="squeezenet1_1", num_classes=10, block=None, options={}),
    )
    student = cheapen(plain, "G(4)")
    test_eq((student.spec["block"], student.title), ("G(4)", "squeezenet1_1 G(4)"))
    test_eq(cheapen(student, "G(N)").spec, None)
    test_eq(cheapen(plain, "G(4)", keep=lambda name, module: False).spec, None)


def test_mistakes_in_names():
    test_fail(lambda: network_from_torchvision("resnet81"), contains="did you mean resnet18?")
    test_fail(
        lambda: network_from_torchvision("resnet18", 10, "G(4)", keep=lambda name, module: True),
        contains="can't hold code",
    )
