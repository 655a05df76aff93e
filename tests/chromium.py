"""A headless Chromium, which the tests of the pages drive."""

import os
import shutil
from contextlib import contextmanager

import pytest


def need(there, what):
    """Skip where a part is missing; in CI that is a failure."""
    if not there:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"missing: {what}")


@contextmanager
def chromium(*arguments):
    """A driver that keeps the browser's log; arguments: without their dashes."""
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    need(binary and shutil.which("chromedriver"), "chromium, chromedriver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("headless=new", "no-sandbox", *arguments):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        yield driver
