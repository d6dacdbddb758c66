"""Generated from nbs/distillation/26_training.ipynb by tools/export.py. Edit the notebook, not this file."""
import pytest
from moonshine.training.loop import *


import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn

from moonshine.data.datasets import shapes
from moonshine.losses.attention import Taps, activations, student_loss
from moonshine.losses.base import Output, cross_entropy
from moonshine.models.wide_resnet import wrn
from moonshine.training import checkpoints as checkpoint
from moonshine.training.recipe import Recipe


from copy import deepcopy


def twenty_steps(amp):
    "Each term of each step three times: as trained with; in float64 from the same activations; all in float64"
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


def test_auto_takes_bf16_only_where_it_is_faster():
    from unittest.mock import patch

    cpu = torch.device("cpu")
    for gain, name in ((0.3, "float32"), (1.1, "float32"), (2.5, "bfloat16"), (0.0, "float32")):
        with patch.dict(uses_bf16.__globals__, bf16_gain=lambda device: gain):
            assert precision_words("auto", cpu).startswith(f"{name}, chosen: bfloat16 is {gain:.2f} times")
    test_eq([precision_words(amp, cpu) for amp in ("none", "bf16")], ["float32", "bfloat16"])
    assert bf16_gain(cpu) > 0


def test_devices_by_name():
    test_eq(pick_device("cpu").type, "cpu")
    test_fail(lambda: pick_device("cuda:99"), contains="device 'cuda:99' isn't there")
    test_fail(lambda: pick_device("toaster"), contains="use auto or cpu")


def test_errors_by_hand():
    logits = torch.tensor([[3.0, 2, 1, 0, -1, -2], [0, 1, 2, 3, 4, 5]])
    found = errors(logits, torch.tensor([1, 0]), "test")  # second of six; last of six
    test_eq({name: value.item() for name, value in found.items()}, dict(test_error=100, test_top5_error=50))


def test_of_a_saved_optimizer_only_the_momentum_is_taken():
    def stepped(recipe):
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        layer(torch.randn(4, 3)).sum().backward()
        optimizer = optimizer_for(layer, recipe)
        optimizer.step()
        return layer, State(optimizer)


    (layer, old), (_, new) = stepped(Recipe()), stepped(recipe := Recipe(weight_decay=0.25, momentum=0.5))
    wanted, saved = optimizer_for(layer, recipe).state_dict()["param_groups"], old.content()
    for group in saved["optimizer"]["param_groups"]:
        group.update(nesterov=True, maximize=True, fused=False, foreach=True)
    new.restore(saved)
    test_eq(new.optimizer.state_dict()["param_groups"], wanted)  # the recipe's, all of it
    for a, b in zip(old.optimizer.state.values(), new.optimizer.state.values()):
        test_eq(a["momentum_buffer"], b["momentum_buffer"])

    weights, first = dict(layer.named_parameters()), saved["optimizer"]["state"][0]


    def refused(buffer, message):
        first["momentum_buffer"] = buffer
        test_fail(lambda: momentum_buffers(saved["optimizer"], weights, "T.pt"), contains=message)
        test_fail(lambda: new.restore(saved), contains="the momentum of parameter 0 is")


    refused(
        torch.zeros(3),
        "T.pt can't be resumed: the momentum of weight is (3,) torch.float32, not (2, 3) torch.float32",
    )
    refused(torch.zeros(2, 3).double(), "is (2, 3) torch.float64, not (2, 3) torch.float32")
    refused(torch.full((2, 3), float("inf")), "the momentum of weight is not finite")
    refused(torch.zeros(2, 3).to_sparse(), "is no plain tensor")
    refused(1.0, "is no plain tensor")
    test_fail(
        lambda: momentum_buffers(saved["optimizer"], dict(weight=layer.weight), "T.pt"),
        contains="of 2 parameters; the network has 1",
    )
    for odd in ({}, [], dict(param_groups=[{}], state={}), dict(param_groups=[dict(params=[0])], state=[])):
        test_fail(
            lambda: momentum_buffers(odd, weights, "T.pt"),
            contains="T.pt holds no optimizer state that can be read",
        )
    saved["optimizer"]["state"].clear()  # no step has been made yet
    test_eq(len(new.restore(saved).optimizer.state), 0)

    conv = nn.Conv2d(3, 4, 3).to(
        memory_format=torch.channels_last
    )  # the file need not lie in memory as the weight
    buffer, state = torch.randn(4, 3, 3, 3), State(optimizer_for(conv, Recipe()))
    state.restore_momentum(dict(param_groups=[dict(params=[0, 1])], state={0: dict(momentum_buffer=buffer)}))
    restored = state.optimizer.state[conv.weight]["momentum_buffer"]
    test_eq((restored.stride(), restored.tolist()), (conv.weight.stride(), buffer.tolist()))


