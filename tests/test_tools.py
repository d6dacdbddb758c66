"""The scripts in tools/, on tiny trees made for each test."""

import ast
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from check import notebook_problems
from notebook_tests import file_name, render_tests
from notebooks import NotebookError, find_notebooks, split_directives
from readme import linked_files, move_links, render_readme

# Making notebooks


def code(source, count=None, outputs=()):
    """A code cell."""
    return dict(
        cell_type="code",
        id=f"id{abs(hash(source))}",
        metadata={},
        source=source,
        execution_count=count,
        outputs=list(outputs),
    )


def markdown(source):
    """A markdown cell."""
    return dict(cell_type="markdown", id=f"id{abs(hash(source))}", metadata={}, source=source)


def stream(text):
    """What `print` leaves."""
    return dict(output_type="stream", name="stdout", text=text)


def write(path, *cells):
    """Write a notebook of these cells; return its path."""
    kernel = dict(name="python3", display_name="python3", language="python")
    notebook = dict(cells=list(cells), metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, indent=1, sort_keys=True) + "\n")
    return path


def tests_of(tmp_path, *sources):
    """The test file made from code cells with these sources."""
    return render_tests(write(tmp_path / "a.ipynb", *map(code, sources)), "nbs/a.ipynb")


def refused(tmp_path, *sources):
    """The error that making a test file ends with."""
    with pytest.raises(NotebookError) as error:
        tests_of(tmp_path, *sources)
    message = str(error.value)
    assert "\n" not in message and message.startswith("nbs/a.ipynb")
    return message


def run_tests(text):
    """Run every test function of a test file; return their names."""
    names = {}
    exec(compile(text, "tests", "exec"), names)
    tests = [name for name in names if name.startswith("test_")]
    for name in tests:
        names[name]()
    return tests


# Directives


def test_directives_are_read_only_above_the_code():
    directives, body = split_directives("#| pytest name\n#|slow\n# | eval: false\n\nx = 1\n#| hide\n")
    assert directives == {"pytest": "name", "slow": "", "eval": "false"}
    assert body == "x = 1\n#| hide\n"


# Notebook -> tests


def test_marked_cells_become_tests(tmp_path):
    text = tests_of(
        tmp_path,
        "#| pytest_setup\nimport math\n",
        "not_a_test = 1",
        "#| pytest first\nassert math.sqrt(4) == 2",
        "#| pytest second\nfor i in range(2):\n    assert i < 2",
    )
    assert (
        text.splitlines()[0]
        == '"""Generated from nbs/a.ipynb by tools/export.py. Edit the notebook, not this file."""'
    )
    assert run_tests(text) == ["test_first", "test_second"]
    assert "not_a_test" not in text and "#|" not in text and "import pytest" not in text


def test_the_module_is_imported(tmp_path):
    text = tests_of(tmp_path, "#| default_exp parts.blocks", "#| pytest a\nx = 1")
    assert "from moonshine.parts.blocks import *" in text.splitlines()


def test_a_notebook_without_marked_cells_makes_no_file(tmp_path):
    assert tests_of(tmp_path, "x = 1", "#| hide\ny = 2") is None


STRINGS = '''\
text = """one
  two

    three"""
joined = ("a"
          "b")
raw = r"""
\\d"""
number = 3
filled = f"""<
{number +
  1}
>"""
continued = "x\\
y"
'''


def test_strings_over_several_lines_keep_their_text(tmp_path):
    expected = {}
    exec(STRINGS, expected)
    checks = "".join(
        f"assert {name} == {expected[name]!r}\n" for name in ("text", "joined", "raw", "filled", "continued")
    )
    text = tests_of(tmp_path, "#| pytest strings\n" + STRINGS + checks)
    assert run_tests(text) == ["test_strings"]
    assert '    joined = ("a"\n              "b")' in text  # other lines are indented


def test_a_test_is_the_same_code_as_its_cell(tmp_path):
    function = ast.parse(tests_of(tmp_path, "#| pytest strings\n" + STRINGS)).body[-1]
    assert [ast.dump(node) for node in function.body] == [ast.dump(node) for node in ast.parse(STRINGS).body]


@pytest.mark.parametrize("flag", ["slow", "cuda"])
def test_flags_become_marks(tmp_path, flag):
    text = tests_of(tmp_path, f"#| pytest long\n#| {flag}\nx = 1")
    assert f"\n@pytest.mark.{flag}\ndef test_long():" in text
    assert "import pytest" in text.splitlines()


@pytest.mark.parametrize("source", ["!ls", "%timeit 1", "%%time\nx = 1", "x = 1\nfiles = !ls"])
def test_magics_are_refused(tmp_path, source):
    assert "magics" in refused(tmp_path, "#| pytest a\n" + source)


