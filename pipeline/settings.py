"""Settings of a deployment, from the environment: the only place that reads it.

Every variable begins with `PIPELINE_`. A secret X may also be given as a file, by `PIPELINE_X_FILE`.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args
from urllib.parse import parse_qs, unquote_plus, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from pipeline.messages import Level  # noqa: TC001 - pydantic reads annotations

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

PREFIX: Final = "PIPELINE_"
FOREVER: Final = -1
SHORTEST_TOKEN: Final = 8
_HIDDEN: Final = "********"
_FOREIGN: Final = (f"{PREFIX}TEST_", f"{PREFIX}RECORDED_")
"""Variables of the test suite, which share the prefix."""


def _some_hours(hours: int) -> int:
    if hours == 0:
        raise ValueError("expected hours > 0, or -1 for ever")
    return hours


Seconds = Annotated[float, Field(gt=0, le=3_600)]
RetentionHours = Annotated[int, Field(ge=FOREVER, le=1_000_000), AfterValidator(_some_hours)]


class Settings(BaseSettings):
    """Everything that may differ between deployments."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    app_id: str = Field(
        default="cascade",
        pattern=r"^[A-Za-z0-9._-]+$",
        max_length=100,
        description="Consumer group and prefix of the changelog topics; a new one starts with empty state.",
    )
    broker: str = Field(
        default="localhost:9092", description="Kafka bootstrap servers: host:port, comma-separated."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How to connect to Kafka."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="SASL mechanism, used with SASL_PLAINTEXT and SASL_SSL."
    )
    sasl_username: str | None = Field(default=None, description="SASL user name.")
    sasl_password: SecretStr | None = Field(default=None, description="SASL password (secret).")
    ssl_ca_file: Path | None = Field(
        default=None, description="CA certificates (PEM) that vouch for the brokers; by default the system's."
    )
    ssl_cert_file: Path | None = Field(default=None, description="Client certificate (PEM).")
    ssl_key_file: Path | None = Field(default=None, description="Key of the client certificate (PEM).")

    partitions: int = Field(
        default=4,
        ge=1,
        le=1_000,
        description="Partitions of every input topic and changelog: the most workers of use.",
    )
    replication_factor: int = Field(
        default=1,
        ge=1,
        le=10,
        description="Copies of every topic; 3 in production (then min.insync.replicas is 2).",
    )
    input_retention_hours: RetentionHours = Field(
        default=168, description="Hours that records of the input topics are kept; -1 for ever."
    )
    output_retention_hours: RetentionHours = Field(
        default=168, description="Hours that records of the output topics are kept; -1 for ever."
    )

    redis_enabled: bool = Field(default=True, description="Whether to project signals and state to Redis.")
    redis_url: str = Field(
        default="redis://localhost:6379/1",
        repr=False,
        description="Redis or Valkey: redis://, rediss:// or unix://.",
    )
    redis_password: SecretStr | None = Field(
        default=None, description="Redis password (secret), instead of in the URL."
    )
    redis_ca_file: Path | None = Field(
        default=None,
        description="CA certificates (PEM) that vouch for Redis at rediss://; by default the system's.",
    )
    redis_cluster: bool = Field(default=False, description="Whether Redis is a cluster (database 0).")
    redis_connect_timeout: Seconds = Field(
        default=2.0, description="Seconds to wait for a connection to Redis."
    )
    redis_timeout: Seconds = Field(default=2.0, description="Seconds to wait for an answer of Redis.")
    fresh_seconds: float = Field(
        default=10.0,
        gt=0,
        le=60,
        description="Seconds after its Kafka record until which a signal is still published on a channel.",
    )
    history_level: Level = Field(
        default="ALERT", description="Lowest level that enters a symbol's signal history in Redis."
    )

    profile: str = Field(
        default="seed", min_length=1, description="`seed`, `adaptive`, or the path of a profile file."
    )
    max_symbols: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Most symbols of a partition; records of further ones become dead letters.",
    )
    merge_settle_ms: int = Field(
        default=250,
        ge=0,
        le=60_000,
        description="How long a record of a backlog waits for older ones on other topics.",
    )
    context_settle_ms: int = Field(
        default=5_000,
        ge=0,
        le=60_000,
        description="How long a record of a backlog waits for the market context of its time: more than "
        "`PIPELINE_MERGE_SETTLE_MS`.",
    )

    session_timeout: Seconds = Field(
        default=10.0,
        description="Seconds without a heartbeat after which a worker's partitions go to others.",
    )
    heartbeat_interval: Seconds = Field(default=2.0, description="Seconds between heartbeats.")
    rebalance_timeout: Seconds = Field(
        default=30.0, description="Seconds that workers have to join a rebalance."
    )
    group_instance_id: str | None = Field(
        default=None,
        min_length=1,
        description="Name of this worker in its group (static membership), kept over restarts.",
    )
    fetch_max_wait_ms: int = Field(
        default=10,
        ge=0,
        le=5_000,
        description="How long a broker holds back an empty fetch; inputs wait for each other's, outputs too."
        " The less, the more CPU an idle worker takes.",
    )
    max_poll_records: int = Field(
        default=2_000, ge=1, le=100_000, description="Most records taken in one poll."
    )
    checkpoint_interval: Seconds = Field(
        default=0.2,
        description="Seconds between checkpoints under load; idle workers, and a spent budget, make them at"
        " once.",
    )
    commit_interval: Seconds = Field(default=1.0, description="Seconds between commits of offsets.")
    budget_records: int = Field(
        default=20_000, ge=1, description="Most records in flight before reading pauses."
    )
    budget_bytes: int = Field(
        default=64 << 20, ge=1 << 20, description="Most bytes in flight before reading pauses."
    )
    producer_linger_ms: int = Field(
        default=0, ge=0, le=1_000, description="How long the producer waits to fill a batch."
    )
    producer_compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="snappy", description="Compression of what is sent to Kafka."
    )

    producer_idempotence: bool = Field(
        default=True,
        description="Whether a retry neither doubles nor reorders records; false for brokers that cannot.",
    )

    web_enabled: bool = Field(default=True, description="Whether a worker serves its web views.")
    web_bind: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address that the web views are served on; 0.0.0.0 for all.",
    )
    web_port: int = Field(
        default=6_066,
        ge=1,
        le=65_535,
        description="Port of the web views; each worker of a machine needs its own.",
    )
    web_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s@]+$",
        description="Where other workers reach this one's web views; by default http://HOST:PORT.",
    )
    web_token: SecretStr | None = Field(
        default=None,
        description="Token that changes over HTTP have to show (secret); without one they are refused.",
    )
    stuck_after: Seconds = Field(
        default=300.0, description="Seconds without progress after which a worker says that it does not live."
    )

    log: Literal["console", "json"] = Field(default="console", description="Form of the log.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least that is logged."
    )
    allow_unknown_versions: bool = Field(
        default=False,
        description="Start with versions of Faust and aiokafka that the pipeline was not tested with.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then the environment, then the files that the environment names."""
        return init_settings, env_settings, _SecretFiles(settings_cls)

    @field_validator("broker")
    @classmethod
    def _check_broker(cls, text: str) -> str:
        for server in text.split(","):
            host, _, port = server.strip().rpartition(":")
            if not (re.fullmatch(r"[^\s/@]+", host) and port.isdecimal() and 0 < int(port) <= 65_535):  # noqa: PLR2004
                raise ValueError(
                    f"expected host:port[,host:port...]; a user's name and password are {PREFIX}SASL_USERNAME"
                    f" and {PREFIX}SASL_PASSWORD"
                )
        return text

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: str) -> str:
        try:
            connections: Any = ConnectionPool.from_url(url)
            connections.make_connection()  # which connects to nothing yet
            usable = _is_redis_url(url)
        except (ValueError, TypeError, RedisError):  # its text may show a part of the password
            usable = False
        if not usable:
            raise ValueError(
                "expected redis://HOST:PORT/DATABASE, rediss:// or unix://, the database a number and a"
                " password's special characters percent-encoded, and after a ? options of redis-py"
            )
        return url

    @field_validator("ssl_ca_file", "ssl_cert_file", "ssl_key_file", "redis_ca_file")
    @classmethod
    def _check_file(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"there is no file {path}")
        return path

    @field_validator("ssl_ca_file", "redis_ca_file")
    @classmethod
    def _check_authority(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                ssl.create_default_context(cafile=path)
            except OSError as error:  # ssl.SSLError is one
                raise ValueError(f"there are no certificates (PEM) in {path}: {error}") from None
        return path

    @field_validator("web_token")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < SHORTEST_TOKEN:
            raise ValueError(f"expected at least {SHORTEST_TOKEN} characters, or no such variable")
        return token

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        if self.uses_sasl and not (self.sasl_username and self.sasl_password):
            raise ValueError(
                f"{PREFIX}SASL_USERNAME: needed, with {PREFIX}SASL_PASSWORD, by {self.security_protocol}"
            )
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise ValueError(f"{PREFIX}SSL_CERT_FILE: goes with {PREFIX}SSL_KEY_FILE: give both or neither")
        try:
            self.ssl_context()
        except OSError as error:
            raise ValueError(
                f"{PREFIX}SSL_CERT_FILE: expected a certificate (PEM), and in {PREFIX}SSL_KEY_FILE its key, "
                f"not encrypted: {error}"
            ) from None
        if self.redis_password is not None and _has_password(self.redis_url):
            raise ValueError(f"{PREFIX}REDIS_PASSWORD: {PREFIX}REDIS_URL has one: give one of them")
        if self.heartbeat_interval > self.session_timeout / 3:
            raise ValueError(f"{PREFIX}HEARTBEAT_INTERVAL: at most a third of {PREFIX}SESSION_TIMEOUT")
        if self.rebalance_timeout < self.session_timeout:
            raise ValueError(f"{PREFIX}REBALANCE_TIMEOUT: at least {PREFIX}SESSION_TIMEOUT")
        if self.stuck_after <= self.checkpoint_interval:
            raise ValueError(f"{PREFIX}STUCK_AFTER: more than {PREFIX}CHECKPOINT_INTERVAL")
        if self.context_settle_ms <= self.merge_settle_ms:
            raise ValueError(
                f"{PREFIX}CONTEXT_SETTLE_MS: more than {PREFIX}MERGE_SETTLE_MS: the context is made of "
                "prices that waited for other topics first"
            )
        return self

    @property
    def uses_sasl(self) -> bool:
        """Whether Kafka asks for a user name and a password."""
        return self.security_protocol.startswith("SASL_")

    @property
    def bootstrap_servers(self) -> list[str]:
        """The bootstrap servers, each as host:port."""
        return [server.strip() for server in self.broker.split(",")]

    @property
    def own_url(self) -> str:
        """Where other workers reach this one's web views."""
        if self.web_url is not None:
            return self.web_url
        host = socket.gethostname() if self.web_bind in ("0.0.0.0", "::") else self.web_bind  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.web_port}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context of the connection to Kafka, or None where it is not encrypted."""
        if not self.security_protocol.endswith("SSL"):
            return None
        context = ssl.create_default_context(cafile=self.ssl_ca_file)
        if self.ssl_cert_file is not None:
            # An empty password: without one OpenSSL asks for that of an encrypted key, at the terminal.
            context.load_cert_chain(self.ssl_cert_file, self.ssl_key_file, password="")
        return context

    def kafka_client_options(self) -> dict[str, Any]:
        """Return the connection arguments of aiokafka's consumer, producer and admin client."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.sasl_password is not None and self.uses_sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password.get_secret_value(),
            }
        return options

    def redis_client_options(self) -> dict[str, Any]:
        """Return the connection arguments of redis-py's clients, but for the URL."""
        password = self.redis_password
        options: dict[str, Any] = {
            "password": None if password is None else password.get_secret_value(),
            "socket_connect_timeout": self.redis_connect_timeout,
            "socket_timeout": self.redis_timeout,
        }
        if self.redis_ca_file is not None and self.redis_url.startswith("rediss:"):
            options["ssl_ca_certs"] = str(self.redis_ca_file)
        return options

    def child_environment(self) -> dict[str, str]:
        """Return the environment in which a child process finds these settings alone."""
        own = given()
        others = {name: value for name, value in os.environ.items() if name not in own}
        return others | {variable(name): _reveal(value) for name, value in self if value is not None}

    def redacted(self) -> dict[str, str]:
        """Return every variable with the value in force, secrets hidden."""
        shown = {variable(name): _show(value) for name, value in self}
        shown[variable("redis_url")] = _without_password(self.redis_url)
        return shown


