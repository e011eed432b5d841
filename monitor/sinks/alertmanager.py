"""Notices as alerts of an Alertmanager, where grouping, silences and routing are.

An Alertmanager forgets an alert whose end has come, and everything when it restarts without its disk. So an end is
always some minutes ahead, and all that fires is sent again and again.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from monitor.core.alerting import AlertState
from monitor.core.wording import FIRED, timestamp
from monitor.events import INCIDENT_ALERT
from monitor.ports import ANSWERED, Reception
from monitor.sinks.post import Poster

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    import httpx

    from monitor.core.telling import Telling
    from monitor.ports import Notice, Outbox, Place, Receipt, Standing

AT_ONCE: Final = 8
PAGE: Final = 500
SHORTEST_AHEAD: Final = timedelta(minutes=5)
MISSED: Final = 5
"""So many times an alert may fail to be sent again before it ends by itself."""
LABELS: Final = ("severity", "target", "provider", "error_type", "kind", "cause", "alert_id")
ANNOTATIONS: Final = (
    "summary", "remedy", "runbook_url", "user_id", "error_message", "resource", "incident_id", "users", "share",
)  # fmt: skip
PATH: Final = "/api/v2/alerts"

Told = dict[str, Any]


class AlertmanagerSink:
    """One Alertmanager, or several that know each other: every one is sent everything, and one is enough."""

    def __init__(
        self,
        *,
        name: str,
        urls: Sequence[str],
        bearer_token: Callable[[], str | None],
        timeout: timedelta,
        resend_every: timedelta,
        telling: Telling,
        outbox: Outbox,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Keep the settings; nothing is opened before the first notice.

        Args:
            name: the sink's, by which the outbox knows what it was told.
            urls: of each Alertmanager, without ``/api/v2/alerts``.
            bearer_token: what to show; called for every request, so that it may be rotated. None is nothing.
            timeout: for one request, from start to last byte.
            resend_every: how often :meth:`resend` is called.
            telling: what stands in a notice for a user.
            outbox: where it stands what fires, and in which words it began to.
            clock: the time of day.
            transport: what requests go through instead of the network.
        """
        self._name = name
        self._urls = [f"{each.rstrip('/')}{PATH}" for each in urls]
        self._bearer_token = bearer_token
        self._ahead = max(MISSED * resend_every, SHORTEST_AHEAD)
        self._telling = telling
        self._outbox = outbox
        self._clock = clock
        self._poster = Poster(timeout=timeout, connections=AT_ONCE * len(urls), clock=clock, transport=transport)

    def __repr__(self) -> str:
        return f"AlertmanagerSink(name={self._name!r}, bearer_token='***')"

    async def tell(self, notices: Sequence[Notice]) -> Sequence[Receipt]:
        """Send all notices in one request; where that is refused, each in its own, so that one spoils no other.

        The severity is a label, by which an alert is known: where it has changed, the alert under its old labels is
        ended first.
        """
        again = [each.alert_id for each in notices if each.state == AlertState.RESOLVED or each.updates]
        fired = await self._outbox.told(self._name, again, AlertState.FIRING)
        groups = [self._alerts(each.event, each.payload, fired.get(each.alert_id)) for each in notices]
        receipt = await self._send([alert for group in groups for alert in group])
        if receipt.reception is Reception.REFUSED and len(groups) > 1:
            return await asyncio.gather(*(self._send(group) for group in groups))
        return [receipt] * len(notices)

    async def resend(self) -> Receipt | None:
        """Send all that fires, page by page, and return the worst that became of it, None where nothing fires.

        Stops where nobody is there.
        """
        after: Place | None = None
        worst: Receipt | None = None
        while True:
            page = await self._outbox.firing(self._name, limit=PAGE, after=after)
            if page.alerts:
                receipt = await self._resend(page.alerts)
                worst = max(worst or receipt, receipt, key=_badness)
            after = page.after
            if after is None or (worst is not None and worst.reception not in ANSWERED):
                return worst

    async def aclose(self) -> None:
        """Close every connection."""
        await self._poster.aclose()

    async def _resend(self, alerts: Sequence[Standing]) -> Receipt:
        receipt = await self._send([alert for each in alerts for alert in self._as_it_is_now(each)])
        await self._end_again({each.alert_id: (each.event, each.payload) for each in alerts})
        return receipt

    async def _end_again(self, firing: Mapping[UUID, tuple[str, Mapping[str, Any]]]) -> None:
        """End what was told to be over while it was sent once more, or it would fire until its end comes."""
        over = await self._outbox.told(self._name, firing.keys(), AlertState.RESOLVED)
        if over:
            ends = (self._alerts(firing[each][0], told, firing[each][1]) for each, told in over.items())
            await self._send([alert for group in ends for alert in group])

    async def _send(self, alerts: Sequence[Told]) -> Receipt:
        token = self._bearer_token()
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        body = json.dumps(alerts, ensure_ascii=False)
        secrets = [] if token is None else [token]
        posts = (self._poster.post(each, body, headers, secrets=secrets) for each in self._urls)
        return min(await asyncio.gather(*posts), key=_badness)

    def _as_it_is_now(self, standing: Standing) -> list[Told]:
        """Return an alert that still fires; where its severity was lowered since it was sent, with that."""
        payload = standing.payload
        if standing.severity is not None:
            payload = {**payload, "severity": standing.severity}
        return self._alerts(standing.event, payload, standing.payload)

    def _alerts(self, event: str, payload: Mapping[str, Any], fired: Mapping[str, Any] | None) -> list[Told]:
        """Return an alert as it is now, after the end of the one under the labels of another severity, if it had one.

        Its other labels are those with which it fired: by them it is known. What an erased user's end no longer says
        is kept beside its data.
        """
        began = fired or payload.get(FIRED) or payload
        told, over = self._telling.told(payload), payload["state"] == AlertState.RESOLVED
        severity = began["severity"] if over and _keeps_labels(payload) else payload["severity"]
        now = self._alert(event, told, {**began, "severity": severity}, over=over)
        if severity == began["severity"]:
            return [now]
        return [self._alert(event, told, began, over=True), now]

    def _alert(self, event: str, told: Mapping[str, Any], began: Mapping[str, Any], *, over: bool) -> Told:
        now = self._clock()
        since = datetime.fromisoformat(began.get("since") or began["observed_at"])
        return {
            "labels": _texts({"alertname": _name(event)} | {word: began.get(word) for word in LABELS}),
            "annotations": _texts({word: told.get(word) for word in ANNOTATIONS}),
            "startsAt": timestamp(since),
            "endsAt": timestamp(max(now, since) if over else now + self._ahead),
        }


def _keeps_labels(payload: Mapping[str, Any]) -> bool:
    """Return whether an alert that ends is still under the labels with which it fired.

    So is an incident, and a member of one, although its severity is ``info`` now; and so it is taken to be where a user
    was erased. Any other alert was sent again under its new severity, if that was changed.
    """
    return FIRED in payload or payload.get("incident_id", "") is not None


def _badness(receipt: Receipt) -> int:
    return list(Reception).index(receipt.reception)


def _name(event: str) -> str:
    return "JunctionIncident" if event == INCIDENT_ALERT else "JunctionConnectionAlert"


def _texts(words: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in words.items() if value is not None and value != ""}
