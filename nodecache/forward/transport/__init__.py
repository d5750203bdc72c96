"""Transports to upstreams: UDP, TCP, TLS, HTTPS."""