def test_a_percent_sign_in_front_of_a_line_is_no_magic(tmp_path):
    assert run_tests(tests_of(tmp_path, "#| pytest a\nx = (7\n     % 4)\nassert x == 3")) == ["test_a"]


@pytest.mark.parametrize(
    "source, part",
    [
        ("#| pytest a\nx = (", "not Python"),
        ("#| pytest a\n# nothing", "needs code"),
        ("#| pytest a\nfrom math import *", "can't stand inside a function"),
        ("#| pytest a b\nx = 1", "needs a name"),
        ("#| pytest\nx = 1", "needs a name"),
        ("#| pytest test_a\nx = 1", "needs a name"),
        ("#| pytest a\n#| pytest_setup\nx = 1", "choose one"),
        ("#| export\n#| pytest a\nx = 1", "split it"),
        ("x = 1\n#| pytest a\ny = 1", "before the first line"),
        ("#| pytest_setup\nx = 1", "no `#| pytest NAME` cell"),
    ],
)
def test_cells_that_make_no_test_are_refused(tmp_path, source, part):
    assert part in refused(tmp_path, source)


def test_a_name_is_given_once(tmp_path):
    assert "cell 2" in refused(tmp_path, "#| pytest a\nx = 1", "#| pytest a\nx = 2")


def test_the_folder_is_part_of_the_file_name():
    nbs = Path("nbs")
    assert file_name(nbs / "01_blocks.ipynb", nbs) == "test_nb_01_blocks.py"
    assert file_name(nbs / "course" / "01_blocks.ipynb", nbs) == "test_nb_course_01_blocks.py"


# README


def test_links_are_seen_from_the_root():
    moved = move_links(
        '[a](01_a.ipynb#b) ![p](images/p.png "P") <img src="images/p.png"> [up](../LICENSE)\n'
        "[r]: course/x.ipynb"
    )
    assert moved == (
        '[a](nbs/01_a.ipynb#b) ![p](nbs/images/p.png "P") <img src="nbs/images/p.png"> [up](LICENSE)\n'
        "[r]: nbs/course/x.ipynb"
    )
    assert linked_files(moved) == [
        "nbs/01_a.ipynb",
        "nbs/images/p.png",
        "nbs/images/p.png",
        "LICENSE",
        "nbs/course/x.ipynb",
    ]


@pytest.mark.parametrize(
    "text", ["[a](https://a.org/b)", "[a](#part)", "`[a](b)`", "```\n[a](b)\n```", "[m](mailto:a@b.c)"]
)
def test_other_links_and_code_stay(text):
    assert move_links(text) == text
    assert linked_files(text) == []


def test_readme_holds_text_code_and_printed_output(tmp_path):
    value = dict(output_type="execute_result", data={"text/plain": "3"}, metadata={}, execution_count=1)
    index = write(
        tmp_path / "index.ipynb",
        markdown("# Title\n\n> line"),
        code("#| hide\nsecret = 1"),
        code("#| eval: true\nprint('hello')\n1 + 2", 1, [stream("hel"), stream("lo\n"), value]),
    )
    blocks = render_readme(index).split("\n\n")
    assert blocks[1:] == [
        "# Title",
        "> line",
        "```python\nprint('hello')\n1 + 2\n```",
        "```\nhello\n```",
        "```\n3\n```\n",
    ]


def test_readme_refuses_images_in_outputs(tmp_path):
    image = dict(
        output_type="display_data", data={"image/png": "AAAA", "text/plain": "<Figure>"}, metadata={}
    )
    with pytest.raises(NotebookError, match="save it as a file"):
        render_readme(write(tmp_path / "index.ipynb", code("plot()", 1, [image])))


# What a notebook must look like


def problems_of(tmp_path, *cells):
    """The problems of a notebook with these cells, as one text."""
    return "\n".join(notebook_problems(write(tmp_path / "a.ipynb", *cells)))


def test_a_clean_notebook_is_fit(tmp_path):
    cells = [
        code("x = 1", 1),
        markdown("text"),
        code("#| slow\nx"),
        code(""),
        code("#| eval: false\ny"),
        code("print(x)", 2, [stream("see https://a.org/home/b and ./tmp/x")]),
    ]
    assert problems_of(tmp_path, *cells) == ""


def test_stored_errors_are_found(tmp_path):
    error = dict(output_type="error", ename="ValueError", evalue="no", traceback=[])
    assert "cell 1 stores an error (ValueError)" in problems_of(tmp_path, code("x", 1, [error]))


