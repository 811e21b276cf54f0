# ruff: noqa: S105, S106  (the passwords of this file open nothing)
import ssl

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from secured import authority

from pipeline import settings as module
from pipeline.settings import GivenSettings, InvalidSettingsError, Settings, load_settings

PASSWORD = "not-to-be-shown"


def refusal(monkeypatch, **values: str) -> str:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettingsError) as refused:
        load_settings()
    return str(refused.value)


def test_an_empty_environment_gives_the_defaults():
    settings = load_settings()
    assert (settings.app_id, settings.broker, settings.partitions) == ("cascade", "localhost:9092", 4)
    assert settings.redis_url == "redis://localhost:6379/1"


def test_every_setting_is_described():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_variable_overrides_a_default(monkeypatch):
    monkeypatch.setenv("PIPELINE_PARTITIONS", "12")
    assert load_settings().partitions == 12


def test_an_argument_overrides_a_variable(monkeypatch):
    monkeypatch.setenv("PIPELINE_PARTITIONS", "12")
    assert Settings(partitions=3).partitions == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIPELINE_PARTITIONS", "0"),
        ("PIPELINE_PARTITIONS", "many"),
        ("PIPELINE_APP_ID", "a b"),
        ("PIPELINE_BROKER", "localhost"),
        ("PIPELINE_BROKER", "localhost:99999"),
        ("PIPELINE_BROKER", "localhost:0"),
        ("PIPELINE_BROKER", "kafka://localhost:9092"),
        ("PIPELINE_BROKER", "one:9092 two:9092"),
        ("PIPELINE_BROKER", "one:9092,,two:9092"),
        ("PIPELINE_REDIS_URL", "http://localhost"),
        ("PIPELINE_REDIS_URL", "redis://localhost:abc/1"),
        ("PIPELINE_REDIS_URL", "redis://localhost:0/1"),
        ("PIPELINE_REDIS_URL", "redis://localhost:99999/1"),
        ("PIPELINE_REDIS_URL", "redis://localhost:6379/foo"),
        ("PIPELINE_REDIS_URL", "redis://localhost:6379?db=foo"),
        ("PIPELINE_REDIS_URL", "redis://localhost:6379?foo=bar"),
        ("PIPELINE_REDIS_URL", "redis://localhost:6379?socket_timeout=long"),
        ("PIPELINE_REDIS_URL", "redis://localhost:6379?ssl_cert_reqs=none"),
        ("PIPELINE_REDIS_URL", "rediss://localhost:6379?ssl_cert_reqs=some"),
        ("PIPELINE_REDIS_URL", "redis://[::1/1"),
        ("PIPELINE_REDIS_URL", "unix:"),
        ("PIPELINE_SECURITY_PROTOCOL", "TLS"),
        ("PIPELINE_SSL_CA_FILE", "/no/such/file.pem"),
        ("PIPELINE_SSL_CA_FILE", __file__),
        ("PIPELINE_REDIS_CA_FILE", __file__),
        ("PIPELINE_INPUT_RETENTION_HOURS", "0"),
        ("PIPELINE_LOG_LEVEL", "LOUD"),
        ("PIPELINE_HEARTBEAT_INTERVAL", "4"),
        ("PIPELINE_REBALANCE_TIMEOUT", "5"),
        ("PIPELINE_STUCK_AFTER", "0.2"),
        ("PIPELINE_CONTEXT_SETTLE_MS", "250"),
        ("PIPELINE_SESSION_TIMEOUT", "nan"),
    ],
)
def test_an_impossible_value_is_refused_with_the_name_of_its_variable(monkeypatch, name, value):
    assert refusal(monkeypatch, **{name: value}).startswith(f"{name}: ")


def test_every_impossible_value_is_named_at_once(monkeypatch):
    lines = refusal(monkeypatch, PIPELINE_PARTITIONS="0", PIPELINE_MAX_POLL_RECORDS="-1").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["PIPELINE_PARTITIONS", "PIPELINE_MAX_POLL_RECORDS"]


def test_a_mistyped_variable_is_refused(monkeypatch):
    assert refusal(monkeypatch, PIPELINE_PARTITION="8") == "PIPELINE_PARTITION: there is no such setting"


def test_a_name_in_small_letters_is_refused_and_not_handed_on(monkeypatch):
    """Pydantic would read it, and of two that differ in that alone one of them."""
    assert refusal(monkeypatch, pipeline_broker="b:1") == "pipeline_broker: there is no such setting"
    assert "pipeline_broker" not in GivenSettings().child_environment()


