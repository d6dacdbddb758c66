"""Checkpoints and results that are crafted, damaged or swapped: refused in one line, or read as they are."""

import ast
import io
import os
import re
import shutil
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from moonshine.data.drawing import shapes
from moonshine.errors import InputError
from moonshine.losses.base import cross_entropy
from moonshine.models.registry import Network, networks
from moonshine.models.wide_resnet import wrn
from moonshine.paper.report import write_report
from moonshine.paper.results import (
    example_result,
    network_files,
    put_example,
    read_result,
    read_results,
    standing,
    write_result,
)
from moonshine.paper.runner import taught_by
from moonshine.surgery.zoo import network_from_torchvision
from moonshine.training import checkpoints, loop
from moonshine.training.recipe import Recipe

W = "conv1.weight"
nan, inf = float("nan"), float("inf")
ROOT = Path(os.environ.get("MOONSHINE_CHECKOUT") or Path(__file__).resolve().parents[2])


def network():
    """A small network, the same every time."""
    torch.manual_seed(0)
    return wrn(10, 0.5)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The content of a checkpoint."""
    path = tmp_path_factory.mktemp("good") / "T.pt"
    checkpoints.save(path, network(), epoch=1, history=[dict(epoch=1, ce=2.0)])
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of one epoch, T.pt."""
    folder = tmp_path_factory.mktemp("trained")
    resume(folder, epochs=1)
    return folder


def resume(folder, epochs=2):
    """Train the run T in a folder, or resume it."""
    recipe = Recipe(epochs=epochs, batch_size=16, weight_decay=5e-4)
    model, data = network(), shapes(train=32, test=16)
    loop.train(model, data, cross_entropy(), recipe, "T", folder, resume=True, quiet=True)
    return model


def refusal(action) -> str:
    """The one line with which an action is refused."""
    with pytest.raises(InputError) as caught:
        action()
    line = str(caught.value)
    assert "\n" not in line and len(line) < 700, line
    return line


def refused(tmp_path, content) -> str:
    """The line with which a file of this content is refused, without the folder's name."""
    path = tmp_path / "T.pt"
    torch.save(content, path)
    return refusal(lambda: checkpoints.load(path)).replace(f"{tmp_path}/", "")


def zoo(name, block=None):
    """The description of a network of torchvision."""
    return dict(network="torchvision", architecture=name, block=block)


def without(content, key):
    return {name: value for name, value in content.items() if name != key}


CANT = "T.pt describes a network that can't be built: "
NO = "T.pt is not a proper checkpoint: "
DEPTH, WIDTH = "; it must be a whole number from 1 to 10,000", "; it must be a number from 0 to 1,000"
CLASSES = "; it must be a whole number from 1 to 1,000,000"
TORCHVISION = dict(network="torchvision", architecture="resnet18", block="G(4)")


@pytest.mark.kind("A description with values that no network has")
@pytest.mark.parametrize(
    "change, message",
    [
        (dict(depth="10"), f"{CANT}depth is '10'{DEPTH}"),
        (dict(depth=nan), f"{CANT}depth is nan{DEPTH}"),
        (dict(depth=10.0), f"{CANT}depth is 10.0{DEPTH}"),
        (dict(depth=True), f"{CANT}depth is True{DEPTH}"),
        (dict(depth=None), f"{CANT}depth is None{DEPTH}"),
        (dict(depth=[10]), f"{CANT}depth is [10]{DEPTH}"),
        (dict(depth=torch.tensor(10)), f"{CANT}depth is a tensor of torch.int64 and shape (){DEPTH}"),
        (dict(width=nan), f"{CANT}width is nan{WIDTH}"),
        (dict(width=inf), f"{CANT}width is inf{WIDTH}"),
        (dict(width="0.5"), f"{CANT}width is '0.5'{WIDTH}"),
        (dict(width=-1), f"{CANT}width is -1{WIDTH}"),
        (dict(num_classes="ten"), f"{CANT}num_classes is 'ten'{CLASSES}"),
        (dict(num_classes=-1), f"{CANT}num_classes is -1{CLASSES}"),
        (dict(num_classes=0), f"{CANT}num_classes is 0{CLASSES}"),
        (dict(splits="1"), f"{CANT}splits is '1'{DEPTH}"),
        (dict(block=3), f"{CANT}block is 3; it must be the name of a block"),
        (dict(block="G(" * 10**5), "it must be the name of a block"),
        (dict(network=["wrn"]), f"{NO}network is ['wrn']; it must be text of at most 1,000 characters"),
        (dict(network="os"), f"{CANT}unknown network 'os'; known: wrn"),
        (dict(TORCHVISION, architecture=7), f"{NO}architecture is 7; it must be text of at most 200"),
        (dict(TORCHVISION, architecture="os"), f"{CANT}torchvision has no network 'os'"),
        (dict(TORCHVISION, options="x"), f"{CANT}options is 'x'; it must be a dict"),
        (dict(TORCHVISION, options=dict(lala=1)), "unexpected keyword argument 'lala'"),
        (dict(TORCHVISION, options=dict(keep=3)), f"{CANT}TypeError: 'int' object is not iterable"),
    ],
)
def test_values_that_no_network_has(tmp_path, good, change, message):
    assert message in refused(tmp_path, good | change)


@pytest.mark.kind("A description with a key missing")
@pytest.mark.parametrize(
    "key, message",
    [
        ("depth", f"{CANT}depth is missing"),
        ("width", f"{CANT}width is missing"),
        ("block", f"{CANT}block is missing"),
        ("network", f"{NO}network is missing"),
        ("version", f"{NO}version is missing"),
        ("format", "T.pt is a checkpoint of another program"),
        ("net", "T.pt is not a moonshine checkpoint: it has no weights under 'net'"),
    ],
)
def test_a_key_is_missing(tmp_path, good, key, message):
    assert refused(tmp_path, without(good, key)).startswith(message)


