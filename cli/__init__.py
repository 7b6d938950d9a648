"""The command line of the portal, without Home Assistant."""
