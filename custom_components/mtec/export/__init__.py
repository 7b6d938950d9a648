"""Usage of the past as rows, as CSV text or as a file."""