def test_the_loop_learns_and_reports():
    data = shapes(train=256, test=64)
    torch.manual_seed(0)
    model = wrn(10, 0.5)
    recipe = Recipe(epochs=3, batch_size=32, epoch_step=(2,), augment=False)
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


def test_the_loop_is_plain_sgd():
    from moonshine.data.datasets import train_batches
    from moonshine.losses.attention import activations, at_loss

    data, recipe = shapes(train=24, test=8), Recipe(epochs=1, batch_size=8)


    def networks():
        torch.manual_seed(1)
        return wrn(10, 0.5), wrn(10, 0.5, "G(N)")


    teacher, student = networks()
    before = [p.clone() for p in teacher.state_dict().values()]
    fit(student, data, student_loss(10, 3, beta=1000.0), recipe, teacher, quiet=True)
    for was, p in zip(before, teacher.state_dict().values()):
        test_eq(was, p)  # the teacher has not moved

    teacher, plain = networks()
    teacher.eval()
    plain.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for x, y in train_batches(data, 8, seed=0, epoch=0):
        with torch.no_grad():
            _, guide = activations(teacher, x)
        logits, mine = activations(plain, x)
        attention = sum(at_loss(s, t) for s, t in zip(mine, guide))
        total = torch.nn.functional.cross_entropy(logits, y) + 1000 * attention
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    for a, b in zip(student.parameters(), plain.parameters()):
        test_close(a, b, eps=1e-5)


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


def test_a_name_is_no_path():
    for name in ("T", "wrn_40_2.student", "a+b-2", "élève", "T.before.2", "before", "-1"):
        test_eq(Run(name).name, name)
    for name in ("", ".", "..", ".T", "a/b", "/T", "../T", "a\\b", "a b", "a\n", "a\0", "a:b", "a*", 7, None):
        test_fail(lambda: Run(name), contains="and don't start with a dot; folders go into --checkpoint_dir")
    for name in ("T.before", "T.previous", "T.previous.before", "T.BEFORE"):
        test_fail(lambda: Run(name), contains="names that end in .before or .previous are reserved")


def test_an_older_run_of_a_name_is_kept_whole():
    with tempfile.TemporaryDirectory() as folder:
        run, model = Run("T", folder), wrn(10, 0.5)

        def write(number, *files):
            for suffix in files:
                path = Path(folder, f"T{suffix}")
                if path.suffix == ".pt":
                    checkpoint.save(path, model, number=number)
                else:
                    path.write_text(json.dumps(dict(epoch=number)) + "\n")

        def found(path):
            return (
                checkpoint.read(path)["number"] if path.suffix == ".pt" else json.loads(path.read_text())["epoch"]
            )

        def runs():
            return {path.name.removeprefix("T."): found(path) for path in sorted(Path(folder).iterdir())}

        write(1, ".pt", ".before.pt", ".jsonl")
        run.start()
        test_eq(runs(), {"previous.before.pt": 1, "previous.jsonl": 1, "previous.pt": 1})
        run.start()  # the second run had saved nothing: the first stays
        test_eq(runs(), {"previous.before.pt": 1, "previous.jsonl": 1, "previous.pt": 1})
        write(3, ".pt")  # the third was stopped early in its first epoch
        run.start()
        test_eq(runs(), {"previous.pt": 3})  # and nothing is left of another run beside it
        write(4, ".before.pt", ".jsonl")  # of the fourth somebody removed the checkpoint
        run.start()
        test_eq(runs(), {"previous.jsonl": 4, "previous.pt": 4})
        write(5, ".jsonl")  # of the fifth everything but the history
        run.start()
        test_eq(runs(), {"previous.jsonl": 5, "previous.pt": 4})


