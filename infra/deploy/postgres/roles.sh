#!/bin/bash
# Runs once, when the image makes a new cluster: the roles and databases of Clearhold and of Temporal.
# The application's role owns nothing; the migrations grant it what it may do.
set -euo pipefail

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set owner_password="$CLEARHOLD_OWNER_PASSWORD" \
  --set app_password="$CLEARHOLD_APP_PASSWORD" \
  --set temporal_password="$TEMPORAL_PASSWORD" <<'SQL'
CREATE ROLE clearhold_owner LOGIN NOSUPERUSER PASSWORD :'owner_password';
CREATE ROLE clearhold_app LOGIN NOSUPERUSER PASSWORD :'app_password';
CREATE ROLE temporal LOGIN NOSUPERUSER PASSWORD :'temporal_password';

CREATE DATABASE clearhold OWNER clearhold_owner;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;

REVOKE ALL ON DATABASE clearhold, temporal, temporal_visibility FROM PUBLIC;
GRANT CONNECT ON DATABASE clearhold TO clearhold_app;

\connect clearhold
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
\connect temporal_visibility
CREATE EXTENSION IF NOT EXISTS btree_gin;
SQL
