"""A headless Chromium that a test drives; skips with a reason where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spak.kg.answers.view.document import view_document, view_json
from spak.kg.answers.view.page import html
from tests.kg.small import ROOT, negative
from tests.shipped import LAWS

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900",
)  # fmt: skip


@pytest.fixture(scope="session")
def programs() -> tuple[str, str]:
    """The browser and what drives it: without them no page need be written either."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs chromium and chromedriver on the path (Debian: apt install chromium chromium-driver)")
    return browser, driver


@pytest.fixture(scope="module")
def chromium(programs: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for a module's tests, with a fresh profile, logging its console and its network."""
    browser, driver = programs
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (pip install 'spak[dev]')")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    session = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield session
    session.quit()


@pytest.fixture(scope="session")
def written(programs: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes the page of a store and says where it is."""

    def write(laws: Any, **more: Any) -> Path:
        path = tmp_path_factory.mktemp("page") / "page.html"
        path.write_text(html(view_json(view_document(laws, **more))), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def shipped(written: Callable[..., Path]) -> Path:
    """The page of the shipped laws."""
    return written(LAWS, paths=LAWS.paths["law"], load_run=LAWS.run)


@pytest.fixture(scope="session")
def thousands(written: Callable[..., Path]) -> Path:
    """The page of 5,000 laws, each with evidence; without conflicts, which is another test's subject."""
    laws = [negative(f"generated-{number:06d}", avoid=f"tile_m == {number}") for number in range(5000)]
    return written(ROOT.with_laws(*laws), paths={}, load_run={}.get)
