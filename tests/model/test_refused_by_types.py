"""What must not be sayable: snippets that a user could have written, and the type checker has to refuse.

All of them are checked in one run, each in a file of its own, beside one file of legal code that must pass: without
it a checker that sees nothing of the package would seem to refuse everything rightly.
"""

import re
from pathlib import Path

import mypy.api
import pytest

ROOT = Path(__file__).parents[2]

HEAD = """
from decimal import Decimal

from tallystick.model.bracket import Decided, Working
from tallystick.model.fill import Known
from tallystick.model.identifiers import AccountId, ClientOrderId, VenueOrderId
from tallystick.model.intent import AnyIntent
from tallystick.model.money import Cash, Price, Quantity
from tallystick.model.order import (
    Acknowledged, CancelInFlight, Computed, Done, OrderState, OrderTerms, Sent, Withdrawn, open_quantity,
)
from tallystick.model.outcome import Evidence, Filled, Outcome
from tallystick.model.risk import ApprovedIntent, ApprovedOrder, Refused, RiskContext, review_intent, review_order


def send(order: ApprovedOrder) -> None: ...
def start(intent: ApprovedIntent) -> None: ...
def place(at_venue: VenueOrderId, price: Price, quantity: Quantity) -> None: ...
"""

LEGAL = """
def life(computed: Computed, evidence: Evidence, known: Known, price: Price, quantity: Quantity) -> Done:
    sent = computed.submitted(VenueOrderId("0x"), 1)
    filled = sent.filled(price, quantity, known)
    acknowledged: Acknowledged = filled.acknowledged(VenueOrderId("0x"), evidence)
    done = acknowledged.done(Filled(filled=quantity), evidence)
    place(VenueOrderId("0x"), Price(Decimal("0.41")), Quantity(Decimal(25)))
    return done.filled(price, quantity, known)

def reviewed(terms: OrderTerms, intent: AnyIntent, context: RiskContext) -> Refused | None:
    order = review_order(terms, context)
    if isinstance(order, Refused):
        return order
    send(order)
    accepted = review_intent(intent, context)
    if isinstance(accepted, Refused):
        return accepted
    start(accepted)
    return None
"""

