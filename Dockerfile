# The job. Built for `docker compose up`; see docker-compose.yml for the services it needs.
FROM python:3.12.14-slim-bookworm AS python

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

# The wheel, whose content pyproject.toml alone decides, and a list of what it needs.
FROM python AS wheel
WORKDIR /src
COPY constraints.txt ./
RUN pip install --no-compile --constraint constraints.txt hatchling
COPY . ./
RUN hatchling build --target wheel --directory dist \
    && python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > dist/requirements.txt

FROM python
WORKDIR /opt/onramp
# Dependencies in a layer of their own: they change seldom and are large.
COPY --from=wheel /src/constraints.txt /src/dist/requirements.txt ./
RUN pip install --no-compile --constraint constraints.txt --requirement requirements.txt
COPY --from=wheel /src/dist/*.whl ./
# The data directory must be empty, so it is not the user's home, which is made with files in it.
RUN pip install --no-compile --no-deps *.whl \
    && useradd --uid 10001 --create-home onramp \
    && mkdir --parents /var/lib/onramp \
    && chown onramp /var/lib/onramp
COPY docker/run-job.sh /usr/local/bin/run-job

# Recovery snapshots and the ClickHouse spool: whatever happens to the container, this must survive.
USER 10001
WORKDIR /var/lib/onramp
VOLUME /var/lib/onramp
EXPOSE 3030

ENTRYPOINT ["run-job"]
