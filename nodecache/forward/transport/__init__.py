"""How octets get to an upstream and back: TCP, UDP, TLS, HTTPS."""
