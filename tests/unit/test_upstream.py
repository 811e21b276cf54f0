"""Pins the insides of Faust and aiokafka that the runtime overrides, replaces or looks into.

They are no public interface, so any release may change them. A test that fails here says what to read: what
changed upstream, and the file of the runtime that leans on it. Once that is reviewed, pin the new shape.
"""

import hashlib
import importlib
import inspect
import re
from importlib.metadata import version
from typing import NamedTuple

import pytest

from pipeline.runtime import application, assignor, batches, recovery, store, transport, upstream
from pipeline.runtime.upstream import KNOWN, UnknownVersionError, check_versions
from pipeline.web import server


class Shape(NamedTuple):
    """The beginning of the SHA-256 of a function's source, and its parameters."""

    digest: str
    parameters: str


class Part(NamedTuple):
    """Functions of one class or module, and the file of the runtime that leans on them."""

    owner: str
    review: str
    functions: dict[str, Shape]


UPSTREAM = (
    Part(
        "faust.transport.consumer:Consumer",
        "runtime/transport.py",
        {
            "__init__": Shape(
                "302410d59e69",
                "transport callback on_partitions_revoked on_partitions_assigned "
                "commit_interval commit_livelock_soft_timeout loop kwargs",
            ),
            "getmany": Shape("4b168d84882a", "timeout"),
            "_wait_next_records": Shape("6218e1969a63", "timeout"),
            "_drain_messages": Shape("44a2500309e8", "fetcher"),
            "_add_gap": Shape("4df2573ded7c", "tp offset_from offset_to"),
            "verify_all_partitions_active": Shape("4e0e46f5c297", ""),
            "commit": Shape("a354437baaa0", "topics start_new_transaction"),
            "force_commit": Shape("cc094614d22c", "topics start_new_transaction"),
            "_commit_tps": Shape("a20e230b05ae", "tps start_new_transaction"),
            "_filter_committable_offsets": Shape("dc5e9baf5d99", "tps"),
            "_commit_offsets": Shape("1a6979904118", "offsets start_new_transaction"),
            "_filter_tps_with_pending_acks": Shape("f6f923977423", "topics"),
            "_new_offset": Shape("1d2c7ea89a7a", "tp"),
            "_should_commit": Shape("5ce941793947", "tp offset"),
            "on_partitions_revoked": Shape("d04b7ae72c6f", "revoked"),
            "on_partitions_assigned": Shape("29ce96596f05", "assigned generation_id"),
            "perform_seek": Shape("0e8c130ff4b0", ""),
            "stop_flow": Shape("cf7e875a2b0d", ""),
            "resume_flow": Shape("db59630f25b5", ""),
            "wait_empty": Shape("e4662fe24f09", ""),
            "commit_and_end_transactions": Shape("892377824b11", ""),
            "on_task_error": Shape("0d7f23d0bb26", "exc"),
            "maybe_wait_for_commit_to_finish": Shape("d687f63a0b5e", ""),
        },
    ),
    Part(
        "faust.transport.consumer:ThreadDelegateConsumer",
        "runtime/transport.py",
        {
            "__init__": Shape("7072ae80eac1", "args kwargs"),
            "_getmany": Shape("f9d47aa9010b", "active_partitions timeout"),
            "_commit": Shape("a20eec84e4b2", "offsets"),
            "seek_to_committed": Shape("f1d483b861b0", ""),
        },
    ),
    Part(
        "faust.transport.drivers.aiokafka:Consumer",
        "runtime/transport.py",
        {
            "_new_consumer_thread": Shape("0870ec53dea7", ""),
            "_to_message": Shape("7c24f6511b2f", "tp record"),
            "on_stop": Shape("173f86b366f3", ""),
        },
    ),
    Part(
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread",
        "runtime/transport.py",
        {
            "_create_consumer": Shape("a4dc6ba0681a", "loop"),
            "_create_worker_consumer": Shape("c2701bfc3e6f", "transport"),
            "on_start": Shape("38b4e8bd1e10", ""),
            "getmany": Shape("26fc5fc9f3b6", "active_partitions timeout"),
            "_fetch_records": Shape("39a2c6c79fc1", "consumer active_partitions timeout max_records"),
            "_ensure_consumer": Shape("ff4a4c693b7e", ""),
        },
    ),
    Part(
        "mode.threads:ServiceThread",
        "runtime/transport.py",
        {
            "__init__": Shape("82979878990c", "executor loop thread_loop Worker kwargs"),
            "start": Shape("f11841038a03", ""),
            "stop": Shape("32d026539c36", ""),
            "crash": Shape("68a766aadc5f", "exc"),
            "set_shutdown": Shape("ada84bf0cade", ""),
            "_shutdown_thread": Shape("d7377862e734", ""),
            "_serve": Shape("67809eae0957", ""),
        },
    ),
    Part(
        "mode.threads:QueueServiceThread",
        "runtime/transport.py",
        {
            "call_thread": Shape("479edda75b54", "fun args kwargs"),
            "on_thread_started": Shape("73f6333fc9c9", ""),
            "on_thread_stop": Shape("b58a5dbce24f", ""),
        },
    ),
    Part(
        "faust.transport.drivers.aiokafka:Producer",
        "runtime/transport.py",
        {
            "_settings_extra": Shape("a4c7bc41b638", ""),
            "_new_producer": Shape("e72355c3430e", "transactional_id"),
        },
    ),
    Part(
        "faust.transport.drivers.aiokafka",
        "runtime/transport.py",
        {
            "ensure_aiokafka_TP": Shape("8bab82bf8643", "tp"),
        },
    ),
    Part(
        "faust.transport.conductor:ConductorCompiler",
        "runtime/transport.py",
        {
            "build": Shape("837cf521368c", "conductor tp channels"),
        },
    ),
    Part(
        "faust.serializers.schemas:Schema",
        "runtime/batches.py",
        {
            "loads_key": Shape("9adc30303f20", "app message loads serializer"),
            "loads_value": Shape("61a4628b4e09", "app message loads serializer"),
        },
    ),
    Part(
        "aiokafka.consumer.consumer:AIOKafkaConsumer",
        "runtime/transport.py",
        {
            "seek_to_committed": Shape("f6cd85c8b70a", "partitions"),
            "seek_to_beginning": Shape("231229deedd7", "partitions"),
            "start": Shape("2f1ba7044332", ""),
        },
    ),
    Part(
        "aiokafka.consumer.fetcher:Fetcher",
        "runtime/transport.py",
        {
            "fetched_records": Shape("be4348896b9b", "partitions timeout max_records"),
            "_proc_fetch_request": Shape("59bf948fff47", "assignment node_id request"),
        },
    ),
    Part(
        "aiokafka.consumer.fetcher:Fetcher",
        "runtime/lanes.py",
        {
            "_fetch_requests_routine": Shape("2a8ec5932644", ""),
            "_get_actions_per_node": Shape("1dab2cf937d1", "assignment"),
            "_select_read_replica": Shape("70f0665e44fc", "tp"),
        },
    ),
    Part(
        "aiokafka.client:AIOKafkaClient",
        "runtime/lanes.py",
        {
            "_get_conn": Shape("68ce5d839171", "node_id group no_hint"),
            "send": Shape("246b277687d7", "node_id request group"),
        },
    ),
    Part(
        "aiokafka.producer.message_accumulator:MessageAccumulator",
        "runtime/lanes.py",
        {"drain_by_nodes": Shape("fc995afbfc57", "ignore_nodes muted_partitions")},
    ),
    Part(
        "aiokafka.producer.sender:SendProduceReqHandler",
        "runtime/lanes.py",
        {"do": Shape("2dccd3d56b16", "node_id")},
    ),
    Part(
        "aiokafka.consumer.subscription_state:SubscriptionState",
        "runtime/transport.py",
        {
            "subscription": Shape("fbbd34b17218", ""),
        },
    ),
    Part(
        "aiokafka.consumer.subscription_state:Subscription",
        "runtime/transport.py",
        {
            "assignment": Shape("3357225d2120", ""),
        },
    ),
    Part(
        "aiokafka.consumer.subscription_state:Assignment",
        "runtime/transport.py",
        {
            "state_value": Shape("183fea82ef48", "tp"),
        },
    ),
    Part(
        "aiokafka.consumer.subscription_state:TopicPartitionState",
        "runtime/transport.py",
        {
            "__init__": Shape("f0b391da1b87", "assignment"),
            "has_valid_position": Shape("ebe7c39d949a", ""),
            "position": Shape("816b6b289bd1", ""),
        },
    ),
    Part(
        "mode.services:Service",
        "runtime/application.py",
        {"_crash": Shape("7bc0c709a151", "reason")},
    ),
    Part(
        "faust.app.base:App",
        "runtime/application.py",
        {
            "_new_transport": Shape("42db531312dd", ""),
            "on_stop": Shape("bfe5a933defb", ""),
            "_producer_flush": Shape("35c92baa028d", "logger"),
            "_on_partitions_revoked": Shape("d5c895bbe57d", "revoked"),
            "_on_partitions_assigned": Shape("de932b7927db", "assigned generation_id"),
            "_new_web": Shape("9558ffdcacfa", ""),
            "_on_rebalance_when_stopped": Shape("1b172d9af8ff", ""),
            "__init__": Shape("698e2bf236c6", "id monitor config_source loop beacon options"),
        },
    ),
    Part(
        "faust.channels:Channel",
        "runtime/application.py",
        {
            "queue": Shape("549dd774f3e3", ""),
            "put": Shape("81477c39c70b", "value"),
            "clone": Shape("8252a0ce722d", "is_iterator kwargs"),
            "__init__": Shape(
                "e34582eb2b2a",
                "app schema key_type value_type is_iterator queue maxsize root active_partitions loop",
            ),
        },
    ),
    Part(
        "mode.utils.queues:FlowControlQueue",
        "runtime/application.py",
        {
            "__init__": Shape("965b0ca0d6c2", "maxsize flow_control clear_on_resume kwargs"),
        },
    ),
    Part(
        "mode.utils.queues:FlowControlEvent",
        "runtime/application.py",
        {
            "resume": Shape("4dcdc1253fd0", ""),
        },
    ),
    Part(
        "faust.transport.consumer:ThreadDelegateConsumer",
        "runtime/application.py",
        {
            "highwaters": Shape("3a2723b22582", "partitions"),
        },
    ),
    Part(
        "faust.tables.recovery:Recovery",
        "runtime/application.py",
        {
            "on_recovery_completed": Shape("6ef567acf072", "generation_id"),
        },
    ),
    Part(
        "faust.streams:Stream",
        "runtime/application.py",
        {
            "noack": Shape("921a6f5c674d", ""),
        },
    ),
    Part(
        "aiokafka.producer.producer:AIOKafkaProducer",
        "runtime/delivery.py",
        {
            "send": Shape("08ce81263f43", "topic value key partition timestamp_ms headers"),
        },
    ),
    Part(
        "aiokafka.producer.message_accumulator:MessageAccumulator",
        "runtime/delivery.py",
        {
            "add_message": Shape("56ff7e6c1918", "tp key value timeout timestamp_ms headers"),
            "_append_batch": Shape("4762abfc42cb", "builder tp"),
            "_pop_batch": Shape("41cc98a298ef", "tp"),
            "reenqueue": Shape("f75f518a1ae2", "batch"),
            "drain_by_nodes": Shape("fc995afbfc57", "ignore_nodes muted_partitions"),
            "fail_all": Shape("f1e12e8100bf", "exception"),
        },
    ),
    Part(
        "aiokafka.producer.message_accumulator:MessageBatch",
        "runtime/delivery.py",
        {
            "append": Shape("e3ff2fc253fd", "key value timestamp_ms _create_future headers"),
            "done": Shape("2d765e5c2dc8", "base_offset timestamp log_start_offset _record_metadata_class"),
            "failure": Shape("719b2122c318", "exception"),
        },
    ),
    Part(
        "aiokafka.producer.message_accumulator:BatchBuilder",
        "runtime/delivery.py",
        {
            "append": Shape("657d76f55157", "timestamp key value headers"),
        },
    ),
    Part(
        "faust.transport.drivers.aiokafka:Producer",
        "runtime/delivery.py",
        {
            "_ensure_producer": Shape("5592a4bbdf25", ""),
        },
    ),
    Part(
        "faust.stores.base:Store",
        "runtime/store.py",
        {
            "__init__": Shape(
                "d1705e3cfe39",
                "url app table table_name key_type value_type key_serializer value_serializer options kwargs",
            ),
            "persisted_offset": Shape("73f86712cc3b", "tp"),
            "set_persisted_offset": Shape("1dac35f34b4d", "tp offset"),
            "on_rebalance": Shape("a32fbe3c18de", "assigned revoked newly_assigned generation_id"),
            "on_recovery_completed": Shape("f23a8252662c", "active_tps standby_tps"),
        },
    ),
    Part(
        "faust.types.stores:StoreT",
        "runtime/store.py",
        {
            "apply_changelog_batch": Shape("a7ecf45a441e", "batch to_key to_value"),
            "backup_partition": Shape("b39292d519e1", "tp flush purge keep"),
            "reset_state": Shape("2debbab93e7d", ""),
            "restore_backup": Shape("a1f67993ee62", "tp latest backup_id"),
        },
    ),
    Part(
        "faust.tables.base:Collection",
        "runtime/store.py",
        {
            "_new_store": Shape("914a2bda605d", ""),
            "apply_changelog_batch": Shape("b980a78d3ae9", "batch"),
            "on_rebalance": Shape("0812ad692171", "assigned revoked newly_assigned generation_id"),
            "changelog_topic_name": Shape("9da6539a13a6", ""),
            "data": Shape("ade4a02ddd55", ""),
        },
    ),
    Part(
        "faust.tables.recovery:Recovery",
        "runtime/store.py",
        {
            "_build_offsets": Shape("27eec86be06c", "consumer tps destination title"),
            "_slurp_changelogs": Shape("7825c7e50f76", ""),
        },
    ),
    Part(
        "aiokafka.consumer.group_coordinator:GroupCoordinator",
        "runtime/lease.py",
        {
            "_do_heartbeat": Shape("dc1d6632aaa6", ""),
            "_heartbeat_routine": Shape("61d010289522", ""),
            "_send_req": Shape("fa4b12e914ce", "request"),
        },
    ),
    Part(
        "aiokafka.consumer.group_coordinator:CoordinatorGroupRebalance",
        "runtime/lease.py",
        {
            "_send_sync_group_request": Shape("7429ca078ddf", "request"),
        },
    ),
    Part(
        "aiokafka.producer.sender:Sender",
        "runtime/lease.py",
        {
            "_sender_routine": Shape("2380dc5e333d", ""),
            "_send_produce_req": Shape("aea01ae4b6c7", "node_id batches"),
            "_fail_all": Shape("5a67e3b6f87b", "task"),
        },
    ),
    Part(
        "faust.tables.recovery:Recovery",
        "runtime/recovery.py",
        {
            "_build_highwaters": Shape("91b4cc0d3724", "consumer tps destination title"),
            "_wait": Shape("ec7429b70176", "coro timeout"),
            "_restart_recovery": Shape("6bd8a8558a2d", ""),
        },
    ),
    Part(
        "faust.tables.manager:TableManager",
        "runtime/recovery.py",
        {
            "recovery": Shape("f0bf5de78b4c", ""),
        },
    ),
    Part(
        "aiokafka.admin.client:AIOKafkaAdminClient",
        "runtime/topics.py",
        {"_send_request": Shape("1ed126f126dd", "request node_id")},
    ),
    Part(
        "aiokafka.protocol.metadata:MetadataRequest",
        "runtime/topics.py",
        {"__init__": Shape("1c8b37994402", "topics allow_auto_topic_creation")},
    ),
    Part(
        "aiokafka.partitioner",
        "runtime/placement.py",
        {
            "murmur2": Shape("62179ca18494", "data"),
        },
    ),
    Part(
        "faust.web.drivers.aiohttp:Web",
        "web/server.py",
        {"__init__": Shape("52b00c1bd653", "app kwargs"), "start_server": Shape("b0c4f1049182", "")},
    ),
    Part(
        "faust.assignor.partition_assignor:PartitionAssignor",
        "runtime/assignor.py",
        {"on_assignment": Shape("72f34bf053d6", "assignment"), "_url": Shape("a1c9e893ba7e", "")},
    ),
    Part(
        "aiokafka.consumer.group_coordinator:GroupCoordinator",
        "runtime/transport.py",
        {"request_rejoin": Shape("f70a261c91c3", "")},
    ),
    Part(
        "aiokafka.consumer.group_coordinator:GroupCoordinator",
        "runtime/membership.py",
        {
            "_push_error_to_user": Shape("743ff515bd7e", "exc"),
            "_stop_heartbeat_task": Shape("b3022a920670", ""),
        },
    ),
    Part(
        "aiokafka.consumer.fetcher:PartitionRecords",
        "runtime/headers.py",
        {"_unpack_records": Shape("b803e6d46480", "")},
    ),
    Part(
        "aiokafka.record.memory_records:_MemoryRecordsPy",
        "runtime/headers.py",
        {
            "next_batch": Shape("f1779ecb6d0d", "_min_slice _magic_offset"),
        },
    ),
    Part(
        "aiokafka.record.default_records:_DefaultRecordBatchPy",
        "runtime/headers.py",
        {
            "__iter__": Shape("492967e59f45", ""),
            "_read_msg": Shape("0997ab7a5850", "decode_varint"),
        },
    ),
    Part("faust.web.base:Web", "web/server.py", {"_enabled_blueprints": Shape("0a5b53f233d4", "")}),
    Part(
        "faust.web.views:View",
        "web/server.py",
        {"dispatch": Shape("24747b3470d5", "request"), "get_methods": Shape("ff18b1ababd7", "")},
    ),
)

