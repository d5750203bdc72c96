"""Flags and files on the node, as one frozen configuration."""
