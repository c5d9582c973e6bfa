"""The dialect of an account: which wallet it watches and pays from."""

import pytest
from tallystick.actors.settings import AccountSettings
from tallystick.configuration import AccountConfiguration
from tallystick.credentials import CredentialsEnvironment, CredentialsUnusable, Secret, Secrets
from tallystick.dialects import make_dialect
from tallystick.model.identifiers import AccountId, AssetId, VenueName
from tallystick.venues.evm.address import Address
from tallystick.venues.polymarket.signing import Signer
from tallystick.venues.polymarket.wallet_addresses import derive_wallets

KEY = "0x" + "5a" * 32
WALLETS = derive_wallets(Signer(KEY).address)


def account(signature_type: int, funder: Address | None = None) -> AccountConfiguration:
    settings = AccountSettings(
        account=AccountId("polymarket:main"),
        venue=VenueName("polymarket"),
        services=(),
        markets=(),
        settlement_asset=AssetId("pUSD"),
    )
    source = CredentialsEnvironment(prefix="TEST")
    return AccountConfiguration(
        settings=settings, credentials=source, chain_id=137, signature_type=signature_type, funder=funder
    )


def secrets(key: str = KEY) -> Secrets:
    return Secrets(private_key=Secret(key))


@pytest.mark.parametrize(
    ("signature_type", "wallet"), [(0, Signer(KEY).address), (1, WALLETS.proxy), (2, WALLETS.safe)]
)
def test_the_wallet_follows_from_the_key_where_it_is_certain(signature_type: int, wallet: Address) -> None:
    assert str(wallet) in repr(make_dialect(account(signature_type), secrets()))


def test_a_deposit_wallet_must_be_named_and_the_error_names_both_candidates() -> None:
    with pytest.raises(CredentialsUnusable) as caught:
        make_dialect(account(3), secrets())
    assert WALLETS.deposit_beacon in str(caught.value)
    assert WALLETS.deposit_uups in str(caught.value)


def test_a_wallet_of_another_key_is_refused_before_anything_connects() -> None:
    stranger = derive_wallets(Signer("0x" + "11" * 32).address).proxy
    with pytest.raises(CredentialsUnusable, match="does not belong to the key"):
        make_dialect(account(1, stranger), secrets())


def test_an_unusable_key_is_refused_without_being_repeated() -> None:
    with pytest.raises(CredentialsUnusable) as caught:
        make_dialect(account(0), secrets("0xnothing-secret"))
    assert "nothing-secret" not in str(caught.value)
