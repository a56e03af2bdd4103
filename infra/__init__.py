"""Everything that touches the outside: settings, PostgreSQL, Temporal, gateways, telemetry, the local stack."""
