# ruff: noqa: S106  (the password of this file opens nothing)
from pipeline.cli.watch import _from_redis
from pipeline.settings import Settings


def test_a_watch_of_redis_has_the_password_and_the_timeouts_of_the_settings():
    chosen = Settings(redis_password="hidden", redis_connect_timeout=3, redis_timeout=4)
    subscriber = _from_redis(chosen)
    assert subscriber._url == "redis://localhost:6379/1"
    assert subscriber._options == {"password": "hidden", "socket_connect_timeout": 3, "socket_timeout": 4}


def test_a_watch_of_a_cluster_names_no_database():
    subscriber = _from_redis(Settings(redis_url="redis://me@node:1/1", redis_cluster=True))
    assert subscriber._url == "redis://me@node:1"
