"""`python -m steelyard.cli`, the same as the command."""

from steelyard.cli.root import main

if __name__ == "__main__":
    main()
