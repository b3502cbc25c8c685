"""``onramp clickhouse grants`` names the job's user among those who see all, and refuses what cannot be."""

from __future__ import annotations

import pytest

from cli.app import invoke


def test_the_user_of_the_job_goes_on_to_see_every_tenant(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ONRAMP_CLICKHOUSE_URL", "http://job:hunter2@house:8123/?database=tables")
    assert invoke(["clickhouse", "grants", "acme", "--user", "reader", "--sees-all", "gateway"]) == 0
    printed = capsys.readouterr().out
    assert "ON tables.events USING 1 TO `job`;\n" in printed
    assert "ON tables.events USING 1 TO `gateway`;\n" in printed
    assert printed.endswith("GRANT `onramp tenant acme` TO `reader`;\n")
    assert "hunter2" not in printed


@pytest.mark.parametrize(
    ("url", "said"), [(None, "set ONRAMP_CLICKHOUSE_URL"), ("http://reader:x@house:8123", "reader cannot read one tenant and all of them")]
)
def test_what_cannot_be_granted_is_refused(
    url: str | None, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if url is not None:
        monkeypatch.setenv("ONRAMP_CLICKHOUSE_URL", url)
    assert invoke(["clickhouse", "grants", "acme", "--user", "reader"]) != 0
    printed = capsys.readouterr()
    assert said in printed.err
    assert not printed.out
