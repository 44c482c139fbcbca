"""`python -m insaat_cli` is `insaat`."""

from insaat_cli.cli.app import main

if __name__ == "__main__":
    main()
