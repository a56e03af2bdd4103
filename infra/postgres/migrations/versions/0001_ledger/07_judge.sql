-- The rules, transfer by transfer in the order given: each sees the effect of those before it. An entry that fails at
-- one transfer takes back those it had made. Pure: reads and writes nothing but its arguments.

create type ledger_judgement as (
  results text[], failed text[],                       -- by entry
  first_line integer[],     -- by line: where its entry begins; null when nothing is to be written
  amount bigint[], released bigint[], hold_id bigint[], debit_at integer[], credit_at integer[]
);

create function ledger_judge(p_batch ledger_batch, p_standing ledger_standing, p_base bigint, p_now timestamptz)
returns ledger_judgement
language plpgsql as $$
declare
  c_max_amount constant bigint := 1000000000000000;
  c_max_sum constant bigint := 4000000000000000000;
  -- Local copies, because an element of an array variable is changed in place and that of a row's field is not.
  v_lines ledger_line[] := p_batch.lines;
  v_drafts ledger_draft[] := p_batch.drafts;
  v_debit_at integer[] := p_batch.debit_at;
  v_credit_at integer[] := p_batch.credit_at;
  v_name_at integer[] := p_batch.name_at;
  v_hold_at integer[] := p_batch.hold_at;
  v_entry_key_at integer[] := p_batch.entry_key_at;
  v_currency text[] := p_standing.currency;
  v_closed boolean[] := p_standing.closed;
  v_debits_capped boolean[] := p_standing.debits_capped;
  v_credits_capped boolean[] := p_standing.credits_capped;
  v_debits_pending bigint[] := p_standing.debits_pending;
  v_debits_posted bigint[] := p_standing.debits_posted;
  v_credits_pending bigint[] := p_standing.credits_pending;
  v_credits_posted bigint[] := p_standing.credits_posted;
  v_hold_id bigint[] := p_standing.hold_id;
  v_hold_state text[] := p_standing.hold_state;
  v_hold_left bigint[] := p_standing.hold_left;
  v_hold_expires timestamptz[] := p_standing.hold_expires;
  v_hold_debit_at integer[] := p_standing.hold_debit_at;
  v_hold_credit_at integer[] := p_standing.hold_credit_at;
  v_key_used boolean[] := p_standing.key_used;
  v_digests bytea[] := p_standing.digests;
  v_left_before bigint[];
  v_results text[];
  v_failed text[];
  v_first_line integer[];
  v_amount bigint[];
  v_released bigint[];
  v_hold_of bigint[];
  v_draft ledger_draft;
  v_line ledger_line;
  v_result text;
  v_by_key integer;
  v_at integer;
  v_name integer;
  v_asked bigint;
  d integer;
  c integer;
