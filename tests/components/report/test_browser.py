"""The page in headless Chromium, under names that nobody should trust: no error, no request, nothing that shuts people out."""

import pathlib
import shutil

import pytest

from components.report import artifacts, page

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


MEASURE = pathlib.Path(__file__).with_name("measure.js").read_text(encoding="utf-8")
WIDTHS = (360, 390, 768, 1280)


@pytest.fixture(scope="module")
def address(found, tmp_path_factory):
    import run_artifacts

    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.render(found, run_artifacts.run_json()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def refused(uris, tmp_path_factory):
    """The page of a backbone that was refused, of ordinary names and a real network: what people look at most closely."""
    import run_artifacts

    early = {name: uri for name, uri in uris.items() if name not in ("examples", "probe")}
    found = artifacts.read(early, run_artifacts.configuration(), run_artifacts.preset(), "")
    classes = ["chrysanthemum", "lily of the valley", "rose", "sunflower", "tulip", "dandelion"]
    by_class = dict.fromkeys(classes, 1234)
    found.ingest.update(classes=classes, splits=found.ingest["splits"] | {
        split: {"images": 7404, "by_class": by_class} for split in ("train", "eval")})  # fmt: skip
    found.verdict.update(classes=classes, blessed=False)
    found.push.update(version=None, alias=None)
    found.pretrain.update(network=run_artifacts.network())
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


def measured(tab, width, media="screen", scheme="light"):
    """What measure.js finds at that width, with everything that is folded open."""
    tab.set_viewport_size({"width": width, "height": 800})
    tab.emulate_media(media=media, color_scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    return {what: found for what, found in tab.evaluate(MEASURE).items() if found}


@pytest.mark.parametrize("which", [pytest.param("address", marks=pytest.mark.slow), "refused"])
def test_words_are_whole_heads_above_their_columns_and_everything_fits_and_can_be_read(browser, which, request):
    tab = browser.new_page()
    tab.goto(request.getfixturevalue(which))
    found = {(width, scheme): measured(tab, width, scheme=scheme) for width in WIDTHS for scheme in ("light", "dark")}
    # A4 without its margins, at 96 pixels an inch.
    found["print"] = measured(tab, 688, media="print", scheme="dark")
    tab.close()
    assert {where: what for where, what in found.items() if what} == {}


def test_the_measure_sees_what_is_wrong(browser):
    tab = browser.new_page(viewport={"width": 360, "height": 800})
    tab.set_content("""<body style="background:#fff;color:#000"><p style="width:60px;overflow-wrap:anywhere">chrysanthemum</p>
      <p style="color:#888">faint</p><div style="width:500px">wide</div>
      <table><thead><tr><th>a</th><th style="display:none">b</th><th>c</th></tr></thead>
      <tbody><tr><td>1</td><td>2</td><td>three</td></tr></tbody></table>""")
    assert {what for what, found in tab.evaluate(MEASURE).items() if found} == {"broken", "faint", "wide", "astray"}
    tab.close()


def test_sections_are_jumped_to_by_keyboard_and_their_heads_stay_in_sight(opened):
    tab, _, _ = opened()
    links = tab.locator("#contents a")
    assert [tab.locator(link.get_attribute("href")).count() for link in links.all()] == [1] * links.count() and links.count() == 12
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.getAttribute('href')") == "#verdict"
    tab.emulate_media(reduced_motion="reduce")  # at once
    tab.locator("#contents a[href='#mistakes']").focus()
    tab.keyboard.press("Enter")
    bar, head = tab.locator("#contents").bounding_box(), tab.locator("#mistakes-title").bounding_box()
    assert bar["y"] == 0 and bar["height"] <= head["y"] < 200
    # Where the contents take several lines they do not stay, and each section leads back.
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.locator("#mistakes .up").click()
    assert 0 <= tab.locator("#contents").bounding_box()["y"] < 800


def test_the_scale_of_accuracies_is_named_where_it_is(opened):
    for width in (390, 1280):
        tab, _, _ = opened(width)
        axis, track = (tab.locator(f"#verdict .{name}:visible").first for name in ("axis", "interval"))
        assert axis.inner_text().split() == ["0", "25", "50", "75", "100", "%"]
        for side in ("x", "width"):
            assert abs(axis.bounding_box()[side] - track.bounding_box()[side]) < 1
        half, value = (
            tab.locator(f"#verdict {name}:visible").first.bounding_box() for name in (".axis i:nth-child(3)", ".untrained .value")
        )
        # The random-init baseline is right about 12 of 24.
        assert abs((half["x"] + half["width"] / 2) - (value["x"] + value["width"] / 2)) < 1.5


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
    assert not tab.locator("#map-class").is_visible() and not tab.locator("#contents").is_visible()
    # What is folded on the screen is printed.
    assert tab.locator("details").count() == tab.locator("details table:visible, details ul:visible").count() == 3
