"""`s4mi methods`: the methods that can be trained."""


def methods() -> None:
    """List the methods: what each does, its tasks, its paper, and the package that provides it."""
    import typer
    from rich.console import Console
    from rich.table import Table

    from s4mi.config import METHODS

    table = Table("method", "tasks", "what it does", "paper", "from", box=None, pad_edge=False)
    for name, method in METHODS.working().items():
        config = method.config
        table.add_row(name, ", ".join(sorted(config.tasks)), config.summary, config.paper, method.origin)
    Console().print(table)
    for reason in METHODS.broken.values():
        typer.echo(reason, err=True)
