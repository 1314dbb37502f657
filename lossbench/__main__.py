"""`python -m lossbench`, as `accelerate launch -m lossbench` needs it."""

from .cli import main

if __name__ == "__main__":
    main()
