"""How the bank says no to a request it does not carry out.

Invariant: a refusal leaves nothing behind, so the same request may be corrected and sent again under the same key. A
decline is not a refusal: it is the recorded outcome of an operation.
"""


class Refusal(Exception):
    """The request is not carried out: HTTP `status`, a stable `code`, and words for a person.

    The detail never repeats what the client sent, which may hold a card number.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
