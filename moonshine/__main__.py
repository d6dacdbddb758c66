"""`python -m moonshine` is the `moonshine` command."""
from moonshine.cli import main

if __name__ == "__main__":
    main()
