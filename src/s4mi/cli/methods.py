"""`s4mi methods`: the methods that can be trained, and the encoders they can start from."""

import typer


def methods(
    pattern: str | None = typer.Argument(
        None,
        metavar="[FILTER]",
        help="With --encoders: part of a timm name, such as dinov2, or a pattern with * (default: what auto tries).",
        show_default=False,
    ),
    encoders: bool = typer.Option(
        False,
        "--encoders",
        help="List encoders instead: size, input normalisation, licence, and which weights are at hand.",
    ),
) -> None:
    """List the methods: what each does, its tasks, its paper, and the package that provides it."""
    if encoders or pattern is not None:
        _list_encoders(pattern)
        return
    from s4mi.cli.tables import print_table
    from s4mi.config.method_table import has_others, stored_rows

    rows, broken = [], []
    if has_others():
        from s4mi.config.methods import METHODS

        rows, broken = METHODS.rows(), list(METHODS.broken.values())
    rows = rows or stored_rows()
    print_table(
        ("method", "tasks", "what it does", "paper", "from"),
        [(row.name, ", ".join(row.tasks), row.summary, row.paper, row.origin) for row in rows],
    )
    for reason in broken:
        typer.echo(reason, err=True)


def _list_encoders(pattern: str | None) -> None:
    from s4mi.cli.tables import print_table
    from s4mi.config.encoders import MOST, encoder_names, encoder_rows

    names = encoder_names(pattern)
    rows = []
    for row in encoder_rows(names[:MOST]):
        multiple = f", multiples of {row.multiple}" if row.multiple > 1 else ""
        rows.append(
            (
                row.name,
                row.kind,
                f"{row.parameters / 1e6:.1f} M",
                row.at_hand or "no",
                f"{row.size or '?'}{multiple}",
                _numbers(row.mean),
                _numbers(row.std),
                row.licence or "not stated",
            )
        )
    print_table(("encoder", "kind", "parameters", "weights at hand", "pixels", "mean", "std", "published under"), rows)
    if len(names) > MOST:
        typer.echo(f"{len(names) - MOST} more match; pass a longer FILTER", err=True)
    typer.echo("As an encoder of segmentation networks, prefix a CNN with tu-. Folders of weight files: S4MI_WEIGHTS.")


def _numbers(values: tuple[float, ...]) -> str:
    return f"{values[0]:.3g}" if len(set(values)) == 1 else " ".join(f"{value:.3f}" for value in values)
