-- API keys, and what is remembered of calls that carry an Idempotency-Key.

create table api_keys (
  prefix text collate "C" not null,
  tenant_id text collate "C" not null,
  environment text collate "C" not null,
  name text not null,
  digest bytea not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz,
  constraint api_keys_pkey primary key (prefix),
  constraint api_keys_tenant_id_fkey foreign key (tenant_id) references tenants (id),
  constraint api_keys_prefix_is_short_text check (prefix ~ '^[a-z0-9]{8,32}$'),
  constraint api_keys_environment_is_a_word check (environment ~ '^[a-z]{2,16}$'),
  constraint api_keys_name_is_short_text check (length(name) between 1 and 100 and name !~ '[[:cntrl:]]'),
  constraint api_keys_digest_is_sha256 check (length(digest) = 32)
);
create index api_keys_by_tenant on api_keys (tenant_id, created_at);

-- One row per key that a client used. Until it is answered, a lease says for how long its caller is taken to be alive.
-- `accepted` is what a caller was told whose wait ran out before the work was written down anywhere else.
create table idempotency_keys (
  tenant_id text collate "C" not null,
  key text collate "C" not null,
  fingerprint bytea not null,
  lease_expires_at timestamptz not null,
  answer_status smallint,
  answer_location text,
  answer_body bytea,
  accepted_id text collate "C",
  accepted_body bytea,
  created_at timestamptz not null default clock_timestamp(),
  constraint idempotency_keys_pkey primary key (tenant_id, key),
  constraint idempotency_keys_tenant_id_fkey foreign key (tenant_id) references tenants (id),
  constraint idempotency_keys_key_is_short_text check (length(key) between 1 and 255),
  constraint idempotency_keys_fingerprint_is_sha256 check (length(fingerprint) = 32),
  constraint idempotency_keys_answer_is_a_success check (answer_status between 200 and 299 and answer_status <> 202),
  constraint idempotency_keys_answer_is_whole check ((answer_status is null) = (answer_body is null)),
  constraint idempotency_keys_accepted_is_whole check ((accepted_id is null) = (accepted_body is null))
) with (fillfactor = 80);
create index idempotency_keys_accepted on idempotency_keys (tenant_id, accepted_id) where accepted_id is not null;
create index idempotency_keys_by_age on idempotency_keys (created_at);

-- A client may ask for the payments of one currency alone.
create index payments_by_currency on payments (tenant_id, currency, created_at desc, id desc);

-- A tenant's accounts, in the order in which they were opened.
create index ledger_accounts_by_tenant on ledger_accounts (tenant_id, id);
