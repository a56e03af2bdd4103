-- Writes the rows of a record that stands.
create function loan_write_rows(p_loan loans, p_record jsonb) returns void
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
  v_event jsonb := p_record -> 'event';
begin
  insert into loans as old (
    tenant_id, id, status, application, decision, decided_by, screening_outcome, offer_expires_on, apr_percent,
    first_instalment_minor, disbursed_on, disbursed_minor, maturity_on, closed_on, next_due_on, next_due_minor,
    principal_outstanding_minor, interest_outstanding_minor, fees_outstanding_minor, penalties_outstanding_minor,
    overpaid_minor, recovered_minor, written_off_minor, oldest_due_on, days_past_due, bucket, charged_off_on, paused_until,
    failure_code, failure_message, business_date, served_through, version, created_at)
  values (
    p_loan.tenant_id, p_loan.id, p_loan.status, p_loan.application, nullif(p_loan.decision, 'null'), p_loan.decided_by,
    p_loan.screening_outcome, p_loan.offer_expires_on, p_loan.apr_percent, p_loan.first_instalment_minor,
    p_loan.disbursed_on, p_loan.disbursed_minor, p_loan.maturity_on, p_loan.closed_on, p_loan.next_due_on,
    p_loan.next_due_minor, p_loan.principal_outstanding_minor, p_loan.interest_outstanding_minor,
    p_loan.fees_outstanding_minor, p_loan.penalties_outstanding_minor, p_loan.overpaid_minor, p_loan.recovered_minor,
    p_loan.written_off_minor, p_loan.oldest_due_on, p_loan.days_past_due, p_loan.bucket, p_loan.charged_off_on,
    p_loan.paused_until, p_loan.failure_code, p_loan.failure_message, p_loan.business_date, p_loan.served_through,
    p_loan.version, (p_loan.application ->> 'created_at')::timestamptz)
  on conflict (tenant_id, id) do update set
    status = excluded.status, decision = excluded.decision, decided_by = excluded.decided_by,
    screening_outcome = excluded.screening_outcome, offer_expires_on = excluded.offer_expires_on,
    apr_percent = excluded.apr_percent, first_instalment_minor = excluded.first_instalment_minor,
    disbursed_on = excluded.disbursed_on, disbursed_minor = excluded.disbursed_minor, maturity_on = excluded.maturity_on,
    closed_on = excluded.closed_on, next_due_on = excluded.next_due_on, next_due_minor = excluded.next_due_minor,
    principal_outstanding_minor = excluded.principal_outstanding_minor,
    interest_outstanding_minor = excluded.interest_outstanding_minor,
    fees_outstanding_minor = excluded.fees_outstanding_minor,
    penalties_outstanding_minor = excluded.penalties_outstanding_minor, overpaid_minor = excluded.overpaid_minor,
    recovered_minor = excluded.recovered_minor, written_off_minor = excluded.written_off_minor,
    oldest_due_on = excluded.oldest_due_on, days_past_due = excluded.days_past_due, bucket = excluded.bucket,
    charged_off_on = excluded.charged_off_on, paused_until = excluded.paused_until, failure_code = excluded.failure_code,
    failure_message = excluded.failure_message, business_date = excluded.business_date,
    served_through = excluded.served_through, version = excluded.version, updated_at = now();

  insert into loan_events (tenant_id, loan_id, key, name, text, at, business_date, actor, amount_minor, entry_key, payment_id)
  values (p_loan.tenant_id, p_loan.id, v_event ->> 'key', v_event ->> 'name', v_event ->> 'text',
          (v_event ->> 'at')::timestamptz, (v_event ->> 'on')::date, v_event ->> 'actor',
          (v_event ->> 'amount_minor')::bigint, v_event ->> 'entry_key', v_event ->> 'payment_id');

  if p_loan.status <> p_record ->> 'from_status' then
    insert into loan_transitions (tenant_id, loan_id, version, from_status, to_status, at, business_date)
    values (p_loan.tenant_id, p_loan.id, p_loan.version, p_record ->> 'from_status', p_loan.status,
            (v_event ->> 'at')::timestamptz, p_loan.business_date);
  end if;

  if jsonb_typeof(p_loan.decision) = 'object' and not exists (
    select from loan_decisions d
    where d.tenant_id = p_loan.tenant_id and d.loan_id = p_loan.id and d.outcome = p_loan.decision ->> 'outcome'
      and d.decided_by = p_loan.decided_by)
  then
    insert into loan_decisions (tenant_id, loan_id, version, outcome, policy_version, decided_by, findings, at)
    values (p_loan.tenant_id, p_loan.id, p_loan.version, p_loan.decision ->> 'outcome',
            p_loan.decision ->> 'policy_version', coalesce(p_loan.decided_by, ''), p_loan.decision -> 'findings',
            (v_event ->> 'at')::timestamptz);
  end if;

  delete from loan_instalments i
  where i.tenant_id = p_loan.tenant_id and i.loan_id = p_loan.id
    and i.number in (select n::integer from jsonb_array_elements_text(p_record -> 'dropped') as n);
  insert into loan_instalments
  select p_loan.tenant_id, p_loan.id, i.number, i.due_on, i.principal, i.interest, i.scheduled_fee, i.fee, i.penalty,
         i.paid_principal, i.paid_interest, i.paid_fee, i.paid_penalty, i.fee_charged, i.late_fee_charged,
         i.penalty_exact, i.penalty_charged, i.penalty_until, i.paid_on
  from jsonb_populate_recordset(null::loan_instalments, p_record -> 'instalments') as i
  on conflict (tenant_id, loan_id, number) do update set
    due_on = excluded.due_on, principal = excluded.principal, interest = excluded.interest,
    scheduled_fee = excluded.scheduled_fee, fee = excluded.fee, penalty = excluded.penalty,
    paid_principal = excluded.paid_principal, paid_interest = excluded.paid_interest, paid_fee = excluded.paid_fee,
    paid_penalty = excluded.paid_penalty, fee_charged = excluded.fee_charged,
    late_fee_charged = excluded.late_fee_charged, penalty_exact = excluded.penalty_exact,
    penalty_charged = excluded.penalty_charged, penalty_until = excluded.penalty_until, paid_on = excluded.paid_on;

  insert into loan_repayments (
    tenant_id, loan_id, number, received_on, amount_minor, overpaid_minor, payment_id, source, parts, reversed_on)
  select p_loan.tenant_id, p_loan.id, r.number, r."on", r.amount, r.overpaid, r.payment_id, r.source, r.parts, r.reversed_on
  from jsonb_to_recordset(p_record -> 'repayments') as r (
    number integer, "on" date, amount bigint, overpaid bigint, payment_id text, source text, parts jsonb, reversed_on date)
  on conflict (tenant_id, loan_id, number) do update set reversed_on = excluded.reversed_on;

  insert into loan_proposals (
    tenant_id, loan_id, number, kind, status, maker, made_at, note, restructure, checker, checked_at)
  select p_loan.tenant_id, p_loan.id, p.number, p.kind, p.status, p.maker, p.made_at, p.note,
         nullif(p.restructure, 'null'), p.checker, p.checked_at
  from jsonb_populate_recordset(null::loan_proposals, p_record -> 'proposals') as p
  on conflict (tenant_id, loan_id, number) do update set
    status = excluded.status, checker = excluded.checker, checked_at = excluded.checked_at;
