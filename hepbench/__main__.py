"""`python -m hepbench`: the console script."""

from hepbench.suite.cli import main

if __name__ == "__main__":
    main()
