"""A Junction that is not there: a seeded world of users and connections behind the vendor's wire format.

**Vendor's endpoints** (header ``x-vital-api-key``, by default ``sk_us_simulated``): ``GET
/v2/user/providers/{user_id}``, ``GET /v2/user?offset=&limit=`` (newest first, limit at most 500) and ``GET
/v2/user/metrics``.

**Own endpoints**, without a key and not counted as traffic:

- ``GET /_simulator/ledger?after=SEQUENCE&limit=N``: every change made, oldest first, as JSON Lines.
- ``GET /_simulator/truth?offset=&limit=``: ``{user_id: {gone, connections: {slug: {status, error_type, errored_at,
  created_on, unavailable}}}}`` as it is now.
- ``GET /_simulator/stats``: requests by code, polls, most in flight, most in flight for one same user; ``?users=1``
  adds the polls of each user. Overlaps show only where answers take time: add ``latency`` to look for them.
- ``POST /_simulator/freeze`` and ``/thaw``: stop and resume what happens by itself.
- ``POST /_simulator/change``: one change now, ``{"do": "break", "user_id": …, "provider": …, "error_type": …}``;
  answers with the ledger's new records, 409 where the world has no candidate, 422 for a bad request.
- ``POST /_simulator/fault``: ``{"fault": "unavailable", "share": 0.5, "for": "5s"}`` switches a fault on, ``{"do":
  "clear"}`` all off, ``{"do": "clear", "fault": "unavailable"}`` that one.

**Changes** (``do``). Who is left open is chosen by chance: ``user`` (a number) or ``user_id``, ``provider``.
``break`` and ``change_error`` (``error_type``, any word; ``details: false`` for ``error_details`` null), ``heal``,
``relink``, ``pause``, ``vanish``, ``come_back`` (in error with ``error_type``), ``lose_resource`` and
``regain_resource`` (``resource``), ``set_status`` (``status``, any word that the vendor does not document, by default
``reauthorizing``), ``unpause`` (connected again, from paused or such a word), ``delete_user``, ``restore_user``,
``new_user``, ``delete_users`` (``share`` of all users, default a half) and ``wave``: ``provider``, ``share`` of its
healthy connections, ``error_type``. A scope that several resources need takes all of them along.

**Faults** (``fault``) change answers and never the world, so the ledger does not mention them. Each takes ``for``
(else until cleared) and says whom it meets: ``users`` (ids or numbers) or ``user_share`` (a share of the users, the
same ones until it ends), else everybody; ``share`` (of requests, default 1); ``endpoint`` (``poll``, ``list``,
``metrics``, else all three). Faults of one request do not mix, the oldest wins; only ``latency`` adds to the others.

====================  ===============================================================================================
``status``            always the same ``status`` (200 to 599), with ``retry_after`` seconds if given: a user that is
                      refused (401, 403), a burst of 422 or 404, one user that is throttled, a list that fails
``throttle``          429, ``Retry-After`` in seconds (``retry_after``); ``throttle_date``: as an HTTP-date;
                      ``throttle_bare``: without
``unavailable``       503 JSON; ``server_error``: 500 text; ``bad_gateway``: 502 HTML; ``html``: 200 HTML
``timeout``           never answers, as a target that hangs; ``reset``: TCP reset instead of an answer
``drip``              one byte every ``delay``
``truncate``          half the declared body, then closed; ``truncate_chunked``: chunked, without the last chunk
``empty_object``      ``{}``; ``empty_list``: ``{"providers": []}``; ``no_list``: ``providers`` is no list;
                      ``malformed_row``: one beside the good ones; ``missing_provider``: no row of ``provider``;
                      ``restamp``: a new ``errored_at`` in each answer; ``oversize``: ``size`` bytes more (these seven
                      only on snapshots)
``odd_dates``         year 1, year 9999 or no offset in place of each date; ``odd_texts``: half a surrogate pair, NUL,
                      control characters or 10,000 characters in place of messages, names and ids of others; always
                      ``text`` if given (both on snapshots and on the user list)
``short_pages``       at most ``limit`` users (default 10) on a page of the user list, whatever was asked for
``redirect``          302 to ``location``
``revoked``           401 to every key; ``missing``: 404 for every user
``latency``           ``delay`` before the answer
====================  ===============================================================================================

**A scenario** is a YAML file; every key may be left out, unknown ones are refused::

    seed: 7                    # the same seed makes the same world and the same changes in the same order
    users: 200
    api_key: sk_us_simulated
    initial:                   # shares of the connections at the start
      error: 0.04
      paused: 0.02
      null_details: 0.02       # of those in error
      unavailable: 0.05        # short of a resource
    changes:                   # what happens by itself
      per_second: 2            # 0 = nothing
      from: 5s
      until: 50s
      rest: 5s                 # a user that has just changed is left alone for so long
      shares: {break: 40, heal: 25, relink: 5}       # relative
      error_types: {token_refresh_failed: 3, unknown: 1}   # relative; else realistic for each kind of provider
    timeline:                  # the same words as over HTTP, each with its time
      - {at: 10s, do: wave, provider: fitbit, error_type: token_refresh_failed, share: 0.5}
      - {at: 12s, do: fault, fault: unavailable, share: 0.8, for: 5s}
      - {at: 20s, do: break, user: 3, provider: garmin}
      - {at: 30s, do: clear}

A step for which the world has no candidate is left out. Times that the world writes come from the wall clock (or the
one given to ``Simulator``); which changes happen, to whom and in which order depends on the seed alone.
"""

from monitor.simulator.demonstration import demo_scenario
from monitor.simulator.ledger import Change, Ledger
from monitor.simulator.mutation import ImpossibleChangeError
from monitor.simulator.scenario import Scenario, ScenarioError, load, parse
from monitor.simulator.simulator import Simulator, serve
from monitor.simulator.words import Do, Fault, Kind
from monitor.simulator.world import World

__all__ = [
    "Change",
    "Do",
    "Fault",
    "ImpossibleChangeError",
    "Kind",
    "Ledger",
    "Scenario",
    "ScenarioError",
    "Simulator",
    "World",
    "demo_scenario",
    "load",
    "parse",
    "serve",
]
