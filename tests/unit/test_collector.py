"""A collector against exchanges on this machine: what it subscribes to, what it survives, what it tells."""

import asyncio
import gzip
import io
import json
import socket
import time
from contextlib import asynccontextmanager
from decimal import Decimal
from types import SimpleNamespace

import aiohttp
import msgspec
import pytest
from aiokafka.errors import KafkaTimeoutError
from exchanges import Exchange
from rich.console import Console
from structlog.testing import capture_logs
from venue_frames import CASES, T_MS
from waiting import until

from pipeline import codec, contract
from pipeline.cli.collect import live
from pipeline.cli.collect.show import table_of
from pipeline.collect import asking, bundles, conversation, link, recording
from pipeline.collect import collector as collector_module
from pipeline.collect import outbox as outbox_module
from pipeline.collect import quiet as quiet_module
from pipeline.collect import reading as reading_module
from pipeline.collect.account import Account
from pipeline.collect.bundles import References
from pipeline.collect.clock import Clock
from pipeline.collect.collector import Collector
from pipeline.collect.names import USUAL
from pipeline.collect.observed import Figures, create_web
from pipeline.collect.outbox import Outbox
from pipeline.collect.quiet import LONGEST, Quiet
from pipeline.collect.ranking import MostTraded, named
from pipeline.collect.reading import Listing, Reading, VenueError
from pipeline.collect.recording import Line, Recorder, recorded, recordings
from pipeline.collect.replay import Replay
from pipeline.collect.sides import SideCheck
from pipeline.collect.silence import Silence
from pipeline.collect.venue import LARGEST, NOTED, Connection, Heartbeat, Limits
from pipeline.collect.venues import VENUES
from pipeline.messages import FeedStatus, Liquidation, Price
from pipeline.signals.feeds import Feeds

BOOK = {"e": "bookTicker", "s": "BTCUSDT", "b": "59990", "a": "60010", "T": T_MS}


def fresh(frame, ahead_s=0):
    """Return a frame as if it happened now, or will."""
    return json.loads(json.dumps(frame).replace(str(T_MS), str(round((time.time() + ahead_s) * 1_000))))


class Kept:
    """An outbox that keeps what it is given."""

    def __init__(self):
        self.begun = self.beats = 0
        self.back = []
        self.messages, self.gaps, self.waiting, self.dropped, self.sent = [], [], 0, 0, 0

    def put(self, topic, message):
        self.messages.append((topic, message))

    def tell(self, status):
        assert status.since <= status.told <= time.time()
        if status.stream == contract.FEED_COLLECTOR:
            self.beats += 1
        elif status.since == status.until:
            self.begun += 1
            self.back.append(status)
        else:
            self.gaps.append(status)

    def of(self, topic):
        return [message for found, message in self.messages if found == topic]


def collector_of(exchange, session, outbox=None, *, reading=None, **options):
    outbox = outbox or Kept()
    reading = Reading(VENUES[exchange.name], outbox, **(reading or {}))
    return Collector(reading, session, outbox, endpoints=exchange.endpoints, **options)


@pytest.fixture
def exchange_of(monkeypatch):
    """Run an exchange in a venue's place, and a collector on it."""

    @asynccontextmanager
    async def run(
        name,
        *,
        heartbeat=None,
        limits=None,
        symbols=("BTCUSDT", "BTCUSDC"),
        **options,
    ):
        exchange, outbox = Exchange(name), Kept()
        wanted, before = options.pop("wanted", None), options.pop("before", ())
        async with exchange.running(), aiohttp.ClientSession() as session:
            if heartbeat is not None:
                monkeypatch.setattr(VENUES[name], "HEARTBEAT", heartbeat)
            monkeypatch.setattr(collector_module, "_APART", 0.01)
            monkeypatch.setattr(VENUES[name], "LIMITS", limits or Limits(frames_per_second=1_000, poll=0.05))
            options["longest_wait"] = 0.05
            collector = collector_of(exchange, session, outbox, **options)
            await collector.list_instruments(symbols)
            for told in before:
                collector.hear(told)
            collecting = asyncio.create_task(collector.run(wanted and wanted(exchange)))
            await until(lambda: exchange.connections >= collector.account.connections > 0, "not connected")
            await until(lambda: len(exchange.sockets) >= collector.account.connections, "not connected")
            try:
                yield exchange, collector, outbox
            finally:
                collecting.cancel()
                await asyncio.wait({collecting})
                assert collecting.cancelled(), collecting.exception()

    return run


@pytest.mark.parametrize("name", sorted(CASES))
async def test_a_liquidation_of_each_venue_becomes_a_message(exchange_of, name):
    async with exchange_of(name) as (exchange, collector, outbox):
        await exchange.send(fresh(CASES[name].long))
        await until(lambda: outbox.of(contract.LIQUIDATIONS), "no liquidation came")
        (found, *_) = outbox.of(contract.LIQUIDATIONS)
        assert (found.symbol, found.side, found.exchange) == (CASES[name].symbol, "long", name)
        assert collector.account.rejected == 0
        for frame in exchange.heard:
            assert frame == "ping" or isinstance(json.loads(frame), dict)


def price_of(symbol, price, seconds=0):
    return Price(symbol=symbol, exchange="other", price=price, timestamp=T_MS / 1_000 + seconds)


async def test_a_bundle_whose_price_is_not_that_of_the_coin_is_refused_and_counted(exchange_of, monkeypatch):
    references, said = References(), []
    monkeypatch.setattr(bundles, "log", SimpleNamespace(error=lambda *_, **told: said.append(told)))
    options = {"symbols": {"PEPEUSDT"}, "reading": {"references": references}}
    async with exchange_of("binance", **options) as (exchange, collector, outbox):
        dropped = collector.account.dropped

        async def tell(second):
            at = {"s": "1000PEPEUSDT", "b": "0.01", "a": "0.01", "T": T_MS + 1_000 * second}
            await exchange.send(BOOK | at, CASES["binance"].long)
            await until(lambda: dropped["not asked for"] == 2 * (second + 1), "not all came")

        await tell(0)  # nobody to compare with
        assert [price.price for price in outbox.of(contract.PRICES)] == [pytest.approx(1e-5)] * 2
        references.add(price_of("PEPEUSDT", 1.2e-5))
        await tell(1)
        references.add(price_of("PEPEUSDT", 1e-5, -900))
        await tell(2)  # too old to compare with: what was found before holds
        assert len(outbox.of(contract.PRICES)) == 2
        assert dropped["price of a bundle is off"] > 0
        references.add(price_of("PEPEUSDT", 1.05e-5))
        await tell(3)
        assert len(outbox.of(contract.PRICES)) == 4
    assert [(told["symbol"], told["of"]) for told in said] == [("PEPEUSDT", "other")]


async def test_prices_of_single_coins_are_references(exchange_of):
    references = References()
    async with exchange_of("binance", reading={"references": references}) as (exchange, _, outbox):
        await exchange.send(BOOK)
        await until(lambda: outbox.of(contract.PRICES), "no price came")
    assert references.of(price_of("BTCUSDT", 1)).price == 60_000


