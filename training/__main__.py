"""`python -m training`: build the zoo."""

import sys

from training.cli import main

if __name__ == "__main__":
    sys.exit(main())
