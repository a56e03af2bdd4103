-- The proof of the loan books: every way in which the ledger, the rows and the schedule of a loan disagree. No row: they agree.

create function loan_receivable(p_tenant text, p_account text) returns bigint
language sql stable set search_path = pg_catalog, public, pg_temp as $$
  select coalesce((select b.debits_posted - b.credits_posted
                   from ledger_accounts a join ledger_balances b on b.account_id = a.id
                   where a.tenant_id = p_tenant and a.public_id = p_account), 0)
$$;

create function loan_books_disagree(p_tenant text) returns table (loan_id text, what text, ledger bigint, expected bigint)
language sql stable set search_path = pg_catalog, public, pg_temp as $$
  with paid_out as materialized (
    select l.*, p.accrued_through, p.accrued_total, p.accrues, p.rounding from loans l
    join loan_positions p on p.tenant_id = l.tenant_id and p.loan_id = l.id
    where l.tenant_id = p_tenant
  ), due as materialized (
    select i.loan_id, sum(i.principal - i.paid_principal) as principal, sum(i.fee - i.paid_fee) as fees,
           sum(i.penalty - i.paid_penalty) as penalties
    from loan_instalments i where i.tenant_id = p_tenant group by i.loan_id
  ), accrued as materialized (
    select a.loan_id, sum(a.amount_minor) as amount from (
      select d.loan_id, d.amount_minor from loan_accruals d where d.tenant_id = p_tenant
      union all
      select d.loan_id, d.amount_minor from loan_accrual_adjustments d where d.tenant_id = p_tenant) as a
    group by a.loan_id
  ), balances as materialized (
    select split_part(a.public_id, ':', 2) as loan_id, split_part(a.public_id, ':', 3) as name,
           b.debits_posted - b.credits_posted as owed
    from ledger_accounts a join ledger_balances b on b.account_id = a.id
    where a.tenant_id = p_tenant and a.purpose in (
      'loan_principal', 'loan_interest', 'loan_fees', 'loan_penalties', 'loan_overpaid', 'loan_allowance', 'loan_payout')
  ), of_loan as (
    select l.id, l.status, l.charged_off_on, l.overpaid_minor, l.accrued_total, l.accrued_through, l.business_date,
           l.interest_outstanding_minor, l.principal_outstanding_minor, l.accrues, l.rounding,
           coalesce(d.principal, 0) as due_principal, coalesce(d.fees, 0) as due_fees,
           coalesce(d.penalties, 0) as due_penalties, coalesce(c.amount, 0) as accrued,
           coalesce((select owed from balances b where b.loan_id = l.id and b.name = 'principal'), 0) as principal,
           coalesce((select owed from balances b where b.loan_id = l.id and b.name = 'interest'), 0) as interest,
           coalesce((select owed from balances b where b.loan_id = l.id and b.name = 'fees'), 0) as fees,
           coalesce((select owed from balances b where b.loan_id = l.id and b.name = 'penalties'), 0) as penalties,
           -coalesce((select owed from balances b where b.loan_id = l.id and b.name = 'overpaid'), 0) as overpaid,
           -coalesce((select owed from balances b where b.loan_id = l.id and b.name = 'allowance'), 0) as allowance,
           -coalesce((select owed from balances b where b.loan_id = l.id and b.name = 'payout'), 0) as payout,
           coalesce((select sum(a.amount_minor) from loan_accruals a
                     where l.accrues and a.tenant_id = p_tenant and a.loan_id = l.id and a.day > l.business_date), 0)
             as accrued_since
    from paid_out l left join due d on d.loan_id = l.id left join accrued c on c.loan_id = l.id
  )
  select o.id, v.what, v.ledger, v.expected
  from of_loan o, lateral (values
    ('principal receivable and unpaid principal of the instalments', o.principal, o.due_principal::bigint),
    ('principal receivable and the loan''s row', o.principal, o.principal_outstanding_minor),
    ('interest receivable and the loan''s row with the accruals since', o.interest,
      (o.interest_outstanding_minor + o.accrued_since)::bigint),
    ('fees receivable and unpaid fees', o.fees, o.due_fees::bigint),
    ('penalties receivable and unpaid penalties', o.penalties, o.due_penalties::bigint),
    ('overpayment owed to the borrower', o.overpaid, o.overpaid_minor),
    ('interest accrued day by day and in all', o.accrued::bigint, o.accrued_total),
    ('allowance of a loan charged off and what it owes', o.allowance,
      case when o.charged_off_on is null then 0 else o.principal + o.interest + o.fees + o.penalties end),
    ('money left on the way to the borrower', o.payout, 0::bigint),
    ('interest accrued and the schedule on that day', o.accrued_total, coalesce((
      select loan_accrual_target(s, o.accrued_through, o.rounding) from loan_accrual_segments s
      where s.tenant_id = p_tenant and s.loan_id = o.id and o.accrues
        and s.from_on < o.accrued_through and s.to_on >= o.accrued_through order by s.to_on limit 1), o.accrued_total))
  ) as v (what, ledger, expected)
  where v.ledger <> v.expected
  union all
  -- What the lender has out, by the books of lending: all that was paid out less all that came back.
  select 'all loans in ' || t.currency, 'capital on loan and the loans'' own flows', -loan_receivable(p_tenant, t.account), t.net
  from (
    select l.currency, 'loans:capital:' || l.currency as account,
           (sum(l.disbursed_minor) - coalesce(sum(r.received), 0) - sum(l.recovered_minor)
            + coalesce(sum(f.refunded), 0))::bigint as net
    from loans l
    left join lateral (select sum(p.amount_minor) as received from loan_repayments p
                       where p.tenant_id = l.tenant_id and p.loan_id = l.id and p.reversed_on is null) as r on true
    left join lateral (select sum(e.amount_minor) as refunded from loan_events e
                       where e.tenant_id = l.tenant_id and e.loan_id = l.id and e.name = 'overpayment_refunded') as f on true
    where l.tenant_id = p_tenant and l.disbursed_on is not null group by l.currency) as t
  where -loan_receivable(p_tenant, t.account) <> t.net
$$;
