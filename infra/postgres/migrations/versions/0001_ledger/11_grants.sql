-- The application reads everything and writes through functions only. They run with the rights of the owner, with a
-- fixed search_path, and are the only ones it may call.

do $$
begin
  if not exists (select from pg_roles where rolname = 'clearhold_app') then
    begin
      create role clearhold_app nologin;
    exception when insufficient_privilege then
      raise exception 'role clearhold_app does not exist, and % may not create it', current_user
        using hint = 'As an administrator: CREATE ROLE clearhold_app LOGIN PASSWORD ''...''; then migrate again.';
    end;
  end if;
end $$;

do $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname like 'ledger\_%'
  loop
    execute format('revoke all on function %s from public', v_function);
  end loop;
end $$;

grant usage on schema public to clearhold_app;
grant select on tenants, ledger_accounts, ledger_balances, ledger_entries, ledger_transfers, ledger_holds, ledger_batches,
  alembic_version to clearhold_app;
grant insert on ledger_import_lines to clearhold_app;
grant execute on function
  ledger_apply(jsonb), ledger_apply_import(uuid), ledger_open_accounts(jsonb), ledger_close_account(text, text, boolean),
  ledger_expire_due(integer), ledger_read_balances(text, text[], timestamptz),
  ledger_transfer_content(text, text, bigint, bigint, bigint, text, text, boolean, boolean, timestamptz),
  ledger_entry_digest(text, text, text, text, text)
to clearhold_app;
