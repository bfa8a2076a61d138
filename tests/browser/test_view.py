"""The page of `kg view` in a real browser: search, filters, map, details, links, keyboard, size, no network."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.kg.small import ROOT, SUPPORT

pytestmark = pytest.mark.browser
LAW = "sm120-fmha-128x128-spills"


class Page:
    """The page as a person meets it: what is written where, what is pressed, where the focus is."""

    def __init__(self, browser: Any, path: Path, address: str = "") -> None:
        self.browser = browser
        browser.get("about:blank")
        browser.get(f"{path.as_uri()}{address}")
        self.until("document.body.dataset.ready")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def until(self, condition: str) -> None:
        """Wait for a JavaScript condition; a page that never gets there fails."""
        end = time.monotonic() + 200  # seconds, though it takes none
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, condition
            time.sleep(0.01)

    def one(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return self.one(selector).text

    def laws(self) -> list[str]:
        return self.run("return [...document.querySelectorAll('a.row')].map(row => row.dataset.law)")

    def address(self) -> str:
        return self.run("return location.hash")

    def keys(self, *keys: str) -> None:
        """Press keys wherever the focus is."""
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    def focused(self, what: str = "id") -> str | None:
        return self.run("const e = document.activeElement; return e.dataset[arguments[0]] || e[arguments[0]]", what)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def page(chromium: Any, shipped: Path) -> Page:
    return Page(chromium, shipped)


def test_it_opens_with_every_law_and_asks_no_network(chromium: Any, shipped: Path):
    """The browser's own log has one request, the file (beside the browser's own start page); the console is silent."""
    page = Page(chromium, shipped)
    page.one(f"a.row[data-law='{LAW}']").click()
    total = page.run("return document.querySelectorAll('#kinds .n').length")
    sent = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    urls = {m["params"]["request"]["url"].split("#")[0] for m in sent if m["method"] == "Network.requestWillBeSent"}
    asked = {url for url in urls if not url.startswith(("about:", "chrome:", "data:"))}
    assert asked == {shipped.as_uri()}
    assert total == 5
    assert page.complaints() == []


def test_searching_narrows_list_map_and_counts(page: Page):
    """Each word must be found; the number found is announced; the address can be sent; Esc clears."""
    before = page.laws()
    page.one("#search").send_keys("first-maximum sm90")
    assert page.laws() == ["sm90-fmha-first-maximum"]
    assert page.text("#count") == f"1 of {len(before)} laws"
    assert page.one("#count").get_attribute("aria-live") == "polite"
    assert page.address() == "#q=first-maximum%20sm90"
    assert len(page.all("#map .cell")) == 1
    page.keys("\ue00c")
    assert page.laws() == before


def test_kind_and_status_buttons_filter_and_count(page: Page):
    """Two statuses add up, a kind narrows; a count says what pressing would show."""
    page.one("[data-value=refuted]").click()
    page.one("[data-value=confirmed]").click()
    promised = int(page.text("[data-value=negative] .n"))
    page.one("[data-value=negative]").click()
    assert len(page.laws()) == promised > 1
    assert page.one("[data-value=negative]").get_attribute("aria-pressed") == "true"
    assert page.address() == "#kind=negative&status=confirmed,refuted"
    page.one("#clear").click()
    assert page.address() == ""
    assert page.one("[data-value=negative]").get_attribute("aria-pressed") == "false"


def test_hardware_filter_may_include_what_it_inherits(page: Page):
    """rtx5070's own laws; with inherited ones also those of sm_120 and nvidia, in the list as in the map."""
    page.run("const s = document.getElementById('hw'); s.value = 'rtx5070'; s.dispatchEvent(new Event('change'))")
    own = page.laws()
    assert own
    assert all("rtx5070" in page.text(f"a.row[data-law='{law}'] .where") for law in own)
    page.one("#inherited").click()
    assert set(own) < set(page.laws())
    assert {LAW, "attention-finite-mask-floor"} <= set(page.laws())
    assert page.address() == "#hw=rtx5070&inherited=1"


