"""`rewrite`."""
