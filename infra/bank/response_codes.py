"""The response code (ISO 8583 field 39) that goes with each decline code of the bank.

Invariant: every decline code the bank can give is a key here, so an unlisted one fails in the bank's own tests.
"""

APPROVED = "00"

# An issuer's reasons first, then those of the bank about the state of an authorization.
DECLINES: dict[str, str] = {
    "card_declined": "05",
    "insufficient_funds": "51",
    "expired_card": "54",
    "incorrect_cvc": "82",
    "processing_error": "96",
    "lost_card": "41",
    "stolen_card": "43",
    "card_velocity_exceeded": "65",
    "fraudulent": "59",
    "authentication_required": "1A",
    "authentication_failed": "63",
    "challenge_already_used": "63",
    "amount_exceeds_authorized": "13",
    "amount_exceeds_captured": "13",
    "authorization_expired": "12",
    "authorization_voided": "12",
    "authorization_reversed": "12",
    "already_captured": "12",
    "not_captured": "12",
    "reversed": "12",
}
