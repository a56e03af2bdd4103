-- Opening and closing accounts, and reading what they have.

-- Open accounts: an array of {tenant_id, id, currency, normal_side, purpose, may_go_negative}. One row per account, in
-- order; results as in domain.ledger.accounts.AccountResult.
create function ledger_open_accounts(p_accounts jsonb) returns table (ordinal integer, result text)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  v_results text[];
  v_asked record;
  v_found ledger_accounts;
begin
  for v_asked in
    select n, a.tenant_id, a.id, a.currency, a.normal_side, coalesce(a.purpose, 'wallet') as purpose,
           coalesce(a.may_go_negative, false) as may_go_negative
    from rows from (
      jsonb_to_recordset(p_accounts) as (tenant_id text, id text, currency text, normal_side text, purpose text,
                                         may_go_negative boolean)
    ) with ordinality as a(tenant_id, id, currency, normal_side, purpose, may_go_negative, n)
    order by a.tenant_id, a.id, n  -- one order, so that two callers with the same accounts do not deadlock
  loop
    if not coalesce(length(v_asked.id) between 1 and 200 and v_asked.id !~ '[[:cntrl:]]'
                    and length(v_asked.purpose) between 1 and 200 and v_asked.purpose !~ '[[:cntrl:]]'
                    and v_asked.currency ~ '^[A-Z]{3}$' and v_asked.normal_side in ('debit', 'credit'), false) then
      v_results[v_asked.n] := 'account_is_malformed';
      continue;
    end if;
    if not exists (select from tenants t where t.id = v_asked.tenant_id) then
      v_results[v_asked.n] := 'tenant_not_found';
      continue;
    end if;
    insert into ledger_accounts (tenant_id, public_id, currency, normal_side, purpose, may_go_negative)
    values (v_asked.tenant_id, v_asked.id, v_asked.currency, v_asked.normal_side, v_asked.purpose,
            v_asked.may_go_negative)
    on conflict (public_id, tenant_id) do nothing;
    if found then
      v_results[v_asked.n] := 'created';
      continue;
    end if;
    select * into strict v_found from ledger_accounts a
    where a.tenant_id = v_asked.tenant_id and a.public_id = v_asked.id;
    v_results[v_asked.n] := case
      when (v_found.currency, v_found.normal_side, v_found.purpose, v_found.may_go_negative)
           = (v_asked.currency, v_asked.normal_side, v_asked.purpose, v_asked.may_go_negative)
      then 'exists' else 'exists_with_different_content' end;
  end loop;
  return query select (u.n - 1)::integer, u.r from unnest(v_results) with ordinality as u(r, n);
end $$;

-- Close an account: it takes no new posts or holds, and still settles the holds it has. Safe to repeat. `p_only_if_empty`: not
-- one that has a balance or live holds, which is decided under the lock that every posting takes.
create function ledger_close_account(p_tenant text, p_account text, p_only_if_empty boolean default false) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  v_id bigint;
begin
  select id into v_id from ledger_accounts where tenant_id = p_tenant and public_id = p_account;
  if not found then
    return 'account_not_found';
  end if;
  perform from ledger_balances where account_id = v_id for no key update;  -- as a batch does, before anything else
  if p_only_if_empty
     and exists (select from ledger_accounts where id = v_id and status = 'open')
     and exists (select from ledger_read_balances(p_tenant, array[p_account]) b
                 where b.debits_posted <> b.credits_posted or b.debits_pending + b.credits_pending > 0) then
    return 'account_not_empty';
  end if;
  update ledger_accounts set status = 'closed', closed_at = clock_timestamp() where id = v_id and status = 'open';
  return case when found then 'closed' else 'already_closed' end;
end $$;

-- What accounts have at a time: holds past it no longer count, whether their release is booked yet or not.
create function ledger_read_balances(p_tenant text, p_accounts text[], p_now timestamptz default clock_timestamp())
returns table (account text, debits_pending bigint, debits_posted bigint, credits_pending bigint,
               credits_posted bigint)
language sql stable set search_path = pg_catalog, public, pg_temp as $$
  select a.public_id,
    b.debits_pending - coalesce((
      select sum(h.remaining_minor) from ledger_holds h
      where h.debit_account_id = a.id and h.state = 'pending' and h.expires_at <= p_now), 0)::bigint,
    b.debits_posted,
    b.credits_pending - coalesce((
      select sum(h.remaining_minor) from ledger_holds h
      where h.credit_account_id = a.id and h.state = 'pending' and h.expires_at <= p_now), 0)::bigint,
    b.credits_posted
  from ledger_accounts a join ledger_balances b on b.account_id = a.id
  where a.tenant_id = p_tenant and a.public_id = any(p_accounts)
$$;
