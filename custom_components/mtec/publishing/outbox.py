"""What is to be published to MQTT, until the broker has it; and the retained topics, until they are cleared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeassistant.components import mqtt
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.storage import Store
from homeassistant.util.hass_dict import HassKey

from custom_components.mtec.const import DOMAIN, LOGGER

_VERSION: Final = 1
_KEY: Final = f"{DOMAIN}.mqtt"


@dataclass(slots=True)
class _Home:
    """What is retained of a home: topics, each with the station or inverter it is of; and the settings of that time."""

    settings: Mapping[str, Any]
    topics: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Message:
    """The newest text of a topic."""

    entry_id: str
    thing: str
    text: str
    retain: bool


class Outbox:
    """The messages of all homes. Of each topic there is only the newest text, so its size does not grow.

    Nothing waits for the broker: a task sends what there is while the broker is connected. Retained topics are stored
    before they are published, so that they can be cleared later.
    """

    def __init__(self, hass: HomeAssistant) -> None:
        self._hass = hass
        self._store: Store[dict[str, dict[str, Any]]] = Store(hass, _VERSION, _KEY)
        self._homes: dict[str, _Home] = {}
        self._messages: dict[str, _Message] = {}
        self._to_clear: set[str] = set()
        self._publishers: list[CALLBACK_TYPE] = []
        self._is_sending = False
        self._is_away = False
        self._is_unsaved = False

    async def async_load(self) -> None:
        """Load what is retained. Topics of homes that are gone are cleared."""
        for entry_id, home in (await self._store.async_load() or {}).items():
            self._homes[entry_id] = _Home(settings=home["settings"], topics=home["topics"])
        mqtt.async_subscribe_connection_status(self._hass, self._async_connection_changed)
        for entry_id in [*self._homes]:
            if self._hass.config_entries.async_get_entry(entry_id) is None:
                self.async_clear(entry_id)

    @callback
    def async_add_publisher(self, publish: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Call a function when the broker is back: it may have lost what it had. Return a function to stop that."""
        self._publishers.append(publish)
        return lambda: self._publishers.remove(publish)

    @callback
    def async_begin(self, entry_id: str, settings: Mapping[str, Any] | None) -> None:
        """Begin to publish a home. Topics that were retained with other settings are cleared; all for None."""
        home = self._homes.get(entry_id)
        if home is not None and home.settings != settings:
            self.async_clear(entry_id)
        if settings is not None:
            known = {} if home is None else home.topics
            self._homes[entry_id] = _Home(settings=settings, topics=known)

    @callback
    def async_put(self, entry_id: str, thing: str, base: str, texts: Mapping[str, str], *, retain: bool) -> None:
        """Publish the texts of topics of a station or an inverter. Its retained topics not below `base` are cleared."""
        topics = self._homes[entry_id].topics
        self.async_clear(entry_id, lambda topic: topics[topic] == thing and not topic.startswith(f"{base}/"))
        for topic, text in texts.items():
            self._messages[topic] = _Message(entry_id, thing, text, retain)
            if retain:
                self._to_clear.discard(topic)
                if topics.get(topic) != thing:
                    topics[topic] = thing
                    self._is_unsaved = True
        self._async_wake()

    @callback
    def async_topics(self, entry_id: str) -> Mapping[str, str]:
        """Return the retained topics of a home, each with the station or inverter it is of."""
        return self._homes[entry_id].topics

    @callback
    def async_clear(self, entry_id: str, chosen: Callable[[str], bool] = lambda _: True) -> None:
        """Clear the chosen retained topics of a home, and forget what is to be published there."""
        if (home := self._homes.get(entry_id)) is None:
            return
        others = {topic for id_, other in self._homes.items() if id_ != entry_id for topic in other.topics}
        found = {topic for topic in home.topics if chosen(topic)}
        for topic in found:
            self._messages.pop(topic, None)
        for topic in found & others:
            # An inverter has moved to another home, which publishes it now.
            del home.topics[topic]
            self._is_unsaved = True
        self._to_clear |= found - others
        self._async_wake()

    @callback
    def async_forget_messages(self, entry_id: str) -> None:
        """Forget what is to be published of a home."""
        self._messages = {topic: each for topic, each in self._messages.items() if each.entry_id != entry_id}

    @callback
    def _async_connection_changed(self, is_connected: bool) -> None:
        if is_connected:
            if self._is_away:
                self._is_away = False
                LOGGER.info("The MQTT broker is back, readings are published again")
            for publish in [*self._publishers]:
                publish()
        self._async_wake()

    @property
    def _is_connected(self) -> bool:
        entries = self._hass.config_entries.async_entries(mqtt.DOMAIN, include_ignore=False, include_disabled=False)
        is_loaded = any(entry.state is ConfigEntryState.LOADED for entry in entries)
        return is_loaded and mqtt.is_connected(self._hass)

    @callback
    def _async_wake(self) -> None:
        if self._is_sending or not (self._messages or self._to_clear or self._is_unsaved):
            return
        if not self._is_connected:
            self._note_away()
            return
        self._is_sending = True
        self._hass.async_create_background_task(self._async_send(), "mtec publish to MQTT", eager_start=False)

    def _note_away(self) -> None:
        # While Home Assistant starts, the broker may not be connected yet.
        if self._hass.is_running and not self._is_away:
            self._is_away = True
            LOGGER.warning("The MQTT broker is away, the newest readings are published when it is back")

    async def _async_send(self) -> None:
        try:
            while (self._messages or self._to_clear) and self._is_connected:
                await self._async_save()
                await (self._async_send_clearing() if self._to_clear else self._async_send_message())
        except HomeAssistantError as error:
            LOGGER.debug("A message could not be published: %s", error)
            self._note_away()
        finally:
            self._is_sending = False
        await self._async_save()

    async def _async_send_clearing(self) -> None:
        topic = next(iter(self._to_clear))
        await mqtt.async_publish(self._hass, topic, "", 0, True)
        if topic not in self._to_clear:
            # It has a new text since.
            return
        self._to_clear.discard(topic)
        for home in self._homes.values():
            home.topics.pop(topic, None)
        self._is_unsaved = True

    async def _async_send_message(self) -> None:
        topic, message = next(iter(self._messages.items()))
        await mqtt.async_publish(self._hass, topic, message.text, 0, message.retain)
        if self._messages.get(topic) is message:
            del self._messages[topic]

    async def _async_save(self) -> None:
        if not self._is_unsaved:
            return
        self._is_unsaved = False
        entry = self._hass.config_entries.async_get_entry
        for entry_id, home in [*self._homes.items()]:
            if not home.topics and entry(entry_id) is None:
                del self._homes[entry_id]
        stored = {
            id_: {"settings": {**home.settings}, "topics": {**home.topics}}
            for id_, home in self._homes.items()
            if home.topics
        }
        await (self._store.async_save(stored) if stored else self._store.async_remove())


_OUTBOX: HassKey[Outbox] = HassKey(f"{DOMAIN}_mqtt_outbox")


async def async_outbox(hass: HomeAssistant) -> Outbox:
    """Return the outbox, which is loaded once."""
    if (outbox := hass.data.get(_OUTBOX)) is None:
        hass.data[_OUTBOX] = outbox = Outbox(hass)
        await outbox.async_load()
    return outbox
