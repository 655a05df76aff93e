"""The pages by keyboard, to a screen reader, and in both schemes: axe's audit, and contrasts."""

import pytest
from chromium import need
from conftest import ROOT
from pages import network, overview
from selenium.webdriver.common.keys import Keys

from nas.report import colours
from nas.report.explorer import comparison_page
from nas.search.comparison import comparison
from nas.search.store import RunDirectory

AXE = ROOT / "nas/realtime/page/node_modules/axe-core/axe.min.js"  # `make web` fetches it
SCHEMES = {"light": (colours.LIGHT, "#ffffff"), "dark": (colours.DARK, "#15181c")}
LINE = {"line": [f"{i:012x}" for i in (0, 3)],
        "paid": [{"change": "kernel of a block", "count": 3, "mean": 0.01, "low": -0.01,
                  "high": 0.03}]}  # fmt: skip


def everything():
    """An overview in which no part of the page is empty."""
    networks = [network(i, parents=[f"{i - 1:012x}"] if i else []) for i in range(60)]
    networks[7] |= {"status": "failed", "metrics": {}, "error": "no memory", "fitness": None}
    points = [{"id": n["id"], "measured": 0.3, "predicted": 0.31, "low": 0.29, "high": 0.33}
              for n in networks[:12]]  # fmt: skip
    checked = {"before": True, "folds": None, "points": points, "rank_correlation": 0.8,
               "mean_error": 0.01, "calibration": [{"level": 0.8, "covered": 0.75}]}  # fmt: skip
    retrained = {"id": f"{0:012x}", "search": 0.3, "final": 0.6, "epochs": 2, "low": 0.55,
                 "high": 0.65, "seeds": 3, "folder": "found",
                 "curve": [[1, 0.5], [2, 0.6]]}  # fmt: skip
    return overview(
        networks, surrogate=checked, genealogy=LINE, synthetic=True, data="fer2013",
        references=[{**network(2), "name": "proposed", "published": 0.68}],
        genes=[{"gene": "stem.kernel", "value": "3", "front": 1.0, "all": 0.5}],
        failures=[{"reason": "no memory", "count": 1, "ids": [networks[7]["id"]]}],
        population=[{"evaluations": n, "quartiles": [0.3, 0.4, 0.5]} for n in (10, 60)],
        retrained={"networks": [retrained], "rank_correlation": None},
    )  # fmt: skip


def emulate(browser, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def violations(browser):
    """What axe finds at levels A and AA of WCAG 2.2, and against its good practice."""
    need(AXE.exists(), "axe-core; run: make web")
    browser.execute_script(AXE.read_text())
    found = browser.execute_async_script(
        "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a',"
        "'wcag21aa', 'wcag22aa', 'best-practice']}).then((r) => done(r.violations.map((v) =>"
        "[v.id, v.nodes.map((n) => n.html.slice(0, 120))])))"
    )
    return dict(found)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_audit_of_the_explorer_finds_nothing(shown, scheme):
    browser = shown(everything())
    emulate(browser, scheme)
    # At once: the page draws anew for another scheme, and elements that were found may be gone.
    browser.execute_script("document.querySelectorAll('summary').forEach((each) => each.click())")
    assert violations(browser) == {}
    browser.set_window_size(420, 900)  # a narrow one, where tables scroll
    try:
        assert violations(browser) == {}
    finally:
        browser.set_window_size(1300, 1000)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_audit_of_a_comparison_finds_nothing(browser, tmp_path, scheme):
    names = ("default-0", "default-1", "nsga2-0", "nsga2-1")
    found = comparison([RunDirectory.open(ROOT / "experiments/equal_time" / n) for n in names])
    page = tmp_path / "compare.html"
    page.write_text(comparison_page(found))
    emulate(browser, scheme)
    browser.get(page.as_uri())
    assert violations(browser) == {}


def test_lines_of_a_comparison_are_told_apart_without_colour(browser, tmp_path):
    names = [f"{way}-{seed}" for way in ("default", "nsga2", "random") for seed in (0, 1)]
    found = comparison([RunDirectory.open(ROOT / "experiments/equal_time" / n) for n in names])
    page = tmp_path / "compare.html"
    page.write_text(comparison_page(found))
    browser.get(page.as_uri())
    for chart, lines in (("volume-evaluations", 6), ("volume-time", 6), ("attainment", 3)):
        marks = browser.execute_script(
            "return [...document.querySelectorAll(`#${arguments[0]} .legend li`)].map((li) =>"
            "[...li.querySelectorAll('path')].map((path) => ['d', 'stroke-dasharray'].map((key) =>"
            "path.getAttribute(key)).join() + path.getAttribute('fill').includes('page')).join())",
            chart,
        )
        assert len(set(marks)) == len(marks) == lines


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """WCAG 2: from 1 to 21."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_wcag():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_marks_stand_out_and_labels_can_be_read(scheme):
    """3 : 1 of marks and lines (WCAG 1.4.11), 4.5 : 1 of the colours that labels have (1.4.3)."""
    palette, page = SCHEMES[scheme]
    for name, found in palette.items():
        for colour in found.split():
            least = 4.5 if name in ("reference", "published") else 3.0
            assert contrast(colour, page) >= least, (name, colour)
    for colour in (colours.INK, colours.TRAINING, colours.VALIDATION, colours.FRONT, colours.BEST):
        assert contrast(colour, "#ffffff") >= 3


def focused(browser):
    return browser.execute_script(
        "const e = document.activeElement; return [e.tagName.toLowerCase(),"
        "e.getAttribute('aria-label') || e.name || e.textContent.slice(0, 20),"
        "getComputedStyle(e).outlineStyle]"
    )


def test_tab_walks_the_page_in_its_order_and_shows_where_it_is(shown):
    browser = shown(everything())
    seen = []
    for _ in range(14):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        seen.append(focused(browser))
    names = [name for _, name, _ in seen]
    assert names[0] == "Skip to the table of"
    assert names[1:8] == ["id", "accuracy", "params", "macs", "fps", "show", "published"]
    assert [n.split(".")[0] for n in names[9:12]] == [
        "Accuracy against parameters", "Accuracy against MACs",
        "Accuracy against frames a second"]  # fmt: skip
    assert all(outline not in ("none", "") for _, _, outline in seen)
    assert "60 marks" not in names[9]  # the one that failed has none
    assert "marks: walk with the arrow keys" in names[9]


def test_a_choice_by_keyboard_is_spoken(shown):
    browser = shown(everything())
    chart = browser.find_element("css selector", "#front-params .plot > svg")
    chart.send_keys(Keys.END, Keys.ENTER)
    spoken = browser.find_element("css selector", "#front-params [aria-live]")
    name = f"{59:012x}"
    assert spoken.get_attribute("textContent").startswith(f"{name} is chosen")
    assert name in browser.find_element("id", "detail-title").text
    chart.send_keys(Keys.TAB)
    assert not browser.find_elements("css selector", "#front-params .cursor")


def test_the_table_sorts_by_keyboard(shown):
    browser = shown(everything())
    button = browser.find_element("xpath", "//section//th/button[text()='parameters']")
    for way in ("descending", "ascending"):
        button.send_keys(Keys.ENTER)
        assert button.find_element("xpath", "..").get_attribute("aria-sort") == way
    assert len(browser.find_elements("css selector", "th[aria-sort=ascending]")) == 1
    nav = browser.find_element("xpath", "//nav//button[text()='Next']")
    nav.send_keys(Keys.SPACE)
    assert "51 to 60 of 60" in browser.find_element("css selector", "nav.pages").text
