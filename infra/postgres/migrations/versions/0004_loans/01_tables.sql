-- Loans as clients read them. Each row is written in the same transaction as the ledger entries it speaks of.

create table loans (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  status text collate "C" not null,
  application jsonb not null,
  decision jsonb,
  decided_by text,
  screening_outcome text,
  offer_expires_on date,
  apr_percent numeric,
  first_instalment_minor bigint not null,
  disbursed_on date,
  disbursed_minor bigint not null,
  maturity_on date,
  closed_on date,
  next_due_on date,
  next_due_minor bigint not null,
  principal_outstanding_minor bigint not null,
  interest_outstanding_minor bigint not null,
  fees_outstanding_minor bigint not null,
  penalties_outstanding_minor bigint not null,
  overpaid_minor bigint not null,
  recovered_minor bigint not null,
  written_off_minor bigint not null,
  oldest_due_on date,
  days_past_due integer not null,
  bucket text not null,
  charged_off_on date,
  paused_until date,
  failure_code text,
  failure_message text,
  business_date date not null,
  served_through date,
  version integer not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  customer text collate "C" not null generated always as (application -> 'applicant' ->> 'customer') stored,
  currency text collate "C" not null generated always as (application -> 'terms' ->> 'currency') stored,
  principal_minor bigint not null generated always as ((application -> 'terms' ->> 'principal')::bigint) stored,
  test_clock text collate "C" generated always as (application ->> 'test_clock') stored,
  constraint loans_pkey primary key (tenant_id, id),
  constraint loans_tenant_id_fkey foreign key (tenant_id) references tenants (id),
  constraint loans_status_is_known check (status in (
    'draft', 'kyc_pending', 'underwriting', 'offered', 'accepted', 'submitted_and_pending_approval', 'approved', 'active',
    'withdrawn_by_client', 'rejected', 'closed_obligations_met', 'closed_written_off', 'closed_rescheduled', 'overpaid')),
  constraint loans_owe_nothing_negative check (
    principal_outstanding_minor >= 0 and interest_outstanding_minor >= 0 and fees_outstanding_minor >= 0
    and penalties_outstanding_minor >= 0 and overpaid_minor >= 0),
  constraint loans_closed_owe_nothing check (
    status not in ('closed_obligations_met', 'closed_written_off', 'overpaid')
    or principal_outstanding_minor + interest_outstanding_minor + fees_outstanding_minor + penalties_outstanding_minor = 0),
  constraint loans_version_is_positive check (version > 0)
) with (fillfactor = 80);
create index loans_by_time on loans (tenant_id, created_at desc, id desc);
create index loans_by_status on loans (tenant_id, status, created_at desc, id desc);
create index loans_by_customer on loans (tenant_id, customer, currency);
create index loans_by_clock on loans (tenant_id, test_clock, id) where test_clock is not null;
create index loans_by_id on loans (id) where status not in ('rejected', 'withdrawn_by_client');

create table loan_instalments (
  tenant_id text collate "C" not null,
  loan_id text collate "C" not null,
  number integer not null,
  due_on date not null,
  principal bigint not null,
  interest bigint not null,
  scheduled_fee bigint not null,
  fee bigint not null,
  penalty bigint not null,
  paid_principal bigint not null,
  paid_interest bigint not null,
  paid_fee bigint not null,
  paid_penalty bigint not null,
  fee_charged boolean not null,
  late_fee_charged boolean not null,
  penalty_exact numeric not null,
  penalty_charged bigint not null,
  penalty_until date,
  paid_on date,
  constraint loan_instalments_pkey primary key (tenant_id, loan_id, number),
  constraint loan_instalments_loan_fkey foreign key (tenant_id, loan_id) references loans (tenant_id, id),
  constraint loan_instalments_paid_no_more_than_owed check (
    paid_principal between 0 and principal and paid_interest between 0 and interest
    and paid_fee between 0 and fee and paid_penalty between 0 and penalty)
);

create table loan_repayments (
  tenant_id text collate "C" not null,
  loan_id text collate "C" not null,
  number integer not null,
  received_on date not null,
  amount_minor bigint not null,
  overpaid_minor bigint not null,
  payment_id text collate "C" not null,
  source text not null,
  parts jsonb not null,
  reversed_on date,
  constraint loan_repayments_pkey primary key (tenant_id, loan_id, number),
  constraint loan_repayments_loan_fkey foreign key (tenant_id, loan_id) references loans (tenant_id, id),
  constraint loan_repayments_payment_pays_once unique (tenant_id, payment_id),
  constraint loan_repayments_amount_is_positive check (amount_minor > 0 and overpaid_minor between 0 and amount_minor)
);

