"""`python -m entrepot.migrations MESSAGE NUMBER` writes the next revision."""

import sys

from entrepot.migrations import autogenerate

if len(sys.argv) != 3:
    sys.exit('usage: python -m entrepot.migrations "what changed" 0002')
autogenerate(sys.argv[1], sys.argv[2])
