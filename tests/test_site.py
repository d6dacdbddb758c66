"""The website: built from all notebooks and modules; its links hold, and nothing is loaded from elsewhere."""

import json
import re
import subprocess
import sys
from configparser import ConfigParser

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import build_site
from build_site import SiteError
from notebooks import find_notebooks
from site_links import check_links
from site_pages import in_sections, natural, read_page, shown_cell

PANEL = """<iframe srcdoc="<p id='n'>0</p><script>document.title = 'alive'</script>"></iframe>"""


@pytest.fixture
def builder():
    """Skip a test where the builder is not installed."""
    try:
        build_site.check_builder()
    except SiteError as error:
        pytest.skip(str(error))


def code(source, *outputs):
    """A code cell."""
    return dict(cell_type="code", metadata={}, source=source, execution_count=None, outputs=list(outputs))


def markdown(source):
    """A markdown cell."""
    return dict(cell_type="markdown", metadata={}, source=source)


def html(text):
    """What a cell that shows HTML leaves."""
    return dict(output_type="display_data", metadata={}, data={"text/html": text, "text/plain": "a panel"})


def write_tree(root, **notebooks):
    """Write a repository of a few notebooks ("course__1_one" is course/1_one.ipynb) and no module."""
    for name, cells in notebooks.items():
        path = root / "nbs" / (name.replace("__", "/") + ".ipynb")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5)))
    (root / "moonshine").mkdir()
    (root / "moonshine" / "__init__.py").write_text('"""A package."""\n_HOMES = {}\n')
    return root


def a_tree(root, link="course/1_one.ipynb"):
    """Write a small repository whose first page links to `link`."""
    one = [
        markdown("# One\n\n> The first\n\n$x^2$"),
        code("#| hide\nsecret = 1"),
        code("show()", html(PANEL)),
    ]
    two = [markdown("# Two\n\n[back](1_one.ipynb#A-part)"), code("#| hide_input\nprint(3)", html("<b>3</b>"))]
    one.append(markdown("## A part"))
    public = [markdown("# All"), code("#| default_exp __init__")]
    start = [markdown(f"# Start\n\n[one]({link})")]
    return write_tree(root, index=start, course__1_one=one, course__2_two=two, **{"00_public_api": public})


# The whole site


def test_the_site_is_built_and_its_links_hold(builder, tmp_path):
    command = [sys.executable, str(ROOT / "tools" / "build_site.py"), str(tmp_path / "site"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    notebooks = [path.relative_to(ROOT / "nbs").with_suffix("") for path in find_notebooks(ROOT)]
    assert [name for name in notebooks if not (tmp_path / "site" / f"{name}.html").exists()] == []
    page = (tmp_path / "site" / "api" / "moonshine.costs.counting.html").read_text()
    assert "the images get its device and dtype" in page  # a comment on a parameter
    page = (tmp_path / "site" / "api" / "moonshine.cli.course_commands.html").read_text()
    assert "print the address and open no browser" in page and "OptionInfo" not in page
    page = (tmp_path / "site" / "course" / "4_what_a_teacher_knows.html").read_text()
    assert "<math" in page and "cdn" not in page


def test_the_readme_names_the_address_of_the_site():
    settings = ConfigParser()
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    user, repo = settings["DEFAULT"]["user"] or "OWNER", settings["DEFAULT"]["repo"]
    assert f"https://{user}.github.io/{repo}/" in (ROOT / "README.md").read_text(encoding="utf-8")


# A small site


def test_a_page_shows_what_its_notebook_stores(builder, tmp_path):
    build_site.build(tmp_path / "site", processes=1, root=a_tree(tmp_path / "tree"))
    one, two = ((tmp_path / "site" / "course" / f"{name}.html").read_text() for name in ("1_one", "2_two"))
    assert PANEL in one and "secret" not in one and "<msup>" in one
    assert "<b>3</b>" in two and "print" not in re.sub(r"<(script|style).*?</\1>", "", two, flags=re.DOTALL)
    assert 'href="1_one.html#a-part"' in two
    start = (tmp_path / "site" / "index.html").read_text()
    assert start.index("course/1_one.html") < start.index("course/2_two.html") < start.index("api/index.html")
    assert check_links(tmp_path / "site").problems == []
    build_site.build(tmp_path / "site", processes=1, root=tmp_path / "tree")  # replaces the earlier site


def test_a_link_to_a_missing_notebook_is_an_error(builder, tmp_path, capfd):
    with pytest.raises(SiteError, match="was not built"):
        build_site.build(
            tmp_path / "site", processes=1, root=a_tree(tmp_path / "tree", "course/3_three.ipynb")
        )
    assert "3_three" in capfd.readouterr().err


def test_another_folder_is_not_emptied(builder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").touch()
    with pytest.raises(SiteError, match="is not empty and holds no site"):
        build_site.build(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis").exists()


# Its parts


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1> <a href="b.html#there">1</a> <a href="b.html#gone">2</a> <a href="c.html">3</a>'
        '<a href="#top">4</a> <a href="https://example.org/x">5</a> <a href="mailto:a@example.org">6</a>'
        '<script src="https://example.org/y.js"></script> <img src="d.png"> <a href="folder/">7</a>'
        """<iframe srcdoc='<img src="https://example.org/z.png"><a href="#inside">8</a>'></iframe>"""
    )
    (tmp_path / "b.html").write_text('<p id="there">B</p>')
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "index.html").write_text('<a href="../a.html">up</a>')
    report = check_links(tmp_path)
    assert report.problems == [
        "a.html: loads https://example.org/y.js from another site; copy it into this one",
        "a.html: links to d.png, which is not there",
        "a.html: loads https://example.org/z.png from another site; copy it into this one",
        "a.html: links to b.html#gone, but that page has no such anchor",
        "a.html: links to c.html, which is not there",
    ]
    assert report.external == {f"https://example.org/{name}" for name in ("x", "y.js", "z.png")}
    assert (report.pages, report.internal) == (3, 7)


def test_sections_are_in_reading_order():
    nbs = ROOT / "nbs"
    sections = in_sections([read_page(path, nbs) for path in find_notebooks(ROOT)])
    assert list(sections)[0] == "course" and list(sections)[-1] == "notes"
    assert [page.name[7] for page in sections["course"][:9]] == list("123456789")
    numbers = [int(found[0]) for page in sections["core"] if (found := re.findall(r"/(\d+)_", page.name))]
    assert numbers == sorted(numbers)
    assert sorted(["10_b", "9_a", "c"], key=natural) == ["9_a", "10_b", "c"]


def test_a_cell_is_shown_without_its_directives():
    assert shown_cell(code("#| pytest a\nassert True"))["source"] == "assert True"
    assert shown_cell(code("#| default_exp a.b")) is None and shown_cell(code("#| hide\nx = 1")) is None
    assert shown_cell(code("#| hide_input\nx"))["metadata"]["tags"] == ["remove-input"]


def test_markdown_outputs_link_to_pages():
    text = "[one](a/b.ipynb#part), [two](c.ipynb), [far](https://x.org/d.ipynb), `e.ipynb`"
    cell = code("#| hide_input\nx") | dict(outputs=[dict(data={"text/markdown": text}), dict(text="f.ipynb")])
    markdown, plain = shown_cell(cell)["outputs"]
    shown = "[one](a/b.html#part), [two](c.html), [far](https://x.org/d.ipynb), `e.ipynb`"
    assert markdown["data"]["text/markdown"] == shown and plain == dict(text="f.ipynb")
