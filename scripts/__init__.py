"""Tools for developers of this integration. The Python modules here belong to the scripts of the same name."""
