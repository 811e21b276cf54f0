"""The dashboard in Chromium, on a live worker: what it shows, and that it never shows old for new."""

import re
import signal
import time
from itertools import pairwise
from urllib.parse import quote

import pytest
from live_market import HOSTILE, LiveMarket, Look, answer, browsing, done, hostile_ticks, liquidated
from workers import Worker, produce, read_all

from pipeline import contract
from pipeline.cli.simulated.scenario import Tick
from pipeline.cli.simulated.simulation import Market
from pipeline.features.state import SHARED

pytestmark = pytest.mark.chromium
NOTHING = "\N{EN DASH}"


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


def test_a_row_has_all_that_belongs_to_it_also_on_a_laptop(live):
    cells = "document.querySelector('#rows tr').cells"
    for width in (1440, 1600):
        live.page.set_viewport_size({"width": width, "height": 900})
        live.until(f"[...{cells}].every(cell => cell.clientWidth > 36)")


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
    counts = "[...document.querySelectorAll('#windows tbody tr td:nth-child(2)')]"
    live.until(
        f"wanted => JSON.stringify([document.getElementById('why').textContent,"
        f" {counts}.map(({{textContent}}) => textContent)])"
        " === JSON.stringify(wanted)",
        [detail["why"], [f"{window['count']:,}" for window in detail["windows"]]],
    )


def episode_of(signals):
    """Return the newest episode as (symbol, seconds after the first, highest level), in order of rise."""
    levels, quiet, found = {}, float("-inf"), {}
    for each in sorted(signals, key=lambda each: (each["timestamp"], each["symbol"], each["sequence"])):
        symbol, level, moment = each["symbol"], each["signal_level"], each["timestamp"]
        if level and not any(levels.values()) and moment - quiet >= 60:
            found, began = {}, moment
        if level:
            after, highest = found.get(symbol, (moment - began, 0))
            found[symbol] = after, max(highest, level)
        before, levels[symbol] = levels.get(symbol, 0), level
        if before and not any(levels.values()):
            quiet = moment
    return [(symbol, *each) for symbol, each in found.items()]


def test_who_rose_first_and_who_followed_is_as_kafkas_signals_tell(live, market):
    live.until("document.querySelectorAll('#contagion a').length >= 5")
    market.halt()
    expected = episode_of(done(read_all(market.settings, contract.SIGNALS)))
    assert len(expected) >= 5
    first, (_, last, _) = expected[0][0], expected[-1]
    others = len(answer(market.url, "api/symbols")["symbols"]) - 1
    span = f"{last:.1f} s" if last < 60 else f"{int(last + 0.5) // 60} min {int(last + 0.5) % 60} s"
    sentence = f"{first} first; {len(expected) - 1} of {others} others followed within {span}."
    live.until(f"document.getElementById('contagion-words').textContent === {sentence!r}")
    assert live.texts("#contagion a") == [symbol for symbol, _, _ in expected]
    marks = ["·\xa0N", "○\xa0W", "△\xa0A", "▲\xa0C", "◆\xa0E"]
    levels = "[...document.querySelectorAll('#contagion b')].map((each) => each.textContent)"
    live.until(
        f"wanted => JSON.stringify({levels}).replaceAll(' ', '\xa0') === JSON.stringify(wanted)",
        [marks[level] for _, _, level in expected],
    )
    told = [text.removeprefix("+") for text in live.texts("#contagion .number")]
    for shown, (_, after, _) in zip(told, expected, strict=True):
        assert after >= 60 or float(shown.removesuffix(" s")) == pytest.approx(after, abs=0.051)


QUIET_A_MINUTE = [
    ("A", 0, 1),
    ("B", 2, 3),
    ("A", 9, 0),
    ("B", 10, 0),
    ("B", 70, 2),
    ("A", 75, 1),
    ("A", 76, 0),
]
EPISODES = {
    "none yet": ([], None),
    "one symbol only": ([("A", 5, 1), ("A", 6, 2)], ([["A", 0, 2]], 5, None, True)),
    "quiet for a minute": (QUIET_A_MINUTE, ([["B", 0, 2], ["A", 5, 1]], 70, None, True)),
    "quiet for less": (
        [("A", 0, 1), ("A", 9, 0), ("B", 68.9, 2), ("B", 80, 0)],
        ([["A", 0, 1], ["B", 68.9, 2]], 0, 80, True),
    ),
    "began before": ([("A", 9, 0), ("B", 20, 1)], ([["B", 0, 1]], 20, None, False)),
    "long ended before": ([("A", 9, 0), ("B", 70, 1)], ([["B", 0, 1]], 70, None, True)),
}


