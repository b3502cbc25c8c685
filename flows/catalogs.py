"""Loads catalogs: a built-in one by its name, a file by its path, or all files of a directory, each for the tenants that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from state.catalog.by_tenant import ByTenant, Plans
from state.catalog.model import Catalog
from state.catalog.parse import CatalogError, Fault, locate, parse, tenants_of
from state.catalog.plan import Plan
from system.private_files import replace_directory

if TYPE_CHECKING:
    from flows.settings import Settings

T = TypeVar("T")

SAMPLE: Final = "saas"
BUILT_IN: Final = Path(__file__).resolve().parent.parent / "catalog"
_LISTED: Final = 8
_ENDINGS: Final = frozenset({".yaml", ".yml"})


class CatalogFile(NamedTuple):
    """A catalog that was read and checked: the name of its file, the text in it, and what that says."""

    name: str
    text: str
    catalog: Catalog


class CatalogFileError(Exception):
    """The catalog does not exist, cannot be read or was not named. The text is one sentence for the user."""


def load_catalog(name: str) -> Catalog:
    """Read and check the catalog ``name``, whatever tenants it names: for what concerns one catalog only, like a fit to a log.

    Raises ``CatalogFileError``, or ``CatalogError`` with all faults in it.
    """
    text, source = _read(name)
    return parse(text, source)


def load_catalogs(name: str) -> ByTenant[Catalog]:
    """Read and check the catalog ``name`` for the tenants that it names, or every catalog in the directory ``name`` for its tenants.

    Raises as ``read_catalogs``.
    """
    return by_tenant(read_catalogs(name))


def by_tenant(files: list[CatalogFile]) -> ByTenant[Catalog]:
    """The catalog of each tenant among ``files``, all that ``read_catalogs`` returned."""
    read = [file.catalog for file in files]
    default = next((catalog for catalog in read if not catalog.tenants), None)
    return ByTenant(default, {tenant: catalog for catalog in read for tenant in catalog.tenants})


def read_catalogs(name: str) -> list[CatalogFile]:
    """Read and check the catalog ``name``, or every catalog in the directory ``name``.

    Of a directory every ``.yaml`` and ``.yml`` file is a catalog, whatever its name. Raises ``CatalogFileError``, or ``CatalogError`` with
    all faults of all files in it.
    """
    found, faults = list[CatalogFile](), list[Fault]()
    default, owner = "", dict[str, str]()
    for file in catalog_files(name):
        text, source = _read(file)
        try:
            catalog = parse(text, source)
        except CatalogError as error:
            faults += error.faults
            continue
        found.append(CatalogFile(file, text, catalog))
        if not catalog.tenants and default:
            faults += locate(text, source, [(("tenants",), f"{default} is for all tenants that no catalog names; name those of this one")])
        default = default or ("" if catalog.tenants else source)
        for index, tenant in enumerate(catalog.tenants):
            if tenant in owner:
                faults += locate(text, source, [(("tenants", index), f"{tenant!r} has the catalog {owner[tenant]} already")])
            owner.setdefault(tenant, source)
    if faults:
        raise CatalogError(faults)
    return found


def copy_catalogs(name: str, files: list[CatalogFile], to: Path) -> str:
    """Replace the directory ``to`` by a copy of ``files``, which were read from ``name``, and of the prompts beside them.

    Returns the name of the copy, of one file or of the directory. The texts are those that were checked, whatever the files hold by now.
    Raises ``CatalogFileError`` for a prompt that cannot be read, and ``OSError`` where the copy cannot be written.
    """
    prompts = prompt_directories(name)[0]
    content = {Path(file.name).name: file.text.encode() for file in files}
    try:
        content |= {f"prompts/{path.name}": path.read_bytes() for path in prompts.glob("*.yaml") if path.is_file()}
    except OSError as error:
        raise CatalogFileError(f"A prompt in {prompts} cannot be read ({error.strerror}); check its rights.") from None
    replace_directory(to, content)
    return str(to if is_directory(name) else to / Path(name).name)


def load_plans(name: str, *, wording: bool = False) -> Plans:
    """The catalogs of ``name``, compiled. ``wording`` as for a plan. Raises as ``load_catalogs``."""
    return load_catalogs(name).map(lambda catalog: Plan(catalog, wording=wording))


def catalog_of(name: str, tenant: str) -> Catalog:
    """The catalog that ``tenant`` has in ``name``, for what concerns one tenant. Of other catalogs it reads ``tenants`` only.

    Raises ``CatalogFileError``, or ``CatalogError`` with the faults of this catalog, or of one that may be for ``tenant``.
    """
    found, _ = _find(name, tenant, whichever=False)
    return named(ByTenant(None if found is None else parse(*found)), name, tenant)


def named(catalogs: ByTenant[T], name: str, tenant: str) -> T:
    """The catalog of ``tenant`` among those of ``name``, or what was made of it. Raises ``CatalogFileError`` where it has none."""
    found = catalogs.find(tenant)
    if found is None:
        raise CatalogFileError(f"No catalog in {name} is for the tenant {tenant}; name it under `tenants` in one of them.")
    return found


def without_catalog(name: str, tenant: str) -> str:
    """Return the beginning of a sentence that says that no catalog of ``name`` is for ``tenant``, and for whom there are; empty if one is.

    It reads ``tenants`` only, so it is quick with many catalogs, and faults elsewhere do not matter. Raises as ``catalog_of``.
    """
    found, tenants = _find(name, tenant, whichever=True)
    if found is not None:
        return ""
    more = f" and {len(tenants) - _LISTED} more" if len(tenants) > _LISTED else ""
    return f"no catalog in {name} is for the tenant {tenant}, only for {', '.join(tenants[:_LISTED])}{more}"


def catalog_files(name: str) -> list[str]:
    """The catalog ``name`` itself, or those in the directory ``name``, by name. Raises ``CatalogFileError``."""
    if not is_directory(name):
        return [name]
    try:
        files = sorted(path for path in Path(name).iterdir() if path.suffix in _ENDINGS and path.is_file())
    except OSError as error:
        raise CatalogFileError(f"The directory of catalogs {name} cannot be read ({error.strerror}); check its rights.") from None
    if not files:
        raise CatalogFileError(f"{name} has no catalog in it: put one YAML file for each product there.")
    return [str(path) for path in files]


def is_directory(name: str) -> bool:
    """Whether ``name`` is a directory of catalogs."""
    return name not in built_in() and Path(name).is_dir()


def lasting_name(name: str) -> str:
    """The catalog ``name`` as it is found from any working directory."""
    return name if name in built_in() else str(Path(name).absolute())


def prompt_directories(name: str) -> list[Path]:
    """Where the prompts of the catalog or of the directory ``name`` are looked for, in order: beside the files, then built in."""
    return [(Path(name) if is_directory(name) else Path(name).parent) / "prompts", BUILT_IN / "prompts"]


def _find(name: str, tenant: str, *, whichever: bool) -> tuple[tuple[str, str] | None, list[str]]:
    """The text and the source of the catalog of ``tenant`` in ``name``, None if it has none, and the tenants that were met meanwhile.

    All tenants were met where it is None. ``whichever``: the catalog for all others may be found although another names the tenant, which
    is quicker. Texts are read in the order in which they are likely to be it.
    """
    others, tenants, faults = None, set[str](), list[Fault]()
    for text, source in sorted(map(_read, catalog_files(name)), key=lambda each: (tenant not in each[0], "tenants" in each[0])):
        try:
            named_here = tenants_of(text, source)
        except CatalogError as error:
            faults += error.faults
            continue
        if tenant in named_here or (whichever and not named_here):
            return (text, source), []
        tenants.update(named_here)
        if not named_here:
            others = text, source
    if faults:
        raise CatalogError(faults)
    return others, sorted(tenants)


def _read(name: str) -> tuple[str, str]:
    """The text of one catalog, and its name in messages. Raises ``CatalogFileError``."""
    path = BUILT_IN / f"{name}.yaml" if name in built_in() else Path(name)
    if path.is_dir():
        raise CatalogFileError(f"{name} is a directory of catalogs; name one of its files with --catalog.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CatalogFileError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    except OSError as error:
        known = ", ".join(sorted(built_in()))
        raise CatalogFileError(f"The catalog {name} cannot be read ({error.strerror}); the built-in ones are {known}.") from None
    return text, str(path) if name not in built_in() else f"{name}.yaml"


_AT_ONCE: Final = {"holdout": "0.0", "rules": "0.0", "cooldown": "1s", "daily_cap": "100"}


def sample_at_once() -> str:
    """Return the text of the sample catalog, so that one person who tries it is guided, and at once."""
    text = (BUILT_IN / f"{SAMPLE}.yaml").read_text(encoding="utf-8")
    for name, value in _AT_ONCE.items():
        text, found = re.subn(rf"(?m)^( *{name}:) [^#\s]+", rf"\1 {value}", text)
        assert found == 1, name
    return text


def require_named_catalog(settings: Settings) -> None:
    """Refuse the sample product for real users unless it was named. Call it before a job on a live input. Raises ``CatalogFileError``."""
    if settings.origin("catalog") == "default":
        live = "the event log" if settings.event_log is not None else "Kafka"
        raise CatalogFileError(
            f"a job on {live} needs the catalog of your product: set ONRAMP_CATALOG to its file; to run the sample product, set "
            f"ONRAMP_CATALOG={settings.catalog}."
        )


def built_in() -> frozenset[str]:
    """Names of the catalogs that come with Onramp."""
    return frozenset(path.stem for path in BUILT_IN.glob("*.yaml"))
