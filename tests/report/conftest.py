"""A headless Chromium, and a page shown in it."""

import os
import shutil

import pytest

from nas.report.explorer import explorer_page


@pytest.fixture(scope="module")
def browser():
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    if not binary or not shutil.which("chromedriver"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("missing: Chromium")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1300,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    )
    yield driver
    driver.quit()


@pytest.fixture
def shown(browser, tmp_path):
    def show(found):
        page = tmp_path / "report.html"
        page.write_text(explorer_page(found))
        browser.get(page.as_uri())
        return browser

    return show
