import pytest

from pipeline import contract
from pipeline.runtime.topic_plan import Found, changelog_topic, find_problems, wanted_topics
from pipeline.settings import Settings

DAY_MS = "86400000"


def wanted(**values):
    return {topic.name: topic for topic in wanted_topics(Settings(app_id="app", **values))}


def as_wanted(topics):
    return {
        name: Found(topic.partitions, topic.replication_factor, topic.config, topic.config)
        for name, topic in topics.items()
    }


def test_every_topic_of_the_contract_and_every_changelog_is_wanted():
    changelogs = {changelog_topic("app", table) for table in contract.TABLES}
    assert set(wanted()) == {*contract.INPUTS, contract.FEED_STATUS, *contract.OUTPUTS, *changelogs}
    assert changelog_topic("app", "velocity") == "app-velocity-changelog"


def test_all_topics_have_the_same_number_of_partitions():
    assert {topic.partitions for topic in wanted(partitions=6).values()} == {6}


def test_state_weights_and_contexts_are_compacted_and_nothing_else():
    compacted = {name for name, topic in wanted().items() if topic.config["cleanup.policy"] == "compact"}
    changelogs = {changelog_topic("app", table) for table in contract.TABLES}
    assert compacted == {contract.CONTROL, contract.CONTEXT, *changelogs}


def test_superseded_snapshots_stay_for_ten_minutes():
    assert wanted()["app-scoring-changelog"].config["min.compaction.lag.ms"] == "600000"


def test_inputs_and_outputs_are_kept_as_long_as_the_settings_say():
    topics = wanted(input_retention_hours=24, output_retention_hours=-1)
    assert {topics[name].config["retention.ms"] for name in contract.FEEDS} == {DAY_MS}
    assert {topics[name].config["retention.ms"] for name in contract.OUTPUTS} == {"-1"}


@pytest.mark.parametrize(("replicas", "least"), [(1, None), (2, None), (3, "2")])
def test_with_three_replicas_two_must_have_a_record(replicas, least):
    configs = [topic.config for topic in wanted(replication_factor=replicas).values()]
    assert {config.get("min.insync.replicas") for config in configs} == {least}


def test_topics_as_wanted_are_no_problem():
    topics = wanted()
    assert find_problems(topics.values(), as_wanted(topics)) == []


def test_too_few_replicas_are_reported_and_do_not_block():
    found = as_wanted(wanted())
    topics = wanted(replication_factor=2)
    problems = find_problems(topics.values(), found)
    assert {problem.text for problem in problems} == {"1 of 2 replicas"}
    assert not any(problem.blocking for problem in problems)


def test_a_shorter_retention_is_reported_and_does_not_block():
    found = as_wanted(wanted(input_retention_hours=24))
    problems = find_problems(wanted().values(), found)
    assert {problem.text for problem in problems} == {f"retention.ms is {DAY_MS}, not 604800000"}
    assert not any(problem.blocking for problem in problems)


def test_another_number_of_partitions_blocks_except_for_dead_letters():
    problems = find_problems(wanted(partitions=8).values(), as_wanted(wanted()))
    assert {problem.topic for problem in problems} == set(wanted()) - {contract.DEAD_LETTERS}
    assert {problem.text for problem in problems} == {"the number of partitions is 4, not 8"}
    assert all(problem.blocking and "PIPELINE_PARTITIONS=4" in problem.remedy for problem in problems)


def test_a_missing_changelog_of_a_group_that_has_committed_had_state_in_it():
    remedies = {problem.topic: problem.remedy for problem in find_problems(wanted().values(), {}, begun=True)}
    lost = {topic for topic, remedy in remedies.items() if "another PIPELINE_APP_ID" in remedy}
    assert lost == {changelog_topic("app", table) for table in contract.TABLES}
    assert {remedies[topic] for topic in remedies.keys() - lost} == {"run `cascade topics apply`"}