@pytest.mark.parametrize("name", EPISODES)
def test_an_episode_begins_with_the_first_rise_after_a_quiet_minute(live, name):
    changes, expected = EPISODES[name]
    told = [{"symbol": s, "timestamp": t, "signal_level": level} for s, t, level in reversed(changes)]
    found = live.page.evaluate(
        """async (changes) => (await import("/assets/contagion.js")).contagion(changes)""", told
    )
    if expected is None:
        assert found is None
        return
    symbols = [[each["symbol"], each["after"], each["highest"]] for each in found["symbols"]]
    assert (symbols, found["began"], found["ended"], found["whole"]) == expected
    spans = [pairwise(each["spans"]) for each in found["symbols"]]
    assert all(one["to"] <= other["from"] for each in spans for one, other in each)


def test_thousands_of_symbols_are_counted_as_in_the_list(live):
    words = """async () => {
        const { showContagion } = await import("/assets/timeline.js");
        showContagion([{ id: "1", symbol: "A", timestamp: 1, signal_level: 1 }], 10005, 2);
        return document.getElementById("contagion-words").textContent;
    }"""
    assert live.page.evaluate(words) == "A first; none of 10,004 others followed."


def test_velocities_of_longer_windows_are_drawn_as_kafka_told_them(live, market):
    symbol = Market().symbols[0]
    live.page.evaluate("symbol => { location.hash = symbol; }", symbol)
    live.until(f"document.getElementById('symbol-name').textContent === {symbol!r}")
    lines = {
        seconds: f"(document.getElementById('figure').data.find(({{name}}) =>"
        f" name === 'velocity in {seconds // 60} min')?.y ?? []).filter(value => value !== null)"
        for seconds in (60, 300)
    }
    for line in lines.values():
        live.until(f"new Set({line}).size > 1")
    market.halt()
    told = [each for each in done(read_all(market.settings, contract.VELOCITY)) if each["symbol"] == symbol]
    for seconds, line in lines.items():
        assert set(live.page.evaluate(line)) <= {each[f"velocity_{seconds}s"] for each in told}


def test_what_was_told_a_minute_ago_is_not_shown_as_if_it_were_of_now(live):
    """Other symbols go on meanwhile, so that all in all the page is live."""

    def silent(route):
        found = route.fetch().json()
        found["symbols"][0]["timestamp"] -= 61
        route.fulfill(json=found)

    def unknown(route):
        found = route.fetch().json()
        found["regime"] = None
        route.fulfill(json=found)

    def past(route):
        found = route.fetch().json()
        found["regime"]["timestamp"] -= 61
        route.fulfill(json=found)

    old = "[...document.querySelectorAll('#rows tr[data-old=true]')]"
    live.page.route("**/api/symbols", silent)
    live.until(f"{old}.length === 1 && Number(getComputedStyle({old}[0]).opacity) < 1")
    live.page.unroute("**/api/symbols")
    live.until(f"{old}.length === 0")

    live.page.route("**/api/stream*", lambda route: route.abort())
    live.page.reload()
    live.page.route("**/api/regime", past)
    live.until("document.getElementById('notice-text').textContent.includes('no price of BTCUSDT since')")
    live.until("Number(getComputedStyle(document.getElementById('facts')).opacity) < 1")
    assert re.fullmatch(r"at \d\d:\d\d:\d\d", live.text("#regime-held"))
    assert live.text("#health-word") == "live"
    live.page.unroute("**/api/regime")
    live.until("document.getElementById('notice').hidden")
    live.page.route("**/api/regime", unknown)
    live.until("document.getElementById('regime').textContent === 'unknown'")
    assert [live.text(f"#{name}") for name in ("regime-held", "liquidity", "trend")] == ["", NOTHING, NOTHING]
    live.page.unroute("**/api/regime")
    live.page.unroute("**/api/stream*")
    live.page.reload()
    live.complaints = [each for each in live.complaints if "Failed to load resource" not in each]


def test_prices_of_coins_that_cost_millionths_have_figures_and_room(live):
    found = live.page.evaluate(
        """async (prices) => prices.map((await import("/assets/format.js")).price)""",
        [0.00000712, 0.0000087004, 0.012345678, 0.5, 1, 123.456, 61_234.5],
    )
    expected = ["0.0000071200", "0.0000087004", "0.012346", "0.50000", "1.000", "123.46", "61,235"]
    assert found == expected

    def tiny(route):
        detail = route.fetch().json()
        detail["history"]["price"] = [value and value * 1e-10 for value in detail["history"]["price"]]
        route.fulfill(json=detail)

    ticks = "[...document.querySelectorAll('#figure .yaxislayer-above .ytick text')]"
    left = "document.getElementById('figure').getBoundingClientRect().left"
    details = re.compile("/api/symbols/")
    live.page.route(details, tiny)
    live.until("(document.getElementById('figure').data?.[0].y.findLast((value) => value) ?? 1) < 0.001")
    live.until(f"{ticks}.length && {ticks}.every((text) => text.getBoundingClientRect().left >= {left})")
    live.page.unroute(details)


