"""Generated from nbs/core/22_cifar.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data.cifar import *


import pickle
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from fastcore.test import test_eq, test_fail


def test_absent_files_give_the_command():
    with tempfile.TemporaryDirectory() as empty:
        test_fail(lambda: cifar10(empty), contains="--download")


def test_cifar10_reads_its_own_layout():
    def write_tiny_cifar10(root):
        folder = Path(root, "cifar-10-batches-py")
        folder.mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (12, 3072), dtype=np.uint8)
        for i, name in enumerate([f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]):
            (folder / name).write_bytes(pickle.dumps(dict(data=pixels[2 * i : 2 * i + 2], labels=[i, 9])))
        (folder / "batches.meta").write_bytes(pickle.dumps(dict(label_names=list("abcdefghij"))))
        return pixels


    with (
        tempfile.TemporaryDirectory() as root,
        patch("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file()),
    ):
        pixels = write_tiny_cifar10(root)
        data = cifar10(root)
    test_eq((len(data.train), len(data.test), data.classes[0]), (10, 2, "a"))
    test_eq(data.train.labels.tolist(), [0, 9, 1, 9, 2, 9, 3, 9, 4, 9])
    test_eq(data.train.images[3].flatten().numpy(), pixels[3])
    test_eq(data.mean, (0.4914, 0.4822, 0.4465))
    test_eq(data.augmentation, ("pad_crop", "flip"))


def test_cifar100_reads_its_own_layout():
    def write_tiny_cifar100(root):
        folder = Path(root, "cifar-100-python")
        folder.mkdir()
        for name, count in (("train", 3), ("test", 2)):
            pixels = np.full((count, 3072), 7, dtype=np.uint8)
            content = dict(data=pixels, fine_labels=[99] * count, coarse_labels=[0] * count)
            (folder / name).write_bytes(pickle.dumps(content))
        (folder / "meta").write_bytes(pickle.dumps(dict(fine_label_names=[f"class {i}" for i in range(100)])))


    with (
        tempfile.TemporaryDirectory() as root,
        patch("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file()),
    ):
        write_tiny_cifar100(root)
        data = cifar100(root)
    test_eq((len(data.train), len(data.test), len(data.classes)), (3, 2, 100))
    test_eq(data.train.labels.tolist(), [99, 99, 99])
    test_eq(data.std, (0.2009, 0.1984, 0.2023))
