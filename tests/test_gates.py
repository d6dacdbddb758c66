"""Gates in a real browser: in JupyterLab with a kernel, and on a static page without one."""

import os

import nbformat
import pytest
from browser_kit import LessonPage, Tally, find_chromium, jupyterlab_server, what_is_missing

from moonshine.lessons.answers import Question
from moonshine.lessons.gates import gate_page

NOTEBOOK = (
    "from moonshine.lessons.answers import question\n"
    "from moonshine.lessons.gates import gate\n"
    "@question('0.21', unit='weights', because='Nine for each pair of channels.')\n"
    "def first():\n    'How many weights?'\n    return 9 * 64 * 64\n"
    "@question('0.22', choices=('S', 'G(N)'))\n"
    "def second():\n    'Which block?'\n    return 'G(N)'",
    "gate('0.21')",
    "print('the first reveal')",
    "gate('0.22')",
    "print('the second reveal')",
)


@pytest.fixture(scope="module")
def browser():
    missing = what_is_missing()
    if missing:
        (pytest.fail if os.environ.get("MOONSHINE_REQUIRE_BROWSER") == "1" else pytest.skip)(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        launched = play.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


def visible(page, text):
    """Return whether an output with this text is visible."""
    return page.locator(".jp-OutputArea-output", has_text=text).last.is_visible()


def test_a_gate_hides_what_follows_until_the_guess(browser, tmp_path):
    course, home = tmp_path / "course", tmp_path / "home"
    course.mkdir(), home.mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in NOTEBOOK])
    notebook.metadata.kernelspec = dict(name="python3", display_name="Python 3", language="python")
    nbformat.write(notebook, course / "gates.ipynb")
    with jupyterlab_server(course, home) as url:
        lesson = LessonPage(browser, url, course / "gates.ipynb", Tally())
        lesson.open()
        lesson.run_all()
        page = lesson.page
        box = page.locator(".moonshine-gate .widget-text input")
        box.wait_for()
        assert not visible(page, "the first reveal") and not visible(page, "the second reveal")
        assert page.locator(".moonshine-gate-page").first.is_hidden()  # the copy for static pages
        assert page.get_by_role("button", name="Commit").first.is_disabled()
        box.press("Enter")  # without a guess, nothing happens
        assert not visible(page, "the first reveal")
        box.fill("3*3*64*64")
        page.get_by_text("Your guess: 36,864 weights.").wait_for()
        box.press("Enter")
        page.get_by_text("exactly right. The answer is 36,864 weights.").wait_for()
        page.get_by_text("the first reveal", exact=True).wait_for()
        assert not visible(page, "the second reveal")
        page.get_by_role("button", name="G(N)").click()
        page.locator(".moonshine-gate").nth(1).get_by_role("button", name="Commit").click()
        page.get_by_text("the second reveal", exact=True).wait_for()
        assert not lesson.complaints, lesson.complaints
        page.screenshot(path=tmp_path / "gates.png")
        page.close()


@pytest.fixture
def static(browser, tmp_path):
    """Return a page with two gates, without a kernel, and everything that it requested."""
    first = Question(
        "0.1",
        "How many weights?",
        lambda: 36864,
        "weights",
        (),
        "Nine.",
        (9, 10**6),
        {4096: "And the kernel?"},
    )
    second = Question("0.2", "Which block?", lambda: "G(N)", choices=("S", "G(N)"))
    html = (
        f"<!doctype html><meta charset=utf-8><main><section><h1>Lesson</h1><div>{gate_page(first)}</div>"
        f"<p id=one>the first reveal</p><div>{gate_page(second)}</div>"
        "<p id=two>the second reveal</p></section>"
        "<section><p id=three>the end</p></section></main><footer id=foot>footer</footer>"
    )
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    page, seen = browser.new_page(), []
    page.on("request", lambda request: seen.append(request.url))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.goto(f"file://{tmp_path}/page.html")
    yield page
    assert len(seen) == 1, seen  # the page itself, and no error
    page.close()


def shown(page):
    """Return which parts of the static page are visible."""
    return [name for name in ("one", "two", "three", "foot") if page.locator(f"#{name}").is_visible()]


def test_a_static_gate_hides_what_follows_until_the_guess(static):
    assert shown(static) == ["foot"] and "36,864" not in static.locator("main").inner_text()
    box = static.get_by_label("your guess")
    box.fill("banana")
    box.press("Enter")
    assert shown(static) == ["foot"] and static.get_by_text("Type a number").is_visible()
    box.fill("7")
    assert static.get_by_text("A plausible guess lies between 9 and 1,000,000.").is_visible()
    box.fill("64^2")
    box.press("Enter")
    told = "You said 4,096 weights: 9 times too low. And the kernel? The answer is 36,864 weights. Nine."
    assert static.get_by_text(told).is_visible()
    assert shown(static) == ["one", "foot"]
    static.get_by_label("S", exact=True).check()
    static.get_by_role("button", name="Commit").nth(1).click()
    assert static.get_by_text("You said S: not quite. The answer is G(N).").is_visible()
    assert shown(static) == ["one", "two", "three", "foot"]


def test_a_static_gate_can_be_skipped(static):
    static.get_by_role("button", name="Show the answer").first.click()
    assert static.get_by_text("You skipped the question. The answer is 36,864 weights.").is_visible()
    assert shown(static) == ["one", "foot"]


def test_both_readers_of_arithmetic_agree(static):
    from moonshine.errors import InputError
    from moonshine.lessons.guesses import read_number, with_unit

    box = static.get_by_label("your guess")
    for text in (
        "3*3*64*64",
        "36,864",
        "3×3·64^2",
        "1.2 million",
        "28 k",
        "-5/2",
        "12 %",
        "2²",
        "x",
        "1,2",
        "",
        "9*",
    ):
        box.fill(text)
        try:
            wanted = f"Your guess: {with_unit(read_number(text), 'weights')}."
        except InputError:
            wanted = "Type a number or a calculation"
        said = static.get_by_role("status").first.inner_text()
        assert said.startswith(wanted), (text, said)
