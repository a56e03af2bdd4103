-- Takes one unit of a customer's day; false when the limit would be passed.
CREATE FUNCTION payment_take_customer_day(
    p_tenant text, p_customer text, p_currency text, p_day date, p_amount bigint, p_max bigint
) RETURNS boolean LANGUAGE sql AS $$
    WITH taken AS (
        INSERT INTO payment_customer_days AS d (tenant_id, customer, currency, day, attempted_minor)
        SELECT p_tenant, p_customer, p_currency, p_day, p_amount WHERE p_amount <= p_max
        ON CONFLICT (tenant_id, customer, currency, day) DO UPDATE
            SET attempted_minor = d.attempted_minor + excluded.attempted_minor
            WHERE d.attempted_minor + excluded.attempted_minor <= p_max
        RETURNING 1)
    SELECT EXISTS (SELECT FROM taken)
$$;

-- What is planned here is planned once for the life of a session, maybe while the tables are empty: so rows are found by their keys
-- (no sequential scans), and no plan is made anew for every call.

-- Checks the limits of payments that are new. Answers why some are refused and which took part of their customer's day, by their
-- places from 1.
CREATE FUNCTION payment_check_limits(p_records jsonb, OUT refusals text[], OUT taken int[]) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    refusals := '{}';
    taken := '{}';
    FOR r IN
        SELECT t.n::int AS n, p.tenant_id, p.customer, p.currency, p.amount_minor,
               (p.created_at AT TIME ZONE 'UTC')::date AS day, l.max_payment_minor, l.max_customer_day_minor
        FROM jsonb_array_elements(p_records) WITH ORDINALITY AS t (record, n)
             CROSS JOIN LATERAL jsonb_to_record(t.record -> 'payment') AS p (
                 tenant_id text, id text, customer text, currency text, amount_minor bigint, created_at timestamptz)
             LEFT JOIN LATERAL (
                 SELECT * FROM payment_limits l WHERE l.tenant_id = p.tenant_id AND l.currency = p.currency LIMIT 1
             ) l ON true
        WHERE (t.record ->> 'check_limits')::boolean
          AND (l.max_payment_minor < p.amount_minor OR p.customer IS NOT NULL)
          AND (SELECT old.id FROM payments old WHERE old.tenant_id = p.tenant_id AND old.id = p.id LIMIT 1) IS NULL
        ORDER BY p.tenant_id, p.customer, p.currency, day, t.n
    LOOP
        IF r.amount_minor > r.max_payment_minor THEN
            refusals[r.n] := format('A payment may be at most %s minor units of %s.', r.max_payment_minor, r.currency);
        ELSIF r.max_customer_day_minor IS NOT NULL THEN
            IF payment_take_customer_day(r.tenant_id, r.customer, r.currency, r.day, r.amount_minor,
                                         r.max_customer_day_minor) THEN
                taken := taken || r.n;
            ELSE
                refusals[r.n] := format('One customer may attempt at most %s minor units of %s in a day.',
                                        r.max_customer_day_minor, r.currency);
            END IF;
        END IF;
    END LOOP;
END $$;

-- Gives back to its customer's day what a payment took that was refused after all.
CREATE FUNCTION payment_give_back_customer_day(p_payment jsonb) RETURNS void LANGUAGE sql AS $$
    UPDATE payment_customer_days d SET attempted_minor = d.attempted_minor - p.amount_minor
    FROM jsonb_to_record(p_payment) AS p (
        tenant_id text, customer text, currency text, amount_minor bigint, created_at timestamptz)
    WHERE d.tenant_id = p.tenant_id AND d.customer = p.customer AND d.currency = p.currency
      AND d.day = (p.created_at AT TIME ZONE 'UTC')::date
$$;

-- Writes the rows of those records whose result (by place from 1) is `created` or `exists`: payments, operations, timelines.
-- A row never goes back to an older version: where one that moves would, the whole is taken back. Returns the places of records that
-- had an event to add: the others were written before.
CREATE FUNCTION payment_write(p_records jsonb, p_results text[]) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    v_new   int[];
    v_moved bigint;
