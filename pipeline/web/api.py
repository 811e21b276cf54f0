"""The JSON API: for the whole fleet, whichever worker is asked."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec
import structlog

from pipeline.features.state import SHARED
from pipeline.features.velocity import VelocityStage
from pipeline.messages import COMPONENTS, check_weights
from pipeline.runtime import control
from pipeline.runtime.placement import partition_of
from pipeline.runtime.topics import NO_KAFKA
from pipeline.signals.scoring import ScoringStage
from pipeline.signals.statistics import merge
from pipeline.signals.weights import name_weights, read_weights
from pipeline.web import answers, query, rows
from pipeline.web.feeds import Feeds
from pipeline.web.fleet import Fleet
from pipeline.web.picture import in_time
from pipeline.web.server import answer, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web

    from pipeline.messages import Control
    from pipeline.runtime.application import Application
    from pipeline.signals.profile import Profile
    from pipeline.signals.scoring_state import SharedState
    from pipeline.web import status
    from pipeline.web.picture import Picture

log = structlog.get_logger(__name__)


class Api:
    """Answers questions about symbols, signals, the market and the fleet.

    With `scope=worker` a worker answers for its own partitions alone: so workers ask each other.
    """

    def __init__(
        self, app: Application, profile: Profile, picture: Picture, own_status: Callable[[], status.Status]
    ) -> None:
        self._app = app
        self._profile = profile
        self._own_weights = read_weights(profile.score.weights)
        self._picture = picture
        self._status = own_status
        self._fleet = Fleet(app, picture)
        self._feeds = Feeds(app.settings)

    async def symbols(self, request: web.Request) -> web.Response:
        """Answer with all symbols, the hottest first."""
        most = query.whole_number(request, query.MOST_ROWS)
        found = rows.hottest(self._picture, most)
        count, by_level = len(self._picture.symbols), rows.by_level(self._picture)
        if query.of_worker(request):
            return answer(answers.Symbols(time.time(), found, count, by_level, self._fleet.own_missing()))
        others, silent = await self._fleet.ask("/api/symbols", answers.Symbols, {"limit": str(most)})
        for other in others:
            found += other.symbols
            count += other.count
            by_level = {level: by_level[level] + other.by_level.get(level, 0) for level in by_level}
        found = sorted(found, key=rows.heat)[:most]
        return answer(
            answers.Symbols(time.time(), found, count, by_level, self._fleet.missing(silent, others))
        )

    async def symbol(self, request: web.Request) -> web.Response:
        """Answer with everything about one symbol."""
        name = query.read_symbol(request.match_info["symbol"])
        seconds = query.whole_number(request, query.PAST)
        own = query.of_worker(request)
        if name in self._picture.symbols:
            place = self._picture.symbols[name].partition
            live = self._app.flow.look(place, VelocityStage.table, name)
            return answer(rows.detail(name, self._picture, live, self._profile.score, seconds))
        if own:
            return problem(404, f"{name}: not known here")
        return await self._symbol_elsewhere(name, seconds)

    async def _symbol_elsewhere(self, name: str, seconds: int) -> web.Response:
        found, silent = await self._fleet.ask(
            f"/api/symbols/{quote(name, safe='')}", answers.SymbolDetail, {"seconds": str(seconds)}
        )
        if found:
            return answer(found[0])
        place = partition_of(name.encode(), self._app.settings.partitions)
        missing = self._fleet.missing([each for each in silent if each[1] != "answered 404"])
        if reasons := [each.reason for each in missing if place in each.partitions]:
            return problem(503, f"{name}: not current, {'; '.join(reasons)}")
        return problem(404, f"{name}: no record of it has come")

    async def signals(self, request: web.Request) -> web.Response:
        """Answer with the newest signals."""
        least, symbol = query.least_level(request, query.LEVEL), query.only_symbol(request)
        most = query.whole_number(request, query.MOST_SIGNALS)
        found = self._picture.newest(least, symbol, most, changes=query.only_changes(request))
        if query.of_worker(request):
            return answer(answers.Signals(found, self._fleet.own_missing()))
        others, silent = await self._fleet.ask("/api/signals", answers.Signals, dict(request.query))
        found += [each for other in others for each in other.signals]
        found.sort(key=in_time, reverse=True)
        return answer(answers.Signals(found[:most], self._fleet.missing(silent, others)))

    async def regime(self, request: web.Request) -> web.Response:
        """Answer with the market regime, what follows from it, and its changes."""
        own = self._regime()
        if query.of_worker(request) or own.regime is not None:
            return answer(own)
        others, silent = await self._fleet.ask("/api/regime", answers.Regime)
        known = next((other for other in others if other.regime is not None), own)
        known.missing = self._fleet.missing(silent, others)
        return answer(known)

    def _regime(self) -> answers.Regime:
        update = self._picture.regime
        age = None if update is None else round(time.time() - update.timestamp, 3)
        changes = list(reversed(self._picture.regimes))
        known = self._picture.symbols.get(self._profile.reference)
        volatility = None if known is None else known.volatility
        return answers.Regime(self._profile.reference, update, volatility, age, changes, [])

    async def feeds(self, _request: web.Request) -> web.Response:
        """Answer with the gaps that collectors tell of."""
        return answer(answers.Feeds(await self._feeds.gaps()))

    async def stats(self, request: web.Request) -> web.Response:
        """Answer with statistics of the signals sent."""
        statistics = self._app.delivery.statistics
        statistics.current_weights = self.weights_on(min(self._app.partitions, default=-1))
        own = answers.WorkerStatistics(str(self._app.conf.canonical_url), statistics.report())
        if query.of_worker(request):
            return answer(answers.Stats(own.statistics, [own], self._fleet.own_missing()))
        others, silent = await self._fleet.ask("/api/stats", answers.Stats)
        workers = [own, *(each for other in others for each in other.workers)]
        total = merge([each.statistics for each in workers])
        return answer(answers.Stats(total, workers, self._fleet.missing(silent, others)))

    async def fleet(self, request: web.Request) -> web.Response:
        """Answer with the status of every worker."""
        own = self._status()
        if query.of_worker(request):
            return answer(answers.Fleet([own], self._fleet.own_missing()))
        others, silent = await self._fleet.ask("/api/fleet", answers.Fleet)
        workers = [own, *(each for other in others for each in other.workers)]
        return answer(answers.Fleet(workers, self._fleet.missing(silent, others)))

    def weights_on(self, partition: int) -> dict[str, float]:
        """Return the weights that are in force on a partition, by component."""
        shared: SharedState | None = self._app.flow.look(partition, ScoringStage.table, SHARED)
        chosen = None if shared is None else shared.weights
        return name_weights(chosen or self._own_weights)

    async def get_weights(self, _request: web.Request) -> web.Response:
        """Answer with the weights in force."""
        try:
            copies = await control.read_weights(self._app.settings)
        except NO_KAFKA as error:
            return problem(503, f"Kafka does not answer: {error}")
        return answer(self._weights_answer(copies))

    async def put_weights(self, request: web.Request) -> web.Response:
        """Put weights in force on every worker."""
        if refused := self._refuse(request):
            return refused
        try:
            given = msgspec.json.decode(await request.read(), type=dict[str, float])
            check_weights(given)
        except (msgspec.MsgspecError, ValueError) as error:
            return problem(400, f"{error}: expected a JSON object with a weight for each of {_NAMES}")
        return await self._set(request, given)

    async def delete_weights(self, request: web.Request) -> web.Response:
        """Go back to the weights of the profile."""
        return self._refuse(request) or await self._set(request, None)

    def _refuse(self, request: web.Request) -> web.Response | None:
        """Return why a change is refused, if it is."""
        token = self._app.settings.web_token
        if token is None:
            return problem(403, "changes over HTTP are off: set PIPELINE_WEB_TOKEN, or use `cascade weights`")
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        given = shown.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() == "bearer" and hmac.compare_digest(given, token.get_secret_value().encode()):
            return None
        log.warning("a change of weights was refused: wrong token", remote=request.remote)
        return problem(401, "expected `Authorization: Bearer TOKEN`", {"WWW-Authenticate": "Bearer"})

    async def _set(self, request: web.Request, weights: Mapping[str, float] | None) -> web.Response:
        try:
            sent = await control.send_weights(self._app.settings, weights)
        except NO_KAFKA as error:
            return problem(503, f"Kafka does not answer, so look at the weights before trying again: {error}")
        log.warning("weights changed over HTTP", remote=request.remote, version=sent.version, weights=weights)
        return answer(self._weights_answer([sent]))

    def _weights_answer(self, copies: list[Control | None]) -> answers.WeightsAnswer:
        found = control.in_force(copies)
        return answers.WeightsAnswer(
            version=found.version,
            profile=self._profile.name,
            from_profile=found.weights is None,
            weights=name_weights(read_weights(found.weights or self._profile.score.weights)),
            behind=found.behind,
        )


_NAMES: Final = ", ".join(COMPONENTS)