@pytest.mark.kind("A small file that describes a huge network")
@pytest.mark.parametrize(
    "change, message",
    [
        (dict(depth=10**9), f"depth is 1000000000{DEPTH}"),
        (dict(depth=9_994), "depth is 9,994, but the file holds only 47 weights"),
        (dict(width=1e9), f"width is 1000000000.0{WIDTH}"),
        (
            dict(width=1000),
            "conv1.conv.weight is (8, 16, 3, 3) in the file, (16000, 16, 3, 3) in the network",
        ),
        (dict(num_classes=10**6), "fc.weight is (10, 32) in the file, (1000000, 32) in the network"),
        (dict(num_classes=10**9), f"num_classes is 1000000000{CLASSES}"),
        (dict(splits=10**9), f"splits is 1000000000{DEPTH}"),
        (zoo("vit_h_14"), "names differ, e.g. class_token"),
        (zoo("vgg19"), "names differ, e.g. features.0.weight"),
        (zoo("vit_l_16", "G(4)"), "G(4) replaces nothing in this VisionTransformer"),
        (zoo("regnet_y_128gf"), "names differ, e.g. stem.0.weight"),
        (zoo("convnext_large"), "names differ, e.g. features.0.0.weight"),
        (dict(network="resnet34", block="S", num_classes=10**6), "names differ"),
    ],
)
def test_a_huge_network_takes_no_memory(tmp_path, good, monkeypatch, change, message):
    check, outlines = checkpoints.check_fit, []

    def only_outlines(own, *arguments):
        outlines.append(all(value.is_meta or value.numel() == 1 for value in own.values()))  # 1: counters
        check(own, *arguments)

    monkeypatch.setattr(checkpoints, "check_fit", only_outlines)
    assert message in refused(tmp_path, good | change)
    assert outlines in ([], [True])  # nothing with numbers was built


@pytest.mark.kind("A small file that describes a huge network")
@pytest.mark.parametrize("most, width", [(10**5, 1), (6 * 10**5, 2), (10**6, 4)])
def test_weights_that_share_their_numbers(tmp_path, most, width):
    """Views of one tensor: each weight is whole, and all of them together are many times the file."""
    model, shared = wrn(16, width), torch.ones(most)
    net = model.state_dict()
    for name, value in net.items():
        if value.is_floating_point():
            net[name] = shared[: value.numel()].view(value.shape)
    needed = sum(value.numel() for value in net.values())
    counters = sum(name.endswith("num_batches_tracked") for name in net)
    line = refused(tmp_path, dict(format=checkpoints.FORMAT, version=3, **model.spec, net=net))
    assert line == f"T.pt describes a network of {needed:,} numbers, but stores only {most + counters:,}"


@pytest.mark.kind("Contents without end")
def test_contents_without_end(tmp_path, good):
    endless, laughs, deep = [], ["ha"], []
    endless.append(endless)
    for _ in range(25):
        laughs, deep = [laughs] * 4, [deep]
    assert refused(tmp_path, good | dict(history=endless)) == f"{NO}it is nested more than 12 levels deep"
    assert refused(tmp_path, good | dict(history=laughs)) == f"{NO}it holds more than 5,000,000 values"
    assert refused(tmp_path, good | dict(mine=deep)) == f"{NO}it is nested more than 12 levels deep"


ONES = torch.ones(16, 3, 3, 3)
FIT = "T.pt does not fit the network it describes"


@pytest.mark.kind("Weights that are no weights")
@pytest.mark.parametrize(
    "name, value, message",
    [
        (W, ONES.long(), f"{FIT}: {W} is torch.int64 in the file, torch.float32 in the network"),
        (W, ONES.bool(), f"{FIT}: {W} is torch.bool in the file, torch.float32 in the network"),
        (W, ONES.byte(), f"{FIT}: {W} is torch.uint8 in the file, torch.float32 in the network"),
        (W, ONES.cfloat(), f"{FIT}: {W} is torch.complex64 in the file, torch.float32 in the network"),
        (W, ONES * nan, f"T.pt can't be loaded: {W} of the weights is not finite"),
        (W, ONES.double() * 1e300, f"T.pt can't be loaded: {W} of the weights is not finite"),
        (W, ONES * -inf, f"T.pt can't be loaded: {W} of the weights is not finite"),
        ("bn1.running_var", torch.full((32,), nan), "bn1.running_var of the weights is not finite"),
        (
            "bn1.num_batches_tracked",
            torch.tensor(1.5),
            "torch.float32 in the file, torch.int64 in the network",
        ),
        (
            W,
            ONES.to_sparse(),
            f"{NO}net.{W} is a tensor of torch.float32 and shape (16, 3, 3, 3); it must be",
        ),
        (W, ONES.to("meta"), "; it must be a dense tensor"),
        (W, torch.ones(1).expand(16, 3, 3, 3), "; it must be a dense tensor"),
        (W, torch.ones(1).expand(10**12), "and shape (1000000000000,); it must be a dense tensor"),
        (W, "x", f"{NO}net.{W} is 'x'; it must be a dense tensor"),
        (W, None, f"{NO}net.{W} is None; it must be a dense tensor"),
        (W, torch.ones(3), f"{FIT}: {W} is (3,) in the file, (16, 3, 3, 3) in the network"),
        ("extra", torch.ones(1), f"{FIT}; 1 names differ, e.g. extra"),
        (1, torch.ones(1), f"{NO}net has the key 1; keys must be text"),
    ],
)
def test_weights_that_are_no_weights(tmp_path, good, name, value, message):
    assert message in refused(tmp_path, good | dict(net={**good["net"], name: value}))


