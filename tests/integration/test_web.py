"""The web views of workers on a real broker: the fleet's answers are what is on Kafka, whoever is asked."""

import asyncio
import json
import time
from collections import Counter

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from servers import free_port
from workers import Worker, produce, read_all, until, until_caught_up

from pipeline import contract
from pipeline.cli.simulated.simulation import simulate
from pipeline.messages import LEVELS
from pipeline.web.documents import asyncapi, openapi

TOKEN = "not-the-right-one"  # noqa: S105 - it opens nothing
WEIGHTS = {"velocity": 1, "acceleration": 0, "volume": 0, "oi_change": 0, "funding": 0, "volatility": 0}


class Browser:
    """Asks workers, and holds each answer of the API against the OpenAPI document."""

    def __init__(self, session):
        self._session = session
        self._document = openapi()

    async def text(self, worker, path):
        async with self._session.get(worker.settings.own_url + path) as response:
            return response.status, await response.text()

    async def ask(self, worker, path, *, expect=200, method="get", **options):
        url = worker.settings.own_url + path
        async with self._session.request(method, url, **options) as response:
            body = await response.json()
            assert response.status == expect, body
            self._check(path.partition("?")[0], method, str(response.status), body)
            return body

    def _check(self, path, method, status, body):
        described = self._document["paths"]
        if path not in described and path.startswith("/api/symbols/"):
            path = "/api/symbols/{symbol}"
        if path in described:
            answer = described[path][method]["responses"][status]["content"]["application/json"]["schema"]
            Draft202012Validator({**answer, "components": self._document["components"]}).validate(body)


@pytest.fixture
async def browser():
    async with aiohttp.ClientSession() as session:
        yield Browser(session)


async def until_answers(worker, browser, path, condition, otherwise):
    """Wait until a worker's answer is as wanted, and return it; until it serves anything, that too."""
    found = None

    async def look():
        nonlocal found
        try:
            found = json.loads((await browser.text(worker, path))[1])
        except aiohttp.ClientError:
            return False
        return condition(found)

    deadline = time.monotonic() + 90
    while not await look():
        assert time.monotonic() < deadline, f"{otherwise}: {str(found)[:500]}"
        await asyncio.sleep(0.1)
    return found


@pytest.fixture
async def market(settings):
    ticks = list(simulate(30, seed=31, start=time.time() - 32))
    await produce(settings, ticks)
    return ticks


async def test_two_workers_answer_alike_and_as_kafka_tells(settings, market, browser):
    with Worker(settings, web_token=SecretStr(TOKEN)) as one, Worker(settings) as other:
        await asyncio.gather(one.until_ready(), other.until_ready())
        await until(lambda: len(one.partitions) == len(other.partitions) == 2, "no fair shares")
        await until_caught_up(settings, workers=[one, other])
        await until_caught_up(settings, contract.PROJECTED, workers=[one, other])
        signals = await read_all(settings, contract.SIGNALS)
        newest = {signal["symbol"]: signal for signal in sorted(signals, key=lambda each: each["sequence"])}

        for worker in (one, other):
            await until_answers(
                worker,
                browser,
                "/api/symbols",
                lambda answer: not answer["missing"],
                "always something missing",
            )
        answers = [await browser.ask(worker, "/api/symbols") for worker in (one, other)]
        assert [answer["missing"] for answer in answers] == [[], []]
        assert answers[0]["symbols"] == answers[1]["symbols"]
        assert {row["symbol"]: row["probability"] for row in answers[0]["symbols"]} == {
            name: signal["probability"] for name, signal in newest.items()
        }
        assert answers[0]["by_level"] == dict.fromkeys(LEVELS, 0) | Counter(
            signal["signal"] for signal in newest.values()
        )

        pasts = {}
        for name, signal in newest.items():
            details = [await browser.ask(worker, f"/api/symbols/{name.lower()}") for worker in (one, other)]
            assert details[0] == details[1]
            assert details[0]["latest"] == signal
            pasts[name] = details[0]["history"]
            assert details[0]["windows"][-1]["count"] == sum(
                (tick.topic, tick.symbol) == (contract.LIQUIDATIONS, name) for tick in market
            )

        heard = await browser.ask(other, "/api/signals?min_level=ALERT&limit=1000")
        alerts = {each["id"] for each in await read_all(settings, contract.ALERTS)}
        assert {each["id"] for each in heard["signals"]} == alerts
        assert (
            heard["signals"] == (await browser.ask(one, "/api/signals?min_level=ALERT&limit=1000"))["signals"]
        )

        regimes = await read_all(settings, contract.REGIME)
        for worker in (one, other):
            assert (await browser.ask(worker, "/api/regime"))["regime"] == regimes[-1]
        stats = await browser.ask(other, "/api/stats")
        assert stats["total"]["signals_generated"] == len(signals)
        assert len((await browser.ask(one, "/api/fleet"))["workers"]) == 2

        await check_metrics(browser, [one, other], signals, market)
        await check_weights(browser, one, other)
        await check_refusals(browser, one)

        one.kill()
        gone = await until_answers(
            other, browser, "/api/symbols", lambda answer: answer["missing"], "nothing is missing"
        )
        assert one.settings.own_url in gone["missing"][0]["reason"]
        back = await until_answers(
            other, browser, "/api/symbols", lambda answer: not answer["missing"], "still missing"
        )
        assert back["missing"] == []
        for name, past in pasts.items():
            await until_answers(
                other, browser, f"/api/symbols/{name}", lambda found, past=past: same_past(found, past), name
            )


