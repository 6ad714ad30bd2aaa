"""`python -m otkit`, which is also how `accelerate launch -m otkit align ...` starts it."""

from otkit.cli.app import main

if __name__ == "__main__":
    main()
