"""`python -m moonshine` is the `moonshine` command."""
from moonshine.cli.main import main

if __name__ == "__main__":
    main()
