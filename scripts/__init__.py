"""What developers of this integration run. The Python modules here belong to the scripts of the same name."""
