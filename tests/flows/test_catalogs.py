"""Catalogs of several tenants: how they are found, what is wrong with them together, and what a data directory remembers of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.catalogs import (
    BUILT_IN,
    CatalogFileError,
    catalog_of,
    copy_catalogs,
    load_catalog,
    load_catalogs,
    load_plans,
    prompt_directories,
    read_catalogs,
    without_catalog,
)
from flows.doctor.local_checks import check_catalog
from flows.model_service import open_model
from flows.settings import load_settings
from local.data_dir import DataDir, DataDirError
from state.catalog.by_tenant import ByTenant
from state.catalog.parse import CatalogError
from state.catalog.plan import Plan
from state.never import never
from tests.flows.catalog_files import write


def faults(name: Path) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        load_catalogs(str(name))
    return [str(fault).removeprefix(f"{name}/") for fault in caught.value.faults]


def test_each_file_is_for_the_tenants_that_it_names_whatever_the_file_is_called(tmp_path: Path) -> None:
    write(tmp_path, "b.yaml", "[acme, ../x, ACME, 'über/uns']", "two")
    write(tmp_path, "a.yml", id="one")
    write(tmp_path, ".hidden.yaml.swp", id="swap")
    write(tmp_path, "notes.txt", id="notes")
    write(tmp_path / "prompts", "nudge.yaml", id="no-catalog")
    found = load_catalogs(str(tmp_path)).map(lambda catalog: catalog.id)
    assert found.everybody
    assert found.items() == [(None, "one"), ("acme", "two"), ("../x", "two"), ("ACME", "two"), ("über/uns", "two")]
    assert [found.of(tenant) for tenant in ("../x", "Acme", "", "b")] == ["two", "one", "one", "one"]
    assert catalog_of(str(tmp_path), "ACME").id == "two"


def test_one_file_is_for_everybody_unless_it_names_tenants(tmp_path: Path) -> None:
    whole, some = write(tmp_path, "whole.yaml"), write(tmp_path, "some.yaml", "[acme]")
    assert load_catalogs(str(whole)).find("anybody") == load_catalog(str(whole))
    found = load_catalogs(str(some))
    assert (found.find("acme"), found.find("beta"), found.everybody) == (load_catalog(str(some)), None, False)
    with pytest.raises(CatalogFileError, match=r"No catalog in .*some.yaml is for the tenant beta; name it under `tenants`"):
        catalog_of(str(some), "beta")
    assert load_catalogs("saas").everybody
    assert faults(write(tmp_path, "none.yaml", "[]")) == [f"{tmp_path}/none.yaml:9: tenants: needs at least 1"], "not: for all tenants"


def test_a_question_about_one_tenant_reads_no_more_of_other_catalogs_than_whom_they_are_for(tmp_path: Path) -> None:
    """With hundreds of catalogs a pause for an emergency would wait for half a minute; so what follows the tenants may be anything."""
    for number in range(20):
        write(tmp_path, f"{number}.yaml").write_text(f"id: c{number}\ntenants: [t{number}, 'ü {number}']\nsteps: [", encoding="utf-8")
    name = str(tmp_path)
    assert [without_catalog(name, tenant) for tenant in ("t0", "t19", "ü 7")] == [""] * 3
    assert (
        without_catalog(name, "t") == f"no catalog in {name} is for the tenant t, only for t0, t1, t10, t11, t12, t13, t14, t15 and 32 more"
    )
    write(tmp_path, "mine.yaml", "[mine]", "mine")
    assert catalog_of(name, "mine").id == "mine"
    with pytest.raises(CatalogError, match=r"0.yaml:3: not valid YAML"):
        catalog_of(name, "t0")
    write(tmp_path, "z.yaml", id="others")
    assert without_catalog(name, "t") == ""
    assert (catalog_of(name, "t").id, catalog_of(name, "mine").id) == ("others", "mine")
    (tmp_path / "broken.yaml").write_text("id: [", encoding="utf-8")
    assert without_catalog(name, "mine") == ""
    with pytest.raises(CatalogError, match=r"broken.yaml:1: not valid YAML"):
        catalog_of(name, "t")  # it may be the one for this tenant


def test_all_faults_of_all_files_come_at_once_in_order(tmp_path: Path) -> None:
    write(tmp_path, "1.yaml", "[acme, acme]")
    write(tmp_path, "2.yaml", "['a:b', undefined, '']", extra="tenant: a\n")
    write(tmp_path, "3.yaml", "[5]")
    (tmp_path / "4.yaml").write_text("- a list", encoding="utf-8")
    assert faults(tmp_path) == [
        "1.yaml:9: tenants[1]: 'acme' appears twice",
        "2.yaml:9: tenants[2]: is empty",
        "2.yaml:10: tenant: no such field here; did you mean tenants?",
        "3.yaml:9: tenants[0]: should be text, not 5; put it in quotes",
        "4.yaml:1: a catalog is a YAML mapping with id, version, product, steps, paths and more",
    ]
    write(tmp_path, "2.yaml", "['a:b', undefined, 'zero\u200bwidth', fine]")
    assert [each for each in faults(tmp_path) if each.startswith("2.")] == [
        "2.yaml:9: tenants[0]: no event can have the tenantId 'a:b' (docs/events.md says why)",
        "2.yaml:9: tenants[1]: no event can have the tenantId 'undefined' (docs/events.md says why)",
        "2.yaml:9: tenants[2]: no event can have the tenantId 'zero\\u200bwidth' (docs/events.md says why)",
    ]


def test_two_catalogs_for_one_tenant_or_for_all_others_are_a_fault_of_the_later_file(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml")
    write(tmp_path, "b.yaml", "[acme, beta]")
    write(tmp_path, "c.yaml", "[gamma, acme]")
    write(tmp_path, "d.yaml")
    assert faults(tmp_path) == [
        f"c.yaml:9: tenants[1]: 'acme' has the catalog {tmp_path}/b.yaml already",
        f"d.yaml:1: tenants: {tmp_path}/a.yaml is for all tenants that no catalog names; name those of this one",
    ]


def test_a_directory_without_a_catalog_and_a_name_that_is_none_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogFileError, match="has no catalog in it: put one YAML file for each product there"):
        load_catalogs(str(tmp_path))
    with pytest.raises(CatalogFileError, match="cannot be read"):
        load_catalogs(str(tmp_path / "none"))
    with pytest.raises(CatalogFileError, match="is a directory of catalogs; name one of its files"):
        load_catalog(str(tmp_path))


def test_a_copy_is_what_was_checked_with_its_prompts_whatever_became_of_the_files(tmp_path: Path) -> None:
    mine, copy = tmp_path / "mine", tmp_path / "copy"
    write(mine, "a.yaml", "[a]", "one")
    write(mine, "b.yml", id="two")
    write(mine, "notes.txt", id="notes")
    (mine / "prompts").mkdir()
    (mine / "prompts" / "nudge.yaml").write_text("a prompt", encoding="utf-8")
    read = read_catalogs(str(mine))
    (mine / "a.yaml").write_text("id: [", encoding="utf-8")
    (mine / "b.yml").unlink()
    for _ in range(2):  # the second one replaces the first
        name = copy_catalogs(str(mine), read, copy)
        assert load_catalogs(name).map(lambda catalog: catalog.id).items() == [(None, "two"), ("a", "one")]
        assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*.y*ml")) == ["a.yaml", "b.yml", "prompts/nudge.yaml"]
        assert prompt_directories(name)[0] == copy / "prompts"
        write(copy, "left.yaml", "[left]")
    one = str(write(tmp_path / "single", "one.yaml", "[a]"))
    name = copy_catalogs(one, read_catalogs(one), copy)
    assert (name, prompt_directories(name)[0]) == (str(copy / "one.yaml"), copy / "prompts")
    assert [path.name for path in copy.iterdir()] == ["one.yaml"]


def test_prompts_lie_beside_the_files(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml")
    assert prompt_directories(str(path)) == prompt_directories(str(tmp_path)) == [tmp_path / "prompts", BUILT_IN / "prompts"]


def test_tenants_with_one_catalog_share_what_is_made_of_it_and_naming_one_changes_no_state(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "[a, b]")
    write(tmp_path, "c.yaml")
    plans = load_plans(str(tmp_path))
    assert plans.of("a") is plans.of("b") is not plans.of("c")
    assert len(plans.distinct) == 2
    assert plans.of("a").digest == plans.of("c").digest
    made: list[Plan] = []

    def make(plan: Plan) -> int:
        made.append(plan)
        return len(made)

    assert plans.map(make).of("b") == 2
    assert made == list(plans.distinct)
    assert ByTenant(None, {"a": 1}).of("x") == 1, "a deletion is the same under every catalog"
    assert ByTenant(None, {"a": 1}).find("x") is None
    assert ByTenant(None, {"a": None}).map(lambda _none: 1).find("b") is None


# what a data directory remembers


def test_tenants_can_be_added_and_none_can_change_to_another_product_or_be_left_out(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.bind_catalogs(ByTenant(None, {"a": "shop"}))
    data_dir.bind_catalogs(ByTenant(None, {"a": "shop", "b": "bank"}))
    data_dir.bind_catalogs(ByTenant("mail", {"a": "shop", "b": "bank"}))
    assert data_dir.read_run() == {"catalog": "mail", "catalogs": {"a": "shop", "b": "bank"}}
    with pytest.raises(DataDirError, match=r"The tenant b belongs to the catalog bank in .*, and this run uses mail for it: keep"):
        data_dir.bind_catalogs(ByTenant("mail", {"a": "shop"}))
    with pytest.raises(DataDirError, match="has users of tenants that no catalog names, with the catalog mail: keep that one"):
        data_dir.bind_catalogs(ByTenant(None, {"a": "shop", "b": "bank"}))
    with pytest.raises(DataDirError, match="belongs to the catalog mail, this run uses post"):
        data_dir.check_catalogs(ByTenant("post", {"a": "shop", "b": "bank"}))
    data_dir.check_catalogs(ByTenant("mail", {"a": "shop", "b": "bank", "c": "new"}))
    alone = DataDir.create(tmp_path / "alone")
    alone.bind_catalogs(ByTenant(None, {"a": "shop"}))
    with pytest.raises(DataDirError, match="and this run has none for it"):
        alone.check_catalogs(ByTenant(None, {"b": "shop"}))
    alone.check_catalogs(ByTenant("shop"))


def test_a_tenant_that_moved_to_the_catalog_for_all_others_is_still_remembered(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.bind_catalogs(ByTenant(None, {"a": "shop"}))
    data_dir.bind_catalogs(ByTenant("shop", {"b": "bank"}))
    with pytest.raises(DataDirError, match="The tenant a belongs to the catalog shop"):
        data_dir.check_catalogs(ByTenant("shop", {"a": "bank", "b": "bank"}))


def test_a_model_is_opened_where_any_catalog_allows_its_texts(tmp_path: Path) -> None:
    allowing = Plan(load_catalog("saas"), wording=True)
    observing = load_plans(str(write(tmp_path, "a.yaml")), wording=True).of("")
    settings = load_settings(llm_url="http://127.0.0.1:1")
    with open_model(settings, ByTenant(observing, {"a": allowing}), "redis://127.0.0.1:1", stopping=never) as model:
        assert model is not None
        catalogs = model.service.catalogs
        assert catalogs.find("other") is None
        assert (found := catalogs.find("a")) is not None
        assert (found.plan, set(found.prompts)) == (allowing, {"nudge-1"})
    with open_model(settings, ByTenant(observing), "redis://127.0.0.1:1", stopping=never) as model:
        assert model is None


def test_a_job_with_one_catalog_goes_on_with_a_directory_that_has_it_for_all_others(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.bind_catalogs(ByTenant("shop"))
    data_dir.check_catalogs(ByTenant("shop", {"b": "bank"}))
    with pytest.raises(DataDirError, match="keep that one without `tenants`"):
        data_dir.check_catalogs(ByTenant(None, {"default": "shop"}))


def test_doctor_names_the_versions_and_says_which_tenant_was_left_out(tmp_path: Path) -> None:
    write(tmp_path / "c", "a.yaml", "[a]", "shop")
    write(tmp_path / "c", "b.yaml", "[b]", "bank")
    settings = load_settings(catalog=str(tmp_path / "c"), data_dir=tmp_path / "data")
    (found,) = check_catalog(settings)
    assert (found.status, found.says) == ("ok", "shop@1, bank@1")
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.state.mkdir()
    data_dir.bind_catalogs(ByTenant(None, {"z": "zoo"}))
    (found,) = check_catalog(settings)
    assert found.status == "fail"
    assert "The tenant z belongs to the catalog zoo" in found.says
