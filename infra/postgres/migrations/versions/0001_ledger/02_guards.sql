-- Refuses every change of the ledger that is not the effect of a new transfer, whoever makes it. The triggers are
-- ALWAYS enabled, so that session_replication_role does not silence them; what a superuser switches off by hand is
-- reported by `clearhold ledger verify`.

create function ledger_refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  raise exception 'the ledger is append-only: % on % is refused', tg_op, tg_table_name
    using errcode = 'integrity_constraint_violation',
          detail = 'What is booked is never altered or removed; nothing was changed.',
          hint = case when tg_table_name in ('ledger_entries', 'ledger_transfers')
            then 'Book a new entry that corrects the old one, through ledger_apply.'
            else 'Rows of this table are kept for ever; an account can be closed with ledger_close_account.' end;
end $$;

-- Sums and holds change inside the trigger of ledger_transfers (or of ledger_accounts), hence never at depth 1.
create function ledger_refuse_direct_change() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  if pg_trigger_depth() > 1 then
    return null;
  end if;
  raise exception '% is derived from ledger_transfers: a direct % is refused', tg_table_name, tg_op
    using errcode = 'integrity_constraint_violation',
          detail = 'Balances and holds are the sums of booked transfers; nothing was changed.',
          hint = 'Book an entry through ledger_apply; the sums follow from it.';
end $$;

create function ledger_guard_account() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  if (new.id, new.tenant_id, new.public_id, new.currency, new.normal_side, new.purpose, new.may_go_negative,
      new.created_at)
     is distinct from
     (old.id, old.tenant_id, old.public_id, old.currency, old.normal_side, old.purpose, old.may_go_negative,
      old.created_at)
  then
    raise exception 'account % of tenant % cannot be altered', old.public_id, old.tenant_id
      using errcode = 'integrity_constraint_violation',
            detail = 'Only status and closed_at of an account may change; nothing was changed.',
            hint = 'Open another account and move the balance to it.';
  end if;
  return new;
end $$;

create trigger ledger_accounts_only_status_changes before update on ledger_accounts
  for each row execute function ledger_guard_account();
create trigger ledger_accounts_are_kept before delete or truncate on ledger_accounts
  for each statement execute function ledger_refuse_change();
create trigger ledger_entries_are_immutable before update or delete or truncate on ledger_entries
  for each statement execute function ledger_refuse_change();
create trigger ledger_transfers_are_immutable before update or delete or truncate on ledger_transfers
  for each statement execute function ledger_refuse_change();
create trigger ledger_balances_are_derived before insert or update on ledger_balances
  for each statement execute function ledger_refuse_direct_change();
create trigger ledger_balances_are_kept before delete or truncate on ledger_balances
  for each statement execute function ledger_refuse_change();
create trigger ledger_holds_are_derived before insert or update on ledger_holds
  for each statement execute function ledger_refuse_direct_change();
create trigger ledger_holds_are_kept before delete or truncate on ledger_holds
  for each statement execute function ledger_refuse_change();

alter table ledger_accounts enable always trigger ledger_accounts_only_status_changes;
alter table ledger_accounts enable always trigger ledger_accounts_are_kept;
alter table ledger_entries enable always trigger ledger_entries_are_immutable;
alter table ledger_transfers enable always trigger ledger_transfers_are_immutable;
alter table ledger_balances enable always trigger ledger_balances_are_derived;
alter table ledger_balances enable always trigger ledger_balances_are_kept;
alter table ledger_holds enable always trigger ledger_holds_are_derived;
alter table ledger_holds enable always trigger ledger_holds_are_kept;
