"""Generated from nbs/exercises/73_gates.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.gates import *


import os

from fastcore.test import test_close, test_eq, test_fail

from moonshine.lessons.answers import QUESTIONS, question
from moonshine.lessons.scores import SCORE

os.environ["MOONSHINE_RAISE"] = "1"  # a callback that fails fails the test
called = []  # an entry for each time that an answer is computed


@question(
    "0.11",
    unit="weights",
    because="Each pair of an input and an output channel has its own 3×3 kernel.",
    between=(100, 10**6),
    mistakes={4096: "That is one weight for each pair of channels; the kernel has nine."},
)
def weights_of_a_convolution():
    "How many weights does a 3×3 convolution from 64 to 64 channels have?"
    called.append(1)
    return 3 * 3 * 64 * 64


@question("0.12", choices=("S", "G(N)"), because="The 1×1 convolutions are small.")
def smaller_block():
    "Which block has fewer weights?"
    return "G(N)"


one, two = QUESTIONS["0.11"], QUESTIONS["0.12"]


def test_the_gate_echoes_what_it_understood():
    test_eq(echo("3*3*64*64", one), (36864, "Your guess: 36,864 weights."))
    test_eq(echo("  ", one)[0], None)
    test_eq(echo("banana", one), (None, "Type a number or a calculation, such as 36864, 0.5 or 3*3*64*64."))
    value, text = echo("7", one)
    test_eq(value, 7)
    assert text.endswith("A plausible guess lies between 100 and 1,000,000."), text


def test_the_gate_comments_on_the_guess():
    told = comment(one, 4096, 36864)
    test_eq(told["close"], False)
    assert told["verdict"].startswith("You said 4,096 weights: 9 times too low. That is one weight"), told
    test_eq(comment(one, 36864, 36864), dict(close=True, verdict="You said 36,864 weights: exactly right."))
    test_eq(comment(one, None, 36864)["verdict"], "You skipped the question.")
    test_eq(comment(two, "S", "G(N)")["verdict"], "You said S: not quite.")


def test_guess_and_answer_are_placed_on_a_line():
    test_close(positions(8, 64), (0.2, 0.8))  # as far apart as the line allows
    near = positions(36, 37)
    assert 0.45 < near[0] < 0.5 < near[1] < 0.55
    test_close(positions(0, 5), (0.2, 0.8))
    test_close(positions(5, 5), (0.5, 0.5))
    test_close(positions(0, 0), (0.2, 0.2))
    test_close(positions(-3, 1), (0.2, 0.8))
    assert "your guess: 8<" in line_svg(8, 64) and "answer: 64<" in line_svg(8, 64)


def test_the_answer_is_nowhere_before_the_commit():
    SCORE.clear()
    called.clear()
    panel = Gate(one)
    page = panel.text + panel.note.value + panel.answer.value + repr(panel.get_state())
    test_eq(repr(panel), "moonshine gate (it needs a running kernel)")
    assert not called and "36864" not in page and "36,864" not in page
    assert panel.buttons[COMMIT].disabled and "moonshine-closed" in panel._dom_classes
    panel.press(COMMIT)  # nothing happens without a guess
    assert panel.closed and not called
    panel.guess.value = "64*64"
    assert "Your guess: 4,096 weights." in panel.note.value and not panel.buttons[COMMIT].disabled
    panel.receive({"event": "submit"})  # the Enter key
    assert "9 times too low. That is one weight" in panel.text and "The answer is 36,864 weights." in panel.text
    assert "own 3×3 kernel" in panel.answer.value and "<svg" in panel.answer.value
    assert "moonshine-closed" not in panel._dom_classes and panel.guess.disabled
    test_eq(SCORE["0.11"], dict(kind="guess", answer="4,096 weights", right=False))
    panel.press(SKIP)
    test_eq(len(called), 1)  # a guess is final


def test_a_gate_with_choices_has_none_selected():
    SCORE.clear()
    panel = Gate(two)
    assert panel.guess.value is None and panel.buttons[COMMIT].disabled
    panel.guess.value = "G(N)"
    panel.press(COMMIT)
    assert "You said G(N): right. The answer is G(N). (1 of 1 guesses close so far)" in panel.text
    panel = Gate(one)
    panel.press(SKIP)
    assert "You skipped the question. The answer is 36,864 weights. (1 of 2 guesses" in panel.text


def test_the_page_does_not_show_the_answer():
    page = gate_page(one)
    assert "36864" not in page and "36,864" not in page and "How many weights" in page
    assert "http" not in page  # nothing is loaded from elsewhere
    test_fail(lambda: gate("0.13"), contains="unknown question '0.13'")
