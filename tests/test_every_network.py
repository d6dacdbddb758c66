"""Every registered network: its spec builds it again, and a checkpoint gives it back."""

import pytest
import torch

from moonshine.models.registry import build_network, networks
from moonshine.training.checkpoints import load, save


@pytest.mark.parametrize("network", networks().values(), ids=lambda network: network.name)
def test_saves_loads_and_is_built_from_its_spec(network, tmp_path):
    model = network.build(**network.example).eval()
    assert model.spec["network"] == network.name
    assert build_network(model.spec).spec == model.spec
    save(tmp_path / "net.pt", model)
    again, x = load(tmp_path / "net.pt")[0], torch.randn(2, 3, 64, 64)
    assert (again.spec, again.title) == (model.spec, model.title)
    assert torch.equal(again(x), model(x))


def test_the_networks_of_this_package_are_registered():
    assert {"wrn", "resnet18", "resnet34", "resnet18_half", "erfnet", "torchvision"} <= set(networks())
