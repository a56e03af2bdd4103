-- The application reads the tables and writes through the functions alone.
revoke all on function
  loan_story_is_immutable(), loan_round(numeric, text), loan_accrual_target(loan_accrual_segments, date, text),
  loan_interest_request(integer, text, text, text, text, boolean, bigint, text),
  loan_accrue_locked(text[], text[], date), loan_must_be_booked(text, text),
  loan_accrue_page(text, text, integer, date), loan_write_rows(loans, jsonb), loan_write_position(loans, jsonb),
  loan_apply(jsonb), ledger_requests_from(jsonb, integer), test_clock_set(text, text, text, date, date),
  loan_receivable(text, text), loan_books_disagree(text)
from public;
grant select on loans, loan_instalments, loan_repayments, loan_events, loan_transitions, loan_decisions, loan_proposals,
  loan_positions, loan_accrual_segments, loan_accruals, loan_accrual_adjustments, test_clocks to clearhold_app;
grant execute on function
  loan_round(numeric, text), loan_accrual_target(loan_accrual_segments, date, text),
  loan_accrue_page(text, text, integer, date), loan_apply(jsonb), test_clock_set(text, text, text, date, date),
  loan_receivable(text, text), loan_books_disagree(text)
to clearhold_app;
