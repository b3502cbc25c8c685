# The job. Built for `docker compose up`; see docker-compose.yml for the services it needs.
FROM python:3.12.14-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /opt/onramp

# Dependencies in a layer of their own: they change seldom and are large. The stub rooms satisfy the build backend.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir flows operators state sinks sources llm catalog \
    && pip install --no-compile --constraint constraints.txt '.[llm]' \
    && pip uninstall --yes onramp \
    && rmdir flows operators state sinks sources llm catalog

COPY flows flows
COPY operators operators
COPY state state
COPY sinks sinks
COPY sources sources
COPY llm llm
COPY catalog catalog
COPY docker/run-job.sh /usr/local/bin/run-job
RUN pip install --no-compile --no-deps . \
    && useradd --uid 10001 --home-dir /var/lib/onramp --create-home onramp

# Recovery snapshots and the ClickHouse spool: whatever happens to the container, this must survive.
USER 10001
WORKDIR /var/lib/onramp
VOLUME /var/lib/onramp
EXPOSE 3030

ENTRYPOINT ["run-job"]
