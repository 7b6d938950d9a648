"""Rules of Home Assistant's quality scale, hassfest and HACS that a machine can check."""

import ast
from collections.abc import Iterator
from enum import StrEnum
import importlib
import json
import logging
from pathlib import Path
import re
from string import Formatter
from typing import Any
import warnings

import homeassistant
from homeassistant.config_entries import ConfigFlow, ConfigSubentryFlow, OptionsFlow
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.icon import async_get_icons
from homeassistant.util import yaml as yaml_util
from PIL import Image
import pytest

from custom_components.mtec import config_flow, inverter_flow, options_flow
from custom_components.mtec.battery.issues import FOREIGN, NOT_ENDED
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.export.usage import RangeProblem
from custom_components.mtec.issues import _KINDS
from tests.checkout import CHECKOUT, MTEC, VERSIONS
from tests.conftest import SetUp
from tests.imported_anew import not_yet_imported

TRANSLATIONS = MTEC / "translations"
MODULES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(MTEC.rglob("*.py"))}
LANGUAGES = sorted(path.stem for path in TRANSLATIONS.glob("*.json"))


def _json(path: Path) -> Any:
    """Return a file's JSON, in which no name is there twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), f"{path.name} has a name twice: {names}"
        return dict(pairs)

    return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)


def _texts(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield all texts of a tree, each with where it is."""
    if isinstance(tree, dict):
        for name, child in tree.items():
            yield from _texts(child, f"{path}.{name}" if path else name)
    else:
        yield path, tree


ENGLISH = _json(TRANSLATIONS / "en.json")
ICONS = _json(MTEC / "icons.json")
SERVICES = yaml_util.load_yaml_dict(MTEC / "services.yaml")
ENGLISH_TEXTS = dict(_texts(ENGLISH))


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


# Translations


def test_there_is_english_alone_to_be_translated_from() -> None:
    assert {"de", "en"} <= set(LANGUAGES)
    assert not (MTEC / "strings.json").exists()


@pytest.mark.parametrize("language", LANGUAGES)
def test_translation_is_complete(language: str) -> None:
    """It has each text of the English one and no other, with the same placeholders."""
    texts = dict(_texts(_json(TRANSLATIONS / f"{language}.json")))
    assert sorted(texts) == sorted(ENGLISH_TEXTS)
    for path, text in texts.items():
        assert isinstance(text, str), path
        assert text.strip() == text, path
        assert text, path
        assert _placeholders(text) == _placeholders(ENGLISH_TEXTS[path]), path
        # What hassfest refuses.
        assert not re.search(r"<[a-z/][^>]*>", text), path
        assert "'{" not in text, path
        assert "[%key:" not in text, path


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_translation_is_translated(language: str) -> None:
    """A long text is not left in English."""
    texts = dict(_texts(_json(TRANSLATIONS / f"{language}.json")))
    assert not [path for path, text in texts.items() if text == ENGLISH_TEXTS[path] and len(text.split()) > 3]


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_of_entities_are_different(language: str) -> None:
    """Two entities of one device cannot be told apart otherwise."""
    for platform, entities in _json(TRANSLATIONS / f"{language}.json")["entity"].items():
        names = [entity["name"] for entity in entities.values()]
        assert len(names) == len(set(names)), platform


# Errors


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield node, name


def _error_classes() -> tuple[set[str], set[str]]:
    """Return the names of the Home Assistant errors that our modules use, and of those that we define."""
    used: set[str] = set()
    own: set[str] = set()
    for path in MODULES:
        dotted = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")
        for name, value in vars(importlib.import_module(dotted)).items():
            if isinstance(value, type) and issubclass(value, HomeAssistantError):
                (own if value.__module__.startswith("custom_components") else used).add(name)
    # Those of missing permissions have no text of ours: Home Assistant says the same of its own actions.
    return used - {"Unauthorized", "UnknownUser"}, own


def _constants(tree: ast.AST, name: str) -> set[str]:
    """Return the texts in the values of a table of a module, by its name."""
    tables = {
        ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target): node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict)
    }
    return {str(value.value) for value in tables[name].values if isinstance(value, ast.Constant)}


def _keys(node: ast.expr, tree: ast.AST) -> set[str]:
    """Return the translation keys that an expression can be."""
    match node:
        case ast.Constant():
            return {str(node.value)}
        case ast.Attribute(attr="problem"):
            return {problem.value for problem in RangeProblem}
        case ast.Subscript(value=ast.Name(id=table)):
            return _constants(tree, table)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=table)), args=[_, *defaults]):
            return _constants(tree, table).union(*(_keys(each, tree) for each in defaults))
    raise AssertionError(f"Line {node.lineno}: what translation key is {ast.unparse(node)}?")