NUMBER, NORM = "; it must be a whole number, 0 or more", "; it must be None, or the mean and the positive std"


@pytest.mark.kind("Other values of a checkpoint that cannot be right")
@pytest.mark.parametrize(
    "change, message",
    [
        (dict(version="3"), "version is '3'; it must be a whole number, 1 or more"),
        (dict(version=nan), "version is nan; it must be a whole number, 1 or more"),
        (dict(version=0), "version is 0; it must be a whole number, 1 or more"),
        (dict(epoch="1"), f"epoch is '1'{NUMBER}"),
        (dict(epoch=-1), f"epoch is -1{NUMBER}"),
        (dict(epoch=10**500), "000; it must be a whole number, 0 or more"),
        (dict(history="x"), "history is 'x'; it must be a list"),
        (dict(history=[1]), "history[0] is 1; it must be a dict"),
        (dict(history=[dict(epoch="1")]), f"history[0].epoch is '1'{NUMBER}"),
        (
            dict(history=[dict(epoch=1, ce=[2.0])]),
            "history[0].ce is [2.0]; it must be a number or a short text",
        ),
        (dict(normalization="x"), f"normalization is 'x'{NORM}"),
        (dict(normalization=dict(mean=[0.0], std=[0.0])), NORM),
        (dict(normalization=dict(mean=[nan], std=[1.0])), NORM),
        (dict(normalization=dict(mean=[0.0] * 2, std=[1.0] * 3)), NORM),
        (dict(classes=3), "classes is 3; it must be a list"),
        (dict(classes=[1, 2]), "classes[0] is 1; it must be text of at most 1,000 characters"),
        (dict(recipe="x"), "recipe is 'x'; it must be a dict"),
        (dict(recipe=dict(epochs="many")), "recipe.epochs is 'many'; it must be a whole number, 1 or more"),
        (dict(recipe=dict(momentum=nan)), "recipe.momentum is nan; it must be a finite number, 0 or more"),
        (dict(best=0.5), "best is 0.5; it must be a dict"),
        (dict(best=dict(epoch=1)), "best.net is missing"),
        (dict(best=dict(epoch=1, net=[])), "best.net is []; it must be a dict"),
        (dict(started=dict(images=-1, sums={}, seconds=0.0)), f"started.images is -1{NUMBER}"),
        (dict(random="x"), "random is 'x'; it must be a list"),
        (dict(optimizer="x", recipe=dict(seed=0, epochs=1)), "optimizer is 'x'; it must be a dict"),
        (dict(optimizer={}), "recipe is missing"),
        (dict(loss=dict(a=1)), "loss.a is 1; it must be a dense tensor"),
        (dict(starts=[1]), "starts[0] is 1; it must be a dict"),
        ({5: 1}, "it has the key 5; keys must be text"),
    ],
)
def test_other_values(tmp_path, good, change, message):
    line = refused(tmp_path, good | change)
    assert line.startswith(NO) and message in line


@pytest.mark.kind("Other values of a checkpoint that cannot be right")
def test_best_weights_of_another_network(tmp_path, good):
    best = dict(epoch=1, net={**good["net"], W: torch.ones(3)})
    message = f"{FIT}: {W} is (3,) in the file, (16, 3, 3, 3) in the network"
    assert refused(tmp_path, good | dict(best=best)) == message


@pytest.mark.kind("Other values of a checkpoint that cannot be right")
def test_a_newer_version_names_the_repository(tmp_path, good):
    line = refused(tmp_path, good | dict(version=99))
    assert line == (
        "T.pt was written by a newer moonshine (format 99, this one reads 3); "
        "install the newer version from the repository that this one came from"
    )


CURVES = dict.fromkeys(("train_losses", "train_errors", "val_losses", "val_errors"), [1.0])
THEIRS = "T.pt is not a proper checkpoint of the released program: "


@pytest.mark.kind("Crafted files in the released program's form")
@pytest.mark.parametrize(
    "change, message",
    [
        (dict(width=None), f"{THEIRS}width is None{WIDTH}"),
        (dict(width="wide"), f"{THEIRS}width is 'wide'{WIDTH}"),
        (dict(width=nan), f"{THEIRS}width is nan{WIDTH}"),
        (dict(depth="deep"), f"{THEIRS}depth is 'deep'{DEPTH}"),
        (dict(depth=nan), f"{THEIRS}depth is nan{DEPTH}"),
        (dict(depth=10**9), f"{THEIRS}depth is 1000000000{DEPTH}"),
        (dict(epoch="x"), f"{THEIRS}epoch is 'x'{NUMBER}"),
        (dict(conv=3), f"{THEIRS}conv is 3; it must be text"),
        (dict(blocktype=["Basic"]), f"{THEIRS}blocktype is ['Basic']; it must be text"),
        (dict(conv="Convolution"), "unknown block 'Convolution'"),
        (dict(train_losses="x"), f"{THEIRS}train_losses is 'x'; it must be a list"),
        (
            dict(val_errors=[torch.ones(3)]),
            f"{THEIRS}val_errors[0] is a tensor of torch.float32 and shape (3,)",
        ),
        (dict(net={W: torch.ones(1)}), f"{THEIRS}it has no matrix net.fc.weight"),
        (dict(net={"fc.weight": torch.tensor(1.0)}), f"{THEIRS}it has no matrix net.fc.weight"),
        (dict(net={"fc.weight": "x"}), f"{THEIRS}net.fc.weight is 'x'; it must be a dense tensor"),
        (dict(net={1: 2}), f"{THEIRS}net has the key 1; keys must be text"),
    ],
)
def test_released_files(tmp_path, good, change, message):
    theirs = dict(net=good["net"], epoch=0, width=0.5, depth=10, conv="Conv", blocktype="Basic", **CURVES)
    torch.save(theirs, tmp_path / "T.pt")
    assert checkpoints.load(tmp_path / "T.pt")[1]["history"][0]["test_error"] == 1.0
    assert message in refused(tmp_path, theirs | change)


