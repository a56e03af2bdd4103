-- The one way to write: a batch of journal entries, judged in order, booked by one statement, answered one by one.

-- Insert the entries that were accepted. Keys go in sorted, so that two batches with the same keys do not deadlock.
create function ledger_write(
  p_batch ledger_batch, p_standing ledger_standing, p_judgement ledger_judgement, p_base bigint, p_now timestamptz
) returns void
language plpgsql as $$
declare
  v_results text[] := p_judgement.results;
  v_first_line integer[] := p_judgement.first_line;
  v_amount bigint[] := p_judgement.amount;
  v_released bigint[] := p_judgement.released;
  v_hold_id bigint[] := p_judgement.hold_id;
  v_debit_at integer[] := p_judgement.debit_at;
  v_credit_at integer[] := p_judgement.credit_at;
  v_accounts bigint[] := p_batch.accounts;
  v_currency text[] := p_standing.currency;
begin
  with entry as (
    insert into ledger_entries
      (id, tenant_id, key, payment_id, description, transfer_count, content_digest, created_at)
    select p_base + first_line - 1, tenant_id, key, payment_id, description, last_line - first_line + 1,
           content_digest, p_now
    from unnest(p_batch.drafts) with ordinality as d(ordinal, first_line, last_line, tenant_id, key, payment_id,
      description, content_digest, problem, n)
    where v_results[n] = 'created'
    order by key, tenant_id
  )
  insert into ledger_transfers
    (id, entry_id, tenant_id, key, kind, debit_account_id, credit_account_id, currency, amount_minor, released_minor,
     hold_id, is_final, takes_all, expires_at, created_at)
  select p_base + position - 1, p_base + v_first_line[position] - 1, tenant_id, key, kind,
         v_accounts[v_debit_at[position]], v_accounts[v_credit_at[position]], v_currency[v_debit_at[position]],
         v_amount[position], v_released[position], v_hold_id[position], is_final,
         case when kind = 'capture' then amount_minor is null end, expires_at, p_now
  from unnest(p_batch.lines)
  where v_first_line[position] is not null
  order by key, tenant_id;
end $$;

-- Whether a key of an entry that was refused is booked already: then `exists`, or the like, is the better answer.
create function ledger_refuses_known_keys(p_batch ledger_batch, p_judgement ledger_judgement) returns boolean
language plpgsql as $$
declare
  v_results text[] := p_judgement.results;
  v_drafts ledger_draft[] := p_batch.drafts;
  v_lines ledger_line[] := p_batch.lines;
  v_draft ledger_draft;
begin
  for v_entry in 1 .. cardinality(v_results) loop
    continue when v_results[v_entry] = 'created';  -- apart from the rest, which runs queries
    v_draft := v_drafts[v_entry];
    continue when v_draft.problem is not null;
    if exists (select from ledger_entries where key = v_draft.key and tenant_id = v_draft.tenant_id)
      or exists (
        select from generate_series(v_draft.first_line, v_draft.last_line) as at
        cross join lateral (
          select from ledger_transfers where key = (v_lines[at]).key and tenant_id = v_draft.tenant_id limit 1
        ) t)
    then
      return true;
    end if;
  end loop;
  return false;
end $$;

create function ledger_book(p_requests ledger_request[], p_now timestamptz)
returns table (ordinal integer, result text, failed_transfer text)
language plpgsql
set search_path = pg_catalog, public, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
declare
  c_max_tries constant integer := 10;
  v_batch ledger_batch;
  v_standing ledger_standing;
  v_judgement ledger_judgement;
  v_results text[];
  v_failed text[];
  v_base bigint;
begin
  if p_requests is null or cardinality(p_requests) = 0 then
    return;
  elsif cardinality(p_requests) > 100000 then
    raise exception 'a batch of % transfers is too large', cardinality(p_requests)
      using errcode = 'program_limit_exceeded', hint = 'Send at most 100000 transfers in one call.';
  end if;

  -- The first try looks no key up, for they are mostly new: a key that is taken shows when it is written, or, for an
  -- entry that is refused, when that is checked. Then everything is judged again, with every key looked up.
  for v_try in 1 .. c_max_tries loop
    begin
      v_batch := ledger_resolve(p_requests);
      v_standing := ledger_lock(v_batch, v_try > 1, p_now);
      v_base := nextval('ledger_batches') << 20;
      v_judgement := ledger_judge(v_batch, v_standing, v_base, p_now);
      if v_try = 1 and ledger_refuses_known_keys(v_batch, v_judgement)
        -- A hold that was not there when names were resolved may have been booked before the accounts were locked.
        or v_try = 2 and v_batch.unresolved and v_standing.digests is not null
      then
        raise unique_violation;
      end if;
      if 'created' = any(v_judgement.results) then
        perform ledger_write(v_batch, v_standing, v_judgement, v_base, p_now);
      end if;
      exit;
    exception when unique_violation then
      if v_try = c_max_tries then
        raise;
      end if;
    end;
  end loop;

  v_results := v_judgement.results;  -- elements of a variable are found at once, those of a row's field by counting
  v_failed := v_judgement.failed;
  return query
    select d.ordinal, v_results[d.n], v_failed[d.n]
    from unnest(v_batch.drafts) with ordinality as d(ordinal, first_line, last_line, tenant_id, key, payment_id,
      description, content_digest, problem, n);
end $$;

create function ledger_requests(p_entries jsonb) returns ledger_request[]
language sql stable as $$
  select array(
    select row((e.n - 1)::integer, e.tenant_id, e.key, e.payment_id, e.description, t.key, t.kind, t.debit, t.credit,
               t.amount_minor, t.currency, t.hold, t.final, t.expires_at)::ledger_request
    from rows from (
      jsonb_to_recordset(p_entries) as (tenant_id text, key text, payment_id text, description text, transfers jsonb)
    ) with ordinality as e(tenant_id, key, payment_id, description, transfers, n)
    left join lateral rows from (
      jsonb_to_recordset(e.transfers) as (key text, kind text, debit text, credit text, amount_minor numeric,
                                          currency text, hold text, final boolean, expires_at timestamptz)
    ) with ordinality as t(key, kind, debit, credit, amount_minor, currency, hold, final, expires_at, n) on true
    order by e.n, t.n)
$$;

-- Book a batch: an array of {tenant_id, key, payment_id, description, transfers: [{key, kind, debit, credit,
-- amount_minor, currency, hold, final, expires_at}]}. One row per entry, in order; ordinals count from 0.
create function ledger_apply(p_entries jsonb)
returns table (ordinal integer, result text, failed_transfer text)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  select * from ledger_book(ledger_requests(p_entries), clock_timestamp())
$$;

-- The same at a time of one's choosing: for tests, and not granted to the application.
create function ledger_apply_at(p_entries jsonb, p_now timestamptz)
returns table (ordinal integer, result text, failed_transfer text)
language sql set search_path = pg_catalog, public, pg_temp as $$
  select * from ledger_book(ledger_requests(p_entries), p_now)
$$;
