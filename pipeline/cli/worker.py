"""`cascade worker`: run one worker until it is told to stop."""

from __future__ import annotations

import asyncio
import sys

import structlog
import typer
from aiokafka.errors import KafkaError

from pipeline.cli.output import PROBLEM, advise_of_kafka, fail, fail_in_the_log, run
from pipeline.runtime.logs import configure_log
from pipeline.runtime.memory import collect_less
from pipeline.runtime.profiles import load_profile
from pipeline.runtime.topics import check_topics
from pipeline.settings import Settings, load_settings
from pipeline.web.server import WebPortError, check_port

log = structlog.get_logger(__name__)


def worker() -> None:
    """Run a worker until SIGTERM or Ctrl-C; `cascade config check` shows its settings."""
    settings = load_settings()
    configure_log(settings.log, settings.log_level)
    if settings.log == "json":
        fail_in_the_log(log)
    load_profile(settings.profile)  # one that cannot be used is refused before Kafka is asked for anything
    problems = run(check_topics(settings))
    for problem in problems:
        log.warning(str(problem))
    remedies = dict.fromkeys(problem.remedy for problem in problems if problem.blocking)
    if remedies:
        fail(f"the topics are not as they have to be: {'; '.join(remedies)}")
    if settings.web_enabled:
        try:
            check_port(settings.web_bind, settings.web_port)
        except WebPortError as error:
            fail(str(error))
    _serve(settings)


def _serve(settings: Settings) -> None:
    _use_uvloop()
    from faust import Worker  # noqa: PLC0415 - what Faust imports takes its event loop from the policy

    from pipeline.app import create_app  # noqa: PLC0415

    app = create_app(settings)
    collect_less()
    running = Worker(app, quiet=True, override_logging=False, redirect_stdouts=False)
    running.spinner = None  # quiet does not mean it: it writes a terminal's codes to whatever stdout is
    try:
        running.execute_from_commandline()
    except SystemExit as end:
        if (reason := app.crash_reason) is not None:
            advice = f" ({advise_of_kafka(str(reason))})" if isinstance(reason, KafkaError) else ""
            fail(f"stopped: {reason}{advice}", PROBLEM)
        raise typer.Exit(int(end.code or 0)) from None


def _use_uvloop() -> None:
    if sys.platform != "win32":
        import uvloop  # noqa: PLC0415

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
