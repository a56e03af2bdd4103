-- Undo 0003. Every API key is gone afterwards, and with the answers what was known of repeated calls.

drop function idempotency_claim(text, text, bytea, interval, text),
  idempotency_answer(text, text, smallint, text, bytea), idempotency_release(text, text, text, bytea),
  idempotency_forget(text, text), idempotency_prune(interval, integer);
drop index payments_by_currency, ledger_accounts_by_tenant;
drop table idempotency_keys, api_keys;
