"""Every fault of a catalog is reported with its line, its field and what to write; hostile text ends in one fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.catalog import yaml_text
from state.catalog.consistency import BUILT_IN_SLOTS
from state.catalog.model import Catalog
from state.catalog.parse import CatalogError, Fault, parse, tenants_of
from state.catalog.plan import Plan
from state.duration import DAY, MINUTE
from state.vocabulary import STUCK_TRIGGERS

SHIPPED = sorted((Path(__file__).parents[2] / "catalog").glob("*.yaml"))

GOOD = """\
id: mini
version: 1
product: Mini
links: [/a, /b/*]
slots:
  firstName: {trait: firstName, default: there}
arms:
  - {id: moderate_tooltip, tone: moderate, component: tooltip}
  - {id: passive_sidebar, tone: passive, component: sidebar_hint}
triggers:
  stuck:errors: {enabled: false}
  stuck:rage_clicks: {enabled: false}
  stuck:looping: {enabled: false}
  stuck:slow_step: {enabled: false}
templates:
  signup: {moderate: "Hi {firstName}, start: {step}.", passive: "{step} is next."}
  step_completed: {moderate: "Next: {step}.", passive: "{step} is next."}
  stuck:inactive: {moderate: "Go on: {step}.", passive: "{step} is next."}
steps:
  - id: first
    title: First
    link: /a
    typical: 5m
    complete:
      - {type: track, name: first_done}
  - id: second
    title: Second
    link: /b/c
    requires: [first]
    complete:
      - type: form_submit
        where: {form: second}
paths:
  - id: everyone
    title: Everyone
    steps: [first, second]
"""


def faults_of(text: str) -> list[Fault]:
    with pytest.raises(CatalogError) as caught:
        parse(text, "mine.yaml")
    return caught.value.faults


def test_the_good_catalog_is_read() -> None:
    catalog = parse(GOOD, "mine.yaml")
    assert catalog.version == "1"
    assert catalog.steps[0].typical == 5 * MINUTE
    assert catalog.triggers.inactive.after == DAY
    assert not catalog.triggers.enabled("stuck:errors")


NO_SUCH = "no such field here"
WHERE = "steps[1].complete[0].where.form"

# what stands in the good catalog, what the author wrote instead, and the whole of what they are told: (line, field, words in the message)
MISTAKES: list[tuple[str, str, list[tuple[int, str, str]]]] = [
    # names of fields
    ("typical: 5m", "typicall: 5m", [(23, "steps[0].typicall", f"{NO_SUCH}; did you mean typical?")]),
    ("product: Mini", "Product: Mini", [(1, "product", "is missing"), (3, "Product", "did you mean product?")]),
    ("where: {form: second}", "form: second", [(32, "steps[1].complete[0].form", f"{NO_SUCH}; there are type, name, where, times")]),
    ("stuck:errors: {", "stuck:error: {", [(11, "triggers.stuck:error", "did you mean stuck:errors?")]),
    ("stuck:errors: {", "errors: {", [(11, "triggers.errors", "did you mean stuck:errors?")]),
    ("{form: second}", "{form: {equals: second}}", [(32, f"{WHERE}.equals", "there are eq, in, not_in, prefix")]),
    ("paths:", "path:", [(1, "paths", "is missing"), (33, "path", "did you mean paths?")]),
    ("version: 1\n", "", [(1, "version", "is missing")]),
    # values of fields
    ("version: 1", "version:", [(2, "version", "is empty; it should be text")]),
    ("id: mini", "id: Mini App", [(1, "id", "should be lower-case letters, digits, _ and - (at most 64), not 'Mini App'")]),
    ("title: First", "title: 7", [(21, "steps[0].title", "should be text, not 7; put it in quotes")]),
    ("title: First", 'title: ""', [(21, "steps[0].title", "is empty")]),
    ("title: First", f"title: {'x' * 501}", [(21, "steps[0].title", "is longer than 500 characters")]),
    ("typical: 5m", "typical: 5", [(23, "steps[0].typical", "a duration is a number and a unit, like 90s, 15m, 24h or 7d, not 5")]),
    ("typical: 5m", "typical: 5 minutes", [(23, "steps[0].typical", "not '5 minutes'")]),
    ("typical: 5m", "typical:", [(23, "steps[0].typical", "is empty")]),
    ("typical: 5m", "typical: 0s", [(23, "steps[0].typical", "should be longer than 0, not '0s'")]),
    ("id: mini", "id: mini\nlimits: {lateness: 90d}", [(2, "limits.lateness", "should be at most 30d, not '90d'")]),
    (
        "requires: [first]",
        "requires: first",
        [(29, "steps[1].requires", "should be a list: [a, b], or lines that begin with -, not 'first'")],
    ),
    ("type: form_submit", "type: formsubmit", [(31, "steps[1].complete[0].type", "not 'formsubmit'; did you mean form_submit?")]),
    ("tone: moderate", "tone: friendly", [(8, "arms[0].tone", "should be one of aggressive, moderate, passive, not 'friendly'")]),
    ("{enabled: false}", "{enabled: no}", [(11, "triggers.stuck:errors.enabled", "should be true or false, not 'no'")]),
    ("id: mini", "id: mini\nholdout: 10%", [(2, "holdout", "should be a number, not '10%'")]),
    ("id: mini", "id: mini\nholdout: 10", [(2, "holdout", "should be less than or equal to 1, not 10")]),
    ("id: mini", "id: mini\nlearning: {prior_weight: 1e999}", [(2, "learning.prior_weight", "should be a finite number")]),
    ("id: mini", "id: mini\nlearning: {curiosity: 1}", [(2, "learning.curiosity", "there are prior_rate, prior_weight, half_life, expl")]),
    ("id: mini", "id: mini\nsegment_by: [a, b, c]", [(2, "segment_by", "has more than 2")]),
    ("id: mini", "id: mini\ndelivers: [inapp]", [(2, "delivers[0]", "did you mean in_app?")]),
    ("links: [/a, /b/*]", "links: []", [(4, "links", "only a catalog with `observe: true` needs none")]),
    ("- {type: track, name: first_done}", "- first_done", [(25, "steps[0].complete[0]", "a mapping (name: value), not 'first_done'")]),
    (
        "where: {form: second}",
        "times: 1.5",
        [(32, "steps[1].complete[0].times", "should be a whole number, not 1.5")],
    ),
    # wording
    *(
        ("id: mini", f"id: mini\nwording: {{prompts: [{{version: one}}], {given}}}", [(2, f"wording.{field}", words)])
        for given, field, words in (
            ("forbidden: [ok, '(unclosed']", "forbidden[1]", "is not a regular expression: missing ) in '(unclosed'"),
            ("forbidden: ['']", "forbidden[0]", "is empty, and would refuse every text"),
            ("forbidden: ['.*']", "forbidden[0]", "matches every text"),
            ("forbidden: ['a*']", "forbidden[0]", "matches every text"),
            ("forbidden: [ok, '(?!not )free']", "forbidden[1]", "uses (?!, which looks ahead or behind: not supported; write only what is"),
            (r"forbidden: ['(\w)\1']", "forbidden[0]", r"refers back to a group with \1: not supported; write the words out"),
            (r"forbidden: ['\bgratuité\b']", "forbidden[0]", r"uses \b, which knows only English letters, beside others; write \pL for a"),
            (
                "languages: [german]",
                "languages[0]",
                "should be a language's code of two or three small letters, like en or de, not 'german'",
            ),
            ("languages: [pt-BR]", "languages[0]", "did you mean pt?"),
            ("languages: [en, de, en]", "languages[2]", "'en' appears twice"),
            ("languages: [en, ja], review_languages: [ja, fr]", "review_languages[1]", "'fr' is not one of the languages (en, ja)"),
            ("review_languages: [en, en]", "review_languages[1]", "'en' appears twice"),
            ("review_languages: [EN]", "review_languages[0]", "did you mean en?"),
            ("review_languages: en", "review_languages", "should be a list: [a, b], or lines that begin with -, not 'en'"),
            ("prompt_traits: [persona, First_Name]", "prompt_traits[1]", "'First_Name' identifies a user"),
            ("emoji: [abc]", "emoji[0]", "should be one emoji, not 'abc'"),
            ("prompt_traits: ['']", "prompt_traits[0]", "is empty"),
        )
    ),
    (
        "id: mini",
        "id: mini\nwording:\n  prompts:\n    - {version: one}\n    - {version: two}\n    - {version: one, share: 0.5}",
        [(6, "wording.prompts[2].version", "'one' appears twice; give it one share")],
    ),
    # conditions
    ("{form: second}", "form = second", [(32, "steps[1].complete[0].where", "should be a mapping (name: value), not 'form = second'")]),
    ("{form: second}", "{form: }", [(32, WHERE, "to ask for a missing field write exists: false")]),
    ("typical: 5m", "measured: 50", [(23, "steps[0].measured", "needs `usual`")]),
    ("typical: 5m", "waiting: [0, 0, 0, 0, 0, 0]", [(23, "steps[0].waiting", "needs `usual`")]),
    ("typical: 5m", "{usual: 5m, waiting: [0.5]}"[1:-1].replace(", ", "\n    "), [(24, "steps[0].waiting", "needs at least 6")]),
    ("{form: second}", "{form: {}}", [(32, WHERE, "needs at least one test")]),
    ("{form: second}", "{form: {gte: '3'}}", [(32, f"{WHERE}.gte", "should be a number, not '3'")]),
    ("{form: second}", "{form: {eq: {a: 1}}}", [(32, f"{WHERE}.eq", "should be text, a number, true or false, not a mapping")]),
    ("{form: second}", "{form: {in: second}}", [(32, f"{WHERE}.in", "should be a list")]),
    ("{form: second}", "{form: []}", [(32, WHERE, "needs at least 1")]),
    ("where: {form: second}", "name: x", [(32, "steps[1].complete[0].name", "only track events have a name; test a field of form_submit")]),
    # names that point nowhere, twice, or in circles
    ("link: /a\n", "link: /z\n", [(22, "steps[0].link", "'/z' is not among the allowed links")]),
    ("requires: [first]", "requires: [frist]", [(29, "steps[1].requires[0]", "no step is called 'frist'")]),
    ("requires: [first]", "requires: [second]", [(29, "steps[1].requires", "step 'second' requires itself")]),
    ("- id: second", "- id: first", [(26, "steps[1].id", "'first' appears twice")]),
    ("links: [/a, /b/*]", "links: [/a, /b/*]\nlinks: [/a, /b/*]", [(5, "links", "this key appears twice")]),
    ("steps: [first, second]", "steps: [second, first]", [(36, "paths[0].steps[0]", "requires 'first', which does not come before it")]),
    ("steps: [first, second]", "steps: [first]", [(26, "steps[1].id", "step 'second' is on no path")]),
    ("steps: [first, second]", "steps: [first, second, x]", [(36, "paths[0].steps[2]", "no step is called 'x'")]),
    ("steps: [first, second]", "steps: [first, second, first]", [(36, "paths[0].steps[2]", "step 'first' appears twice on this path")]),
    (
        "title: Everyone",
        "activated_by: [third]\n    title: Everyone",
        [(35, "paths[0].activated_by[0]", "step 'third' is not on this path")],
    ),
    (
        "steps: [first, second]",
        "steps: [first, second]\n  - {id: rest, title: Rest, steps: [first]}",
        [(37, "paths[1]", "never reached: path 'everyone' before it matches everyone")],
    ),
    # arms and templates
    ("stuck:inactive: {", "stuck:idle: {", [(18, "templates.stuck:idle", "did you mean stuck:inactive?")]),
    ("stuck:inactive: {m", "stuck:inactive: {friendly: x, m", [(18, "templates.stuck:inactive.friendly", "should be one of aggressive")]),
    ("{enabled: false}", "{enabled: true}", [(15, "templates.stuck:errors", "every enabled trigger needs a text")]),
    ("tone: passive", "tone: aggressive", [(line, "", "an arm has the tone aggressive") for line in (16, 17, 18)]),
    (
        "{firstName}, start",
        "{first_name}, start",
        [(16, "templates.signup.moderate", "no slot is called 'first_name'; there are firstName")],
    ),
    ("{firstName}, start", "{firstName, start", [(16, "templates.signup.moderate", "has a brace without its partner")]),
    ('moderate: "Next: {step}."', "moderate: {step}", [(17, "templates.step_completed.moderate", "text that begins with {")]),
    ("firstName: {", "step: {", [(6, "slots.step", "other than step and product"), (16, "templates.signup.moderate", "no slot is called")]),
    ("tooltip}", "tooltip, from: soon}", [(8, "arms[0].from", "should be a time like 2026-03-01T00:00:00Z, not 'soon'")]),
    ("tooltip}", "tooltip, from: 20260301}", [(8, "arms[0].from", "should be a time like 2026-03-01T00:00:00Z, not 20260301")]),
    ("tooltip}", "tooltip, from: }", [(8, "arms[0].from", "is empty")]),
    ("id: mini", "id: mini\ndelivers: [email]", [(8, "arms", "no arm is on a surface that delivers (email)")]),
    # numbers that do not go together
    ("triggers:\n", "triggers:\n  stuck:inactive: {after: 30s}\n", [(11, "triggers.stuck:inactive.after", "use 1m or more")]),
    ("    typical: 5m", "    usual: 10ms", [(23, "steps[0].usual", "use 1s or more")]),
    ("links:", "holdout: 0.5\nrules: 0.5\nlinks:", [(5, "rules", "holdout and rules together leave too few users")]),
    # what YAML itself refuses
    ("    title: First", "\ttitle: First", [(21, "", "a tab cannot indent; use spaces")]),
    ("    title: First", "   title: First", [(21, "", "check the indentation")]),
    ("title: First", "title: First: and best", [(21, "", "put text that contains ': ' in quotes")]),
    ("title: First", "title: @First", [(21, "", "text that begins with @ needs quotes")]),
    ("title: First", "title: 'First", [(37, "", "a quote is not closed")]),
    ("links: [/a, /b/*]", "links: [/a, *b]", [(4, "", "text that begins with * or & needs quotes")]),
    ("links: [/a, /b/*]", "links: [/a, /b/*", [(5, "", "a bracket or brace is not closed")]),
    ("paths:\n", "---\npaths:\n", [(33, "", "a file is one document")]),
]


@pytest.mark.parametrize(("right", "wrong", "told"), MISTAKES, ids=[wrong[:40] for _, wrong, _ in MISTAKES])
def test_a_mistake_is_told_with_its_line_and_field(right: str, wrong: str, told: list[tuple[int, str, str]]) -> None:
    assert right in GOOD
    faults = faults_of(GOOD.replace(right, wrong, 1))
    assert [fault.line for fault in faults] == [line for line, _, _ in told]
    for fault, (_, field, words) in zip(faults, told, strict=True):
        assert not field or fault.field == field
        assert words in fault.message
        assert fault.source == "mine.yaml"
        assert str(fault).startswith(f"mine.yaml:{fault.line}: ")


def test_all_faults_are_told_at_once_in_order_of_line() -> None:
    text = GOOD.replace("typical: 5m", "typical: 5").replace("tone: moderate", "tone: kind").replace("id: mini", "id: MINI")
    assert [fault.line for fault in faults_of(text)] == [1, 8, 23]


@pytest.mark.parametrize("section", ["", "templates: {}\n"])
def test_a_catalog_without_texts_has_one_fault_with_all_the_triggers_that_need_one(section: str) -> None:
    (fault,) = faults_of(re.sub(r"^templates:\n(  .*\n)+", section, GOOD, flags=re.MULTILINE))
    assert (fault.field, fault.line) == ("templates", GOOD[: GOOD.index("templates:")].count("\n") + 1 if section else 1)
    assert fault.message.startswith(
        "is missing; only a catalog with `observe: true` needs none; every enabled trigger needs a text: signup, "
    )
    assert fault.message.endswith(", stuck:inactive")


def test_values_that_only_look_like_something_else_stay_what_was_written() -> None:
    text = GOOD.replace("version: 1", "version: 1.10").replace("title: First", "title: 2026-03-02")
    catalog = parse(text.replace("{form: second}", "{form: [no, 12:30, 007, 3]}"), "mine.yaml")
    assert catalog.version == "1.10"
    assert catalog.steps[0].title == "2026-03-02"
    assert catalog.steps[1].complete[0].where["form"].in_ == ["no", "12:30", "007", 3]


@pytest.mark.parametrize("time", ["2026-03-01", "2026-03-01T00:00:00Z", "2026-03-01 01:00:00+01:00", "'2026-03-01T00:00'"])
def test_the_time_of_an_arm_is_a_date_or_a_time_in_utc_unless_it_names_a_zone(time: str) -> None:
    assert parse(GOOD.replace("tooltip}", f"tooltip, from: {time}}}", 1), "mine.yaml").arms[0].from_ == 1_772_323_200_000


@pytest.mark.parametrize(("holdout", "rules"), [(0.05, 0.9), (0.15, 0.8), (0.1, 0.85)])
def test_holdout_and_rules_may_be_all_but_a_twentieth(holdout: float, rules: float) -> None:
    catalog = parse(GOOD.replace("links:", f"holdout: {holdout}\nrules: {rules}\nlinks:"), "mine.yaml")
    assert (catalog.holdout, catalog.rules) == (holdout, rules)


def test_aliases_and_merges_are_allowed() -> None:
    text = GOOD.replace("- {type: track, name: first_done}", "- &done {type: track, name: first_done}\n      - {<<: *done, name: other}")
    assert [completion.name for completion in parse(text, "mine.yaml").steps[0].complete] == ["first_done", "other"]


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000))

HOSTILE: dict[str, tuple[str, str]] = {
    "empty": ("", "a catalog is a YAML mapping"),
    "comment": ("# nothing\n", "a catalog is a YAML mapping"),
    "list": ("- a\n- b\n", "a catalog is a YAML mapping"),
    "text": ("hello", "a catalog is a YAML mapping"),
    "laughs": (LAUGHS, "unfold into far too much"),
    "merged_laughs": (MERGES, "unfold into far too much"),
    "chain_of_aliases": (CHAIN, "unfold into far too much"),
    "alias_in_itself": ("a: &a [*a]\n", "an alias contains itself"),
    "deep_flow": ("[" * 50_000, "nested deeper than"),
    "deep_block": ("".join("  " * n + "a:\n" for n in range(60)), "nested deeper than"),
    "tab": ("id:\n\tx: 1\n", "a tab cannot indent"),
    "nul": ("id: a\nversion: \0\n", "U+0000 is not allowed in a file"),
    "surrogate": ("id: \ud800\n", "U+D800 is not allowed in a file"),
    "python_tag": ("id: !!python/object/apply:os.system [true]\n", "tags (!name) are not allowed"),
    "own_tag": ("id: !secret x\n", "tags (!name) are not allowed"),
    "broken_timestamp_tag": ("id: !!timestamp 3\n", "tags (!name) are not allowed"),
    "list_as_key": ("? [a, b]\n: 1\n", "a key is a plain word"),
    "mapping_as_key": ("{{a: b}: 1}\n", "a key is a plain word"),
    "too_long": ("x" * 1_000_001, "longer than 1,000,000 characters"),
    "huge_number": (f"id: {'9' * 5_000}\n", "a number has at most 300 digits"),
    "two_documents": ("a: 1\n---\nb: 2\n", "a file is one document"),
    "open_brace": ("{", "not closed"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_ends_in_one_clear_fault(name: str) -> None:
    text, words = HOSTILE[name]
    faults = faults_of(text)
    assert len(faults) == 1
    assert words in faults[0].message
    assert len(str(faults[0])) < 300


def test_keys_that_are_no_text_are_told() -> None:
    faults = faults_of("1: a\n" + GOOD)
    assert [(fault.line, fault.message) for fault in faults] == [(1, "a field's name is text; put it in quotes")]


def test_a_fault_in_a_nul_text_names_its_line() -> None:
    assert faults_of("id: a\nversion: \0\n")[0].line == 2


def texts(catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """Every text with every step it may speak of: (where, template, title)."""
    for step in catalog.steps:
        for where, templates in (("general", catalog.templates), (step.id, step.templates)):
            for trigger, tones in templates.items():
                for tone, text in tones.items():
                    yield f"{where} {trigger} {tone} at {step.id}", text, step.title


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_catalogs_are_good_and_their_words_fit(path: Path) -> None:
    catalog = parse(path.read_text(encoding="utf-8"), path.name)
    assert catalog.id == path.stem
    for where, text, title in texts(catalog):
        words = {"step": title, "product": catalog.product} | {name: slot.default for name, slot in catalog.slots.items()}
        assert set(words) == BUILT_IN_SLOTS | set(catalog.slots)
        shown = re.sub(r"\{(\w+)\}", lambda match, words=words: words[match[1]], text)  # type: ignore[misc]
        assert len(shown) <= 280, where
        assert "{" not in shown, where
        assert shown[0].isupper(), where


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_catalogs_offer_a_choice_for_every_trigger_and_step(path: Path) -> None:
    catalog = parse(path.read_text(encoding="utf-8"), path.name)
    plan = Plan(catalog)
    for trigger in ("signup", "step_completed", *STUCK_TRIGGERS):
        for step in catalog.steps:
            assert len(plan.arms(trigger, step.id, 0)) >= 3 or not catalog.triggers.enabled(trigger)
    assert all(plan.component[arm] != "email_trigger" for step in catalog.steps for arm in plan.arms("signup", step.id, 0))
    assert not catalog.paths[-1].match


@pytest.mark.parametrize(
    "written",
    [
        "",
        "tenants: [acme, 'ü 7']",
        "tenants:\n  - acme\n  - ACME",
        '"ten\\x61nts": ["\\x61cme"]',
        "x: &t [acme]\ntenants: *t",
        "<<: {tenants: [acme]}",
        "<<: {tenants: [acme]}\ntenants: [other]",
        "links: [/tenants]\nsteps: {tenants: [a]}",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_whom_a_catalog_is_for_is_known_without_reading_the_rest(written: str, first: bool) -> None:
    text = f"{written}\n{{}}" if first else f"{{}}\n{written}\n"
    own = text.replace("{}", "id: x\nversion: 1")
    data = yaml_text.read(own).data
    assert tenants_of(own, "x.yaml") == data.get("tenants", [])


@pytest.mark.parametrize(
    "written", ["tenants: acme", "tenants: []", "tenants: [5]", "tenants: {acme: 1}", "tenants:", "- acme", "", "tenants: ["]
)
def test_whom_a_catalog_is_for_is_not_guessed(written: str) -> None:
    with pytest.raises(CatalogError) as caught:
        tenants_of(f"{written}\n", "x.yaml")
    with pytest.raises(CatalogError) as parsed:
        parse(f"{written}\n", "x.yaml")
    assert caught.value.faults == parsed.value.faults


def test_the_company_product_has_paths_for_its_personas() -> None:
    plan = Plan(parse(next(path for path in SHIPPED if path.stem == "saas").read_text(encoding="utf-8"), "saas"))
    assert plan.path_for({"persona": "engineer"}) == "engineer_tracking"
    assert plan.path_for({"persona": "product_manager", "useCase": "retention"}) == "product_discovery"
    assert plan.path_for({"persona": "admin", "companySize": "201-1000"}) == "admin_rollout"
    assert plan.path_for({"persona": "admin", "companySize": "1-10"}) == plan.path_for({}) == "first_dashboard"
    assert len([path for path in plan.paths.values() if path.match]) >= 5
    assert all(4 <= len(path.steps) <= 8 for path in plan.paths.values())


def test_names_of_track_calls_mean_one_of_a_few_types() -> None:
    assert parse(f"{GOOD}track_names: {{Payment Failed: error}}\n", "c.yaml").track_names == {"Payment Failed": "error"}
    with pytest.raises(CatalogError, match="track_names"):
        parse(f"{GOOD}track_names: {{Bye: user_deleted}}\n", "c.yaml")
