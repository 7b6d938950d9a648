"""The past of a station: what the portal keeps of it, taken out."""