class GivenSettings(Settings):
    """Settings that a program gives: the environment has no say in them."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_args: Any,
        **_sources: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments alone."""
        return (init_settings,)


class InvalidSettingsError(ValueError):
    """Variables that cannot be used: one line for each, with its name."""


class _SecretFiles(PydanticBaseSettingsSource):
    """Secrets read from the files that `PIPELINE_X_FILE` name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        name = _file_variable(field_name)
        path = os.environ.get(name)
        if path is not None and variable(field_name) in os.environ:
            raise InvalidSettingsError(f"{name}: stands for {variable(field_name)}: give one of them")
        return None if path is None else _read_secret(name, path), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(Settings.model_fields[name], name)[0] for name in SECRETS}
        return {name: value for name, value in found.items() if value is not None}


def _read_secret(name: str, path: str) -> str:
    try:
        secret = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingsError(f"{name}: {error}") from None
    if not secret:
        raise InvalidSettingsError(f"{name}: there is nothing in {path}")
    return secret


SECRETS: Final = tuple(
    name for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)
)
"""Fields that may also be given as a file."""


def variable(field: str) -> str:
    """Return the name of a field's variable."""
    return PREFIX + field.upper()


def variables() -> list[str]:
    """Return the name of every variable."""
    names = [variable(name) for name in Settings.model_fields]
    return names + [_file_variable(name) for name in SECRETS]


