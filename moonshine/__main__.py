"""`python -m moonshine` is the `moonshine` command."""
from moonshine.cli.program import main

if __name__ == "__main__":
    main()
