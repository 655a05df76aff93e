"""The pictures of README.md and docs/report.md, anew: python docs/pictures/make.py

Pages of stored runs in headless Chromium; needs Chromium, chromedriver and selenium.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from selenium import webdriver

from nas.report.explorer import comparison_page, explorer_page
from nas.search.comparison import comparison
from nas.search.overview import overview
from nas.search.store import RunDirectory

HERE = Path(__file__).parent
EXPERIMENTS = HERE.parents[1] / "experiments"
WIDTH = 1400


def main() -> None:
    run = RunDirectory.open(EXPERIMENTS / "fer2013/search")
    page = explorer_page(overview(run) | {"run": "experiments/fer2013/search"})
    names = [f"{way}-{seed}" for way in ("default", "nsga2", "random") for seed in (0, 1)]
    runs = [RunDirectory.open(EXPERIMENTS / "equal_time" / name) for name in names]
    found = comparison(runs)
    for row, name in zip(found["runs"], names, strict=True):
        row["run"] = f"equal_time/{name}"
    with tempfile.TemporaryDirectory() as folder, _chromium() as browser:
        for name, text, dark, height in (
            ("explorer", page, False, 1150),
            ("explorer_dark", page, True, 1150),
            ("compare", comparison_page(found), False, 1560),
        ):
            file = Path(folder) / f"{name}.html"
            file.write_text(text)
            _emulate(browser, dark, height)
            browser.get(file.as_uri())
            browser.execute_script("window.scrollTo(0, 0)")
            browser.save_screenshot(str(HERE / f"{name}.png"))


def _chromium() -> Any:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def _emulate(browser: Any, dark: bool, height: int) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


if __name__ == "__main__":
    main()
