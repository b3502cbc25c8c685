# The image of the job and of the gateway, for `docker compose up`. docker-compose.yml has the services that it needs.
FROM python:3.12.14-slim-bookworm AS python

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

# Build the wheel (pyproject.toml defines its content) and the list of its dependencies. The extra for S3 is among them: a container
# has no better place for backups and the archive. The engine is compiled, with the C compiler that the slim image does not have.
FROM python:3.12.14-bookworm AS wheel
WORKDIR /src
COPY constraints.txt pyproject.toml ./
RUN python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb")); \
         hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]; \
         print(*project["build-system"]["requires"], *hook["dependencies"], sep="\n")' > build-requirements.txt \
    && pip install --no-compile --constraint constraints.txt --requirement build-requirements.txt
COPY . ./
RUN HATCH_BUILD_HOOKS_ENABLE=1 hatchling build --target wheel --directory dist \
    && python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
         print(*project["dependencies"], *project["optional-dependencies"]["s3"], sep="\n")' > dist/requirements.txt

FROM python
WORKDIR /opt/onramp
# Dependencies are a separate layer, because they are large and change seldom.
COPY --from=wheel /src/constraints.txt /src/dist/requirements.txt ./
RUN pip install --no-compile --constraint constraints.txt --requirement requirements.txt
COPY --from=wheel /src/dist/*.whl ./
# The data directory must be empty, so it cannot be the home of the user, which contains files.
RUN pip install --no-compile --no-deps *.whl \
    && useradd --uid 10001 --create-home onramp \
    && mkdir --parents /var/lib/onramp \
    && chown onramp /var/lib/onramp
COPY docker/run-job.sh /usr/local/bin/run-job

# The root may be read-only: all that is written goes to the volume and to /tmp, also what Matplotlib, which reports use, keeps for itself.
ENV MPLCONFIGDIR=/tmp/matplotlib

# Recovery snapshots and the ClickHouse spool. This volume must outlive the container.
USER 10001
WORKDIR /var/lib/onramp
VOLUME /var/lib/onramp
EXPOSE 9464 9465 8080

ENTRYPOINT ["run-job"]
