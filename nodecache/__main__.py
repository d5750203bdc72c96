"""`python -m nodecache` is the command."""

import sys

from nodecache.entry import main

sys.exit(main())
