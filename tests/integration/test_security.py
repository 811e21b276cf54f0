"""Everything over connections that prove who is there and hide what is said; strangers are told why not."""

from __future__ import annotations

import asyncio
import gc
import ssl
import uuid

import pytest
from aiokafka.errors import SaslAuthenticationFailed
from commands import cascade
from pydantic import SecretStr
from redis.asyncio import Redis
from secured import PASSWORD, SecuredKafkaServer, SecuredValkeyServer, authority, tls_before
from servers import HOST, running
from test_cli_watch import kafka_publisher, publish_until_read, redis_publisher, watching
from test_cli_worker import work
from test_projection import check_redis
from workers import (
    PATIENCE,
    TEST_APP,
    Worker,
    delete_topics,
    differing,
    expected_signals,
    produce,
    read_signals,
    until_caught_up,
)

from pipeline import contract
from pipeline.cli.simulated.simulation import simulate
from pipeline.messages import COMPONENTS
from pipeline.runtime.topics import apply_topics
from pipeline.settings import Settings
from pipeline.subscriber import SignalSubscriber

#: aiokafka (0.14) does not wait until a connection is closed that it only began with, or that was refused.
#: Over TLS that takes until the broker takes leave too: a loop that ends before leaves it to be collected.
UNCLOSED = r"unclosed (transport <_SelectorSocketTransport|<socket.socket fd=\d+, family=2, type=1, proto=6)"

pytestmark = [pytest.mark.java, pytest.mark.filterwarnings(f"ignore:{UNCLOSED}:ResourceWarning")]

WRONG = "not-the-right-one"