def _helpers(errors: set[str]) -> dict[str, str]:
    """Return the functions that make an error whose key is one of their parameters, and that parameter."""
    return {
        function.name: parameter.arg
        for tree in MODULES.values()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for parameter in function.args.args
        for call, name in _calls(function)
        if name in errors
        for keyword in call.keywords
        if keyword.arg == "translation_key" and getattr(keyword.value, "id", None) == parameter.arg
    }


def _raised() -> Iterator[tuple[str, str]]:
    """Yield the key of each error that our code makes, with where that is."""
    errors, _ = _error_classes()
    helpers = _helpers(errors)
    for path, tree in MODULES.items():
        for call, name in _calls(tree):
            where = f"{path.relative_to(MTEC)}:{call.lineno}"
            keywords = {keyword.arg: keyword.value for keyword in call.keywords}
            keys: set[str] = set()
            if name in helpers:
                keys = _keys(call.args[0], tree)
            # An error of our own knows its key.
            elif name in errors or (name == "__init__" and "translation_key" in keywords):
                assert not call.args, f"{where}: an error with a text instead of a translation"
                assert ast.unparse(keywords["translation_domain"]) == "DOMAIN", where
                key_node = keywords["translation_key"]
                keys = set() if getattr(key_node, "id", None) in helpers.values() else _keys(key_node, tree)
            yield from ((where, key) for key in keys)


def test_errors_are_translated() -> None:
    used, own = _error_classes()
    raised = list(_raised())
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name in own:
                assert any("translation_key" in {each.arg for each in call.keywords} for call, _ in _calls(node))
            if isinstance(node, ast.Raise):
                assert getattr(node.exc, "id", None) not in used, f"Line {node.lineno}: an error without a translation"
    assert [(where, key) for where, key in raised if key not in ENGLISH["exceptions"]] == []
    assert {"authentication", "update_failed", "several_stations"} <= {key for _, key in raised}
    assert set(ENGLISH["exceptions"]) - {key for _, key in raised} == set()


def test_issues_are_translated() -> None:
    assert ENGLISH["issues"].keys() == _KINDS.keys() | {NOT_ENDED, FOREIGN}
    for kind, issue in ENGLISH["issues"].items():
        assert issue.keys() == {"title", "fix_flow" if kind == FOREIGN else "description"}
        texts = " ".join(text for _, text in _texts(issue))
        assert _placeholders(texts) <= ({"account", "url"} if kind in _KINDS else {"name"})


# Dialogs


SUBENTRY = ENGLISH["config_subentries"]["inverter"]


@pytest.mark.parametrize(
    ("flow", "texts"),
    [
        (config_flow.MtecConfigFlow, ENGLISH["config"]),
        (options_flow.MtecOptionsFlow, ENGLISH["options"]),
        (inverter_flow.InverterSubentryFlow, SUBENTRY),
    ],
    ids=["config", "options", "subentry"],
)
def test_steps_are_translated(flow: type[ConfigFlow | OptionsFlow | ConfigSubentryFlow], texts: Any) -> None:
    own = [each for each in flow.__mro__ if each.__module__.startswith("custom_components")]
    used = {name.removeprefix("async_step_") for each in own for name in vars(each) if name.startswith("async_step_")}
    # A step without a form of its own leads to another, shows progress, or ends the dialog.
    assert set(texts["step"]) == used - {
        "dhcp",
        "reauth",
        "import_another",
        "import_stop",
        "import_done",
        "later",
        "open_dashboard",
    }
    for name, step in texts["step"].items():
        sections = step.get("sections", {}).values()
        for each in (step, *sections):
            assert each.get("data", {}).keys() == each.get("data_description", {}).keys(), name
        for option in step.get("menu_options", {}):
            assert option in used


def _reasons(tree: ast.AST) -> set[str]:
    """Return the reasons for which the dialogs in a tree end."""
    reasons = [
        keyword.value for call, name in _calls(tree) for keyword in call.keywords if keyword.arg == "reason" if name
    ]
    assert all(isinstance(reason, ast.Constant) for reason in reasons)
    return {str(reason.value) for reason in reasons if isinstance(reason, ast.Constant)}


