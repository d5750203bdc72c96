"""`dnstap`."""
