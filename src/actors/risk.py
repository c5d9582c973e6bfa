"""The risk actor: lets the pure gates decide about every order. What passes goes on, what does not is told why."""

from ..model.account import AccountState
from ..model.identifiers import AccountId
from ..model.order import Computed
from ..model.risk import ApprovedOrder, Refused
from ..model.risk_facts import Gate
from .context import Context, Paths, TradingActor
from .gates import Gates
from .kernel import handles
from .messages import OrderRefused, PlaceOrder, ReviewOrder

HELD = frozenset({Gate.ACCOUNT_LIVE, Gate.FRESH_DATA, Gate.STORE})
"""Gates that open again by themselves: a slice that meets one waits, within its own deadline, and is not given up."""


class RiskActor(TradingActor):
    """The one place that orders pass, one after the other, so that each sees those approved before it.

    An intent passes the same gates where it is taken in (its strategy's desk): nothing is approved there that another
    review would have to see, and an order of it comes here all the same.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.approvals = context.recorder.approvals
        self.gates = Gates(context)

    @handles(ReviewOrder)
    def _review_order(self, message: ReviewOrder) -> None:
        terms = message.terms
        self.approvals.settle(terms.client_order_id)  # a slice that is reviewed again must not stand in its own way
        verdict = self.gates.review_order(terms)
        if isinstance(verdict, ApprovedOrder):
            desk = self.context.find(Paths.account(terms.account, "desk"))
            if desk is None:
                self._refuse(message, _away(terms.account))
                return
            if isinstance(self.ledger.orders.get(terms.client_order_id), Computed):  # not withdrawn meanwhile
                self.approvals.add(terms)
            # Past its time it must not go out: coverage has alerted it by then.
            deadline = self.monotonic() + message.send_within_seconds
            desk.tell(PlaceOrder(order=verdict, leg=message.leg), deadline=deadline)
        else:
            self._refuse(message, verdict)

    @staticmethod
    def _refuse(message: ReviewOrder, refusal: Refused) -> None:
        message.leg.tell(
            OrderRefused(
                client_order_id=message.terms.client_order_id,
                gate=refusal.gate,
                message=refusal.message,
                held=refusal.gate in HELD,
            )
        )


def _away(account: AccountId) -> Refused:
    """The account's actors are being started again, and its state in the ledger is that of before."""
    return Refused(
        gate=Gate.ACCOUNT_LIVE,
        message=f"account {account} is being started again",
        field="account",
        found="restarting",
        allowed=str(AccountState.LIVE),
    )
