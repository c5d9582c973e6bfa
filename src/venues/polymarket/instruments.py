"""Between the venue's tokens and the runtime's instruments."""

from collections.abc import Iterable
from decimal import Decimal

from ...model.identifiers import AssetId, InstrumentId, VenueName
from ...model.instrument import Instrument, InstrumentKind, MarketStatus
from ...model.money import Price, Quantity
from ..port import CannotExpress
from .contracts import TokenId, parse_token_id
from .ledger import DUST_SHARES
from .markets import Market

VENUE = VenueName("polymarket")
SETTLEMENT_ASSET = AssetId("pUSD")

_LOT = Decimal("0.01")
_ONE = Decimal(1)


def instruments_of(market: Market) -> tuple[Instrument, Instrument]:
    """Return a market's two outcome shares, each the complement of the other.

    A buy that would match at once must also be worth one dollar; that depends on the book, so the venue decides.
    """
    first, second = (
        InstrumentId(f"{VENUE}:{market.slug}:{outcome.name.replace(' ', '-')}") for outcome in market.outcomes
    )
    return (
        _instrument(market, 0, instrument_id=first, complement=second),
        _instrument(market, 1, instrument_id=second, complement=first),
    )


def _instrument(market: Market, index: int, *, instrument_id: InstrumentId, complement: InstrumentId) -> Instrument:
    outcome = market.outcomes[index]
    return Instrument(
        instrument_id=instrument_id,
        venue=VENUE,
        venue_symbol=outcome.token_id,
        market=market.condition_id,
        kind=InstrumentKind.OUTCOME_SHARE,
        settlement_asset=SETTLEMENT_ASSET,
        price_tick=Price(market.tick_size),
        price_minimum=Price(market.tick_size),
        price_maximum=Price(_ONE - market.tick_size),
        quantity_step=Quantity(_LOT),
        quantity_minimum=Quantity(market.minimum_size),
        drift_tolerance=Quantity(DUST_SHARES),
        status=_status(market),
        complement=complement,
        fee_rate=market.fee.rate,
        fee_exponent=market.fee.exponent,
        negative_risk=market.neg_risk,
        title=f"{market.title} — {outcome.name}" if market.title else outcome.name,
    )


def _status(market: Market) -> MarketStatus:
    if market.resolved:
        return MarketStatus.RESOLVED
    if market.closed:
        return MarketStatus.CLOSED
    return MarketStatus.OPEN if market.accepting_orders else MarketStatus.CANCEL_ONLY


def token_of(instrument: Instrument) -> TokenId:
    """Return the token that an instrument trades."""
    return parse_token_id(instrument.venue_symbol)


class InstrumentTable:
    """The instruments that a dialect has learned, by their id and by their token."""

    def __init__(self) -> None:
        self._by_id: dict[InstrumentId, Instrument] = {}
        self._by_token: dict[str, Instrument] = {}

    def learn(self, instruments: Iterable[Instrument]) -> None:
        """Take instruments in, in place of what was known of them before."""
        for instrument in instruments:
            self._by_id[instrument.instrument_id] = instrument
            self._by_token[token_of(instrument)] = instrument

    def of_token(self, token: str) -> Instrument | None:
        """Return the instrument of a token, or None for one that was never learned."""
        return self._by_token.get(token)

    def of_id(self, instrument: InstrumentId) -> Instrument:
        """Return a learned instrument; raises `CannotExpress` for any other."""
        found = self._by_id.get(instrument)
        if found is None:
            raise CannotExpress(f"{instrument} is not in the catalogue that was read; list its market first")
        return found

    def market_of(self, instrument: InstrumentId) -> str | None:
        """Return the market that an instrument belongs to, or None for one that was never learned."""
        found = self._by_id.get(instrument)
        return None if found is None else found.market

    def asset_of_token(self, token: TokenId) -> AssetId:
        """Return the asset of a token's balance: its instrument where known, else a name that shows the token."""
        instrument = self.of_token(token)
        return AssetId(f"{VENUE}:token:{token}" if instrument is None else instrument.instrument_id)
