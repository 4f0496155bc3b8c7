"""`python -m xlnet.cli`."""

import sys

from xlnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