async def test_instruments_that_are_not_asked_for_are_not_collected(exchange_of):
    async with exchange_of("binance", symbols=["PEPEUSDT"]) as (exchange, collector, outbox):
        await exchange.send(CASES["binance"].long)
        await until(lambda: collector.account.dropped, "nothing was left out")
        assert collector.account.dropped["not asked for"] > 0
        assert outbox.messages == []
        assert any("1000pepeusdt@aggTrade" in path for path in exchange.paths)


async def test_what_is_dated_far_ahead_is_left_out(exchange_of):
    """It would move clocks that never go back."""
    async with exchange_of("binance") as (exchange, collector, outbox):
        case = CASES["binance"]
        await exchange.send(fresh(case.long, ahead_s=12), fresh(case.short, ahead_s=6))
        await until(lambda: outbox.of(contract.LIQUIDATIONS), "nothing came")
        assert {message.side for message in outbox.of(contract.LIQUIDATIONS)} == {"short"}
        assert collector.account.dropped["far ahead of this machine's clock"] > 0
        assert collector.account.last < time.time() + 6


async def test_open_interest_is_asked_for_where_it_is_not_pushed(exchange_of):
    async with exchange_of("binance") as (_, _, outbox):
        await until(lambda: outbox.of(contract.OPEN_INTEREST), "no open interest came")
        assert outbox.of(contract.OPEN_INTEREST)[0].open_interest_usd == 600_000


async def test_what_is_traded_is_told_with_the_price_though_quotes_come_by_another_connection(exchange_of):
    trade = {"e": "aggTrade", "s": "BTCUSDT", "p": "60000", "q": "2", "T": T_MS}
    async with exchange_of("binance") as (exchange, collector, outbox):
        await exchange.send(fresh(trade), fresh(trade), asked="/market/")
        await until(lambda: collector.account.frames == 2, "no trade came")
        await exchange.send(fresh(BOOK), fresh(BOOK, ahead_s=1), asked="/public/")
        await until(lambda: len(outbox.of(contract.PRICES)) == 2, "no price came")
        assert [price.volume_usd for price in outbox.of(contract.PRICES)] == [240_000, 0]


async def test_only_wanted_topics_are_published(exchange_of):
    async with exchange_of("binance", reading={"topics": [contract.PRICES]}) as (exchange, _, outbox):
        await exchange.send(CASES["binance"].long, BOOK)
        await until(lambda: outbox.of(contract.PRICES), "no price came")
        assert {topic for topic, _ in outbox.messages} == {contract.PRICES}


async def test_a_cut_connection_is_made_again_and_its_gap_is_told(exchange_of):
    async with exchange_of("bybit") as (exchange, collector, outbox):
        await exchange.send(CASES["bybit"].long)
        await until(lambda: collector.connected and len(exchange.heard) == 1, "no data, or not subscribed")
        before, subscribed = exchange.connections, list(exchange.heard)
        await exchange.cut()
        await until(lambda: exchange.connections > before and exchange.sockets, "not connected again")
        await until(lambda: exchange.heard == 2 * subscribed, "not subscribed again")
        assert not collector.connected
        await exchange.send(CASES["bybit"].short)
        await until(lambda: collector.connected and len(outbox.gaps) == 2, "the gap is not told")
        begun, ended = outbox.gaps
        assert (begun.exchange, begun.until) == ("bybit", None)
        assert ended.since == begun.since <= ended.until <= ended.timestamp
        assert begun.reason
        assert (collector.account.gaps, collector.account.reconnects) == (1, 1)


async def test_an_instrument_that_a_venue_refuses_is_missing_alone_and_seen_until_it_is_taken(exchange_of):
    async with exchange_of("bybit", symbols=["BTCUSDT", "SHIBUSDT"]) as (exchange, collector, outbox):

        def seen():
            (refused,) = [each for each in Figures([collector], outbox).collect() if "refused" in each.name]
            return [(sample.labels["venue"], sample.value) for sample in refused.samples]

        async def begin_again(unlisted):
            exchange.unlisted = unlisted
            exchange.heard.clear()
            await exchange.cut()
            await until(lambda: len(exchange.heard) == 2, "not everything was asked for")

        exchange.refusal = {"success": False, "ret_msg": "error:handler not found", "op": "subscribe"}
        assert seen() == [("bybit", 0)]
        await begin_again("SHIB1000USDT")
        await until(lambda: seen() == [("bybit", 1)], "the refusals are not seen")
        assert sum("BTCUSDT" in frame and "SHIB1000USDT" not in frame for frame in exchange.heard) == 1
        await begin_again("")
        await until(lambda: seen() == [("bybit", 0)], "refusals of before are seen")


async def test_symbols_of_which_nothing_comes_are_counted_while_others_bring_data(exchange_of, monkeypatch):
    monkeypatch.setattr(quiet_module, "LONGEST", 0.3)

    async def quote(exchange):
        while True:
            await exchange.send(fresh(BOOK))
            await asyncio.sleep(0.02)

    options = {"symbols": ["BTCUSDT", "PEPEUSDT"], "reading": {"price_every": 0}}
    async with exchange_of("binance", **options) as (exchange, collector, outbox):

        def seen():
            (quiet,) = [each for each in Figures([collector], outbox).collect() if "quiet" in each.name]
            return {sample.labels["topic"]: sample.value for sample in quiet.samples}

        # Its polls tell of BTCUSDT alone.
        await until(lambda: seen() == {"prices": 2, "open-interest": 1}, "not polled, or not quiet")
        async with asyncio.TaskGroup() as group:
            quoting = group.create_task(quote(exchange))
            await until(lambda: seen()["prices"] == 1, "a price is not heard")
            quoting.cancel()
        exchange.status = 429
        await until(lambda: seen() == {"prices": 2, "open-interest": 2}, "polls that fail are not seen")
        exchange.status = 200
        await until(lambda: seen() == {"prices": 2, "open-interest": 1}, "polls are not heard again")


def test_a_symbol_is_quiet_after_six_minutes_and_only_while_it_is_listed():
    quiet = Quiet(contract.FEEDS)
    quiet.relist({"BTCUSDT", "ETHUSDT"}, 1_000.0)
    quiet.hear(contract.PRICES, "BTCUSDT", 1_200.0)
    quiet.hear(contract.LIQUIDATIONS, "ETHUSDT", 1_200.0)
    assert quiet.count(1_000.0 + LONGEST) == {"prices": 0, "open-interest": 0}
    assert quiet.count(1_001.0 + LONGEST) == {"prices": 1, "open-interest": 2}
    quiet.relist({"BTCUSDT", "SOLUSDT"}, 1_300.0)
    quiet.hear(contract.PRICES, "ETHUSDT", 1_300.0)
    assert quiet.count(1_201.0 + LONGEST) == {"prices": 1, "open-interest": 1}
    assert quiet.count(1_301.0 + LONGEST) == {"prices": 2, "open-interest": 2}


def test_only_what_is_published_is_missed():
    quiet = Quiet([contract.LIQUIDATIONS, contract.PRICES])
    quiet.relist({"BTCUSDT"}, 0.0)
    assert quiet.count(LONGEST + 1) == {"prices": 1}


