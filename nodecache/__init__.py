"""A node-local DNS cache for Kubernetes nodes, a drop-in for node-local-dns."""

__version__ = "0.1.0"
