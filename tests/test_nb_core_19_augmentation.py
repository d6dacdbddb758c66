"""Generated from nbs/core/19_augmentation.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data.augmentation import *


import torch
from fastcore.test import test_eq, test_fail


def test_numbers_depend_on_name_seed_and_epoch():
    numbers = uniform_numbers("cutout", 2, 1000, seed=0, epoch=3)
    test_eq(numbers.shape, (1000, 2))
    assert 0 <= numbers.min() < 0.01 and 0.99 < numbers.max() < 1
    test_eq(uniform_numbers("cutout", 2, 1000, 0, 3), numbers)
    for other in (("gray", 0, 3), ("cutout", 1, 3), ("cutout", 0, 4)):
        assert not torch.equal(uniform_numbers(other[0], 2, 1000, *other[1:]), numbers)


def test_registration_refuses_what_cannot_work():
    def stay(images, labels, random):
        "Leave a batch as it is."
        return images, labels


    def invert(images, labels, random):
        "Turn black into white."
        return 255 - images, labels


    before = dict(AUGMENTATIONS)
    register_augmentation("stay")(stay)
    test_eq(AUGMENTATIONS["stay"].apply, stay)
    register_augmentation("stay")(stay)  # running a cell again is no collision
    for how, function in ((dict(), invert), (dict(numbers=1), stay), (dict(view=invert), stay)):
        test_fail(
            lambda: register_augmentation("stay", **how)(function), contains="already an augmentation 'stay'"
        )
    test_fail(lambda: register_augmentation("pad,crop"), contains="use lowercase letters")
    test_fail(lambda: register_augmentation("nothing")(None), contains="'nothing' needs a function")
    del AUGMENTATIONS["stay"]
    test_eq(AUGMENTATIONS, before)


def test_crops_and_flips_are_those_of_the_slow_way():
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    top, left, chosen = torch.randint(0, 9, (8,)), torch.randint(0, 9, (8,)), torch.rand(8) < 0.5
    cropped = crop(images, top, left)
    fast = mirror(cropped, chosen)
    for i in range(8):
        padded = torch.nn.functional.pad(images[i], (4, 4, 4, 4))
        slow = padded[:, top[i] : top[i] + 32, left[i] : left[i] + 32]
        test_eq(fast[i], slow.flip(2) if chosen[i] else slow)
    assert cropped.is_contiguous(memory_format=torch.channels_last)


def test_cutout_hides_a_square():
    images = torch.full((500, 3, 32, 32), 200, dtype=torch.uint8)
    random = uniform_numbers("cutout", 2, 500, 0, 0)
    seen, labels = cutout(images, torch.arange(500), random)
    test_eq(labels, torch.arange(500))
    for image, (v, u) in zip(seen, random):
        row, column = int(v * 32), int(u * 32)
        expected = torch.full((3, 32, 32), 200, dtype=torch.uint8)
        expected[:, max(row - 8, 0) : row + 8, max(column - 8, 0) : column + 8] = 0
        test_eq(image, expected)
    hidden = (seen == 0)[:, 0].flatten(1).sum(1)
    test_eq((hidden.min() >= 64, hidden.max()), (True, 256))  # a quarter of the square is always inside


def test_augmentations_are_chosen_by_name():
    test_eq(parse_augmentation("pad_crop, flip,cutout"), ("pad_crop", "flip", "cutout"))
    test_eq(parse_augmentation("none"), ())
    test_eq(check_augmentation([]), ())
    test_fail(
        lambda: parse_augmentation("flip,cutuot"),
        contains="unknown augmentation 'cutuot'; known: pad_crop, flip, cutout, none, resized_crop",
    )
    test_fail(lambda: parse_augmentation(""), contains="known: pad_crop")
    test_fail(lambda: parse_augmentation("flip,flip"), contains="'flip' is listed twice")
    test_fail(lambda: parse_augmentation("none,flip"), contains="can't be combined")


def test_every_augmentation_keeps_its_promises():
    images = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8)
    labels, index = torch.arange(20), torch.arange(20)
    for name in AUGMENTATIONS:
        augment = EpochAugmentation((name,), 20, seed=1, epoch=2)
        if name == "resized_crop":
            test_fail(lambda: augment(images, labels, index), contains="use pad_crop")
            continue
        whole, same = augment(images, labels, index)
        test_eq((whole.shape, whole.dtype), (images.shape, torch.uint8))
        test_eq(same, labels)
        some = torch.tensor([7, 3, 12])
        test_eq(augment(images[some], labels[some], some)[0], whole[some])
        again = EpochAugmentation((name,), 20, seed=1, epoch=2)(images, labels, index)[0]
        test_eq(again, whole)
        other = EpochAugmentation((name,), 20, seed=1, epoch=3)(images, labels, index)[0]
        test_eq(torch.equal(other, whole), name == "none")


def test_label_maps_move_with_their_images():
    maps = torch.randint(0, 11, (20, 32, 32))
    images = maps[:, None].repeat(1, 3, 1, 1).to(torch.uint8)
    index = torch.arange(20)
    for names in [(name,) for name in AUGMENTATIONS if name != "resized_crop"] + [("flip", "cutout", "pad_crop")]:
        seen, moved = EpochAugmentation(names, 20, seed=0, epoch=0)(images, maps, index)
        test_eq(moved.dtype, torch.int64)
        for channel in range(3):
            test_eq(seen[:, channel].long(), moved)
        if names[0] in ("pad_crop", "flip", "cutout", "none"):
            test_eq(torch.equal(moved, maps), names == ("none",))
    one, two = (
        EpochAugmentation(names, 20, 0, 0)(images, maps, index)[0]
        for names in (("pad_crop", "flip"), ("flip", "pad_crop"))
    )
    assert not torch.equal(one, two)


def test_a_wrong_result_is_named():
    images, index = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4)
    labels, maps = torch.arange(4), torch.zeros(4, 8, 8, dtype=torch.int64)
    must = "it must keep (4, 3, 8, 8) torch.uint8"
    for given, result, message in [
        (labels, (images / 2, labels), f"images (4, 3, 8, 8) torch.float32; {must}"),
        (labels, (images[:2], labels), f"images (2, 3, 8, 8) torch.uint8; {must}"),
        (labels, (images, labels.float()), "labels (4,) torch.float32; it must keep (4,) torch.int64"),
        (labels, (images, None), "labels None; it must keep (4,) torch.int64"),
        (maps, (images, labels), "labels (4,) torch.int64; it must keep (4, 8, 8) torch.int64"),
        (labels, images, "(4, 3, 8, 8) torch.uint8; it must return (images, labels)"),
        (labels, (images,), "tuple; it must return (images, labels)"),
        (labels, None, "None; it must return (images, labels)"),
    ]:

        def wrong(images, labels, random):
            "Return what an augmentation must not return."
            return result

        register_augmentation("wrong")(wrong)
        augment = EpochAugmentation(("wrong",), 4, 0, 0)
        test_fail(lambda: augment(images, given, index), contains=f"augmentation wrong returned {message}")
        del AUGMENTATIONS["wrong"]
