"""Connections to Redis, one server or a cluster, and what to do when there are none."""

from itertools import chain
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

Client: TypeAlias = Redis | RedisCluster

TROUBLE: Final = (RedisError, RedisClusterException, OSError)
"""What commands raise when Redis is away, full, read-only or refuses: try again later."""

_RIGHTS: Final = (
    "let the Redis user run EVALSHA, SCRIPT LOAD, PUBLISH, +@read and +@write on the pipeline's keys and on "
    "its channels, &cascade:*"
)
_ADVICE: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...]] = (
    (
        (AuthenticationError, AuthorizationError),
        "Redis refuses the password: set PIPELINE_REDIS_PASSWORD",
    ),
    (NoPermissionError, _RIGHTS),
    (OutOfMemoryError, "Redis is out of memory: raise its maxmemory, or free some"),
    (ReadOnlyError, "this is a read-only replica: set PIPELINE_REDIS_URL to the primary"),
    (MovedError, "this is a Redis cluster: set PIPELINE_REDIS_CLUSTER=true"),
    (ClusterDownError, "a part of the Redis cluster is down: see its CLUSTER INFO"),
    (BusyLoadingError, "Redis is reading its data from disk: wait"),
    (RedisTimeoutError, "Redis does not answer in time: is it stopped, or busy with something slow?"),
    (
        (RedisConnectionError, RedisClusterException, OSError),
        "Redis cannot be reached: start it, or correct PIPELINE_REDIS_URL",
    ),
)
_ADVICE_BY_WORDS: Final = {
    "ACL failure in script": _RIGHTS,
    "CERTIFICATE_VERIFY_FAILED": "nobody vouches for Redis's certificate: set PIPELINE_REDIS_CA_FILE",
    "DB index is out of range": "PIPELINE_REDIS_URL names a database that this Redis has not",
    "max number of clients": "Redis has too many clients: raise its maxclients, or end some of them",
}
"""For what redis-py has no error of its own."""


def connect(url: str, *, cluster: bool = False, **options: Any) -> Client:
    """Return a client that waits for nothing longer than told and leaves trying again to its caller.

    Parameters
    ----------
    url
        `redis://`, `rediss://` or `unix://`, with a user, a password and a database if need be.
    cluster
        Whether the URL names a node of a cluster, which has database 0 alone.
    options
        Further arguments of redis-py's client; a password counts if the URL has none.

    """
    options = {"socket_connect_timeout": 2.0, "socket_timeout": 2.0} | options
    options["retry"] = Retry(NoBackoff(), 0)
    if cluster:
        return RedisCluster.from_url(without_database(url), **options)
    client: Redis = Redis.from_url(url, **options)
    return client


def without_database(url: str) -> str:
    """Return the URL of a cluster's node: a cluster has database 0 alone, and none is named."""
    return urlsplit(url)._replace(path="").geturl()


def advise(error: Exception) -> str:
    """Say what to do about trouble with Redis."""
    said = (advice for words, advice in _ADVICE_BY_WORDS.items() if words in str(error))
    kind = (advice for kinds, advice in _ADVICE if isinstance(error, kinds))
    return next(chain(said, kind), "see Redis's own log")
