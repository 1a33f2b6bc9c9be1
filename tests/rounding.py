"""How a share is printed, by decimal arithmetic that is exact at ties."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from gliomalib.scoring.forensics import Rule

ROUNDING = {"half up": ROUND_HALF_UP, "half even": ROUND_HALF_EVEN, "truncate": ROUND_DOWN}


def printed(share: Fraction, decimals: int, rule: Rule) -> float:
    with localcontext() as context:
        context.prec = 80
        exact = Decimal(share.numerator) / Decimal(share.denominator)
        return float(exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUNDING[rule]))
