"""`SignalSubscriber`: cascade signals for a program of yours, from Redis or from Kafka.

Redis tells whoever listens at the moment: what is sent while you are away is gone. Kafka keeps it: with a
consumer group a program goes on where it was.
"""

import asyncio
import inspect
import re
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline import codec, contract
from pipeline.messages import Timestamp
from pipeline.runtime.connections import keep_steady
from pipeline.runtime.topics import NO_KAFKA, require_topics

Callback: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[None] | None]

KAFKA_CHANNELS: Final = (contract.SIGNALS, contract.ALERTS, contract.CRITICAL)

_KAFKA: Final = "kafka://"
_SERVER: Final = r"([^\s/@,]+:\d+|[^\s/@,:]+)"
_SERVERS: Final = re.compile(f"{_KAFKA}{_SERVER}(,{_SERVER})*")
_REFUSED: Final = (
    AuthenticationError,
    NoPermissionError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    SaslAuthenticationFailed,
    ssl.SSLCertVerificationError,
)
_REFUSED_BY_KAFKA: Final[tuple[tuple[type[Exception], str], ...]] = (
    (SaslAuthenticationFailed, "look at sasl_plain_username and sasl_plain_password"),
    (ssl.SSLCertVerificationError, "nobody vouches for the broker's certificate: look at ssl_context"),
)
"""What no other try mends, and the client's options that do."""
_TROUBLE: Final = (RedisError, *NO_KAFKA)
_ANSWER_S: Final = 5.0
_LONGEST_WAIT_S: Final = 5.0
_LONGEST_EXPONENT: Final = 16
"""The backoff computes a power of two that overflows after 1,024 failures."""

_decode: Final = codec.decoder(dict[str, Any])
_log = structlog.get_logger(__name__)


class NoSignalError(Exception):
    """To be raised by a callback: what came is no signal."""


