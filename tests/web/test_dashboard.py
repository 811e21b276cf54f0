"""The dashboard in Chromium, on a live worker: what it shows, and that it never shows old for new."""

import re
import signal
import time
from urllib.parse import quote

import pytest
from live_market import HOSTILE, LiveMarket, Look, answer, browsing, done, hostile_ticks, liquidated
from workers import Worker, produce, read_all

from pipeline import contract

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def browser():
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def market(broker, valkey, browser):
    """A market that runs; `market.beginning` is what the page showed before there was any record."""
    live = LiveMarket(broker, valkey, 20, hostile_ticks(time.time()))
    try:
        done(live.worker.until_ready())
        look = Look(browser.new_page())
        look.page.goto(live.url)
        look.until_health("no feed")
        live.beginning = look.text("#detail-empty"), look.text("#list-empty")
        live.start()
        look.until("document.querySelectorAll('#rows tr').length === 8 && document.querySelector('#log li')")
        look.page.close()
        yield live
    finally:
        live.close()


@pytest.fixture(scope="module")
def open_page(market, browser):
    """One page for all, as somebody has it who looks the whole day."""
    with browser.new_context(viewport={"width": 1600, "height": 900}) as context:
        look = Look(context.new_page())
        look.page.goto(market.url)
        yield look


@pytest.fixture
def live(market, open_page):
    """The page of a running market, with its charts, as it is when it is opened."""
    market.run()
    page, open_page.complaints = open_page.page, []
    page.mouse.move(0, 0)
    page.evaluate("() => { location.hash = ''; document.activeElement.blur(); }")
    page.fill("#filter", "")
    open_page.until_health("live")
    page.wait_for_selector("#figure .xy")
    yield open_page
    assert open_page.complaints == []


def hash_of(look):
    return look.page.evaluate("location.hash")


def test_before_any_record_the_page_says_what_to_do(market):
    detail, symbols = market.beginning
    assert "Waiting for data" in detail
    assert "cascade topics check" in detail
    assert symbols == "No symbol yet."


def test_nothing_sticks_out_and_nothing_is_refused(live):
    for theme in ("dark", "light"):
        live.page.emulate_media(color_scheme=theme)
        for width in (390, 1024, 1600):
            live.page.set_viewport_size({"width": width, "height": 900})
            live.until(f"document.querySelector('#figure .main-svg').clientWidth < {width}")
            assert live.page.evaluate("document.documentElement.scrollWidth") <= width, (theme, width)


def test_figures_are_those_of_the_newest_signals_on_kafka(live, market):
    market.halt()
    newest = {each["symbol"]: each for each in done(read_all(market.settings, contract.SIGNALS))}
    expected = {
        (name, each["signal"], f"{each['probability']:.2f}", f"{each['metrics']['velocity']:,.1f}")
        for name, each in newest.items()
    }
    shown = """[...document.querySelectorAll('#rows tr')].map(({cells}) =>
        [cells[1].textContent, cells[0].ariaLabel, cells[2].textContent, cells[4].textContent])"""
    live.until(
        f"wanted => JSON.stringify({shown}.sort()) === JSON.stringify(wanted.sort())",
        [list(each) for each in expected],
    )
    found = answer(market.url, "api/symbols")
    assert live.texts("#rows .name") == [row["symbol"] for row in found["symbols"]]
    assert live.texts("#levels b") == [f"{count}" for count in reversed(found["by_level"].values())]
    detail = answer(market.url, f"api/symbols/{quote(live.text('#symbol-name'), safe='')}")
    assert live.text("#why") == detail["why"]
    assert live.texts("#windows tbody tr td:nth-child(2)") == [f"{w['count']:,}" for w in detail["windows"]]


def test_symbols_that_look_like_html_are_text(live, market):
    for symbol in HOSTILE:
        live.page.goto(f"{market.url}#{quote(symbol, safe='')}")
        live.until(f"document.getElementById('symbol-name').textContent === {symbol!r}")
        live.until("document.getElementById('why').textContent !== ''")
        live.page.wait_for_selector("#figure .xy")
    assert set(HOSTILE) <= set(live.texts("#rows .name"))
    assert set(HOSTILE) <= set(live.texts("#log li a"))
    assert "<i>v</i>" in live.texts("#rows .venue")
    made = live.page.locator(
        ":is(#rows, #log, #detail, #notice) :is(b > b, svg[onload], a[href*=EVIL]:not(#log a))"
    )
    assert made.count() == 0
    assert live.page.locator("#rows :is(b, a, i i, img)").count() == 0


@pytest.mark.parametrize(
    ("address", "words"),
    [("NOSUCH", "no record of it has come"), ("A%3AB", "no spaces, control characters, colons")],
)
def test_a_symbol_that_is_not_known_is_said_to_be(live, market, address, words):
    live.page.goto(f"{market.url}#{address}")
    live.until(f"document.getElementById('detail-empty').textContent.includes({words!r})")
    assert live.page.is_hidden("#detail")
    live.page.click("#rows tr")
    live.page.wait_for_selector("#detail:not([hidden])")
    assert live.text("#symbol-name") in live.texts("#rows .name")
    assert len(live.complaints) == len([each for each in live.complaints if "status of 40" in each]) > 0
    live.complaints = []