@pytest.mark.parametrize("folder", ["root", "work", "tmp", "home"])
def test_machine_paths_are_found(tmp_path, folder):
    path = f"/{folder}/someone/x.py"
    assert path in problems_of(tmp_path, code("x", 1, [stream(f"at {path}: warning")]))


def test_images_hold_no_paths(tmp_path):
    data = {"image/png": "A/tmp/A", "text/html": "<img src='data:image/png;base64,+/tmp/A='>"}
    assert (
        problems_of(tmp_path, code("x", 1, [dict(output_type="display_data", data=data, metadata={})])) == ""
    )


def test_large_notebooks_are_found(tmp_path):
    assert "smaller" in problems_of(tmp_path, code("x", 1, [stream("a" * 1_000_001)]))


# The commands, on a tree of their own


@pytest.fixture(scope="module")
def made_tree(tmp_path_factory):
    """A small repository in step: two notebooks, of which one exports a module and a test."""
    root = tmp_path_factory.mktemp("made") / "tree"
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tests").mkdir()
    (root / "moonshine").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", root / "tests")
    shutil.copy(ROOT / "settings.ini", root)
    shutil.copy(ROOT / "moonshine" / "__init__.py", root / "moonshine")
    write(
        root / "nbs" / "index.ipynb", markdown("# moonshine"), code("print('hello')", 1, [stream("hello\n")])
    )
    write(
        root / "nbs" / "01_one.ipynb",
        markdown("# One\n\n> The number one"),
        code("#| default_exp one", None),
        code("#| export\ndef one():\n    return 1", 1),
        code("#| pytest is_one\nassert one() == 1", 2),
    )
    assert run_tool(root, "export.py") == (0, "")
    return root


@pytest.fixture
def tree(made_tree, tmp_path):
    """A copy of the small repository, for one test to change."""
    return Path(shutil.copytree(made_tree, tmp_path / "tree"))