@pytest.mark.parametrize(
    ("age", "kind", "word"),
    [
        (4.9, "live", "live"),
        (5.1, "quiet", "quiet"),
        (14.9, "quiet", "quiet"),
        (15.1, "stale", "stale since 01:00:00"),
        (-14.9, "live", "live"),
        (-15.1, "clocks differ", "clocks differ"),
    ],
)
def test_no_event_of_the_last_seconds_is_not_live(live, age, kind, word):
    shown = """async (age) => {
        const { judge } = await import("/assets/health.js");
        const { showHealth } = await import("/assets/topbar.js");
        const symbols = { symbols: [{ last_event: 3600 }], missing: [] };
        const health = judge(symbols, { workers: [] }, true, 3600 + age);
        showHealth(health, 3600 + age);
        return [health.kind, document.getElementById("health-word").textContent];
    }"""
    assert live.page.evaluate(shown, age) == [kind, word]


def test_events_ahead_of_the_workers_clock_are_said_to_be(live):
    """Their age would be of now for as long as the clocks differ, also once nothing comes any more."""

    def behind(route):
        found = route.fetch().json()
        found["time"] -= 3_600
        route.fulfill(json=found)

    live.page.route("**/api/symbols", behind)
    live.until_health("clocks differ")
    live.until("document.getElementById('notice-text').textContent.includes('ahead of the worker')")
    live.page.unroute("**/api/symbols")
    live.until("document.getElementById('notice').hidden")


def test_what_a_worker_says_of_itself_comes_before_guesses(live):
    problem = "it has asked Kafka for nothing for 61 s"

    def troubled(route):
        found = route.fetch().json()
        found["workers"][0]["problems"] = [problem]
        route.fulfill(json=found)

    live.page.route("**/api/fleet", troubled)
    live.until(f"document.getElementById('notice-text').textContent.includes({problem!r})")
    assert live.text("#notice-text").startswith("Not ready. http://127.0.0.1:")
    assert "producer" not in live.text("#notice-text")
    live.page.unroute("**/api/fleet")
    live.until("document.getElementById('notice').hidden")


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


def test_a_symbol_in_the_address_may_be_written_small(live):
    symbol = Market().symbols[-1]
    live.page.evaluate("(symbol) => { location.hash = symbol; }", symbol.lower())
    live.until(f"document.getElementById('symbol-name').textContent === {symbol!r}")
    assert live.texts("#rows tr[aria-selected=true] .name") == [symbol]


def test_a_symbol_beyond_the_hottest_is_opened_by_its_name(live):
    def hottest(route):
        found = route.fetch().json()
        found["symbols"] = [row for row in found["symbols"] if row["symbol"] != symbol]
        route.fulfill(json=found)

    symbol = Market().symbols[-1]
    live.page.route("**/api/symbols", hottest)
    live.until(
        f"![...document.querySelectorAll('#rows .name')].some((each) => each.textContent === {symbol!r})"
    )
    live.page.fill("#filter", symbol.lower())
    assert "None of the hottest 7" in live.text("#list-empty")
    live.page.press("#filter", "Enter")
    live.until(f"document.getElementById('symbol-name').textContent === {symbol!r}")
    live.page.unroute("**/api/symbols")


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


def test_changes_of_one_moment_are_ordered_as_the_worker_orders_them(live):
    symbols = ["<A", '"B', "BTCUSDT", "a", "S9", "S10", "Ä"]
    told = [
        {"id": each, "symbol": each, "timestamp": 1, "sequence": 1, "signal_level": 1} for each in symbols
    ]
    found = live.page.evaluate(
        """async (changes) => (await import("/assets/changes.js")).merged([], changes)""", told
    )
    assert [each["symbol"] for each in found] == sorted(symbols, reverse=True)


def test_a_level_that_is_told_again_is_no_change(live):
    levels = [("A", 4), ("B", 1), ("A", 4), ("A", 3), ("B", 0), ("A", 4), ("A", 4)]
    told = [
        {"id": f"{at}", "symbol": name, "timestamp": at, "sequence": at, "signal_level": level}
        for at, (name, level) in enumerate(levels)
    ]
    found = live.page.evaluate(
        """async ([late, early]) => {
            const { merged } = await import("/assets/changes.js");
            return merged(merged([], late), early);
        }""",
        [told[2:], told[:2]],
    )
    assert [each["id"] for each in found] == ["5", "4", "3", "1", "0"]


