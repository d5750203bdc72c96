"""`template`, and Go's template language."""
