"""The rate budget of a target, a row that every claim debits under a lock."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from monitor.core.budget import NEW, Budget
from monitor.core.throttle import Throttle
from monitor.store.counting import upsert
from monitor.store.tables import budgets

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

OF_THROTTLE: Final = tuple(each.name for each in fields(Throttle) if each.name != "rate")
OWN: Final = tuple(each.name for each in fields(Budget) if each.name != "throttle")


async def locked(connection: AsyncConnection, target_id: int) -> Budget:
    """Return the budget of a target, which nobody else changes before this transaction ends."""
    asked = select(budgets).where(budgets.c.target_id == target_id).with_for_update()
    row = (await connection.execute(asked)).one_or_none()
    if row is None:
        new = {"target_id": target_id} | _columns(NEW)
        await connection.execute(upsert(budgets, connection.dialect).values(new).on_conflict_do_nothing())
        row = (await connection.execute(asked)).one()
    throttle = Throttle(rate=0, **{name: getattr(row, name) for name in OF_THROTTLE})
    return Budget(throttle=throttle, **{name: getattr(row, name) for name in OWN})


async def write(connection: AsyncConnection, target_id: int, budget: Budget) -> None:
    """Store a budget that was :func:`locked`."""
    await connection.execute(update(budgets).where(budgets.c.target_id == target_id).values(_columns(budget)))


def _columns(budget: Budget) -> dict[str, Any]:
    of_throttle = {name: getattr(budget.throttle, name) for name in OF_THROTTLE}
    return of_throttle | {name: getattr(budget, name) for name in OWN}
