import asyncio
import json

from aiokafka import AIOKafkaProducer
from commands import cascade

from pipeline import codec, contract
from pipeline.codec import Rejection
from pipeline.runtime.dead_letters import replay_letters
from pipeline.runtime.reading import read_topic
from pipeline.runtime.topics import apply_topics

MINUTE_MS = 60_000
START_MS = 1_760_000_000_000


def letter(value: bytes | None, topic: str = contract.PRICES, offset: int = 0, **changes):
    rejection = Rejection(f"reason {offset}", value)
    where = {"partition": 2, "offset": offset, "stage": "read", "key": b"BTCUSDT"}
    return codec.dead_letter(rejection, topic=topic, **where | changes)


async def write(settings, *letters):
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        futures = [
            await producer.send(
                contract.DEAD_LETTERS, codec.encode(body), timestamp_ms=START_MS + number * MINUTE_MS
            )
            for number, body in enumerate(letters)
        ]
        await asyncio.gather(*futures)


async def records(settings, topic):
    return [record async for record in read_topic(settings, topic)]


async def test_letters_are_listed_with_their_reasons_oldest_first(settings):
    await write(settings, letter(b"one"), letter(b"two", contract.FUNDING, 1))
    result = await cascade(settings, "dead-letters", "list")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "written\tsource\tkey\treason",
        "2025-10-09 08:53:20+00:00\tprices/2/0\tBTCUSDT\treason 0",
        "2025-10-09 08:54:20+00:00\tfunding/2/1\tBTCUSDT\treason 1",
    ]


async def test_what_is_no_letter_is_left_out_of_the_list(settings):
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        for value in (None, b'{"topic": "\xff"}', b"{}", codec.encode(letter(b"one"))):
            await producer.send_and_wait(contract.DEAD_LETTERS, value, key=b"BTCUSDT")
    result = await cascade(settings, "dead-letters", "list")
    assert result.exit_code == 0
    assert [line.split("\t")[3] for line in result.stdout.splitlines()] == ["reason", "reason 0"]


async def test_a_list_can_be_cut_by_topic_time_and_number(settings):
    await write(
        settings, *[letter(b"x", offset=offset) for offset in range(4)], letter(b"y", contract.FUNDING, 9)
    )
    since = ("--since", "2025-10-09T10:54:20+02:00")
    result = await cascade(settings, "dead-letters", "list", "--topic", "prices", *since, "--limit", "2")
    assert [line.split("\t")[1] for line in result.stdout.splitlines()[1:]] == ["prices/2/2", "prices/2/3"]
    assert result.stderr == "not shown: 1 older letter (--limit)\n"


async def test_what_was_written_before_a_since_is_not_read(settings):
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        for partition in range(settings.partitions):
            await producer.send_and_wait(contract.DEAD_LETTERS, b"{", partition=partition, timestamp_ms=1)
    await write(settings, letter(b"one"))
    everything = await cascade(settings, "dead-letters", "list", "--since", "1969-12-31")
    assert "is no dead letter" in everything.stderr
    since = await cascade(settings, "dead-letters", "list", "--since", str(START_MS))
    assert [line.split("\t")[3] for line in since.stdout.splitlines()] == ["reason", "reason 0"]
    assert since.stderr == ""


async def test_as_json_every_letter_is_a_line(settings):
    await write(settings, letter(b"\xff\x00"))
    result = await cascade(settings, "dead-letters", "list", "--json")
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["encoding"] == "base64"


async def test_a_replay_sends_the_same_bytes_and_headers_under_the_same_key(settings):
    headers = [("trace", b"7")]
    await write(
        settings,
        letter(b'{"price": 1}', headers=headers),
        letter(b"\xff\x00", contract.CONTROL, 1),
        letter(b"keyless", contract.FUNDING, 2, key=None),
        letter(None, contract.OPEN_INTEREST, 3, key=b"\xffK", headers=[("trace", b"\xfe")]),
    )
    result = await cascade(settings, "dead-letters", "replay", "--yes")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "4 records sent")
    (interest,) = await records(settings, contract.OPEN_INTEREST)
    assert (interest.key, interest.value, interest.headers) == (b"\xffK", None, (("trace", b"\xfe"),))
    (price,) = await records(settings, contract.PRICES)
    assert (price.key, price.value, price.headers) == (b"BTCUSDT", b'{"price": 1}', (("trace", b"7"),))
    (control,) = await records(settings, contract.CONTROL)
    assert (control.partition, control.value) == (2, b"\xff\x00")
    (funding,) = await records(settings, contract.FUNDING)
    assert (funding.key, funding.value) == (None, b"keyless")


async def test_letters_that_hold_nothing_whole_are_not_replayed(settings):
    cut, nothing = letter(b"x" * (codec.LARGEST_LETTER + 1)), letter(None, key=None)
    await write(settings, cut, nothing, letter(b"whole", offset=1))
    result = await cascade(settings, "dead-letters", "replay", "--yes")
    assert result.exit_code == 0
    assert result.stdout.startswith("3 dead letters, 2 of them truncated or empty, which cannot be sent\n")
    assert [record.value for record in await records(settings, contract.PRICES)] == [b"whole"]


async def test_nothing_is_sent_without_a_yes(settings):
    await write(settings, letter(b"one"))
    result = await cascade(settings, "dead-letters", "replay", answer="n\n")
    assert result.exit_code == 1
    assert result.stdout.startswith(
        "1 dead letter, 0 of them truncated or empty, which cannot be sent\nSend 1 record? "
    )
    assert await records(settings, contract.PRICES) == []
    result = await cascade(settings, "dead-letters", "replay", answer="y\n")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "1 record sent")
    assert len(await records(settings, contract.PRICES)) == 1


async def test_without_letters_nothing_is_asked(settings):
    result = await cascade(settings, "dead-letters", "replay")
    assert result.exit_code == 0
    assert result.stdout.startswith("0 dead letters")


async def test_a_replay_that_is_interrupted_does_not_wait_for_a_broker_that_has_stopped(settings, own_broker):
    own = settings.model_copy(update={"broker": own_broker.bootstrap})
    await apply_topics(own)
    stopped = asyncio.Event()

    def letters():
        yield letter(b"one")
        own_broker.pause()
        stopped.set()
        yield letter(b"two")

    replaying = asyncio.create_task(replay_letters(own, letters()))
    await stopped.wait()
    replaying.cancel()
    await asyncio.wait({replaying}, timeout=30)
    assert replaying.cancelled()
