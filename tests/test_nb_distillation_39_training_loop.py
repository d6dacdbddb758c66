"""Generated from nbs/distillation/39_training_loop.ipynb by tools/export.py. Edit the notebook, not this file."""
import pytest
from moonshine.training.loop import *


import json
import os
import signal
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn

from moonshine.data.drawing import shapes
from moonshine.losses.attention import Taps, activations, student_loss
from moonshine.losses.base import Loss, Output, Term, cross_entropy
from moonshine.models.wide_resnet import wrn
from moonshine.training import checkpoints
from moonshine.training.precision import deterministic
from moonshine.training.progress import Progress, best_and_last, epoch_line
from moonshine.training.recipe import Recipe
from moonshine.training.runs import Run
from moonshine.training.state import State, optimizer_for


from copy import deepcopy


def twenty_steps(amp):
    "Each term three times: as trained with; in float64 from the same activations; all in float64"
    torch.manual_seed(0)
    data, found = shapes(train=160, test=8), []
    model, teacher = wrn(10, 0.5, "G(N)"), wrn(10, 0.5).eval()
    student, guide, loss = Taps(model), Taps(teacher), student_loss(10, 3, 0.5, 1000.0)
    given, optimizer = [], optimizer_for(model, recipe := Recipe(batch_size=16, learning_rate=0.01, amp=amp))
    student.register_forward_pre_hook(lambda module, args: given.__setitem__(slice(None), args))

    @torch.no_grad()
    def watched(out, target, y):
        with torch.enable_grad():
            total, terms = loss(out, target, y)
        with torch.autocast("cpu", enabled=False):
            exact = [
                Output(*activations(deepcopy(net).double(), given[0].double())) for net in (model, teacher)
            ]
            again = [Output(o.logits.double(), [a.double() for a in o.activations]) for o in (out, target)]
            expected, same = loss(*exact, y)[1], loss(*again, y)[1]
        found.extend([terms[name].item(), same[name].item(), expected[name].item()] for name in terms)
        return total, terms

    for epoch in range(2):
        state = State(optimizer, history=[{}] * epoch)
        train_epoch(student, guide, data, watched, recipe, state, Progress(range(1), True))
    return found


class Notice:
    "Asks a run to stop once so many steps (and batches of evaluation) have been allowed, as a signal would"

    def __init__(self, steps):
        self.steps = steps

    @property
    def signal(self):
        self.steps -= 1
        return signal.SIGTERM if self.steps < 0 else None

    @signal.setter
    def signal(self, number):
        pass


def without_times(history):
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in history]


class Hint(nn.Module):
    "Mean squared distance of the logits, after a linear layer of the loss, from the teacher's"

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.layer = nn.Linear(10, 10)

    def forward(self, student, teacher, labels):
        return (self.layer(student.logits) - teacher.logits).square().mean()


def hint_loss():
    meaning = "mean squared distance of the logits after a linear layer"
    return cross_entropy() + Loss((Term("hint", 1.0, Hint(), meaning, ("teacher",), weight_decay=0.0),))


def trained(**how):
    "A student by KD and AT: its history, and the network"
    torch.manual_seed(0)
    teacher, student = wrn(10, 0.5), wrn(10, 0.5, "G(N)")
    recipe = Recipe(epochs=1, batch_size=16, learning_rate=0.01, **how)
    return fit(
        student, shapes(train=48, test=16), student_loss(10, 3, 0.5, 1000.0), recipe, teacher, quiet=True
    ), student


def same_training(one, other, eps):
    for a, b in zip(one[0], other[0]):
        test_close(
            [a[k] for k in ("ce", "kd", "at", "test_loss")],
            [b[k] for k in ("ce", "kd", "at", "test_loss")],
            eps,
        )
    test_eq(list(one[1].state_dict()), list(other[1].state_dict()))


