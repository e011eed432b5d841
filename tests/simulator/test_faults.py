from __future__ import annotations

import asyncio
import json
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from monitor.simulator import Fault, Simulator
from monitor.simulator.orders import FaultOrder
from tests.simulator.raw import Received, ask

if TYPE_CHECKING:
    from tests.simulator.conftest import Served


async def strike(served: Served, fault: Fault, **options: Any) -> Received:
    """Switch a fault on and poll one user by hand."""
    body = {"fault": fault, **options}
    answer = await served.client.post("/_simulator/fault", json=body)
    assert answer.json() == {"active": [fault]}
    return await ask(served.port, f"/v2/user/providers/{served.user_id()}")


async def test_throttling_names_seconds(served: Served) -> None:
    """429 says how long to wait."""
    answer = await strike(served, Fault.THROTTLE, retry_after=7)
    assert (answer.status, answer.header("retry-after")) == (429, "7")


async def test_throttling_names_a_date(served: Served) -> None:
    """429 says until when to wait, never a moment too early."""
    answer = await strike(served, Fault.THROTTLE_DATE, retry_after=7)
    said = parsedate_to_datetime(answer.header("retry-after") or "").timestamp()
    assert answer.status == 429
    assert said - time() == pytest.approx(7, abs=1.5)


async def test_throttling_names_nothing(served: Served) -> None:
    """429 may come without a hint."""
    answer = await strike(served, Fault.THROTTLE_BARE)
    assert (answer.status, answer.header("retry-after")) == (429, None)


@pytest.mark.parametrize(
    ("fault", "status", "media"),
    [
        (Fault.UNAVAILABLE, 503, "application/json"),
        (Fault.SERVER_ERROR, 500, "text/plain; charset=utf-8"),
        (Fault.BAD_GATEWAY, 502, "text/html"),
        (Fault.HTML, 200, "text/html; charset=utf-8"),
        (Fault.REVOKED, 401, "application/json"),
        (Fault.MISSING, 404, "application/json"),
    ],
)
async def test_refusals_have_their_status_and_type(served: Served, fault: Fault, status: int, media: str) -> None:
    """Each refusal looks as it does in the field."""
    answer = await strike(served, fault)
    assert (answer.status, answer.header("content-type")) == (status, media)
    assert len(answer.body) == int(answer.header("content-length") or -1)
    assert answer.ending == "open"


async def test_a_redirect_leads_to_another_host(served: Served) -> None:
    """The place to go is not ours."""
    answer = await strike(served, Fault.REDIRECT, location="https://elsewhere.invalid/x")
    assert (answer.status, answer.header("location")) == (302, "https://elsewhere.invalid/x")


async def test_a_time_out_answers_nothing(served: Served) -> None:
    """The connection stays open and silent; it is no longer in flight once the client leaves."""
    answer = await strike(served, Fault.TIMEOUT)
    assert (answer.head, answer.ending) == ("", "open")
    await asyncio.sleep(0.05)
    assert served.simulator.traffic.open == 0
    assert served.simulator.traffic.codes["aborted"] == 1


async def test_a_reset_ends_the_connection_rudely(served: Served) -> None:
    """The client meets a reset, not an end."""
    answer = await strike(served, Fault.RESET)
    assert (answer.head, answer.ending) == ("", "reset")


async def test_a_drip_comes_byte_by_byte(served: Served) -> None:
    """Bytes come one at a time, all of them in the end."""
    served.simulator.faults.set(FaultOrder(fault=Fault.DRIP, delay=0.05))
    started = monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /v2/user/providers/bad HTTP/1.1\r\nx-vital-api-key: sk_us_simulated\r\n\r\n")
    assert await reader.readexactly(4) == b"HTTP"
    assert monotonic() - started > 0.14
    writer.close()


async def test_a_drip_ends(served: Served) -> None:
    """A drip without a gap is a whole answer."""
    answer = await strike(served, Fault.DRIP, delay=0)
    assert json.loads(answer.body)["providers"]


async def test_a_truncated_answer_is_shorter_than_declared(served: Served) -> None:
    """The connection closes in the middle of the body."""
    answer = await strike(served, Fault.TRUNCATE)
    assert 0 < len(answer.body) < int(answer.header("content-length") or 0)
    assert answer.ending == "eof"
    with pytest.raises(httpx.RemoteProtocolError):
        await served.poll()


async def test_a_chunked_answer_lacks_its_end(served: Served) -> None:
    """The connection closes before the last chunk."""
    answer = await strike(served, Fault.TRUNCATE_CHUNKED)
    assert answer.header("transfer-encoding") == "chunked"
    assert (answer.ending, answer.body.endswith(b"0\r\n\r\n")) == ("eof", False)
    with pytest.raises(httpx.RemoteProtocolError):
        await served.poll()