ILLEGAL = {
    "a fill of an order that was never sent": (
        (
            "def wrong(computed: Computed, known: Known, price: Price, quantity: Quantity) -> None:\n"
            "    computed.filled(price, quantity, known)"
        ),
        "attr-defined",
    ),
    "a fill of an order that was withdrawn": (
        (
            "def wrong(withdrawn: Withdrawn, known: Known, price: Price, quantity: Quantity) -> None:\n"
            "    withdrawn.filled(price, quantity, known)"
        ),
        "attr-defined",
    ),
    "an acknowledgement of an order that was never sent": (
        (
            "def wrong(computed: Computed, evidence: Evidence) -> None:\n"
            '    computed.acknowledged(VenueOrderId("0x"), evidence)'
        ),
        "attr-defined",
    ),
    "an acknowledged order without the sent one it came from": (
        (
            "def wrong(sent: Sent, evidence: Evidence) -> Acknowledged:\n"
            "    return Acknowledged(\n"
            '        venue_order_id=VenueOrderId("0x"), evidence=evidence,\n'
            "        progress=sent.progress, knowledge=sent.knowledge,\n"
            "    )"
        ),
        "call-arg",
    ),
    "an acknowledged order made from a computed one": (
        (
            "def wrong(computed: Computed, sent: Sent, evidence: Evidence) -> Acknowledged:\n"
            "    return Acknowledged(\n"
            '        sent=computed, venue_order_id=VenueOrderId("0x"), evidence=evidence,\n'
            "        progress=sent.progress, knowledge=sent.knowledge,\n"
            "    )"
        ),
        "arg-type",
    ),
    "an end of an order that was never sent": (
        (
            "def wrong(computed: Computed, outcome: Outcome, evidence: Evidence) -> None:\n"
            "    computed.done(outcome, evidence)"
        ),
        "attr-defined",
    ),
    "an ended order made from a computed one": (
        (
            "def wrong(computed: Computed, sent: Sent, outcome: Outcome, evidence: Evidence) -> Done:\n"
            "    return Done(before=computed, outcome=outcome, evidence=evidence, progress=sent.progress)"
        ),
        "arg-type",
    ),
    "an end without evidence": (
        "def wrong(sent: Sent, outcome: Outcome) -> Done:\n    return sent.done(outcome)",
        "call-arg",
    ),
    "a second end": (
        "def wrong(done: Done, outcome: Outcome, evidence: Evidence) -> None:\n    done.done(outcome, evidence)",
        "attr-defined",
    ),
    "a withdrawal of an order that may be open": (
        'def wrong(sent: Sent) -> None:\n    sent.withdrawn("late", 1)',
        "attr-defined",
    ),
    "a cancel of an order that has ended": (
        "def wrong(done: Done, cancel: CancelInFlight) -> None:\n    done.cancelling(cancel)",
        "attr-defined",
    ),
    "a second submission": (
        'def wrong(sent: Sent) -> None:\n    sent.submitted(VenueOrderId("0x"), 1)',
        "attr-defined",
    ),
    "an account where a venue's order is meant": (
        "def wrong(account: AccountId, price: Price, quantity: Quantity) -> None:\n    place(account, price, quantity)",
        "arg-type",
    ),
    "our order id where the venue's is meant": (
        "def wrong(order: ClientOrderId, price: Price, quantity: Quantity) -> None:\n    place(order, price, quantity)",
        "arg-type",
    ),
    "a price where a quantity is meant": (
        "def wrong(order: VenueOrderId, price: Price) -> None:\n    place(order, price, price)",
        "arg-type",
    ),
    "an amount of no kind where a price is meant": (
        'def wrong(order: VenueOrderId, quantity: Quantity) -> None:\n    place(order, Decimal("0.41"), quantity)',
        "arg-type",
    ),
    "a float for money": (
        "def wrong() -> Cash:\n    return Cash(0.41)",
        "arg-type",
    ),
    "an order that was never reviewed": (
        "def wrong(terms: OrderTerms) -> None:\n    send(terms)",
        "arg-type",
    ),
    "an order whose refusal was not looked at": (
        "def wrong(terms: OrderTerms, context: RiskContext) -> None:\n    send(review_order(terms, context))",
        "arg-type",
    ),
    "an intent that was never reviewed": (
        "def wrong(intent: AnyIntent) -> None:\n    start(intent)",
        "arg-type",
    ),
    "an approval made by hand": (
        "def wrong(terms: OrderTerms) -> ApprovedOrder:\n    return ApprovedOrder(terms=terms, reviewed_at_ns=1)",
        "call-arg",
    ),
    "a change of an order's terms": (
        "def wrong(terms: OrderTerms, quantity: Quantity) -> None:\n    terms.quantity = quantity",
        "misc",
    ),
    "a change of an order's state": (
        "def wrong(sent: Sent) -> None:\n    sent.cancel = None",
        "misc",
    ),
    "a change of an approval": (
        "def wrong(order: ApprovedOrder, terms: OrderTerms) -> None:\n    order.terms = terms",
        "misc",
    ),
    "a decision of a bracket that still works": (
        "def wrong(state: Working | Decided) -> object:\n    return state.decision",
        "union-attr",
    ),
    "an open quantity of something that is no order": (
        "def wrong(terms: OrderTerms) -> Quantity:\n    return open_quantity(terms)",
        "arg-type",
    ),
}


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The checker's error codes for every snippet, by its name, from one run over all of them."""
    folder = tmp_path_factory.mktemp("snippets")
    (folder / "typing").mkdir()
    (folder / "typing" / "tallystick").symlink_to(ROOT / "src")
    snippets = {"legal": LEGAL} | {f"illegal_{place}": code for place, (code, _) in enumerate(ILLEGAL.values())}
    for name, code in snippets.items():
        (folder / f"{name}.py").write_text(f"{HEAD}\n{code}\n", encoding="utf-8")
    settings = folder / "mypy.ini"
    settings.write_text(
        f"[mypy]\nmypy_path = {folder / 'typing'}\n[mypy-tallystick.*]\nignore_errors = True\n", encoding="utf-8"
    )
    out, err, _status = mypy.api.run([
        "--strict", "--config-file", str(settings), "--cache-dir", str(folder / "cache"), "--hide-error-context",
        "--no-error-summary", *(str(folder / f"{name}.py") for name in snippets),
    ])  # fmt: skip
    assert not err, err
    found: dict[str, list[str]] = {name: [] for name in snippets}
    for line in out.splitlines():
        shape = re.fullmatch(r".*?(\w+)\.py:\d+: error: .*\[([a-z-]+)\]", line)
        if shape is not None:
            found[shape[1]].append(shape[2])
        else:
            assert ": note: " in line, line
    return found


def test_the_checker_sees_the_package_and_passes_legal_code(errors: dict[str, list[str]]) -> None:
    assert errors["legal"] == []


@pytest.mark.parametrize("name", ILLEGAL)
def test_the_type_checker_refuses(name: str, errors: dict[str, list[str]]) -> None:
    place = list(ILLEGAL).index(name)
    _code, expected = ILLEGAL[name]
    assert errors[f"illegal_{place}"] == [expected]
