"""Generated from nbs/distillation/34_progress.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.progress import *


import torch
from fastcore.test import test_eq

from moonshine.losses.base import FACTS


def test_a_batch_counts_by_its_size():
    average = RunningAverage()
    average.add(dict(ce=torch.tensor(1.0)), 3)
    average.add(dict(ce=torch.tensor(5.0)), 1)
    test_eq((average.means(), average.count), (dict(ce=2.0), 4))


def test_errors_by_hand():
    logits = torch.tensor([[3.0, 2, 1, 0, -1, -2], [0, 1, 2, 3, 4, 5]])
    found = classification_errors(logits, torch.tensor([1, 0]), "test")  # second of six; last of six
    test_eq({name: value.item() for name, value in found.items()}, dict(test_error=100, test_top5_error=50))


def test_every_term_is_shown():
    row = dict(epoch=2, learning_rate=0.1, train_loss=1.5, ce=1.0, my_term=0.5, train_error=40.0)
    row |= dict(test_loss=1.2, test_error=45.0, seconds=2.0, images_per_second=100.0)
    test_eq(terms_of(row), dict(ce=1.0, my_term=0.5))
    test_eq(terms_of(dict.fromkeys(FACTS, 1)), {})
    line = "epoch 2/3  ce 1  my_term 0.5  train error 40.00 %  test error 45.00 %  100 images/s"
    test_eq(epoch_line(row, 3), line)


def test_what_was_chosen_on_what():
    history = [dict(epoch=1, test_error=10.0), dict(epoch=2, test_error=12.0)]
    chosen = "test error: last epoch 12.00 %, best 10.00 % (epoch 1, chosen on the test set)"
    test_eq(best_and_last(history), chosen)
    test_eq(best_and_last([dict(epoch=0), *history]), chosen)  # not every epoch is evaluated
    stopped = best_and_last([*history, dict(epoch=3)])
    test_eq(stopped, "test error: not measured after epoch 3; 12.00 % after epoch 2")
    test_eq(best_and_last([dict(epoch=1)]), "test error: not measured after epoch 1")
    history = [dict(epoch=1, val_error=10.0), dict(epoch=2, val_error=12.0)]
    test_eq(
        best_and_last(history),
        "epoch 1 has the lowest validation error, 10.00 % so far; the test set is read after the last epoch",
    )
    history[-1]["test_error"] = 11.0
    test_eq(
        best_and_last(history),
        "epoch 1 has the lowest validation error, 10.00 %; "
        "test error of that epoch: 11.00 % (test set read once)",
    )


def test_without_a_terminal_there_are_lines():
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out:
        for quiet in (True, False):
            progress = Progress(range(2), quiet)
            progress.bar, progress.epochs = None, range(2)  # as in a log file
            test_eq(list(progress.batches("ab", 2)), ["a", "b"])
            progress.step(dict(ce=torch.tensor(1.0), train_error=torch.tensor(50.0)))
            progress.line("epoch 1/2")
    test_eq(out.getvalue(), "epoch 1/2\n")
