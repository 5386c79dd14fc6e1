"""The command line: a thin door to the package. Its modules are imported when a command is given, not before."""


def app() -> None:
    """Run the command line, see `stilts.cli.door.run`."""
    from stilts.cli import door

    door.run()