async def test_a_collector_that_is_stopped_tells_that_its_feeds_are_silent_from_now_on(exchange_of):
    async with exchange_of("bybit") as (exchange, collector, outbox):
        await exchange.send(CASES["bybit"].long)
        await until(lambda: collector.connected, "no data")
        assert outbox.gaps == []
        stopped = time.time()
    (told,) = outbox.gaps
    assert (told.stream, told.until, told.reason) == (VENUES["bybit"].WS, None, "collector stopped")
    assert stopped <= told.since <= time.time()
    assert collector.account.gaps == 0
    assert outbox.beats == 1


def status(since, until=None, stream=VENUES["bybit"].WS, reason="cut"):
    return FeedStatus("bybit", stream, since, until, reason)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ([status(1e9, reason="collector stopped")], ["collector stopped"]),
        ([status(1e9, 1e9, contract.FEED_COLLECTOR)], ["no collector ran", "no collector ran"]),
        ([status(4e9, 4e9, contract.FEED_COLLECTOR), status(5e8, 6e8)], []),  # one still runs
    ],
)
async def test_a_gap_that_began_before_a_collector_ran_ends_with_its_first_data(exchange_of, before, told):
    async with exchange_of("bybit", before=[status(8e8, 9e8), *before]) as (exchange, collector, outbox):
        await exchange.send(CASES["bybit"].long)
        await until(lambda: collector.connected, "no data")
        assert [each.reason for each in outbox.gaps] == told
        assert outbox.begun == (not told)
        assert all(each.since == 1e9 for each in outbox.gaps)
        assert not told or 1e9 < outbox.gaps[-1].until <= time.time()
        assert collector.account.reconnects == 0


def test_a_gap_ends_though_the_clock_was_put_back_meanwhile():
    told, since = [], time.time()
    silence = Silence("okx", Account(), SimpleNamespace(tell=told.append))
    silence.tell("a", link.Gap(since, None, "cut"))
    silence.tell("a", link.Gap(since, since - 2, "cut"))
    feeds = Feeds(300_000_000)
    for each in told:
        feeds.take(each)
    assert feeds.gaps == []


async def test_a_gap_of_a_connection_that_is_no_more_is_told_to_be_over(exchange_of):
    gone = f"{VENUES['bybit'].WS} (2)"
    async with exchange_of("bybit", before=[status(1e9, None, gone)]) as (_, _, outbox):
        await until(lambda: outbox.gaps, "not told")
        assert [(each.stream, each.since) for each in outbox.gaps] == [(gone, 1e9)]
        assert outbox.gaps[0].until <= time.time()