begin
  for v_entry in 1 .. cardinality(v_drafts) loop
    v_draft := v_drafts[v_entry];
    v_by_key := coalesce(v_entry_key_at[v_entry], v_entry);
    if v_draft.problem is not null then
      v_results[v_entry] := v_draft.problem;
      continue;
    elsif v_digests[v_by_key] is not null then
      v_results[v_entry] := case when v_digests[v_by_key] = v_draft.content_digest
        then 'exists' else 'exists_with_different_content' end;
      continue;
    end if;

    v_result := 'created';
    v_at := v_draft.first_line;
    while v_at <= v_draft.last_line loop
      v_line := v_lines[v_at];
      v_name := coalesce(v_name_at[v_at], v_at);
      if v_key_used[v_name] then
        v_result := 'exists_with_different_content';
        exit;
      end if;

      if v_line.kind = 'post' or v_line.kind = 'hold' then
        d := v_debit_at[v_at];
        c := v_credit_at[v_at];
        v_asked := v_line.amount_minor;
        v_result := case
          when v_line.same_account then 'accounts_must_be_different'
          when v_asked < 1 then 'amount_must_be_positive'
          when v_asked > c_max_amount then 'amount_too_large'
          when v_line.expires_at <= p_now then 'expires_in_the_past'
          when d is null then 'debit_account_not_found'
          when c is null then 'credit_account_not_found'
          when v_currency[d] <> v_line.currency or v_currency[c] <> v_line.currency then 'currency_mismatch'
          when v_closed[d] then 'debit_account_closed'
          when v_closed[c] then 'credit_account_closed'
          when v_debits_capped[d] and v_debits_pending[d] + v_debits_posted[d] + v_asked > v_credits_posted[d]
            then 'exceeds_credits'
          when v_credits_capped[c] and v_credits_pending[c] + v_credits_posted[c] + v_asked > v_debits_posted[c]
            then 'exceeds_debits'
          when v_debits_pending[d] + v_debits_posted[d] + v_asked > c_max_sum
            or v_credits_pending[c] + v_credits_posted[c] + v_asked > c_max_sum then 'balance_too_large'
          else 'created' end;
        exit when v_result <> 'created';
        v_amount[v_at] := v_asked;
        v_released[v_at] := 0;
        if v_line.kind = 'post' then
          v_debits_posted[d] := v_debits_posted[d] + v_asked;
          v_credits_posted[c] := v_credits_posted[c] + v_asked;
        else
          v_debits_pending[d] := v_debits_pending[d] + v_asked;
          v_credits_pending[c] := v_credits_pending[c] + v_asked;
        end if;
      else
        v_name := v_hold_at[v_at];
        v_asked := case when v_line.kind = 'capture' then coalesce(v_line.amount_minor, v_hold_left[v_name]) else 0 end;
        v_result := case
          when v_hold_state[v_name] is null then 'pending_transfer_not_found'
          when v_hold_state[v_name] = 'none' then 'pending_transfer_not_pending'
          when v_hold_state[v_name] = 'posted' then 'pending_transfer_already_posted'
          when v_hold_state[v_name] = 'voided' then 'pending_transfer_already_voided'
          when v_hold_state[v_name] = 'expired' or v_hold_expires[v_name] <= p_now then 'pending_transfer_expired'
          when v_asked < 0 or (v_asked = 0 and not v_line.is_final) then 'amount_must_be_positive'
          when v_asked > v_hold_left[v_name] then 'exceeds_pending_transfer_amount'
          else 'created' end;
        exit when v_result <> 'created';
        d := v_hold_debit_at[v_name];
        c := v_hold_credit_at[v_name];
        v_debit_at[v_at] := d;
        v_credit_at[v_at] := c;
        v_amount[v_at] := v_asked;
        v_released[v_at] := case when v_line.is_final is false then 0 else v_hold_left[v_name] - v_asked end;
        v_hold_of[v_at] := v_hold_id[v_name];
        v_left_before[v_at] := v_hold_left[v_name];
        v_hold_left[v_name] := v_hold_left[v_name] - v_asked - v_released[v_at];
        if v_hold_left[v_name] = 0 then
          v_hold_state[v_name] := case when v_line.kind = 'capture' then 'posted' else 'voided' end;
        end if;
        v_debits_pending[d] := v_debits_pending[d] - v_asked - v_released[v_at];
        v_debits_posted[d] := v_debits_posted[d] + v_asked;
        v_credits_pending[c] := v_credits_pending[c] - v_asked - v_released[v_at];
        v_credits_posted[c] := v_credits_posted[c] + v_asked;
      end if;

      v_first_line[v_at] := v_draft.first_line;
      v_name := coalesce(v_name_at[v_at], v_at);
      v_key_used[v_name] := true;
      if v_name_at is not null then  -- a line of the batch may settle this one
        v_hold_state[v_name] := 'none';
        if v_line.kind = 'hold' then
          v_hold_state[v_name] := 'pending';
          v_hold_id[v_name] := p_base + v_at - 1;
          v_hold_left[v_name] := v_asked;
          v_hold_expires[v_name] := v_line.expires_at;
          v_hold_debit_at[v_name] := d;
          v_hold_credit_at[v_name] := c;
        end if;
      end if;
      v_at := v_at + 1;
    end loop;

    v_results[v_entry] := v_result;
    if v_result = 'created' then
      v_digests[v_by_key] := v_draft.content_digest;
      continue;
    end if;
    v_failed[v_entry] := v_line.key;
    while v_at > v_draft.first_line loop  -- take back what the lines before it did
      v_at := v_at - 1;
      v_line := v_lines[v_at];
      d := v_debit_at[v_at];
      c := v_credit_at[v_at];
      if v_line.kind = 'post' then
        v_debits_posted[d] := v_debits_posted[d] - v_amount[v_at];
        v_credits_posted[c] := v_credits_posted[c] - v_amount[v_at];
      elsif v_line.kind = 'hold' then
        v_debits_pending[d] := v_debits_pending[d] - v_amount[v_at];
        v_credits_pending[c] := v_credits_pending[c] - v_amount[v_at];
      else
        v_name := v_hold_at[v_at];
        v_hold_state[v_name] := 'pending';
        v_hold_left[v_name] := v_left_before[v_at];
        v_debits_pending[d] := v_debits_pending[d] + v_amount[v_at] + v_released[v_at];
        v_debits_posted[d] := v_debits_posted[d] - v_amount[v_at];
        v_credits_pending[c] := v_credits_pending[c] + v_amount[v_at] + v_released[v_at];
        v_credits_posted[c] := v_credits_posted[c] - v_amount[v_at];
      end if;
      v_first_line[v_at] := null;
      v_name := coalesce(v_name_at[v_at], v_at);
      v_key_used[v_name] := false;
      if v_name_at is not null then
        v_hold_state[v_name] := null;
      end if;
    end loop;
  end loop;
  return row(v_results, v_failed, v_first_line, v_amount, v_released, v_hold_of, v_debit_at, v_credit_at)::ledger_judgement;
end $$;
