"""The networks trained on CIFAR-10 (JPEG) have the recorded errors on the first test images of each class."""

import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from moonshine.pretrained import network_input, test_images, trained_classes, trained_facts, trained_network

FACTS = trained_facts("cifar10")
COUNT = FACTS["first"]  # images of each class


@pytest.fixture(scope="module")
def first_images():
    """The first test images of each class, from the archive: images (N, 3, 32, 32) uint8, labels (N,)."""
    from conftest import find_shared

    classes, images = trained_classes("cifar10"), {}
    with tarfile.open(find_shared("data/cifar10-jpg.tar.xz")) as tar:
        for member in tar:
            part, *name = member.name.split("/")
            if part == "test" and member.isfile() and int(name[1].removesuffix(".jpg")) < COUNT:
                pixels = np.asarray(Image.open(tar.extractfile(member)).convert("RGB"))
                images[classes.index(name[0]), name[1]] = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    keys = sorted(images)
    return torch.stack([images[key] for key in keys]), torch.tensor([label for label, _ in keys])


@pytest.mark.parametrize("run", FACTS["runs"], ids=lambda run: run["name"])
@torch.no_grad()
def test_errors_on_the_first_images(first_images, run):
    images, labels = first_images
    assert len(labels) == 10 * COUNT
    network = trained_network(run["name"], "cifar10")
    parts = network_input(images, "cifar10").split(250)
    wrong = torch.cat([network(x).argmax(1) for x in parts]) != labels
    # two images of 1,000: another processor may round differently
    assert 100 * wrong.double().mean().item() == pytest.approx(run["test_error_of_first"], abs=0.21)


def test_the_packaged_images_are_the_first_of_their_classes(first_images):
    images, labels = first_images
    few = test_images(data="cifar10")
    assert torch.equal(few.images, images[few.labels * COUNT])
    assert torch.equal(few.labels, labels[few.labels * COUNT])
