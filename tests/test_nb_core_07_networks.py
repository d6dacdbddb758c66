"""Generated from nbs/core/07_networks.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.models.registry import *


import torch
from fastcore.test import test_eq, test_fail
from torch import nn


def test_a_network_is_known_by_its_name():
    @register_network("mlp", hidden=4)
    def mlp(hidden, num_classes=10):
        return nn.Sequential(nn.Flatten(), nn.Linear(48, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))


    net = build_network(dict(network="mlp", hidden=8, epoch=3))  # what the builder doesn't take is ignored
    test_eq(net(torch.randn(2, 3, 4, 4)).shape, (2, 10))
    test_fail(lambda: register_network("mlp")(nn.Linear), contains="mlp is registered already")
    test_fail(
        lambda: register_network("other")(mlp), contains="needs an example: register_network('other', hidden=...)"
    )
    test_fail(lambda: build_network(dict(network="mlq")), contains="unknown network 'mlq'; did you mean mlp?")


    def define(layers):
        "Run a cell that defines a network of one function."
        found = dict(nn=nn)
        exec(f"def mlp(hidden, num_classes=10):\n    return nn.Sequential(nn.Linear({layers}, hidden))", found)
        return found["mlp"]


    del NETWORKS["mlp"]
    for _ in range(2):  # running a cell again is no collision
        register_network("mlp", hidden=4)(define(48))
    test_fail(lambda: register_network("mlp", hidden=4)(define(32)), contains="mlp is registered already")
    del NETWORKS["mlp"]


def test_a_spec_builds_the_same_network_again():
    def shapes(model):
        return {name: tuple(value.shape) for name, value in model.state_dict().items()}


    for name, network in networks().items():
        model = network.build(**network.example)
        test_eq(model.spec["network"], name)
        again = build_network(model.spec)
        test_eq((again.spec, again.title, shapes(again)), (model.spec, model.title, shapes(model)))
    print(", ".join(networks()))