def test_files_that_no_run_wrote_stay_where_they_are():
    with tempfile.TemporaryDirectory() as folder:
        run = Run("data", folder)
        for name in ("data.jsonl", "data.pt", "data.before.pt", "data.previous.jsonl", "data.previous.pt"):
            path = Path(folder, name)
            torch.save(dict(rows=1), path) if path.suffix == ".pt" else path.write_text('{"question": "?"}\n')
            content = path.read_bytes()
            test_fail(run.start, contains=f"{path} was not written by a run of moonshine; move it away")
            test_eq((os.listdir(folder), path.read_bytes()), ([name], content))
            path.unlink()
        run.history.touch()  # nothing is lost with an empty file
        run.start()


def test_saved_by_steps_or_by_time_and_once_where_nothing_is_new():
    class Site:
        def __init__(self, count):
            self.history, self.means = [], RunningAverage(count=count)


    saved = []
    keep_filter = Checkpointer(lambda state: saved.append(state.means.count), every=3)
    for count in (1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7):
        keep_filter.after_step(Site(count))
    test_eq(saved, [3, 6, 7])
    saved.clear()
    now = iter([0, 59, 60, 60, 61, 121, 121])
    keep_filter = Checkpointer(lambda state: saved.append(state.means.count), clock=lambda: next(now))
    for count in (1, 2, 3, 4):
        keep_filter.after_step(Site(count))
    test_eq(saved, [2, 4])


def test_a_signal_is_noted_and_the_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with SignalHandler() as stop:
        test_eq(stop.signal, None)
        signal.raise_signal(signal.SIGTERM)
        test_eq(stop.signal.name, "SIGTERM")
        try:
            signal.raise_signal(signal.SIGTERM)
            assert False, "a second one ends it"
        except KeyboardInterrupt:
            pass
    test_eq([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], before)


def test_what_a_run_was_made_with():
    data = shapes(train=32, test=16)
    made = provenance(data, Recipe(seed=7), torch.device("cpu"))
    test_eq((made["seed"], made["images"], made["torch"]), (7, data.fingerprint(), torch.__version__))
    with tempfile.TemporaryDirectory() as folder:
        test_eq(commit(Path(folder)), None)  # no checkout
        git = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b.c"]
        Path(folder, "file").write_text("1")
        for words in ("init -q", "add file", "commit -q -m first"):
            subprocess.run(git + words.split(), check=True)
        first = subprocess.run(git + ["rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
        test_eq(commit(Path(folder)), first)
        Path(folder, "file").write_text("2")
        test_eq(commit(Path(folder)), first + "-dirty")


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
        content = checkpoint.describe(Path(folder, "parts.pt"))
    test_eq(without_times(map(json.loads, lines)), without_times(expected))
    test_eq((without_times(history), len(content["starts"])), (without_times(expected), 5))
    for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values()):
        assert torch.equal(a, b), name


def test_a_run_goes_on_with_the_weight_decay_that_it_is_resumed_with():
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
        resumed = go(folder, replace(recipe, weight_decay=0.1))
        content = checkpoint.describe(Path(folder, "net.pt"))
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
                    contains=f"of the {ruin.__name__} is not finite, so {path} is not written; the last good state is in {path}: resume",
                )
            test_eq(checkpoint.describe(path)["started"]["images"], 16 * (number - 1))
            go(folder)
            for line in Path(folder, "net.jsonl").read_text().splitlines():
                json.loads(line, parse_constant=lambda word: 1 / 0)
            test_eq(len(checkpoint.describe(path)["history"]), 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.pt")
        with (
            ruined(weights, 3),
            patch.object(checkpoint, "non_finite_state", lambda *state: ""),
        ):  # as an older version
            test_fail(lambda: go(folder), contains="the loss is nan")
        last = checkpoint.before(path)
        test_fail(
            lambda: go(folder),
            contains=f"{path} can't be resumed: fc.weight of the weights is not finite; "
            f"the one before it is good, to go on from there: mv {last} {path}",
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
        test_eq(checkpoint.describe(Path(folder, "net.pt"))["started"]["images"], 16)
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


def test_deterministic_is_asked_for():
    with patch.dict(os.environ):
        try:
            deterministic()
            assert torch.are_deterministic_algorithms_enabled() and os.environ["CUBLAS_WORKSPACE_CONFIG"]
            data, loss = shapes(train=32, test=16), student_loss(10, 3, alpha=0.5, beta=1000.0)
            fit(wrn(10, 0.5, "G(N)"), data, loss, Recipe(epochs=1, batch_size=16), wrn(10, 0.5), quiet=True)
        finally:
            torch.use_deterministic_algorithms(False)
