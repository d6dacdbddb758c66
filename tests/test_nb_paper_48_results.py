"""Generated from nbs/paper/48_results.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.results import *


import hashlib
import json
import math
import random
import tempfile
from pathlib import Path

from fastcore.test import test_eq, test_fail


def test_a_checksum_by_hand():
    by_hand = '{"a":[1,2.5],"b":null}'  # sorted keys, no spaces
    test_eq(canonical(dict(b=None, a=(1, 2.5))), by_hand)
    test_eq(checksum(dict(b=None, a=(1, 2.5))), hashlib.sha256(by_hand.encode()).hexdigest())


def test_a_changed_result_is_refused():
    with tempfile.TemporaryDirectory() as root:
        path = Path(root, "result.json")
        write_result(path, dict(format=1, last=dict(test_error=7.25), history=[dict(epoch=1)], block="G(N/8)"))
        written = path.read_bytes()
        test_eq(read_result(path)["last"], dict(test_error=7.25))
        for at in range(len(written.rstrip()) - 1):  # truncated anywhere
            path.write_bytes(written[:at])
            test_fail(lambda: read_result(path), contains="result.json")
        digits = [at for at in range(len(written)) if chr(written[at]) in "0123456789abcdef"]
        for at in digits:  # a digit is another digit
            path.write_bytes(written[:at] + (b"1" if written[at : at + 1] != b"1" else b"2") + written[at + 1 :])
            test_fail(lambda: read_result(path), contains="result.json")
    print(f"{len(written)} truncations and {len(digits)} changes, none went unnoticed")


def test_names_of_the_first_version():
    with tempfile.TemporaryDirectory() as root:
        old = dict(format=1, pictures="4888", data="CIFAR-10, 9 training and 3 test pictures")
        write_result(Path(root, "old.json"), old)
        new = read_result(Path(root, "old.json"))
    test_eq((new["images"], new["data"]), ("4888", "CIFAR-10, 9 training and 3 test images"))


def test_a_swapped_network_is_refused():
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "T")
        folder.mkdir()
        path = folder / "network.pt"
        path.write_bytes(b"one")
        write_result(folder / "result.json", dict(format=2, files=network_files(folder)))
        test_eq(checked_network(folder), path)
        path.write_bytes(b"two")
        test_fail(lambda: checked_network(folder), contains="network.pt is not the network that its result.json")
        path.unlink()
        test_fail(lambda: checked_network(folder), contains="network.pt can't be read (No such file")
        write_result(folder / "result.json", dict(format=1))  # the first version names no file
        test_eq(checked_network(folder), path)


def test_types_of_the_values():
    test_eq(
        [is_a(*pair) for pair in ((1, float), (1.5, int), (True, int), (True, bool), ("a", str))], [1, 0, 0, 1, 1]
    )
    test_eq(improper({}), "table is missing")


def test_costs_by_name():
    test_eq(costs_of("WRN-40-2", "S", 10)["parameters"], 2_248_954)
    for name in ("ResNet-34", "WRN-1000000-1", "WRN-16-1e9", "WRN-16-99999", "WRN-16-2\n", "WRN-٣-1"):
        test_fail(lambda: costs_of(name, "S", 10), contains="is not a network of Table 2")


def test_an_example_is_a_proper_result():
    found = example_result("G(4)", error=9.0, best=8.0)
    test_eq(improper(found), "")
    test_eq((found["last"]["test_error"], found["best"]["epoch"], len(found["history"])), (9.0, 2, 3))


def test_values_that_break_their_rule():
    good = example_result("G(4)")
    for change, message in (
        (dict(seed="0"), "seed is '0'; it must be a whole number, 0 or more"),
        (dict(epochs=True), "epochs is True; it must be a whole number from 1 to 1,000,000"),
        (dict(beta=math.nan), "beta is nan; it must be a finite number, 0 or more"),
        (dict(data="a" * 301), "aaaa'; it must be text of at most 300 characters"),
        (dict(machine=dict(processor=["a"])), "machine.processor is ['a']; it must be text of at most 300"),
        (dict(versions=dict(torch=[2, 6])), "versions.torch is [2, 6]; it must be a number or a short text"),
        (dict(latency_ms="fast"), "latency_ms is 'fast'; it must be a finite number, 0 or more"),
        (dict(history=[dict(epoch=1, test_loss=[1])]), "history[0].test_loss is [1]; it must be a finite number"),
        (dict(last=dict(test_error=10**400)), "it must be a finite number"),
    ):
        assert message in improper(good | change), improper(good | change)


def test_how_a_run_stands():
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "a")
        test_eq(standing(folder, "f")[0], "missing")
        folder.mkdir()
        Path(folder, "run.json").write_text('{"fingerprint": "f"}')
        test_eq([standing(folder, mark)[0] for mark in "fg"], ["started", "changed"])
        write_result(folder / "result.json", example_result("G(4)", fingerprint="f"))
        test_eq([standing(folder, mark)[0] for mark in "fg"], ["finished", "changed"])
        write_result(folder / "result.json", example_result("G(4)", fingerprint=["f"]))
        assert "can't be right: fingerprint is ['f']; it must be text" in standing(folder, "f")[1]
        Path(folder, "result.json").write_text("{")
        test_eq(
            standing(folder, "f"),
            ("broken", f"{folder / 'result.json'} is not a complete JSON file (truncated?)"),
        )
        test_eq([retire(folder).name, folder.exists()], ["a.1", False])
        folder.mkdir()
        test_eq(retire(folder).name, "a.2")
        assert Path(root, "previous", "a.1", "result.json").read_text() == "{"


def test_planted_wrong_results_are_flagged():
    GIVEN = dict(file="t.pt", sha256="ab" * 32, network="WRN-16-2 S", parameters=693498, test_error=9.5)
    good = example_result("G(4)", "at", error=9.0, best=8.0)
    test_eq(wrong(good), [])
    row = good["history"][-1]
    planted = {
        "parameters 100 is not that of WRN-16-2 G(4)": dict(parameters=100),
        "mult_adds 1 is not": dict(mult_adds=1),
        "'WRN-17' is not a network": dict(network="WRN-17"),
        "unknown block": dict(block="G(X)"),
        "depth 17 is not 6n + 4": dict(network="WRN-17-1"),
        "is not that of WRN-16-2 G(8)": dict(block="G(8)"),
        "test_error 101 is not between": dict(last=good["last"] | dict(test_error=101.0)),
        "test_error -1 is not between": dict(best=good["best"] | dict(test_error=-1.0)),
        "test_error nan is not between": dict(last=good["last"] | dict(test_error=math.nan)),
        "is worse than the last one's": dict(best=good["best"] | dict(test_error=9.5)),
        "the last error is 8.5, and 9 in the history": dict(last=good["last"] | dict(test_error=8.5)),
        "and 8 in epoch 2 in the history": dict(best=good["best"] | dict(epoch=1)),
        "a history of 2 epochs, not of 3": dict(history=good["history"][:2]),
        "the history skips epochs": dict(history=[*good["history"][:2], row | dict(epoch=7)]),
        "top-5 error is larger": dict(
            history=[good["history"][0] | dict(test_top5_error=99.0), *good["history"][1:]]
        ),
        "errors that are no numbers": dict(last=dict(test_error="9")),
        "alpha 0.9 does not fit at": dict(alpha=0.9),
        "beta 0 does not fit at": dict(beta=0),
        "convention code does not fit kd-paper": dict(method="kd-paper", alpha=0.9, beta=0.0),
        "a teacher by at": dict(role="teacher"),
        "at without a teacher": dict(teacher=None),
        "its teacher is not properly": dict(given=dict(GIVEN, sha256=None)),
        "its teacher can't be right: 'WRN-16-99999' is": dict(given=dict(GIVEN, network="WRN-16-99999 S")),
        "its teacher's test_error -2 is": dict(given=dict(GIVEN, test_error=-2.0)),
        "seed 4, but the recipe's is 0": dict(seed=4),
        "4 epochs, but the recipe has 3": dict(epochs=4),
        "unknown method 'att'": dict(method="att"),
        "unknown table 'table3'": dict(table="table3"),
    }
    for message, change in planted.items():
        found = wrong(good | change)
        assert any(message in line for line in found), (message, found)
    print(f"{len(planted)} wrong results, all of them flagged")


def test_a_teacher_of_another_origin():
    GIVEN = dict(file="t.pt", sha256="ab" * 32, network="WRN-16-2 S", parameters=693498, test_error=9.5)
    taught = [example_result("G(4)", method, given=GIVEN, teacher="t.pt", file=method) for method in ("at", "kd")]
    scratch = example_result("G(4)", "scratch", file="s")
    other = example_result("G(N)", "at", given=dict(GIVEN, sha256="cd" * 32), teacher="t.pt", file="o")
    by_run = example_result("G(8)", "at", file="r")
    test_eq([wrong(result) for result in taught], [[], []])
    test_eq(odd_ones([*taught, scratch]), {})
    test_eq(
        odd_ones([scratch, *taught, other, by_run]),
        {name: "learned from another teacher than at: not one comparison" for name in "or"},
    )


def test_damaged_files_are_told_and_never_used():
    with tempfile.TemporaryDirectory() as folder:
        path = put_example(folder, example_result("G(4)"), "a")
        put_example(folder, example_result("G(N)"), "b")
        written = path.read_bytes()
        test_eq([len(part) for part in read_results(folder)], [2, 0])

        def refused(content):
            path.write_bytes(content)
            results, lines = read_results(folder)
            test_eq(([result["file"] for result in results], len(lines)), (["b/result.json"], 1))
            assert lines[0].startswith("a/result.json ") and "\n" not in lines[0] and folder not in lines[0]
            return lines[0]

        dice = random.Random(0)
        for at in dice.sample(range(len(written) - 2), 60):
            assert "truncated" in refused(written[:at])
        solid = [at for at, letter in enumerate(written) if chr(letter) not in " \n"]
        for at in dice.sample(solid, 100):
            refused(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])  # a bit
        assert "checksum differs" in refused(written.replace(b'"test_error": 10.0', b'"test_error": 1.0'))
        for content in (b"", b"[]", b"{}", b"7", b"\xff\xfe", b"null", b'"checksum"', b"[" * 100_000):
            refused(content)


def test_results_sealed_again_and_second_results_are_told():
    with tempfile.TemporaryDirectory() as folder:
        for name, change in dict(
            a={}, b={}, c=dict(seed=1, beta=500.0), d=dict(format=3, seed=2), e=dict(parameters=7), f=dict(seed=3)
        ).items():
            put_example(folder, example_result("G(4)", "at", change.get("seed", 0)) | change, name)
        lacking = example_result("G(4)", seed=9) | dict(epochs=True)
        del lacking["seed"]
        write_result(Path(folder, "g.json"), lacking)
        results, lines = read_results(folder)
        test_eq([result["file"] for result in results], ["a/result.json", "f/result.json"])
        for line, words in zip(
            sorted(lines),
            (
                "b/result.json is a second result of the run in a/result.json",
                "c/result.json has beta 500.0, and a/result.json has 1000.0: not one method",
                "d/result.json has the format 3; this version reads formats 1 to 2",
                "e/result.json can't be right: parameters 7 is not that of WRN-16-2 G(4)",
                "g.json can't be right: seed is missing",
            ),
            strict=True,
        ):
            assert line.startswith(words), line
        test_fail(lambda: read_results(Path(folder, "nowhere")), contains="is not a folder")
