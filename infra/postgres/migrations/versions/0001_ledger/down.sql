-- Undo 0001. This destroys the ledger: for development and tests. The role clearhold_app stays, as other databases use it.

drop table ledger_import_lines, ledger_holds, ledger_transfers, ledger_entries, ledger_balances, ledger_accounts, tenants;
drop sequence ledger_batches;
drop function ledger_apply(jsonb), ledger_apply_at(jsonb, timestamptz), ledger_apply_import(uuid),
  ledger_requests(jsonb), ledger_book(ledger_request[], timestamptz),
  ledger_write(ledger_batch, ledger_standing, ledger_judgement, bigint, timestamptz),
  ledger_judge(ledger_batch, ledger_standing, bigint, timestamptz), ledger_lock(ledger_batch, boolean, timestamptz),
  ledger_refuses_known_keys(ledger_batch, ledger_judgement),
  ledger_resolve(ledger_request[]), ledger_expire_due(integer), ledger_expire_due_at(integer, timestamptz),
  ledger_release_due(bigint[], bigint[], timestamptz), ledger_open_accounts(jsonb), ledger_close_account(text, text, boolean),
  ledger_read_balances(text, text[], timestamptz), ledger_transfers_take_effect(), ledger_transfers_belong(),
  ledger_entries_are_whole(), ledger_accounts_take_effect(), ledger_entry_digest(text, text, text, text, text),
  ledger_transfer_content(text, text, bigint, bigint, bigint, text, text, boolean, boolean, timestamptz),
  ledger_guard_account(), ledger_refuse_direct_change(), ledger_refuse_change();
drop type ledger_judgement, ledger_standing, ledger_batch, ledger_draft, ledger_line, ledger_request;
revoke usage on schema public from clearhold_app;
revoke all on alembic_version from clearhold_app;
