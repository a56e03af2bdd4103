-- Payments as clients read them. Each row is written in the same transaction as the ledger entries it speaks of.

CREATE TABLE payments (
    tenant_id               text        NOT NULL REFERENCES tenants (id),
    id                      text        NOT NULL,
    kind                    text        NOT NULL CHECK (kind IN ('card', 'wallet')),
    status                  text        NOT NULL CHECK (status IN (
        'requires_payment_method', 'requires_confirmation', 'requires_action', 'processing', 'requires_capture',
        'succeeded', 'partially_captured', 'canceled', 'expired', 'failed', 'needs_review')),
    amount_minor            bigint      NOT NULL CHECK (amount_minor > 0),
    currency                text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    capture_method          text        NOT NULL CHECK (capture_method IN ('automatic', 'manual')),
    debit_account           text        NOT NULL,
    credit_account          text        NOT NULL,
    gateway                 text        NOT NULL,
    payment_method          text,
    customer                text,
    description             text        NOT NULL,
    metadata                jsonb       NOT NULL,
    attempts_allowed        integer     NOT NULL,
    attempt                 integer     NOT NULL,
    captures                integer     NOT NULL,
    pending_capture_minor   bigint      NOT NULL CHECK (pending_capture_minor >= 0),
    pending_capture_final   boolean     NOT NULL DEFAULT false,
    amount_authorized_minor bigint      NOT NULL CHECK (amount_authorized_minor BETWEEN 0 AND amount_minor),
    amount_captured_minor   bigint      NOT NULL CHECK (amount_captured_minor BETWEEN 0 AND amount_minor),
    amount_refunded_minor   bigint      NOT NULL DEFAULT 0,
    amount_refunding_minor  bigint      NOT NULL DEFAULT 0 CHECK (amount_refunding_minor >= 0),
    gateway_reference       text,
    challenge_id            text,
    failure_code            text,
    failure_message         text,
    review_reason           text,
    expires_at              timestamptz,
    trace_id                text,
    commands                text[]      NOT NULL DEFAULT '{}',
    version                 integer     NOT NULL CHECK (version > 0),
    created_at              timestamptz NOT NULL,
    updated_at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT payments_refund_no_more_than_captured
        CHECK (amount_refunded_minor >= 0 AND amount_refunded_minor + amount_refunding_minor <= amount_captured_minor)
) WITH (fillfactor = 80);

CREATE INDEX payments_by_time ON payments (tenant_id, created_at DESC, id DESC);
CREATE INDEX payments_by_status ON payments (tenant_id, status, created_at DESC, id DESC);
CREATE INDEX payments_by_account ON payments (tenant_id, credit_account, created_at DESC, id DESC);
CREATE INDEX payments_by_customer ON payments (tenant_id, customer, created_at DESC, id DESC) WHERE customer IS NOT NULL;
CREATE INDEX payments_open ON payments (updated_at)
    WHERE status NOT IN ('succeeded', 'partially_captured', 'canceled', 'expired', 'failed');

CREATE TABLE payment_operations (
    tenant_id         text        NOT NULL REFERENCES tenants (id),
    key               text        NOT NULL,
    payment_id        text        NOT NULL,
    owner_id          text        NOT NULL,
    kind              text        NOT NULL CHECK (kind IN ('authorize', 'capture', 'void', 'refund')),
    status            text        NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed', 'unknown')),
    amount_minor      bigint      NOT NULL CHECK (amount_minor >= 0),
    gateway_reference text,
    error_code        text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);

CREATE INDEX payment_operations_by_payment ON payment_operations (tenant_id, payment_id);

CREATE TABLE payment_events (
    tenant_id         text        NOT NULL REFERENCES tenants (id),
    payment_id        text        NOT NULL,
    key               text        NOT NULL,
    sequence          bigint      GENERATED ALWAYS AS IDENTITY,
    owner_id          text        NOT NULL,
    name              text        NOT NULL,
    text              text        NOT NULL,
    at                timestamptz NOT NULL,
    amount_minor      bigint,
    entry_key         text,
    gateway_reference text,
    PRIMARY KEY (tenant_id, payment_id, key)
);

CREATE TABLE refunds (
    tenant_id         text        NOT NULL REFERENCES tenants (id),
    id                text        NOT NULL,
    payment_id        text        NOT NULL,
    status            text        NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed', 'needs_review')),
    amount_minor      bigint      NOT NULL CHECK (amount_minor > 0),
    currency          text        NOT NULL,
    reason            text        NOT NULL,
    gateway_reference text,
    failure_code      text,
    failure_message   text,
    version           integer     NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payments (tenant_id, id)
);

CREATE INDEX refunds_by_payment ON refunds (tenant_id, payment_id, created_at);

-- What binds: see domain/payments/limits.py, whose values fill this table.
CREATE TABLE payment_limits (
    tenant_id              text   NOT NULL REFERENCES tenants (id),
    currency               text   NOT NULL,
    max_payment_minor      bigint NOT NULL CHECK (max_payment_minor > 0),
    max_customer_day_minor bigint NOT NULL CHECK (max_customer_day_minor > 0),
    PRIMARY KEY (tenant_id, currency)
);

CREATE TABLE payment_customer_days (
    tenant_id       text   NOT NULL REFERENCES tenants (id),
    customer        text   NOT NULL,
    currency        text   NOT NULL,
    day             date   NOT NULL,
    attempted_minor bigint NOT NULL CHECK (attempted_minor >= 0),
    PRIMARY KEY (tenant_id, customer, currency, day)
) WITH (fillfactor = 80);

-- A story is never rewritten.
CREATE FUNCTION payment_events_are_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A line of a payment''s timeline cannot be changed or removed (% on %).', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'Add a new line that says what is true now.';
END $$;

CREATE TRIGGER payment_events_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_events
    FOR EACH STATEMENT EXECUTE FUNCTION payment_events_are_immutable();

CREATE INDEX refunds_open ON refunds (updated_at) WHERE status IN ('pending', 'needs_review');
