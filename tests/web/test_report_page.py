"""A backtest's report in Chromium: it needs nothing but itself, and says what the JSON says."""

import json

import pytest
from backtest_cases import made_market, write_files
from commands import invoke
from live_market import Look, browsing

pytestmark = pytest.mark.chromium


def test_a_report_opens_without_a_network_and_draws_its_charts(tmp_path):
    out = tmp_path / "out"
    result = invoke("backtest", *write_files(made_market(), tmp_path), "--out", out)
    assert result.exit_code == 0, result.output
    asked = []
    with browsing() as browser:
        for scheme, width in (("dark", 1_400), ("light", 390)):
            page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
            look = Look(page)
            page.on("request", lambda request: asked.append(request.url))
            page.goto((out / "report.html").as_uri())
            look.until("document.querySelectorAll('.chart .main-svg').length >= 5")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            tools = page.evaluate("[...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title)")
            assert set(tools) == {"Download plot as a PNG", "Zoom", "Pan", "Reset axes"}
            page.locator(".updatemenu-header").first.click()
            page.locator(".updatemenu-dropdown-button").nth(1).click()
            look.until("document.querySelector('.updatemenu-header text').textContent.startsWith('2023-')")
            cells = look.texts("table:first-of-type tbody td:first-child")
            assert look.complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    report = json.loads((out / "report.json").read_text())["symbols"]["BTCUSDT"]
    assert cells[: len(report["runs"])] == list(report["runs"])
