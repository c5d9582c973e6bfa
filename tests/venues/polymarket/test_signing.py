"""Orders and key requests are signed exactly as both official clients sign them."""

import copy
import pickle
from typing import Any

import msgspec
import pytest
from tallystick.venues.evm.address import HexRefused, hex_bytes32, parse_address
from tallystick.venues.polymarket.contracts import (
    ContractRefused,
    Exchange,
    choose_exchange,
    exchange_contract,
    parse_condition_id,
    parse_token_id,
)
from tallystick.venues.polymarket.eip712 import domain_separator, hash_order
from tallystick.venues.polymarket.orders import (
    Instructions,
    Order,
    OrderRefused,
    OrderType,
    Side,
    SignatureType,
)
from tallystick.venues.polymarket.signing import KeyRefused, Signer, order_hash, sign_key_request, sign_order
from tallystick.venues.polymarket.wallet_addresses import derive_wallets

from .recorded import cases, decoded

VECTORS = "signing_vectors.json"
KEY = "0x" + "11" * 32


def signer_of(name: str) -> Signer:
    return Signer(decoded(VECTORS)["keys"][name]["private_key"])


def order_of(vector: Any) -> Order:
    wire = vector["expected"]["post_body"]["order"]
    return Order(
        salt=wire["salt"],
        maker=parse_address(wire["maker"]),
        signer=parse_address(wire["signer"]),
        token_id=parse_token_id(wire["tokenId"]),
        maker_amount=int(wire["makerAmount"]),
        taker_amount=int(wire["takerAmount"]),
        side=Side(wire["side"]),
        signature_type=SignatureType(wire["signatureType"]),
        timestamp_milliseconds=int(wire["timestamp"]),
        metadata=hex_bytes32(wire["metadata"]),
        builder=hex_bytes32(wire["builder"]),
    )


@pytest.mark.parametrize("vector", cases(VECTORS, "orders_v2_v3"), ids=lambda vector: str(vector["name"]))
def test_every_recorded_order_is_hashed_and_signed_to_the_same_bytes(vector: Any) -> None:
    order = order_of(vector)
    expected = vector["expected"]
    exchange = choose_exchange(order.token_id, neg_risk=vector["neg_risk"])
    contract = exchange_contract(exchange, vector["chain_id"])
    assert contract.address.lower() == vector["verifying_contract"].lower()
    assert contract.exchange.domain_version == str(vector["exchange_version"])

    hashes = hash_order(order, contract)
    assert "0x" + hashes.domain_separator.hex() == expected["domain_separator"]
    assert "0x" + hashes.struct_hash.hex() == expected["struct_hash"]
    assert order_hash(order, contract) == expected["order_hash"]

    signed = sign_order(order, contract, signer_of(vector["signer_key"]))
    assert signed.order_hash == expected["order_hash"]
    assert "0x" + signed.signature.hex() == expected["signature"]


def test_there_are_seventy_two_recorded_orders_over_all_four_signature_types() -> None:
    vectors = decoded(VECTORS)["orders_v2_v3"]
    assert len(vectors) == 72
    assert {vector["signature_type"] for vector in vectors} == {0, 1, 2, 3}


@pytest.mark.parametrize("case", cases(VECTORS, "l1_auth", "cases"), ids=str)
def test_key_requests_are_signed_to_the_recorded_bytes(case: Any) -> None:
    signature = sign_key_request(
        signer_of(case["signer"]),
        chain_id=case["chain_id"],
        timestamp_seconds=case["timestamp"],
        nonce=case["nonce"],
    )
    assert "0x" + signature.hex() == case["expected_headers"]["POLY_SIGNATURE"]


@pytest.mark.parametrize("name", ["anvil0", "sdk_test"])
def test_wallets_are_derived_from_their_owner(name: str) -> None:
    owner = signer_of(name).address
    expected = decoded(VECTORS)["wallet_derivation"]["by_signer"][owner]
    wallets = derive_wallets(owner)
    assert wallets.proxy == expected["poly_proxy"]
    assert wallets.safe == expected["gnosis_safe"]
    assert wallets.deposit_beacon == expected["deposit_wallet_beacon"]
    assert wallets.deposit_uups == expected["deposit_wallet_uups"]
    assert wallets.signature_type_of(owner) is SignatureType.EOA
    assert wallets.signature_type_of(wallets.proxy) is SignatureType.POLY_PROXY
    assert wallets.signature_type_of(wallets.safe) is SignatureType.POLY_GNOSIS_SAFE
    assert wallets.signature_type_of(wallets.deposit_uups) is SignatureType.POLY_1271
    assert wallets.signature_type_of(parse_address("0x" + "12" * 20)) is None


