-- What a new row brings about. Balances and holds are written here and nowhere else, set by set, in the statement that
-- inserts the transfers; a set that would leave the ledger inconsistent is refused whole.
--
-- Plans are kept for the life of a session, and one may be made while the ledger is empty. So planner switches and forms
-- that can only be run one way (lateral with limit, ranges with order and limit, rows by an array of ids, hash joins of two sets that are bounded) see to it that a plan
-- is right for any size.

-- The canonical text of a transfer as it was asked for, of which an entry's digest is made: fields set apart by the
-- unit separator, which no key may hold, as many as its kind has. A capture or void names its hold and takes the
-- accounts from it, so they are no part of what was asked.
create function ledger_transfer_content(
  p_key text, p_kind text, p_debit bigint, p_credit bigint, p_amount bigint, p_currency text, p_hold_key text,
  p_is_final boolean, p_takes_all boolean, p_expires_at timestamptz
) returns text
language sql stable parallel safe as $$
  select case p_kind
    when 'post' then concat_ws(e'\x1f', p_key, p_kind, p_debit, p_credit, p_amount, p_currency)
    when 'hold' then concat_ws(e'\x1f', p_key, p_kind, p_debit, p_credit, p_amount, p_currency,
                               coalesce(extract(epoch from p_expires_at), 0))
    when 'capture' then concat_ws(e'\x1f', p_key, p_kind, p_hold_key, p_is_final,
                                  case when p_takes_all then -1 else p_amount end)
    else concat_ws(e'\x1f', p_key, p_kind, p_hold_key) end
$$;

-- SHA-256 of an entry; p_transfers are the texts of its transfers, set apart by the record separator.
create function ledger_entry_digest(
  p_tenant text, p_key text, p_payment text, p_transfers text, p_description text
) returns bytea
language sql stable parallel safe as $$
  select sha256(convert_to(
    concat_ws(e'\x1e', p_tenant, p_key, coalesce('=' || p_payment, ''), p_transfers, '', p_description), 'UTF8'))
$$;

create function ledger_accounts_take_effect() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    insert into ledger_balances (account_id, tenant_id, currency, closed,
                                 debits_must_not_exceed_credits, credits_must_not_exceed_debits)
    select id, tenant_id, currency, status = 'closed',
           not may_go_negative and normal_side = 'credit', not may_go_negative and normal_side = 'debit'
    from added;
  else
    update ledger_balances b set closed = (a.status = 'closed')
    from added a where b.account_id = a.id and b.closed <> (a.status = 'closed');
  end if;
  return null;
end $$;

-- Every new entry has all its transfers, with ids that follow its own, and the digest of exactly this content. What
-- ledger_write inserts carries the digest that ledger_resolve made of the same lines; that of any other is made again.
create function ledger_entries_are_whole() returns trigger
language plpgsql
set search_path = pg_catalog, public, pg_temp
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = off set enable_nestloop = off
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
  v_first bigint;
  v_last bigint;
  v_key text;
  v_context text;
begin
  select min(id), max(id + transfer_count - 1) into v_first, v_last from added;
  select min(e.key) into v_key
  from added e
  left join (
    select entry_id, count(*) as n, max(id) as last_id
    from (select id, entry_id from ledger_transfers where id >= v_first and id <= v_last order by id limit 1000000) t
    group by entry_id
  ) t on t.entry_id = e.id
  where t.n is distinct from e.transfer_count or t.last_id <> e.id + e.transfer_count - 1;

  get diagnostics v_context = pg_context;
  if v_key is null and strpos(v_context, ' ledger_write(') = 0 then
    select min(e.key) into v_key
    from added e
    join (
      select t.entry_id, string_agg(ledger_transfer_content(
          t.key, t.kind, t.debit_account_id, t.credit_account_id, t.amount_minor, t.currency, h.key, t.is_final,
          t.takes_all, t.expires_at), e'\x1e' order by t.id) as content
      from (select * from ledger_transfers where id >= v_first and id <= v_last order by id limit 1000000) t
      left join lateral (select key from ledger_holds where transfer_id = t.hold_id limit 1) h on true
      group by t.entry_id
    ) t on t.entry_id = e.id
    where e.content_digest <> ledger_entry_digest(e.tenant_id, e.key, e.payment_id, t.content, e.description);
  end if;

  if v_key is not null then
    raise exception 'entry % is not whole', v_key
      using errcode = 'integrity_constraint_violation',
            detail = 'An entry is inserted with all its transfers and the digest of its content by one statement; '
                     'nothing was booked.',
            hint = 'Use ledger_apply.';
  end if;
  return null;
end $$;

-- Every new transfer is one of those its entry counts. An entry is whole from the start, so its ids are all taken and
-- it cannot be extended later.
create function ledger_transfers_belong() returns trigger
language plpgsql
set search_path = pg_catalog, public, pg_temp
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = off set enable_nestloop = off
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
  v_first bigint;
  v_last bigint;
  v_key text;
begin
  select min(entry_id), max(entry_id) into v_first, v_last from added;
  select min(t.key) into v_key
  from added t
  left join ledger_entries e on e.id = t.entry_id and e.id >= v_first and e.id <= v_last
  where e.id is null or t.id >= e.id + e.transfer_count or t.tenant_id <> e.tenant_id or t.created_at <> e.created_at;
  if v_key is not null then
    raise exception 'transfer % belongs to no entry', v_key
      using errcode = 'integrity_constraint_violation',
            detail = 'An entry is inserted with all its transfers by one statement and is never extended; nothing '
                     'was booked.',
            hint = 'Use ledger_apply; to correct an entry, book another.';
  end if;
  return null;
end $$;

