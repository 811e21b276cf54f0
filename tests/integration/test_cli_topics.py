import pytest
from aiokafka import AIOKafkaProducer
from commands import cascade

from pipeline import contract
from pipeline.runtime.placement import partition_of


async def test_check_is_satisfied_with_what_apply_made(settings):
    result = await cascade(settings, "topics", "check")
    assert (result.exit_code, result.stdout) == (0, "all topics are as they should be\n")
    assert (await cascade(settings, "topics", "apply")).stdout == "nothing to do\n"


async def test_what_is_missing_is_planned_found_and_made(settings):
    other = settings.model_copy(update={"app_id": f"{settings.app_id}-b"})
    name = f"{other.app_id}-velocity-changelog"
    plan = await cascade(other, "topics", "plan")
    row = next(line.split("\t") for line in plan.stdout.splitlines() if line.startswith(name))
    assert (plan.exit_code, row[1], row[3]) == (0, "4", "missing")
    check = await cascade(other, "topics", "check")
    assert check.exit_code == 1
    assert f"{name}: missing: run `cascade topics apply`" in check.stdout.splitlines()
    apply = await cascade(other, "topics", "apply")
    assert f"created {name}" in apply.stdout.splitlines()
    assert (await cascade(other, "topics", "check")).exit_code == 0


async def test_a_number_of_partitions_that_differs_is_an_error_that_says_what_to_do(settings):
    other = settings.model_copy(update={"partitions": 3})
    result = await cascade(other, "topics", "apply")
    assert result.exit_code == 1
    assert "liquidations: the number of partitions is 4, not 3: set PIPELINE_PARTITIONS=4" in result.stderr


@pytest.mark.parametrize(("key", "shown"), [(b"BTCUSDT", "BTCUSDT"), (b"\x1b[2J\nX", r"\x1b[2J\nX")])
async def test_check_names_keys_that_lie_elsewhere_unless_told_not_to(settings, key, shown):
    right = partition_of(key, settings.partitions)
    wrong = (right + 1) % settings.partitions
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        await producer.send_and_wait(contract.FUNDING, b"{}", key=key, partition=wrong)
    assert (await cascade(settings, "topics", "check", "--no-keys")).exit_code == 0
    result = await cascade(settings, "topics", "check")
    assert result.exit_code == 1
    assert f"funding: key {shown} lies on partition {wrong}, not {right}" in result.stdout


async def test_a_problem_that_stops_no_worker_hides_no_misplaced_key(settings):
    other = settings.model_copy(update={"output_retention_hours": 1})
    wrong = (partition_of(b"BTCUSDT", settings.partitions) + 1) % settings.partitions
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        await producer.send_and_wait(contract.FUNDING, b"{}", key=b"BTCUSDT", partition=wrong)
    result = await cascade(other, "topics", "check")
    assert result.exit_code == 1
    assert "retention.ms is" in result.stdout
    assert f"funding: key BTCUSDT lies on partition {wrong}" in result.stdout
