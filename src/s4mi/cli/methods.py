"""`s4mi methods`: the methods that can be trained."""


def methods() -> None:
    """List the methods: what each does, its tasks, and its paper."""
    from rich.console import Console
    from rich.table import Table

    from s4mi.config import METHOD_CONFIGS

    table = Table("method", "tasks", "what it does", "paper", box=None, pad_edge=False)
    for config in METHOD_CONFIGS:
        name = str(config.model_fields["name"].default)
        table.add_row(name, ", ".join(sorted(config.tasks)), config.summary, config.paper)
    Console().print(table)
