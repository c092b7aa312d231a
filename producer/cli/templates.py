"""`comfyfleet template`: graphs by name, and which nodes can run them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from producer.cli.arguments import JsonOption
from producer.cli.command_group import group
from producer.cli.open_fleet import opened
from producer.cli.output import Exit, hint, print_json, print_line, print_row

if TYPE_CHECKING:
    from producer.contract.graph_checks import GraphCheck, NodeFit, ParamForm
    from producer.contract.templates import Template

app = group("Graphs by name: `comfyfleet submit template:NAME` makes jobs of one.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="As jobs ask for it.")]
OwnerOption = Annotated[str, typer.Option(help="Whose it is.")]
IfMatchOption = Annotated[
    str | None,
    typer.Option(metavar="ETAG", help="Only if this is what is there, as `show` tells it."),
]

#: Choices of a param that a line shows.
_SHOWN: Final = 6


@app.command()
def put(
    name: NameArgument,
    graph: Annotated[
        str,
        typer.Argument(
            metavar="GRAPH",
            help="A graph in ComfyUI's API format, a picture with one in it, - for standard input, "
            "or template:NAME.",
        ),
    ],
    *,
    owner: OwnerOption = "",
    if_match: IfMatchOption = None,
    new: Annotated[bool, typer.Option("--new", help="Only if the name is not taken.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give a graph a name, or the name another graph; jobs that were made before stay as they are."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.options import read_source

        content, _ = read_source(graph, fleet, owner=owner)
        found = fleet.templates.put(name, content, owner=owner, if_match=if_match, must_be_new=new)
        _show(found, as_json=as_json)


@app.command("list")
def list_templates(
    *,
    owner: Annotated[str | None, typer.Option(help="Those of one owner.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List templates: owner, name, etag, graph nodes, bytes, and when it last changed."""
    with opened(as_json=as_json) as fleet:
        for template in fleet.templates.list(owner=owner):
            _show(template, as_json=as_json)


@app.command()
def show(
    name: NameArgument,
    *,
    owner: OwnerOption = "",
    graph: Annotated[
        bool, typer.Option("--graph", help="Print the graph alone, as `put` takes it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a template; with --json, or --graph, its graph, too."""
    with opened(as_json=as_json) as fleet:
        found = fleet.templates.get(name, owner=owner)
        if graph:
            beside = {"prompt": found.graph, "extra_data": found.extra_data}
            print_line(json.dumps(beside if found.extra_data else found.graph))
        else:
            _show(found, as_json=as_json)


@app.command()
def check(
    graph: Annotated[
        str,
        typer.Argument(metavar="NAME|GRAPH", help="A template's name, or the file of a graph."),
    ],
    *,
    owner: OwnerOption = "",
    pool: Annotated[str | None, typer.Option(help="Its nodes alone; else those of all.")] = None,
    params: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="ADDRESS=VALUE", help="Set in it first."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell which nodes can run a graph, what the others lack, and which values jobs may set.

    The exit status is 1 where no node can run it.
    """
    with opened(as_json=as_json) as fleet:
        from producer.cli.options import as_params, read_source
        from producer.contract.queues import is_name

        source = f"template:{graph}" if is_name(graph) and not _is_file(graph) else graph
        content, found = read_source(source, fleet, owner=owner)
        told = fleet.templates.check(
            content, params=as_params(params or (), found), pool=pool, owner=owner
        )
        if as_json:
            print_json(told)
        else:
            _show_check(told)
        if not told.runs_on:
            raise typer.Exit(Exit.JOBS_FAILED)


@app.command()
def delete(
    name: NameArgument,
    *,
    owner: OwnerOption = "",
    if_match: IfMatchOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget a template; jobs and batches that were made from it stay as they are."""
    with opened(as_json=as_json) as fleet:
        fleet.templates.delete(name, owner=owner, if_match=if_match)
        if as_json:
            print_json({"template": name, "deleted": True})
        else:
            hint(f"{name} is deleted")


def _is_file(name: str) -> bool:
    from pathlib import Path

    return Path(name).is_file()


def _show(found: Template, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    nodes = f"{found.graph_nodes} graph nodes"
    changed = f"{found.updated_at:%Y-%m-%d %H:%M:%S}Z"
    print_row(found.owner, found.name, found.etag, nodes, f"{found.bytes} bytes", changed)


def _show_check(told: GraphCheck) -> None:
    for fit in told.nodes:
        print_row(fit.node, fit.pool, fit.state, "can run it" if fit.can_run else _why_not(fit))
    if not told.nodes:
        hint("no node lives, so nobody knows what they have")
    for model in told.models:
        print_row("model", model)
    for address, form in told.params.items():
        print_row(address, form.title or form.class_type, form.type, _default(form), _range(form))
    if told.more_params:
        hint(f"and {told.more_params:,} more values")


def _why_not(fit: NodeFit) -> str:
    if not fit.is_known:
        return "has not told yet what it has"
    lacks = [f"lacks {'model' if one.input else 'class'} {one.name}" for one in fit.lacks]
    more = [f"and {fit.more_lacks:,} more"] if fit.more_lacks else []
    refuses = [f"refuses {one.graph_node}.{one.input}: {one.message}" for one in fit.refuses]
    return "; ".join([*lacks, *more, *refuses])


def _default(form: ParamForm) -> str:
    from producer.contract.graph.json_values import shown

    return shown(form.default)


def _range(form: ParamForm) -> str:
    if form.choices is not None:
        more = len(form.choices) - _SHOWN + form.more_choices
        some = ", ".join(str(one) for one in form.choices[:_SHOWN])
        return f"{some} and {more:,} more" if more > 0 else some
    bounds = [("from", form.min), ("to", form.max)]
    return " ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
