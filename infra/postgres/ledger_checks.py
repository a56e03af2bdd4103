"""What must hold in the ledger's rows, each check a query that returns the rows that break it.

Invariant: no check trusts what it checks: sums are taken from the transfers, facts of accounts from the accounts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """A query that returns `(where, what)` for each violation, what a violation means, and what to do."""

    name: str
    sql: str
    meaning: str
    advice: str


_RESTORE = "Find who changed it (server log, backups), then restore these rows from a backup and verify again."
_CORRECT = "Stop postings to the account, find the transfer that is missing or altered, and restore it from a backup."

CURRENCIES_SUM_TO_ZERO = Check(
    "currencies_sum_to_zero",
    """
    SELECT format('tenant %s, currency %s', tenant_id, currency),
           format('debits exceed credits by %s posted and %s pending',
                  sum(debits_posted) - sum(credits_posted), sum(debits_pending) - sum(credits_pending))
    FROM ledger_balances GROUP BY tenant_id, currency
    HAVING sum(debits_posted) <> sum(credits_posted) OR sum(debits_pending) <> sum(credits_pending)
    """,
    "Money was made or lost: a balance was changed without its counterpart.",
    "Look at the accounts that balances_follow_transfers names.",
)

BALANCES_FOLLOW_TRANSFERS = Check(
    "balances_follow_transfers",
    """
    WITH line AS (
        SELECT debit_account_id, credit_account_id,
               CASE kind WHEN 'hold' THEN amount_minor WHEN 'post' THEN 0
                         ELSE -amount_minor - released_minor END AS pending,
               CASE kind WHEN 'hold' THEN 0 ELSE amount_minor END AS posted
        FROM ledger_transfers
    ), booked AS (
        SELECT account_id, sum(dp) AS dp, sum(dd) AS dd, sum(cp) AS cp, sum(cc) AS cc
        FROM (SELECT debit_account_id AS account_id, sum(pending) AS dp, sum(posted) AS dd, 0 AS cp, 0 AS cc
              FROM line GROUP BY debit_account_id
              UNION ALL
              SELECT credit_account_id, 0, 0, sum(pending), sum(posted) FROM line GROUP BY credit_account_id) side
        GROUP BY account_id
    )
    SELECT format('account %s of tenant %s', coalesce(a.public_id, '#' || coalesce(b.account_id, s.account_id)),
                  coalesce(a.tenant_id, '?')),
           format('it has %s and its transfers make %s (debits pending, posted, credits pending, posted)',
                  ARRAY[b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted],
                  ARRAY[coalesce(s.dp, 0), coalesce(s.dd, 0), coalesce(s.cp, 0), coalesce(s.cc, 0)])
    FROM ledger_balances b FULL JOIN booked s ON s.account_id = b.account_id
    LEFT JOIN ledger_accounts a ON a.id = coalesce(b.account_id, s.account_id)
    WHERE (b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted) IS DISTINCT FROM
          (coalesce(s.dp, 0)::bigint, coalesce(s.dd, 0)::bigint, coalesce(s.cp, 0)::bigint, coalesce(s.cc, 0)::bigint)
    """,
    "A balance is not the sum of the account's transfers: one of the two was changed by hand.",
    _CORRECT,
)

HOLDS_FOLLOW_TRANSFERS = Check(
    "holds_follow_transfers",
    """
    WITH settled AS (
        SELECT hold_id, sum(amount_minor + released_minor)::bigint AS used,
               bool_or(kind <> 'capture' OR is_final OR takes_all) AS ends,
               (array_agg(kind ORDER BY id DESC))[1] AS last_kind
        FROM ledger_transfers WHERE hold_id IS NOT NULL GROUP BY hold_id
    ), made AS (
        SELECT t.id, t.tenant_id, t.key, t.debit_account_id, t.credit_account_id, t.currency, t.expires_at,
               t.amount_minor - coalesce(s.used, 0) AS remaining_minor,
               CASE WHEN s.ends AND t.amount_minor > s.used THEN 'ended with something left'
                    WHEN t.amount_minor > coalesce(s.used, 0) THEN 'pending'
                    ELSE CASE s.last_kind WHEN 'capture' THEN 'posted' WHEN 'void' THEN 'voided' ELSE 'expired' END
               END AS state
        FROM ledger_transfers t LEFT JOIN settled s ON s.hold_id = t.id WHERE t.kind = 'hold'
    )
    SELECT format('hold %s of tenant %s', coalesce(m.key, h.key), coalesce(m.tenant_id, h.tenant_id)),
           format('it is %s with %s left, and its transfers make it %s with %s left', coalesce(h.state, 'missing'),
                  coalesce(h.remaining_minor, 0), coalesce(m.state, 'nothing'), coalesce(m.remaining_minor, 0))
    FROM made m FULL JOIN ledger_holds h ON h.transfer_id = m.id
    WHERE (m.id, m.tenant_id, m.key, m.debit_account_id, m.credit_account_id, m.currency, m.expires_at,
           m.remaining_minor, m.state) IS DISTINCT FROM
          (h.transfer_id, h.tenant_id, h.key, h.debit_account_id, h.credit_account_id, h.currency, h.expires_at,
           h.remaining_minor, h.state)
    """,
    "A hold does not stand where its captures, voids and expiry have brought it.",
    _RESTORE,
)

LIMITS_ARE_KEPT = Check(
    "limits_are_kept",
    """
    SELECT format('account %s of tenant %s', a.public_id, a.tenant_id),
           format('its %s side is overdrawn by %s minor units', a.normal_side,
                  CASE a.normal_side WHEN 'credit' THEN b.debits_pending + b.debits_posted - b.credits_posted
                       ELSE b.credits_pending + b.credits_posted - b.debits_posted END)
    FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id
    WHERE NOT a.may_go_negative
      AND CASE a.normal_side WHEN 'credit' THEN b.debits_pending + b.debits_posted > b.credits_posted
               ELSE b.credits_pending + b.credits_posted > b.debits_posted END
    """,
    "An account that may not go negative is negative: the check on its balance was removed or went unenforced.",
    _CORRECT,
)

ACCOUNTS_HAVE_BALANCES = Check(
    "accounts_have_balances",
    """
    SELECT format('account %s of tenant %s', coalesce(a.public_id, '#' || b.account_id),
                  coalesce(a.tenant_id, b.tenant_id)),
           CASE WHEN b.account_id IS NULL THEN 'it has no balance row'
                WHEN a.id IS NULL THEN 'its balance row belongs to no account'
                ELSE 'its balance row has another tenant, currency, limit or status than the account' END
    FROM ledger_accounts a FULL JOIN ledger_balances b ON b.account_id = a.id
    WHERE (a.id, a.tenant_id, a.currency, a.status = 'closed', NOT a.may_go_negative AND a.normal_side = 'credit',
           NOT a.may_go_negative AND a.normal_side = 'debit') IS DISTINCT FROM
          (b.account_id, b.tenant_id, b.currency, b.closed, b.debits_must_not_exceed_credits,
           b.credits_must_not_exceed_debits)
    """,
    "What postings are checked against is not what the account says.",
    _RESTORE,
)

ENTRIES_ARE_WHOLE = Check(
    "entries_are_whole",
    """
    WITH content AS (
        SELECT t.entry_id, count(*) AS n, min(t.id) AS first_id, max(t.id) AS last_id,
               min(t.tenant_id) AS tenant_id, max(t.tenant_id) AS other_tenant_id,
               string_agg(ledger_transfer_content(
                   t.key, t.kind, t.debit_account_id, t.credit_account_id, t.amount_minor, t.currency, h.key,
                   t.is_final, t.takes_all, t.expires_at), e'\\x1e' ORDER BY t.id) AS text
        FROM ledger_transfers t LEFT JOIN ledger_transfers h ON h.id = t.hold_id
        GROUP BY t.entry_id
    )
    SELECT coalesce(format('entry %s of tenant %s', e.key, e.tenant_id), format('entry #%s', c.entry_id)),
           CASE WHEN e.id IS NULL THEN format('it is gone, and %s of its transfers are still there', c.n)
                WHEN c.entry_id IS NULL THEN 'it has no transfers'
                WHEN c.n <> e.transfer_count OR c.first_id <> e.id OR c.last_id <> e.id + e.transfer_count - 1
                    THEN format('it was booked with %s transfers and has %s', e.transfer_count, c.n)
                WHEN e.tenant_id <> c.tenant_id OR e.tenant_id <> c.other_tenant_id
                    THEN 'a transfer of it belongs to another tenant'
                ELSE 'its content is not that of which its digest was made' END
    FROM ledger_entries e FULL JOIN content c ON c.entry_id = e.id
    WHERE e.id IS NULL OR c.entry_id IS NULL OR c.n <> e.transfer_count OR c.first_id <> e.id
       OR c.last_id <> e.id + e.transfer_count - 1 OR e.tenant_id <> c.tenant_id OR e.tenant_id <> c.other_tenant_id
       OR e.content_digest <> ledger_entry_digest(e.tenant_id, e.key, e.payment_id, c.text, e.description)
    """,
    "A booked entry was altered, extended or cut.",
    _RESTORE,
)

TRANSFERS_FIT_ACCOUNTS = Check(
    "transfers_fit_accounts",
    """
    SELECT format('transfer %s of tenant %s', t.key, t.tenant_id),
           CASE WHEN d.id IS NULL OR c.id IS NULL THEN 'an account of it does not exist'
                WHEN t.hold_id IS NOT NULL AND h.id IS NULL THEN 'it settles a hold that does not exist'
                ELSE 'its tenant, currency, accounts or time are not those of its accounts or its hold' END
    FROM ledger_transfers t
    LEFT JOIN ledger_accounts d ON d.id = t.debit_account_id
    LEFT JOIN ledger_accounts c ON c.id = t.credit_account_id
    LEFT JOIN ledger_transfers h ON h.id = t.hold_id AND h.kind = 'hold'
    WHERE d.id IS NULL OR c.id IS NULL OR d.id = c.id OR t.amount_minor < 0 OR t.released_minor < 0
       OR (t.tenant_id, t.currency) <> (d.tenant_id, d.currency) OR (t.tenant_id, t.currency) <> (c.tenant_id, c.currency)
       OR t.hold_id IS NOT NULL AND (
           h.id IS NULL OR h.id >= t.id OR (t.kind = 'expire') <> coalesce(t.created_at >= h.expires_at, false)
           OR (t.debit_account_id, t.credit_account_id) <> (h.debit_account_id, h.credit_account_id))
    """,
    "A transfer contradicts its accounts or the hold it settles.",
    _RESTORE,
)

IDS_ARE_AHEAD = Check(
    "ids_are_ahead",
    """
    SELECT 'sequence ledger_batches', format('it stands at %s, and ids reach batch %s', s.last_value, t.last_batch)
    FROM ledger_batches s, (SELECT max(id) >> 20 AS last_batch FROM ledger_transfers) t
    WHERE t.last_batch > s.last_value
    """,
    "The sequence was set back, or rows were inserted by hand: new entries would collide and wait.",
    "As the owner: SELECT setval('ledger_batches', (SELECT max(id) >> 20 FROM ledger_transfers));",
)

ROW_CHECKS = (
    CURRENCIES_SUM_TO_ZERO,
    BALANCES_FOLLOW_TRANSFERS,
    HOLDS_FOLLOW_TRANSFERS,
    LIMITS_ARE_KEPT,
    ACCOUNTS_HAVE_BALANCES,
    ENTRIES_ARE_WHOLE,
    TRANSFERS_FIT_ACCOUNTS,
    IDS_ARE_AHEAD,
)
