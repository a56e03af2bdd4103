-- Holds that passed their time. The ledger books their release itself, as an entry of one transfer of kind `expire`, so
-- that history alone explains every balance.

-- Lock the accounts of these holds and those of p_accounts in one order, then release the holds that are still pending
-- and due at p_now. Returns how many were released.
create function ledger_release_due(p_holds bigint[], p_accounts bigint[], p_now timestamptz) returns integer
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
  v_base bigint;
  v_released integer;
begin
  perform from (
    select account_id from ledger_balances
    where account_id = any(p_accounts || array(
      select unnest(array[h.debit_account_id, h.credit_account_id])
      from ledger_holds h where h.transfer_id = any(p_holds)))
    order by account_id for no key update
  ) locked;
  v_base := nextval('ledger_batches') << 20;

  with due as materialized (
    select v_base + row_number() over (order by h.expires_at, h.transfer_id) - 1 as id, 'expire:' || h.key as key,
           h.key as hold_key, e.payment_id, h.transfer_id, h.tenant_id, h.debit_account_id, h.credit_account_id,
           h.currency, h.remaining_minor
    from ledger_holds h
    left join lateral (  -- the entry that holds a transfer is the last one that starts at or before it
      select payment_id from ledger_entries where id <= h.transfer_id order by id desc limit 1
    ) e on true
    where h.transfer_id = any(p_holds) and h.state = 'pending' and h.expires_at <= p_now
  ), entry as (
    insert into ledger_entries
      (id, tenant_id, key, payment_id, description, transfer_count, content_digest, created_at)
    select id, tenant_id, key, payment_id, 'hold expired', 1,
           ledger_entry_digest(tenant_id, key, payment_id, ledger_transfer_content(
             key, 'expire', null, null, null, null, hold_key, null, null, null), 'hold expired'), p_now
    from due
  )
  insert into ledger_transfers
    (id, entry_id, tenant_id, key, kind, debit_account_id, credit_account_id, currency, amount_minor, released_minor,
     hold_id, created_at)
  select id, id, tenant_id, key, 'expire', debit_account_id, credit_account_id, currency, 0, remaining_minor,
         transfer_id, p_now
  from due;
  get diagnostics v_released = row_count;
  return v_released;
end $$;

-- Release up to p_limit holds that are due, oldest first: the sweeper's one statement.
create function ledger_expire_due_at(p_limit integer, p_now timestamptz) returns integer
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  return ledger_release_due(array(
    select transfer_id from ledger_holds
    where state = 'pending' and expires_at <= p_now order by expires_at limit p_limit), '{}', p_now);
end $$;

create function ledger_expire_due(p_limit integer) returns integer
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  select ledger_expire_due_at(p_limit, clock_timestamp())
$$;
