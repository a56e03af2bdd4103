-- The only way to write idempotency keys: claim, answer, release, forget.

-- Claim a key for one caller. Answers `claimed`, `resumed` (claimed too, but an earlier caller may have begun the work),
-- `answered` (with the stored answer), `in_flight`, `reused` (the key came with another request before), or `not_found`
-- (p_payment is no payment of the tenant; nothing is claimed).
--
-- The claim need not survive a crash of the server: every id of the work behind it is derived from the key, so a lost
-- claim leads a second caller to the same work. So it does not wait for the disk.
create function idempotency_claim(
  p_tenant text, p_key text, p_fingerprint bytea, p_lease interval, p_payment text default null
) returns table (outcome text, answer_status smallint, answer_location text, answer_body bytea)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
declare
  v_found idempotency_keys;
begin
  if p_payment is not null
    and not exists (select from payments p where p.tenant_id = p_tenant and p.id = p_payment)
    and not exists (select from idempotency_keys k where k.tenant_id = p_tenant and k.accepted_id = p_payment)
  then
    return query select 'not_found', null::smallint, null::text, null::bytea;
    return;
  end if;
  perform set_config('synchronous_commit', 'off', true);
  insert into idempotency_keys (tenant_id, key, fingerprint, lease_expires_at)
  values (p_tenant, p_key, p_fingerprint, clock_timestamp() + p_lease)
  on conflict (tenant_id, key) do nothing;
  if found then
    return query select 'claimed', null::smallint, null::text, null::bytea;
    return;
  end if;
  update idempotency_keys k set lease_expires_at = clock_timestamp() + p_lease
  where k.tenant_id = p_tenant and k.key = p_key and k.fingerprint = p_fingerprint
    and k.answer_status is null and k.lease_expires_at <= clock_timestamp();
  if found then
    return query select 'resumed', null::smallint, null::text, null::bytea;
    return;
  end if;
  select * into v_found from idempotency_keys k where k.tenant_id = p_tenant and k.key = p_key;
  return query select  -- no row: it was forgotten just now
    case when not found then 'in_flight'
         when v_found.fingerprint <> p_fingerprint then 'reused'
         when v_found.answer_status is not null then 'answered'
         else 'in_flight' end,
    v_found.answer_status, v_found.answer_location, v_found.answer_body;
end $$;

-- Keep the answer; the first one stands.
create function idempotency_answer(p_tenant text, p_key text, p_status smallint, p_location text, p_body bytea)
returns void language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'off', true);  -- a lost answer is found again at the work itself
  update idempotency_keys k
  set answer_status = p_status, answer_location = p_location, answer_body = p_body, accepted_id = null,
      accepted_body = null
  where k.tenant_id = p_tenant and k.key = p_key and k.answer_status is null;
end $$;

-- End the lease without an answer, so that the next caller goes on at once; with what this caller was told, if anything.
create function idempotency_release(p_tenant text, p_key text, p_accepted_id text, p_accepted_body bytea)
returns void language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  update idempotency_keys k
  set lease_expires_at = clock_timestamp(),
      accepted_id = coalesce(p_accepted_id, k.accepted_id), accepted_body = coalesce(p_accepted_body, k.accepted_body)
  where k.tenant_id = p_tenant and k.key = p_key and k.answer_status is null;
end $$;

-- Drop a claim under which nothing was begun: the key is free again, for a corrected request too.
create function idempotency_forget(p_tenant text, p_key text) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  delete from idempotency_keys k where k.tenant_id = p_tenant and k.key = p_key and k.answer_status is null;
end $$;

-- Forget keys older than an age, at most so many. Repeating a forgotten call still leads to the same payment.
create function idempotency_prune(p_older_than interval, p_limit integer)
returns bigint language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with old as (
    select k.tenant_id, k.key from idempotency_keys k
    where k.created_at < clock_timestamp() - p_older_than and k.lease_expires_at < clock_timestamp()
    order by k.created_at limit p_limit for update skip locked
  ), gone as (
    delete from idempotency_keys k using old where k.tenant_id = old.tenant_id and k.key = old.key returning 1
  )
  select count(*) from gone
$$;
