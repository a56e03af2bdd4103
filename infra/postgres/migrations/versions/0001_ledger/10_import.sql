-- Bulk import: lines arrive over COPY in a staging table, are booked by ledger_book under the same rules, and leave it,
-- all within one transaction. Unlogged, because what is staged is never needed after a crash.

create unlogged table ledger_import_lines (
  import_id uuid not null,
  ordinal integer not null,
  line integer not null,
  tenant_id text not null,
  entry_key text not null,
  payment_id text,
  description text,
  key text,
  kind text,
  debit text,
  credit text,
  amount_minor numeric,
  currency text,
  hold text,
  is_final boolean,
  expires_at timestamptz,
  constraint ledger_import_lines_pkey primary key (import_id, ordinal, line)
);

-- Book the lines staged under p_import and remove them from the staging table. One row per entry, in order.
create function ledger_apply_import(p_import uuid)
returns table (ordinal integer, result text, failed_transfer text)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
declare
  v_requests ledger_request[];
begin
  v_requests := array(
    select row(ordinal, tenant_id, entry_key, payment_id, description, key, kind, debit, credit, amount_minor,
               currency, hold, is_final, expires_at)::ledger_request
    from ledger_import_lines where import_id = p_import order by ordinal, line);
  delete from ledger_import_lines where import_id = p_import;
  return query select * from ledger_book(v_requests, clock_timestamp());
end $$;