def run_tool(root, name, *options):
    """Run one of the tools of a tree; return its status and what it printed."""
    env = {**os.environ, "PYTHONPATH": str(root)}
    for name_of_worker in [key for key in env if key.startswith("PYTEST_")]:
        del env[name_of_worker]
    done = subprocess.run(
        [sys.executable, root / "tools" / name, *options],
        cwd=root,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout


def test_export_writes_everything_and_is_stable(tree):
    assert "def one()" in (tree / "moonshine" / "one.py").read_text()
    assert "def test_is_one()" in (tree / "tests" / "test_nb_01_one.py").read_text()
    assert "# moonshine" in (tree / "README.md").read_text()
    assert (tree / "moonshine" / "__init__.py").read_text() == (
        ROOT / "moonshine" / "__init__.py"
    ).read_text()
    cells = json.loads((tree / "nbs" / "index.ipynb").read_text())["cells"]
    assert [cell["execution_count"] for cell in cells[1:]] == [None]  # as nbdev_clean leaves them
    assert run_tool(tree, "export.py", "--check") == (0, "All in step: 2 notebooks.\n")


def test_check_names_each_file_out_of_step(tree):
    names = [
        "README.md",
        "moonshine/__init__.py",
        "moonshine/_modidx.py",
        "moonshine/one.py",
        "tests/test_nb_01_one.py",
    ]
    changed = {}
    for name in names:
        changed[name] = (tree / name).read_text().replace("0.1.0", "0.0.9") + "# by hand\n"
        (tree / name).write_text(changed[name])
    status, text = run_tool(tree, "export.py", "--check")
    assert (status, [line.split(":")[0] for line in text.splitlines()]) == (1, names)
    assert all((tree / name).read_text() == text for name, text in changed.items())  # a check changes nothing


def test_check_names_notebooks_that_are_not_clean(tree):
    path = tree / "nbs" / "index.ipynb"
    path.write_text(path.read_text().replace('"metadata": {}', '"metadata": {"tags": ["x"]}', 1))
    status, text = run_tool(tree, "export.py", "--check")
    assert status == 1 and text.startswith("nbs/index.ipynb: out of step")


def test_files_of_a_removed_notebook_go(tree):
    (tree / "nbs" / "01_one.ipynb").unlink()
    status, text = run_tool(tree, "export.py", "--check")
    assert status == 1 and "moonshine/one.py" in text and "tests/test_nb_01_one.py" in text
    assert run_tool(tree, "export.py")[0] == 0
    assert (
        not (tree / "moonshine" / "one.py").exists() and not (tree / "tests" / "test_nb_01_one.py").exists()
    )


def test_check_names_a_link_to_nowhere(tree):
    write(tree / "nbs" / "index.ipynb", markdown("[a](gone.ipynb)"))
    run_tool(tree, "export.py")
    status, text = run_tool(tree, "export.py", "--check")
    assert status == 1 and text.startswith("README.md: links to nbs/gone.ipynb")


def test_errors_of_an_export_are_one_line(tree):
    write(tree / "nbs" / "02_two.ipynb", code("#| pytest a\n!ls", 1))
    for options in [(), ("--check",)]:
        status, text = run_tool(tree, "export.py", *options)
        assert status == 1 and text.splitlines()[0].startswith(
            "nbs/02_two.ipynb, cell 1: a test can't use magics"
        )


def last_line(text):
    """The closing line."""
    return text.rstrip("\n").splitlines()[-1]


def run_stages(tree, *options):
    """Run tools/test.py in a tree."""
    return run_tool(tree, "test.py", "--only", *options)


def test_notebooks_are_counted(tree):
    status, text = run_stages(tree, "notebooks")
    assert (status, last_line(text)) == (0, "2 passed, 0 failed"), text
    assert "== notebooks: 2 passed, 0 failed in" in text


ENDINGS = {  # how a notebook can fail -> what the report must show
    "1 / 0": "ZeroDivisionError",
    "x = (": "SyntaxError",
    "import sys; sys.exit(0)": "SystemExit",
}


def test_every_way_to_fail_is_counted(tree):
    for number, source in enumerate(ENDINGS):
        write(tree / "nbs" / "course" / f"{number}.ipynb", code(source, 1), code("x = 1", 2))
    skipped = markdown("# Title\n\n- skip_exec: true")
    write(tree / "nbs" / "course" / "skipped.ipynb", skipped, code("x = 1", 1))
    status, text = run_stages(tree, "notebooks")
    assert (status, last_line(text)) == (1, "2 passed, 4 failed"), text
    assert all(part in text for part in ENDINGS.values())
    assert "not run to its end: nbs/course/skipped.ipynb" in text


@pytest.mark.parametrize("source", ["os._exit(0)", "os.kill(os.getpid(), 11)"])
def test_a_process_that_merely_stops_is_a_failure(tree, source):
    write(tree / "nbs" / "02_two.ipynb", code(f"import os\n{source}", 1))
    status, text = run_stages(tree, "notebooks")
    assert status == 1 and not last_line(text).endswith(" 0 failed"), text


def test_flagged_cells_run_when_asked_for(tree):
    write(tree / "nbs" / "02_two.ipynb", code("#| pytest long\n#| slow\nraise ValueError('slow ran')", None))
    assert run_tool(tree, "export.py")[0] == 0
    assert last_line(run_stages(tree, "notebooks")[1]) == "3 passed, 0 failed"
    status, text = run_stages(tree, "notebooks", "--slow")
    assert (status, last_line(text)) == (1, "2 passed, 1 failed") and "ValueError: slow ran" in text


def test_the_wheel_is_tested_outside_of_the_checkout(tree):
    shutil.copy(ROOT / "setup.py", tree)
    shutil.copy(ROOT / "pyproject.toml", tree)
    more = tree / "tests" / "test_more.py"
    more.write_text("import moonshine.one\ndef test_where(): assert 'tree' not in moonshine.one.__file__\n")
    status, text = run_stages(tree, "wheel")
    assert (status, last_line(text)) == (0, "2 passed, 0 failed"), text
    more.write_text("import os\ndef test_wrong():\n    assert 1 == 2\ndef test_crash():\n    os._exit(0)\n")
    status, text = run_stages(tree, "wheel")
    assert (status, last_line(text)) == (1, "1 passed, 2 failed") and "assert 1 == 2" in text, text
    for path in (tree / "tests").glob("test_*.py"):
        path.unlink()
    assert last_line(run_stages(tree, "wheel")[1]) == "0 passed, 1 failed"


def test_folders_made_by_tools_hold_no_notebooks(tmp_path):
    for name in ["a.ipynb", "b/c.ipynb", ".ipynb_checkpoints/a.ipynb", "_proc/a.ipynb"]:
        write(tmp_path / "nbs" / name)
    assert [path.name for path in find_notebooks(tmp_path)] == ["a.ipynb", "c.ipynb"]


def test_the_package_is_found_by_python_started_beside_its_clone(tmp_path):
    clone, python = tmp_path / "moonshine", tmp_path / "venv" / "bin" / "python"
    shutil.copytree(ROOT / "moonshine", clone / "moonshine", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "settings.ini", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    venv.create(tmp_path / "venv", with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "-e", clone]
    subprocess.run(pip, check=True, capture_output=True)
    where = subprocess.run(
        [python, "-c", "import moonshine; print(moonshine.__version__)"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert where.stdout.count(".") == 2, where.stderr
