"""The vendor's endpoints: which request gets which answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs
from uuid import UUID

from monitor.simulator import answers
from monitor.simulator.mishaps import UNAUTHORIZED, detail, spoil
from monitor.simulator.spoiled_bodies import Case
from monitor.simulator.wire import Reply, encode
from monitor.simulator.words import Endpoint

if TYPE_CHECKING:
    from monitor.simulator.faults import Faults
    from monitor.simulator.ledger import Change
    from monitor.simulator.wire import Request
    from monitor.simulator.world import World

_PROVIDERS: Final = "/v2/user/providers/"
_PATHS: Final = {"/v2/user": Endpoint.LIST, "/v2/user/metrics": Endpoint.METRICS}
_LARGEST_PAGE: Final = 500
_CACHE_BYTES: Final = 256 << 20
NOT_FOUND: Final = Reply(code="404", payload=detail(404, "Not Found"))
NOT_ALLOWED: Final = Reply(code="405", payload=detail(405, "Method Not Allowed", (("allow", "GET"),)))
_REFUSED: Final = Reply(code="401", payload=UNAUTHORIZED)
_INVALID: Final = Reply(code="422", payload=detail(422, "value is not a valid uuid"))


class Api:
    """Answers requests. The bytes of an answer are kept until its user changes."""

    def __init__(self, *, world: World, faults: Faults, api_key: str) -> None:
        self._world = world
        self._faults = faults
        self._api_key = api_key
        self._ready: dict[str, Reply] = {}
        self._ready_bytes = 0
        world.ledger.listen(self._forget)

    def respond(self, request: Request) -> Reply:
        """Return what ``request`` gets, faults included."""
        if not self._faults:
            return self._answer(request)
        endpoint = _endpoint(request.path)
        delay, order = self._faults.strike(_named_user(request.path), endpoint)
        reply = self._answer(request)
        if reply is not NOT_FOUND and order is not None:
            case = Case(order=order, endpoint=endpoint, chance=self._faults.chance, now=self._faults.now())
            reply = spoil(reply, case)
        return replace(reply, delay=delay) if delay else reply

    def _answer(self, request: Request) -> Reply:
        path = request.path
        endpoint = _endpoint(path)
        if endpoint is None:
            return NOT_FOUND
        if request.method != "GET":
            return NOT_ALLOWED
        if request.key != self._api_key:
            return replace(_REFUSED, user_id=_named_user(path))
        if endpoint is Endpoint.POLL:
            return self._poll(path[len(_PROVIDERS) :])
        return self._users(request.query) if endpoint is Endpoint.LIST else self._metrics()

    def _poll(self, raw: str) -> Reply:
        ready = self._ready.get(raw)
        if ready is not None:
            return ready
        try:
            user_id = UUID(raw)
        except ValueError:
            return _INVALID
        reply = self._snapshot(user_id)
        if reply.code == "200" and raw == reply.user_id:
            self._remember(raw, reply)
        return reply

    def _snapshot(self, user_id: UUID) -> Reply:
        user = self._world.users.find(user_id)
        if user is None or user.deleted:
            said = answers.DELETED_USER if user else answers.UNKNOWN_USER
            return Reply(code="404", payload=detail(404, said), user_id=str(user_id))
        return Reply(code="200", payload=encode(200, answers.providers(user)), user_id=user.user_id)

    def _remember(self, user_id: str, reply: Reply) -> None:
        self._ready[user_id] = reply
        self._ready_bytes += len(reply.payload)
        while self._ready_bytes > _CACHE_BYTES:
            self._discard(next(iter(self._ready)))

    def _forget(self, change: Change) -> None:
        if change.user_id in self._ready:
            self._discard(change.user_id)

    def _discard(self, user_id: str) -> None:
        self._ready_bytes -= len(self._ready.pop(user_id).payload)

    def _users(self, query: str) -> Reply:
        asked = parse_qs(query, keep_blank_values=True)
        wrong: list[dict[str, object]] = []
        offset = _number(asked, "offset", 0, None, wrong)
        limit = _number(asked, "limit", 50, _LARGEST_PAGE, wrong)
        if wrong:
            return Reply(code="422", payload=detail(422, wrong))
        page = self._world.users.page(offset, limit)
        body = answers.users(
            page, team_id=self._world.team_id, total=self._world.users.present, offset=offset, limit=limit
        )
        return Reply(code="200", payload=encode(200, json.dumps(body).encode()))

    def _metrics(self) -> Reply:
        return Reply(code="200", payload=encode(200, json.dumps(answers.metrics(self._world)).encode()))


def _endpoint(path: str) -> Endpoint | None:
    """Return which endpoint of the vendor ``path`` is, None for any other."""
    if path.startswith(_PROVIDERS) and "/" not in path[len(_PROVIDERS) :]:
        return Endpoint.POLL
    return _PATHS.get(path)


def _named_user(path: str) -> str | None:
    return path[len(_PROVIDERS) :] if path.startswith(_PROVIDERS) else None


def _number(
    asked: dict[str, list[str]], name: str, default: int, largest: int | None, wrong: list[dict[str, object]]
) -> int:
    """Read a number of the query; what is wrong with it goes to ``wrong`` in the shape of the vendor's framework."""
    raw = asked.get(name, [str(default)])[-1]
    if not raw.isascii() or not raw.isdigit():
        wrong.append({"loc": ["query", name], "msg": "value is not a valid integer", "type": "type_error.integer"})
        return default
    if largest is not None and int(raw) > largest:
        said = f"ensure this value is less than or equal to {largest}"
        wrong.append({"loc": ["query", name], "msg": said, "type": "value_error.number.not_le"})
    return int(raw)