@pytest.fixture(autouse=True)
def collected():
    """Let garbage be collected while such connections may be among it."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    """Return the authority that vouches for the servers, and the file of its certificate."""
    return authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def kafka(trusted):
    with running(SecuredKafkaServer(trusted[0])) as server:
        yield server


@pytest.fixture(scope="module")
def valkey():
    with running(SecuredValkeyServer()) as server:
        yield server


@pytest.fixture
async def settings(kafka, valkey, trusted):
    ca, path = trusted
    async with tls_before(valkey.port, ca) as port:
        yield Settings(
            **kafka.connection(path),
            redis_url=f"rediss://{HOST}:{port}/1",
            redis_password=PASSWORD,
            redis_ca_file=path,
            input_retention_hours=-1,
            session_timeout=6.0,
            app_id=f"{TEST_APP}{uuid.uuid4().hex[:8]}",
        )


def but(settings: Settings, **changes) -> Settings:
    return settings.model_copy(update={name: value for name, value in Settings(**changes) if name in changes})


@pytest.fixture
async def topics(settings):
    """Make the topics anew, and Redis empty: what an earlier market wrote there is no older."""
    await delete_topics(settings)
    await apply_topics(settings)
    async with Redis.from_url(settings.redis_url, **settings.redis_client_options()) as redis:
        await redis.flushdb()


@pytest.fixture(scope="module")
def certified(trusted, kafka, tmp_path_factory):
    """Return the settings of a client that shows a certificate, and no password."""
    directory = tmp_path_factory.mktemp("certified")
    cert, key = directory / "client.pem", directory / "client.key"
    issued = trusted[0].issue_cert("client.example")
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(cert, append=True)
    return {
        "broker": kafka.mutual,
        "security_protocol": "SSL",
        "sasl_username": None,
        "sasl_password": None,
        "ssl_cert_file": cert,
        "ssl_key_file": key,
    }


@pytest.mark.usefixtures("topics")
@pytest.mark.parametrize("proof", ["SCRAM-SHA-256", "SCRAM-SHA-512", "certificate"])
async def test_a_worker_works_over_tls_and_never_shows_a_password(settings, certified, proof):
    chosen = settings.model_copy(update=certified if proof == "certificate" else {"sasl_mechanism": proof})
    ticks = list(simulate(20, seed=31))
    await produce(chosen, ticks)
    with Worker(chosen) as worker:
        await until_caught_up(chosen, (*contract.FEEDS, *contract.PROJECTED), workers=[worker])
        assert worker.stop() == 0
        assert PASSWORD not in worker.text()
    expected = expected_signals(ticks)
    assert differing(await read_signals(chosen), expected) == []
    await check_redis(chosen.redis_url, expected, **chosen.redis_client_options())


@pytest.mark.usefixtures("topics")
async def test_the_log_at_its_fullest_shows_no_password(settings):
    with Worker(but(settings, sasl_mechanism="PLAIN", log_level="DEBUG")) as worker:
        await worker.until_ready()
        assert worker.stop() == 0
        assert "Authenticated as" in worker.text(), "DEBUG does not reach Kafka's client"
        assert PASSWORD not in worker.text()


@pytest.mark.usefixtures("topics")
async def test_every_command_works_over_tls_with_passwords(settings):
    weights = [f"{name}={number}" for number, name in enumerate(COMPONENTS, 1)]
    for command in (
        *(("topics", "plan"), ("topics", "apply"), ("topics", "check")),
        *(("weights", "set", *weights), ("weights", "get"), ("weights", "reset")),
        ("dead-letters", "list"),
        ("config", "check"),
    ):
        result = await cascade(settings, *command)
        assert result.exit_code == 0, f"{command}: {result.output}"
        assert PASSWORD not in result.output


@pytest.mark.usefixtures("topics")
@pytest.mark.parametrize(("publisher", "arguments"), [(kafka_publisher, ()), (redis_publisher, ("--redis",))])
async def test_watching_works_over_tls_with_passwords(settings, publisher, arguments):
    async with watching(settings, *arguments) as process, publisher(settings) as publish:
        lines = await publish_until_read(publish, process, ("BTCUSDT", "ALERT"))
    assert {line.split()[2] for line in lines} == {"BTCUSDT"}


BY_KAFKA = [
    *(("watch",), ("topics", "apply"), ("weights", "get"), ("dead-letters", "list")),
    *(("simulate", "--seconds", "20"), ("collect", "gate", "--symbols", "BTCUSDT")),
]


async def refused(settings, *command):
    """Run a command that is expected to be refused; return the last line that it says."""
    result = await cascade(settings, *command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert WRONG not in result.output
    assert PASSWORD not in result.output
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", BY_KAFKA, ids=" ".join)
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_for_kafka_ends_a_command_and_says_so(settings, mechanism, command):
    chosen = but(settings, sasl_mechanism=mechanism, sasl_password=WRONG)
    last = await refused(chosen, *command)
    assert last.startswith("Kafka: ")
    assert last.endswith("(set PIPELINE_SASL_USERNAME and PIPELINE_SASL_PASSWORD)")


@pytest.mark.parametrize("command", BY_KAFKA, ids=" ".join)
async def test_a_broker_that_nobody_vouches_for_is_refused(settings, tmp_path, command):
    _, stranger = authority(tmp_path)
    for path in (stranger, None):  # None: the system's authorities
        last = await refused(but(settings, ssl_ca_file=path), *command)
        assert last.startswith("Kafka: ")
        assert "CERTIFICATE_VERIFY_FAILED" in last
        assert last.endswith("(nobody vouches for the broker's certificate: set PIPELINE_SSL_CA_FILE)")


async def test_a_certificate_for_another_host_is_refused(settings, trusted, valkey):
    ca, _ = trusted
    async with tls_before(valkey.port, ca, "elsewhere.example") as port:
        chosen = but(settings, broker=f"{HOST}:{port}", redis_url=f"rediss://{HOST}:{port}/1")
        for command in (["topics", "plan"], ["watch", "--redis"]):
            assert "CERTIFICATE_VERIFY_FAILED" in await refused(chosen, *command)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"sasl_password": SecretStr(WRONG)}, SaslAuthenticationFailed, "sasl_plain_username"),
        ({"ssl_ca_file": None}, ssl.SSLCertVerificationError, "ssl_context"),
    ],
    ids=["password", "authority"],
)
async def test_a_subscriber_that_kafka_refuses_ends_and_says_so(settings, changes, error, words):
    options = settings.model_copy(update=changes).kafka_client_options()
    subscriber = SignalSubscriber("kafka://" + ",".join(options.pop("bootstrap_servers")), **options)
    with pytest.raises(error, match=words) as raised:
        await asyncio.wait_for(subscriber.subscribe([contract.SIGNALS], print), PATIENCE)
    assert WRONG not in str(raised.value)


async def test_a_redis_that_refuses_ends_a_watch_and_says_so(settings, tmp_path):
    _, stranger = authority(tmp_path)
    last = await refused(but(settings, redis_password=WRONG), "watch", "--redis")
    assert last.startswith("Redis: ")
    assert last.endswith("(Redis refuses the password: set PIPELINE_REDIS_PASSWORD)")
    for path in (stranger, None):
        last = await refused(but(settings, redis_ca_file=path), "watch", "--redis")
        assert last.endswith("(nobody vouches for Redis's certificate: set PIPELINE_REDIS_CA_FILE)")


async def test_a_worker_that_is_refused_ends_and_says_so(settings, certified, tmp_path):
    _, stranger = authority(tmp_path)
    without = {"ssl_cert_file": None, "ssl_key_file": None}
    for changes, words in (
        (certified | without, "PIPELINE_SSL_CERT_FILE if it asks for a certificate"),
        ({"sasl_password": SecretStr(WRONG)}, "set PIPELINE_SASL_USERNAME and PIPELINE_SASL_PASSWORD"),
        ({"ssl_ca_file": stranger}, "set PIPELINE_SSL_CA_FILE"),
    ):
        code, errors = await work(settings, **changes)
        assert code == 1
        assert words in errors.splitlines()[-1]
        assert WRONG not in errors
        assert PASSWORD not in errors
        assert "Traceback" not in errors
