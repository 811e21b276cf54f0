"""Servers that prove who they are and ask who you are: Kafka and Valkey, with passwords over TLS.

The certificates are made when they are needed, by an authority of the tests' own.
"""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from cryptography.hazmat.primitives import serialization
from passage import Passage
from servers import HOST, KafkaServer, ValkeyServer, ask, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

USER = "worker"
PASSWORD = "kept-between-us"  # noqa: S105 - it opens nothing

_DENY, _ALLOW = 2, 3
_OPERATIONS = {
    "read": 3,
    "write": 4,
    "create": 5,
    "describe": 8,
    "describe configs": 10,
    "alter configs": 11,
}


def authority(directory: Path) -> tuple[trustme.CA, Path]:
    """Return a new certificate authority, and the file of its certificate."""
    made, path = trustme.CA(), directory / f"ca-{free_port()}.pem"
    made.cert_pem.write_to_path(path)
    return made, path


class SecuredKafkaServer(KafkaServer):
    """Apache Kafka that asks for passwords on one listener, for certificates on another, both over TLS.

    The plain one is for itself and for `answers`.
    """

    def __init__(self, ca: trustme.CA, hostname: str = HOST) -> None:
        self.secured_port, self.mutual_port = free_port(), free_port()
        super().__init__()
        store, trusted = self.directory / "server.pem", self.directory / "trusted.pem"
        ca.cert_pem.write_to_path(trusted)
        store.write_bytes(_key_and_chain(ca.issue_cert(hostname)))
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
        text = self.properties.read_text()
        for setting in ("listeners", "advertised.listeners"):
            more = f"SASL_SSL://{HOST}:{self.secured_port},SSL://{HOST}:{self.mutual_port}"
            text = text.replace(f"\n{setting}=PLAINTEXT", f"\n{setting}={more},PLAINTEXT")
        text = text.replace("map=CONTROLLER", "map=SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER")
        text += f"""
inter.broker.listener.name=PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={store}
ssl.truststore.type=PEM
ssl.truststore.location={trusted}
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={plain} required user_{USER}="{PASSWORD}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={scram} required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram} required;
"""
        self.properties.write_text(text)

    def format_options(self) -> list[str]:
        """Return who may come in by SCRAM: that is kept with the data, not with the settings."""
        return [
            option
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for option in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
        ]

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.secured_port}"

    def connection(self, ca_file: Path) -> dict[str, Any]:
        """Return the settings of a client that shows its password."""
        return {
            "broker": self.bootstrap,
            "security_protocol": "SASL_SSL",
            "sasl_username": USER,
            "sasl_password": PASSWORD,
            "ssl_ca_file": ca_file,
        }

    @property
    def mutual(self) -> str:
        """Where clients show certificates."""
        return f"{HOST}:{self.mutual_port}"


class GuardedKafkaServer(SecuredKafkaServer):
    """The same, but the user may do only what is allowed; by the plain listener everybody may do all."""

    def __init__(self, ca: trustme.CA) -> None:
        super().__init__(ca)
        with self.properties.open("a") as properties:
            properties.write(
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
                "super.users=User:ANONYMOUS\n"
            )

    @property
    def plain(self) -> str:
        """Where everything is allowed."""
        return f"{HOST}:{self.port}"

    async def allow(self, operation: str, name: str, resource: str = "topic") -> None:
        """Allow the user an operation on a topic or a group."""
        await self._ask(CreateAclsRequest(*_rule(operation, name, resource, _ALLOW)))

    @asynccontextmanager
    async def denied(self, operation: str, topic: str) -> AsyncIterator[None]:
        """Deny the user an operation on a topic, whatever is allowed."""
        rule = _rule(operation, topic, "topic", _DENY)
        await self._ask(CreateAclsRequest(*rule))
        try:
            yield
        finally:
            await self._ask(DeleteAclsRequest(*rule))

    async def _ask(self, request: Any) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.plain)
        await admin.start()
        try:
            _, [answer] = (await admin._send_request(request)).to_object().values()
            assert not answer["error_code"], answer
        finally:
            await admin.close()


def _rule(operation: str, name: str, resource: str, permission: int) -> tuple[Any, ...]:
    """Return what aiokafka (0.14) calls an ACL: the numbers are Kafka's own, 3 a literal name."""
    kind = {"topic": 2, "group": 3}[resource]
    return kind, name, 3, f"User:{USER}", "*", _OPERATIONS[operation], permission


def _key_and_chain(certificate: trustme.LeafCert) -> bytes:
    """Return a certificate with its key as Kafka reads it: PKCS#8."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text + b"".join(part.bytes() for part in certificate.cert_chain_pems)


class SecuredValkeyServer(ValkeyServer):
    """Valkey that asks for a password."""

    def command(self) -> list[str]:
        return [*super().command(), "--requirepass", PASSWORD]

    def answers(self) -> bool:
        return ask(self.port, f"AUTH {PASSWORD}\r\n".encode()).startswith(b"+OK")


@asynccontextmanager
async def tls_before(port: int, ca: trustme.CA, hostname: str = HOST) -> AsyncIterator[int]:
    """Take TLS connections for a server that knows none (as the Valkey of the tests); yield the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(hostname).configure_cert(context)
    async with Passage(port, context) as passage:
        yield passage.port
