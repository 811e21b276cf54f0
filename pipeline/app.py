"""The composition root: a worker from its settings. Wiring, no logic."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import faust
import mode

from pipeline.agents.projection import create_projection_agent
from pipeline.agents.stages import create_intake_agent, create_stage_agent
from pipeline.engine import create_stages
from pipeline.runtime.application import Application
from pipeline.runtime.assignor import Assignor
from pipeline.runtime.memory import collect_briefly
from pipeline.runtime.profiles import load_profile
from pipeline.runtime.tracing import export_spans
from pipeline.runtime.upstream import check_versions
from pipeline.settings import wants_spans
from pipeline.sinks.connection import connect
from pipeline.sinks.plan import Rules
from pipeline.sinks.projection import Projection
from pipeline.sinks.redis import RedisSink
from pipeline.web.server import WebServer, application_options
from pipeline.web.views import create_views

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.signals.profile import Profile


def create_app(settings: Settings) -> Application:
    """Return the Faust application of a worker.

    Raises
    ------
    ProfileError
        The profile cannot be used.
    UnknownVersionError
        Faust or aiokafka have a version that the runtime was not tested with.

    """
    check_versions(allow_unknown=settings.allow_unknown_versions)
    profile = load_profile(settings.profile)
    stages = create_stages(profile)
    app = Application(settings, stages, profile.reference, WebServer, **_faust_options(settings))
    create_intake_agent(app)
    for place in range(len(stages)):
        create_stage_agent(app, place)
    projection = _projection(settings, profile) if settings.redis_enabled else None
    if projection is not None:
        create_projection_agent(app, projection)
    if settings.web_enabled:
        create_views(app, profile, projection)
    if wants_spans():
        export_spans(app)
    app.task(app.checkpoint.run)
    app.task(collect_briefly)
    return app


def _projection(settings: Settings, profile: Profile) -> Projection:
    client = connect(settings.redis_url, cluster=settings.redis_cluster, **settings.redis_client_options())
    rules = Rules(
        reference=profile.reference,
        history_level=settings.history_level,
        fresh_seconds=settings.fresh_seconds,
    )
    return Projection(RedisSink(client, rules))


def _faust_options(settings: Settings) -> dict[str, Any]:
    return {
        "broker": [f"kafka://{server}" for server in settings.bootstrap_servers],
        "broker_credentials": _credentials(settings),
        "broker_session_timeout": settings.session_timeout,
        "broker_heartbeat_interval": settings.heartbeat_interval,
        "broker_rebalance_timeout": settings.rebalance_timeout,
        "broker_request_timeout": max(40.0, settings.session_timeout),
        "broker_max_poll_records": settings.max_poll_records,
        # A worker whose budget is full polls nothing, and stays a member: its heartbeats say that it lives.
        "broker_max_poll_interval": 30 * 86_400.0,
        "broker_commit_interval": settings.commit_interval,
        "consumer_group_instance_id": settings.group_instance_id,
        "consumer_metadata_max_age_ms": 10_000,  # a topic that changed under the worker is soon noticed
        "consumer_max_fetch_size": 1 << 20,  # of a partition: more would be held whenever state is read anew
        "producer_acks": -1,
        "producer_linger": settings.producer_linger_ms / 1_000,
        "producer_compression_type": None
        if settings.producer_compression == "none"
        else settings.producer_compression,
        "producer_max_batch_size": 256 << 10,
        "producer_request_timeout": 30.0,
        "topic_partitions": settings.partitions,
        "topic_replication_factor": settings.replication_factor,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "table_standby_replicas": 0,
        "stream_wait_empty": False,
        "PartitionAssignor": Assignor,
        "agent_supervisor": mode.CrashingSupervisor,
        "web_enabled": settings.web_enabled,
        "web_bind": settings.web_bind,
        "web_port": settings.web_port,
        "canonical_url": settings.own_url,
        "web_application_options": application_options(),
        "autodiscover": False,
        "datadir": tempfile.gettempdir(),  # Faust makes it, and nothing of the pipeline's lies there
        "logging_config": None,
    }


def _credentials(settings: Settings) -> Any:
    context = settings.ssl_context()
    if settings.uses_sasl and settings.sasl_password is not None:
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context=context)