def test_the_list_obeys_the_keyboard(live):
    live.page.fill("#filter", "usdt")
    live.until("document.querySelectorAll('#rows tr').length === 5")
    live.page.press("#filter", "ArrowDown")
    for key in ("End", "ArrowUp", "ArrowDown", "Home", "ArrowDown"):
        live.page.keyboard.press(key)
    chosen = live.page.evaluate("document.querySelector('#rows .active .name').textContent")
    assert live.page.evaluate("document.activeElement.getAttribute('aria-activedescendant')") == (
        live.page.get_attribute("#rows .active", "id")
    )
    live.page.keyboard.press("Enter")
    live.until(f"document.getElementById('symbol-name').textContent === {chosen!r}")
    assert hash_of(live) == f"#{chosen}"
    live.page.reload()
    live.until(f"document.getElementById('symbol-name').textContent === {chosen!r}")


def test_of_hundreds_of_symbols_only_rows_in_view_are_on_the_page(live, market):
    start = time.time()
    done(produce(market.settings, [liquidated(f"S{number}", start) for number in range(300)]))
    live.until("document.getElementById('list-count').textContent === '308'")
    assert live.page.locator("#rows tr").count() < 60
    live.page.focus("#list")
    hold = "document.querySelector('#rows .active')"
    for key, row in (("End", 309), ("Home", 2), ("End", 309)):
        live.page.keyboard.press(key)
        live.until(f"{hold} && +{hold}.ariaRowIndex >= {row} - 20 && +{hold}.ariaRowIndex <= {row} + 20")
        assert live.page.locator("#rows .active").is_visible()
    live.page.evaluate("document.getElementById('list-scroll').scrollTop = 0")
    live.until("document.querySelector('#rows tr').ariaRowIndex === '2'")


def test_a_change_of_the_log_leads_to_its_moment_and_can_be_copied(live):
    live.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    live.page.hover("#log")
    live.until("document.getElementById('log-paused').textContent.startsWith('held')")
    symbol = live.text("#log li a")
    live.page.click("#log li:first-child button")
    live.page.click("#log li:first-child a")
    live.until(f"document.getElementById('symbol-name').textContent === {symbol!r}")
    copied = live.page.evaluate("navigator.clipboard.readText().then(JSON.parse)")
    assert copied["symbol"] == symbol
    assert hash_of(live) == f"#{quote(symbol, safe='!()*')}@{copied['timestamp']}"
    moment = copied["timestamp"] * 1_000
    live.until(f"document.getElementById('figure').layout.shapes.some(({{x0}}) => x0 === {moment})")
    begin, end = live.page.evaluate(
        "document.getElementById('figure').layout.xaxis.range.map(x => +new Date(x))"
    )
    assert begin < moment < end


def test_the_log_can_be_narrowed_to_high_levels(live):
    live.page.select_option("#log-level", "3")
    live.until(
        "![...document.querySelectorAll('#log li b')].some(b => /NONE|WATCH|ALERT/.test(b.textContent))"
    )
    live.page.select_option("#log-level", "0")
    live.until(
        "[...document.querySelectorAll('#log li b')].some(b => /NONE|WATCH|ALERT/.test(b.textContent))"
    )


def test_a_chosen_theme_is_kept(live):
    def page_colour():
        return live.page.evaluate("getComputedStyle(document.body).backgroundColor")

    before = page_colour()
    live.page.click("#theme")
    after = page_colour()
    live.page.reload()
    assert page_colour() == after != before


def test_what_is_under_the_cross_hair_is_told(live):
    box = live.page.locator("#figure .nsewdrag").first.bounding_box()
    live.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    live.page.mouse.move(box["x"] + box["width"] * 0.05, box["y"] + box["height"] * 0.5)
    live.until("document.querySelectorAll('#figure .spikeline').length > 0")
    live.until("""() => {
        const [begin, end] = document.getElementById('figure').layout.xaxis.range.map((x) => +new Date(x));
        const [time] = document.querySelector('#panes .soft').textContent.split(' ');
        const told = Date.parse(`${new Date(begin).toISOString().slice(0, 10)}T${time}Z`);
        return told < (begin + end) / 2;
    }""")


@pytest.mark.endurance
def test_symbols_of_a_worker_that_is_silent_are_said_to_be_missing(live, market):
    with Worker(market.settings) as other:
        done(other.until_ready())
        live.until("document.querySelectorAll('#workers tbody tr').length === 2")
        live.until_health("live")
        live.until("document.getElementById('notice').hidden")
        other.signal(signal.SIGSTOP)
        live.until("document.getElementById('notice-text').textContent.includes('Not shown: ')")
        assert live.text("#notice-text").startswith("Partial: partition")
        assert live.text("#health-word") == "catching up"
        other.kill()
        live.until_health("live")
        live.until("document.getElementById('notice').hidden")
    live.complaints = [each for each in live.complaints if not each.startswith("Failed to load resource")]


def test_a_worker_that_is_away_and_a_market_that_is_silent_are_never_called_live(live, market):
    market.halt()
    market.worker.stop()
    live.until_health("disconnected")
    live.until("/next try in \\d+ s/.test(document.getElementById('notice-text').textContent)")
    assert "Figures are of" in live.text("#notice-text")
    market.worker.start()
    live.until("document.body.dataset.health !== 'disconnected'")
    live.until_health("stale since")
    live.until("document.querySelectorAll('#rows tr').length > 8")
    newest = max(row["last_event"] for row in answer(market.url, "api/symbols")["symbols"])
    assert re.fullmatch(r"stale since \d\d:\d\d:\d\d", live.text("#health-word"))
    assert "is a producer down?" in live.text("#notice-text")
    assert newest < live.page.evaluate("Date.now()") / 1_000 - 14
    market.run()
    live.until_health("live")
    assert live.page.is_hidden("#notice")
    assert [each for each in live.complaints if not each.startswith("Failed to load resource")] == []
    live.complaints = []
