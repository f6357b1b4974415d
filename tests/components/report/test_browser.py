"""The page in headless Chromium, under names that nobody should trust: no error, no request, nothing that shuts people out."""

import shutil

import pytest

from components.report import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; `make browser` installs it where it can")
# Quiet: a browser in a test calls nobody. No sandbox, as it has none inside a container; what it opens is our own page.
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(found, tmp_path_factory):
    import run_artifacts

    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.render(found, run_artifacts.run_json()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    """opened(width, scheme) opens the page; gives it with what it asked for and complained of."""
    contexts = []

    def open_page(width=1280, scheme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, **options)
        contexts.append(context)
        tab, complaints, requests = context.new_page(), [], []
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(address)
        return tab, complaints, requests

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.slow)])
def test_the_page_is_quiet_fits_and_can_be_read_by_everyone(opened, address, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    tab, complaints, requests = opened(width, scheme)
    violations = [one for one in Axe().run(tab).response["violations"] if one["impact"] in ("serious", "critical")]
    assert violations == []
    assert complaints == []
    assert [one for one in requests if one != address and not one.startswith("data:image/jpeg;base64,")] == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("window.hurt") is None


def test_the_map_shows_the_nearest_photograph_and_can_be_used_by_keyboard(opened):
    tab, complaints, _ = opened()
    plot = tab.locator("#map-plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    card = tab.locator("#map-card")
    assert card.locator(".picture").count() == 1 and "here" in tab.locator("circle.here").get_attribute("class")
    first = card.inner_text()
    plot.focus()
    tab.keyboard.press("ArrowRight")
    assert card.inner_text() != first
    # The first class alone: every photograph that the keys reach is of it, and the rest is dimmed. Its name stays text.
    tab.locator("#map-class").select_option("0")
    plot.focus()
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
        assert "<script>window.hurt = 1</script>" in card.inner_text()
    assert tab.locator("circle.dim").count() == 20  # 24 photographs of six classes
    assert tab.evaluate("window.hurt") is None and complaints == []


def test_the_page_says_everything_without_its_script(opened):
    tab, _, _ = opened(java_script_enabled=False)
    assert tab.locator("circle").count() == 24 and tab.locator("h1").inner_text() == "Registered as version 4, the champion"


def test_dark_and_light_differ_inside_the_drawings_too(opened):
    colours = set()
    for scheme in ("light", "dark"):
        tab, _, _ = opened(scheme=scheme)
        colours.add(tab.evaluate("getComputedStyle(document.querySelector('.charts svg text')).fill"))
    assert len(colours) == 2


def test_a_print_has_no_controls_and_is_light(opened):
    tab, _, _ = opened(scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not tab.locator("#map-class").is_visible()
