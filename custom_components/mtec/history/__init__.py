"""A station's past, imported into the statistics of its energy sensors."""