create function ledger_transfers_take_effect() returns trigger
language plpgsql
set search_path = pg_catalog, public, pg_temp
set enable_seqscan = off set enable_hashjoin = on set enable_mergejoin = off set enable_nestloop = off
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
  v_expected bigint;
  v_done bigint;
  v_makes_holds boolean;
  v_settles_holds boolean;
begin
  with line as (
    select debit_account_id, credit_account_id, tenant_id, currency, kind in ('post', 'hold') as opens,
           case kind when 'hold' then amount_minor when 'post' then 0 else -amount_minor - released_minor end
             as pending,
           case kind when 'hold' then 0 else amount_minor end as posted
    from added
  ), net as materialized (
    select account_id, tenant_id, currency, bool_or(opens) as opens,
           sum(debit_pending)::bigint as debit_pending, sum(debit_posted)::bigint as debit_posted,
           sum(credit_pending)::bigint as credit_pending, sum(credit_posted)::bigint as credit_posted
    from (
      select debit_account_id as account_id, tenant_id, currency, opens,
             pending as debit_pending, posted as debit_posted, 0::bigint as credit_pending, 0::bigint as credit_posted
      from line
      union all
      select credit_account_id, tenant_id, currency, opens, 0, 0, pending, posted from line
    ) side
    group by account_id, tenant_id, currency
  ), changed as (
    update ledger_balances b
    set debits_pending = b.debits_pending + n.debit_pending, debits_posted = b.debits_posted + n.debit_posted,
        credits_pending = b.credits_pending + n.credit_pending, credits_posted = b.credits_posted + n.credit_posted
    from net n
    where b.account_id = any(array(select account_id from net))  -- read in the order of ids, hence locked in it
      and b.account_id = n.account_id and b.tenant_id = n.tenant_id and b.currency = n.currency
      and not (b.closed and n.opens)
    returning 1
  )
  select (select count(*) from net), (select count(*) from changed) into v_expected, v_done;
  if v_done <> v_expected then
    raise exception '% of % accounts cannot take these transfers', v_expected - v_done, v_expected
      using errcode = 'integrity_constraint_violation',
            detail = 'Each account must exist, have the tenant and currency of its transfers, and be open for posts '
                     'and holds; nothing was booked.',
            hint = 'Use ledger_apply, which names the transfer and the reason.';
  end if;

  select bool_or(kind = 'hold'), bool_or(hold_id is not null) into v_makes_holds, v_settles_holds from added;
  if v_makes_holds then
    insert into ledger_holds
      (transfer_id, tenant_id, key, debit_account_id, credit_account_id, currency, remaining_minor, expires_at)
    select id, tenant_id, key, debit_account_id, credit_account_id, currency, amount_minor, expires_at
    from added where kind = 'hold';
  end if;

  if v_settles_holds then
    with held as materialized (
      select * from ledger_holds where transfer_id = any(array(select hold_id from added where hold_id is not null))
    ), settled as materialized (
      select t.hold_id, sum(t.amount_minor + t.released_minor)::bigint as used,
             (array_agg(t.kind order by t.id desc))[1] as last_kind,
             bool_or(t.kind <> 'capture' or t.is_final or t.takes_all) as ends,
             bool_and(t.id > t.hold_id and t.tenant_id = h.tenant_id and t.currency = h.currency
                      and t.debit_account_id = h.debit_account_id and t.credit_account_id = h.credit_account_id
                      and (t.kind = 'expire') = coalesce(t.created_at >= h.expires_at, false)) as fits
      from added t
      left join held h on h.transfer_id = t.hold_id
      where t.hold_id is not null
      group by t.hold_id
    ), changed as (
      update ledger_holds h
      set remaining_minor = h.remaining_minor - s.used,
          state = case when h.remaining_minor > s.used then 'pending' when s.last_kind = 'capture' then 'posted'
                       when s.last_kind = 'void' then 'voided' else 'expired' end
      from settled s
      where h.transfer_id = any(array(select hold_id from settled))
        and h.transfer_id = s.hold_id and s.fits and h.state = 'pending'
        and (h.remaining_minor = s.used or h.remaining_minor > s.used and not s.ends)
      returning 1
    )
    select (select count(*) from settled), (select count(*) from changed) into v_expected, v_done;
    if v_done <> v_expected then
      raise exception '% of % holds cannot be settled so', v_expected - v_done, v_expected
        using errcode = 'integrity_constraint_violation',
              detail = 'A capture, void or expiry belongs to a pending hold of the same accounts, takes no more than '
                       'is left of it, leaves nothing when it is final, and keeps to its time; nothing was booked.',
              hint = 'Use ledger_apply, which names the transfer and the reason.';
    end if;
  end if;
  return null;
end $$;

create trigger ledger_accounts_open_with_a_balance after insert on ledger_accounts
  referencing new table as added for each statement execute function ledger_accounts_take_effect();
create trigger ledger_accounts_status_reaches_balance after update on ledger_accounts
  referencing new table as added for each statement execute function ledger_accounts_take_effect();
create trigger ledger_entries_are_whole after insert on ledger_entries
  referencing new table as added for each statement execute function ledger_entries_are_whole();
create trigger ledger_transfers_belong_to_an_entry after insert on ledger_transfers
  referencing new table as added for each statement execute function ledger_transfers_belong();
create trigger ledger_transfers_change_balances after insert on ledger_transfers
  referencing new table as added for each statement execute function ledger_transfers_take_effect();

alter table ledger_accounts enable always trigger ledger_accounts_open_with_a_balance;
alter table ledger_accounts enable always trigger ledger_accounts_status_reaches_balance;
alter table ledger_entries enable always trigger ledger_entries_are_whole;
alter table ledger_transfers enable always trigger ledger_transfers_belong_to_an_entry;
alter table ledger_transfers enable always trigger ledger_transfers_change_balances;
