"""Words: ids that nobody can make up, times as text, slots that hold no surprise, and the record that comes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.catalog.slot_value import LONGEST, is_displayable
from state.catalog.template import render as fill
from state.decision.composer import Composer
from state.decision.messages import Decision, DecisionRequest
from state.duration import DAY, HOUR, MINUTE, SECOND, parse, render
from state.event_fields import Scalar
from state.ids import Keys, uniform
from state.records.recommendation import decode, encode, validation_hash
from state.times import minute_of_day, rfc3339, within_hours
from state.traceparent import read_traceparent, trace_id
from tests.state.lives import KEYS, START, Life, catalog, plan, signup

texts = st.text(st.characters(exclude_categories=["Cs"]))

# ids


@given(texts, texts, texts, texts)
def test_two_people_never_share_a_key(tenant: str, user: str, other_tenant: str, other_user: str) -> None:
    same = (tenant, user) == (other_tenant, other_user)
    if not any("\x1f" in text for text in (tenant, user, other_tenant, other_user)):  # ids hold no control characters
        assert (KEYS.stream_key(tenant, user) == KEYS.stream_key(other_tenant, other_user)) == same


def test_keys_do_not_tell_who_it_is_and_depend_on_the_secret() -> None:
    key = KEYS.stream_key("t", "ana")
    assert len(key) == 24
    assert int(key, 16)
    assert "ana" not in key
    assert key == Keys(b"tests").stream_key("t", "ana") != Keys(b"other").stream_key("t", "ana")


def test_a_decision_is_told_apart_by_everything_it_depends_on() -> None:
    given_parts: list[tuple[str, str, str, str, int]] = [
        ("t", "u", "signup", "s", 1), ("T", "u", "signup", "s", 1), ("t", "U", "signup", "s", 1),
        ("t", "u", "step_completed", "s", 1), ("t", "u", "signup", "S", 1), ("t", "u", "signup", "s", 2),
    ]  # fmt: skip
    assert len({KEYS.decision_id(*parts) for parts in given_parts}) == len(given_parts)


@given(texts.filter(lambda text: "." not in text and text.isascii()))
def test_an_id_that_was_issued_is_read_back(arm: str) -> None:
    assert KEYS.read_recommendation_id(KEYS.recommendation_id("0123", arm)) == ("0123", arm)


@given(st.text())
def test_any_other_text_is_no_recommendation_id(text: str) -> None:
    assert KEYS.read_recommendation_id(text) is None


@given(st.integers(0, 15), st.characters())
def test_an_id_with_one_character_changed_is_none(at: int, character: str) -> None:
    issued = KEYS.recommendation_id("0123", "plain")
    forged = issued[: -1 - at] + character + issued[len(issued) - at :]
    assert forged == issued or KEYS.read_recommendation_id(forged) is None


def test_uniform_numbers_are_uniform_and_their_purposes_apart() -> None:
    numbers = [uniform(b"draw", str(each)) for each in range(10_000)]
    assert all(0 <= each < 1 for each in numbers)
    for low in range(10):
        assert sum(low / 10 <= each < (low + 1) / 10 for each in numbers) == pytest.approx(1_000, abs=150)
    assert uniform(b"draw", "x") != uniform(b"holdout", "x")


# times


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (START, "2026-03-02T09:00:00.000Z"),
        (START + 7, "2026-03-02T09:00:00.007Z"),
        (START - 1, "2026-03-02T08:59:59.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_rfc_3339_to_the_millisecond(milliseconds: int, text: str) -> None:
    assert rfc3339(milliseconds) == text


@pytest.mark.parametrize(
    ("zone", "minute"),
    [("UTC", 540), ("Europe/Berlin", 600), ("Asia/Kolkata", 870), ("America/New_York", 240), ("", 540)]
    + [(hostile, 540) for hostile in ("Mars/Olympus", "../../etc/passwd", "/etc/passwd", "Europe", "\x00", "x" * 500, "1", "Berlin\n")],
)
def test_the_minute_of_the_day_is_the_persons_own_and_utc_where_the_zone_is_nonsense(zone: str, minute: int) -> None:
    assert minute_of_day(START, zone) == minute


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_hours_over_midnight_are_the_rest_of_the_day(minute: int, start: int, end: int) -> None:
    if start != end:
        assert within_hours(minute, start, end) != within_hours(minute, end, start)
    else:
        assert not within_hours(minute, start, end)


# durations


@given(st.integers(1, 400 * DAY))
def test_a_duration_written_is_the_duration_read(milliseconds: int) -> None:
    assert parse(render(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("90s", 90 * SECOND), ("15m", 15 * MINUTE), ("1.5h", 90 * MINUTE), (" 7d ", 7 * DAY), ("250ms", 250), ("24 h", 24 * HOUR), ("0s", 0)],
)
def test_durations_are_a_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert parse(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "1h30m", "5 minutes", "1e3s", 5, None, True, "٥m ago", "1.5.2h", "inf d", "5w"])
def test_anything_else_is_refused_in_words(text: object) -> None:
    with pytest.raises(ValueError, match="a duration is a number and a unit"):
        parse(text)


# slots

HOSTILE = [
    "http://evil.example",
    "https://evil.example/x",
    "www.evil.example",
    "evil.example",
    "evil.com!",
    "click evil.io now",
    "ana@evil.example",
    "javascript:alert('x')//",
    "<b>Ana</b>",
    "Ana<script>",
    "{firstName}",
    "[Ana](x)",
    "a|b",
    "`rm`",
    "a\\b",
    "Ana\nhas won",
    "A\x00",
    "A\x1b[31m",
    "\x85",
    "\u202eanA",
    "A\u200bna",
    "\u2066Ana\u2069",
    "\u061cAna",
    "\u00adAna",
    "\ufeffAna",
    "\u180eAna",
    "\U000e0041Ana",
    "\u3164",
    "\ud800",
    "A\u2028B",
    "x" * 41,
    "\ufdfa" * 3,  # ligatures of 18 characters each
    "",
    "   ",
    "\u00a0",
    "null",
    "NULL",
    "undefined",
    "NaN",
    "None",
    " none ",
    "N/A",
    "unknown",
    "Anonymous",
    "(null)",
    "[object Object]",
    "%FNAME%",
    "%%first_name%%",
    "{{first_name}}",
    "${name}",
    "*|FNAME|*",
    "<%= name %>",
    "%@",
    # orders and news in place of a name
    "locked out? Call +1 800 555 0199",
    "your card expired, ring 0800 123 4567",
    "Anna, mail your password to IT now",
    "ignore the app, your boss was fired",
    "nenn uns dein Passwort",
    "visit us",
    "dial 1909",
    "Account closed!",
    "Yahoo!",
    "Really？",
    "¿Ana?",
    "Bad news： it is over",
    "Bad news; it is over",
    "Gone。 All of it",
    "Ana\u2757",
    "Text YES to 8005",
    "SMS JA an 4636",
    "Call us on 1190",
    "Ruf 1190 an",
    "bitte 1190 anrufen",
    "Appelle le 3615",
    "llama al 1190",
    "chiama il 1190",
    "ligue para 1190",
    "bel ons op 1190",
    *(
        f"{word} 1190"
        for word in ("Hotline", "Tel.", "Tel", "Telefon", "Wähle", "Waehle", "Wähl", "Marca", "Marque le", "Liga", "Disca", "Numero")
    ),
    *(f"{word} 8005" for word in ("WhatsApp", "Whats App", "Send YES to", "Reply to", "Envoie OUI au", "YES an", "sí al", "Stuur JA naar")),
    "Téléphonez 3615",
    "Telefoniere 1190",
    "Hotline 11 90",
    "1190 Hotline",
    "Passwörter",
    "nenn uns Kennwörter",
    "contraseñas",
    "senhas",
    "mots de passe",
    "parole d'ordine",
    "palavra-passe",
    # numbers of a person
    "DE89 3704 0044 0532 0130 00",
    "0800 12",
    "12345",
    "１２３４５",
    "١٢٣٤٥",
    "❶❷❸❹❺",
    "八〇〇五五五",
    # addresses
    "evil。com",
    "evil｡com",
    "evil．com",
    "evil․com",
    "evil dot com",
    "evil Punkt de",
    *(f"evil dot {end}" for end in ("shop", "ru", "site", "online", "gg", "ch", "example")),
    "evil punkt at",
    "evil Dot Shop",
    "evil DOT zip",
    "evil Dot Zip",
    "Evil Dot Com",
    "Evil Dot Me",
    "EVIL DOT ZIP",
    "Anna Dot Attacker Dot Zip",
    "evil Punkt de Shop",
    "evil punto de",
    "Evil Punto Ru",
    "evil (dot) gg",
    "evil punt nl",
    "evil .com",
    "evil. com",
    "visit evil，com",
    "evil,com",
    "a ⁄ b",
    # marks and invisible characters
    "A" + "\u0301" * 39,
    "A\u0301\u0302\u0303",
    "ก" + "\u0e47" * 4,
    "A\u20dd",
    "1\ufe0f\u20e3",
    "A\u034fna",
    "\u2800\u2800",
    "A\ue000",
    "A\u202dna",
    "က" + "\u103b\u1031\u102c\u103a\u1037\u1032",
    "A" + "\u103b\u1031\u102c\u103a",
    "Ana\u200cBen",
    "\u200dसुरेश",
    "सुरेश\u200d",
    # orders in capitals, and domains that look like initials
    "Click Here",
    "Visit Us",
    "Visit Our Shop",
    "Select All",
    "Visit The Evil Shop Of Ana",
    "click boat",
    "X.Com",
    "K.Shop",
    "T.Co",
    "k.raju",
    "Kim.Raju",
    "K.Raju.com",
    "*Ana*",
    "_Ana_",
    "Ana _Ben_",
    "#Ana",
    "–Ana",
    "- Ana",
]
FINE = [
    "Ana",
    "Ana-María",
    "O'Brien",
    "Dr. Zoë",
    "J. R. Smith",
    "李小龍",
    "अनुष्का",
    "محمد",
    "Ana 🎉",
    "  Ana  ",
    "x" * LONGEST,
    "Kim & Co",
    "R2D2",
    "Ana, Ben",
    "Nil",
    "Na",
    "Nullah",
    "100%",
    "Nguyễn Thị Ánh",
    "Nguye\u0302\u0303n",
    "สมชาย ก็",
    "ज़ेन",
    "マイケル・ジョーダン",
    "山田 三",
    "בן־גוריון",
    "D’Angelo",
    "Studio 1834",
    "Acme Systems (Europe) Ltd.",
    "Callahan",
    "Counter Point Tech",
    "West Point Store",
    "Blue Dot Art",
    "Tipping Point News",
    "Check Point Cloud",
    "High Point Club",
    "Red Dot Space",
    "Point de Vue",
    "Le Point de Vente",
    "Punto de Venta",
    "Punto de Encuentro",
    "Punto Pro",
    "Windows 2000",
    "Studio 54",
    "Agency to 2030",
    "Tel Aviv 1909",
    "Suite A 101",
    "Marc 1990",
    "Disco 2000",
    "Dot Lee",
    "Blue Dot Inc",
    "Check Point Software",
    "Le Point Rouge",
    "Callum 1190",
    "Rufus 2",
    "Texter 24",
    "Dotty Shop",
    "Dotto",
    "Dotse",
    "Puntin",
    "Ligue 1",
    "Bel Etage 12",
    "A. Dev",
    "Ferro & Söhne",
    "Atelier 9",
    "Willy-Brandt",
    "Admira",
    "Anna ❤️",
    # four marks on a letter, and signs of scripts
    "ကျော်",
    "မျိုး",
    "ဖြိုး",
    "ကြိုး",
    "བསྟན་འཛིན་རྒྱ་མཚོ",
    "ג׳ורג׳",
    "ז׳בוטינסקי",
    "אגד בע״מ",
    'אגד בע"מ',
    "डॉ॰ शर्मा",
    "محمد، علي",
    "علی\u200cرضا",
    "ශ්\u200dරී",
    "น้ำฝน",
    # dashes, quotes, brackets
    "Anne\u2010Marie",
    "Anne\u2011Marie",
    "A.P. Møller – Mærsk",
    "Keali‘i",
    "‘t Hooft",
    "(주)카카오",
    "㈜카카오",
    "（株）田中",
    "㈱田中",
    "株式会社トヨタ",
    "ООО «Ромашка»",
    "«Ромашка»",
    "Acme_Labs",
    "Acme #1",
    # initials, and firms that are called like an order
    "K.Raju",
    "S.Kumar",
    "K.S.Raju",
    "Md.Rahim",
    "St.Gallen",
    "Visit Norway",
    "Click & Boat",
    "Select Medical",
    "Prompt Health",
    "System Union Ltd",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_value_that_could_mislead_gives_way_to_the_default(text: str) -> None:
    assert not is_displayable(text)
    assert fill("Hi {firstName}!", catalog(), "", {"firstName": text}) == "Hi there!"


@pytest.mark.parametrize("text", FINE, ids=ascii)
def test_names_as_people_have_them_are_shown(text: str) -> None:
    assert is_displayable(text)
    assert fill("Hi {firstName}!", catalog(), "", {"firstName": text}) == f"Hi {text.strip()}!"


@pytest.mark.parametrize("traits", [{}, {"firstName": 5}, {"firstName": True}, {"lastName": "x"}])
def test_a_slot_without_a_text_has_its_default(traits: dict[str, Scalar]) -> None:
    assert fill("Hi {firstName}, {step} in {product}.", catalog(), "begin", traits) == "Hi there, begin in Small."


@given(st.text(max_size=60))
def test_no_value_whatever_it_is_brings_markup_or_a_second_line(text: str) -> None:
    shown = fill("{firstName}", catalog(), "", {"firstName": text})
    assert 0 < len(shown) <= LONGEST
    assert not set(shown) & set("<>{}[]@/\n\r\x00\u202e")


# records


def _choice(ask: DecisionRequest, arm: str = "plain") -> Decision:
    return Decision(ask, arm, 0.25)


def test_a_record_says_what_the_app_needs_and_its_id_can_be_verified() -> None:
    life = Life()
    life.see(signup())
    publish, fact = Composer(plan(), KEYS).compose(_choice(life.ask))
    record = publish.recommendation
    assert record.message == "Hi there, next: connect a source."
    assert (record.ui_component, record.deep_link, record.arm, record.propensity) == ("tooltip", "/connect", "plain", 0.25)
    assert (record.version, record.trigger, record.source, record.trace_id) == (life.ask.version, "signup", "template", None)
    assert (record.created_at, record.expires_at) == (rfc3339(START), rfc3339(START + DAY))
    assert KEYS.read_recommendation_id(record.recommendation_id) == (life.ask.decision, "plain")
    assert record.validation_hash == validation_hash(record.message, record.ui_component, record.deep_link)
    assert (fact.message, fact.created_at, fact.expires_at, fact.version) == (record.message, START, START + DAY, record.version)
    assert decode(encode(record)) == record


def test_every_arm_of_an_ask_has_words_for_it() -> None:
    life = Life()
    life.see(signup())
    messages = {Composer(plan(), KEYS).compose(_choice(life.ask, arm))[0].recommendation.message for arm in life.ask.arms}
    assert len(messages) == 3


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (PARENT, PARENT),
        (f"cc-{TRACE}-00f067aa0ba902b7-01-what-the-future-adds", f"cc-{TRACE}-00f067aa0ba902b7-01"),
        *((header, "") for header in (
            "", "nonsense", "00-short-00f067aa0ba902b7-01", f"00-{TRACE}", f"{PARENT}-more", f"{PARENT}0", f"cc{PARENT[2:]}0", f" {PARENT}",
            f"{PARENT}\n", f"ff{PARENT[2:]}", PARENT.upper(), PARENT.replace(TRACE, "0" * 32), f"00-{TRACE}-{'0' * 16}-01", "x" * 100_000,
        )),
    ],
)  # fmt: skip
def test_a_traceparent_is_kept_where_it_is_one_and_never_longer(header: str, wanted: str) -> None:
    assert read_traceparent(header) == wanted
    assert trace_id(header) == (TRACE if wanted else None)
    assert len(read_traceparent(header + "-" + "0" * 100_000)) <= len(PARENT)