def test_errors_of_dialogs_are_translated() -> None:
    config, errors = ENGLISH["config"], MODULES[MTEC / "errors.py"]
    assert config["error"].keys() | ENGLISH["options"]["error"].keys() | SUBENTRY["error"].keys() <= _texts_of_code()
    assert _constants(errors, "FORM_KEYS") <= config["error"].keys()
    of_inverters = _constants(errors, "INVERTER_FORM_KEYS")
    assert of_inverters <= config["error"].keys()
    assert of_inverters == SUBENTRY["error"].keys()
    # The two kinds of dialogs have one sentence for one thing.
    assert SUBENTRY["error"].items() <= config["error"].items()


@pytest.mark.parametrize("language", LANGUAGES)
def test_silent_portal_promises_what_holds_whether_or_not_gaps_are_filled_automatically(language: str) -> None:
    """Who turned that off is told how to do it by hand, in the words of the menu."""
    texts = _json(TRANSLATIONS / f"{language}.json")
    by_hand = texts["options"]["step"]["init"]["menu_options"]["import_history"]
    assert f"*{by_hand}*" in texts["issues"]["portal_silent"]["description"]


def test_ends_of_dialogs_are_translated() -> None:
    flows = {
        node.name: node
        for name in ("config_flow.py", "inverter_flow.py")
        for node in MODULES[MTEC / name].body
        if isinstance(node, ast.ClassDef)
    }
    of_config = _reasons(flows["MtecConfigFlow"]) | _reasons(flows["InverterFlow"])
    # What Home Assistant says by itself.
    assert ENGLISH["config"]["abort"].keys() == of_config | {"already_configured"}
    assert SUBENTRY["abort"].keys() == _reasons(flows["InverterSubentryFlow"])
    assert "mqtt_missing" in ENGLISH["options"]["abort"]


# Entities


async def test_entities_have_names_and_icons(
    hass: HomeAssistant, set_up: SetUp, entity_registry: er.EntityRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Entity, "entity_registry_enabled_default", True)
    entry = await set_up()
    entities = er.async_entries_for_config_entry(entity_registry, entry.entry_id)
    assert len(entities) > 50
    usual_icons = await async_get_icons(hass, "entity_component")
    for entity in entities:
        assert entity.has_entity_name
        assert entity.translation_key is not None, entity.entity_id
        translated = ENGLISH["entity"][entity.domain][entity.translation_key]
        assert translated["name"]
        icon = ICONS["entity"][entity.domain].get(entity.translation_key)
        usual = usual_icons[entity.domain].get(entity.original_device_class)
        assert icon or usual, entity.entity_id
        # What its device class gives it anyway is not said again.
        assert icon != usual, entity.entity_id
        state = hass.states.get(entity.entity_id)
        assert state is not None
        assert "{" not in state.name
        options = {str(option) for option in state.attributes.get("options", ())}
        assert translated.get("state", {}).keys() == options, entity.entity_id


def test_every_icon_is_of_an_entity_with_a_name() -> None:
    for platform, entities in ENGLISH["entity"].items():
        assert entities.keys() >= ICONS["entity"][platform].keys()
    icons = [icon for path, icon in _texts(ICONS)]
    assert all(re.fullmatch(r"mdi:[a-z0-9-]+", icon) for icon in icons)


