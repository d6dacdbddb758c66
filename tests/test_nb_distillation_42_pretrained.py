"""Generated from nbs/distillation/42_pretrained.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.pretrained import *


from pathlib import Path
from statistics import mean, stdev

import torch
from fastcore.test import test_close, test_eq, test_fail

import moonshine
from moonshine.costs.counting import text_table
from moonshine.data.cifar import RELEASED_NORMALIZATION
from moonshine.data.drawing import CLASSES
from moonshine.losses.attention import activations, at_loss, energy_inside


def test_both_sets_load_and_describe_themselves():
    for data, size in (("shapes", 1), ("cifar10", 2)):
        facts = trained_facts(data)
        for name in trained_names(data):
            network = trained_network(name, data)
            role = "teacher" if name == "teacher" else "student"
            wanted = dict(depth=16, width=size, block=facts[role]["block"], num_classes=10)
            test_eq({key: network.spec[key] for key in wanted}, wanted)
            weights = [value for value in network.state_dict().values() if value.is_floating_point()]
            assert not network.training and {value.dtype for value in weights} == {torch.float32}
        images = test_images(3, data)
        x = network_input(images.images, data)
        logits, maps = activations(network, x)
        test_eq((logits.shape, [a.shape[2] for a in maps]), ((3, 10), [32, 16, 8]))
        how = trained_normalization(data)
        by_hand = (images.images[1, 2].double() / 255 - how["mean"][2]) / how["std"][2]
        test_close(x[1, 2].double(), by_hand, 1e-5)
    test_eq(trained_classes("shapes"), tuple(CLASSES))
    test_eq(trained_classes("cifar10"), tuple(trained_facts("cifar10")["classes"]))
    test_eq(trained_normalization("cifar10"), RELEASED_NORMALIZATION["cifar10"])


def test_wrong_names_get_one_line():
    test_fail(lambda: trained_network("techer"), contains="did you mean teacher")
    test_fail(lambda: trained_network("kd-at", "cifar10"), contains="did you mean kd+at")
    test_fail(lambda: trained_network("kd+at"), contains="known: teacher, scratch, kd, at")
    test_fail(lambda: trained_network("at", "cifar"), contains="did you mean cifar10")
    test_fail(lambda: trained_facts("cifar100"), contains="did you mean cifar10")
    test_fail(lambda: trained_history("at", data="cifar10"), contains="no history was kept")
    test_fail(lambda: trained_history("att", data="cifar10"), contains="unknown run")
    test_fail(lambda: test_images(5, "cifar10"), contains="holds 4 test images of cifar10, not 5")


def test_the_trained_networks_err_as_recorded():
    images, facts = test_images(), trained_facts()
    x = network_input(images.images)
    for name in TRAINED:
        with torch.no_grad():
            wrong = 100 * (trained_network(name)(x).argmax(1) != images.labels).double().mean().item()
        recorded = trained_history(name)[-1]["test_error"]
        test_close(wrong, recorded, 0.11)  # one image of 1,000, because another processor may round differently
        role = "teacher" if name == "teacher" else "student"
        test_eq(trained_network(name).spec["block"], facts[role]["block"])


def test_the_trained_networks_look_as_recorded():
    images = test_images()
    x = network_input(images.images)
    run = {run["name"]: run for run in trained_facts()["runs"] if run["seed"] == 0}
    with torch.no_grad():
        seen = {name: activations(trained_network(name), x)[1] for name in TRAINED}
    for name in TRAINED:
        inside = [energy_inside(a, images.masks).mean().item() for a in seen[name]]
        distance = [at_loss(a, b).item() for a, b in zip(seen[name], seen["teacher"])]
        test_close(inside, run[name]["energy_inside"], 1e-3)
        test_close(distance, run[name]["map_distance"], 1e-5)


def test_rounding_changes_no_error_by_a_tenth_of_a_point():
    for run in trained_facts("cifar10")["runs"]:
        test_close(run["test_error"], run["recorded_test_error"], 0.1)
        test_close(run["test_error"], run["test_error_before_rounding"], 0.1)
    size = sum(
        path.stat().st_size
        for path in Path(moonshine.__file__).parent.joinpath("facts/trained/cifar10").iterdir()
    )
    assert size < 6e6
