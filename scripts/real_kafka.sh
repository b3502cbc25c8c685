#!/bin/sh
# Fetches Apache Kafka's published jars with Maven, once, and runs the tests against a real broker. Arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."

if ! command -v java >/dev/null; then
    echo 'Skipped: the tests against a real Apache Kafka need Java 17 or newer, and there is no java on the PATH.'
    exit 0
fi
if ! ls .kafka/libs/kafka_*.jar >/dev/null 2>&1; then
    if ! command -v mvn >/dev/null; then
        echo "Skipped: Kafka's jars are not in .kafka/libs, and there is no Maven (mvn) on the PATH to fetch them."
        exit 0
    fi
    echo "Fetching Kafka's jars with Maven (54 MB) ..."
    mvn -q -f scripts/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/.kafka/libs"
fi
exec "${PYTHON:-.venv/bin/python}" -m pytest -m kafka tests/kafka "$@"