def _texts_of_code() -> set[str]:
    constants = [node.value for tree in MODULES.values() for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {value for value in constants if isinstance(value, str)}


def test_names_of_the_tables_are_used() -> None:
    """A name that no table has any more is left over."""
    used = _texts_of_code()
    stems = tuple(word for word in used if len(word) > 3)
    keys = [(platform, key) for platform, entities in ENGLISH["entity"].items() for key in entities]
    unused = [(platform, key) for platform, key in keys if key not in used]
    assert [each for each in unused if not each[1].startswith(stems) and not each[1].endswith(stems)] == []


# Actions


def test_actions_are_documented() -> None:
    assert ENGLISH["services"].keys() == SERVICES.keys() == ICONS["services"].keys()
    for name, service in SERVICES.items():
        translated = ENGLISH["services"][name]
        assert translated["name"]
        assert translated["description"]
        fields = dict(_fields(service.get("fields", {})))
        assert translated.get("fields", {}).keys() == fields.keys(), name
        sections = {key for key, field in service.get("fields", {}).items() if "fields" in field}
        assert translated.get("sections", {}).keys() == sections, name
        for field, description in fields.items():
            assert translated["fields"][field]["name"]
            assert translated["fields"][field]["description"]
            selector = description["selector"]
            assert len(selector) == 1
            options = (selector.get("select") or {}).get("options", ())
            if key := (selector.get("select") or {}).get("translation_key"):
                assert ENGLISH["selector"][key]["options"].keys() == set(options)
        assert ICONS["services"][name]["service"].startswith("mdi:")


def _fields(fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield all fields, also those in sections."""
    for name, field in fields.items():
        yield from _fields(field["fields"]) if "fields" in field else [(name, field)]


async def test_registered_actions_are_the_documented_ones(hass: HomeAssistant, set_up: SetUp) -> None:
    await set_up("barn@example.com")
    assert hass.services.async_services_for_domain(DOMAIN).keys() == SERVICES.keys()


# Files


def test_manifest() -> None:
    """What hassfest and HACS ask for."""
    manifest = _json(MTEC / "manifest.json")
    names = list(manifest)
    assert names == ["domain", "name", *sorted(set(names) - {"domain", "name"})]
    assert {"codeowners", "documentation", "issue_tracker", "version"} <= manifest.keys()
    assert manifest["domain"] == DOMAIN
    assert manifest["documentation"].startswith("https://")
    assert manifest["issue_tracker"].startswith("https://")
    assert all(owner.startswith("@") for owner in manifest["codeowners"])
    assert re.fullmatch(r"\d+\.\d+\.\d+(b\d+)?", manifest["version"])
    assert manifest["requirements"] == []
    assert set(manifest) <= {
        *("domain", "name", "after_dependencies", "categories", "codeowners", "config_flow", "connectivity"),
        *("dependencies", "dhcp", "documentation"),
        *("integration_type", "iot_class", "issue_tracker", "loggers", "quality_scale", "requirements"),
        *("single_config_entry", "version"),
    }


@pytest.mark.parametrize("kind", ["categories", "connectivity"])
def test_categories_are_known(kind: str) -> None:
    """Home Assistant lists what there is; older versions know of no such thing, and take no notice of it."""
    path = Path(homeassistant.__file__).parent / "generated" / f"integration_{kind}.json"
    named = _json(MTEC / "manifest.json")[kind]
    assert named
    if path.exists():
        known = _json(path)
        parts = {f"{each['slug']}.{part['slug']}" for each in known for part in each.get("subcategories", ())}
        assert set(named) <= parts | {each["slug"] for each in known}


ALWAYS_THERE = {
    *("binary_sensor", "diagnostics", "number", "persistent_notification", "repairs", "select", "sensor", "switch"),
    "system_health",
}


def test_components_in_use_are_dependencies() -> None:
    """What hassfest checks: what is imported is there when the integration is set up."""
    manifest = _json(MTEC / "manifest.json")
    used = set()
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("homeassistant.components"):
                parts = (node.module or "").split(".")
                used |= {parts[2]} if len(parts) > 2 else {alias.name for alias in node.names}
    declared = {*manifest.get("dependencies", ()), *manifest.get("after_dependencies", ())}
    assert used - ALWAYS_THERE - declared == set()


def test_hacs() -> None:
    hacs = _json(CHECKOUT / "hacs.json")
    assert hacs["name"] == _json(MTEC / "manifest.json")["name"]
    assert hacs["homeassistant"] == VERSIONS["oldest_home_assistant"]
    allowed = {"name", "content_in_root", "zip_release", "filename", "hide_default_branch", "country", "homeassistant"}
    assert set(hacs) <= allowed | {"hacs", "persistent_directory", "render_readme"}
    if hacs.get("zip_release"):
        assert hacs["filename"] == f"{DOMAIN}.zip"
        assert hacs["filename"] in (CHECKOUT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert (CHECKOUT / "README.md").read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("prefix", ["", "dark_"])
@pytest.mark.parametrize(
    ("name", "sides"),
    [("icon", (256, 256)), ("icon@2x", (512, 512)), ("logo", (128, 256)), ("logo@2x", (256, 512))],
)
def test_brand_image(prefix: str, name: str, sides: tuple[int, int]) -> None:
    """An icon has this size, a logo a shorter side of this range; all are trimmed and transparent."""
    path = MTEC / "brand" / f"{prefix}{name}.png"
    assert path.stat().st_size < 40_000
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert sides[0] <= min(image.size) <= sides[1]
        if name.startswith("icon"):
            assert image.size == sides
        picture = image.convert("RGBA")
    left, upper, right, lower = picture.getbbox() or (0, 0, 0, 0)
    assert right - left == picture.width or lower - upper == picture.height
    assert picture.getchannel("A").getextrema() == (0, 255)


def test_brand_has_nothing_else() -> None:
    names = {path.name for path in (MTEC / "brand").iterdir()}
    assert names == {f"{dark}{name}{x}.png" for dark in ("", "dark_") for name in ("icon", "logo") for x in ("", "@2x")}


def test_importing_is_no_deprecated_use(caplog: pytest.LogCaptureFixture) -> None:
    """Home Assistant, and Python, warn of what will be gone when a module is imported that uses it."""
    names = [".".join(path.relative_to(CHECKOUT).with_suffix("").parts) for path in MODULES]
    with not_yet_imported(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for name in names:
            if not name.endswith("__main__"):
                importlib.import_module(name.removesuffix(".__init__"))
    assert [str(each.message) for each in warned if str(MTEC) in each.filename] == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_no_version_stands_anywhere_else() -> None:
    """What people read and what is checked are the same versions."""
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert f"You need Home Assistant {VERSIONS['oldest_home_assistant']} or newer" in readme
    assert set(re.findall(r"Home Assistant (20\d\d\.\d+(?:\.\d+)?)", readme)) <= {
        VERSIONS[f"{which}_home_assistant"] for which in ("oldest", "usual", "newest")
    }
    for path in (CHECKOUT / "requirements_test.txt", CHECKOUT / "scripts" / "setup", CHECKOUT / "scripts" / "test"):
        assert not re.search(r"20\d\d\.\d", path.read_text(encoding="utf-8")), path


# The quality scale


RULES = {
    "bronze": {
        *(
            "action-setup",
            "appropriate-polling",
            "brands",
            "common-modules",
            "config-flow",
            "config-flow-test-coverage",
        ),
        *("dependency-transparency", "docs-actions", "docs-conditions", "docs-high-level-description"),
        *("docs-installation-instructions", "docs-removal-instructions", "docs-triggers", "entity-event-setup"),
        *("entity-unique-id", "has-entity-name", "runtime-data", "test-before-configure", "test-before-setup"),
        "unique-config-entry",
    },
    "silver": {
        *("action-exceptions", "config-entry-unloading", "docs-configuration-parameters"),
        *("docs-installation-parameters", "entity-unavailable", "integration-owner", "log-when-unavailable"),
        *("parallel-updates", "reauthentication-flow", "test-coverage"),
    },
    "gold": {
        *("devices", "diagnostics", "discovery", "discovery-update-info", "docs-data-update", "docs-examples"),
        *("docs-known-limitations", "docs-supported-devices", "docs-supported-functions", "docs-troubleshooting"),
        *("docs-use-cases", "dynamic-devices", "entity-category", "entity-device-class", "entity-disabled-by-default"),
        *("entity-translations", "exception-translations", "icon-translations", "reconfiguration-flow"),
        *("repair-issues", "stale-devices"),
    },
    "platinum": {"async-dependency", "inject-websession", "strict-typing"},
}


class _Status(StrEnum):
    DONE = "done"
    EXEMPT = "exempt"


def test_every_rule_is_answered() -> None:
    """Done, or exempt with a reason; nothing is still to do."""
    rules = yaml_util.load_yaml_dict(MTEC / "quality_scale.yaml")["rules"]
    assert rules.keys() == set().union(*RULES.values())
    for rule, answer in rules.items():
        if answer == _Status.DONE:
            continue
        assert answer.keys() == {"status", "comment"}, rule
        assert answer["status"] == _Status.EXEMPT, rule
        assert len(answer["comment"].split()) > 4, rule


def test_platforms_say_how_many_updates_run_at_once() -> None:
    for platform in ("binary_sensor", "number", "select", "sensor", "switch"):
        module = importlib.import_module(f"custom_components.{DOMAIN}.{platform}")
        assert module.PARALLEL_UPDATES == 0


def test_readme_is_short() -> None:
    assert len((CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize(
    "page", [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md")], ids=lambda page: page.name
)
def test_links_of_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#: ]+)?(?:#([^) ]+))?\)", page.read_text(encoding="utf-8"))
    for path, heading in links:
        target = page.parent / path if path else page
        assert target.exists(), path
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}, heading


def test_readme_has_what_the_rules_ask_for() -> None:
    """At least a section on each of these."""
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    headings = {heading.lower() for heading in re.findall(r"^#+ (.*)$", readme, re.MULTILINE)}
    for topic in ("install", "set up", "what you get", "automations", "known limitations", "troubleshooting", "remove"):
        assert any(topic in heading for heading in headings), topic
    for service in SERVICES:
        assert f"{DOMAIN}.{service}" in readme