create table loan_events (
  tenant_id text collate "C" not null,
  loan_id text collate "C" not null,
  key text collate "C" not null,
  sequence bigint generated always as identity,
  name text not null,
  text text not null,
  at timestamptz not null,
  business_date date not null,
  actor text,
  amount_minor bigint,
  entry_key text,
  payment_id text,
  constraint loan_events_pkey primary key (tenant_id, loan_id, key)
);

create table loan_transitions (
  tenant_id text collate "C" not null,
  loan_id text collate "C" not null,
  version integer not null,
  from_status text collate "C" not null,
  to_status text collate "C" not null,
  at timestamptz not null,
  business_date date not null,
  constraint loan_transitions_pkey primary key (tenant_id, loan_id, version)
);

create table loan_decisions (
  tenant_id text collate "C" not null,
  loan_id text collate "C" not null,
  version integer not null,
  outcome text not null,
  policy_version text not null,
  decided_by text not null,
  findings jsonb not null,
  at timestamptz not null,
  constraint loan_decisions_pkey primary key (tenant_id, loan_id, version)
);

create table loan_proposals (
  tenant_id text collate "C" not null,
  loan_id text collate "C" not null,
  number integer not null,
  kind text not null,
  status text not null,
  maker text not null,
  made_at timestamptz not null,
  note text not null,
  restructure jsonb,
  checker text,
  checked_at timestamptz,
  constraint loan_proposals_pkey primary key (tenant_id, loan_id, number),
  constraint loan_proposals_checker_is_another check (checker is null or trim(checker) <> trim(maker))
);

-- How interest is accrued: one row a loan that was paid out, and the stretches of its next periods over which interest
-- grows evenly (domain/loans/segments.py states the rule).
create table loan_positions (
  tenant_id text collate "C" not null,
  loan_id text collate "C" not null,
  currency text collate "C" not null,
  on_test_clock boolean not null,
  accrues boolean not null,
  suspended boolean not null,
  rounding text not null,
  accrued_through date not null,
  accrued_total bigint not null,
  constraint loan_positions_pkey primary key (tenant_id, loan_id),
  constraint loan_positions_rounding_is_known
    check (rounding in ('half_even', 'half_up', 'half_down', 'up', 'down', 'ceiling', 'floor'))
) with (fillfactor = 70);
create index loan_positions_to_accrue on loan_positions (tenant_id, loan_id) where accrues and not on_test_clock;

create table loan_accrual_segments (
  tenant_id text collate "C" not null,
  loan_id text collate "C" not null,
  from_on date not null,
  to_on date not null,
  base bigint not null,
  before numeric not null,
  earned numeric not null,
  total bigint,
  constraint loan_accrual_segments_pkey primary key (tenant_id, loan_id, to_on),
  constraint loan_accrual_segments_have_days check (from_on < to_on)
);

-- Exactly one accrual a loan and day, however often a day is asked for; what a change of terms makes good is beside it.
create table loan_accruals (
  tenant_id text collate "C" not null,
  loan_id text collate "C" not null,
  day date not null,
  amount_minor bigint not null,
  constraint loan_accruals_pkey primary key (tenant_id, loan_id, day)
);

create table loan_accrual_adjustments (
  tenant_id text collate "C" not null,
  loan_id text collate "C" not null,
  version integer not null,
  day date not null,
  amount_minor bigint not null,
  constraint loan_accrual_adjustments_pkey primary key (tenant_id, loan_id, version)
);

create table test_clocks (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  name text not null,
  business_date date not null,
  advancing_to date,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint test_clocks_pkey primary key (tenant_id, id),
  constraint test_clocks_tenant_id_fkey foreign key (tenant_id) references tenants (id)
);

create function loan_story_is_immutable() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  raise exception 'what happened to a loan cannot be changed or removed (% on %)', tg_op, tg_table_name
    using errcode = 'integrity_constraint_violation', hint = 'Add what is true now.';
end $$;

create trigger loan_events_are_immutable before update or delete or truncate on loan_events
  for each statement execute function loan_story_is_immutable();
create trigger loan_transitions_are_immutable before update or delete or truncate on loan_transitions
  for each statement execute function loan_story_is_immutable();
create trigger loan_decisions_are_immutable before update or delete or truncate on loan_decisions
  for each statement execute function loan_story_is_immutable();
create trigger loan_accruals_are_immutable before update or delete or truncate on loan_accruals
  for each statement execute function loan_story_is_immutable();
create trigger loan_accrual_adjustments_are_immutable before update or delete or truncate on loan_accrual_adjustments
  for each statement execute function loan_story_is_immutable();