class _Outage:
    """How often in a row a connection failed; it is over when there is one."""

    def __init__(self) -> None:
        self._failures = 0
        self._backoff = ExponentialWithJitterBackoff(cap=_LONGEST_WAIT_S, base=0.1)

    async def wait(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.warning("no connection to the signals, trying again", error=str(error))
        await asyncio.sleep(self._backoff.compute(min(self._failures, _LONGEST_EXPONENT)))

    def end(self) -> None:
        if self._failures:
            _log.info("the signals are connected again")
        self._failures = 0


class _Place(msgspec.Struct):
    """Where a signal stands among those of its symbol."""

    symbol: str
    timestamp: Timestamp
    sequence: int


class _Message(NamedTuple):
    """What came: on which channel, and which record it is."""

    channel: str
    value: bytes
    record: str


_Messages: TypeAlias = AsyncGenerator[_Message, None]


class _Delivery:
    """Hands each message to the callback once."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._newest: dict[tuple[str, str], tuple[float, int]] = {}
        self._left_out = 0

    async def hand_over(self, message: _Message) -> None:
        try:
            data = _decode(message.value)
        except codec.UNREADABLE as error:
            self._leave_out(message, error)
            return
        if not self._repeats(message.channel, data):
            await self._call(message, data)

    def _leave_out(self, message: _Message, error: Exception) -> None:
        self._left_out += 1
        _log.warning(
            "a message is no signal, and left out",
            record=message.record,
            left_out=self._left_out,
            error=str(error),
        )

    def _repeats(self, channel: str, data: dict[str, Any]) -> bool:
        try:
            place = msgspec.convert(data, _Place)
        except msgspec.ValidationError:
            return False
        key, order = (channel, place.symbol), (place.timestamp, place.sequence)
        if order <= self._newest.get(key, (0.0, 0)):
            return True
        self._newest[key] = order
        return False

    async def _call(self, message: _Message, data: dict[str, Any]) -> None:
        before = _cancellations()
        try:
            result = self._callback(message.channel, data)
            if inspect.isawaitable(result):
                await result
        except NoSignalError as error:
            self._leave_out(message, error)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _cancellations() > before:
                raise
            _log.exception("the callback raised; the subscription goes on", channel=message.channel)


def _cancellations() -> int:
    """Return how often this task itself was cancelled, and not what it waits for."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


class SignalSubscriber:
    """Calls a function of yours with each signal.

    Parameters
    ----------
    url
        `redis://HOST:PORT/DATABASE` (or `rediss://`), or `kafka://HOST:PORT,HOST:PORT`.
    group
        Kafka alone: the consumer group to go on from. Without one only new signals come.
    silence_s
        Redis alone: seconds without a word until the connection is tested; after as many more without an
        answer it is made anew.
    options
        Further arguments of the client: `redis.asyncio.Redis.from_url`, or `aiokafka.AIOKafkaConsumer`.

    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/1",
        *,
        group: str | None = None,
        silence_s: float = 15.0,
        **options: Any,
    ) -> None:
        self._url = url
        self._group = group
        self._silence_s = silence_s
        self._options = options
        self._known = KAFKA_CHANNELS if url.startswith(_KAFKA) else contract.CHANNELS
        self._listening: set[asyncio.Task[None]] = set()

    async def subscribe(self, channels: str | Iterable[str], callback: Callback) -> None:
        """Listen until cancelled or closed, whatever happens to the server in between.

        Topics of Kafka that are missing are waited for, and not made.

        `callback(channel, data)` is a plain or an async function; the next signal waits for it. If it
        raises, that is logged and the next signal comes all the same; a `NoSignalError` is logged in one
        line, as what cannot be read is. A signal that comes again (Kafka delivers at least once) is left
        out: per channel and symbol the order is (timestamp, sequence).

        Raises
        ------
        ValueError
            A channel is none of those that this server has; the message lists them. Or a URL of Kafka is
            none, or has a password, which goes into the options.
        redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError
            Redis refuses.
        aiokafka.errors.TopicAuthorizationFailedError, aiokafka.errors.GroupAuthorizationFailedError
            Kafka refuses.
        aiokafka.errors.SaslAuthenticationFailed
            Kafka refuses the name or the password.
        ssl.SSLCertVerificationError
            Nobody vouches for the broker.

        """
        chosen = [channels] if isinstance(channels, str) else list(channels)
        self._check(chosen)
        task = asyncio.create_task(self._listen(chosen, _Delivery(callback)))
        self._listening.add(task)
        try:
            await asyncio.wait({task})
        finally:
            self._listening.discard(task)
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def close(self) -> None:
        """End every `subscribe` of this object; it may be called from the callback."""
        ended, self._listening = self._listening, set()
        for task in ended:
            task.cancel()
        if others := ended - {asyncio.current_task()}:
            await asyncio.wait(others)

    def _check(self, channels: Sequence[str]) -> None:
        if self._url.startswith(_KAFKA) and not _SERVERS.fullmatch(self._url):
            raise ValueError(
                "expected kafka://HOST:PORT,HOST:PORT; a name and a password go into sasl_plain_username and "
                "sasl_plain_password"
            )
        unknown = [channel for channel in channels if channel not in self._known]
        if unknown or not channels:
            named = ", ".join(unknown) or "none"
            raise ValueError(f"unknown channels: {named}; choose from {', '.join(self._known)}")

    async def _listen(self, channels: Sequence[str], delivery: _Delivery) -> None:
        outage = _Outage()
        kafka = self._url.startswith(_KAFKA)
        connect = self._kafka_messages if kafka else self._redis_messages
        while True:
            try:
                async with aclosing(connect(channels, outage)) as messages:
                    async for message in messages:
                        await delivery.hand_over(message)
                        if asyncio.current_task() not in self._listening:
                            await asyncio.sleep(0)  # where it ends if the callback closed it
                            return  # and here if the callback kept its cancellation to itself
            except _REFUSED:
                raise
            except _TROUBLE as error:
                await outage.wait(error)

    async def _redis_messages(self, channels: Sequence[str], outage: _Outage) -> _Messages:
        # No error is redis-py's to handle: it would connect and subscribe anew inside, and then raise (8.1),
        # and what was published to that subscription would be lost.
        retry = Retry(NoBackoff(), 0, supported_errors=())
        options = {"socket_connect_timeout": _ANSWER_S, "socket_timeout": _ANSWER_S} | self._options
        client: Redis = Redis.from_url(self._url, retry=retry, **options)
        # Messages are decoded here, whatever the options or the URL want.
        client.connection_pool.connection_kwargs["decode_responses"] = False
        async with client, client.pubsub() as pubsub:
            await pubsub.subscribe(*channels)
            outage.end()
            asked = False
            while True:
                message = await pubsub.get_message(timeout=self._silence_s)
                if message is not None and message["type"] == "message":
                    channel = message["channel"].decode()
                    yield _Message(channel, message["data"], channel)
                elif message is None and asked:
                    raise RedisConnectionError("Redis does not answer any more")
                elif message is None:
                    await pubsub.ping()
                asked = message is None

    async def _kafka_messages(self, channels: Sequence[str], outage: _Outage) -> _Messages:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._url.removeprefix(_KAFKA),
            group_id=self._group,
            enable_auto_commit=False,
            **{"auto_offset_reset": "latest"} | self._options,
        )
        keep_steady(consumer)
        try:
            await self._start(consumer)
            await require_topics(consumer, channels)  # or the broker would make one that is missing
            consumer.subscribe(channels)
            outage.end()
            placed: set[Any] = set()
            while True:
                batches = await consumer.getmany(timeout_ms=1_000)
                for record in (record for batch in batches.values() for record in batch):
                    place = f"{record.topic}/{record.partition}/{record.offset}"
                    yield _Message(record.topic, record.value or b"", place)
                fetched = {place for place in consumer.assignment() if consumer.highwater(place) is not None}
                if self._group and (batches or fetched != placed):
                    # Only now, after the callback has had them all; and where nothing came, lest the group
                    # begin at what is new whenever it comes back.
                    await consumer.commit()
                placed = fetched
        finally:
            await consumer.stop()

    async def _start(self, consumer: AIOKafkaConsumer) -> None:
        try:
            await consumer.start()
        except KafkaConnectionError:
            await self._ask_why()
            raise

    async def _ask_why(self) -> None:
        """Connect to the brokers once more, and raise what they say: aiokafka (0.14) tells its log alone."""
        known = inspect.signature(create_conn).parameters
        options = {name: value for name, value in self._options.items() if name in known}
        for host, port, _ in collect_hosts(self._url.removeprefix(_KAFKA)):
            try:
                (await create_conn(host, port, **options)).close()
            except _TROUBLE as error:
                for kind, advice in _REFUSED_BY_KAFKA:
                    if isinstance(error, kind):
                        raise kind(*error.args[:-1], f"{error.args[-1]} ({advice})") from error
                raise