def test_the_step_is_plain_sgd():
    from moonshine.data.images import train_batches
    from moonshine.losses.attention import activations, at_loss

    data, recipe = shapes(train=24, test=8), Recipe(epochs=1, batch_size=8)


    def networks():
        torch.manual_seed(1)
        teacher, student = wrn(10, 0.5).eval(), wrn(10, 0.5, "G(N)")
        return teacher, student.to(memory_format=torch.channels_last).train()


    teacher, student = networks()
    before = [p.clone() for p in teacher.state_dict().values()]
    loss, optimizer = student_loss(10, 3, beta=1000.0), optimizer_for(student, recipe)
    tapped, guide = Taps(student), Taps(teacher)
    for x, y in train_batches(data, 8, seed=0, epoch=0):
        train_step(tapped, guide, x, y, loss, optimizer)
    guide.remove()
    for was, p in zip(before, teacher.state_dict().values()):
        test_eq(was, p)  # the teacher has not moved

    teacher, plain = networks()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for x, y in train_batches(data, 8, seed=0, epoch=0):
        with torch.no_grad():
            _, wanted = activations(teacher, x)
        logits, mine = activations(plain, x)
        attention = sum(at_loss(s, t) for s, t in zip(mine, wanted))
        total = torch.nn.functional.cross_entropy(logits, y) + 1000 * attention
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    for a, b in zip(student.parameters(), plain.parameters()):
        test_close(a, b, eps=1e-5)


def test_an_untrained_network_guesses():
    found = evaluate(wrn(10, 0.5), shapes(train=32, test=200))
    test_eq(list(found), ["test_loss", "test_error", "test_top5_error"])
    assert 70 < found["test_error"] < 100 and found["test_top5_error"] < found["test_error"]


def test_the_loop_learns_and_reports():
    data = shapes(train=256, test=64)
    torch.manual_seed(0)
    model = wrn(10, 0.5)
    recipe = Recipe(epochs=3, batch_size=32, epoch_step=(2,), augmentation=())
    history = fit(model, data, cross_entropy(), recipe, quiet=True)
    test_eq([row["epoch"] for row in history], [1, 2, 3])
    assert history[2]["ce"] < history[0]["ce"] < 3, "the loss must fall"
    test_eq(
        set(history[0]),
        {
            "epoch",
            "learning_rate",
            "train_loss",
            "ce",
            "train_error",
            "train_top5_error",
            "test_loss",
            "test_error",
            "test_top5_error",
            "seconds",
            "images_per_second",
        },
    )
    print(epoch_line(history[-1], 3), best_and_last(history), sep="\n")


def test_a_frozen_batch_norm_stays_as_it_is():
    def statistics(freeze):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(10))
        model(torch.zeros(1, 3, 32, 32))
        before = model[1].running_mean.clone()
        freeze(model)
        fit(model, shapes(train=32, test=16), cross_entropy(), Recipe(epochs=2, batch_size=16), quiet=True)
        return before.equal(model[1].running_mean)


    test_eq(statistics(lambda model: model.train()), False)
    test_eq(statistics(lambda model: model.eval()), False)  # as after `load`
    test_eq(statistics(lambda model: model.train()[1].eval()), True)
    test_eq(statistics(lambda model: model.eval()[1].requires_grad_(False)), True)


def test_a_last_batch_of_one_trains():
    pooled = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(8), nn.Linear(8, 10)
    )
    history = fit(pooled, shapes(train=21, test=8), cross_entropy(), Recipe(epochs=2, batch_size=10), quiet=True)
    test_eq([round(row["train_error"] * 21 / 100, 6) % 1 for row in history], [0, 0])  # whole images of 21


    def one_at_a_time():
        fit(pooled, shapes(train=4, test=8), cross_entropy(), Recipe(epochs=1, batch_size=1), quiet=True)


    test_fail(one_at_a_time, contains="a batch of 1 image can't train this network's batch norm")


def test_only_some_epochs_are_evaluated():
    data = shapes(train=32, test=16)
    for fraction, last in ((0.0, "test_error"), (0.25, "val_error")):
        recipe = Recipe(epochs=4, batch_size=16, eval_every=2, val_fraction=fraction)
        history = fit(wrn(10, 0.5), data, cross_entropy(), recipe, quiet=True)
        test_eq([last in row for row in history], [False, True, False, True])
        test_eq(["test_error" in row for row in history][3], True)
        print(best_and_last(history))


def test_loss_terms_of_20_steps_agree_with_float64():
    found = twenty_steps("none")
    test_eq(len(found), 20 * 3)
    for ours, same, exact in found:
        assert abs(ours - same) <= 1e-4 * abs(same) and abs(ours - exact) <= 1e-4 * abs(exact), (
            ours,
            same,
            exact,
        )


def test_bf16_loss_terms_of_20_steps_agree_with_float64():
    roundings = 3 * sum(isinstance(layer, (nn.Conv2d, nn.Linear)) for layer in wrn(10, 0.5, "G(N)").modules())
    tolerance, found = roundings**0.5 * 2**-8, twenty_steps("bf16")
    worst = max(abs(ours - exact) / abs(exact) for ours, same, exact in found)
    print(f"{roundings} roundings: {100 * tolerance:.1f} %; the worst of {len(found)} terms: {100 * worst:.2f} %")
    assert 1e-4 < worst <= tolerance  # below 1e-4 it was not bfloat16
    for ours, same, exact in found:
        assert abs(ours - same) <= 1e-4 * abs(same), (ours, same)