end $$;

-- Exchanges how the interest of a loan is accrued.
create function loan_write_position(p_loan loans, p_position jsonb) returns void
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into loan_positions as old (
    tenant_id, loan_id, currency, on_test_clock, accrues, suspended, rounding, accrued_through, accrued_total)
  values (
    p_loan.tenant_id, p_loan.id, p_loan.application -> 'terms' ->> 'currency', p_loan.application ->> 'test_clock' is not null,
    (p_position ->> 'accrues')::boolean, (p_position ->> 'suspended')::boolean, p_position ->> 'rounding',
    (p_position ->> 'accrue_to')::date, (p_position ->> 'accrued_total')::bigint)
  on conflict (tenant_id, loan_id) do update set
    accrues = excluded.accrues, suspended = excluded.suspended,
    accrued_through = greatest(old.accrued_through, excluded.accrued_through);

  delete from loan_accrual_segments s
  where s.tenant_id = p_loan.tenant_id and s.loan_id = p_loan.id
    and not exists (select from jsonb_populate_recordset(null::loan_accrual_segments, p_position -> 'segments') as n
                    where n.to_on = s.to_on);
  insert into loan_accrual_segments as old
  select p_loan.tenant_id, p_loan.id, s.from_on, s.to_on, s.base, s.before, s.earned, s.total
  from jsonb_populate_recordset(null::loan_accrual_segments, p_position -> 'segments') as s
  on conflict (tenant_id, loan_id, to_on) do update set
    from_on = excluded.from_on, base = excluded.base, before = excluded.before, earned = excluded.earned,
    total = excluded.total
    where (old.from_on, old.base, old.before, old.earned) is distinct from
          (excluded.from_on, excluded.base, excluded.before, excluded.earned) or old.total is distinct from excluded.total;
end $$;

-- Applies one step of one loan, whole or not at all: interest up to its day, its booking, its rows.
-- A record: domain.loans.record.LoanRecord as JSON. Locks: the position, then accounts, then rows.
create function loan_apply(p_record jsonb) returns table (result text, detail text)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
declare
  v_loan loans := jsonb_populate_record(null::loans, p_record -> 'loan');
  v_position jsonb := nullif(p_record -> 'position', 'null');
  v_held loan_positions;
  v_version integer;
  v_off bigint := 0;
  v_requests ledger_request[] := '{}';
  v_answer text := 'created';
  v_failed text;
