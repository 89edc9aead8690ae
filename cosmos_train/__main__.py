"""`python -m cosmos_train`."""

from cosmos_train.cli import main

if __name__ == "__main__":
    main()
