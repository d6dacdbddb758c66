"""A teacher and an AT student on a few hundred real images, by the command line: files to checkpoints."""

import json
import tarfile
from collections import Counter

import pytest
import torch

from moonshine.cli.program import main
from moonshine.data.registry import load_data
from moonshine.training.checkpoints import load

TRAIN, TEST = 40, 10  # images of each class


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A small folder of CIFAR-10 as image files: the first images of each class."""
    from conftest import find_shared

    archive, root, taken = (
        find_shared("data/cifar10-jpg.tar.xz"),
        tmp_path_factory.mktemp("images"),
        Counter(),
    )
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = member.name.split("/")
            limit = TRAIN if parts[0] == "train" else TEST
            if member.isfile() and taken[tuple(parts[:2])] < limit:
                taken[tuple(parts[:2])] += 1
                target = root / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(tar.extractfile(member).read())
    return root


def test_one_epoch_of_teacher_and_student(images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    common = [
        "--data_dir",
        str(images),
        "--wrn_depth",
        "10",
        "--wrn_width",
        "1",
        "--epochs",
        "1",
        "--batch_size",
        "50",
    ]
    assert main(["train", "folder", "teacher", *common, "--conv", "S", "-t", "T"]) == 0
    assert (
        main(
            [
                "train",
                "folder",
                "student",
                *common,
                "--conv",
                "G(N/8)",
                "-t",
                "T",
                "-s",
                "S",
                "--alpha",
                "0.",
                "--beta",
                "1e3",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "400 training and 100 test images, 10 classes" in out
    assert "0.977 at 32×32, 3.91 at 16×16, 15.6 at 8×8" in out
    model, info = load("checkpoints/S.pt")
    assert info["block"] == "G(N/8)" and info["epoch"] == 1 and info["classes"][0] == "airplane"
    (row,) = (json.loads(line) for line in open("checkpoints/S.jsonl"))
    assert row["ce"] > 0 and row["at"] > 0 and 0 <= row["test_error"] <= 100


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The folder of photographs, unpacked."""
    from conftest import find_shared

    root = tmp_path_factory.mktemp("large") / "photos"
    with tarfile.open(find_shared("data/photos.tar.xz")) as tar:
        tar.extractall(root, filter="data")
    return root


def test_imagenets_command_on_photographs(photos, tmp_path, monkeypatch, capsys):
    """Its own network and recipe where no flag says otherwise; β comes to 750 over four groups.

    At 64 pixels, to be quick.
    """
    monkeypatch.chdir(tmp_path)
    common = ["--data_dir", str(photos), "--image_size", "64", "--epochs", "1", "--batch_size", "30"]
    assert main(["train", "imagenet", "teacher", *common]) == 0
    assert main(["train", "imagenet", "student", "--conv", "G(4)", *common]) == 0
    out = capsys.readouterr().out
    assert "teacher resnet34_T: ResNet-34 S" in out and "student resnet34_student_KT: ResNet-34 G(4)" in out
    assert "at: 750 × difference of the attention maps of 4 layers" in out
    info = load("checkpoints/resnet34_student_KT.pt")[1]
    wanted = dict(
        epochs=1,
        batch_size=30,
        learning_rate=0.1,
        lr_decay_ratio=0.1,
        epoch_step=(30, 60, 90),
        weight_decay=1e-4,
    )
    assert {key: info["recipe"][key] for key in wanted} == wanted
    assert len(info["classes"]) == 8 and info["history"][0]["at"] > 0


def test_photographs_are_streamed(photos):
    data = load_data("imagenet", photos)
    assert data.name == "photos" and len(data.classes) == 8 and data.classes[0] == "bird"
    assert len(data.train) + len(data.test) == 193
    lowest, highest = (
        (torch.tensor(v) - torch.tensor(data.mean)) / torch.tensor(data.std) for v in (0.0, 1.0)
    )
    for x, y in (next(data.train_batches(16, seed=0, epoch=0)), next(data.test_batches(16))):
        assert x.shape == (16, 3, 224, 224) and x.dtype == torch.float32
        assert y.shape == (16,) and y.dtype == torch.int64 and 0 <= y.min() and y.max() < 8
        assert (x.amin((0, 2, 3)) >= lowest - 1e-4).all() and (x.amax((0, 2, 3)) <= highest + 1e-4).all()
        assert x.mean().abs() < 0.7 and 0.7 < x.std() < 1.5  # photographs, normalized as photographs are
