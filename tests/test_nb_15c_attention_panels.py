"""Generated from nbs/15c_attention_panels.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.attention_panels import *


import io, os, tempfile
from pathlib import Path
from unittest.mock import patch
import torch
from PIL import Image
from torch.nn import functional as F
from torchvision.models import resnet18
from fastcore.test import test_eq, test_close, test_fail
from moonshine.attention import activations, at_loss, attention_map, energy_inside
from moonshine.trained import TRAINED, network_input, test_pictures, trained_facts, trained_history, trained_network
os.environ["MOONSHINE_RAISE"] = "1"    # a callback that fails fails the test


def test_scenes_of_all_sizes():
    scene = drawn_scene(105)
    assert scene is drawn_scene(105)
    pictures = test_pictures(200)                                # a drawn picture comes through unchanged
    assert torch.equal(scene.at(32)[0], pictures.images[105]) and torch.equal(scene.mask, pictures.masks[105])
    test_eq(scene.label, pictures.labels[105].item())
    wide = Image.new("RGB", (90, 30), "red")                     # red, green in the middle third, red
    wide.paste("lime", (30, 0, 60, 30))
    with tempfile.TemporaryDirectory() as folder:
        test_fail(lambda: picture_files(folder), contains="holds no pictures")
        test_fail(lambda: picture_files(Path(folder) / "nowhere"), contains="no folder")
        wide.save(Path(folder) / "wide.png")
        (file,) = picture_files(folder)
        green = scene_from_file(file).at(16)
    test_eq(green.shape, (1, 3, 16, 16))
    assert green[0, 1, :, 1:-1].min() > 250 and green[0, 0, :, 1:-1].max() < 5     # all but the very edge
    test_fail(lambda: scene_from_bytes(b"a letter", "letter.doc"), contains="letter.doc can't be read as a picture")


def test_explore_is_the_attention_of_09():
    data = explore(drawn_scene(3), trained_subjects(), group=2)
    x = network_input(test_pictures(4).images)[3:]
    with torch.no_grad(): found = {name: activations(trained_network(name), x)[1][1] for name in TRAINED}
    test_eq([row["name"] for row in data["rows"]], list(TRAINED))
    for row in data["rows"]:
        A, T = found[row["name"]], found["teacher"]
        test_close(row["map"].flatten() / 16, attention_map(A)[0], 1e-6)           # p = 2: the paper's; a map of 16×16
        test_close(row["map"].pow(2).mean(), 1, 1e-5)
        test_close(row["at_loss"], at_loss(A, T).item(), 1e-8)
        test_close(row["squared_error"], (A - T).double().pow(2).mean().item(), 1e-6)
        test_close(row["inside"], energy_inside(A, test_pictures(4).masks[3:]).item(), 1e-6)
        test_close(row["chance"], test_pictures(4).masks[3].float().mean().item(), 1e-6)
    teacher = data["rows"][0]                                    # the teacher against itself: nothing
    test_eq((teacher["at_loss"], teacher["squared_error"], teacher["difference"].abs().max().item()), (0, 0, 0))


def test_other_powers_by_hand():
    A = look_at(trained_subjects()["at"], drawn_scene(3))[1][2][0].double()        # (64, 8, 8)
    for power in (1, 2, 4, 8):
        by_hand = sum(channel.abs()**power for channel in A)
        by_hand = 8 * by_hand / by_hand.pow(2).sum().sqrt()
        test_close(seen("at", trained_subjects()["at"], drawn_scene(3), 3, power)["map"], by_hand, 1e-4)


def test_shuffled_channels_change_no_map():
    subjects, changed = trained_subjects(), 0
    for number in (0, 3, 7):
        for group in (1, 2, 3):
            for power in (1, 2, 4):
                a, b = [explore(drawn_scene(number), subjects, group, power=power, shuffled=s)["rows"] for s in (False, True)]
                for before, after in zip(a[1:], b[1:]):
                    test_close(before["map"], after["map"], 1e-5)
                    test_close(before["at_loss"], after["at_loss"], 1e-7)
                    test_close(before["inside"], after["inside"], 1e-5)
                    assert abs(after["squared_error"] / before["squared_error"] - 1) > 0.05
                    changed += 1
    test_eq(changed, 3 * 3 * 3 * 3)
