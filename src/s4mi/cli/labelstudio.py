"""`s4mi labelstudio`: push predictions to a server of Label Studio, and pull annotations from it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from s4mi.data.annotations.label_studio_server import LabelStudioServer

app = typer.Typer(
    help="Correct predictions on a server of Label Studio, whose address and token are in LABEL_STUDIO_URL and "
    "LABEL_STUDIO_API_KEY.",
    no_args_is_help=True,
)

TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="File that contains the token; by default it is in LABEL_STUDIO_API_KEY."),
]
PlainHttp = Annotated[
    bool, typer.Option("--plain-http", help="Allow an address without encryption on another machine.")
]


@app.command("push")
def push(
    tasks: Annotated[Path, typer.Argument(metavar="TASKS", help="File that s4mi suggest --format label-studio wrote.")],
    project: Annotated[
        int | None, typer.Option("--project", help="Id of a project to add to.  [default: a new project]")
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Name of a new project.  [default: that of the file]")] = "",
    storage: Annotated[
        str, typer.Option("--storage", help="Folder of the images on the server, to be added as local storage.")
    ] = "",
    token_file: TokenFile = None,
    plain_http: PlainHttp = False,
) -> None:
    """Create tasks with predictions; those that the project has already are left as they are."""
    from s4mi.cli.console import print_line
    from s4mi.data.sources.unused_options import refuse_unused
    from s4mi.formatting import plural

    if project is not None:
        refuse_unused({"--title": title}, because="with --project", hint="leave out --project")
    server = _server(token_file, plain_http=plain_http)
    pushed = server.push(tasks, project=project, title=title, storage=storage)
    present = f", {pushed.present} there already" if pushed.present else ""
    print_line(f"project {pushed.project}: {plural(pushed.new, 'new task')}{present}: {pushed.address}")
    print_line(f"correct and submit them there, then: s4mi labelstudio pull {pushed.project} -o EXPORT.json")


@app.command("pull")
def pull(
    project: Annotated[int, typer.Argument(metavar="PROJECT", help="Id of the project, as in its address.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Output file, .json.")],
    token_file: TokenFile = None,
    plain_http: PlainHttp = False,
) -> None:
    """Write the annotations of a project as JSON, to be merged into a data set."""
    from s4mi.cli.console import print_line
    from s4mi.formatting import plural

    pulled = _server(token_file, plain_http=plain_http).pull(project, out)
    print_line(f"{plural(pulled.tasks, 'annotated task')}: {pulled.file}")
    print_line(f"next: s4mi data merge DATASET {pulled.file}")


def _server(token_file: Path | None, *, plain_http: bool) -> "LabelStudioServer":
    from s4mi.data.annotations.label_studio_server import LabelStudioServer
    from s4mi.errors import S4miError

    address, token = os.environ.get("LABEL_STUDIO_URL", ""), os.environ.get("LABEL_STUDIO_API_KEY", "")
    if not address:
        raise S4miError("LABEL_STUDIO_URL: not set; set it to the address of Label Studio")
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise S4miError(f"{token_file}: cannot be read ({error}); pass the file with the token") from error
    elif not token:
        raise S4miError("LABEL_STUDIO_API_KEY: not set; set it to a token of Label Studio, or pass --token-file")
    return LabelStudioServer(address, token.strip(), plain_http=plain_http)
