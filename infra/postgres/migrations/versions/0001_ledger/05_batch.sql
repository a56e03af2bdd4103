-- A batch of journal entries as it passes through ledger_book (08_apply.sql): resolved here, locked, judged, written.
-- Arrays by line, by account, by entry and by name are all counted from 1.

-- One line of a request: a transfer with the header of its entry. An entry without transfers is a line without a kind.
create type ledger_request as (
  ordinal integer, tenant_id text, entry_key text, payment_id text, description text,
  key text, kind text, debit text, credit text, amount_minor numeric, currency text, hold text, is_final boolean,
  expires_at timestamptz
);

-- A line with its names resolved. `settles` is the transfer a capture or void names, if that is booked already.
create type ledger_line as (
  position integer, tenant_id text, key text, kind text, same_account boolean, amount_minor bigint, currency text,
  hold text, is_final boolean, expires_at timestamptz, settles bigint
);

-- An entry, its lines being first_line to last_line, and what is wrong with it before any account is looked at.
create type ledger_draft as (
  ordinal integer, first_line integer, last_line integer, tenant_id text, key text, payment_id text, description text,
  content_digest bytea, problem text
);

create type ledger_batch as (
  lines ledger_line[],
  drafts ledger_draft[],
  accounts bigint[],        -- every account of the batch, in the order in which they are locked
  debit_at integer[],       -- by line: place of its debit account in `accounts`, null when there is none
  credit_at integer[],
  settled bigint[],         -- every booked transfer that a line settles
  hold_at integer[],        -- by line: place in `settled`, or else among the names, of the hold it settles
  name_at integer[],        -- by line: place of its key among the names; null when each line has a name of its own
  entry_key_at integer[],   -- by entry: place of its key among the entry keys; null when each has a key of its own
  unresolved boolean        -- whether a line settles a hold that is not booked yet
);

-- Names to ids. Accounts and transfers keep theirs for ever, so this needs no lock.
create function ledger_resolve(p_requests ledger_request[]) returns ledger_batch
language plpgsql as $$
#variable_conflict use_column
declare
  v_batch ledger_batch;
  v_keys_repeat boolean;
  v_entry_keys_repeat boolean;