def test_a_loss_that_is_not_a_number_stops_the_run():
    data = shapes(train=64, test=16)
    model = wrn(10, 0.5)
    recipe = Recipe(epochs=1, batch_size=16, learning_rate=1e20)
    test_fail(
        lambda: fit(model, data, cross_entropy(), recipe, quiet=True), contains="epoch 1, after 16 images (ce"
    )


def test_a_resumed_run_is_the_uninterrupted_run():
    data = shapes(train=96, test=32)
    recipe = Recipe(epochs=4, batch_size=32, epoch_step=(2,), seed=3)


    def new_network():
        torch.manual_seed(3)
        network = wrn(10, 0.5, "G(N/8)")
        network.block2[0].add_module("dropout", nn.Dropout(0.3))
        return network


    teacher, loss = wrn(10, 0.5), student_loss(10, 3, alpha=0.5, beta=1000.0)

    with tempfile.TemporaryDirectory() as folder:
        whole = new_network()
        run = dict(data=data, loss=loss, directory=folder, teacher=teacher, quiet=True)
        expected = train(whole, recipe=recipe, name="whole", **run)
        train(new_network(), recipe=replace(recipe, epochs=2), name="parts", **run)
        for steps in (1, 1, 2, 100):  # in an epoch, in its evaluation, in the next one, not at all
            torch.rand(7)  # something else happens in between
            parts = new_network()
            history = train(parts, recipe=recipe, name="parts", resume=True, stop=Notice(steps), **run)
        lines = Path(folder, "parts.jsonl").read_text().splitlines()
        content = checkpoints.describe(Path(folder, "parts.pt"))
    test_eq(without_times(map(json.loads, lines)), without_times(expected))
    test_eq((without_times(history), len(content["starts"])), (without_times(expected), 5))
    for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values()):
        assert torch.equal(a, b), name


def test_a_loss_with_parameters_is_trained_and_resumed():
    data, recipe = shapes(train=64, test=16), Recipe(epochs=3, batch_size=16, epoch_step=(2,), seed=3)
    teacher = wrn(10, 0.5)


    def go(name, folder, epochs=3, loss=None, **options):
        torch.manual_seed(3)
        network, loss = wrn(10, 0.5, "G(N)"), loss or hint_loss()
        how = dict(teacher=teacher, resume=True, quiet=True, **options)
        return train(network, data, loss, replace(recipe, epochs=epochs), name, folder, **how), network, loss


    with tempfile.TemporaryDirectory() as folder:
        expected, whole, learned = go("whole", folder)
        go("parts", folder, epochs=1)
        for steps in (1, 2, 100):
            history, parts, loss = go("parts", folder, stop=Notice(steps))
        content = checkpoints.describe(Path(folder, "parts.pt"))
        test_fail(
            lambda: go("parts", folder, epochs=4, loss=student_loss(10, 3, alpha=0.5)),
            contains="the parameters of another loss",
        )
        go("old", folder, epochs=1, loss=student_loss(10, 3, alpha=0.5))  # whose checkpoint stores no loss
        go("old", folder)
    test_eq(without_times(history), without_times(expected))
    assert "hint" in history[0] and "hint" in epoch_line(history[0], 3)
    assert not torch.equal(learned.parts.hint.layer.weight, Hint().layer.weight), "it was trained"
    test_eq([group["weight_decay"] for group in content["optimizer"]["param_groups"]], [5e-4, 0.0])
    for one, other in ((whole, parts), (learned, loss)):
        for (name, a), b in zip(one.state_dict().items(), other.state_dict().values()):
            assert torch.equal(a, b), name


