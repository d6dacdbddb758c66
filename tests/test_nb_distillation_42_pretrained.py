"""Generated from nbs/distillation/42_pretrained.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.pretrained import *


from statistics import mean, stdev

import torch
from fastcore.test import test_close, test_eq, test_fail

from moonshine.costs.counting import text_table
from moonshine.losses.attention import activations, at_loss, energy_inside


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
    test_fail(lambda: trained_network("techer"), contains="did you mean teacher")


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
