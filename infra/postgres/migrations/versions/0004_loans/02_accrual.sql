-- Daily accrual of interest, for many loans in one statement. The rule is that of domain/loans/segments.py.

create function loan_round(p_exact numeric, p_mode text) returns bigint
language sql immutable parallel safe as $$
  select (case p_mode
    when 'half_even' then case when abs(p_exact - trunc(p_exact)) = 0.5 then 2 * round(p_exact / 2) else round(p_exact) end
    when 'half_up' then round(p_exact)
    when 'half_down' then case when abs(p_exact - trunc(p_exact)) = 0.5 then trunc(p_exact) else round(p_exact) end
    when 'up' then sign(p_exact) * ceil(abs(p_exact))
    when 'down' then trunc(p_exact)
    when 'ceiling' then ceil(p_exact)
    when 'floor' then floor(p_exact)
  end)::bigint
$$;

-- All the interest a loan has accrued by a day of a segment.
create function loan_accrual_target(p_segment loan_accrual_segments, p_day date, p_rounding text) returns bigint
language sql immutable parallel safe as $$
  select case when p_day >= p_segment.to_on and p_segment.total is not null then p_segment.base + p_segment.total
    else p_segment.base + loan_round(
      round(p_segment.before + p_segment.earned * (p_day - p_segment.from_on) / (p_segment.to_on - p_segment.from_on), 9),
      p_rounding)
  end
$$;

create function loan_interest_request(
  p_ordinal integer, p_tenant text, p_loan text, p_key text, p_currency text, p_suspended boolean, p_amount bigint,
  p_description text
) returns ledger_request
language sql immutable as $$
  select row(p_ordinal, p_tenant, p_key, p_loan, p_description, p_key, 'post',
    case when p_amount > 0 then a.receivable else a.income end, case when p_amount > 0 then a.income else a.receivable end,
    abs(p_amount)::numeric, p_currency, null, true, null)::ledger_request
  from (select 'loan:' || p_loan || ':interest' as receivable,
               case when p_suspended then 'loan:' || p_loan || ':allowance'
                    else 'loans:interest_income:' || p_currency end as income) as a
$$;

-- Accrue the days that are missing up to `p_through` for loans whose positions the caller has locked. Days beyond the known
-- segments wait. Answers how many loans had days to accrue, and how many days that were.
create function loan_accrue_locked(p_tenants text[], p_loans text[], p_through date, out loans bigint, out days bigint)
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
  v_requests ledger_request[];
  v_tenants text[];
  v_ids text[];
  v_days date[];
  v_totals bigint[];
begin
  with due as materialized (
    select p.tenant_id, p.loan_id, p.currency, p.suspended, p.accrued_total, d.day,
           loan_accrual_target(s, d.day, p.rounding) as target
    from unnest(p_tenants, p_loans) as k (tenant_id, loan_id)
    join loan_positions p on p.tenant_id = k.tenant_id and p.loan_id = k.loan_id and p.accrues
    cross join lateral (
      select p.accrued_through + n as day from generate_series(1, p_through - p.accrued_through) as n) as d
    join lateral (
      select g.* from loan_accrual_segments g
      where g.tenant_id = p.tenant_id and g.loan_id = p.loan_id and g.to_on >= d.day
      order by g.to_on limit 1) as s on s.from_on < d.day
  ), each_day as (
    select due.*, target - lag(target, 1, accrued_total) over (partition by tenant_id, loan_id order by day) as amount
    from due
  ), written as (
    insert into loan_accruals (tenant_id, loan_id, day, amount_minor)
    select tenant_id, loan_id, day, amount from each_day
  ), each_loan as (
    select tenant_id, loan_id, currency, suspended, count(*) as n, max(day) as last_day, sum(amount)::bigint as amount,
           (array_agg(target order by day desc))[1] as total
    from each_day group by tenant_id, loan_id, currency, suspended
  ), numbered as (
    select each_loan.*, (row_number() over (order by tenant_id, loan_id))::integer - 1 as ordinal from each_loan
  )
  select count(*), coalesce(sum(n), 0), array_agg(tenant_id order by ordinal), array_agg(loan_id order by ordinal),
         array_agg(last_day order by ordinal), array_agg(total order by ordinal),
         array_agg(loan_interest_request(ordinal, tenant_id, loan_id, loan_id || ':accrual:' || last_day, currency, suspended,
                                         amount, 'Interest of ' || loan_id) order by ordinal) filter (where amount <> 0)
  into loans, days, v_tenants, v_ids, v_days, v_totals, v_requests
  from numbered;

  if v_requests is not null then
    perform loan_must_be_booked(b.result, b.failed_transfer) from ledger_book(v_requests, clock_timestamp()) as b;
  end if;
  update loan_positions p set accrued_through = u.day, accrued_total = u.total
  from unnest(v_tenants, v_ids, v_days, v_totals) as u (tenant_id, loan_id, day, total)
  where p.tenant_id = u.tenant_id and p.loan_id = u.loan_id;
end $$;

create function loan_must_be_booked(p_result text, p_transfer text) returns void
language plpgsql as $$
begin
  if p_result not in ('created', 'exists') then
    raise exception 'the ledger refused an accrual of interest: % (%)', p_result, p_transfer
      using errcode = 'integrity_constraint_violation', hint = 'Read the loan''s accounts; nothing was accrued.';
  end if;
end $$;

-- One page of the daily batch: the next `p_limit` loans in real time after a loan, brought up to a day. Two batches at once
-- take turns, page by page, and what one has accrued the other finds done. Answers the last loan of the page, or nulls.
create function loan_accrue_page(
  p_after_tenant text, p_after_loan text, p_limit integer, p_through date,
  out last_tenant text, out last_loan text, out seen bigint, out loans bigint, out days bigint
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  v_tenants text[];
  v_ids text[];
begin
  select array_agg(tenant_id), array_agg(loan_id), max(n) into v_tenants, v_ids, seen
  from (
    select tenant_id, loan_id, row_number() over () as n from (
      select p.tenant_id, p.loan_id from loan_positions p
      where (p.tenant_id, p.loan_id) > (p_after_tenant, p_after_loan) and p.accrues and not p.on_test_clock
      order by p.tenant_id, p.loan_id limit p_limit for no key update) as locked) as page;
  seen := coalesce(seen, 0);
  loans := 0;
  days := 0;
  if seen > 0 then
    last_tenant := v_tenants[seen];
    last_loan := v_ids[seen];
    select a.loans, a.days into loans, days from loan_accrue_locked(v_tenants, v_ids, p_through) as a;
  end if;
end $$;
