-- The application reads the tables and writes through the two functions alone.
REVOKE ALL ON FUNCTION payment_take_customer_day(text, text, text, date, bigint, bigint), payment_check_limits(jsonb),
    payment_give_back_customer_day(jsonb), payment_overtaken(jsonb), payment_write(jsonb, text[]), payment_apply(jsonb),
    refund_apply(jsonb) FROM public;
GRANT SELECT ON payments, payment_operations, payment_events, refunds, payment_limits, payment_customer_days
    TO clearhold_app;
GRANT EXECUTE ON FUNCTION payment_apply(jsonb), refund_apply(jsonb) TO clearhold_app;
