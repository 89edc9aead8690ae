"""`python -m interlink`."""

from interlink.cli import main

if __name__ == "__main__":
    main()
