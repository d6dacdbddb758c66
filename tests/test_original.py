"""Files written by the released code: the same logits and the same attention maps come out."""

import pytest
import torch

from moonshine.losses.attention import activations, attention_map
from moonshine.training.checkpoints import load, load_original

EXPECTED = {  # file -> depth, width, block, classes
    "wrn_10_1.conv": (10, 1, "S", 10),
    "wrn_10_2.g8b2.bottle": (10, 2, "BG(2,M/8)", 10),
    "wrn_16_1.dconvg4.cifar100": (16, 1, "G(N/4)", 100),
}


@pytest.fixture(params=EXPECTED)
def fixture(request, shared):
    """Name, path, and what the released code computed."""
    path = shared(f"fixtures/original/{request.param}.t7")
    return (
        request.param,
        path,
        torch.load(shared(f"fixtures/original/{request.param}.expected.pt"), weights_only=True),
    )


def without_counters(path, folder):
    """The file as an old PyTorch would have written it."""
    content = torch.load(path, weights_only=True)
    content["net"] = {
        key: value for key, value in content["net"].items() if not key.endswith("num_batches_tracked")
    }
    torch.save(content, folder / "old.t7")
    return folder / "old.t7"


def check(model, expected):
    with torch.no_grad():
        logits, found = activations(model, expected["x"])
    torch.testing.assert_close(logits, expected["logits"], rtol=1e-4, atol=1e-5)
    assert len(found) == len(expected["at"])
    for activation, map in zip(found, expected["at"]):
        torch.testing.assert_close(attention_map(activation), map, rtol=1e-4, atol=1e-6)


def test_same_logits_and_maps(fixture):
    name, path, expected = fixture
    check(load_original(path), expected)


def test_same_without_batch_counters(fixture, tmp_path):
    name, path, expected = fixture
    check(load_original(without_counters(path, tmp_path)), expected)


def test_described_in_our_words(fixture):
    name, path, expected = fixture
    model, info = load(path)
    assert not model.training
    assert (info["depth"], info["width"], info["block"], info["num_classes"]) == EXPECTED[name]
    assert info["epoch"] == 4 and len(info["history"]) == 4
    assert info["history"][0] == dict(
        epoch=1, train_loss=2.1, train_error=pytest.approx(71.2), test_loss=1.9, test_error=66.0
    )
