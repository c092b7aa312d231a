"""Numbers as spreadsheets write them: taken if nothing is lost, else refused with the mend."""

from __future__ import annotations

import pytest

from producer.contract.params.values import fit

SEED, CFG = 7, 8.5


@pytest.mark.parametrize(
    ("present", "given", "taken"),
    [
        (SEED, "18446744073709551615", 18446744073709551615),
        (SEED, "7.0", 7),
        (SEED, "1e3", 1000),
        (SEED, 7.0, 7),
        (CFG, "7.5", 7.5),
        (CFG, "1.5e12", 1.5e12),
        (True, "FALSE", False),
        (False, "True", True),
        ("a", "", ""),
    ],
)
def test_what_says_all_is_taken(present, given, taken):
    assert fit(present, given) == taken


@pytest.mark.parametrize("given", ["1.12590E+15", "1.8446744073709552e19", 1.8446744073709552e19])
def test_a_whole_number_that_has_lost_digits_is_refused(given):
    with pytest.raises(ValueError, match="format the column as text"):
        fit(SEED, given)


@pytest.mark.parametrize(("given", "mend"), [("7,5", r"\(7\.5\)"), ("-0,25", r"\(-0\.25\)")])
def test_a_decimal_comma_is_refused_with_its_mend(given, mend):
    with pytest.raises(ValueError, match=f"a number with a decimal point {mend}"):
        fit(CFG, given)


def test_an_empty_cell_is_no_number():
    with pytest.raises(ValueError, match="not an empty cell; leave the column out"):
        fit(SEED, " ")
