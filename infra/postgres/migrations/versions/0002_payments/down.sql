-- Payments, their operations, timelines, refunds and limits.
DROP FUNCTION refund_apply(jsonb);
DROP FUNCTION payment_apply(jsonb);
DROP FUNCTION payment_write(jsonb, text[]);
DROP FUNCTION payment_overtaken(jsonb), payment_check_limits(jsonb), payment_give_back_customer_day(jsonb);
DROP FUNCTION payment_take_customer_day(text, text, text, date, bigint, bigint);
DROP TABLE payment_customer_days, payment_limits, refunds, payment_events, payment_operations, payments;
DROP FUNCTION payment_events_are_immutable();
