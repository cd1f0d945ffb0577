"""`python -m prefect` is `prefect`."""

from prefect.cli import main

if __name__ == "__main__":
    main()