begin
  with request as (
    select n::integer as position, q.ordinal, q.tenant_id, q.entry_key, q.payment_id, q.description,
      q.key collate "C" as key, q.kind,
      case when q.amount_minor <> trunc(q.amount_minor) or q.amount_minor < 0 then -1
        else case when q.amount_minor > 4e18 then 4e18 else q.amount_minor end end::bigint as amount_minor,
      case when q.kind in ('post', 'hold') then q.debit end as debit,
      case when q.kind in ('post', 'hold') then q.credit end as credit,
      case when q.kind in ('post', 'hold') then q.currency end as currency,
      case when q.kind in ('capture', 'void') then q.hold end as hold,
      case when q.kind = 'capture' then coalesce(q.is_final, true) end as is_final,
      case when q.kind = 'hold' then q.expires_at end as expires_at
    from unnest(p_requests) with ordinality as q(ordinal, tenant_id, entry_key, payment_id, description, key, kind,
      debit, credit, amount_minor, currency, hold, is_final, expires_at, n)
  ), named as materialized (
    select r.*, coalesce(h.debit_account_id, da.id) as debit_id, coalesce(h.credit_account_id, ca.id) as credit_id,
      h.id as settles
    from request r
    left join lateral (
      select id from ledger_accounts where public_id = r.debit and tenant_id = r.tenant_id limit 1
    ) da on true
    left join lateral (
      select id from ledger_accounts where public_id = r.credit and tenant_id = r.tenant_id limit 1
    ) ca on true
    left join lateral (
      select id, debit_account_id, credit_account_id
      from ledger_transfers where key = r.hold and tenant_id = r.tenant_id limit 1
    ) h on true
    order by r.position  -- once: what is made of this below keeps its order
  ), entry as (
    select n.ordinal, min(n.position) as first_line, max(n.position) as last_line, min(n.tenant_id) as tenant_id,
      min(n.entry_key) as key, min(n.payment_id) as payment_id, coalesce(min(n.description), '') as description,
      string_agg(ledger_transfer_content(n.key, n.kind, n.debit_id, n.credit_id, n.amount_minor, n.currency, n.hold,
        n.is_final, n.amount_minor is null, n.expires_at), e'\x1e' order by n.position) as transfers,
      case
        when coalesce(length(min(n.entry_key)), 0) not between 1 and 200 or min(n.entry_key) ^@ 'expire:'
          or strpos(min(n.entry_key), e'\x1f') > 0 or length(min(n.payment_id)) > 200
          or length(min(n.description)) > 1000 or min(n.tenant_id) is null
          then 'entry_is_malformed'
        when bool_and(n.kind is null and n.key is null) then 'entry_is_empty'
        when count(*) > 1000 or bool_or(
          coalesce(length(n.key), 0) not between 1 and 200 or n.key ^@ 'expire:' or strpos(n.key, e'\x1f') > 0
          or case when n.kind in ('post', 'hold')
            then n.amount_minor is null or n.currency is null or n.debit is null or n.credit is null
            else n.hold is null end)
          then 'entry_is_malformed'
      end as problem
    from named n
    group by n.ordinal
  ), account as materialized (
    select array_agg(distinct id order by id) as ids
    from (select debit_id as id from named union all select credit_id from named) side where id is not null
  ), settled as materialized (
    select array_agg(distinct settles order by settles) as ids from named where settles is not null
  )
  select
    (select array_agg(row(position, tenant_id, key, kind, debit = credit, amount_minor, currency, hold, is_final,
       expires_at, settles)::ledger_line) from named),
    (select array_agg(row(ordinal, first_line, last_line, tenant_id, key, payment_id, description,
       ledger_entry_digest(tenant_id, key, payment_id, transfers, description), problem)::ledger_draft
       order by first_line) from entry),
    -- Ids are sorted and each is there, so the bucket of an id is its place.
    (select ids from account),
    (select array_agg(width_bucket(debit_id, (select ids from account))) from named),
    (select array_agg(width_bucket(credit_id, (select ids from account))) from named),
    (select ids from settled),
    (select array_agg(width_bucket(settles, (select ids from settled))) from named
     where (select ids from settled) is not null),
    null,
    null,
    (select bool_or(hold is not null and settles is null) from named),
    (select count(distinct key) < count(key) from named),
    (select count(distinct key collate "C") < count(key) from entry)
  into v_batch.lines, v_batch.drafts, v_batch.accounts, v_batch.debit_at, v_batch.credit_at, v_batch.settled,
    v_batch.hold_at, v_batch.name_at, v_batch.entry_key_at, v_batch.unresolved, v_keys_repeat, v_entry_keys_repeat;

  if v_keys_repeat or v_batch.unresolved then  -- then a line may stand in the way of another, or settle it
    with name as (
      select position, tenant_id, key as name, true as is_own from unnest(v_batch.lines)
      union all select position, tenant_id, hold, false from unnest(v_batch.lines)
    ), place as (
      select position, min(place) filter (where is_own) as name_at,
        min(place) filter (where not is_own and name is not null) as hold_at
      from (select name.*, dense_rank() over (order by name collate "C", tenant_id)::integer as place from name) ranked
      group by position
    )
    select array_agg(name_at order by position), array_agg(hold_at order by position)
    into v_batch.name_at, v_batch.hold_at from place;
  end if;
  if v_entry_keys_repeat then
    select array_agg(place order by first_line) into v_batch.entry_key_at
    from (select first_line, dense_rank() over (order by key collate "C", tenant_id)::integer as place
          from unnest(v_batch.drafts)) ranked;
  end if;
  return v_batch;
end $$;
