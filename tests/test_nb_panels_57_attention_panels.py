"""Generated from nbs/panels/57_attention_panels.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.panels.attention import *


import io
import json
import os
import tempfile
from datetime import datetime
from pathlib import Path

import torch
from fastcore.test import test_close, test_eq, test_fail
from PIL import Image
from torch.nn import functional as F
from torchvision.models import resnet18

from moonshine.losses.attention import activations, at_loss, attention_map, energy_inside
from moonshine.pretrained import (
    TRAINED,
    network_input,
    test_images,
    trained_classes,
    trained_facts,
    trained_history,
    trained_names,
    trained_network,
)

wide = Image.new("RGB", (90, 30), "red")


def content_of(image):
    "The bytes of an image as a PNG file"
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


os.environ["MOONSHINE_RAISE"] = "1"  # a callback that fails fails the test


def test_scenes_of_all_sizes():
    scene = drawn_scene(105)
    assert scene is drawn_scene(105)
    images = test_images(200)  # a drawn image comes through unchanged
    assert torch.equal(scene.at(32)[0], images.images[105]) and torch.equal(scene.mask, images.masks[105])
    test_eq(scene.label, images.labels[105].item())
    wide = Image.new("RGB", (90, 30), "red")  # red, green in the middle third, red
    wide.paste("lime", (30, 0, 60, 30))
    with tempfile.TemporaryDirectory() as folder:
        test_fail(lambda: image_files(folder), contains="holds no images")
        test_fail(lambda: image_files(Path(folder) / "nowhere"), contains="no folder")
        wide.save(Path(folder) / "wide.png")
        (file,) = image_files(folder)
        green = scene_from_file(file).at(16)
        inside = Path(folder, "ship", "1.png")
        inside.parent.mkdir()
        stripes = torch.tensor([0, 255], dtype=torch.uint8).repeat(64).expand(3, 128, 128)
        Image.fromarray(stripes.permute(1, 2, 0).numpy()).save(inside)
        ship = scene_from_file(inside, ("bird", "ship"))
    test_eq(green.shape, (1, 3, 16, 16))
    assert green[0, 1, :, 1:-1].min() > 250 and green[0, 0, :, 1:-1].max() < 5  # all but the very edge
    test_eq((ship.title, ship.label, ship.classes), ("ship/1.png", 1, ("bird", "ship")))
    middle = ship.at(32)[..., 1:-1].float()  # stripes one pixel wide become gray: antialiasing
    assert (middle - 127.5).abs().max() < 1
    test_eq([scene.classes[scene.label] for scene in photographs()], ["airplane", "cat", "frog", "truck"])
    assert torch.equal(photographs()[2].at(32), test_images(data="cifar10").images[2:3])  # unchanged
    test_fail(
        lambda: scene_from_bytes(b"a letter", "letter.doc"), contains="letter.doc can't be read as an image"
    )


def test_explore_agrees_with_the_attention_loss():
    data = explore(drawn_scene(3), trained_subjects(), group=2)
    x = network_input(test_images(4).images)[3:]
    with torch.no_grad():
        found = {name: activations(trained_network(name), x)[1][1] for name in TRAINED}
    test_eq([row["name"] for row in data["rows"]], list(TRAINED))
    for row in data["rows"]:
        A, T = found[row["name"]], found["teacher"]
        test_close(row["map"].flatten() / 16, attention_map(A)[0], 1e-6)  # p = 2: the paper's; 16×16
        test_close(row["map"].pow(2).mean(), 1, 1e-5)
        test_close(row["at_loss"], at_loss(A, T).item(), 1e-8)
        test_close(row["squared_error"], (A - T).double().pow(2).mean().item(), 1e-6)
        test_close(row["inside"], energy_inside(A, test_images(4).masks[3:]).item(), 1e-6)
        test_close(row["chance"], test_images(4).masks[3].float().mean().item(), 1e-6)
    teacher = data["rows"][0]  # the teacher against itself: nothing
    test_eq((teacher["at_loss"], teacher["squared_error"], teacher["difference"].abs().max().item()), (0, 0, 0))


def test_other_powers_by_hand():
    A = look_at(trained_subjects()["at"], drawn_scene(3))[1][2][0].double()  # (64, 8, 8)
    for power in (1, 2, 4, 8):
        by_hand = sum(channel.abs() ** power for channel in A)
        by_hand = 8 * by_hand / by_hand.pow(2).sum().sqrt()
        test_close(one_look("at", trained_subjects()["at"], drawn_scene(3), 3, power)["map"], by_hand, 1e-4)


def test_shuffled_channels_change_no_map():
    subjects, changed = trained_subjects(), 0
    for number in (0, 3, 7):
        for group in (1, 2, 3):
            for power in (1, 2, 4):
                a, b = [
                    explore(drawn_scene(number), subjects, group, power=power, shuffled=state)["rows"]
                    for state in (False, True)
                ]
                for before, after in zip(a[1:], b[1:]):
                    test_close(before["map"], after["map"], 1e-5)
                    test_close(before["at_loss"], after["at_loss"], 1e-7)
                    test_close(before["inside"], after["inside"], 1e-5)
                    assert abs(after["squared_error"] / before["squared_error"] - 1) > 0.05
                    changed += 1
    test_eq(changed, 3 * 3 * 3 * 3)


def test_the_page_gets_the_numbers_of_explore():
    data = explore(drawn_scene(3), trained_subjects(), group=2, network="kd")
    sent = json.loads(json.dumps(attention_view(data)))
    test_eq([row["name"] for row in sent["rows"]], list(TRAINED))
    test_eq((sent["network"], sent["teacher"], sent["view"], sent["kind"]), ("kd", "teacher", "all", "attention"))
    for ours, row in zip(sent["rows"], data["rows"]):
        test_close(torch.tensor(ours["map"]), row["map"].flatten(), 1e-4)
        test_close(torch.tensor(ours["channels"]) ** 2, row["channels"], 2e-3)
        test_eq((ours["at_loss"], ours["squared_error"]), (row["at_loss"], row["squared_error"]))
        test_eq((ours["predicted"], ours["right"], ours["side"]), (row["predicted"], row["right"], 16))
    test_eq(sent["image"]["pixels"][:3], test_images(4).images[3, :, 0, 0].tolist())
    test_eq(sent["mask"].count("1"), test_images(4).masks[3].sum().item())
    test_eq(attention_view(dict(problem="no image")), dict(problem="no image"))


def test_attention_panel_makes_its_point():
    panel = attention_panel()
    rows = {row["name"]: row for row in panel.data["rows"]}
    assert 10 * rows["at"]["at_loss"] < min(rows["scratch"]["at_loss"], rows["kd"]["at_loss"])
    assert rows["at"]["squared_error"] > max(rows["scratch"]["squared_error"], rows["kd"]["squared_error"])
    before, n = {name: (row["at_loss"], row["squared_error"]) for name, row in rows.items()}, panel.renders
    panel.press("shuffle the channels")
    test_eq(panel.renders, n + 1)
    for row in panel.data["rows"][1:]:
        test_close(row["at_loss"], before[row["name"]][0], 1e-7)
        assert row["squared_error"] > 1.3 * before[row["name"]][1]
    assert "channels of all but the teacher are shuffled and doubled" in panel.text
    assert "Shuffling and doubling the channels of at leaves its map and its AT loss unchanged" in panel.text
    first = panel.png
    panel.choose(view="one", network="teacher", shuffled=False)  # against itself
    test_eq((len(panel.data["rows"]), panel.data["rows"][0]["at_loss"]), (1, 0))
    assert panel.png != first
    panel.press("AT is wrong")
    panel.choose(network="at")
    assert "WRONG" in panel.text
    test_eq([panel.controls[name].continuous_update for name in ("number", "opacity")], [False, True])


def test_photographs_from_the_package_a_folder_and_an_upload():
    panel = attention_panel(data="cifar10")
    test_eq([row["name"] for row in panel.data["rows"]], list(trained_names("cifar10")))
    few, seen = test_images(data="cifar10"), panel.data["rows"]
    with torch.no_grad():
        logits = trained_network("kd+at", "cifar10")(network_input(few.images[1:2], "cifar10"))
    test_eq(seen[-1]["predicted"], trained_classes("cifar10")[logits.argmax()])
    test_eq([row["right"] for row in seen], [row["predicted"] == "cat" for row in seen])
    test_eq((seen[0]["inside"], len(panel.controls["number"].options)), (None, 4))
    panel.press("shuffle the channels")
    assert "CIFAR-10 test image 1, class cat" in panel.text and "leaves its map and its AT loss" in panel.text
    with tempfile.TemporaryDirectory() as folder:
        for name in ("frog", "holiday"):
            Path(folder, name).mkdir()
            for number in range(3):
                wide.save(Path(folder, name, f"{number}.png"))
        panel = attention_panel(data="cifar10", folder=folder, number=0, count=2)
        assert "frog/0.png" in panel.text and {row["right"] for row in panel.data["rows"]} <= {True, False}
        assert "Cropped to a square and resized to 32×32 with antialiasing" in panel.text
        panel.controls["number"].value = 1  # the fourth of six files: a folder is sampled evenly
        assert "0.png" in panel.text and "frog" not in panel.text.splitlines()[0]
        test_eq([row["right"] for row in panel.data["rows"]], [None] * 5)
    panel.controls["upload"].value = (
        dict(
            name="beach.png", type="", size=1, content=memoryview(content_of(wide)), last_modified=datetime.now()
        ),
    )
    assert "beach.png" in panel.text and "teacher: peak" in panel.text and "; predicts " in panel.text
    test_fail(lambda: attention_panel(data="cifar"), contains="did you mean cifar10")


def test_your_own_networks_and_images():
    torch.manual_seed(0)
    own = dict(networks={"resnet18": resnet18(weights=None)}, layers=["layer2", "layer3", "layer4"], size=64)
    panel = attention_panel(**own, group=1, network="resnet18")
    mine = panel.data["rows"][-1]
    test_eq((mine["name"], mine["layer"], mine["map"].shape), ("resnet18", "layer2", (8, 8)))
    test_eq((mine["at_loss"], mine["right"]), (None, None))
    assert "not the same size" in panel.text
    panel.choose(group=3, view="one")
    alone = attention_panel(**own, only=True)
    test_eq((alone.data["teacher"], len(alone.data["rows"])), ("resnet18", 1))
    test_fail(lambda: attention_panel({"resnet18": resnet18(weights=None)}), contains="name the layers")
    test_fail(lambda: attention_panel({"resnet18": resnet18(weights=None)}, ["layer9"]), contains="did you mean")
    with tempfile.TemporaryDirectory() as folder:
        panel = attention_panel(folder=folder, source="folder")
        assert "holds no images" in panel.text and "Error" not in panel.text
        Image.new("RGB", (50, 20), "navy").save(Path(folder) / "sea.png")
        panel.controls["opacity"].value = 1
        assert "sea.png" in panel.text and "there is no mask" in panel.text
        test_eq([row["right"] for row in panel.data["rows"]], [None] * 4)


def test_an_upload_is_shown_or_refused():
    panel, buffer = attention_panel(), io.BytesIO()
    panel.controls["source"].value = "upload"
    assert "nothing is uploaded yet" in panel.text and panel.controls["number"].disabled
    Image.new("RGB", (300, 200), "orange").save(buffer, "JPEG")


    def upload(name, content):  # as the browser hands it over
        file = dict(
            name=name, type="", size=len(content), content=memoryview(content), last_modified=datetime.now()
        )
        panel.controls["upload"].value = (file,)


    panel.controls["source"].value = "shapes"
    upload("beach.jpg", buffer.getvalue())  # is shown at once
    test_eq(panel.controls["source"].value, "upload")
    assert "beach.jpg" in panel.text and len(panel.data["rows"]) == 4
    upload("letter.txt", b"Dear Sir")
    test_eq(panel.text, "letter.txt can't be read as an image; upload a PNG or JPEG file")


def test_the_whole_test_set_as_recorded():
    data = whole_test_set()
    runs = {run["name"]: run for run in trained_facts()["runs"] if run["seed"] == 0}
    for name, seen in data["networks"].items():
        wrong = (~seen["right"]).sum().item()
        assert abs(wrong - 10 * trained_history(name)[-1]["test_error"]) < 1.01, name  # to one image
        for group in range(3):
            test_close(seen["inside"][group].mean().item(), runs[name]["energy_inside"][group], 1e-3)
            test_close(seen["distance"][group].mean().item(), runs[name]["map_distance"][group], 1e-5)
    even = torch.ones(1000, 7, 8, 8)  # uniform: the mask's share of the area
    test_close(energy_inside(even, data["masks"]), data["share"], 1e-6)
    masks = data["masks"].float()  # the mask as a map: all of it is on the object
    test_close(energy_inside(masks[:, None], data["masks"]), torch.ones(1000), 1e-6)
    assert peaks_on(masks.flatten(1), data["masks"]).all()
    assert not peaks_on(1 - masks.flatten(1), data["masks"]).any()
    scene = explore(drawn_scene(5), trained_subjects(), 3)["rows"][3]  # the two panels agree
    test_close(data["networks"]["at"]["inside"][2][5].item(), scene["inside"], 1e-5)
    test_eq(data["networks"]["at"]["hit"][2][5].item(), scene["peak"]["hit"])


def test_differences_and_their_limits():
    random = torch.Generator().manual_seed(1)
    values, right = torch.randn(1000, generator=random), torch.arange(1000) >= 40
    found, low, high = right_minus_wrong(values, right)  # no effect: the limits of the normal distribution
    test_close(found, (values[40:].mean() - values[:40].mean()).item(), 1e-6)
    expected = 1.96 * values.std().item() * (1 / 40 + 1 / 960) ** 0.5
    test_close([-low, high], [expected, expected], 0.04)
    assert not beyond(right_minus_wrong(values, right)) and beyond(right_minus_wrong(values + 0.8 * right, right))
    share = torch.rand(1000, generator=random)
    test_close(without_size(3 * share + 1, share), torch.zeros(1000), 1e-6)
    rows = two_questions(3)
    test_eq([row["name"] for row in rows], list(TRAINED))
    test_close([rows[0]["correlation"], rows[0]["distance"]], [1, 0], 1e-5)


def test_the_page_gets_the_numbers_of_where():
    data = where(number=5, group=3, network="scratch")
    sent = json.loads(json.dumps(where_view(data)))
    test_eq(list(sent["histograms"]), ["chance", "at", "kd", "scratch", "teacher"])
    for name, values in data["inside"].items():
        shown = sent["histograms"][name]
        test_eq(
            (sum(shown["counts"]), shown["counts"][20]), (1000, ((values >= 0.5) & (values < 0.525)).sum().item())
        )
        test_close((shown["mean"], shown["here"]), (values.mean().item(), values[5].item()), 1e-6)
    x, y, right = zip(*sent["scatter"]["points"])
    test_close(torch.tensor(x), data["inside"]["teacher"], 1e-3)
    test_close(torch.tensor(y), data["inside"]["scratch"], 1e-3)
    test_eq(list(right), data["all_right"]["scratch"].tolist())
    for row in sent["rows"]:
        look = explore(drawn_scene(5), trained_subjects(), group=3, network=row["name"])
        alone = next(other for other in look["rows"] if other["name"] == row["name"])
        test_close(torch.tensor(row["map"]), alone["map"].flatten(), 1e-3)
    test_eq(where_view(where(network="teacher"))["scatter"]["against"], "chance")


def test_where_panel_makes_its_point():
    panel = where_panel()
    data = panel.data
    test_close(
        data["inside"]["at"][5].item(),
        energy_inside(look_at(trained_subjects()["at"], drawn_scene(5))[1][2], drawn_scene(5).mask[None]).item(),
        1e-5,
    )
    test_eq(data["map"].shape, (8, 8))
    wrong = (~whole_test_set()["networks"]["at"]["right"]).sum().item()
    assert "Where the teacher looks?" in panel.text and f"{wrong} wrong." in panel.text
    first, n = panel.png, panel.renders
    panel.press("a peak off the object")
    assert "off the object; predicts ring, right" in panel.text and panel.png != first
    panel.choose(network="teacher", group=1)
    test_eq((panel.renders, panel.data["map"].shape), (n + 2, (32, 32)))
    test_fail(lambda: where(network="techer"), contains="did you mean teacher")


def test_energy_in_a_box_by_hand():
    subjects, scene = trained_subjects("cifar10"), photographs()[3]
    data = where_in_box(scene, subjects, 2, columns=(4, 11), rows=(16, 31))
    A = look_at(subjects["at"], scene)[1][1][0].double().pow(2).sum(0)  # (16, 16): two pixels a cell
    row = next(row for row in data["rows"] if row["name"] == "at")
    test_close(row["inside"], (A[8:, 2:6].sum() / A.sum()).item(), 1e-5)
    test_eq((data["chance"], row["chance"]), (8 * 16 / 32**2, 8 * 16 / 32**2))
    everything = where_in_box(scene, subjects, columns=(0, 31), rows=(0, 31))
    test_close([row["inside"] for row in everything["rows"]], [1] * 5, 1e-6)
    assert all(row["peak"]["hit"] for row in everything["rows"])


def test_box_panel_follows_the_box_and_the_image():
    panel = where_panel(data="cifar10")
    assert "chance 25%" in panel.text and "class cat" in panel.text and "There is no mask." in panel.text
    first, before = panel.png, panel.data["rows"][0]["inside"]
    panel.press("left half")
    assert "columns 0 to 15, rows 0 to 31; chance 50%" in panel.text and panel.png != first
    assert panel.data["rows"][0]["inside"] != before
    panel.controls["source"].value = "upload"
    test_eq(panel.text, "nothing is uploaded yet; press Upload and choose an image file")
    panel.controls["upload"].value = (
        dict(
            name="beach.png", type="", size=1, content=memoryview(content_of(wide)), last_modified=datetime.now()
        ),
    )
    assert "beach.png" in panel.text and "resized to 32×32 with antialiasing" in panel.text
    test_eq(len(where_panel(data="cifar10", number=3).data["rows"]), 5)
    test_fail(lambda: where_panel(data="cifar"), contains="did you mean cifar10")
