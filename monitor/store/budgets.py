"""The rate budget and the health of a target, a row that every claim debits under a lock."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import select, update

from monitor.core.budget import NEW, Budget
from monitor.core.cadence import EPOCH
from monitor.core.target_health import Fault, TargetHealth, TargetVerdict
from monitor.core.throttle import Throttle
from monitor.store.counting import upsert
from monitor.store.tables import budgets

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from monitor.store.rows import Record

OF_THROTTLE: Final = tuple(each.name for each in fields(Throttle) if each.name != "rate")


async def locked(connection: AsyncConnection, target_id: int) -> Budget:
    """Return the budget of a target, which nobody else changes before this transaction ends."""
    asked = select(budgets).where(budgets.c.target_id == target_id).with_for_update()
    row = (await connection.execute(asked)).one_or_none()
    if row is None:
        new = {"target_id": target_id} | _columns(NEW)
        await connection.execute(upsert(budgets, connection.dialect).values(new).on_conflict_do_nothing())
        row = (await connection.execute(asked)).one()
    return of_row(row)


async def write(connection: AsyncConnection, target_id: int, budget: Budget) -> None:
    """Store a budget that was :func:`locked`."""
    await connection.execute(update(budgets).where(budgets.c.target_id == target_id).values(_columns(budget)))


def of_row(row: Record) -> Budget:
    """Return the budget that a row holds."""
    values = {name: getattr(row, name) for name in OF_THROTTLE}
    throttle = Throttle(rate=0, **values | {"awaited_at": row.awaited_at or EPOCH})
    return Budget(throttle=throttle, health=_health(row), probed_at=row.probed_at)


def _health(row: Record) -> TargetHealth:
    if row.health is not None:
        return msgspec.convert(row.health, TargetHealth)
    if row.rejected is None:
        return TargetHealth()
    rejected = TargetVerdict(fault=Fault.REJECTED, since=row.rejected_at, detail=row.rejected)
    return TargetHealth(verdicts={Fault.REJECTED.value: rejected})


def _columns(budget: Budget) -> dict[str, Any]:
    rejected = budget.health.rejected
    return {name: getattr(budget.throttle, name) for name in OF_THROTTLE} | {
        "probed_at": budget.probed_at,
        "health": None if budget.health == TargetHealth() else msgspec.to_builtins(budget.health),
        # What replicas of the release before obey.
        "rejected": rejected and (rejected.detail or "Junction refuses the API key"),
        "rejected_at": rejected.since if rejected else EPOCH,
    }
