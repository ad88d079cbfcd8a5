"""``python -m edgegate``."""

from edgegate.cli import main

if __name__ == "__main__":
    main()