def test_sasl_needs_a_name_and_a_password(monkeypatch):
    text = refusal(monkeypatch, PIPELINE_SECURITY_PROTOCOL="SASL_SSL", PIPELINE_SASL_USERNAME="me")
    assert text == "PIPELINE_SASL_USERNAME: needed, with PIPELINE_SASL_PASSWORD, by SASL_SSL"


def test_a_client_certificate_needs_its_key(monkeypatch, tmp_path):
    (tmp_path / "cert.pem").touch()
    text = refusal(monkeypatch, PIPELINE_SSL_CERT_FILE=str(tmp_path / "cert.pem"))
    assert text.startswith("PIPELINE_SSL_CERT_FILE: goes with PIPELINE_SSL_KEY_FILE")


def test_a_secret_is_read_from_the_file_that_is_named(monkeypatch, tmp_path):
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("PIPELINE_REDIS_PASSWORD_FILE", str(tmp_path / "password"))
    secret = load_settings().redis_password
    assert secret is not None
    assert secret.get_secret_value() == PASSWORD


def test_a_secret_file_that_is_not_there_is_refused(monkeypatch):
    text = refusal(monkeypatch, PIPELINE_REDIS_PASSWORD_FILE="/no/such/file")
    assert text.startswith("PIPELINE_REDIS_PASSWORD_FILE: ")


def test_an_empty_secret_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "password").write_text(" \n")
    text = refusal(monkeypatch, PIPELINE_SASL_PASSWORD_FILE=str(tmp_path / "password"))
    assert text == f"PIPELINE_SASL_PASSWORD_FILE: there is nothing in {tmp_path / 'password'}"


def test_a_secret_and_a_file_of_it_are_refused_together(monkeypatch, tmp_path):
    (tmp_path / "password").write_text("another")
    path = str(tmp_path / "password")
    text = refusal(monkeypatch, PIPELINE_REDIS_PASSWORD=PASSWORD, PIPELINE_REDIS_PASSWORD_FILE=path)
    assert text.startswith("PIPELINE_REDIS_PASSWORD_FILE: stands for PIPELINE_REDIS_PASSWORD")
    assert PASSWORD not in text


@pytest.mark.parametrize("url", ["redis://me:{}@host:1/2", "unix:///run/redis.sock?password={}"])
def test_two_passwords_of_redis_are_refused_together(monkeypatch, url):
    """Redis' client would take that of the URL, and tell nobody."""
    text = refusal(monkeypatch, PIPELINE_REDIS_URL=url.format(PASSWORD), PIPELINE_REDIS_PASSWORD="another")
    assert text == "PIPELINE_REDIS_PASSWORD: PIPELINE_REDIS_URL has one: give one of them"


def test_a_name_without_a_password_in_the_url_goes_with_redis_password():
    settings = Settings(redis_url="redis://me:@host:1/2", redis_password=PASSWORD)
    assert settings.redis_client_options()["password"] == PASSWORD


def test_the_environment_has_no_say_in_settings_that_a_program_gives(monkeypatch):
    for name, value in {
        "PARTITIONS": "many",
        "PROFILE": "adaptive",
        "WEB_TOKEN_FILE": "/no/such/file",
    }.items():
        monkeypatch.setenv(f"PIPELINE_{name}", value)
    settings = GivenSettings(broker="here:1")
    assert (settings.broker, settings.partitions, settings.profile) == ("here:1", 4, "seed")
    assert "PIPELINE_WEB_TOKEN" not in settings.child_environment()


def test_only_secrets_can_be_files(monkeypatch):
    assert "PIPELINE_APP_ID_FILE" in refusal(monkeypatch, PIPELINE_APP_ID_FILE="/etc/hostname")


def test_secrets_are_never_shown():
    settings = Settings(sasl_password=PASSWORD, redis_url=f"redis://me:{PASSWORD}@host:1/2")
    shown = settings.redacted()
    assert PASSWORD not in f"{settings!r} {shown}"
    assert shown["PIPELINE_SASL_PASSWORD"] == "********"
    assert shown["PIPELINE_REDIS_URL"] == "redis://me:********@host:1/2"
    assert shown["PIPELINE_SSL_CA_FILE"] == ""
    assert Settings().redacted()["PIPELINE_REDIS_URL"] == "redis://localhost:6379/1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:{}@h:1/1?password={}", "redis://u:********@h:1/1?password=********"),
        (
            "rediss://h:1/1?db=2&p%61ssword={}&protocol=3",
            "rediss://h:1/1?db=2&p%61ssword=********&protocol=3",
        ),
        ("rediss://h:1/1?ssl_password={}", "rediss://h:1/1?ssl_password=********"),
        ("unix:///run/redis.sock?password={}", "unix:///run/redis.sock?password=********"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ],
)
def test_a_password_in_a_url_is_hidden_wherever_it_stands(url, shown):
    settings = Settings(redis_url=url.replace("{}", PASSWORD))
    assert settings.redacted()["PIPELINE_REDIS_URL"] == shown


