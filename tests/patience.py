"""How long a test waits for what has to come, before it fails."""

# Long enough for a machine that does much else: only a test that fails ever waits for it.
PATIENCE_SECONDS = 60.0
