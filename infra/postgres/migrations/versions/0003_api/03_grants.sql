-- The application authenticates with keys but cannot make or revoke them: that takes the owner of the schema.

revoke all on function
  idempotency_claim(text, text, bytea, interval, text), idempotency_answer(text, text, smallint, text, bytea),
  idempotency_release(text, text, text, bytea), idempotency_forget(text, text), idempotency_prune(interval, integer)
from public;
grant select on api_keys, idempotency_keys to clearhold_app;
grant execute on function
  idempotency_claim(text, text, bytea, interval, text), idempotency_answer(text, text, smallint, text, bytea),
  idempotency_release(text, text, text, bytea), idempotency_forget(text, text), idempotency_prune(interval, integer)
to clearhold_app;