@pytest.mark.kind("Crafted files in the released program's form")
@pytest.mark.parametrize("key", ["width", "depth", "epoch"])
def test_a_key_of_a_released_file_is_missing(tmp_path, good, key):
    theirs = dict(net=good["net"], epoch=0, width=0.5, depth=10, conv="Conv", blocktype="Basic", **CURVES)
    assert refused(tmp_path, without(theirs, key)) == f"{THEIRS}{key} is missing"


def zipped(content: bytes, change) -> bytes:
    """An archive with the same parts, each written as `change` says."""
    memory, parts = io.BytesIO(), zipfile.ZipFile(io.BytesIO(content))
    with zipfile.ZipFile(memory, "w") as archive:
        for part in parts.infolist():
            archive.writestr(part.filename, parts.read(part), change(part.filename))
    return memory.getvalue()


@pytest.mark.kind("Archives that PyTorch does not write")
def test_archives(tmp_path, good):
    path = tmp_path / "T.pt"
    torch.save(good, path)
    whole = path.read_bytes()
    compressed = "compressed, and torch.save compresses nothing"
    for chosen, message in (("", compressed), ("data.pkl", compressed), (W, ""), ("data/0", compressed)):
        path.write_bytes(
            zipped(whole, lambda name: zipfile.ZIP_DEFLATED if chosen in name else zipfile.ZIP_STORED)
        )
        if message:
            assert message in refusal(lambda: checkpoints.load(path))
        else:
            assert torch.equal(checkpoints.load(path)[0].conv1.weight, good["net"][W])
    path.write_bytes(checkpoints.sealed(zipped(whole, lambda name: zipfile.ZIP_LZMA)))  # a seal is no excuse
    assert compressed in refusal(lambda: checkpoints.load(path))


@pytest.mark.kind("Archives that PyTorch does not write")
@pytest.mark.parametrize(
    "start, size", [(b"", 0), (b"", 10**12), (b"#!/bin/sh\n", 0), (b"PK", 0), (b"\x80\x02.", 0)]
)
def test_files_of_other_programs(tmp_path, start, size):
    path = tmp_path / "T.pt"
    path.write_bytes(start)
    os.truncate(path, max(size, len(start)))  # 1 TB of zeros takes no room on the disk
    assert f"{path} is not a checkpoint that can be read safely (" in refusal(lambda: checkpoints.load(path))


@pytest.mark.kind("Archives that PyTorch does not write")
def test_parts_that_overlap(tmp_path, good):
    torch.save(good, tmp_path / "T.pt")
    whole = bytearray((tmp_path / "T.pt").read_bytes())
    at = whole.rindex(b"PK\x01\x02")  # a part of the table of contents that claims 2 GB
    whole[at + 20 : at + 28] = (2**31).to_bytes(4, "little") * 2
    (tmp_path / "T.pt").write_bytes(bytes(whole))
    assert "its parts overlap" in refusal(lambda: checkpoints.load(tmp_path / "T.pt"))


@pytest.mark.kind("Old formats stay readable")
def test_files_before_checksums_are_read_with_a_warning(tmp_path, good):
    path = tmp_path / "T.pt"
    torch.save(good, path, _use_new_zipfile_serialization=False)
    with pytest.warns(UserWarning, match="T.pt is from a PyTorch before 1.6 and has no checksums"):
        model, _ = checkpoints.load(path)
    assert torch.equal(model.conv1.weight, good["net"][W])


@pytest.mark.kind("Old formats stay readable")
@pytest.mark.parametrize("version, names", [(1, "normalisation"), (2, "normalisation"), (3, "normalization")])
def test_versions_of_our_own(tmp_path, good, version, names):
    old = good | {"version": version, names: dict(mean=[0.5] * 3, std=[0.25] * 3)}
    torch.save(old, tmp_path / "T.pt")
    model, info = checkpoints.load(tmp_path / "T.pt")
    assert torch.equal(model.conv1.weight, good["net"][W])
    assert info["normalization"] == dict(mean=[0.5] * 3, std=[0.25] * 3)


@pytest.mark.kind("Old formats stay readable")
def test_the_packaged_weights_are_read():
    folder = Path(checkpoints.__file__).parent.parent / "facts" / "trained"
    files = sorted(folder.rglob("*.pt"))
    versions = [torch.load(path, weights_only=True)["version"] for path in files]
    assert set(versions) == {1, 3} and len(files) == 9
    for path in files:
        model, info = checkpoints.load(path)
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, len(info["classes"]))


@pytest.mark.kind("Old formats stay readable")
@pytest.mark.parametrize("name", ["wrn_10_1.conv", "wrn_10_2.g8b2.bottle", "wrn_16_1.dconvg4.cifar100"])
def test_the_released_files_are_read(shared, name):
    expected = torch.load(shared(f"fixtures/original/{name}.expected.pt"), weights_only=True)
    model, info = checkpoints.load(shared(f"fixtures/original/{name}.t7"))
    torch.testing.assert_close(model(expected["x"]), expected["logits"], rtol=1e-4, atol=1e-5)
    assert info["epoch"] == 4 and len(info["history"]) == 4