def same_past(found, past):
    return all(found.get("history", {}).get(column) == past[column] for column in ("time", "probability"))


async def check_metrics(browser, workers, signals, market):
    counted, taken = Counter(), 0
    for worker in workers:
        status, text = await browser.text(worker, "/metrics")
        assert status == 200
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        values = {(each.name, *each.labels.values()): each.value for each in samples}
        counted.update({level: values["cascade_signals_total", level] for level in LEVELS})
        taken += sum(values.get(("cascade_records_total", topic), 0) for topic in contract.FEEDS)
        assert values["cascade_ready",] == values["cascade_alive",] == values["cascade_redis_up",] == 1
        assert values["cascade_event_to_signal_seconds_count",] == sum(
            values["cascade_signals_total", level] for level in LEVELS
        )
    assert counted == Counter(dict.fromkeys(LEVELS, 0)) + Counter(each["signal"] for each in signals)
    assert taken >= len(market)  # what a rebalance interrupts is taken again


async def check_weights(browser, guarded, open_):
    before = await browser.ask(open_, "/api/weights")
    assert before["version"] == 0
    refused = await browser.ask(open_, "/api/weights", method="put", expect=403, json=WEIGHTS)
    assert "PIPELINE_WEB_TOKEN" in refused["error"]
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        await browser.ask(guarded, "/api/weights", method="put", expect=401, json=WEIGHTS, headers=headers)
    allowed = {"headers": {"Authorization": f"Bearer {TOKEN}"}}
    for wrong in ({"velocity": 1}, WEIGHTS | {"velocity": -1}, [1], WEIGHTS | {"other": 1}):
        await browser.ask(guarded, "/api/weights", method="put", expect=400, json=wrong, **allowed)
    put = await browser.ask(guarded, "/api/weights", method="put", json=WEIGHTS, **allowed)
    assert (put["version"], put["weights"]) == (1, {name: float(value) for name, value in WEIGHTS.items()})
    for worker in (guarded, open_):
        answer = await until_answers(
            worker,
            browser,
            "/api/stats",
            lambda found: all(
                each["statistics"]["current_weights"] == put["weights"] for each in found["workers"]
            ),
            "the weights are not in force",
        )
        assert answer["total"]["current_weights"] == put["weights"]
    assert "weights changed over HTTP" in guarded.text()
    assert TOKEN not in guarded.text()
    reset = await browser.ask(guarded, "/api/weights", method="delete", **allowed)
    assert (reset["version"], reset["from_profile"], reset["weights"]) == (2, True, before["weights"])


async def check_refusals(browser, worker):
    for path, status, said in (
        ("/api/symbols?limit=0", 400, "limit: expected a whole number from 1 to 10000"),
        ("/api/signals?min_level=high", 400, "min_level: expected one of NONE"),
        ("/api/signals?changes=maybe", 400, "changes: expected one of true, false"),
        ("/api/stream?changes=1", 400, "changes: expected one of true, false"),
        *(
            (f"/api/{name}?scope=fleet", 400, "scope: expected worker, or none for the whole fleet")
            for name in ("symbols", "symbols/NOPE", "signals", "regime", "stats", "fleet")
        ),
        ("/api/symbols/a%20b", 400, "symbol: no spaces"),
        ("/api/symbols/NOPE", 404, "NOPE: no record of it has come"),
        ("/api/nothing", 404, "Not Found"),
        ("/table", 404, "Not Found"),
        ("/router", 404, "Not Found"),
        ("/stats", 404, "Not Found"),
    ):
        code, text = await browser.text(worker, path)
        assert (code, said in json.loads(text)["error"]) == (status, True), text
    huge = {"data": b"x" * 100_000, "headers": {"Authorization": f"Bearer {TOKEN}"}}
    await browser.ask(worker, "/api/weights?x", method="put", expect=413, **huge)