def given() -> list[str]:
    """Return what the environment has of the pipeline's prefix, in small letters too: pydantic reads them."""
    return [name for name in os.environ if name.upper().startswith(PREFIX) and not name.startswith(_FOREIGN)]


def load_settings() -> Settings:
    """Read the environment.

    Raises
    ------
    InvalidSettingsError
        A variable has a value that cannot be used, a file that it names cannot be read, or a variable with
        the pipeline's prefix is unknown (a mistyped name would otherwise be a setting silently not in force).
    """
    problems = [f"{name}: there is no such setting" for name in given() if name not in variables()]
    if problems:
        raise InvalidSettingsError("\n".join(problems))
    try:
        return Settings()
    except ValidationError as error:
        raise InvalidSettingsError("\n".join(map(_problem, error.errors()))) from None


def wants_spans() -> bool:
    """Tell whether OpenTelemetry's own variables name a collector of spans; it reads the rest by itself."""
    names = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    return any(os.environ.get(name) for name in names)


def _problem(error: ErrorDetails) -> str:
    text = error["msg"].removeprefix("Value error, ")
    return f"{variable(str(error['loc'][0]))}: {text}" if error["loc"] else text


def _file_variable(field: str) -> str:
    return f"{variable(field)}_FILE"


def _reveal(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _show(value: object) -> str:
    if isinstance(value, SecretStr):
        return _HIDDEN
    return "" if value is None else str(value)


def _is_redis_url(url: str) -> bool:
    parts = urlsplit(url)
    if "@" in parts.path + parts.query + parts.fragment:  # then the password has a /, a ? or a #
        return False
    databases = parse_qs(parts.query).get("db", [])
    if parts.scheme in {"redis", "rediss"} and parts.port != 0:
        databases.append(parts.path.strip("/") or "0")
    elif parts.scheme != "unix" or not parts.path:
        return False
    return all(re.fullmatch("[0-9]{1,5}", database) for database in databases)


def _has_password(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.password) or "password" in parse_qs(parts.query)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    place, mark, query = url.partition("?")
    if parts.password is not None:
        user, _, host = parts.netloc.rpartition("@")
        place = place.replace(parts.netloc, f"{user.partition(':')[0]}:{_HIDDEN}@{host}", 1)
    return place + mark + "&".join(map(_without_value, query.split("&")))


def _without_value(part: str) -> str:
    name, _, _ = part.partition("=")
    return f"{name}={_HIDDEN}" if "password" in unquote_plus(name) else part