def test_the_best_epoch_is_chosen_on_validation_images():
    data = shapes(train=160, test=64)
    recipe = Recipe(epochs=3, batch_size=32, epoch_step=(2,), val_fraction=0.2)
    reads, real = [], type(data).test_batches


    def noting(data, *arguments):
        reads.append(len(data.test))
        return real(data, *arguments)


    torch.manual_seed(0)
    model = wrn(10, 0.5)
    with tempfile.TemporaryDirectory() as folder, patch.object(type(data), "test_batches", noting):
        history = train(model, data, cross_entropy(), recipe, "T", folder, quiet=True)
        for steps in (4, 4, 100):  # in the first epoch, in the second, not at all
            torch.manual_seed(0)
            how = dict(resume=True, quiet=True, stop=Notice(steps))
            again = train(wrn(10, 0.5), data, cross_entropy(), recipe, "parts", folder, **how)
        parts = checkpoints.describe(Path(folder, "parts.pt"))
        content, (loaded, _) = (f(Path(folder, "T.pt")) for f in (checkpoints.describe, checkpoints.load))
        test_fail(
            lambda: train(model, data, cross_entropy(), replace(recipe, seed=1), "T", folder, resume=True),
            contains="holds out other images for validation; resume with --val_fraction 0.2 --seed 0",
        )
    test_eq(reads[:4], [30, 30, 30, 64])  # the test set once, at the end
    test_eq((without_times(again), reads.count(64)), (without_times(history), 2))  # and once in the stopped run
    for one, other in ((content["net"], parts["net"]), (content["best"]["net"], parts["best"]["net"])):
        assert all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))
    test_eq(["test_error" in row for row in history], [False, False, True])
    best = min(history, key=lambda row: row["val_error"])
    test_eq((content["best"]["epoch"], best_and_last(history)[:8]), (best["epoch"], f"epoch {best['epoch']} "))
    test_eq(evaluate(loaded, data)["test_error"], history[-1]["test_error"])
    for name, value in model.state_dict().items():
        assert torch.equal(value, content["best"]["net"][name]), name


def test_a_run_trains_with_the_weight_decay_that_it_is_resumed_with():
    data, recipe = shapes(train=64, test=16), Recipe(epochs=2, batch_size=16, seed=3)


    def go(folder, recipe, **options):
        torch.manual_seed(3)
        network = wrn(10, 0.5)
        train(network, data, cross_entropy(), recipe, "net", folder, resume=True, quiet=True, **options)
        return network


    def change(state):
        if len(state.history) == 1:
            state.optimizer.param_groups[0]["weight_decay"] = 0.1


    with tempfile.TemporaryDirectory() as folder:
        go(folder, replace(recipe, epochs=1))
        test_fail(
            lambda: go(folder, replace(recipe, weight_decay=0.1)),
            contains="weight_decay is 0.1 (was 0.0005); resume with what it began with",
        )
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            resumed = go(folder, replace(recipe, weight_decay=0.1), with_changes=True)
        test_eq(str(said[0].message), "net is resumed with changes: weight_decay is 0.1 (was 0.0005)")
        content = checkpoints.describe(Path(folder, "net.pt"))
    test_eq(
        (content["recipe"]["weight_decay"], content["optimizer"]["param_groups"][0]["weight_decay"]), (0.1, 0.1)
    )
    torch.manual_seed(3)
    fit(changed := wrn(10, 0.5), data, cross_entropy(), recipe, after_epoch=change, quiet=True)
    for (name, a), b in zip(changed.state_dict().items(), resumed.state_dict().values()):
        assert torch.equal(a, b), name


