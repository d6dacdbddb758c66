"""Generated from nbs/exercises/70_guesses.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.guesses import *


from fastcore.test import test_close, test_eq, test_fail

from moonshine.errors import InputError


def test_numbers_are_translated():
    test_eq(to_python("36,864"), "36864")
    test_eq(to_python("3 × 3 · 64^2"), "3 * 3 * 64**2")
    test_eq(to_python("1.2 million"), "1.2*1e6")
    test_eq(to_python("(2+3)k"), "(2+3)*1e3")
    test_eq(to_python("12 %"), "12")  # a question that asks for percent takes percent


def test_arithmetic_is_read():
    for text, value in {
        "36864": 36864,
        "36,864": 36864,
        "3*3*64*64": 36864,
        " 3 x 3".replace("x", "×"): 9,
        "-2.5": -2.5,
        "1/9": 1 / 9,
        "2^10 + 1": 1025,
        "1.2 million": 1.2e6,
        "28 k": 28_000,
        "1e6": 1e6,
        "12 %": 12,
        "(1 + 2) * 3²": 27,
    }.items():
        test_close(read_number(text), value, eps=1e-9)


def test_anything_else_is_refused():
    for text in (
        "",
        "banana",
        "3*",
        "0,5",
        "__import__('os')",
        "x",
        "1 if 1 else 2",
        "[1]",
        "'a'",
        "True",
        "1,2",
    ):
        test_fail(lambda: read_number(text), contains="type a number or a calculation")
    test_fail(lambda: read_number("1/0"), contains="divides by zero")
    for text in ("9**9**9", "9**99", "1e20 * 1e20", "1e999"):
        test_fail(lambda: read_number(text), contains="too large")
    test_fail(lambda: read_number("1+" * 200 + "1"), contains="too long")


def test_numbers_are_written_for_people():
    test_eq(
        [write_number(x) for x in (36864, 1.21e9, 1 / 9, -2.5, 0, 8.0, 3e-9)],
        ["36,864", "1,210,000,000", "0.1111", "−2.5", "0", "8", "3.00e-09"],
    )
    test_eq(with_unit(0.5, "MB"), "0.5 MB")
    test_eq(with_unit("G(N)", "MB"), "G(N)")


def test_a_guess_is_judged():
    test_eq(judge(8, 8), dict(close=True, verdict="exactly right"))
    test_eq(judge(64, 8), dict(close=False, verdict="8 times too high"))
    test_eq(judge(4, 5), dict(close=True, verdict="close, 25 % too low"))
    test_eq(judge(3.9, 5), dict(close=False, verdict="1.28 times too low"))
    test_eq(judge(0.111, 1 / 9), dict(close=True, verdict="right"))
    test_eq(judge(0, 2), dict(close=False, verdict="off by 2"))
    test_eq(judge(-1, 2)["close"], False)
    test_eq([judge(word, "S")["close"] for word in ("S", "G(N)")], [True, False])
