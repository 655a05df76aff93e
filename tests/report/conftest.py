"""A headless Chromium, and a page shown in it."""

import pytest
from chromium import chromium

from nas.report.explorer import explorer_page


@pytest.fixture(scope="module")
def browser():
    with chromium("window-size=1300,1000") as driver:
        yield driver


@pytest.fixture
def shown(browser, tmp_path):
    def show(found):
        page = tmp_path / "report.html"
        page.write_text(explorer_page(found))
        browser.get(page.as_uri())
        return browser

    return show
