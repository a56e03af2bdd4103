# syntax=docker/dockerfile:1

# One image for every process of ours: API, worker, migrations, namespace job, sandbox bank. The command tells them apart.

FROM python:3.11.14-slim-bookworm AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
COPY requirements/runtime.txt /requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/clearhold \
    && /opt/clearhold/bin/pip install --no-deps --only-binary :all: --require-hashes --requirement /requirements.txt

FROM python:3.11.14-slim-bookworm AS runtime
RUN groupadd --system --gid 10001 clearhold \
    && useradd --system --uid 10001 --gid clearhold --no-create-home --shell /usr/sbin/nologin clearhold \
    && install --directory --owner=clearhold --group=clearhold /data
COPY --from=packages /opt/clearhold /opt/clearhold
WORKDIR /app
COPY domain domain
COPY activities activities
COPY workflows workflows
COPY infra infra
COPY api api
COPY workers workers
ENV PATH=/opt/clearhold/bin:$PATH PYTHONUNBUFFERED=1 PYTHONPATH=/app
# The file system is read-only at run time, so bytecode is made now.
RUN python -m compileall -q /app
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
CMD ["python", "-m", "api"]
