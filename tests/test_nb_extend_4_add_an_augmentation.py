"""Generated from nbs/extend/4_add_an_augmentation.ipynb by tools/export.py. Edit the notebook, not this file."""


import torch
from fastcore.test import test_eq, test_fail

from moonshine.data.augmentation import (
    AUGMENTATIONS,
    EpochAugmentation,
    on_label_maps,
    parse_augmentation,
    register_augmentation,
)
from moonshine.data.drawing import segmentation_shapes, shapes


@register_augmentation("gray", numbers=1)
def gray(images, labels, random):
    "Convert a fifth of the images to gray."
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
    luma = (images * weights).sum(1, keepdim=True).round().to(torch.uint8)
    chosen = random[:, 0] < 0.2
    return torch.where(chosen[:, None, None, None], luma, images), labels


@register_augmentation("quarter_turn", numbers=1)
def quarter_turn(images, labels, random):
    "Rotate square images by a random multiple of 90 degrees."
    turns = (4 * random[:, 0]).long()

    def turned(x):
        rotations = torch.stack([x.rot90(k, (2, 3)) for k in range(4)])  # (4, B, C, H, W)
        return rotations[turns, torch.arange(len(x), device=x.device)]

    return turned(images), on_label_maps(turned, labels)


def test_a_fifth_of_the_images_is_gray():
    images = torch.randint(0, 256, (500, 3, 8, 8), dtype=torch.uint8)
    labels = torch.arange(500)
    augment = EpochAugmentation(("gray",), 500, seed=0, epoch=0)
    seen, same = augment(images, labels, torch.arange(500))
    test_eq(same, labels)
    is_gray = (seen == seen[:, :1]).flatten(1).all(1)
    assert 70 < is_gray.sum() < 130
    test_eq(seen[~is_gray], images[~is_gray])
    luma = (images * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)
    assert (seen[is_gray, 0] - luma[is_gray]).abs().max() <= 0.501


def test_images_are_rotated():
    images, _, _ = (part[:40] for part in vars(shapes(train=40, test=10).train).values())
    seen, _ = EpochAugmentation(("quarter_turn",), 40, seed=0, epoch=0)(images, None, torch.arange(40))
    turns = [[torch.equal(image.rot90(k, (1, 2)), now) for k in range(4)] for image, now in zip(images, seen)]
    test_eq([sum(found) for found in turns], [1] * 40)
    assert all(any(found[k] for found in turns) for k in range(4))


def test_ours_keep_the_promises():
    maps = segmentation_shapes(train=40, test=10).train.labels
    images = maps[:, None].repeat(1, 3, 1, 1).to(torch.uint8)
    index = torch.arange(40)
    for name in ("gray", "quarter_turn", "cutout"):
        augment = EpochAugmentation((name,), 40, seed=1, epoch=2)
        seen, moved = augment(images, maps, index)
        test_eq((seen.shape, seen.dtype), (images.shape, torch.uint8))
        test_eq(seen[:, 0].long(), moved)
        some = torch.tensor([7, 3, 30])
        test_eq(augment(images[some], maps[some], some)[0], seen[some])
    register_augmentation("gray", numbers=1)(gray)  # running the cell again is no collision
    test_fail(lambda: register_augmentation("gray")(quarter_turn), contains="already an augmentation 'gray'")


def test_forgetting_the_labels_is_an_error():
    def only_images(images, labels, random):
        "Brighten images, and forget the labels."
        return images.clamp(min=50)


    register_augmentation("only_images")(only_images)
    augment = EpochAugmentation(("only_images",), 4, seed=0, epoch=0)
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    test_fail(
        lambda: augment(images, torch.arange(4), torch.arange(4)),
        contains="augmentation only_images returned (4, 3, 8, 8) torch.uint8; it must return (images, labels)",
    )
    del AUGMENTATIONS["only_images"]


def test_a_recipe_and_the_command_line_take_its_name():
    test_eq(parse_augmentation("pad_crop,flip,gray"), ("pad_crop", "flip", "gray"))
    test_fail(
        lambda: parse_augmentation("grey"), contains="known: pad_crop, flip, cutout, none, resized_crop, gray"
    )
    data = shapes(train=30, test=10)
    one, other = (
        torch.cat([x for x, _ in data.train_batches(size, 0, 0, augmentation=("pad_crop", "gray"))])
        for size in (30, 7)
    )
    test_eq(one, other)  # the batch size changes nothing
