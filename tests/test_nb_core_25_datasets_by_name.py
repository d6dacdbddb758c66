"""Generated from nbs/core/25_datasets_by_name.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data.registry import *


import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from fastcore.test import test_eq, test_fail
from PIL import Image

from moonshine.errors import InputError


def test_registration_refuses_what_cannot_work():
    before = dict(DATASETS)
    test_fail(lambda: register_dataset("cifar10")(DATASETS["shapes"]), contains="already a dataset 'cifar10'")
    test_fail(lambda: register_dataset("cifar10", root="x")(DATASETS["cifar10"]), contains="already a dataset")
    register_dataset("cifar10")(DATASETS["cifar10"])  # running a cell again is no collision
    test_fail(lambda: register_dataset("My data"), contains="use lowercase letters")
    test_fail(lambda: register_dataset("nothing")(None), contains="'nothing' needs a loader")


    def read(root, split, image_size=32):
        "A loader with a parameter that nobody passes."


    test_fail(lambda: register_dataset("splits")(read), contains="needs split, which load_data can't pass")
    test_eq(DATASETS, before)


def test_datasets_by_name():
    test_eq(load_data("shapes").name, "shapes")
    test_fail(lambda: load_data("cifar11"), contains="did you mean cifar1")
    for name in ("folder", "imagenet"):
        test_fail(lambda: load_data(name), contains=f"{name} needs --data_dir")
    with tempfile.TemporaryDirectory() as root:
        for part in ("train", "test"):
            Path(root, part, "cat").mkdir(parents=True)
            Image.new("RGB", (50, 40)).save(Path(root, part, "cat", "0.png"))
        sizes = [
            next(load_data(name, root, image_size=size, workers=0).test_batches())[0].shape[-1]
            for name, size in (("folder", None), ("folder", 48), ("imagenet", None), ("imagenet", 64))
        ]
    test_eq(sizes, [32, 48, 224, 64])


def test_what_a_loader_returns_is_checked():
    good = load_data("shapes")
    small = replace(good, train=good.train.select(slice(0, 8)), test=good.test.select(slice(0, 4)))
    images, labels = small.train.images, small.train.labels


    def with_train(**parts):
        "The small dataset with other training images or labels."
        return replace(small, train=replace(small.train, **parts))


    for wrong, message in [
        (None, "returned NoneType without train_batches(); it must return a Data or a Stream"),
        (with_train(images=images / 255), "train images that are (8, 3, 32, 32) float32; they must be"),
        (with_train(images=images[:, :1]), "with one color; they must be a tensor of uint8, (N, 3, H, W)"),
        (with_train(images=images.permute(0, 2, 3, 1)), "with the colors last; they must be a tensor of uint8"),
        (with_train(images=images[0]), "images that are (3, 32, 32) uint8; they must be"),
        (with_train(images=images.numpy()), "images that are ndarray; they must be a tensor of uint8"),
        (with_train(labels=labels.int()), "train labels that are (8,) int32; they must be a tensor of int64"),
        (with_train(labels=labels[:5]), "train labels that are 5 for 8 images"),
        (with_train(labels=labels[:0], images=images[:0]), "labels that are empty"),
        (with_train(labels=labels * 0 - 1), "labels that go from -1 to -1; they must be from 0 to 9"),
        (with_train(labels=labels + 9), "they must be from 0 to 9, for 10 classes"),
        (with_train(labels=torch.zeros(8, 16, 16).long()), "a label map has its image's size"),
        (replace(small, mean=0.5), "wrong normalization: mean"),
        (replace(small, mean=(0.5, 0.5)), "wrong normalization: mean must be three finite numbers"),
        (replace(small, mean=(0.5, 0.5, float("nan"))), "wrong normalization: mean must be three finite numbers"),
        (replace(small, std=(0.2, 0.0, 0.2)), "wrong normalization: std is [0.2, 0.0, 0.2]"),
    ]:
        register_dataset("wrong")(lambda: wrong)
        test_fail(lambda: load_data("wrong"), contains=message)
        test_fail(lambda: load_data("wrong"), contains="the loader of dataset wrong returned")
        del DATASETS["wrong"], ROOTS["wrong"]
    assert check_dataset("small", small) is small


def test_an_error_of_pytorch_names_the_dataset():
    def ragged():
        "A loader that stacks images of different sizes."
        return torch.stack([torch.zeros(3, 8, 8), torch.zeros(3, 9, 9)])


    register_dataset("ragged")(ragged)
    test_fail(lambda: load_data("ragged"), contains="dataset ragged can't be loaded: stack expects each tensor")
    del DATASETS["ragged"], ROOTS["ragged"]


def test_an_object_with_the_same_methods_is_a_dataset():
    class Own:
        "A dataset of another kind, which keeps its images somewhere else."

        name, train, test, classes = "own", range(8), range(4), ("cat", "dog")

        def normalization(self):
            return dict(mean=[0.5] * 3, std=[0.2] * 3)

        def fingerprint(self):
            return "0" * 16

        def train_batches(self, batch_size, seed, epoch, device="cpu", augmentation=None, skip=0, share=None):
            "Nothing, as an example."

        test_batches = train_batches


    assert isinstance(check_dataset("own", Own()), Own)


def test_every_dataset_loads_or_says_what_is_missing():
    with tempfile.TemporaryDirectory() as root:
        for part in ("train", "test"):
            Path(root, part, "cat").mkdir(parents=True)
            Image.new("RGB", (50, 40)).save(Path(root, part, "cat", "0.png"))
        for name in DATASETS:
            try:
                data = load_data(name, root, workers=0)
            except InputError as error:
                assert name in str(error) and "\n" not in str(error)
                continue
            x, y = next(data.train_batches(8, seed=0, epoch=0))
            test_eq((x.shape[1], x.dtype, y.dtype, len(x)), (3, torch.float32, torch.int64, len(y)))
            assert y.max() < len(data.classes) and len(data.fingerprint()) == 16
