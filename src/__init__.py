"""Tallystick: an order-execution runtime that sends a strategy's orders to real venues and can prove its position.

This is the whole public interface. Hosts with threads use `open`, hosts under trio `open_runtime`::

    with tallystick.open("config/demo.toml") as host:
        ticket = host.submit(intent)
        for report in ticket.follow():
            print(report.kind, report.text)
"""

from .actors.messages import Carried
from .actors.operator import CommandRefused
from .actors.ticket import IntentRejected, Report, ReportKind, Ticket, TicketClosed
from .configuration import Configuration, ConfigurationError, load_configuration
from .control.address import ControlUnavailable
from .control.operations import NotAnswered, NotTaken
from .host import Host
from .host import open_host as open  # noqa: A004 - `tallystick.open` reads like the built-in, and is as scoped
from .model.identifiers import (
    AccountId,
    AlertId,
    AssetId,
    ClientOrderId,
    CommandId,
    InstrumentId,
    IntentId,
    StrategyName,
)
from .model.intent import Intent, PairIntent, PairLeg, PriceBand, Side, Style, TimeInForce, Urgency
from .model.money import Cash, Price, Quantity
from .model.operator import (
    AcknowledgeAlert,
    AdoptHolding,
    CancelAll,
    Command,
    EndOrder,
    Halt,
    LiftHalt,
    Operator,
    PauseStrategy,
    Reconcile,
    ResolveAlert,
    ResumeStrategy,
)
from .runtime import Runtime, RuntimeEnded, RuntimeGaveUp, build_version, open_runtime

__version__ = build_version()

__all__ = [
    "AccountId",
    "AcknowledgeAlert",
    "AdoptHolding",
    "AlertId",
    "AssetId",
    "CancelAll",
    "Carried",
    "Cash",
    "ClientOrderId",
    "Command",
    "CommandId",
    "CommandRefused",
    "Configuration",
    "ConfigurationError",
    "ControlUnavailable",
    "EndOrder",
    "Halt",
    "Host",
    "InstrumentId",
    "Intent",
    "IntentId",
    "IntentRejected",
    "LiftHalt",
    "NotAnswered",
    "NotTaken",
    "Operator",
    "PairIntent",
    "PairLeg",
    "PauseStrategy",
    "Price",
    "PriceBand",
    "Quantity",
    "Reconcile",
    "Report",
    "ReportKind",
    "ResolveAlert",
    "ResumeStrategy",
    "Runtime",
    "RuntimeEnded",
    "RuntimeGaveUp",
    "Side",
    "StrategyName",
    "Style",
    "Ticket",
    "TicketClosed",
    "TimeInForce",
    "Urgency",
    "load_configuration",
    "open",
    "open_runtime",
]
