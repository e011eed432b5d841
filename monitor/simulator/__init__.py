"""A Junction that is not there: a seeded world of users and connections behind the vendor's wire format.

TODO
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
