-- The ledger's tables. Sums live in ledger_balances and ledger_holds, and follow from ledger_transfers alone.
-- Amounts are bigint minor units. No foreign key hangs on the tables of the hot path: their links are proved set by set
-- in 03_effects.sql, and nothing they point to can ever be deleted.

create table tenants (
  id text collate "C" not null,
  name text not null,
  created_at timestamptz not null default now(),
  constraint tenants_pkey primary key (id),
  constraint tenants_id_is_a_slug check (id ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);
insert into tenants (id, name) values ('default', 'Default tenant');

create table ledger_accounts (
  id bigint generated always as identity,
  tenant_id text collate "C" not null,
  public_id text collate "C" not null,
  currency text collate "C" not null,
  normal_side text collate "C" not null,
  purpose text collate "C" not null,
  may_go_negative boolean not null,
  status text collate "C" not null default 'open',
  created_at timestamptz not null default now(),
  closed_at timestamptz,
  constraint ledger_accounts_pkey primary key (id),
  constraint ledger_accounts_public_id_key unique (public_id, tenant_id),
  constraint ledger_accounts_tenant_id_fkey foreign key (tenant_id) references tenants (id),
  constraint ledger_accounts_public_id_is_short_text check (length(public_id) between 1 and 200 and public_id !~ '[[:cntrl:]]'),
  constraint ledger_accounts_currency_is_a_code check (currency ~ '^[A-Z]{3}$'),
  constraint ledger_accounts_normal_side_is_known check (normal_side in ('debit', 'credit')),
  constraint ledger_accounts_purpose_is_short_text check (length(purpose) between 1 and 200 and purpose !~ '[[:cntrl:]]'),
  constraint ledger_accounts_status_is_known check (status in ('open', 'closed')),
  constraint ledger_accounts_closed_at_when_closed check ((status = 'closed') = (closed_at is not null))
);

-- One row per account, made with it. The first five columns copy what the account says, so that the hot path reads and
-- locks one row; half of each page stays free, so that an update stays on its page and touches no index (HOT).
create table ledger_balances (
  account_id bigint not null,
  debits_pending bigint not null default 0,
  debits_posted bigint not null default 0,
  credits_pending bigint not null default 0,
  credits_posted bigint not null default 0,
  debits_must_not_exceed_credits boolean not null,
  credits_must_not_exceed_debits boolean not null,
  closed boolean not null default false,
  currency text collate "C" not null,
  tenant_id text collate "C" not null,
  constraint ledger_balances_pkey primary key (account_id),
  constraint ledger_balances_sums_are_not_negative
    check (debits_pending >= 0 and debits_posted >= 0 and credits_pending >= 0 and credits_posted >= 0),
  constraint ledger_balances_sums_fit
    check (debits_pending + debits_posted <= 4000000000000000000
           and credits_pending + credits_posted <= 4000000000000000000),
  constraint ledger_balances_debits_must_not_exceed_credits
    check (not debits_must_not_exceed_credits or debits_pending + debits_posted <= credits_posted),
  constraint ledger_balances_credits_must_not_exceed_debits
    check (not credits_must_not_exceed_debits or credits_pending + credits_posted <= debits_posted)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- The upper half of an id is the number of its batch, drawn while the accounts are locked: on one account, ids grow in
-- the order of commits, so a cursor over them misses nothing. No cache: it would break that order.
create sequence ledger_batches as bigint maxvalue 8796093022207 no cycle;

-- A journal entry has the id of its first transfer; its transfers follow without a gap.
create table ledger_entries (
  id bigint not null,
  created_at timestamptz not null,
  transfer_count integer not null,
  tenant_id text collate "C" not null,
  key text collate "C" not null,
  payment_id text collate "C",
  description text not null,
  content_digest bytea not null,
  constraint ledger_entries_pkey primary key (id),
  constraint ledger_entries_transfer_count_is_positive check (transfer_count > 0),
  constraint ledger_entries_key_is_short_text check (length(key) between 1 and 210),
  constraint ledger_entries_content_digest_is_sha256 check (length(content_digest) = 32)
);
create unique index ledger_entries_key_key on ledger_entries (key, tenant_id);
create index ledger_entries_by_payment on ledger_entries (payment_id, tenant_id, id) where payment_id is not null;

create table ledger_transfers (
  id bigint not null,
  entry_id bigint not null,
  debit_account_id bigint not null,
  credit_account_id bigint not null,
  amount_minor bigint not null,
  released_minor bigint not null default 0,
  hold_id bigint,
  expires_at timestamptz,
  created_at timestamptz not null,
  is_final boolean,
  takes_all boolean,
  kind text collate "C" not null,
  currency text collate "C" not null,
  tenant_id text collate "C" not null,
  key text collate "C" not null,
  constraint ledger_transfers_pkey primary key (id),
  constraint ledger_transfers_follow_their_entry check (id >= entry_id),
  constraint ledger_transfers_accounts_are_different check (debit_account_id <> credit_account_id),
  constraint ledger_transfers_key_is_short_text check (length(key) between 1 and 210),
  constraint ledger_transfers_amount_fits_kind check (case kind
    when 'post' then amount_minor between 1 and 1000000000000000 and released_minor = 0
    when 'hold' then amount_minor between 1 and 1000000000000000 and released_minor = 0
    when 'capture' then amount_minor >= 0 and released_minor >= 0 and amount_minor + released_minor > 0
    when 'void' then amount_minor = 0 and released_minor > 0
    when 'expire' then amount_minor = 0 and released_minor > 0
    else false end),
  constraint ledger_transfers_fields_fit_kind check (
    (hold_id is not null) = (kind in ('capture', 'void', 'expire'))
    and (kind = 'hold' or expires_at is null)
    and (is_final is not null) = (kind = 'capture')
    and (takes_all is not null) = (kind = 'capture')
    and (coalesce(is_final, true) or released_minor = 0))
);
create unique index ledger_transfers_key_key on ledger_transfers (key, tenant_id);
create index ledger_transfers_by_debit_account on ledger_transfers (debit_account_id, id);
create index ledger_transfers_by_credit_account on ledger_transfers (credit_account_id, id);
create index ledger_transfers_by_hold on ledger_transfers (hold_id, id) where hold_id is not null;

create table ledger_holds (
  transfer_id bigint not null,
  debit_account_id bigint not null,
  credit_account_id bigint not null,
  remaining_minor bigint not null,
  expires_at timestamptz,
  state text collate "C" not null default 'pending',
  currency text collate "C" not null,
  tenant_id text collate "C" not null,
  key text collate "C" not null,
  constraint ledger_holds_pkey primary key (transfer_id),
  constraint ledger_holds_state_is_known check (state in ('pending', 'posted', 'voided', 'expired')),
  constraint ledger_holds_remaining_while_pending
    check (remaining_minor >= 0 and (state = 'pending') = (remaining_minor > 0))
) with (fillfactor = 70);
create index ledger_holds_due on ledger_holds (expires_at) where state = 'pending' and expires_at is not null;
create index ledger_holds_due_by_debit_account on ledger_holds (debit_account_id, expires_at)
  where state = 'pending' and expires_at is not null;
create index ledger_holds_due_by_credit_account on ledger_holds (credit_account_id, expires_at)
  where state = 'pending' and expires_at is not null;
