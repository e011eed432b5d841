"""The simulator's own endpoints under ``/_simulator``: what really happened, and levers to make it happen."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from pydantic import ValidationError

from monitor.simulator.ledger import rfc3339
from monitor.simulator.mishaps import detail
from monitor.simulator.mutation import ImpossibleChangeError
from monitor.simulator.orders import ClearOrder, FaultOrder, Order
from monitor.simulator.wire import Reply, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.simulator.people import User
    from monitor.simulator.simulator import Simulator
    from monitor.simulator.wire import Request

PREFIX: Final = "/_simulator/"


class Backstage:
    """Answers requests about ``simulator`` itself; they need no key and are not counted as traffic."""

    def __init__(self, simulator: Simulator, seed: int) -> None:
        self._simulator = simulator
        # Its own generator: a change on demand must not shift the choices of the course.
        self._chance = random.Random(f"{seed}:demand")
        self._routes: Final[dict[tuple[str, str], Callable[[Request], bytes]]] = {
            ("GET", "ledger"): self._ledger,
            ("GET", "truth"): self._truth,
            ("GET", "stats"): self._stats,
            ("POST", "freeze"): self._freeze,
            ("POST", "thaw"): self._thaw,
            ("POST", "change"): self._change,
            ("POST", "fault"): self._fault,
        }

    def respond(self, request: Request) -> Reply:
        """Return what ``request`` gets."""
        name = request.path.removeprefix(PREFIX)
        route = self._routes.get((request.method, name))
        if route is None:
            known = any(name == path for _, path in self._routes)
            return _reply(detail(405, "Method Not Allowed") if known else detail(404, "Not Found"))
        try:
            return _reply(route(request))
        except ImpossibleChangeError as error:
            return _reply(detail(409, str(error)))
        except ValidationError as error:
            return _reply(detail(422, [_fault_line(each["loc"], each["msg"]) for each in error.errors()]))
        except ValueError as error:
            return _reply(detail(422, str(error)))

    def _ledger(self, request: Request) -> bytes:
        asked = parse_qs(request.query)
        limit = _number(asked, "limit")
        changes = self._simulator.ledger.after(_number(asked, "after") or 0, limit)
        return encode(200, "".join(f"{each.to_json()}\n" for each in changes).encode(), media="application/jsonl")

    def _truth(self, request: Request) -> bytes:
        asked = parse_qs(request.query)
        everybody = self._simulator.world.users
        offset, limit = _number(asked, "offset") or 0, _number(asked, "limit")
        stop = everybody.size if limit is None else min(everybody.size, offset + limit)
        return _ok({user.user_id: _plain(user) for user in map(everybody.at, range(offset, stop))})

    def _stats(self, request: Request) -> bytes:
        users = parse_qs(request.query).get("users") == ["1"]
        simulator = self._simulator
        now = {"users": simulator.world.users.present, "changes": len(simulator.ledger), "elapsed": simulator.elapsed}
        return _ok(now | {"frozen": simulator.frozen} | simulator.traffic.summary(users=users))

    def _freeze(self, _: Request) -> bytes:
        self._simulator.freeze()
        return _ok({"frozen": True})

    def _thaw(self, _: Request) -> bytes:
        self._simulator.thaw()
        return _ok({"frozen": False})

    def _change(self, request: Request) -> bytes:
        made = self._simulator.course.carry_out(Order.model_validate_json(request.body), self._chance)
        return encode(200, f"[{','.join(each.to_json() for each in made)}]".encode())

    def _fault(self, request: Request) -> bytes:
        asked = json.loads(request.body)
        if isinstance(asked, dict) and asked.get("do") == "clear":
            self._simulator.faults.clear(ClearOrder.model_validate(asked).fault)
        else:
            self._simulator.faults.set(FaultOrder.model_validate(asked))
        return _ok({"active": [each.order.fault for each in self._simulator.faults.active]})


def _plain(user: User) -> dict[str, Any]:
    connections = {
        slug: {
            "status": row.status,
            "error_type": row.failure.error_type if row.failure else None,
            "errored_at": rfc3339(row.failure.errored_at) if row.failure else None,
            "created_on": rfc3339(row.created_on),
            "unavailable": list(row.unavailable),
        }
        for slug, row in user.connections.items()
    }
    return {"gone": user.deleted, "connections": connections}


def _number(asked: dict[str, list[str]], name: str) -> int | None:
    raw = asked.get(name)
    return None if raw is None else int(raw[-1])


def _fault_line(place: tuple[int | str, ...], said: str) -> str:
    return f"{'.'.join(map(str, place)) or 'body'}: {said.removeprefix('Value error, ')}"


def _ok(body: object) -> bytes:
    return encode(200, json.dumps(body).encode())


def _reply(payload: bytes) -> Reply:
    return Reply(code=payload[9:12].decode(), payload=payload, counted=False)