FUNCTIONS = [(part, name) for part in UPSTREAM for name in part.functions]
OURS = (
    application.Application,
    application.HandOver,
    assignor.Assignor,
    batches.BatchSchema,
    recovery.Recovery,
    store.SnapshotStore,
    store.SnapshotTable,
    transport.Consumer,
    transport.LoopConsumer,
    transport.Producer,
    transport.Transport,
    server.WebServer,
)
"""The runtime's classes that are derived from upstream ones."""


def find(owner, name):
    """Return a function of a class or module, however it is decorated."""
    module, _, kind = owner.partition(":")
    found = importlib.import_module(module)
    if kind:
        found = getattr(found, kind)
    found = inspect.getattr_static(found, name)
    for wrapping in ("fget", "fun", "__wrapped__"):
        found = getattr(found, wrapping, None) or found
    return found


def shape_of(owner, name):
    function = find(owner, name)
    source = inspect.getsource(function).encode()
    parameters = " ".join(name for name in inspect.signature(function).parameters if name != "self")
    return Shape(hashlib.sha256(source).hexdigest()[:12], parameters)


def overridden():
    """Yield what the runtime's classes override, as the upstream class that defines it and the name."""
    for ours in OURS:
        for name, value in vars(ours).items():
            if callable(value) or isinstance(value, property):
                for base in ours.__mro__[1:]:
                    if name in vars(base) and base.__module__.split(".")[0] in {"faust", "mode", "aiokafka"}:
                        yield f"{base.__module__}:{base.__qualname__}", name
                        break


