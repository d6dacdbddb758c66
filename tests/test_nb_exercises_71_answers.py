"""Generated from nbs/exercises/71_answers.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.answers import *


import torch
from fastcore.test import test_eq, test_fail


def test_a_question_is_registered_once():
    @question(
        "0.1", unit="weights", because="Each pair of channels has a kernel.", mistakes={4096: "And the kernel?"}
    )
    def weights_of_a_convolution():
        "How many weights does a 3×3 convolution from 64 to 64 channels have?"
        return 3 * 3 * 64 * 64


    test_eq(QUESTIONS["0.1"].answer(), 36864)
    assert QUESTIONS["0.1"].text.startswith("How many weights")


    def another():
        "Another?"


    test_fail(lambda: question("0.1")(another), contains="0.1 is taken")


def test_an_entry_is_found_by_its_name():
    test_eq(find(QUESTIONS, "0.1", "question").unit, "weights")
    test_fail(lambda: find(QUESTIONS, "0.2", "question"), contains="unknown question '0.2'")
    test_fail(lambda: find(EXERCISES, "banana", "exercise"), contains="unknown exercise 'banana'")


def test_compare_says_what_differs():
    test_eq(compare(36_864, 9 * 64 * 64), None)
    test_eq(compare(0.33333, 1 / 3), None)
    test_eq(compare(torch.ones(2), [1, 1.0]), None)
    test_eq(compare(torch.tensor(3.0), 3), None)
    test_eq(compare("S", "S"), None)
    test_eq(compare(4096, 36864, [(4096, "and the kernel?")]), "and the kernel?")
    test_eq(compare(72, 9), "it is 8 times too high")
    test_eq(compare(0.334, 1 / 3), "0.334 is not exact enough")
    test_eq(compare([1, 2], [1, 2, 3]), "expected 3 values, got 2 values")
    test_eq(compare(torch.ones(2, 3), torch.ones(3, 2)), "expected shape (3, 2), got shape (2, 3)")
    test_eq(
        compare([[1, 2], [3, 5]], [[1, 2], [3, 4]]),
        "the first value that differs is number [1][1]: yours is 5.0".replace("5.0", "5"),
    )
    test_eq(compare("s", "S"), "'s' is not it")
    test_eq(compare("nine", 9), "expected a number, got 'nine'")
    test_eq(compare(True, 1), "expected a number, got True")
    test_eq(compare(1, True), "1 is not it")
    test_eq(compare(None, 1), "expected a number, got None")


def test_functions_are_compared_by_their_results():
    def mean(x):
        return sum(x) / len(x)


    def forgot_to_divide(x):
        return sum(x)


    def stub(x):
        pass


    call = ([1.0, 2.0, 3.0],)
    test_eq(compare_function(mean, mean, call), None)
    test_eq(compare_function(forgot_to_divide, mean, call), "it is 3 times too high")
    known = [(forgot_to_divide, "divide by the number of values")]
    test_eq(compare_function(forgot_to_divide, mean, call, mistakes=known), "divide by the number of values")
    test_eq(compare_function(stub, mean, call), WAITING)
    test_eq(compare_function(3, mean, call), "expected a function, got 3")
    assert "ZeroDivisionError" in compare_function(lambda x: 1 / 0, mean, call)
