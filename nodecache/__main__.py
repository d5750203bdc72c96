"""`python -m nodecache` is the command."""

import sys

from nodecache.command.entry import main

sys.exit(main())