def test_a_refused_secret_is_not_shown(monkeypatch):
    text = refusal(monkeypatch, PIPELINE_REDIS_URL=f"http://me:{PASSWORD}@host", PIPELINE_PARTITIONS=PASSWORD)
    assert PASSWORD not in text
    for name, value in (
        ("PIPELINE_REDIS_URL", f"redis://:{PASSWORD}/x@host:1/1"),
        ("PIPELINE_REDIS_URL", f"redis://:x/{PASSWORD}@host:1/1"),
        ("PIPELINE_REDIS_URL", f"redis://:12#{PASSWORD}@host:1/1"),  # with 12 taken for a port
        ("PIPELINE_REDIS_URL", f"redis://:12?{PASSWORD}@host:1/1"),
        ("PIPELINE_REDIS_URL", f"unix://:12/{PASSWORD}@/run/redis.sock"),
        ("PIPELINE_BROKER", f"kafka://me:{PASSWORD}@host:1"),
        ("PIPELINE_BROKER", f"me:{PASSWORD}@host:1"),
        ("PIPELINE_WEB_URL", f"http://me:{PASSWORD}@host:1"),
    ):
        text = refusal(monkeypatch, **{name: value})
        assert name in text
        assert PASSWORD not in text


@pytest.mark.parametrize(
    "url",
    [
        *("redis://", "redis://h", "redis://h/", "rediss://me:a%2Fb@h:1/15", "redis://[::1]:6379/0"),
        *("unix:///run/redis.sock?db=3", "redis://h?db=2&protocol=3"),
    ],
)
def test_every_form_of_a_redis_url_that_the_client_understands_is_taken(url):
    assert Settings(redis_url=url).redis_url == url


def test_a_plain_connection_has_no_tls_and_no_user():
    assert Settings(broker="one:9092, two:9093").kafka_client_options() == {
        "bootstrap_servers": ["one:9092", "two:9093"],
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
    }


def test_a_protected_connection_verifies_the_broker_and_names_the_user():
    settings = Settings(security_protocol="SASL_SSL", sasl_username="me", sasl_password=PASSWORD)
    options = settings.kafka_client_options()
    assert options["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert options["ssl_context"].check_hostname
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("SCRAM-SHA-512", "me")
    assert options["sasl_plain_password"] == PASSWORD


@pytest.mark.parametrize(("scheme", "given"), [("redis", False), ("rediss", True)])
def test_whoever_vouches_for_redis_is_named_where_there_is_tls(tmp_path, scheme, given):
    _, path = authority(tmp_path)
    settings = Settings(redis_url=f"{scheme}://h:1/1", redis_ca_file=path)
    assert settings.redis_client_options().get("ssl_ca_certs") == (str(path) if given else None)


@pytest.fixture
def certificate(tmp_path):
    """Return the files of a client's certificate and its key."""
    made = trustme.CA().issue_cert("client.example")
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    made.cert_chain_pems[0].write_to_path(paths[0])
    made.private_key_pem.write_to_path(paths[1])
    return paths


def encrypted(path):
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"a password"),
    )


@pytest.mark.parametrize("spoil", [encrypted, lambda _: b"no key", lambda _: b""])
def test_a_client_certificate_that_cannot_be_used_is_refused_and_no_password_asked_for(
    monkeypatch, certificate, spoil
):
    cert, key = certificate
    key.write_bytes(spoil(key))
    chosen = {"PIPELINE_SSL_CERT_FILE": str(cert), "PIPELINE_SSL_KEY_FILE": str(key)}
    text = refusal(monkeypatch, PIPELINE_SECURITY_PROTOCOL="SSL", **chosen)
    assert text.startswith("PIPELINE_SSL_CERT_FILE: expected a certificate (PEM), and in PIPELINE_SSL")


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Settings().partitions = 2  # type: ignore[misc]


def test_the_test_suites_own_variables_are_no_settings(monkeypatch):
    monkeypatch.setenv("PIPELINE_TEST_BROKER", "localhost:1")
    assert load_settings() == module.Settings()


def test_a_child_process_finds_the_same_settings_and_no_others(monkeypatch, tmp_path):
    _, path = authority(tmp_path)
    settings = Settings(partitions=7, redis_password=PASSWORD, redis_enabled=False, ssl_ca_file=path)
    monkeypatch.setenv("PIPELINE_APP_ID", "of-the-parent")
    environment = settings.child_environment()
    monkeypatch.setattr("os.environ", environment)
    assert load_settings() == settings
    assert environment["PATH"]
