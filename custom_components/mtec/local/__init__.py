"""The inverter itself as a source: its Modbus in the home network.

Nothing here needs Home Assistant. Units come from whoever opens the connection: Home Assistant's Modbus integration, or
modbus-connection on the command line.
"""
