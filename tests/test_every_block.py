"""Every name of the released code, in every layout: it builds, trains a step, saves and loads.

The file is our own checkpoint, and the released program's.
"""

import re

import pytest
import torch
from torch.nn import functional as F

from moonshine.blocks.families import RELEASED_NAMES, block_layers, fitting, parse_block
from moonshine.blocks.notation import BLOCKTYPES, FAMILIES, examples
from moonshine.errors import InputError
from moonshine.models.wide_resnet import wrn
from moonshine.training.checkpoints import load, load_original, save

EVERY = [(name, blocktype) for name in (*RELEASED_NAMES, "ACDC") for blocktype in BLOCKTYPES]

# the parts of one convolution in the released state, by name (weights alone; batch norms end in a star)
KEYS = {
    r"Conv|Conv2x2": ["conv.weight"],
    r"DConv|DConv[GA]\d+": ["convdw.weight", "bn.*", "conv1x1.weight"],
    r"(ConvB|G\d+B|A\d+B)\d+": ["conv1x1_down.weight", "bn1.*", "conv.weight", "bn2.*", "conv1x1_up.weight"],
    r"DConvB\d+": ["conv1x1_down.weight", "bn1.*", "convdw.weight", "bn2.*", "conv1x1_up.weight"],
    r"DConv3D": ["convdw.weight", "bn.*", "conv3d.weight"],
}


def one_step(model):
    """A network after one step on random images."""
    torch.manual_seed(1)
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    F.cross_entropy(model.train()(x), y).backward()
    before = [p.clone() for p in model.parameters()]
    optimizer.step()
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters()))
    return model.eval()


@pytest.mark.parametrize("name, blocktype", EVERY)
def test_trains_a_step_saves_and_loads(name, blocktype, tmp_path):
    model = one_step(
        wrn(10, 4, parse_block(name, blocktype))
    )  # width 4: groups of 16 fit even a contraction by 4
    save(tmp_path / "ours.pt", model, epoch=1)
    released = dict(
        net=model.state_dict(),
        epoch=0,
        width=4.0,
        depth=10,
        conv=name,
        blocktype=blocktype,
        module=None,
        train_losses=[1.5],
        train_errors=[torch.tensor(50.0)],
        val_losses=[1.25],
        val_errors=[torch.tensor(40.0)],
    )
    torch.save(released, tmp_path / "theirs.t7")
    x = torch.randn(2, 3, 8, 8)
    for again in (load(tmp_path / "ours.pt")[0], load_original(tmp_path / "theirs.t7")):
        assert again.spec == model.spec
        assert torch.equal(again(x), model(x))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_every_form_of_a_registered_family_builds_saves_and_loads(family, tmp_path):
    for form in family.forms:
        if "source" in form.holes:
            continue  # needs a file of the user's own
        block = parse_block(examples([form])[0])
        assert parse_block(str(block)) == block
        model = wrn(10, 2, block).eval()
        assert block_layers(fitting(block, 24, 36), 24, 36)[-1].out_channels == 36
        save(tmp_path / "net.pt", model)
        again, x = load(tmp_path / "net.pt")[0], torch.randn(1, 3, 8, 8)
        assert again.spec == model.spec and torch.equal(again(x), model(x))


@pytest.mark.parametrize("name", RELEASED_NAMES)
def test_the_parts_carry_the_released_names(name):
    keys = [key for pattern, keys in KEYS.items() if re.fullmatch(pattern, name) for key in keys]
    expected = [key for key in keys if not key.endswith("*")]
    norms = [
        key[:-1] + part
        for key in keys
        if key.endswith("*")
        for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]
    unit = {
        key.removeprefix("block1.0.layer.0.conv1.")
        for key in wrn(10, 4, parse_block(name, "Bottle")).state_dict()
        if key.startswith("block1.0.layer.0.conv1.")
    }
    assert unit == {*expected, *norms}


def test_names_of_the_layouts():
    """The block around the convolutions: Basic and Bottle project with convShortcut, Old with downsample."""

    def parts(blocktype):
        keys = [
            key
            for key in wrn(10, 1, parse_block("Conv", blocktype)).state_dict()
            if key.startswith("block2.0.layer.0.")
        ]
        return {key.split(".")[4] for key in keys}

    assert parts("Basic") == {"bn1", "conv1", "bn2", "conv2", "convShortcut"}
    assert parts("Bottle") == {"bn1", "conv1", "convShortcut"}
    assert parts("Old") == {"bn1", "conv1", "bn2", "conv2", "downsample"}


def test_what_width_2_cannot_hold_is_refused():
    with pytest.raises(
        InputError,
        match="block1.0.layer.0.conv1 has 8 channels, which G16B4/Bottle|BG\\(4,M/16\\) can't split",
    ):
        wrn(40, 2, parse_block("G16B4", "Bottle"))