def spoiled(trained, folder, change) -> Path:
    """A copy of the trained run whose checkpoint is changed, and has a good checksum."""
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    path = folder / "T.pt"
    content = torch.load(path, weights_only=True)
    change(content)
    memory = io.BytesIO()
    torch.save(content, memory)
    path.write_bytes(checkpoints.sealed(memory.getvalue()))
    return path


def buffer(value):
    return lambda content: content["optimizer"]["state"][0].update(momentum_buffer=value)


def entry(**values):
    return lambda content: content.update(values)


FITS = "not (16, 3, 3, 3) torch.float32"
PLACE = "can't be resumed: the momentum of conv1.weight is"


@pytest.mark.kind("Momentum of another shape at resume")
@pytest.mark.parametrize(
    "change, message",
    [
        (buffer(torch.zeros(16)), f"{PLACE} (16,) torch.float32, {FITS}"),
        (buffer(torch.zeros(0)), f"{PLACE} (0,) torch.float32, {FITS}"),
        (buffer(torch.zeros(3, 16, 3, 3)), f"{PLACE} (3, 16, 3, 3) torch.float32, {FITS}"),
        (buffer(ONES.double()), f"{PLACE} (16, 3, 3, 3) torch.float64, {FITS}"),
        (buffer(ONES.byte()), f"{PLACE} (16, 3, 3, 3) torch.uint8, {FITS}"),
        (buffer(ONES.to_sparse()), f"{PLACE} no plain tensor"),
        (buffer(ONES * nan), "0.momentum_buffer of the momentum is not finite"),
        (buffer("x"), f"{PLACE} no plain tensor"),
        (entry(optimizer=dict(param_groups=[], state={})), "holds the momentum of 0 parameters"),
        (entry(optimizer=dict(state={})), "holds no optimizer state that can be read"),
        (entry(optimizer=dict(param_groups=[dict(params=[[0]])], state={})), "no optimizer state"),
        (entry(random=[torch.zeros(7, dtype=torch.uint8)]), "random numbers can't be restored"),
        (entry(history=[dict(epoch=1, train_loss=nan)]), "0.train_loss of the history is not finite"),
        (
            entry(history=[dict(epoch=1, train_loss="low")]),
            "history[0].train_loss is 'low'; it must be a number",
        ),
        (entry(history=[]), "epoch is 1, but the history has 0 rows"),
        (entry(started=dict(images=10**6, sums=dict(ce=2.0), seconds=1.0)), "there are 32 training images"),
        (entry(started=dict(images=16, sums={}, seconds=1.0)), "started.sums holds 0 sums over 16 images"),
        (entry(classes=["cat", "dog"]), "it names 2 classes, and its network has 10"),
        (lambda content: content["recipe"].pop("seed"), "recipe.seed is missing"),
        (lambda content: content["net"].update({W: ONES * nan}), f"{W} of the weights is not finite"),
    ],
)
def test_a_state_that_does_not_fit(tmp_path, trained, change, message):
    path = spoiled(trained, tmp_path, change)
    kept = path.read_bytes()
    assert message in refusal(lambda: resume(tmp_path))
    assert path.read_bytes() == kept


@pytest.mark.kind("Optimizer settings from the file")
@pytest.mark.parametrize(
    "settings",
    [
        dict(weight_decay=0.5),
        dict(maximize=True),
        dict(nesterov=True),
        dict(fused=False),
        dict(lr=9.0, momentum=0),
    ],
)
def test_the_settings_are_the_recipes(tmp_path, trained, settings):
    wanted = tmp_path / "wanted"
    shutil.copytree(trained, wanted)

    def change(content):
        for group in content["optimizer"]["param_groups"]:
            group.update(settings)

    spoiled(trained, tmp_path / "given", change)
    good, given = resume(wanted), resume(tmp_path / "given")
    assert all(torch.equal(a, b) for a, b in zip(good.state_dict().values(), given.state_dict().values()))


@pytest.mark.kind("A file is loaded as a whole, or not at all")
@pytest.mark.parametrize(
    "value",
    [
        torch.ones(10).to_sparse(),
        torch.ones(11),
        torch.ones(10).long(),
        torch.ones(1).expand(10),
        "x",
        ONES * nan,
    ],
)
def test_nothing_is_filled_by_halves(value):
    model, other = network(), wrn(10, 0.5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    refusal(lambda: checkpoints.fill(model, {**other.state_dict(), "fc.bias": value}, "T.pt"))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.kind("A compiled network is saved and filled")
@pytest.mark.parametrize(
    "wrap", [torch.compile, nn.DataParallel, lambda net: torch.compile(nn.DataParallel(net))]
)
def test_wrapped_networks(tmp_path, wrap):
    model, path = network().eval(), tmp_path / "T.pt"
    checkpoints.save(path, wrap(model))
    again, _ = checkpoints.load(path)
    assert list(torch.load(path, weights_only=True)["net"]) == list(network().state_dict())
    filled = checkpoints.load_weights(path, wrap(wrn(10, 0.5)))
    for other in (again, checkpoints.bare(filled)):
        assert all(
            torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values())
        )


@pytest.mark.kind("A compiled network is saved and filled")
def test_a_compiled_part(tmp_path):
    model = network().eval()
    model.block1, model.fc = torch.compile(model.block1), torch.compile(model.fc)
    checkpoints.save(tmp_path / "T.pt", model)
    again, _ = checkpoints.load(tmp_path / "T.pt")
    assert torch.equal(again.fc.weight, model.fc.weight)
    target = network()
    target.block2 = torch.compile(target.block2)
    assert torch.equal(checkpoints.load_weights(tmp_path / "T.pt", target).fc.weight, model.fc.weight)