async def test_an_empty_object_is_served(served: Served) -> None:
    """200, JSON, and nothing in it."""
    assert (await strike(served, Fault.EMPTY_OBJECT)).body == b"{}"


async def test_providers_are_no_list(served: Served) -> None:
    """200, JSON, and the wrong thing in it."""
    assert not isinstance(json.loads((await strike(served, Fault.NO_LIST)).body)["providers"], list)


async def test_a_malformed_row_stands_beside_the_good_ones(served: Served) -> None:
    """The good rows are all there."""
    good = (await served.poll()).json()["providers"]
    bad = json.loads((await strike(served, Fault.MALFORMED_ROW)).body)["providers"]
    assert bad[1:] == good
    assert not isinstance(bad[0], dict) or "slug" not in bad[0] or not isinstance(bad[0]["status"], str)


async def test_a_malformed_row_may_stand_alone(served: Served) -> None:
    """Also the answer of a user without connections stays JSON."""
    served.simulator.world.delete_user(served.user_id())
    served.simulator.world.restore_user(served.user_id())
    assert len(json.loads((await strike(served, Fault.MALFORMED_ROW)).body)["providers"]) == 1


async def test_an_oversize_body_is_valid_but_too_large(served: Served) -> None:
    """It is JSON that nobody should want to read."""
    answer = await strike(served, Fault.OVERSIZE, size=300_000)
    assert len(answer.body) > 300_000
    assert json.loads(answer.body)["providers"]


async def test_faults_of_a_snapshot_leave_refusals_alone(served: Served) -> None:
    """A user that is gone stays 404, and so does the list of users stay whole."""
    served.simulator.world.delete_user(served.user_id())
    assert (await strike(served, Fault.EMPTY_OBJECT)).status == 404
    assert (await served.client.get("/v2/user")).json()["total"] == 39


async def test_mass_404_leaves_the_list_alone(served: Served) -> None:
    """Only polls of users are answered 404."""
    assert (await strike(served, Fault.MISSING)).status == 404
    assert (await served.client.get("/v2/user")).status_code == 200


async def test_latency_is_added(served: Served) -> None:
    """The answer is right and late, and latency adds to another fault."""
    for body in ({"fault": "latency", "delay": "120ms"}, {"fault": "unavailable"}):
        await served.client.post("/_simulator/fault", json=body)
    started = monotonic()
    answer = await ask(served.port, "/v2/user/metrics")
    assert answer.status == 503
    assert monotonic() - started >= 0.12


async def test_a_fault_meets_its_users_only(served: Served) -> None:
    """Everybody else is served well; users are named by number or id."""
    body = {"fault": "server_error", "users": [1, served.user_id(2)]}
    await served.client.post("/_simulator/fault", json=body)
    assert [(await served.poll(index)).status_code for index in range(4)] == [200, 500, 500, 200]


async def test_a_fault_meets_its_share(served: Served) -> None:
    """About half of the requests fail, the rest do not."""
    served.simulator.faults.set(FaultOrder(fault=Fault.UNAVAILABLE, share=0.5))
    codes = [(await served.poll()).status_code for _ in range(100)]
    assert 25 < codes.count(503) < 75


def test_choices_of_faults_are_seeded() -> None:
    """The same requests in the same order meet the same faults."""
    struck = []
    for _ in range(2):
        faults = Simulator().faults
        faults.set(FaultOrder(fault=Fault.RESET, share=0.3))
        struck.append([faults.strike(None)[1] is not None for _ in range(50)])
    assert struck[0] == struck[1]
    assert {True, False} == set(struck[0])


async def test_a_fault_ends_by_itself(served: Served) -> None:
    """After its time all is well."""
    assert (await strike(served, Fault.UNAVAILABLE, **{"for": "400ms"})).status == 503
    await asyncio.sleep(0.2)
    assert (await served.poll()).status_code == 200
    assert not served.simulator.faults.active


async def test_a_fault_ends_when_cleared(served: Served) -> None:
    """One fault can be cleared, or all."""
    await served.client.post("/_simulator/fault", json={"fault": "latency", "delay": 0})
    await served.client.post("/_simulator/fault", json={"fault": "reset"})
    answer = await served.client.post("/_simulator/fault", json={"do": "clear", "fault": "reset"})
    assert answer.json() == {"active": ["latency"]}
    assert (await served.client.post("/_simulator/fault", json={"do": "clear"})).json() == {"active": []}
