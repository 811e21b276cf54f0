import pytest
from commands import invoke

pytestmark = pytest.mark.usefixtures("log_as_it_was")  # `worker` configures it
SECRET = "not-to-be-shown"  # noqa: S105 - it opens nothing


def test_config_check_shows_what_is_in_force_with_secrets_hidden():
    result = invoke("config", "check", PIPELINE_PARTITIONS="7", PIPELINE_REDIS_PASSWORD=SECRET)
    assert result.exit_code == 0
    assert "PIPELINE_PARTITIONS\t7\n" in result.stdout
    assert "PIPELINE_REDIS_PASSWORD\t********\n" in result.stdout
    assert SECRET not in result.output


@pytest.mark.parametrize("command", [("config", "check"), ("topics", "plan"), ("weights", "get"), ("watch",)])
def test_an_unusable_setting_ends_every_command_with_2_and_the_variables_name(command):
    result = invoke(*command, PIPELINE_PARTITIONS="0")
    assert result.exit_code == 2
    assert result.stderr.startswith("PIPELINE_PARTITIONS: ")
    assert "Traceback" not in result.output


PROFILE_USERS = pytest.mark.parametrize("command", [("config", "check"), ("weights", "get"), ("worker",)])


@PROFILE_USERS
@pytest.mark.parametrize(
    ("text", "reason"),
    [("nonsense = 1", "nonsense"), ("[score]\nfull_velocity = -1", "score.full_velocity: ")],
)
def test_an_unusable_profile_ends_a_command_with_2_and_the_fields_name(tmp_path, command, text, reason):
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\n{text}')
    result = invoke(*command, PIPELINE_PROFILE=str(file), PIPELINE_BROKER="nowhere:1")
    assert result.exit_code == 2
    assert result.stderr.startswith("PIPELINE_PROFILE: ")
    assert reason in result.stderr


@PROFILE_USERS
@pytest.mark.parametrize("path", ["/no/such/profile.toml", "/"])
def test_a_profile_that_is_no_file_ends_a_command_with_2(command, path):
    result = invoke(*command, PIPELINE_PROFILE=path, PIPELINE_BROKER="nowhere:1")
    reason = f"PIPELINE_PROFILE: '{path}': neither a profile's name (seed, adaptive) nor a file\n"
    assert (result.exit_code, result.stderr) == (2, reason)