@pytest.mark.kind("What is written can be read again")
@pytest.mark.parametrize(
    "info, message",
    [
        (dict(where=Path("a")), "where is a pathlib.PosixPath; it must be made of numbers, text, lists"),
        (dict(best=0.5), "best is 0.5; it must be a dict"),
        (dict(epoch=1.5), f"epoch is 1.5{NUMBER}"),
        (dict(recipe=Recipe()), "; it must be a dict"),
        (dict(mine=dict(model=nn.Linear)), "mine.model is a builtins.type"),
        (dict(width=nan), f"width is nan{WIDTH}"),
        (dict(depth=10**9), f"depth is 1000000000{DEPTH}"),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, info, message):
    path = tmp_path / "T.pt"
    checkpoints.save(path, network(), epoch=1)
    model = network()
    model.spec = {key: value for key, value in model.spec.items() if key not in info}
    line = refusal(lambda: checkpoints.save(path, model, **info))
    assert line.startswith(f"{path} is not written, because it could not be read again: ") and message in line
    assert checkpoints.describe(path)["epoch"] == 1


@pytest.mark.kind("What is written can be read again")
def test_a_lazy_network(tmp_path):
    path, whole, lazy = tmp_path / "T.pt", nn.Linear(2, 3), nn.LazyLinear(3)
    whole.spec = lazy.spec = checkpoints.foreign_spec(whole)
    line = refusal(lambda: checkpoints.save(path, lazy))
    assert "net.weight is a tensor that has no shape yet; it must be a dense tensor" in line
    checkpoints.save(path, whole)
    assert torch.equal(checkpoints.load_weights(path, lazy).weight, whole.weight)


@pytest.mark.kind("Out of disk without hard links")
@pytest.mark.parametrize("links", [True, False])
def test_the_backup_survives_a_full_disk(tmp_path, monkeypatch, links):
    path = tmp_path / "T.pt"
    for content in (b"1", b"2"):
        checkpoints.write_whole(path, lambda file: file.write(content), keep=True)

    def no_link(*names):
        raise OSError(1, "Operation not permitted")

    def half_a_copy(source, target):
        Path(target).write_bytes(b"ha")
        raise OSError(28, "No space left on device")

    if not links:
        monkeypatch.setattr(os, "link", no_link)
        monkeypatch.setattr(shutil, "copy2", half_a_copy)
        line = refusal(lambda: checkpoints.write_whole(path, lambda file: file.write(b"3"), keep=True))
        assert "can't be written (No space left on device); what was saved before is unchanged" in line
        assert (path.read_bytes(), checkpoints.before(path).read_bytes()) == (b"2", b"1")
    else:
        checkpoints.write_whole(path, lambda file: file.write(b"3"), keep=True)
        assert (path.read_bytes(), checkpoints.before(path).read_bytes()) == (b"3", b"2")
    assert sorted(os.listdir(tmp_path)) == ["T.before.pt", "T.pt"]


@pytest.mark.kind("Out of disk without hard links")
def test_a_backup_that_is_the_file_itself(tmp_path):
    path = tmp_path / "T.pt"  # killed between the two renames
    path.write_bytes(b"1")
    os.link(path, checkpoints.before(path))
    checkpoints.write_whole(path, lambda file: file.write(b"2"), keep=True)
    assert (path.read_bytes(), checkpoints.before(path).read_bytes()) == (b"2", b"1")
    assert sorted(os.listdir(tmp_path)) == ["T.before.pt", "T.pt"]


@pytest.mark.kind("A small file that describes a huge network")
@pytest.mark.parametrize(
    "name, block", [("mobilenet_v3_small", None), ("regnet_y_400mf", None), ("resnet18", "G(4)")]
)
def test_an_ordinary_network_of_torchvision_comes_back(tmp_path, name, block):
    model = network_from_torchvision(name, 7, block).eval()
    checkpoints.save(tmp_path / "T.pt", model)
    again, _ = checkpoints.load(tmp_path / "T.pt")
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(model(x), again(x))


def requirements() -> dict:
    """What settings.ini requires: the name of a distribution -> its limits."""
    parser = ConfigParser()
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    lines = parser["DEFAULT"]["requirements"].split()
    assert parser["DEFAULT"]["lib_name"] == "moonshine-distillation"
    return {re.match(r"[\w-]+", line)[0].lower(): line for line in lines}


@pytest.mark.kind("What is installed, and under which name")
@pytest.mark.parametrize("name, least", [("torch", "2.10"), ("torchvision", "0.25"), ("filelock", "3.30")])
def test_the_oldest_version_that_is_safe(name, least):
    assert requirements()[name] == f"{name}>={least}"


@pytest.mark.kind("What is installed, and under which name")
@pytest.mark.parametrize(
    "package", ["blocks", "surgery", "data", "training", "paper", "plots", "panels", "lessons"]
)
def test_what_is_imported_is_required(package):
    names = {"PIL": "pillow", "IPython": "ipython", "tomli": "", "yaml": "", "tensorboard": ""}
    declared = {name.replace("-", "_") for name in requirements()} | {"moonshine", ""}
    for path in (Path(checkpoints.__file__).parents[1] / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for module in {module.split(".")[0] for module in modules} - sys.stdlib_module_names:
                assert names.get(module, module) in declared, f"{path.name} imports {module}"


@pytest.mark.kind("What is installed, and under which name")
def test_no_message_suggests_a_package_of_another_project():
    for path in Path(checkpoints.__file__).parents[1].rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(pip install|update|upgrade)( -U| --upgrade)? moonshine\b(?!-)", text), path


def flips(content: bytes, count: int):
    """The content with one bit changed, at `count` places spread over it."""
    for step in range(count):
        at = step * len(content) // count
        yield content[:at] + bytes([content[at] ^ 1 << step % 8]) + content[at + 1 :]


@pytest.mark.kind("A flipped bit is noticed in every file that is written")
def test_flipped_bits_of_a_checkpoint(trained, tmp_path):
    whole, path = (trained / "T.pt").read_bytes(), tmp_path / "T.pt"
    for changed in flips(whole, 60):
        path.write_bytes(changed)
        assert "its checksum differs" in refusal(lambda: checkpoints.describe(path))


@pytest.mark.kind("A flipped bit is noticed in every file that is written")
def test_flipped_bits_of_a_history(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "T.jsonl"
    whole, history = path.read_bytes(), checkpoints.read_history(path)
    assert history == checkpoints.describe(tmp_path / "T.pt")["history"] and len(history) == 1
    for changed in flips(whole, 60):
        path.write_bytes(changed)
        try:
            assert checkpoints.read_history(path) == history  # 1e-05 and 1E-05 are the same number
        except InputError as error:
            assert str(error).startswith(f"{path} is damaged: ")
    assert (
        len(resume(tmp_path).state_dict()) and len(checkpoints.read_history(path)) == 2
    )  # mended by a resume


@pytest.mark.kind("A flipped bit is noticed in every file that is written")
def test_flipped_bits_of_a_result(tmp_path):
    path = put_example(tmp_path, example_result("G(4)"), "a")
    whole, content = path.read_bytes(), read_result(path)
    for changed in flips(whole, 200):
        path.write_bytes(changed)
        try:
            assert read_result(path) == content  # a blank between two values
        except InputError as error:
            assert "checksum differs" in str(error) or "is not a" in str(error)


GIVEN = dict(file="t.pt", sha256="ab" * 32, network="WRN-16-2 S", parameters=693498, test_error=9.5)
FINITE, SHORT_TEXT = "; it must be a finite number", "; it must be text of at most 300 characters"


@pytest.mark.kind("Strings, lists, dollar signs and huge numbers in a result")
@pytest.mark.parametrize(
    "change, message",
    [
        (dict(network=["WRN-16-2"]), f"network is ['WRN-16-2']{SHORT_TEXT}"),
        (dict(network="$" * 10**5), f"$$${chr(39)}{SHORT_TEXT}"),
        (dict(network="$\\frac{$"), "'$\\\\frac{$' is not a network of Table 2"),
        (dict(network="WRN-16-1000000"), "'WRN-16-1000000' is not a network of Table 2; write e.g. WRN-16-2"),
        (dict(network="WRN-1000000-1"), "'WRN-1000000-1' is not a network of Table 2"),
        (dict(network="WRN-16-1e9"), "'WRN-16-1e9' is not a network of Table 2"),
        (dict(network=f"WRN-16-{'9' * 299}"), SHORT_TEXT),
        (dict(block={"a": 1}), "block is {'a': 1}; it must be text"),
        (dict(block="G(99999999999999999999)"), "which G(99999999999999999999) can't split into groups"),
        (dict(seed=[0]), "seed is [0]; it must be a whole number, 0 or more"),
        (dict(seed="0"), "seed is '0'; it must be a whole number, 0 or more"),
        (dict(epochs=10**400), "; it must be a whole number from 1 to 1,000,000"),
        (dict(parameters=1e300), "parameters is 1e+300; it must be a whole number"),
        (dict(alpha="0.9"), f"alpha is '0.9'{FINITE}"),
        (dict(beta=10**400), FINITE),
        (dict(beta=nan), f"beta is nan{FINITE}"),
        (dict(latency_ms=[1]), f"latency_ms is [1]{FINITE}"),
        (dict(seconds="long"), f"seconds is 'long'{FINITE}"),
        (dict(history="x"), "history is 'x'; it must be a list"),
        (dict(history=[1, 2, 3]), "history[0] is 1; it must be a dict"),
        (dict(history=[dict(epoch=1, test_loss=[1])]), f"history[0].test_loss is [1]{FINITE}"),
        (dict(last=dict(test_error=10**400)), FINITE),
        (dict(last=dict(test_error="9")), f"last.test_error is '9'{FINITE}"),
        (dict(best=[1]), "best is [1]; it must be a dict"),
        (dict(recipe=dict(seed=0, epochs="3")), "recipe.epochs is '3'; it must be a whole number"),
        (dict(recipe=dict(epoch_step=[[1]])), "recipe.epoch_step[0] is [1]; it must be a whole number"),
        (dict(machine=dict(processor=["a"])), f"machine.processor is ['a']{SHORT_TEXT}"),
        (dict(machine=dict(gpu=1)), f"machine.gpu is 1{SHORT_TEXT}"),
        (dict(machine=dict(cores={})), "machine.cores is {}; it must be a number or a short text"),
        (dict(versions=dict(torch=[2])), "versions.torch is [2]; it must be a number or a short text"),
        (dict(versions="2.14"), "versions is '2.14'; it must be a dict"),
        (dict(commit=3), f"commit is 3{SHORT_TEXT}"),
        (dict(teacher=["T"]), f"teacher is ['T']{SHORT_TEXT}"),
        (dict(given="x"), "given is 'x'; it must be a dict"),
        (dict(given=dict(GIVEN, test_error=10**400)), FINITE),
        (dict(given=dict(GIVEN, network="WRN-16-99999 S")), "'WRN-16-99999' is not a network of Table 2"),
        (dict(given=dict(GIVEN, network="WRN-16-0 S")), "width 0.0 leaves no channels"),
        (dict(files=["network.pt"]), "files is ['network.pt']; it must be a dict"),
        (dict(more=[[[[[[[[[[[[[[1]]]]]]]]]]]]]]), "it is nested more than 12 levels deep"),
    ],
)
def test_results_that_cannot_be_right(tmp_path, change, message):
    put_example(tmp_path, example_result("G(4)") | change, "a")
    put_example(tmp_path, example_result("G(N)"), "b")
    results, (line,) = read_results(tmp_path)
    assert [result["file"] for result in results] == ["b/result.json"]
    assert line.startswith("a/result.json ") and message in line and "\n" not in line and len(line) < 500


@pytest.mark.kind("Strings, lists, dollar signs and huge numbers in a result")
@pytest.mark.parametrize("text", ["$\\frac{$", "$x_{1}$ & <b>", "a\nb | c", "x" * 300])
def test_a_report_shows_any_text(tmp_path, text):
    odd = dict(data=text, commit=text, machine=dict(processor=text, gpu=text), versions=dict(torch=text))
    for method in ("scratch", "at"):
        put_example(tmp_path, example_result("G(4)", method) | odd, method)
    made = write_report(tmp_path)
    assert made["refused"] == [] and (tmp_path / "report.md").stat().st_size > 1000


def a_pipe(path, monkeypatch):
    os.mkfifo(path)


def a_folder(path, monkeypatch):
    path.mkdir()


def an_endless_file(path, monkeypatch):
    path.symlink_to("/dev/zero")


def a_huge_file(path, monkeypatch):
    with open(path, "wb") as file:
        file.truncate(10**12)  # takes no room on the disk


def a_file_of_somebody_else(path, monkeypatch):
    path.write_text("{}")
    read = Path.read_bytes

    def refuse(self):
        if self == path:
            raise PermissionError(13, "Permission denied")
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)


@pytest.mark.kind("One result that cannot be read does not stop the report")
@pytest.mark.parametrize(
    "make, message",
    [
        (a_pipe, "is not a file that can be read"),
        (a_folder, "is not a file that can be read"),
        (an_endless_file, "is not a file that can be read"),
        (a_huge_file, "has more than 64,000,000 bytes: no result is so large"),
        (a_file_of_somebody_else, "can't be read (Permission denied)"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, monkeypatch, make, message):
    put_example(tmp_path, example_result("G(N)"), "b")
    (tmp_path / "a").mkdir()
    make(tmp_path / "a" / "result.json", monkeypatch)
    results, refused_lines = read_results(tmp_path)
    assert len(results) == 1 and refused_lines == [f"a/result.json {message}"]
    assert standing(tmp_path / "a", "f") == ("broken", f"{tmp_path / 'a' / 'result.json'} {message}")
    (tmp_path / "c").mkdir()
    make(tmp_path / "c" / "run.json", monkeypatch)
    assert standing(tmp_path / "c", "f")[0] == "changed"


def swapped(folder):
    checkpoints.save(folder / "network.pt", wrn(10, 0.5))


def a_bit(folder):
    content = (folder / "network.pt").read_bytes()
    (folder / "network.pt").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def gone(folder):
    (folder / "network.pt").unlink()


@pytest.mark.kind("A network that is not the one of its result")
@pytest.mark.parametrize(
    "change, message", [(swapped, "SHA-256 differs"), (a_bit, "SHA-256 differs"), (gone, "not there")]
)
def test_a_swapped_teacher_is_refused_by_name(tmp_path, change, message):
    folder, student = tmp_path / "teacher", SimpleNamespace(given=None, teacher="teacher")
    checkpoints.save(folder / "network.pt", network())
    write_result(folder / "result.json", example_result("S") | dict(files=network_files(folder)))
    assert torch.equal(taught_by(student, tmp_path).conv1.weight, network().conv1.weight)
    change(folder)
    line = refusal(lambda: taught_by(student, tmp_path))
    assert line.startswith(f"{folder / 'network.pt'} is not ") and message in line


@pytest.mark.kind("Old formats stay readable")
def test_results_of_format_1(tmp_path):
    folder, student = tmp_path / "teacher", SimpleNamespace(given=None, teacher="teacher")
    checkpoints.save(folder / "network.pt", network())
    write_result(folder / "result.json", example_result("S") | dict(format=1))
    assert taught_by(student, tmp_path).spec == network().spec
    assert [len(part) for part in read_results(tmp_path)] == [1, 0]


class Counting(nn.Linear):
    """A layer with a state that is no tensor."""

    def get_extra_state(self):
        return dict(calls=3)

    def set_extra_state(self, state):
        self.calls = state["calls"]


def drops(size: int, count: int = 2):
    """A builder that computes with tensors, as many with stochastic depth do."""
    rates = [rate.item() for rate in torch.linspace(0, 0.5, count)]
    layers = [nn.Sequential(Counting(size, size), nn.Dropout(rate)) for rate in rates]
    model = nn.Sequential(*layers)
    model.spec, model.title = dict(network="drops", size=size, count=count), "drops"
    return model


@pytest.mark.kind("What is written can be read again")
def test_a_builder_that_computes_and_a_state_that_is_no_tensor(tmp_path, monkeypatch):
    monkeypatch.setitem(networks(), "drops", Network("drops", drops, dict(size=2)))
    model, path = drops(3), tmp_path / "T.pt"
    checkpoints.save(path, model)
    again, _ = checkpoints.load(path)
    assert again[1][1].p == 0.5 and again[0][0].calls == 3
    assert torch.equal(again[1][0].weight, model[1][0].weight)
    content = torch.load(path, weights_only=True)
    for change, message in (
        (dict(size=10**6), "0.0.weight is (3, 3) in the file, (1000000, 1000000) in the network"),
        (dict(size="3"), "size is '3'; it must be a whole number from -1,000,000 to 1,000,000"),
        (dict(count=3), "names differ, e.g. 2.0.weight"),
    ):
        assert message in refused(tmp_path, content | change)