BEGIN
    INSERT INTO payments AS old (
        tenant_id, id, kind, status, amount_minor, currency, capture_method, debit_account, credit_account, gateway,
        payment_method, customer, description, metadata, attempts_allowed, attempt, captures, pending_capture_minor,
        pending_capture_final, amount_authorized_minor, amount_captured_minor, gateway_reference, challenge_id, failure_code,
        failure_message, review_reason, expires_at, trace_id, commands, version, created_at)
    SELECT DISTINCT ON (p.tenant_id, p.id)
        p.tenant_id, p.id, p.kind, p.status, p.amount_minor, p.currency, p.capture_method, p.debit_account,
        p.credit_account, p.gateway, p.payment_method, p.customer, p.description, p.metadata, p.attempts_allowed, p.attempt,
        p.captures, p.pending_capture_minor, coalesce(p.pending_capture_final, false), p.amount_authorized_minor,
        p.amount_captured_minor, p.gateway_reference, p.challenge_id, p.failure_code, p.failure_message, p.review_reason,
        p.expires_at, p.trace_id, p.commands, p.version, p.created_at
    FROM jsonb_array_elements(p_records) WITH ORDINALITY AS r (record, n),
         jsonb_populate_record(NULL::payments, r.record -> 'payment') AS p
    WHERE p_results[r.n] IN ('created', 'exists')
    ORDER BY p.tenant_id, p.id, p.version DESC
    ON CONFLICT (tenant_id, id) DO UPDATE SET
        status = excluded.status, debit_account = excluded.debit_account, payment_method = excluded.payment_method,
        attempt = excluded.attempt, captures = excluded.captures, pending_capture_minor = excluded.pending_capture_minor,
        pending_capture_final = excluded.pending_capture_final,
        amount_authorized_minor = excluded.amount_authorized_minor, amount_captured_minor = excluded.amount_captured_minor,
        gateway_reference = excluded.gateway_reference, challenge_id = excluded.challenge_id,
        failure_code = excluded.failure_code, failure_message = excluded.failure_message,
        review_reason = excluded.review_reason, expires_at = excluded.expires_at, commands = excluded.commands,
        version = excluded.version, updated_at = now()
        WHERE old.version < excluded.version;
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    IF v_moved < (SELECT count(*) FROM jsonb_array_elements(p_records) WITH ORDINALITY AS r (record, n)
                  WHERE p_results[r.n] IN ('created', 'exists') AND (r.record ->> 'moves')::boolean) THEN
        RAISE EXCEPTION 'Two runs of one payment wrote at the same time.'
            USING ERRCODE = 'serialization_failure', HINT = 'Write the records again: by then each sees what the other wrote.';
    END IF;

    INSERT INTO payment_operations AS old (
        tenant_id, key, payment_id, owner_id, kind, status, amount_minor, gateway_reference, error_code)
    SELECT DISTINCT ON (r.record -> 'payment' ->> 'tenant_id', o.key)
        r.record -> 'payment' ->> 'tenant_id', o.key, r.record -> 'payment' ->> 'id', o.owner_id, o.kind, o.status,
        o.amount_minor, o.gateway_reference, o.error_code
    FROM jsonb_array_elements(p_records) WITH ORDINALITY AS r (record, n),
         jsonb_to_recordset(r.record -> 'operations') AS o (
             key text, owner_id text, kind text, status text, amount_minor bigint, gateway_reference text, error_code text)
    WHERE p_results[r.n] IN ('created', 'exists')
    ORDER BY 1, 2, r.n DESC
    ON CONFLICT (tenant_id, key) DO UPDATE SET
        status = excluded.status, error_code = excluded.error_code, updated_at = now(),
        gateway_reference = coalesce(excluded.gateway_reference, old.gateway_reference)
        WHERE old.status IN ('pending', 'unknown') AND excluded.status <> 'pending';

    WITH event AS MATERIALIZED (
        SELECT r.n::int AS place, r.record -> 'payment' ->> 'tenant_id' AS tenant_id,
               r.record -> 'payment' ->> 'id' AS payment_id, e.*
        FROM jsonb_array_elements(p_records) WITH ORDINALITY AS r (record, n),
             jsonb_to_recordset(r.record -> 'events') AS e (
                 key text, owner_id text, name text, text text, at timestamptz, amount_minor bigint, entry_key text,
                 gateway_reference text)
        WHERE p_results[r.n] IN ('created', 'exists')
    ), added AS (
        INSERT INTO payment_events (
            tenant_id, payment_id, key, owner_id, name, text, at, amount_minor, entry_key, gateway_reference)
        SELECT tenant_id, payment_id, key, owner_id, name, text, at, amount_minor, entry_key, gateway_reference
        FROM event ORDER BY place
        ON CONFLICT (tenant_id, payment_id, key) DO NOTHING
        RETURNING tenant_id, payment_id, key)
    SELECT array_agg(place) INTO v_new
    FROM (SELECT min(event.place) AS place FROM event JOIN added USING (tenant_id, payment_id, key)
          GROUP BY tenant_id, payment_id, key) AS first;
    RETURN coalesce(v_new, '{}');
