"""What a token costs. Looked up on 2026-11-22; settings override it where a contract differs."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

NANO_USD = 1_000_000_000
"""The ledger counts in billionths of a dollar: whole numbers add up exactly."""


@dataclass(frozen=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float

    def nano_usd(
        self, input_tokens: int, output_tokens: int, cache_read: int = 0, cache_write: int = 0
    ) -> int:
        """Return the price of some tokens, rounded up; `input_tokens` are those not cached."""
        parts = (
            (input_tokens, self.input),
            (output_tokens, self.output),
            (cache_read, self.cache_read),
            (cache_write, self.cache_write),
        )
        # USD per million tokens is thousands of billionths per token.
        return ceil(sum(1000 * tokens * Fraction(str(price)) for tokens, price in parts))


def make_price(input_usd: float, output_usd: float, cached_share: float = 0.1) -> Price:
    """Return a price: reading the cache costs a share of the input, writing it a quarter more."""
    return Price(
        input_usd, output_usd, round(input_usd * cached_share, 6), round(1.25 * input_usd, 6)
    )


PRICES: dict[str, Price] = {
    "claude-opus-5-5": make_price(4.0, 20.0, 0.05),
    "claude-sonnet-5-5": make_price(2.0, 10.0, 0.05),
    "claude-haiku-5-5": make_price(0.10, 0.50, 0.10),
    "claude-opus-5": make_price(5.0, 25.0),
    "claude-opus-4-8": make_price(5.0, 25.0),
    "claude-fable-5-2": make_price(10.0, 50.0),
    "claude-fable-5-1": make_price(10.0, 50.0),
}
"""A model that is not here needs --input-usd-per-mtok and --output-usd-per-mtok."""
