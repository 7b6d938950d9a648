"""Publishes readings to MQTT in the layouts of the known tools."""
