"""Generated from nbs/distillation/35_state.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.state import *


import torch
from fastcore.test import test_eq, test_fail
from torch import nn

from moonshine.losses.base import Loss, Output, Term
from moonshine.training.recipe import Recipe


class Hint(nn.Module):
    "A term with a layer that is trained"

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, student, teacher, labels):
        return self.layer(student.logits).square().mean()


def hint_loss(weight_decay=None):
    meaning = "mean square of the logits after a linear layer"
    return Loss((Term("hint", 1.0, Hint(), meaning, weight_decay=weight_decay),))


def stepped(recipe, loss=None):
    "A layer after one step of its optimizer, and the state"
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    out = layer(torch.randn(4, 3))
    (loss(Output(out), None, None)[0] if loss else out.sum()).backward()
    state = State(optimizer_for(layer, recipe, loss), loss=loss)
    state.optimizer.step()
    return layer, state


def test_the_parameters_of_a_loss_are_a_group():
    recipe = Recipe()
    for decay, wanted in ((None, 5e-4), (0.0, 0.0)):
        groups = optimizer_for(nn.Linear(3, 3), recipe, hint_loss(decay)).param_groups
        test_eq([len(group["params"]) for group in groups], [2, 2])
        test_eq([group["weight_decay"] for group in groups], [5e-4, wanted])
    test_eq(len(optimizer_for(nn.Linear(3, 3), recipe, lambda *outputs: None).param_groups), 1)


def test_momentum_that_does_not_fit_is_refused():
    layer = nn.Linear(3, 2)
    layer(torch.randn(4, 3)).sum().backward()
    optimizer = optimizer_for(layer, Recipe())
    optimizer.step()
    saved, weights = optimizer.state_dict(), dict(layer.named_parameters())
    first = saved["state"][0]


    def refused(buffer, message):
        first["momentum_buffer"] = buffer
        test_fail(lambda: momentum_buffers(saved, weights, "T.pt"), contains=message)


    refused(
        torch.zeros(3),
        "T.pt can't be resumed: the momentum of weight is (3,) torch.float32, not (2, 3) torch.float32",
    )
    refused(torch.zeros(2, 3).double(), "is (2, 3) torch.float64, not (2, 3) torch.float32")
    refused(torch.full((2, 3), float("inf")), "the momentum of weight is not finite")
    refused(torch.zeros(2, 3).to_sparse(), "is no plain tensor")
    refused(1.0, "is no plain tensor")
    test_fail(
        lambda: momentum_buffers(saved, dict(weight=layer.weight), "T.pt"),
        contains="of 2 parameters; the network has 1",
    )
    for odd in ({}, [], dict(param_groups=[{}], state={}), dict(param_groups=[dict(params=[0])], state=[])):
        test_fail(
            lambda: momentum_buffers(odd, weights, "T.pt"),
            contains="T.pt holds no optimizer state that can be read",
        )


def test_momentum_is_laid_out_in_memory_as_its_weight():
    conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    buffer, optimizer = torch.randn(4, 3, 3, 3), optimizer_for(conv, Recipe())
    restore_momentum(optimizer, dict(param_groups=[dict(params=[0, 1])], state={0: dict(momentum_buffer=buffer)}))
    restored = optimizer.state[conv.weight]["momentum_buffer"]
    test_eq((restored.stride(), restored.tolist()), (conv.weight.stride(), buffer.tolist()))


def test_random_numbers_continue():
    before = random_state()
    drawn = torch.rand(3)
    set_random_state(before)
    test_eq(torch.rand(3), drawn)
    for odd in ([], [torch.zeros(3, dtype=torch.uint8)], [torch.zeros(len(before[0]))]):
        test_fail(lambda: set_random_state(odd), contains="it must be 5056 bytes")


def test_an_epoch_has_no_more_images_than_the_dataset():
    for content in ({}, dict(started=dict(images=32))):  # 32: stopped while it was evaluated
        check_started(content, 32)
    test_fail(
        lambda: check_started(dict(started=dict(images=64)), 32, "T.pt"),
        contains="T.pt has seen 64 images of its epoch, but there are 32 training images; resume with the images",
    )


def test_of_a_saved_optimizer_only_the_momentum_is_taken():
    (layer, old), (_, new) = stepped(Recipe()), stepped(recipe := Recipe(weight_decay=0.25, momentum=0.5))
    wanted, saved = optimizer_for(layer, recipe).state_dict()["param_groups"], old.content()
    for group in saved["optimizer"]["param_groups"]:
        group.update(nesterov=True, maximize=True, fused=False, foreach=True)
    new.restore(saved)

    test_eq(new.optimizer.state_dict()["param_groups"], wanted)  # the recipe's, all of it
    for a, b in zip(old.optimizer.state.values(), new.optimizer.state.values()):
        test_eq(a["momentum_buffer"], b["momentum_buffer"])
    saved["optimizer"]["state"].clear()  # no step has been made yet
    test_eq(len(new.restore(saved).optimizer.state), 0)


def test_the_state_of_a_loss_comes_back():
    _, old = stepped(Recipe(), hint_loss())
    _, new = stepped(Recipe(), hint_loss())
    new.restore(old.content())
    weights = [state.loss.parts.hint.layer.weight for state in (old, new)]
    assert torch.equal(*weights)
    buffers = [[s["momentum_buffer"] for s in state.optimizer.state.values()] for state in (old, new)]
    test_eq(len(buffers[0]), 4)
    assert all(torch.equal(a, b) for a, b in zip(*buffers, strict=True))

    _, without = stepped(Recipe())
    start = weights[1].clone()
    new.restore(without.content())
    assert torch.equal(weights[1], start) and len(new.optimizer.state) == 2


def test_a_state_is_restored_or_left_alone():
    def tensors(state):
        momentum = [one["momentum_buffer"].clone() for one in state.optimizer.state.values()]
        return [*momentum, *(value.clone() for value in state.loss.state_dict().values())]


    (_, old), (_, new) = stepped(Recipe(), hint_loss()), stepped(Recipe(), hint_loss())
    saved, kept = old.content(), tensors(new)
    for change, message in (
        (dict(random=[torch.zeros(7, dtype=torch.uint8)]), "the random numbers can't be restored: it must be"),
        (dict(loss=dict(saved["loss"], more=torch.ones(1))), "1 names differ, e.g. more"),
        (dict(loss={name: value[:1] for name, value in saved["loss"].items()}), "in the network"),
        (dict(optimizer=dict(param_groups=[], state={})), "the momentum of 0 parameters; the network has 4"),
    ):
        test_fail(lambda: new.restore(saved | change), contains=message)
        assert all(map(torch.equal, tensors(new), kept))