def test_the_log_names_what_was_strongest(live, market):
    market.halt()
    changes = answer(market.url, "api/signals?changes=true&limit=200")["signals"]
    weights = answer(market.url, "api/weights")["weights"]

    def reason(change):
        if change["meta"]["level_reason"] == "floor":
            return f"{change['probability']:.2f} floor {int(change['metrics']['velocity'] + 0.5)}/s"
        strongest = max(weights, key=lambda name: weights[name] * change["scores"][name])
        short = {"acceleration": "accel.", "oi_change": "OI", "volatility": "volat."}
        return f"{change['probability']:.2f} {short.get(strongest, strongest)}"

    expected = [reason(change) for change in changes]
    # A worker that was restarted knows less of the past than a page that stayed open.
    newest = f"document.querySelectorAll('#log li:nth-child(-n+{len(expected)}) .reason')"
    shown = f"JSON.stringify([...{newest}].map((each) => each.textContent))"
    try:
        live.until(f"wanted => {shown} === JSON.stringify(wanted)", expected)
    except AssertionError:
        assert live.texts("#log .reason")[: len(expected)] == expected
        raise


def test_the_log_can_be_narrowed_to_high_levels(live):
    live.page.select_option("#log-level", "3")
    live.until("""() => {
        const levels = [...document.querySelectorAll('#log li b')].map((b) => b.textContent);
        return levels.length > 0 && !levels.some((level) => /NONE|WATCH|ALERT/.test(level));
    }""")
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


def test_a_feed_that_collectors_tell_to_be_silent_is_shown_until_it_is_back(live, market):
    began = time.time() - 60
    gap = {"exchange": "<i>v</i>", "stream": "s", "from": began, "to": None, "reason": "cut <b>"}
    gap |= {"timestamp": began}
    done(produce(market.settings, [Tick(contract.FEED_STATUS, SHARED, gap, began)]))
    live.until("document.getElementById('feeds').textContent.startsWith('Silent feeds: <i>v</i> since ')")
    assert live.text("#feeds").endswith("(cut <b>)")
    assert answer(market.url, "api/feeds")["gaps"] == [gap]
    live.until("document.getElementById('symbol-since').textContent.endsWith('without all data of <i>v</i>')")
    back = gap | {"to": began + 30, "timestamp": began + 30}
    done(produce(market.settings, [Tick(contract.FEED_STATUS, SHARED, back, began + 30)]))
    live.until("document.getElementById('feeds').textContent === '1 gap of feeds in the last day'")


def test_however_many_feeds_are_silent_the_workers_are_seen(live):
    def silent(route):
        reason = "https://fapi.exchange.example/" + "v1/" * 60 + ": HTTP 451"
        gap = {"exchange": "binance", "from": time.time() - 60, "to": None, "reason": reason}
        route.fulfill(json={"gaps": [gap | {"stream": str(number)} for number in range(20)]})

    live.page.route("**/api/feeds", silent)
    live.until("document.getElementById('feeds').textContent.split('HTTP 451').length === 21")
    for width in (390, 1024, 1600):
        live.page.set_viewport_size({"width": width, "height": 900})
        seen = "document.querySelector('.strip .scroll').clientWidth"
        live.until(f"document.documentElement.scrollWidth <= {width} && {seen} > {width // 2}")
        strip = live.page.evaluate("document.querySelector('.strip').getBoundingClientRect().height")
        assert width < 820 or strip < 150
    live.page.unroute("**/api/feeds")


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
    faded = "Number(getComputedStyle(document.getElementById('contagion')).opacity) < 1"
    market.halt()
    market.worker.stop()
    live.until_health("disconnected")
    live.until(faded)
    live.until("/next try in \\d+ s/.test(document.getElementById('notice-text').textContent)")
    assert "Figures are of" in live.text("#notice-text")
    market.worker.start()
    live.until("document.body.dataset.health !== 'disconnected'")
    live.until_health("stale since")
    live.until(faded)
    live.until("document.querySelectorAll('#rows tr').length >= 8")
    newest = max(row["last_event"] for row in answer(market.url, "api/symbols")["symbols"])
    assert re.fullmatch(r"stale since \d\d:\d\d:\d\d", live.text("#health-word"))
    assert "is a producer down?" in live.text("#notice-text")
    assert newest < live.page.evaluate("Date.now()") / 1_000 - 14
    market.run()
    live.until_health("live")
    assert live.page.is_hidden("#notice")
    assert [each for each in live.complaints if not each.startswith("Failed to load resource")] == []
    live.complaints = []
