"""What signing one Polymarket order costs, beside the bare curve operation that cannot be avoided.

An order of a plain account is two hashes and one signature; an order of a deposit wallet is nested in the
wallet's own domain, which adds two hashes. Budget: half a millisecond for either. The yardstick is the bare
signature in the same run, and ``ratio`` says what part of the time it is: one would be perfect.
"""

import time
from collections.abc import Callable, Iterator
from statistics import median

from coincurve import PrivateKey
from tallystick.venues.evm.address import Address
from tallystick.venues.polymarket.contracts import Exchange, TokenId, exchange_contract
from tallystick.venues.polymarket.orders import Order, Side, SignatureType
from tallystick.venues.polymarket.signing import Signer, sign_order
from tallystick.venues.polymarket.wallet_addresses import derive_wallets

ROUNDS = 15
CALLS_PER_ROUND = 200

_KEY = "11" * 32
_TOKEN = TokenId("71321045679252212594626385532706912750332728571942532289631379312455583992563")


def run() -> Iterator[dict[str, object]]:
    """Yield one result for each kind of account."""
    bare = _microseconds(_bare_signature())
    signer = Signer(_KEY)
    deposit = derive_wallets(signer.address).deposit_beacon
    for name, wallet, signature_type in (
        ("polymarket: sign an order of a plain account", signer.address, SignatureType.EOA),
        ("polymarket: sign an order of a deposit wallet", deposit, SignatureType.POLY_1271),
    ):
        yield _result(name, _microseconds(_order_signature(signer, wallet, signature_type)), bare)


def _bare_signature() -> Callable[[int], object]:
    key = PrivateKey(bytes.fromhex(_KEY))
    return lambda number: key.sign_recoverable(number.to_bytes(32, "big"), hasher=None)


def _order_signature(signer: Signer, wallet: Address, signature_type: SignatureType) -> Callable[[int], object]:
    contract = exchange_contract(Exchange.V2, 137)

    def sign(number: int) -> object:
        order = Order(
            salt=number,
            maker=wallet,
            signer=wallet,
            token_id=_TOKEN,
            maker_amount=11_782_400,
            taker_amount=21_040_000,
            side=Side.BUY,
            signature_type=signature_type,
            timestamp_milliseconds=1_700_000_000_123 + number,
        )
        return sign_order(order, contract, signer)

    return sign


def _microseconds(operation: Callable[[int], object]) -> float:
    """The median over rounds of the mean of a round, so that one pause of the machine does not count."""
    means = []
    for round_number in range(ROUNDS):
        began = time.perf_counter_ns()
        for call in range(CALLS_PER_ROUND):
            operation(round_number * CALLS_PER_ROUND + call + 1)
        means.append((time.perf_counter_ns() - began) / CALLS_PER_ROUND / 1000)
    return median(means)


def _result(name: str, value: float, bare: float) -> dict[str, object]:
    return {
        "name": name,
        "value": round(value, 1),
        "unit": "µs",
        "yardstick": round(bare, 1),
        "ratio": round(bare / value, 2),
    }


if __name__ == "__main__":
    for row in run():
        print(row)