@pytest.mark.parametrize(
    ("part", "name"), FUNCTIONS, ids=[f"{part.owner.rpartition('.')[2]}.{name}" for part, name in FUNCTIONS]
)
def test_what_the_runtime_leans_on_is_as_it_was_when_reviewed(part, name):
    distribution = {"faust": "faust-streaming", "mode": "mode-streaming", "aiokafka": "aiokafka"}[
        part.owner.split(".", maxsplit=1)[0]
    ]
    found = shape_of(part.owner, name)
    assert found == part.functions[name], (
        f"{part.owner}.{name} of {distribution} {version(distribution)} is not what pipeline/{part.review} "
        f"was written for. Read both, mend the latter, then pin {found} here."
    )


def test_everything_that_the_runtime_overrides_is_pinned():
    pinned = {(part.owner, name) for part, name in FUNCTIONS}
    plain = {"__init__", "__post_init__", "Consumer", "Producer"}  # extended or replaced as a whole
    missing = {(owner, name) for owner, name in overridden() if name not in plain} - pinned
    assert not missing, f"pin these as well: {sorted(missing)}"


def test_the_files_to_review_exist():
    for part in UPSTREAM:
        module = part.review.removesuffix(".py").replace("/", ".")
        assert importlib.import_module(f"pipeline.{module}").__file__.endswith(part.review)


