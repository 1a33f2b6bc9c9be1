"""How a share is printed, by decimal arithmetic that is exact at ties."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from gliomalib.scoring.forensics import Rule

TIES = (ROUND_HALF_UP, ROUND_HALF_EVEN)
"""What a rounded share may do with ties."""


def printed(share: Fraction, decimals: int, rule: Rule, ties: str = TIES[0]) -> float:
    with localcontext() as context:
        context.prec = 80
        exact = Decimal(share.numerator) / Decimal(share.denominator)
        return float(
            exact.quantize(
                Decimal(1).scaleb(-decimals), rounding=ROUND_DOWN if rule == "truncated" else ties
            )
        )
