"""At the width of a phone and of a laptop nothing of a page is cut off, or wider than the screen."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from spak.kg.answers.view.document import view_document, view_json
from spak.kg.answers.view.page import html
from tests.shipped import LAWS

pytestmark = pytest.mark.browser
REPORT = Path(__file__).parents[2] / "docs" / "examples" / "fmha-h200.html"

PROBE = """<!doctype html><meta charset="utf-8"><body><script>
const frame = document.createElement('iframe');
frame.width = WIDTH; frame.height = 900; frame.style.border = 0; frame.srcdoc = PAGE;
frame.addEventListener('load', () => setTimeout(() => {
  const inside = frame.contentDocument, cut = [];
  const scrolled = e => e && e !== inside.body
    && (frame.contentWindow.getComputedStyle(e).overflowX !== 'visible' || scrolled(e.parentElement));
  for (const e of inside.querySelectorAll('body *')) {
    const style = frame.contentWindow.getComputedStyle(e);
    const hidden = style.overflowX === 'hidden' && e.clientWidth > 1;
    const beyond = e.getBoundingClientRect().right > inside.documentElement.clientWidth + 1 && !scrolled(e);
    if (beyond || hidden && e.scrollWidth > e.clientWidth + 1) cut.push(`${e.tagName}.${e.className}: ${e.textContent.slice(0, 60)}`);
  }
  const told = document.createElement('pre');
  told.textContent = '@@' + btoa(encodeURIComponent(JSON.stringify([inside.documentElement.scrollWidth, cut]))) + '@@';
  document.body.append(told);
}, 500));
document.body.append(frame);
</script></body>"""


@pytest.fixture(scope="module")
def chromium_alone():
    """The browser, which needs no driver here: it writes down what a page measured of itself."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("needs chromium on the path (Debian: apt install chromium)")
    return found


@pytest.fixture(scope="module")
def shipped_page(chromium_alone, tmp_path_factory) -> Path:
    """The page of `kg view` for the shipped laws."""
    path = tmp_path_factory.mktemp("page") / "laws.html"
    document = view_document(LAWS, paths=LAWS.paths["law"], load_run=LAWS.run)
    path.write_text(html(view_json(document)), encoding="utf-8")
    return path


def measured(browser: str, page: Path, width: int, folder: Path) -> tuple[int, list[str]]:
    """Width of the page in a frame of `width` pixels, and what of it is cut off."""
    text = json.dumps(page.read_text(encoding="utf-8")).replace("</", "<\\/")
    probe = folder / "probe.html"
    probe.write_text(PROBE.replace("WIDTH", str(width), 1).replace("PAGE", text, 1), encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
    ]
    command = [browser, *flags, "--window-size=1400,1000", "--virtual-time-budget=20000", "--dump-dom", probe.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (found,) = re.findall(r"@@([A-Za-z0-9+/=]+)@@", done.stdout)
    scroll, cut = json.loads(unquote(base64.b64decode(found).decode()))
    return scroll, cut


@pytest.mark.parametrize("width", [390, 1280])
def test_the_report(chromium_alone, tmp_path, width):
    assert measured(chromium_alone, REPORT, width, tmp_path) == (width, [])


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_of_laws(chromium_alone, tmp_path, width, shipped_page):
    assert measured(chromium_alone, shipped_page, width, tmp_path) == (width, [])


def test_the_probe_finds_what_is_cut(chromium_alone, tmp_path):
    """Else the others could not fail."""
    page = tmp_path / "page.html"
    page.write_text(
        "<body style='margin:0'><p style='overflow:hidden;white-space:nowrap'>" + "long words " * 99, "utf-8"
    )
    width, cut = measured(chromium_alone, page, 390, tmp_path)
    assert (width, len(cut)) == (390, 1)
    page.write_text("<body style='margin:0'><div style='width:500px'>wide</div>", "utf-8")
    assert measured(chromium_alone, page, 390, tmp_path)[0] == 500