async def test_a_stream_tells_what_is_on_kafka_from_the_moment_it_begins(settings):
    start = time.time() - 60
    ticks = list(simulate(40, seed=32, start=start))
    opening = next(place for place, tick in enumerate(ticks) if tick.time >= start)
    await produce(settings, ticks[:opening])
    with Worker(settings) as worker:
        await until_caught_up(settings, workers=[worker])
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{worker.settings.own_url}/api/stream?min_level=WATCH&symbol=ethusdt") as response,
        ):
            assert response.headers["Content-Type"].startswith("text/event-stream")
            events = response.content
            await until_it_hears(events, settings)
            await produce(settings, ticks[opening:])
            await until_caught_up(settings, workers=[worker])
            sent = [
                each for each in await read_all(settings, contract.SIGNALS) if each["symbol"] == "ETHUSDT"
            ]
            wanted = [each for each in sent if each["signal_level"] >= 1]
            heard = [event async for event in read_events(events, "signal", len(wanted))]
        assert heard == wanted


async def until_it_hears(events, settings):
    """Wait until a stream's readers have begun: a regime that is sent again and again is heard."""
    update = (await read_all(settings, contract.REGIME))[-1]
    value = json.dumps(update).encode()
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        heard = asyncio.ensure_future(anext(read_events(events, "regime", 1)))
        while not heard.done():
            await producer.send_and_wait(contract.REGIME, value, key=b"BTCUSDT")
            await asyncio.wait([heard], timeout=0.2)
    assert heard.result() == update


async def read_events(events, kind, most):
    seen = 0
    name = None
    while seen < most:
        line = (await asyncio.wait_for(events.readline(), 60)).decode().strip()
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        if line.startswith("data: ") and name == kind:
            seen += 1
            yield json.loads(line.removeprefix("data: "))


@pytest.mark.usefixtures("market")
async def test_every_message_is_as_the_asyncapi_document_says(settings):
    with Worker(settings) as worker:
        await until_caught_up(settings, workers=[worker])
    document = asyncapi()
    for topic, channel in document["channels"].items():
        kind = next(iter(channel["messages"]))
        schema = {"$ref": f"#/components/schemas/{kind}", "components": document["components"]}
        for message in (await read_all(settings, topic))[-50:]:
            Draft202012Validator(schema).validate(message)


@pytest.mark.apache_kafka
async def test_a_worker_that_makes_no_progress_says_so(own_settings, own_broker, browser):
    await produce(own_settings, list(simulate(20, seed=33, start=time.time() - 30)))
    with Worker(own_settings, stuck_after=1.5) as worker:
        await until_answers(worker, browser, "/status", lambda found: found["phase"] == "ready", "not ready")
        await until_caught_up(own_settings, workers=[worker])
        assert await browser.text(worker, "/livez") == (200, "ok\n")
        assert await browser.text(worker, "/readyz") == (200, "ok\n")
        own_broker.pause()
        try:
            found = await until_answers(
                worker, browser, "/status", lambda status: status["problems"], "no problem is told"
            )
            assert (await browser.text(worker, "/readyz"))[0] == 503
            await browser.ask(
                worker, "/api/feeds"
            )  # else the page would call the worker away, and tell no problem
        finally:
            own_broker.resume()
    assert found["problems"]


async def test_a_named_worker_may_come_back_with_another_address(settings, browser):
    settings = settings.model_copy(update={"session_timeout": 30.0})
    with Worker(settings, group_instance_id="one") as one, Worker(settings, group_instance_id="two") as two:
        await asyncio.gather(one.until_ready(), two.until_ready())
        await until(lambda: len(one.partitions) == len(two.partitions) == 2, "no fair shares")
        assert one.stop() == 0
        with Worker(settings, group_instance_id="one") as again:
            await again.until_ready()
            wanted = {again.settings.own_url, two.settings.own_url}
            for worker in (again, two):
                await until_answers(
                    worker,
                    browser,
                    "/api/fleet",
                    lambda found: (
                        {each["worker"] for each in found["workers"]} == wanted and not found["missing"]
                    ),
                    "the new address is not known",
                )


async def test_a_worker_whose_port_is_taken_says_what_to_do(settings):
    port = free_port()
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    async with server:
        with Worker(settings, web_port=port) as worker:
            assert await asyncio.to_thread(worker.process.wait, 60) == 1
            assert "set another PIPELINE_WEB_PORT" in worker.text()
            assert "Traceback" not in worker.text()