def test_the_domain_separator_of_exchange_v2_is_the_published_one() -> None:
    separator = domain_separator(exchange_contract(Exchange.V2, 137))
    assert separator.hex() == "3264e159346253e26a64e00b69032db0e7d32f94628de3e6eecb50304d7af3d2"


def test_a_structured_position_id_trades_on_exchange_v3_whatever_the_flag_says() -> None:
    position = parse_token_id("452312848583266388373324160190187140280203133231273979958762269979397062657")
    assert choose_exchange(position, neg_risk=False) is Exchange.V3
    assert choose_exchange(position, neg_risk=True) is Exchange.V3


def test_an_unknown_chain_has_no_exchange() -> None:
    with pytest.raises(ContractRefused, match="chain 1"):
        exchange_contract(Exchange.V2, 1)


def plain_order(signer: Signer) -> Order:
    return Order(
        salt=1,
        maker=signer.address,
        signer=signer.address,
        token_id=parse_token_id("71321045679252212594626385532706912750332728571942532289631379312455583992563"),
        maker_amount=5_000_000,
        taker_amount=10_000_000,
        side=Side.BUY,
        signature_type=SignatureType.EOA,
        timestamp_milliseconds=1_700_000_000_123,
    )


def test_signing_twice_gives_the_same_bytes() -> None:
    signer = Signer(KEY)
    contract = exchange_contract(Exchange.V2, 137)
    first = sign_order(plain_order(signer), contract, signer)
    assert first == sign_order(plain_order(signer), contract, signer)


def test_an_order_of_another_signer_is_not_signed() -> None:
    order = plain_order(Signer("0x" + "22" * 32))
    with pytest.raises(OrderRefused, match="names signer"):
        sign_order(order, exchange_contract(Exchange.V2, 137), Signer(KEY))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"salt": 1 << 53}, "salt"),
        ({"salt": -1}, "salt"),
        ({"maker_amount": 0}, "positive"),
        ({"taker_amount": -5}, "positive"),
        ({"timestamp_milliseconds": -1}, "1970"),
        ({"metadata": b"short"}, "32 bytes"),
        ({"maker": parse_address("0x" + "33" * 20)}, "plain account"),
        (
            {"signature_type": SignatureType.POLY_1271, "maker": parse_address("0x" + "33" * 20)},
            "deposit wallet",
        ),
    ],
)
def test_an_order_that_the_venue_could_read_differently_is_refused(changes: dict[str, object], text: str) -> None:
    order = plain_order(Signer(KEY))
    with pytest.raises(OrderRefused, match=text):
        msgspec.structs.replace(order, **changes).__post_init__()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"order_type": OrderType.GOOD_TILL_DATE}, "expiration"),
        ({"expiration_seconds": 1_700_003_600}, "expiration"),
        ({"order_type": OrderType.GOOD_TILL_DATE, "expiration_seconds": 0}, "1970"),
        ({"order_type": OrderType.FILL_OR_KILL, "post_only": True}, "post-only"),
        ({"order_type": OrderType.FILL_AND_KILL, "post_only": True}, "post-only"),
    ],
)
def test_instructions_that_the_venue_does_not_offer_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(OrderRefused, match=text):
        Instructions(**fields)


@pytest.mark.parametrize("text", ["", "0x", "zz" * 32, "11" * 31, "11" * 33, "00" * 32, "ff" * 32])
def test_what_is_no_private_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(KeyRefused) as refused:
        Signer(text)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None
    assert not text.strip("0x") or text not in str(refused.value)


def test_a_signer_never_shows_its_key() -> None:
    signer = Signer(KEY)
    assert repr(signer) == f"Signer(address={signer.address})"
    assert "11" * 32 not in f"{signer} {signer!r}"
    with pytest.raises(TypeError, match="stays where it is"):
        pickle.dumps(signer)
    with pytest.raises(TypeError, match="stays where it is"):
        copy.deepcopy(signer)
    assert not hasattr(signer, "__dict__")


@pytest.mark.parametrize("text", ["", "0x", "-1", "1.5", "9" * 90, str(1 << 256), "١٢"])
def test_what_is_no_token_id_is_refused(text: str) -> None:
    with pytest.raises(ContractRefused):
        parse_token_id(text)


def test_condition_ids_are_compared_in_lower_case() -> None:
    assert parse_condition_id("0X" + "AB" * 32) == "0x" + "ab" * 32
    with pytest.raises(ContractRefused):
        parse_condition_id("ab" * 32)


def test_an_address_is_one_text_however_it_was_spelled() -> None:
    spelled = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert parse_address(spelled.lower()) == parse_address("0X" + spelled[2:].upper()) == spelled
    with pytest.raises(HexRefused):
        parse_address(spelled[:-1])
