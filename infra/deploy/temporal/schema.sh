#!/bin/sh
# Brings Temporal's two databases to the schema of this release of its tools. Safe to run again: what is there already
# is left as it is. Where the databases are stands in SQL_HOST, SQL_PORT, SQL_USER, SQL_PASSWORD and SQL_PLUGIN.
set -eu

tool=${TEMPORAL_SQL_TOOL:-temporal-sql-tool}
schema=${TEMPORAL_SCHEMA:-/etc/temporal/schema}/postgresql/v12

for database in temporal temporal_visibility; do
  case $database in
    temporal) versions=$schema/temporal/versioned ;;
    temporal_visibility) versions=$schema/visibility/versioned ;;
  esac
  "$tool" --database "$database" setup-schema --version 0.0
  "$tool" --database "$database" update-schema --schema-dir "$versions"
done
