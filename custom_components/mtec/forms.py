"""The forms of the dialogs."""

from homeassistant.data_entry_flow import section
import voluptuous as vol


def with_open_section(schema: vol.Schema, name: str) -> vol.Schema:
    """Return the schema of a form with one of its sections open, such as that of an error."""
    return vol.Schema(
        {
            key: section(value.schema, {"collapsed": False}) if key == name else value
            for key, value in schema.schema.items()
        }
    )