def test_a_map_cell_shows_its_laws_and_a_second_press_takes_it_back(page: Page):
    """The cell's name says what a sighted reader sees; the focus stays on it."""
    total = len(page.laws())
    cell = next(c for c in page.all("#map .cell") if c.get_attribute("aria-label").startswith("fmha on sm_120:"))
    count = int(cell.get_attribute("aria-label").split(": ")[1].split()[0])
    cell.click()
    assert len(page.laws()) == count
    assert page.address() == "#hw=sm_120&op=fmha"
    assert page.run("return document.activeElement.getAttribute('aria-pressed')") == "true"
    page.keys("\ue007")
    assert len(page.laws()) == total


def test_empty_rows_can_be_shown(page: Page):
    """Hardware without any law is hidden until asked for, or chosen."""
    rows = page.text("#map").split()
    hidden = [option.get_attribute("value") for option in page.all("#hw option") if option.get_attribute("value")]
    hidden = [name for name in hidden if name not in rows]
    assert hidden
    page.run("location.hash = arguments[0]", f"hw={hidden[0]}")
    page.until(f"document.getElementById('hw').value === '{hidden[0]}'")
    assert hidden[0] in page.text("#map").split()
    page.one("#every-node").click()
    assert set(hidden) <= set(page.text("#map").split())


def test_a_law_opens_with_claim_scope_evidence_and_neighbours(page: Page):
    """A click shows all of it, moves the focus to the heading, and changes the address."""
    page.one(f"a.row[data-law='{LAW}']").click()
    shown = page.text("#detail")
    for part in ("avoid", "tile_m >= 128", "head_dim >= 64", "sm_120", "spill_bytes", "compiled", "independent"):
        assert part in shown
    assert page.address() == f"#law={LAW}"
    assert page.focused() == "detail-title"
    assert len(page.all("#detail .track .claimed")) == len(page.all("#detail .track")) >= 2
    assert len(page.all("#detail svg .box.run")) >= 2
    assert page.one(f"a.row[data-law='{LAW}']").get_attribute("aria-current") == "true"
    assert "hardware laws" in page.browser.title


def test_escape_closes_a_law_and_returns_to_its_row(page: Page):
    """A person on the keyboard is back where they were; the browser's Back opens the law again."""
    page.one(f"a.row[data-law='{LAW}']").click()
    page.keys("\ue00c")
    assert (page.address(), page.focused("law")) == ("", LAW)
    page.browser.back()
    page.until("document.getElementById('detail-title')")
    assert page.address() == f"#law={LAW}"


def test_a_link_leads_to_a_law_and_to_a_filter(chromium: Any, shipped: Path):
    """Deep links, former ids and aliases of hardware included; a link that means nothing says so."""
    page = Page(chromium, shipped, f"#law={LAW}&kind=negative")
    assert LAW in page.text("#detail")
    assert page.one("[data-value=negative]").get_attribute("aria-pressed") == "true"
    page = Page(chromium, shipped, "#hw=NVIDIA%20GeForce%20RTX%205070&status=proposed")
    assert page.run("return document.getElementById('hw').value") == "rtx5070"
    page = Page(chromium, shipped, "#law=no-such-law&hw=voodoo2")
    assert "No law here is called no-such-law" in page.text("#detail")
    assert "hw=voodoo2" in page.text("#count")
    assert page.laws()


def test_changing_the_address_by_hand_works_too(page: Page):
    """The page follows the address, so a link inside a page that is already open leads on."""
    page.run("location.hash = 'kind=invariant'")
    page.until("document.querySelector('[data-value=invariant]').ariaPressed === 'true'")
    assert len(page.laws()) == int(page.text("[data-value=invariant] .n"))


def test_former_ids_and_links_between_laws(chromium: Any, written: Any):
    """A link to a renamed law finds it; a relation leads from law to law."""
    page = Page(chromium, written(ROOT, paths={}, load_run={}.get), "#law=old-floor")
    assert "Mask with a finite floor" in page.text("#detail-title")
    page = Page(chromium, written(ROOT, paths={}, load_run={}.get), "#law=latency-4-or-5")
    page.one("#detail .relations a[href='#law=spills']").click()
    page.until("document.getElementById('detail-title').textContent === 'Title of spills'")
    assert "2.5 slowdown (2.4 to 2.6, 95 %)" in page.text("#detail")
    assert "Wrong units." in Page(chromium, written(ROOT, paths={}, load_run={}.get), "#law=old-claim").text("#detail")


