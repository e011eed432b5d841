"""Notices as signed POSTs, by the scheme of Standard Webhooks."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from standardwebhooks import Webhook

from monitor.core.wording import timestamp
from monitor.sinks.post import Poster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    import httpx

    from monitor.core.telling import Telling
    from monitor.ports import Notice, Receipt

SUMMARY: Final = "alerts.summary"
AT_ONCE: Final = 8
"""Requests in flight to one receiver."""
COUNTED: Final = ("state", "severity", "provider", "error_type")
LISTED: Final = ("alert_id", "state", "severity", "target", "provider", "error_type", "user_id")


class WebhookSink:
    """One receiver. ``webhook-id`` is the same whenever and by whomever a notice is sent: by it a repeat is known."""

    def __init__(
        self,
        *,
        url: str,
        secrets: Callable[[], Sequence[str]],
        timeout: timedelta,
        telling: Telling,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Keep the settings; nothing is opened before the first notice.

        Args:
            url: where to.
            secrets: what to sign with, ``whsec_`` and base64; called for every request, so that they may be rotated.
                With several of them a request carries a signature for each, and a receiver accepts any.
            timeout: for one request, from start to last byte.
            telling: what stands in a notice for a user.
            clock: the time of day, which is signed too.
            transport: what requests go through instead of the network.
        """
        self._url = url
        self._secrets = secrets
        self._telling = telling
        self._clock = clock
        self._poster = Poster(timeout=timeout, connections=AT_ONCE, clock=clock, transport=transport)

    def __repr__(self) -> str:
        return "WebhookSink(secrets='***')"

    async def tell(self, notices: Sequence[Notice]) -> Sequence[Receipt]:
        """Send a message for each notice, all at once."""
        return await asyncio.gather(*(self._tell(each) for each in notices))

    async def summarise(self, notices: Sequence[Notice]) -> Receipt:
        """Send one message: how many notices there are by each of a few words, and a line for each."""
        told = [self._telling.told(each.payload) for each in notices]
        counts = {f"by_{word}": Counter(each[word] for each in told if each.get(word)) for word in COUNTED}
        listed = [{word: each.get(word) for word in LISTED} for each in told]
        newest = max(each.created_at for each in notices)
        return await self._send(summary_id(notices), SUMMARY, newest, {"count": len(told), **counts, "alerts": listed})

    async def aclose(self) -> None:
        """Close every connection."""
        await self._poster.aclose()

    async def _tell(self, notice: Notice) -> Receipt:
        return await self._send(message_id(notice), notice.event, notice.created_at, self._telling.told(notice.payload))

    async def _send(self, name: str, event: str, at: datetime, data: dict[str, Any]) -> Receipt:
        body = json.dumps({"type": event, "timestamp": timestamp(at), "data": data}, ensure_ascii=False)
        secrets, now = self._secrets(), self._clock()
        headers = {
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(Webhook(secret).sign(name, now, body) for secret in secrets),
        }
        return await self._poster.post(self._url, body, headers, secrets=secrets)


def message_id(notice: Notice) -> str:
    """Return the idempotency key: of an alert, its state, and how often it was told in it."""
    return f"msg_{notice.alert_id.hex}_{notice.state}_{notice.updates}"


def summary_id(notices: Sequence[Notice]) -> str:
    """Return the idempotency key of a summary: the same for the same notices."""
    return f"msg_{uuid5(NAMESPACE_URL, ' '.join(sorted(map(message_id, notices)))).hex}_summary"
