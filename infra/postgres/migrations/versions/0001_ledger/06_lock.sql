-- What the accounts, holds and keys of a batch stand at, once no other batch can change them.

create type ledger_standing as (
  -- by account
  currency text[], closed boolean[], debits_capped boolean[], credits_capped boolean[],
  debits_pending bigint[], debits_posted bigint[], credits_pending bigint[], credits_posted bigint[],
  -- by hold (see hold_at of ledger_batch): those booked before, `none` for a transfer that is no hold
  hold_id bigint[], hold_state text[], hold_left bigint[], hold_expires timestamptz[],
  hold_debit_at integer[], hold_credit_at integer[],
  key_used boolean[],       -- by name: whether a transfer has it as its key (when looked up)
  digests bytea[]           -- by entry key: the digest of the entry that has it (when looked up)
);

-- Lock the accounts in the order of their ids, which every writer keeps, so that no two wait for each other; then read.
-- A hold is guarded by the locks of its two accounts. Keys are looked up when asked for.
create function ledger_lock(p_batch ledger_batch, p_look_up_keys boolean, p_now timestamptz) returns ledger_standing
language plpgsql as $$
#variable_conflict use_column
declare
  -- Local copies, because an element of an array variable is read and changed in place and that of a row's field is not.
  v_standing ledger_standing;
  v_hold_at integer[] := p_batch.hold_at;
  v_debit_at integer[] := p_batch.debit_at;
  v_credit_at integer[] := p_batch.credit_at;
  v_name_at integer[] := p_batch.name_at;
  v_entry_key_at integer[] := p_batch.entry_key_at;
  v_hold_id bigint[];
  v_hold_state text[];
  v_hold_left bigint[];
  v_hold_expires timestamptz[];
  v_hold_debit_at integer[];
  v_hold_credit_at integer[];
  v_key_used boolean[];
  v_digests bytea[];
  v_name integer;
  v_due bigint[];
  v_found record;
begin
  if (select expires_at from ledger_holds where state = 'pending' and expires_at <= p_now order by expires_at limit 1)
     is not null then
    v_due := array(
      select h.transfer_id
      from unnest(p_batch.accounts) as a(account_id)
      join ledger_balances b on b.account_id = a.account_id
      join ledger_holds h on h.debit_account_id = a.account_id and h.state = 'pending' and h.expires_at <= p_now
      where b.debits_must_not_exceed_credits
      union
      select h.transfer_id
      from unnest(p_batch.accounts) as a(account_id)
      join ledger_balances b on b.account_id = a.account_id
      join ledger_holds h on h.credit_account_id = a.account_id and h.state = 'pending' and h.expires_at <= p_now
      where b.credits_must_not_exceed_debits
      union
      select transfer_id from ledger_holds
      where transfer_id = any(p_batch.settled) and state = 'pending' and expires_at <= p_now);
    if cardinality(v_due) > 0 then
      perform ledger_release_due(v_due, p_batch.accounts, p_now);
    end if;
  end if;

  select array_agg(currency), array_agg(closed), array_agg(debits_must_not_exceed_credits),
    array_agg(credits_must_not_exceed_debits), array_agg(debits_pending), array_agg(debits_posted),
    array_agg(credits_pending), array_agg(credits_posted)
  into v_standing.currency, v_standing.closed, v_standing.debits_capped, v_standing.credits_capped,
    v_standing.debits_pending, v_standing.debits_posted, v_standing.credits_pending, v_standing.credits_posted
  from (
    select * from ledger_balances where account_id = any(p_batch.accounts) order by account_id for no key update
  ) locked;
  if cardinality(v_standing.currency) is distinct from cardinality(p_batch.accounts) then
    raise exception 'an account has lost its row in ledger_balances'
      using errcode = 'data_corrupted', hint = 'Run `clearhold ledger verify`.';
  end if;

  if p_batch.settled is not null then
    for v_found in
      select l.position, l.settles, h.state, h.remaining_minor, h.expires_at
      from unnest(p_batch.lines) l
      left join lateral (
        select state, remaining_minor, expires_at from ledger_holds where transfer_id = l.settles limit 1
      ) h on true
      where l.settles is not null
    loop
      v_name := v_hold_at[v_found.position];
      v_hold_id[v_name] := v_found.settles;
      v_hold_state[v_name] := coalesce(v_found.state, 'none');
      v_hold_left[v_name] := v_found.remaining_minor;
      v_hold_expires[v_name] := v_found.expires_at;
      v_hold_debit_at[v_name] := v_debit_at[v_found.position];
      v_hold_credit_at[v_name] := v_credit_at[v_found.position];
    end loop;
    v_standing.hold_id := v_hold_id;
    v_standing.hold_state := v_hold_state;
    v_standing.hold_left := v_hold_left;
    v_standing.hold_expires := v_hold_expires;
    v_standing.hold_debit_at := v_hold_debit_at;
    v_standing.hold_credit_at := v_hold_credit_at;
  end if;

  if not p_look_up_keys then
    return v_standing;
  end if;
  for v_found in
    select d.n, e.content_digest
    from unnest(p_batch.drafts) with ordinality as d(ordinal, first_line, last_line, tenant_id, key, payment_id,
      description, content_digest, problem, n)
    cross join lateral (
      select content_digest from ledger_entries where key = d.key and tenant_id = d.tenant_id limit 1
    ) e
  loop
    v_digests[coalesce(v_entry_key_at[v_found.n], v_found.n)] := v_found.content_digest;
  end loop;
  for v_found in
    select l.position
    from unnest(p_batch.lines) l
    cross join lateral (select from ledger_transfers where key = l.key and tenant_id = l.tenant_id limit 1) t
  loop
    v_key_used[coalesce(v_name_at[v_found.position], v_found.position)] := true;
  end loop;
  v_standing.digests := v_digests;
  v_standing.key_used := v_key_used;
  return v_standing;
end $$;
