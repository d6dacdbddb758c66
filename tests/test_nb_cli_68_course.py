"""Generated from nbs/cli/68_course.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.course_commands import *


import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from fastcore.test import test_eq, test_fail


def write_notebook(path, source="6 * 7"):
    "A notebook with one cell that has run."
    result = dict(output_type="execute_result", data={"text/plain": "42"}, metadata={}, execution_count=3)
    ran = dict(cell_type="code", source=source, outputs=[result], execution_count=3, metadata={})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(cells=[ran], metadata={}, nbformat=4, nbformat_minor=5)))


import moonshine
from moonshine.cli.program import main


def run(*arguments):
    "Exit status, standard output and standard error of a command line."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    return status, out.getvalue(), err.getvalue()


def test_a_checkout_comes_before_the_installed_course():
    with tempfile.TemporaryDirectory() as name:
        package, checkout = Path(name, "moonshine"), Path(name, "nbs", "course")
        test_fail(lambda: course_folder(package), contains="has no lessons")
        for folder in (package / "course", checkout):
            folder.mkdir(parents=True)
        (package / "course" / "1_a.ipynb").touch()
        test_eq(course_folder(package), package / "course")
        (checkout / "1_a.ipynb").touch()
        test_eq(course_folder(package), checkout)


def test_a_folded_lesson_keeps_its_cells():
    text, code = (dict(cell_type=kind, source="1", metadata={}) for kind in ("markdown", "code"))
    first, *rest = folded(dict(cells=[text, code], nbformat=4))["cells"]
    hidden = [cell["metadata"].get("jupyter", {}).get("source_hidden", False) for cell in (first, *rest)]
    test_eq((hidden, [cell["source"] for cell in rest]), ([True, False, True], ["1", "1"]))
    assert first["source"].endswith("projector()")


def test_a_copied_course_overwrites_nothing():
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "course"), Path(name, "a", "mine")
        for lesson in ("2_b.ipynb", "1_a.ipynb", "notes.ipynb", "solutions/1_a.ipynb"):
            write_notebook(source / lesson)
        test_eq([path.name for path in find_lessons(source)], ["1_a.ipynb", "2_b.ipynb"])
        test_eq(copy_course(source, target), [])
        names = sorted(path.relative_to(target).as_posix() for path in target.rglob("*.ipynb"))
        test_eq(names, ["1_a.ipynb", "2_b.ipynb", "solutions/1_a.ipynb"])
        (cell,) = json.loads((target / "1_a.ipynb").read_text())["cells"]
        test_eq((cell["source"], cell["outputs"], cell["execution_count"]), ("6 * 7", [], None))
        mine = json.loads((target / "1_a.ipynb").read_text())
        mine["cells"][0]["source"] = "my answer"
        (target / "1_a.ipynb").write_text(json.dumps(mine))
        (target / "2_b.ipynb").unlink()
        test_eq(copy_course(source, target), [])  # the package's lessons are the same
        assert "my answer" in (target / "1_a.ipynb").read_text() and (target / "2_b.ipynb").exists()
        test_fail(lambda: copy_course(source, source / "1_a.ipynb"), contains="is a file; name a folder")
        test_fail(lambda: copy_course(source, target / ".." / ".." / "course"), contains="the original lessons")


def test_a_newer_lesson_comes_beside_the_old_one():
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "course"), Path(name, "mine")
        for lesson in ("1_a.ipynb", "solutions/1_a.ipynb"):
            write_notebook(source / lesson)
        copy_course(source, target)
        before = (target / "1_a.ipynb").read_text()
        for version in ("_new", "_new_2"):
            write_notebook(source / "1_a.ipynb", f"6 * 7  # {version}")
            test_eq(copy_course(source, target), [f"1_a{version}.ipynb"])
            assert version in (target / f"1_a{version}.ipynb").read_text()
            test_eq(copy_course(source, target), [])  # once
        test_eq((target / "1_a.ipynb").read_text(), before)
        (target / "1_a.ipynb").write_text("something else")  # not a notebook, but the reader's
        write_notebook(source / "1_a.ipynb")
        test_eq(copy_course(source, target), ["1_a_new_3.ipynb"])
        test_eq((target / "1_a.ipynb").read_text(), "something else")
        test_eq(find_lessons(target)[0].name, "1_a.ipynb")  # what `moonshine lab` opens


def test_quiet_lab_adds_settings_for_a_while():
    import os

    with patch.dict(os.environ, {"JUPYTER_CONFIG_PATH": "mine"}):
        with quiet_lab():
            first, added = os.environ["JUPYTER_CONFIG_PATH"].split(os.pathsep)
            written = json.loads(Path(added, "labconfig", "default_setting_overrides.json").read_text())
        test_eq((first, written), ("mine", QUIET))
        test_eq((os.environ["JUPYTER_CONFIG_PATH"], Path(added).exists()), ("mine", False))


def test_lab_opens_a_copy_of_the_course():
    def options(folder, port):
        "JupyterLab's command line for the first lesson in a folder."
        return [f"--ServerApp.root_dir={folder}", "--LabApp.default_url=/lab/tree/1_a.ipynb", f"--port={port}"]


    opened = []
    recorder = patch.dict(sys.modules, {"jupyterlab.labapp": SimpleNamespace(main=opened.append)})
    with tempfile.TemporaryDirectory() as name, recorder:
        package, mine = Path(name).resolve() / "moonshine", Path(name).resolve() / "mine"
        write_notebook(package / "course" / "1_a.ipynb")
        with patch.object(moonshine, "__file__", str(package / "__init__.py")):
            test_eq(run("lab", str(mine), "--no-browser", "--port", "9000")[::2], (0, ""))
            test_eq(opened, [[*options(mine, 9000), "--no-browser"]])
            (mine / "1_a.ipynb").write_text("my answer")
            status, out, err = run("lab", str(mine))
            test_eq((status, err, len(opened), (mine / "1_a.ipynb").read_text()), (0, "", 2, "my answer"))
            assert out.startswith("some lessons are newer than your copies, and come beside them: 1_a_new.ip"), (
                out
            )
            assert "Run ▸ Run All Cells" in out, out
            test_eq(run("lab", str(mine / "projector"), "--projector")[::2], (0, ""))
            assert "--LabApp.default_url=/doc/tree/1_a.ipynb" in opened.pop()
            (first, second) = json.loads((mine / "projector" / "1_a.ipynb").read_text())["cells"]
            test_eq((first["source"], second["metadata"]), (PROJECTOR, dict(jupyter=dict(source_hidden=True))))
            Path(name, "file").touch()
            for arguments, message in (
                ((str(Path(name, "file")),), "is a file"),
                (("--port", "0"), "--port is 0"),
                ((str(Path(name, "file", "below")),), "Not a directory"),
            ):
                status, out, err = run("lab", *arguments)
                test_eq((status, err.count("\n"), len(opened)), (2, 1, 2))
                assert message in err, err
    with patch.dict(sys.modules, {"jupyterlab.labapp": None}):
        status, out, err = run("lab")
        test_eq((status, out, err.count("\n")), (2, "", 1))
        assert "pip install jupyterlab" in err


def test_lab_in_a_checkout_opens_a_copy():
    opened = []
    recorder = patch.dict(sys.modules, {"jupyterlab.labapp": SimpleNamespace(main=opened.append)})
    with tempfile.TemporaryDirectory() as name, recorder:
        checkout, mine = Path(name).resolve() / "checkout", Path(name).resolve() / "mine"
        original = checkout / "nbs" / "course" / "1_a.ipynb"
        write_notebook(original)
        tracked = original.read_text()
        with patch.object(moonshine, "__file__", str(checkout / "moonshine" / "__init__.py")):
            test_eq(run("lab", str(mine))[::2], (0, ""))
            test_eq(opened[0][0], f"--ServerApp.root_dir={mine}")
            (mine / "1_a.ipynb").write_text("my answer")
            test_eq(original.read_text(), tracked)
            status, out, err = run("lab", str(original.parent))
            test_eq((status, out, err.count("\n"), len(opened)), (2, "", 1, 1))
            assert "holds the original lessons; name another folder" in err, err


def test_demo_repeats_itself_over_seeds():
    from dataclasses import replace

    from moonshine import demonstration

    whole = demonstration.demo
    tiny = dict(train=32, test=16, recipe=replace(demonstration.RECIPE, epochs=1, warmup=0))
    with (
        tempfile.TemporaryDirectory() as name,
        patch.object(demonstration, "demo", lambda *given: whole(*given, **tiny)),
    ):
        status, out, err = run("demo", "--out", name, "--seeds", "2", "--seed", "3", "--processes", "1")
        test_eq((status, err), (0, ""))
        assert "KD + AT, seed 4: epoch 1 of 1" in out and "of 2 seeds." in out
        Path(name, "file").touch()
        for arguments, message in (
            (("--out", str(Path(name, "file"))), "is a file; name a folder"),
            (("--out", name, "--seeds", "0"), "seeds is 0; it must be"),
            (("--out", name, "--seed", "-1"), "seed is -1; it must be"),
            (("--out", name, "--processes", "0"), "processes is 0; it must be"),
        ):
            status, out, err = run("demo", *arguments)
            test_eq((status, out, err.count("\n")), (2, "", 1))
            assert message in err, err