END $$;

-- Finds the records that move a payment to where its row is already, or has been: nothing of them is written, so that a run that was
-- lost and one that does its steps again, or others, never both move money. Answers by places from 1: `exists` when this very
-- step was written, else `overtaken`.
CREATE FUNCTION payment_overtaken(p_records jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    v_answers text[] := '{}';
    r         record;
BEGIN
    FOR r IN
        SELECT t.n::int AS n, (
                   SELECT e.key FROM payment_events e
                   WHERE e.tenant_id = p.tenant_id AND e.payment_id = p.id AND e.key = t.record -> 'events' -> 0 ->> 'key'
                   LIMIT 1) IS NOT NULL AS written
        FROM jsonb_array_elements(p_records) WITH ORDINALITY AS t (record, n)
             CROSS JOIN LATERAL jsonb_to_record(t.record -> 'payment') AS p (tenant_id text, id text, version int)
             CROSS JOIN LATERAL (
                 SELECT q.version FROM payments q WHERE q.tenant_id = p.tenant_id AND q.id = p.id LIMIT 1
             ) AS old
        WHERE (t.record ->> 'moves')::boolean AND old.version >= p.version
    LOOP
        v_answers[r.n] := CASE WHEN r.written THEN 'exists' ELSE 'overtaken' END;
    END LOOP;
    RETURN v_answers;
END $$;

-- Applies many records of many payments in one round trip, each whole or not at all, and answers in their order.
-- A record: {payment, events: [], entry: null or a ledger entry, operations: [], check_limits: bool, moves: bool}.
CREATE FUNCTION payment_apply(p_records jsonb) RETURNS TABLE (ordinal int, result text, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    v_count    int := jsonb_array_length(p_records);
    v_results  text[] := array_fill('created'::text, ARRAY[v_count]);
    v_known    text[] := payment_overtaken(p_records);
    v_refusals text[] := '{}';
    v_taken    int[] := '{}';
    v_entries  jsonb;
    v_places   int[];
    v_new      int[];
    r          record;
BEGIN
    IF p_records @> '[{"check_limits": true}]' THEN
        SELECT refusals, taken INTO v_refusals, v_taken FROM payment_check_limits(p_records);
    END IF;

    SELECT jsonb_agg(t.record -> 'entry' ORDER BY t.n), array_agg(t.n::int ORDER BY t.n)
    INTO v_entries, v_places
    FROM jsonb_array_elements(p_records) WITH ORDINALITY AS t (record, n)
    WHERE jsonb_typeof(t.record -> 'entry') = 'object' AND v_refusals[t.n] IS NULL AND v_known[t.n] IS NULL;

    IF v_entries IS NOT NULL THEN
        FOR r IN
            SELECT a.ordinal AS n, a.result AS answer FROM ledger_apply(v_entries) AS a WHERE a.result <> 'created'
        LOOP
            v_results[v_places[r.n + 1]] := r.answer;
        END LOOP;
    END IF;
    FOR v_place IN 1 .. v_count LOOP
        IF v_refusals[v_place] IS NOT NULL THEN
            v_results[v_place] := 'limit_exceeded';
        ELSIF v_known[v_place] IS NOT NULL THEN
            v_results[v_place] := 'overtaken';
        ELSIF v_place = ANY (v_taken) AND v_results[v_place] NOT IN ('created', 'exists') THEN
            PERFORM payment_give_back_customer_day(p_records -> (v_place - 1) -> 'payment');
        END IF;
    END LOOP;

    v_new := payment_write(p_records, v_results);
    RETURN QUERY
    SELECT n - 1,
           CASE WHEN v_results[n] = 'created' AND n <> ALL (v_new) THEN 'exists' ELSE coalesce(v_known[n], v_results[n]) END,
           coalesce(v_refusals[n], '')
    FROM generate_series(1, v_count) AS n;
END $$;

-- Applies one step of one refund. With `open`, what may be refunded is checked against what was captured. Refunds of one payment
-- take turns by an advisory lock and not by its row, so that everybody locks accounts before rows and nobody deadlocks.
-- A record: {refund, events: [], entry, operations: [], open: bool}. One that the row has moved past is answered `overtaken`.
CREATE FUNCTION refund_apply(p_record jsonb) RETURNS TABLE (result text, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    v_refund  refunds := jsonb_populate_record(NULL::refunds, p_record -> 'refund');
    v_payment payments;
    v_written refunds;
    v_answer  text := 'created';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(v_refund.tenant_id || '/' || v_refund.payment_id, 0));
    SELECT * INTO v_payment FROM payments p WHERE p.tenant_id = v_refund.tenant_id AND p.id = v_refund.payment_id;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'payment_not_found', format('No payment %s.', v_refund.payment_id);
        RETURN;
    END IF;
    SELECT * INTO v_written FROM refunds o WHERE o.tenant_id = v_refund.tenant_id AND o.id = v_refund.id;
    IF v_written.version > v_refund.version
        OR (v_written.version = v_refund.version AND v_written.status <> v_refund.status)
    THEN
        RETURN QUERY SELECT 'overtaken', '';
        RETURN;
    END IF;
    IF (p_record ->> 'open')::boolean AND v_written.id IS NULL
        AND v_payment.amount_refunded_minor + v_payment.amount_refunding_minor + v_refund.amount_minor
            > v_payment.amount_captured_minor
    THEN
        RETURN QUERY SELECT 'refund_exceeds_captured', format(
            '%s of %s captured minor units can still be refunded.',
            v_payment.amount_captured_minor - v_payment.amount_refunded_minor - v_payment.amount_refunding_minor,
            v_payment.amount_captured_minor);
        RETURN;
    END IF;

    IF jsonb_typeof(p_record -> 'entry') = 'object' THEN
        SELECT a.result INTO v_answer FROM ledger_apply(jsonb_build_array(p_record -> 'entry')) AS a;
        IF v_answer NOT IN ('created', 'exists') THEN
            RETURN QUERY SELECT v_answer, '';
            RETURN;
        END IF;
    END IF;

    INSERT INTO refunds AS old (tenant_id, id, payment_id, status, amount_minor, currency, reason, gateway_reference,
                                failure_code, failure_message, version, created_at)
    VALUES (v_refund.tenant_id, v_refund.id, v_refund.payment_id, v_refund.status, v_refund.amount_minor, v_refund.currency,
            v_refund.reason, v_refund.gateway_reference, v_refund.failure_code, v_refund.failure_message, v_refund.version,
            v_refund.created_at)
    ON CONFLICT (tenant_id, id) DO UPDATE SET
        status = excluded.status, gateway_reference = excluded.gateway_reference, failure_code = excluded.failure_code,
        failure_message = excluded.failure_message, version = excluded.version, updated_at = now()
        WHERE old.version < excluded.version;

    UPDATE payments p SET
        amount_refunded_minor = s.done, amount_refunding_minor = s.under_way, updated_at = now()
    FROM (SELECT coalesce(sum(o.amount_minor) FILTER (WHERE o.status = 'succeeded'), 0) AS done,
                 coalesce(sum(o.amount_minor) FILTER (WHERE o.status IN ('pending', 'needs_review')), 0) AS under_way
          FROM refunds o WHERE o.tenant_id = v_refund.tenant_id AND o.payment_id = v_refund.payment_id) AS s
    WHERE p.tenant_id = v_refund.tenant_id AND p.id = v_refund.payment_id;

    PERFORM payment_write(jsonb_build_array(p_record || jsonb_build_object('payment', to_jsonb(v_payment))), '{created}');
    RETURN QUERY SELECT v_answer, '';
END $$;
