-- Undo 0004. Every loan is gone afterwards; what the ledger booked for them stays.

drop function loan_books_disagree(text), loan_receivable(text, text), test_clock_set(text, text, text, date, date),
  loan_apply(jsonb), ledger_requests_from(jsonb, integer), loan_write_position(loans, jsonb), loan_write_rows(loans, jsonb),
  loan_accrue_page(text, text, integer, date), loan_accrue_locked(text[], text[], date), loan_must_be_booked(text, text),
  loan_interest_request(integer, text, text, text, text, boolean, bigint, text),
  loan_accrual_target(loan_accrual_segments, date, text), loan_round(numeric, text);
drop table test_clocks, loan_accrual_adjustments, loan_accruals, loan_accrual_segments, loan_positions, loan_proposals,
  loan_decisions, loan_transitions, loan_events, loan_repayments, loan_instalments, loans;
drop function loan_story_is_immutable();