begin
  select * into v_held from loan_positions p
  where p.tenant_id = v_loan.tenant_id and p.loan_id = v_loan.id for no key update;
  select l.version into v_version from loans l
  where l.tenant_id = v_loan.tenant_id and l.id = v_loan.id for no key update;
  if v_version >= v_loan.version then
    return query select case when exists (
        select from loan_events e where e.tenant_id = v_loan.tenant_id and e.loan_id = v_loan.id
          and e.key = p_record -> 'event' ->> 'key') then 'exists' else 'loan_is_ahead' end,
      format('The loan is at version %s.', v_version);
    return;
  end if;

  if jsonb_array_length(p_record -> 'accounts') > 0 then
    select o.result into v_answer from ledger_open_accounts(p_record -> 'accounts') as o
    where o.result not in ('created', 'exists') limit 1;
    if found then
      return query select 'account_' || v_answer, 'An account of the loan could not be opened.';
      return;
    end if;
    v_answer := 'created';
  end if;

  if v_position is not null and v_held.loan_id is not null then
    perform loan_accrue_locked(array[v_loan.tenant_id], array[v_loan.id], (v_position ->> 'accrue_to')::date);
    select * into v_held from loan_positions p where p.tenant_id = v_loan.tenant_id and p.loan_id = v_loan.id;
    -- A batch may have accrued days past this record's; then only the end of the loan takes them back.
    if v_held.accrued_through <= (v_position ->> 'accrue_to')::date or not (v_position ->> 'accrues')::boolean then
      v_off := (v_position ->> 'accrued_total')::bigint - v_held.accrued_total;
    end if;
    if v_off <> 0 then
      v_requests := array[loan_interest_request(
        0, v_loan.tenant_id, v_loan.id, v_loan.id || ':accrual_adjustment:' || v_loan.version, v_held.currency,
        v_held.suspended, v_off, 'Interest of ' || v_loan.id || ' on new terms')];
    end if;
  end if;
  if jsonb_typeof(p_record -> 'entry') = 'object' then
    v_requests := v_requests || ledger_requests_from(jsonb_build_array(p_record -> 'entry'), cardinality(v_requests));
  end if;
  if cardinality(v_requests) > 0 then
    select b.result, b.failed_transfer into v_answer, v_failed from ledger_book(v_requests, clock_timestamp()) as b
    order by b.result in ('created', 'exists'), b.ordinal desc limit 1;
    if v_answer not in ('created', 'exists') then
      if v_off <> 0 then  -- the adjustment must not stand without its record
        raise exception 'the ledger refused a step of loan %: % (%)', v_loan.id, v_answer, v_failed
          using errcode = 'P0004', detail = v_answer;
      end if;
      return query select v_answer, coalesce(v_failed, '');
      return;
    end if;
  end if;

  perform loan_write_rows(v_loan, p_record);
  if v_position is not null then
    perform loan_write_position(v_loan, v_position);
    if v_off <> 0 then
      insert into loan_accrual_adjustments (tenant_id, loan_id, version, day, amount_minor)
      values (v_loan.tenant_id, v_loan.id, v_loan.version, v_loan.business_date, v_off);
      update loan_positions p set accrued_total = (v_position ->> 'accrued_total')::bigint
      where p.tenant_id = v_loan.tenant_id and p.loan_id = v_loan.id;
    end if;
  end if;
  return query select v_answer, '';
end $$;

-- The lines of entries, their ordinals counted from `p_from`.
create function ledger_requests_from(p_entries jsonb, p_from integer) returns ledger_request[]
language sql stable as $$
  select array(
    select row(r.ordinal + p_from, r.tenant_id, r.entry_key, r.payment_id, r.description, r.key, r.kind, r.debit, r.credit,
               r.amount_minor, r.currency, r.hold, r.is_final, r.expires_at)::ledger_request
    from unnest(ledger_requests(p_entries)) with ordinality as r (
      ordinal, tenant_id, entry_key, payment_id, description, key, kind, debit, credit, amount_minor, currency, hold,
      is_final, expires_at, n)
    order by r.n)
$$;

-- Makes a test clock, or moves it. A clock never goes back.
create function test_clock_set(p_tenant text, p_id text, p_name text, p_date date, p_advancing_to date) returns date
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into test_clocks as old (tenant_id, id, name, business_date, advancing_to)
  values (p_tenant, p_id, p_name, p_date, p_advancing_to)
  on conflict (tenant_id, id) do update set
    business_date = greatest(old.business_date, excluded.business_date), advancing_to = excluded.advancing_to,
    updated_at = now()
  returning business_date
$$;
