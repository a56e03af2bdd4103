import re

from api.card_numbers import holds_card_number
from infra.bank.operations import new_reference

REFERENCES = 20_000


def test_no_token_of_the_bank_looks_like_a_card_number() -> None:
    assert not [token for token in (new_reference("tok") for _ in range(REFERENCES)) if holds_card_number(token)]


def test_references_are_letters_alone_and_begin_with_the_time() -> None:
    made = [new_reference("auth") for _ in range(100)]
    assert all(re.fullmatch(r"auth_[a-p]{36}", reference) for reference in made)
    assert [reference[:17] for reference in made] == sorted(reference[:17] for reference in made)
    assert len(set(made)) == len(made)
