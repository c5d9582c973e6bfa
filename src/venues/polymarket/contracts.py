"""Contract addresses, chains, and which exchange an outcome token trades on (polymarket.md section 4)."""

from enum import Enum
from typing import NewType

from ...model.value import Value
from ..evm.address import Address, parse_address

TokenId = NewType("TokenId", str)
"""An outcome token: a 256-bit unsigned integer in decimal text."""

ConditionId = NewType("ConditionId", str)
"""A market: 0x and 64 lower-case hexadecimal digits."""

POLYGON_CHAIN_ID = 137
AMOY_CHAIN_ID = 80002
"""The test chain. Its addresses are configuration only: no live book is documented there."""

COLLATERAL_DECIMALS = 6
"""Both pUSD and outcome shares count in millionths on chain."""

_V3_POSITION_MASK = ((1 << 64) - 1) << 40
_V3_MODULES = {1, 2, 3}
"""Binary, neg-risk and combinatorial positions."""
_UINT256_LIMIT = 1 << 256


class ContractRefused(ValueError):
    """No contract is known for what was asked."""


class Exchange(Enum):
    """The contract that settles an order, and so the domain that the order is signed for."""

    V2 = "Exchange V2"
    NEG_RISK_V2 = "NegRisk Exchange V2"
    V3 = "Exchange V3"

    @property
    def domain_version(self) -> str:
        """The EIP-712 domain version that orders for this exchange carry."""
        return "3" if self is Exchange.V3 else "2"


PUSD = parse_address("0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB")
USDC_BRIDGED = parse_address("0x2791Bca1f2de4661ED88A30C99A7a9449Aa84174")
USDC_NATIVE = parse_address("0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359")
"""Circle's own USDC: watched for funds that were never wrapped (widely published, not verified here)."""
CONDITIONAL_TOKENS = parse_address("0x4D97DCd97eC945f40cF65F87097ACe5EA0476045")
NEG_RISK_COLLATERAL = parse_address("0x3A3BD7bb9528E159577F7C2e685CC81A765002E2")
NEG_RISK_ADAPTER = parse_address("0xd91E80cF2E7be2e162c6513ceD06f1dD0dA35296")
COLLATERAL_ADAPTER = parse_address("0xAdA100Db00Ca00073811820692005400218FcE1f")
NEG_RISK_COLLATERAL_ADAPTER = parse_address("0xadA2005600Dec949baf300f4C6120000bDB6eAab")
POSITION_MANAGER = parse_address("0x006F54F7f9A22e0000CC2AB60031000000ae9fEF")
COLLATERAL_ONRAMP = parse_address("0x93070a847efEf7F70739046A929D47a521F5B8ee")
COLLATERAL_OFFRAMP = parse_address("0x2957922Eb93258b93368531d39fAcCA3B4dC5854")
PROXY_FACTORY = parse_address("0xaB45c5A4B0c941a2F231C04C3f49182e1A254052")
PROXY_IMPLEMENTATION = parse_address("0x44e999d5c2F66Ef0861317f9A4805AC2e90aEB4f")
SAFE_FACTORY = parse_address("0xaacFeEa03eb1561C4e67d661e40682Bd20E3541b")
SAFE_INIT_CODE_HASH = bytes.fromhex("2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf")
DEPOSIT_WALLET_FACTORY = parse_address("0x00000000000Fb5C9ADea0298D729A0CB3823Cc07")
DEPOSIT_WALLET_IMPLEMENTATION = parse_address("0x58CA52ebe0DadfdF531Cde7062e76746de4Db1eB")
DEPOSIT_WALLET_BEACON = parse_address("0x7A18EDfe055488A3128f01F563e5B479D92ffc3a")
AMOY_CONDITIONAL_TOKENS = parse_address("0x69308FB512518e39F9b16112fA8d994F4e2Bf8bB")

_EXCHANGES: dict[tuple[int, Exchange], Address] = {
    (POLYGON_CHAIN_ID, Exchange.V2): parse_address("0xE111180000d2663C0091e4f400237545B87B996B"),
    (POLYGON_CHAIN_ID, Exchange.NEG_RISK_V2): parse_address("0xe2222d279d744050d28e00520010520000310F59"),
    (POLYGON_CHAIN_ID, Exchange.V3): parse_address("0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"),
    # Both current clients configure Amoy with the addresses of Polygon, except for V3.
    (AMOY_CHAIN_ID, Exchange.V2): parse_address("0xE111180000d2663C0091e4f400237545B87B996B"),
    (AMOY_CHAIN_ID, Exchange.NEG_RISK_V2): parse_address("0xe2222d279d744050d28e00520010520000310F59"),
    (AMOY_CHAIN_ID, Exchange.V3): parse_address("0x9fE6e61422AdB6F610d8597F9684b16912D50C3D"),
}


class ExchangeContract(Value, frozen=True):
    """One exchange on one chain."""

    exchange: Exchange
    chain_id: int
    address: Address


def exchange_contract(exchange: Exchange, chain_id: int) -> ExchangeContract:
    """Return the contract of `exchange` on a chain; raises `ContractRefused` for an unknown chain."""
    address = _EXCHANGES.get((chain_id, exchange))
    if address is None:
        raise ContractRefused(f"no {exchange.value} is known on chain {chain_id}; known chains: 137, 80002")
    return ExchangeContract(exchange=exchange, chain_id=chain_id, address=address)


def parse_token_id(text: str) -> TokenId:
    """Return `text` as a token id; raises `ContractRefused` unless it is a plain decimal below 2^256."""
    if not (text.isascii() and text.isdigit() and len(text) <= 78 and int(text) < _UINT256_LIMIT):
        raise ContractRefused(f"expected a token id (an unsigned 256-bit decimal), got {text[:90]!r}")
    return TokenId(str(int(text)))


def parse_condition_id(text: str) -> ConditionId:
    """Return `text` as a condition id in lower case; raises `ContractRefused` unless it is 32 bytes of hex."""
    lower = text.lower()
    digits = lower.removeprefix("0x")
    if len(lower) != 66 or len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise ContractRefused(f"expected a condition id (0x and 64 hexadecimal digits), got {text[:80]!r}")
    return ConditionId(lower)


def is_v3_position(token_id: TokenId) -> bool:
    """Tell whether a token id is a structured protocol-v2 position id, which trades on Exchange V3.

    Which live markets use Exchange V3 is not published (polymarket.md section 19), so the id decides.
    """
    return int(token_id) & _V3_POSITION_MASK == 0


def has_v3_module(token_id: TokenId) -> bool:
    """Tell whether a structured position id also names one of the known modules in its top byte."""
    return is_v3_position(token_id) and int(token_id) >> 248 in _V3_MODULES


def choose_exchange(token_id: TokenId, *, neg_risk: bool) -> Exchange:
    """Return the exchange that settles orders in a token.

    The token id decides for V3; between the two V2 exchanges the market's neg-risk flag does. A wrong choice
    is answered `invalid signature` (polymarket.md section 16, trap 3).
    """
    if is_v3_position(token_id):
        return Exchange.V3
    return Exchange.NEG_RISK_V2 if neg_risk else Exchange.V2