def test_everything_is_reachable_by_keyboard(page: Page):
    """Tab from the top: skip link, search, filters, map; / searches; arrows walk the list; Enter opens."""
    page.keys("\ue004")
    assert page.focused() == "skip"
    assert page.run("return document.activeElement.getBoundingClientRect().top >= 0")
    page.keys("\ue007")
    assert page.focused() == "results"
    page.keys("/")
    assert page.focused() == "search"
    order = []
    for _ in range(16):
        page.keys("\ue004")
        order.append(page.focused("value") or page.focused())
        assert page.run("return getComputedStyle(document.activeElement).outlineStyle") != "none", order
    assert order[:5] == ["invariant", "positive", "negative", "indifferent", "transformation"]
    page.keys("/", *"floor", "\ue015", "\ue015")
    assert page.focused("law") == page.laws()[1]
    page.keys("\ue013", "\ue007")
    assert page.address().startswith(f"#law={page.laws()[0]}")
    assert page.focused() == "detail-title"


def test_every_control_has_a_name_and_every_list_is_a_list(page: Page):
    """The accessibility tree: no unnamed button, link, field or region."""
    page.one(f"a.row[data-law='{LAW}']").click()
    page.browser.execute_cdp_cmd("Accessibility.enable", {})
    nodes = page.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {"button", "link", "searchbox", "combobox", "checkbox", "region", "table", "main", "complementary"}
    roles = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
    assert [role for role, name in roles if role in named - {"main"} and not name] == []
    assert {"searchbox", "table", "list", "listitem", "status", "main", "complementary", "search"} <= {
        r for r, _ in roles
    }


def test_hostile_laws_stay_text(chromium: Any, written: Any):
    """Markup, scripts and script addresses in every text of a law are shown, not run."""
    bad = "</script><img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    reference = msgspec.convert({"title": bad, "url": "javascript:document.title='taken'"}, type=_reference())
    law = msgspec.structs.replace(
        ROOT.laws["spills"], title=bad, references=(reference,), evidence=(msgspec.structs.replace(SUPPORT, note=bad),)
    )
    page = Page(chromium, written(ROOT.with_laws(law), paths={}, load_run={}.get), "#law=spills")
    assert page.text("#detail-title") == bad
    assert not page.browser.title.startswith("taken")
    assert page.all("img") == []
    assert page.all("a[href^='javascript']") == []


def _reference() -> Any:
    from spak.kg.model.base import Reference

    return Reference


def test_no_match_offers_a_way_back(page: Page):
    """Nothing found is said, with a button that clears."""
    page.one("#search").send_keys("zzzz")
    assert page.text("#results").startswith("No law matches.")
    page.one("#results button").click()
    assert page.laws()


def test_a_narrow_screen_shows_details_alone(page: Page):
    """On a phone details cover the page, what is below cannot be reached, nothing is wider than the screen."""
    page.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        assert page.run("return document.documentElement.scrollWidth") <= 390
        page.run("arguments[0].click()", page.one(f"a.row[data-law='{LAW}']"))
        assert page.run("return document.querySelector('.left').inert")
        assert page.run("return document.getElementById('detail').getBoundingClientRect().height") == 844
        page.one("#close").click()
        assert not page.run("return document.querySelector('.left').inert")
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_of_five_thousand_laws_a_hundred_are_drawn(chromium: Any, thousands: Path):
    """Which is what keeps it quick: at the start and after each key stroke, at once; the list grows when asked."""
    page = Page(chromium, thousands)
    assert len(page.laws()) == 100
    drawn = page.run("""
      const field = document.getElementById('search'), counts = [];
      for (const text of ['g', 'ge', 'title of generated 12', 'tile_m 64', 'no law says this', '']) {
        field.value = text; field.dispatchEvent(new Event('input'));
        counts.push(document.querySelectorAll('a.row[data-law]').length);
      }
      return counts""")
    assert max(drawn) == drawn[0] == drawn[-1] == 100
    assert drawn[4] == 0
    page.one("#more").click()
    assert len(page.laws()) == 200
    assert page.focused("law") == page.laws()[100]
    page.one("#search").send_keys("generated-004321")
    assert page.laws() == ["generated-004321"]
