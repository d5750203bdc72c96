"""`python -m nodecache` is the command."""

import sys

from nodecache.cli import main

sys.exit(main())
