"""A worker on a market that a test can let run and halt, and Chromium to look at it with."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import urlopen

import orjson
from aiokafka import AIOKafkaProducer
from conftest import deploy
from playwright.sync_api import sync_playwright
from servers import chromium
from workers import Worker, send, until_caught_up

from pipeline import contract
from pipeline.cli.simulated.scenario import Tick
from pipeline.cli.simulated.simulation import Market

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator

    from playwright.sync_api import Browser, Page

    from pipeline.settings import Settings

T = TypeVar("T")
PATIENCE_MS = 40_000
HOSTILE = ("<B>X</B>", '"><SVG/ONLOAD=ALERT(1)>', "<A/HREF=//EVIL>&LT;")


@contextmanager
def browsing() -> Iterator[Browser]:
    """Run Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


def done(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread of its own, for Playwright's loop runs in this one; return its result."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class Look:
    """A page, and what its console complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def until(self, expression: str, *arguments: Any) -> None:
        """Wait until an expression is true; Playwright's own way breaks the page's policy."""
        deadline = time.monotonic() + PATIENCE_MS / 1_000
        while not self.page.evaluate(expression, *arguments):
            assert time.monotonic() < deadline, f"not within {PATIENCE_MS / 1_000:.0f} s: {expression}"
            self.page.wait_for_timeout(50)

    def until_health(self, word: str) -> None:
        """Wait until the health word begins so."""
        self.until(f"document.getElementById('health-word').textContent.startsWith({word!r})")

    def text(self, selector: str) -> str:
        """Return what an element shows."""
        return self.page.text_content(selector) or ""

    def texts(self, selector: str) -> list[str]:
        """Return what each of some elements shows."""
        return self.page.locator(selector).all_text_contents()


class LiveMarket:
    """A worker, and a market that goes round and round while it is not halted.

    `first` is what is sent after the market's past and before its first round.
    """

    def __init__(self, broker: str, valkey: str, length_s: float, first: Iterable[Tick] = ()) -> None:
        self._length_s, self._first = length_s, first
        self.settings: Settings = done(deploy(broker, valkey))
        self.worker = Worker(self.settings)
        self.url = f"http://127.0.0.1:{self.worker.settings.web_port}/"
        self._ended = threading.Event()
        self._halt: threading.Event | None = None  # each halt has its own, set when the market stands
        self._thread = threading.Thread(target=lambda: asyncio.run(self._play()))

    def start(self) -> None:
        """Let the market begin, with its past."""
        self.run()
        self._thread.start()

    def run(self) -> None:
        """Let the market go on."""
        self._halt = None

    def halt(self) -> None:
        """Let the market stand still, and wait until the worker has done all that came."""
        self._halt = halt = threading.Event()
        assert halt.wait(PATIENCE_MS / 1_000), "the market does not halt"
        topics = (*contract.FEEDS, contract.CONTEXT)  # a context, too, can change a level
        done(until_caught_up(self.settings, topics, [self.worker], PATIENCE_MS / 1_000))

    def close(self) -> None:
        """End the market and the worker."""
        self._ended.set()
        self.run()
        if self._thread.ident is not None:
            self._thread.join()
        self.worker.__exit__(None)

    async def _play(self) -> None:
        async with AIOKafkaProducer(**self.settings.kafka_client_options()) as producer:
            await self._send(producer, Market(self._length_s, 1).warm_up(time.time()))
            await self._send(producer, self._first)
            for seed in range(1, 1_000):
                start = time.time()
                await self._send(producer, Market(self._length_s, seed).play(start))
                if self._ended.is_set():
                    return

    async def _send(self, producer: AIOKafkaProducer, ticks: Iterable[Tick]) -> None:
        late = 0.0
        for tick in ticks:
            await asyncio.sleep(max(0.0, tick.time + late - time.time()))
            while (halt := self._halt) is not None:
                await producer.flush()
                halt.set()
                await asyncio.sleep(0.05)
                late = time.time() - tick.time  # what was to be told meanwhile is told later
            if self._ended.is_set():
                return
            await send(producer, moved(tick, late))


def moved(tick: Tick, seconds: float) -> Tick:
    """Return a tick of a later time."""
    time_s = round(tick.time + seconds, 3)
    return tick._replace(time=time_s, message=tick.message | {"timestamp": time_s})


def hostile_ticks(start: float) -> list[Tick]:
    """Return liquidations, of symbols and a venue that try to be HTML, enough for a level of ALERT."""
    return [
        liquidated(symbol, round(start - number / 1_000, 3))
        for number in reversed(range(400))
        for symbol in HOSTILE
    ]


def liquidated(symbol: str, time_s: float) -> Tick:
    """Return a liquidation."""
    message = {
        "symbol": symbol,
        "exchange": "<i>v</i>",
        "side": "long",
        "price": 2.0,
        "quantity": 5_000.0,
        "timestamp": time_s,
    }
    return Tick(contract.LIQUIDATIONS, symbol, message, time_s)


def answer(url: str, path: str) -> Any:
    """Return what the worker answers."""
    with urlopen(f"{url}{path}", timeout=PATIENCE_MS / 1_000) as response:  # noqa: S310
        return orjson.loads(response.read())