def test_a_ruined_state_is_neither_saved_nor_resumed():
    data, recipe = shapes(train=64, test=16), Recipe(epochs=2, batch_size=16)


    def go(folder):
        train(wrn(10, 0.5), data, cross_entropy(), recipe, "net", folder, resume=True, quiet=True, save_every=1)


    def weights(model, state):
        model.fc.weight.data[0, 0] = float("nan")


    def momentum(model, state):
        state.optimizer.state[model.fc.bias]["momentum_buffer"][0] = float("inf")


    def history(model, state):
        state.history[-1]["test_loss"] = float("inf")


    def ruined(ruin, number, real=Run.save):
        "`Run.save`, but the state is ruined when it is called for the `number`th time"
        left = iter(range(number - 1, -1, -1))

        def save(run, model, state, **info):
            if next(left, None) == 0:
                ruin(model, state)
            real(run, model, state, **info)

        return patch.object(Run, "save", save)


    for ruin, number in ((weights, 3), (momentum, 3), (history, 5)):  # four steps, then the end of the epoch
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "net.pt")
            with ruined(ruin, number):
                test_fail(
                    lambda: go(folder),
                    contains=f"of the {ruin.__name__} is not finite, so {path} is not written; "
                    f"the last good state is in {path}: resume",
                )
            test_eq(checkpoints.describe(path)["started"]["images"], 16 * (number - 1))
            go(folder)
            for line in Path(folder, "net.jsonl").read_text().splitlines():
                json.loads(line, parse_constant=lambda word: 1 / 0)
            test_eq(len(checkpoints.describe(path)["history"]), 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.pt")
        with (
            ruined(weights, 3),
            patch.object(checkpoints, "non_finite_state", lambda *state: ""),
        ):  # as an older version
            test_fail(lambda: go(folder), contains="the loss is nan")
        last = checkpoints.before(path)
        test_fail(
            lambda: go(folder),
            contains=f"{path} can't be resumed: fc.weight of the weights is not finite; "
            f"the previous checkpoint is good; to continue from it: mv {last} {path}",
        )
        os.replace(last, path)
        go(folder)


def test_resuming_another_network_is_refused():
    data, recipe = shapes(train=32, test=16), Recipe(epochs=1, batch_size=16)
    with tempfile.TemporaryDirectory() as folder:
        train(wrn(10, 0.5), data, cross_entropy(), recipe, "net", folder, quiet=True)
        test_fail(
            lambda: train(wrn(16, 0.5), data, cross_entropy(), recipe, "net", folder, resume=True, quiet=True),
            contains="holds another network (depth 10, not 16)",
        )
        train(
            wrn(10, 0.5), data, cross_entropy(), recipe, "net", folder, quiet=True
        )  # new run under the old name
        assert Path(folder, "net.previous.pt").exists() and not Path(folder, "net.before.pt").exists()


def test_in_the_middle_of_an_epoch_the_seed_is_kept():
    data, recipe = shapes(train=32, test=16), Recipe(epochs=1, batch_size=16, seed=4)


    def go(seed=4, **options):
        train(
            wrn(10, 0.5),
            data,
            cross_entropy(),
            replace(recipe, seed=seed),
            "net",
            resume=True,
            quiet=True,
            **options,
        )


    with tempfile.TemporaryDirectory() as folder:
        go(stop=Notice(0), directory=folder)
        test_eq(checkpoints.describe(Path(folder, "net.pt"))["started"]["images"], 16)
        assert not Path(folder, "net.jsonl").exists()
        test_fail(
            lambda: go(seed=5, directory=folder),
            contains="in the middle of an epoch whose order comes from seed 4",
        )
        go(directory=folder)
        test_eq(len(Path(folder, "net.jsonl").read_text().splitlines()), 1)


def test_tensorboard_is_optional():
    data, recipe = shapes(train=32, test=16), Recipe(epochs=1, batch_size=16)
    with tempfile.TemporaryDirectory() as folder, patch.dict(sys.modules, {"torch.utils.tensorboard": None}):
        train(wrn(10, 0.5), data, cross_entropy(), recipe, "net", folder, quiet=True)
        test_eq(sorted(path.name for path in Path(folder).iterdir()), ["net.jsonl", "net.pt"])


def test_ctrl_c_keeps_the_finished_epochs():
    data = shapes(train=32, test=16)


    def interrupt(state):
        if len(state.history) == 2:
            raise KeyboardInterrupt


    recipe = Recipe(epochs=9, batch_size=16)
    history = fit(wrn(10, 0.5), data, cross_entropy(), recipe, after_epoch=interrupt, quiet=True)
    test_eq(len(history), 2)


def test_bf16_trains_too():
    data = shapes(train=64, test=16)
    recipe = Recipe(epochs=1, batch_size=32, amp="bf16")
    history = fit(wrn(10, 0.5), data, student_loss(10, 3, beta=1000.0), recipe, wrn(10, 0.5), quiet=True)
    assert history[0]["at"] > 0 and history[0]["ce"] < 5


def test_a_compiled_run_is_the_same_run():
    asked, compiled = [], nn.Module.compile


    def traced(network, **options):
        asked.append((type(network).__name__, network.training))
        compiled(network, backend="eager", **options)


    with patch.object(nn.Module, "compile", traced):
        found = trained(compile=True)
    test_eq([name for name, _ in asked], ["Taps", "Taps"])  # student and teacher
    same_training(found, trained(), 1e-4)
    test_eq(found[1].spec["block"], "G(N)")


@pytest.mark.slow
def test_a_run_of_machine_code_is_the_same_run():
    same_training(trained(compile=True), trained(), 1e-2)


def test_every_operation_of_a_step_can_be_deterministic():
    with patch.dict(os.environ):
        try:
            deterministic()
            data, loss = shapes(train=32, test=16), student_loss(10, 3, alpha=0.5, beta=1000.0)
            fit(wrn(10, 0.5, "G(N)"), data, loss, Recipe(epochs=1, batch_size=16), wrn(10, 0.5), quiet=True)
        finally:
            torch.use_deterministic_algorithms(False)