def test_the_versions_that_are_known_are_those_that_are_installed():
    check_versions(allow_unknown=False)


def test_the_versions_that_are_known_are_those_that_the_package_asks_for(pytestconfig):
    wanted = (pytestconfig.rootpath / "pyproject.toml").read_text()
    for name, known in KNOWN.items():
        major, minor = known.split(".")
        assert re.search(rf'"{name}>={known}(\.\d+)?,<{major}\.{int(minor) + 1}"', wanted)


@pytest.mark.parametrize("found", ["0.16.0", "1.0", "0.1", "0.150.1"])
def test_an_unknown_version_is_refused_with_what_to_do(monkeypatch, found):
    monkeypatch.setattr(upstream, "version", lambda _: found)
    with pytest.raises(UnknownVersionError) as refused:
        check_versions(allow_unknown=False)
    assert str(refused.value) == (
        f"faust-streaming {found} is installed, and the pipeline was tested with 0.15: install "
        "'faust-streaming==0.15.*', or set PIPELINE_ALLOW_UNKNOWN_VERSIONS=true at your own risk"
    )


def test_an_unknown_version_of_either_library_is_refused(monkeypatch):
    monkeypatch.setattr(upstream, "version", lambda name: "0.15.3" if name == "faust-streaming" else "0.15.0")
    with pytest.raises(UnknownVersionError, match=r"^aiokafka 0\.15\.0 is installed"):
        check_versions(allow_unknown=False)


def test_an_unknown_version_passes_when_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(upstream, "version", lambda _: "9.9.9")
    check_versions(allow_unknown=True)