async def test_a_venue_that_does_not_answer_is_said_not_to(monkeypatch):
    monkeypatch.setattr(asking, "_ANSWER", aiohttp.ClientTimeout(total=0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _, port = silent.getsockname()
        endpoints = {VENUES["bybit"].REST: f"http://127.0.0.1:{port}"}
        async with aiohttp.ClientSession() as session:
            collector = Collector(Reading(VENUES["bybit"], Kept()), session, Kept(), endpoints=endpoints)
            with pytest.raises(VenueError, match="TimeoutError"):
                await collector.list_instruments({"BTCUSDT"})


async def test_a_venue_that_does_not_list_its_instruments_is_silent_until_it_does(monkeypatch):
    monkeypatch.setattr(live, "_AGAIN", 0.05)
    exchange, outbox = Exchange("bybit"), Kept()
    exchange.status = 451
    async with exchange.running(), aiohttp.ClientSession() as session:
        collector = collector_of(exchange, session, outbox)
        sending = asyncio.create_task(asyncio.sleep(60))
        collecting = asyncio.create_task(live.collect_all([collector], named(["BTCUSDT"]), sending))
        await until(lambda: outbox.gaps, "not told")
        exchange.status = 200
        await until(lambda: len(outbox.gaps) > 1, "not told to be over")
        collecting.cancel()
        await asyncio.wait({collecting})
    begun, ended = outbox.gaps
    assert "HTTP 451" in begun.reason
    assert (begun.stream, begun.until) == ("instruments", None)
    assert (ended.stream, ended.since) == ("instruments", begun.since)
    assert ended.until > begun.since
    assert collector.account.reconnects == 0


async def test_a_collector_that_has_instruments_says_so_where_another_has_none(exchange_of):
    async with exchange_of("bybit") as (exchange, collector, outbox):
        await exchange.send(CASES["bybit"].long)
        await until(lambda: outbox.begun == 1, "no data")
        collector.hear(status(1e9, stream="instruments"))
        assert (outbox.back[-1].stream, outbox.back[-1].until) == ("instruments", 1e9)


async def test_a_feed_that_another_collector_hears_has_no_gap(exchange_of):
    async with exchange_of("bybit") as (exchange, collector, outbox):
        await exchange.send(CASES["bybit"].long)
        await until(lambda: outbox.begun == 1, "no data")
        collector.hear(status(time.time()))
        assert outbox.begun == 2  # this one hears it
        exchange.full, exchange.status = True, 503
        await exchange.cut()
        await until(lambda: outbox.gaps, "the gap is not told")
        (own,) = outbox.gaps
        collector.hear(own)  # its own words
        collector.hear(status(time.time(), None))
        collector.hear(status(1e9, own.since - 1))  # said before the gap
        assert outbox.begun == 2
        collector.hear(status(own.since, own.since))  # another one has heard it all the time
        exchange.full = False
        await until(lambda: exchange.sockets, "not connected again")
        await exchange.send(CASES["bybit"].long)
        await until(lambda: outbox.begun == 3, "not told to be back")
        assert [each.until for each in outbox.gaps] == [None]


async def test_who_hears_a_feed_says_since_when_and_knows_its_own_words(exchange_of):
    async with exchange_of("bybit") as (exchange, collector, outbox):
        before = time.time()
        await exchange.send(CASES["bybit"].long)
        await until(lambda: outbox.begun == 1, "no data")
        after = time.time()
        collector.hear(status(1e9))
        collector.hear(status(after))
        (_, late, none) = (each.until for each in outbox.back)
        assert before <= late <= after  # silent until this one had data
        assert none == after  # it heard what the other one missed
        await exchange.cut()
        await until(lambda: outbox.gaps, "the gap is not told")
        since = outbox.gaps[0].since
        own = outbox.back[0]
        assert not collector._silence.hear(own)
        assert collector._links[own.stream]._gap.since == since


@pytest.mark.parametrize(
    "frame",
    [
        {"success": True, "op": "subscribe", "ret_msg": ""},
        {"topic": "allLiquidation.BTCUSDT", "data": [{}]},
    ],
    ids=["acknowledged", "unreadable"],
)
async def test_frames_without_data_are_silence(exchange_of, frame):
    """Old addresses connect, acknowledge, and send nothing."""
    heartbeat = Heartbeat(every=0.05, text='{"op":"ping"}', silence=30.0)
    options = {"heartbeat": heartbeat, "data_silence": 0.3}
    async with exchange_of("bybit", **options) as (exchange, collector, outbox):

        async def send():
            while True:
                await exchange.send(frame)
                await asyncio.sleep(0.05)

        sending = asyncio.create_task(send())
        await until(lambda: outbox.gaps, "the silence was not noticed")
        sending.cancel()
        assert outbox.gaps[0].reason == "frames, but no data for 0 s"
        assert not collector.connected


async def test_a_half_open_connection_is_noticed(exchange_of):
    heartbeat = Heartbeat(every=30.0, text="ping", silence=0.2)
    async with exchange_of("okx", heartbeat=heartbeat) as (_, collector, outbox):
        await until(lambda: outbox.gaps, "the silence was not noticed")
        assert outbox.gaps[0].reason == "no frame for 0 s"
        assert collector.account.gaps == 1  # however often it is tried: it lasts


async def test_a_connection_is_replaced_before_it_is_cut_and_nothing_is_missed(exchange_of):
    limits = Limits(frames_per_second=1_000, lifetime=0.4)
    async with exchange_of("binance", limits=limits) as (exchange, collector, outbox):
        exchange.greeting = lambda: [BOOK]
        await exchange.send(BOOK)
        first = exchange.connections
        await until(lambda: exchange.connections >= first + 4, "never replaced")
        assert outbox.gaps == []
        assert collector.account.gaps == 0


async def test_a_venue_that_says_that_it_closes_is_left_first(exchange_of):
    async with exchange_of("okx") as (exchange, _, outbox):
        await exchange.send(fresh(CASES["okx"].long))
        exchange.greeting = lambda: [fresh(CASES["okx"].short)]
        first = exchange.connections
        await exchange.send({"event": "notice", "code": "64008", "msg": "closing soon"})
        await until(lambda: exchange.connections > first, "not left")
        assert outbox.gaps == []


@pytest.mark.parametrize("quiet", [True, False])
async def test_a_connection_is_not_there_before_all_is_asked_for(exchange_of, quiet):
    """Else a gap would be over, or the connection before it closed, while feeds are still missing."""
    async with exchange_of("gate", limits=Limits(frames_per_second=10)) as (exchange, collector, outbox):
        await exchange.send(fresh(CASES["gate"].long))
        while not collector.connected:
            if not quiet:
                await exchange.send(fresh(CASES["gate"].short))
            await asyncio.sleep(0.01)
        assert len(exchange.heard) == 4
        assert outbox.begun == 1


async def test_a_connection_stays_while_nothing_can_take_its_place(exchange_of):
    async with exchange_of("okx") as (exchange, collector, outbox):
        await exchange.send(fresh(CASES["okx"].long))
        await until(lambda: collector.connected, "no data")
        first, exchange.full, exchange.status = exchange.connections, True, 503
        await exchange.send({"event": "notice", "code": "64008", "msg": "closing soon"})
        await until(lambda: len(exchange.refused) > 2, "not tried again")
        await exchange.send(fresh(CASES["okx"].short))
        await until(lambda: len(outbox.of(contract.LIQUIDATIONS)) == 2, "the old connection was given up")
        assert collector.connected
        exchange.greeting, exchange.full = lambda: [fresh(CASES["okx"].short)], False
        await until(lambda: exchange.connections == first + 1, "never replaced")
        await until(lambda: len(exchange.sockets) == 1, "the old connection was not closed")
        assert outbox.gaps == []


@pytest.mark.parametrize("quiet", [True, False])
async def test_a_connection_that_is_taken_takes_the_place_of_one_that_is_as_quiet(
    exchange_of, monkeypatch, quiet
):
    monkeypatch.setattr(link, "OVERLAP", 0.1)
    async with exchange_of("okx") as (exchange, _, outbox):
        old = exchange.sockets[0]
        await exchange.send(fresh(CASES["okx"].long))
        exchange.greeting = lambda: [{"event": "subscribe", "arg": {}}]
        await exchange.send({"event": "notice", "code": "64008", "msg": "closing soon"})
        while exchange.connections < (2 if quiet else 5):
            if not quiet:
                await exchange._write(old, fresh(CASES["okx"].short))
            await asyncio.sleep(0.01)
        assert quiet or old in exchange.sockets
        await until(lambda: not quiet or old not in exchange.sockets, "the old connection stayed")
        assert outbox.gaps == []


async def test_a_connection_that_is_cut_while_it_is_replaced_leaves_a_gap(exchange_of):
    async with exchange_of("okx") as (exchange, collector, outbox):
        await exchange.send(fresh(CASES["okx"].long))
        await until(lambda: collector.connected, "no data")
        first, exchange.silent = exchange.connections, True
        await exchange.send({"event": "notice", "code": "64008", "msg": "closing soon"})
        await until(lambda: exchange.connections > first, "not left")
        await exchange.cut()
        await until(lambda: outbox.gaps, "the gap is not told")
        assert not collector.connected


async def test_who_stops_while_a_connection_is_replaced_leaves_no_connection(exchange_of):
    async with exchange_of("okx") as (exchange, _, _):
        first, exchange.silent = exchange.connections, True
        await exchange.send({"event": "notice", "code": "64008", "msg": "closing soon"})
        await until(lambda: exchange.connections > first, "not left")
        before = {task for task in asyncio.all_tasks() if "Conversation._hold" in repr(task)}
        assert len(before) == 2
    assert all(task.done() for task in before)


async def test_connections_of_a_venue_do_not_begin_all_at_once(monkeypatch):
    monkeypatch.setattr(collector_module, "_APART", 3_600)
    monkeypatch.setattr(VENUES["binance"], "LIMITS", Limits(poll=0.05))
    exchange = Exchange("binance")
    async with exchange.running(), aiohttp.ClientSession() as session:
        collector = collector_of(exchange, session)
        await collector.list_instruments({"BTCUSDT"})
        collecting = asyncio.create_task(collector.run())
        await until(lambda: exchange.connections and exchange.requests > 20, "not collected")
        assert (exchange.connections, collector.account.connections) == (1, 2)
        collecting.cancel()
        await asyncio.wait({collecting})


async def test_a_venue_that_wants_no_more_connections_is_left_alone(exchange_of):
    async with exchange_of("bybit") as (exchange, _, _):
        exchange.full, exchange.status, exchange.wait = True, 429, {"Retry-After": "0.7"}
        await exchange.cut()
        await until(lambda: len(exchange.refused) > 1, "not tried again")
        first, second, *_ = exchange.refused
        assert second - first >= 0.7  # else it is 0.05 s at most


async def test_a_server_that_does_not_shake_hands_is_left(monkeypatch):
    monkeypatch.setattr(conversation, "_CONNECT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        async with aiohttp.ClientSession() as session:
            to = Connection(url=f"ws://{host}:{port}")
            held = conversation.Conversation(session, VENUES["okx"], to, lambda _: (), data_silence=60.0)
            with pytest.raises(conversation.SilenceError, match="no connection"):
                await held.task


@pytest.mark.parametrize("protocol", [True, False])
async def test_pings_of_the_protocol_are_sent_only_to_venues_that_answer_them(
    exchange_of, monkeypatch, protocol
):
    monkeypatch.setattr(conversation, "_PROTOCOL_PING", 0.05)
    heartbeat = Heartbeat(every=0.05, text="ping", protocol=protocol)
    async with exchange_of("okx", heartbeat=heartbeat) as (exchange, _, _):
        await until(lambda: exchange.heard.count("ping") > 5, "no ping")
        assert (exchange.pings > 0) == protocol


async def test_what_gate_is_sent_has_the_time_and_a_header_that_keeps_parts_of_contracts(exchange_of):
    heartbeat = msgspec.structs.replace(VENUES["gate"].HEARTBEAT, every=0.05)
    async with exchange_of("gate", heartbeat=heartbeat) as (exchange, _, _):
        await until(lambda: any("ping" in text for text in exchange.heard), "no ping")
        sent = [json.loads(text) for text in exchange.heard]
        assert {each["channel"] for each in sent} > {"futures.ping", "futures.public_liquidates"}
        assert all(time.time() - 60 < each["time"] <= time.time() for each in sent)
        assert exchange.headers["X-Gate-Size-Decimal"] == "1"


async def test_venues_are_answered_and_pinged_as_they_want_it(exchange_of):
    async with exchange_of("htx") as (exchange, _, _):
        await exchange.send({"op": "ping", "ts": "1789676447110"})
        await until(lambda: '{"op":"pong","ts":"1789676447110"}' in exchange.heard, "no pong")
    heartbeat = Heartbeat(every=0.05, text="ping", silence=5.0)
    async with exchange_of("okx", heartbeat=heartbeat) as (exchange, collector, _):
        await until(lambda: exchange.heard.count("ping") > 2, "no ping")
        assert collector.account.rejected == 0  # `pong` is no JSON


@pytest.mark.parametrize(
    "frame",
    ["no json", "[]", '{"topic":"allLiquidation.BTCUSDT","data":[{}]}', '{"topic":"x.BTCUSDT"}'],
)
async def test_a_frame_that_is_not_as_documented_is_counted_and_the_others_go_on(exchange_of, frame):
    async with exchange_of("bybit") as (exchange, collector, outbox):
        await exchange.send(frame, CASES["bybit"].long)
        await until(lambda: outbox.of(contract.LIQUIDATIONS), "no liquidation came")
        assert collector.account.rejected == collector.account.connections


@pytest.mark.parametrize(
    "frame", [gzip.compress(b"{}" * 99)[:12] + b"x" * 99, b"x", b""], ids=["spoilt", "not gzip", "empty"]
)
async def test_a_frame_of_bytes_that_is_broken_is_counted_and_the_others_go_on(exchange_of, frame):
    async with exchange_of("htx") as (exchange, collector, outbox):
        for connection in exchange.sockets:
            await connection.send_bytes(frame)
        await exchange.send(CASES["htx"].long)
        await until(lambda: outbox.of(contract.LIQUIDATIONS), "no liquidation came")
        assert collector.account.rejected == collector.account.connections


async def test_what_the_pipeline_would_not_take_is_not_sent_and_what_came_with_it_is(exchange_of):
    frame = json.loads(json.dumps(CASES["bybit"].long))
    frame["data"].insert(0, frame["data"][0] | {"p": "-1"})
    async with exchange_of("bybit") as (exchange, collector, outbox):
        await exchange.send(frame)
        await until(lambda: outbox.messages, "no liquidation came")
        assert collector.account.rejected == collector.account.connections == 1
        assert [message.price for _, message in outbox.messages] == [60_000]


@pytest.mark.parametrize(
    ("status", "told", "wait"),
    [(429, "0.1", 0.1), (418, "0.1", 0.1), (500, "0.1", 0.0), (429, "Wed, 21 Oct 2026 07:28:00 GMT", 60.0)],
)
async def test_a_venue_that_does_not_answer_is_an_error_that_says_so(status, told, wait):
    exchange = Exchange("gate")
    exchange.wait = {"Retry-After": told}
    async with exchange.running(), aiohttp.ClientSession() as session:
        exchange.status = status
        with pytest.raises(VenueError, match=f"HTTP {status}") as caught:
            await collector_of(exchange, session).list_instruments({"BTCUSDT"})
        assert caught.value.wait == wait


async def test_an_answer_that_is_too_large_is_not_read():
    exchange = Exchange("gate")
    exchange.listing = [" " * LARGEST]
    async with exchange.running(), aiohttp.ClientSession() as session:
        with pytest.raises(VenueError, match=f"more than {LARGEST} bytes"):
            await collector_of(exchange, session).list_instruments({"BTCUSDT"})


async def test_a_venue_without_the_wanted_symbols_says_so():
    exchange = Exchange("gate")
    async with exchange.running(), aiohttp.ClientSession() as session:
        with pytest.raises(VenueError, match="gate has none of NONEUSDT"):
            await collector_of(exchange, session).list_instruments({"NONEUSDT"})


def traded_on_binance(**usd):
    return [{"symbol": symbol, "quoteVolume": str(amount)} for symbol, amount in usd.items()]


async def test_what_is_traded_most_is_ranked_over_all_venues_so_that_they_agree():
    binance, bybit, gate = (Exchange(name) for name in ("binance", "bybit", "gate"))
    binance.volumes = traded_on_binance(BTCUSDT=50, **{"1000PEPEUSDT": 70, "ETHUSDT_261225": 900})
    rows = {"BTCUSDT": "30", "SHIB1000USDT": "60", "BTC-28NOV26": "900"}
    bybit.volumes = {"result": {"list": [{"symbol": name, "turnover24h": rows[name]} for name in rows]}}
    async with binance.running(), bybit.running(), gate.running(), aiohttp.ClientSession() as session:
        gate.status = 500  # it has no say
        venues = [collector_of(each, session, refresh=0.0).asking for each in (binance, bybit, gate)]
        wanted = MostTraded(venues, 2, lasts=0.0)
        assert await wanted() == {"BTCUSDT", "PEPEUSDT"}
        binance.volumes = traded_on_binance(**{"1000PEPEUSDT": 20})
        assert await wanted() == {"BTCUSDT", "SHIBUSDT"}
        binance.status = bybit.status = 500
        assert await wanted() == {"BTCUSDT", "SHIBUSDT"}  # until somebody tells again


async def test_a_ranking_lasts_so_that_venues_which_ask_one_after_the_other_get_the_same():
    exchange = Exchange("binance")
    async with exchange.running(), aiohttp.ClientSession() as session:
        wanted = MostTraded([collector_of(exchange, session).asking], 1)
        with pytest.raises(VenueError, match="no venue tells"):
            await wanted()
        exchange.volumes = traded_on_binance(BTCUSDT=1)
        assert await wanted() == {"BTCUSDT"}
        exchange.volumes = traded_on_binance(**{"1000PEPEUSDT": 2})
        assert await wanted() == {"BTCUSDT"}


async def test_a_list_of_instruments_is_read_to_its_last_page():
    (page,) = json.loads(json.dumps(CASES["bybit"].listing))
    first, second = (page["result"] | {"list": [each]} for each in page["result"]["list"])
    exchange = Exchange("bybit")
    exchange.listing = [{"result": first | {"nextPageCursor": "2"}}, {"result": second}]
    async with exchange.running(), aiohttp.ClientSession() as session:
        collector = collector_of(exchange, session)
        listing = await collector.list_instruments({"BTCUSDT", "SHIBUSDT"})
        assert [each.symbol for each in listing.chosen] == ["BTCUSDT", "SHIBUSDT"]
        collector, exchange.listing = collector_of(exchange, session), [{"retMsg": "busy"}]
        with pytest.raises(VenueError, match="not as documented: KeyError"):
            await collector.list_instruments({"BTCUSDT"})


def replay(reading, lines):
    replay = Replay(reading, {"BTCUSDT"})
    for line in lines:
        replay.take(line)


def test_instruments_that_changed_while_they_were_recorded_are_those_of_then():
    (contracts,), again, lines = CASES["gate"].listing, Kept(), []
    for size in ("0.0001", "0.001"):
        listed = [each | {"quanto_multiplier": size} for each in contracts]
        lines.append(Line("listing", T_MS, text=json.dumps(listed)))
        lines.append(Line("frame", T_MS, conversation=len(lines), text=json.dumps(CASES["gate"].long)))
    replay(Reading(VENUES["gate"], again), lines)
    assert [each.quantity for each in again.of(contract.LIQUIDATIONS)] == [2, 20]


async def test_a_recording_has_one_list_of_instruments_however_often_the_venue_was_asked():
    exchange, lines = Exchange("binance"), []
    async with exchange.running(), aiohttp.ClientSession() as session:
        collector = collector_of(exchange, session, record=lines.append)
        with pytest.raises(VenueError):
            await collector.list_instruments({"NONEUSDT"})
        listing = await collector.list_instruments({"BTCUSDT"})
    assert len(lines) == len(VENUES["binance"].LISTING)
    assert Reading(VENUES["binance"], Kept()).choose(
        [json.loads(line.text) for line in lines], {"BTCUSDT"}
    ) == (listing)


async def test_requests_wait_as_long_as_a_venue_wants_after_too_many(exchange_of):
    async with exchange_of("binance") as (exchange, collector, outbox):
        exchange.status = 429
        await until(lambda: collector.account.refused, "not refused")
        exchange.status, outbox.messages[:] = 200, []
        await until(lambda: outbox.of(contract.OPEN_INTEREST), "not asked again")


@pytest.mark.parametrize("name", sorted(VENUES))
async def test_a_venue_s_clock_is_looked_at(exchange_of, name):
    async with exchange_of(name) as (_, collector, _):
        clock = collector.account.clock
        await until(lambda: clock.ahead is not None, "not asked")
        assert abs(clock.ahead) < 0.001 + clock.uncertainty


async def test_a_clock_that_is_wrong_is_told_once(exchange_of, monkeypatch):
    said = []
    monkeypatch.setattr(collector_module, "_CLOCK", 0.01)
    monkeypatch.setattr(reading_module, "log", SimpleNamespace(warning=lambda text, **_: said.append(text)))
    async with exchange_of("bybit") as (exchange, collector, _):
        exchange.ahead = -7.0
        clock = collector.account.clock
        await until(lambda: clock.ahead is not None and clock.ahead < -6, "not noticed")
        asked = exchange.requests
        await until(lambda: exchange.requests > asked + 5, "not asked again")
        assert abs(clock.ahead + 7) < 0.001 + clock.uncertainty
    assert said == ["a venue's clock differs from this one"]


def test_of_a_clock_the_fastest_of_its_last_answers_counts():
    clock = Clock()
    assert (clock.ahead, clock.uncertainty) == (None, 0)
    clock.add(100, 103, 104)
    assert (clock.ahead, clock.uncertainty) == (1, 2)
    clock.add(200, 203, 202)
    assert (clock.ahead, clock.uncertainty) == (2, 1)
    for at in range(300, 1_300, 100):
        clock.add(at, at + 8, at + 6)
    assert (clock.ahead, clock.uncertainty) == (5, 3)


def test_the_table_fits_a_terminal_of_80_characters():
    collector = collector_of(Exchange("hyperliquid"), session=None)
    account = collector.account
    account.clock.add(10.0, 8.75, 10.0)
    account.messages.update({contract.LIQUIDATIONS: 12_345, contract.PRICES: 200_000})
    account.last, account.behind, account.gaps, account.reconnects = time.time() - 9, 12.34, 12, 11
    account.dropped["x"], account.rejected = 1_234_567, 1
    text = io.StringIO()
    Console(file=text, width=80).print(table_of([collector], {"hyperliquid": 200_000}))
    assert "…" not in text.getvalue()
    _, row = (line.split() for line in text.getvalue().splitlines())
    assert row[:4] == ["hyperliquid", "no", "12345", "12345"]
    assert float(row[4]) >= 9
    assert row[5:] == ["12.34", "-1.25", "12", "11", "1234567", "1"]


async def test_figures_tell_of_a_collector(exchange_of, unused_tcp_port_factory):
    async with exchange_of("bybit") as (exchange, collector, outbox):
        runner = aiohttp.web.AppRunner(create_web([collector], outbox, longest_silence=3_600))
        await runner.setup()
        port = unused_tcp_port_factory()
        await aiohttp.web.TCPSite(runner, "127.0.0.1", port).start()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/readyz") as answer:
                assert (answer.status, await answer.text()) == (503, "no data yet from bybit\n")
            await exchange.send(CASES["bybit"].long)
            await until(lambda: collector.connected, "no data")
            async with session.get("/readyz") as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")
            async with session.get("/livez") as answer:
                assert answer.status == 200
            async with session.get("/metrics") as answer:
                text = await answer.text()
        await runner.cleanup()
        assert 'collect_messages_total{topic="liquidations",venue="bybit"} 1.0' in text
        assert 'collect_connected{venue="bybit"} 1.0' in text


class Broker:
    """aiokafka's producer, which confirms or refuses as it is told."""

    def __init__(self):
        self.taken, self.error, self.answers = [], None, iter(())

    async def send(self, topic, value, key, partition, timestamp_ms):
        assert timestamp_ms == 1_790_000_000_000
        if self.error is not None:
            raise self.error
        future = asyncio.get_running_loop().create_future()
        if (error := next(self.answers, None)) is not None:
            future.set_exception(error)
        else:
            future.set_result(None)
            self.taken.append((topic, key, value, partition))
        return future


async def test_what_kafka_confirmed_is_not_sent_again_with_what_it_refused(monkeypatch):
    monkeypatch.setattr(outbox_module, "_AGAIN", 0.01)
    broker = Broker()
    broker.answers = iter([None, KafkaTimeoutError(), None, KafkaTimeoutError()])
    outbox = Outbox(broker)
    price = Price(symbol="BTCUSDT", price=1, timestamp=1_790_000_000)
    for number in range(1, 5):
        outbox.put(contract.PRICES, msgspec.structs.replace(price, price=number))
    await outbox.flush()
    assert [json.loads(value)["price"] for _, _, value, _ in broker.taken] == [1, 3, 2, 4]
    assert (outbox.sent, outbox.waiting) == (4, 0)


async def test_a_producer_that_is_broken_ends_the_outbox():
    broker = Broker()
    broker.answers = iter([RuntimeError("broken")])
    outbox = Outbox(broker)
    outbox.put(contract.PRICES, Price(symbol="BTCUSDT", price=1, timestamp=1_790_000_000))
    with pytest.raises(RuntimeError, match="broken"):
        await outbox.run()


async def test_what_is_told_of_a_feed_lies_on_every_partition():
    broker = Broker()
    outbox = Outbox(broker, partitions=3)
    status = FeedStatus("okx", "a", 1_789_999_990.0, None, "cut", 1_790_000_000.0)
    outbox.tell(status)
    outbox.put(contract.PRICES, Price(symbol="BTCUSDT", price=1, timestamp=1_790_000_000))
    await outbox.flush()
    *copies, price = broker.taken
    assert copies == [(contract.FEED_STATUS, b"okx", codec.encode(status), number) for number in range(3)]
    assert price[3] is None  # that of its symbol
    assert list(codec.decode(contract.FEED_STATUS, copies[0][2]).messages) == [status]


async def test_while_kafka_is_away_the_oldest_prices_go_and_no_liquidation(monkeypatch):
    monkeypatch.setattr(outbox_module, "_AGAIN", 0.01)
    broker = Broker()
    broker.error = KafkaTimeoutError()
    outbox = Outbox(broker, most=3)
    price = Price(symbol="BTCUSDT", price=1, timestamp=1_790_000_000)
    event = Liquidation(
        symbol="BTCUSDT", exchange="x", side="long", price=1, quantity=1, timestamp=1_790_000_000
    )
    for number in range(1, 6):
        outbox.put(contract.PRICES, msgspec.structs.replace(price, price=number))
        outbox.put(contract.LIQUIDATIONS, msgspec.structs.replace(event, quantity=number))
    assert (outbox.waiting, outbox.dropped) == (8, 2)
    running = asyncio.create_task(outbox.run())
    outbox.close()
    await asyncio.sleep(0.05)
    assert broker.taken == []
    assert outbox.waiting == 8  # what is on its way, too
    broker.error = None
    await running
    sent = [(topic, json.loads(value)) for topic, _, value, _ in broker.taken]
    assert [value["quantity"] for topic, value in sent if topic == contract.LIQUIDATIONS] == [1, 2, 3, 4, 5]
    assert [value["price"] for topic, value in sent if topic == contract.PRICES] == [3, 4, 5]
    assert outbox.waiting == 0


async def test_a_collector_without_a_way_to_kafka_ends():
    async def fail():
        raise RuntimeError("gone")

    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(live.collect_all([], named([]), asyncio.create_task(fail())), timeout=20)
    assert caught.group_contains(RuntimeError, match="gone")


async def test_what_was_recorded_is_understood_as_it_was_live(exchange_of, tmp_path):
    recorder = Recorder(tmp_path, "binance")
    async with exchange_of("binance", record=recorder.write) as (exchange, collector, live):
        for number in range(3):
            await exchange.send(fresh(CASES["binance"].long), BOOK | {"T": T_MS + 1_000 * number}, "no json")
        await until(lambda: live.of(contract.OPEN_INTEREST), "no open interest came")
        await until(lambda: collector.account.rejected == 6, "not all came")
    recorder.close()
    ((name, path),) = recordings(tmp_path)
    again = Kept()
    reading = Reading(VENUES[name], again)
    replay(reading, recorded(path))
    assert again.messages == live.messages
    assert reading.account.rejected == 6


async def test_a_connection_that_stays_while_instruments_change_is_understood_as_it_was(
    exchange_of, tmp_path
):
    """What it was told before, it still knows: a delta of Bybit's is of no use without the rest."""
    recorder = Recorder(tmp_path, "bybit")
    first = {"bid1Price": "59990", "ask1Price": "60010"}
    ticker = {"topic": "tickers.BTCUSDT", "type": "snapshot", "ts": T_MS, "data": first}
    delta = ticker | {"type": "delta", "ts": T_MS + 1_000, "data": {"ask1Price": "60030"}}
    options = {"record": recorder.write, **wanting({"BTCUSDT"})}
    async with exchange_of("bybit", **options) as (exchange, collector, live):
        await exchange.send(ticker)
        changed = json.loads(json.dumps(CASES["bybit"].listing))
        changed[0]["result"]["list"][0]["fundingInterval"] = 60
        exchange.listing = changed
        await until(lambda: collector._listing.chosen[0].funding_hours == 1, "not asked again")
        await exchange.send(delta)
        await until(lambda: len(live.of(contract.PRICES)) == 2, "no price came")
    recorder.close()
    again = Kept()
    replay(Reading(VENUES["bybit"], again), recorded(recordings(tmp_path)[0][1]))
    assert again.messages == live.messages
    assert [price.price for price in again.of(contract.PRICES)] == [60_000, 60_010]


async def test_frames_that_are_bytes_are_kept_as_they_are(exchange_of, tmp_path):
    recorder = Recorder(tmp_path, "htx")
    async with exchange_of("htx", record=recorder.write) as (exchange, _, live):
        await exchange.send(CASES["htx"].short)
        await until(lambda: len(live.of(contract.LIQUIDATIONS)) == 2, "not all came")
    recorder.close()
    again = Kept()
    replay(Reading(VENUES["htx"], again), recorded(recordings(tmp_path)[0][1]))
    assert again.of(contract.LIQUIDATIONS) == live.of(contract.LIQUIDATIONS)


async def test_a_full_disk_ends_the_recording_and_no_feed(exchange_of, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_FLUSH", 0.0)
    for seconds in range(60):
        began = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() + seconds))
        (tmp_path / f"okx-{began}.jsonl.gz").symlink_to("/dev/full")
    recorder = Recorder(tmp_path, "okx")
    with capture_logs() as logs:
        async with exchange_of("okx", record=recorder.write) as (exchange, _, outbox):
            for number in range(3):
                await exchange.send(fresh(CASES["okx"].long))
                await until(lambda: len(outbox.of(contract.LIQUIDATIONS)) > number, "a frame was lost")  # noqa: B023
            assert exchange.connections == 1
            assert outbox.gaps == []
    recorder.close()
    assert len([each for each in logs if "recording" in each["event"] and "No space" in each["reason"]]) == 1


async def test_a_recording_that_was_cut_short_is_read_up_to_there(exchange_of, tmp_path):
    recorder = Recorder(tmp_path, "bybit")
    async with exchange_of("bybit", record=recorder.write) as (exchange, _, live):
        for _ in range(50):
            await exchange.send(fresh(CASES["bybit"].long))
        await until(lambda: len(live.of(contract.LIQUIDATIONS)) == 50, "not all came")
    recorder.close()
    _, path = recordings(tmp_path)[0]
    whole = list(recorded(path))
    path.write_bytes(path.read_bytes()[:-20])
    assert list(recorded(path)) == whole[: len(list(recorded(path)))]
    path.write_bytes(b"no recording")
    with pytest.raises(ValueError, match="Not a gzipped file"):
        list(recorded(path))


def moves(check, *, price_falls, side, times, first=0):
    """Let a price move by 2% within five minutes, so often, while a side is liquidated."""
    for span in range(first, first + times + 1):
        at = 1_790_000_100 + 300 * span
        for second in range(0, 300, 10):
            part = second / 290
            price = 100 * (1 - 0.02 * part if price_falls else 1 + 0.02 * part)
            check.add(Price(symbol="BTCUSDT", price=price, timestamp=at + second))
            event = Liquidation(
                symbol="BTCUSDT", exchange="x", side=side, price=price, quantity=1, timestamp=at + second
            )
            check.add(event)


@pytest.mark.parametrize("price_falls", [True, False])
def test_a_venue_whose_sides_are_inverted_is_told_after_some_strong_moves(price_falls):
    expected, other = ("long", "short") if price_falls else ("short", "long")
    check = SideCheck()
    moves(check, price_falls=price_falls, side=expected, times=9)
    assert (list(check.verdicts), check.inverted) == ([True] * 9, False)
    check = SideCheck()
    moves(check, price_falls=price_falls, side=other, times=4)
    assert not check.inverted  # too few to tell
    moves(check, price_falls=price_falls, side=other, times=5, first=10)
    assert check.inverted


def test_a_market_that_hardly_moves_tells_nothing_of_sides():
    check = SideCheck()
    for second in range(3_000):
        check.add(Price(symbol="BTCUSDT", price=100 + second % 2 * 0.5, timestamp=1_790_000_100 + second))
        check.add(
            Liquidation(
                symbol="BTCUSDT",
                exchange="x",
                side="short",
                price=1,
                quantity=1,
                timestamp=1_790_000_100 + second,
            )
        )
    assert not check.verdicts


def wanting(symbols):
    """Return what wants whatever the set holds at that time, with a venue that is asked all the time."""

    async def wanted():
        return frozenset(symbols)

    return {"wanted": lambda _: wanted, "refresh": 0.05}


async def test_a_contract_that_changes_is_known_to_connections_that_stay(exchange_of):
    async with exchange_of("okx", **wanting({"BTCUSDT"})) as (exchange, collector, outbox):
        await exchange.send(fresh(CASES["okx"].long))
        await until(lambda: outbox.of(contract.LIQUIDATIONS), "no liquidation came")
        changed = json.loads(json.dumps(CASES["okx"].listing))
        changed[0]["data"][0]["ctVal"] = "0.1"
        exchange.listing = changed
        await until(lambda: collector._listing.chosen[0].unit == Decimal("0.1"), "not asked again")
        await exchange.send(fresh(CASES["okx"].short))
        await until(lambda: len(outbox.of(contract.LIQUIDATIONS)) == 2, "no liquidation came")
        assert [each.quantity for each in outbox.of(contract.LIQUIDATIONS)] == [2, 20]
        assert (exchange.connections, outbox.gaps) == (1, [])


async def test_symbols_that_are_wanted_later_are_subscribed_to_before_the_old_connection_ends(exchange_of):
    symbols = {"BTCUSDT"}
    async with exchange_of("binance", symbols=symbols, **wanting(symbols)) as (exchange, _, outbox):
        exchange.greeting = lambda: [BOOK]
        await exchange.send(BOOK)
        symbols.add("PEPEUSDT")
        await until(lambda: exchange.connections == 4, "not subscribed")
        assert sum("1000pepeusdt@aggTrade" in path for path in exchange.paths) == 1
        assert sum("1000pepeusdt@bookTicker" in path for path in exchange.paths) == 1
        await until(lambda: len(exchange.sockets) == 2, "the old connections were not closed")
        assert outbox.gaps == []


async def test_only_connections_that_change_are_replaced_and_those_without_use_end(exchange_of, monkeypatch):
    monkeypatch.setattr(collector_module, "OVERLAP", 0.05)
    limits, symbols = Limits(frames_per_second=1_000, streams=1), {"BTCUSDT"}
    options = wanting(symbols) | {"symbols": symbols, "limits": limits}
    async with exchange_of("bybit", **options) as (exchange, collector, outbox):
        await exchange.send(CASES["bybit"].long)
        await until(lambda: collector.connected, "no data")
        symbols.add("SHIBUSDT")
        await until(lambda: len(exchange.sockets) == 2, "no further connection")
        assert not collector.connected
        await exchange.send(CASES["bybit"].long)
        await until(lambda: collector.connected, "no data")
        symbols.remove("SHIBUSDT")
        await until(lambda: len(exchange.sockets) == 1, "a connection without use was left open")
        await exchange.cut()
        await until(lambda: outbox.gaps, "the gap is not told")
        assert {each.stream for each in outbox.gaps} == {VENUES["bybit"].WS}
        assert exchange.connections == 2


def test_instruments_that_stay_keep_their_places():
    def listing(*names):
        return Listing([USUAL.instrument("x", name, name, "USDT") for name in names])

    def names(listed):
        return "".join(each.name for each in listed.chosen)

    before = listing("A", "B", "C", "D")
    assert names(listing("D", "C", "B", "A").after(before)) == "ABCD"
    assert names(listing("E", "D", "C", "A").after(before)) == "AECD"
    assert names(listing("E", "F", "D", "C", "A").after(before)) == "AECDF"
    assert names(listing("D", "A").after(before)) == "AD"


async def test_a_connection_that_is_changed_again_while_it_is_replaced_is_replaced_again():
    exchange, told = Exchange("okx"), []
    async with exchange.running(), aiohttp.ClientSession() as session:
        to = Connection(url=exchange.endpoints[VENUES["okx"].WS])
        patience = {"data_silence": 120.0, "longest_wait": 9.0}
        held = link.Link(
            session, VENUES["okx"], to, reader=lambda: lambda _: [NOTED], told_gap=told.append, **patience
        )
        running = asyncio.create_task(held.run())
        await until(lambda: exchange.connections == 1, "not connected")
        assert held.change(Connection(url=to.url + "/second"))
        await until(lambda: exchange.connections == 2, "not changed")
        assert held.change(Connection(url=to.url + "/third"))
        assert not held.change(Connection(url=to.url + "/third"))
        await exchange.send("x")
        await until(lambda: exchange.connections == 3, "not changed again")
        await exchange.send("x")
        await until(lambda: len(exchange.sockets) == 1, "the old connections were not closed")
        assert exchange.paths == ["/", "/second", "/third"]
        assert [gap.reason for gap in told] == ["collection began"]
        running.cancel()
        await asyncio.wait({running})


async def test_that_data_have_begun_to_come_is_told_once_for_each_connection(exchange_of):
    async with exchange_of("bybit") as (exchange, collector, outbox):
        assert outbox.begun == 0
        for _ in range(3):
            await exchange.send(CASES["bybit"].long)
        await until(lambda: len(outbox.of(contract.LIQUIDATIONS)) == 3, "not all came")
        await until(lambda: collector.connected, "not connected")
        assert outbox.begun == collector.account.connections == 1


async def test_a_collector_that_hears_nothing_is_not_alive_whatever_the_venue_s_clock_says(
    exchange_of, unused_tcp_port_factory
):
    async with exchange_of("bybit") as (exchange, collector, outbox):
        ahead = json.loads(json.dumps(CASES["bybit"].long).replace(str(T_MS), "4000000000000"))
        await exchange.send(ahead)
        await until(lambda: collector.account.received, "nothing came")
        port = unused_tcp_port_factory()
        runner = aiohttp.web.AppRunner(create_web([collector], outbox, longest_silence=0.2))
        await runner.setup()
        await aiohttp.web.TCPSite(runner, "127.0.0.1", port).start()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            for _ in range(200):
                async with session.get("/livez") as answer:
                    status, text = answer.status, await answer.text()
                if status == 503:
                    break
                await asyncio.sleep(0.05)
        await runner.cleanup()
        assert (status, text) == (503, "no venue told of anything for 0 s\n")
