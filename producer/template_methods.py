"""Templates, as `Producer.templates` has them: graphs by name, of an owner's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict, Unpack

from producer.contract.arguments import checked
from producer.contract.classes.input_checks import check_verdicts
from producer.contract.errors import InvalidJob
from producer.contract.graph.graph import GraphLike, to_bytes
from producer.contract.graph.json_values import printable
from producer.contract.graph_checks import GraphCheck
from producer.contract.templates import (
    Template,
    TemplateGraph,
    TemplatePut,
    check_template_name,
    check_template_owner,
)
from producer.intake.admission import Intake
from producer.intake.request import Request
from producer.store.actions import Actions
from producer.store.template_store import ABSENT, TemplateStore
from producer.threaded_calls import ThreadedTwin, in_thread

_TWO_WISHES: Final = (
    "if_match and must_be_new contradict each other: nothing can be both there and not there"
)


class PutOptions(TypedDict, total=False):
    """The keyword arguments of `Templates.put`, typed for code that passes them on."""

    owner: str
    if_match: str | None
    must_be_new: bool


class Templates:
    """The named graphs of a fleet; those of one owner are no other's. `Producer.templates` is one of these.

    A job is made from the graph that the name has when it is handed in: a later `put` or `delete` changes no job.
    """

    def __init__(self, intake: Intake, store: TemplateStore, actions: Actions) -> None:
        self._intake = intake
        self._store = store
        self._actions = actions

    def put(
        self,
        name: str,
        graph: GraphLike,
        *,
        owner: str = "",
        if_match: str | None = None,
        must_be_new: bool = False,
    ) -> Template:
        """Give a graph a name, or the name another graph, and return what is kept of it.

        It is checked as if a job of it were handed in now; where it is refused, the one before stays. The same
        graph again changes nothing, another one is the next revision.

        Args:
            graph: as of `Producer.submit`, without secrets; a `NamedGraph` copies another template.
            if_match: `Template.etag` of what must be there, or `*` for anything.
            must_be_new: whether the name must not be taken.

        Raises:
            InvalidJob: the graph cannot work, or the owner has as many templates as may be.
            TemplateChanged: something else is there; nothing was changed.
            FleetUnreachable: Redis did not answer.
        """
        return self.put_once(
            name, graph, owner=owner, if_match=if_match, must_be_new=must_be_new
        ).template

    def put_once(self, name: str, graph: GraphLike, **options: Unpack[PutOptions]) -> TemplatePut:
        """Do the same as `put`, and tell whether the name is new."""
        owner, if_match = options.get("owner", ""), options.get("if_match")
        must_be_new = options.get("must_be_new", False)
        check_template_owner(owner)
        check_template_name(name, field="name")
        if if_match and must_be_new:
            raise InvalidJob(_TWO_WISHES, field="if_match")
        request = self._intake.with_graph(Request(graph=graph, owner=owner, pool=""))
        document = self._intake.read(request)
        content, extra = self._intake.content(request, document)
        if secrets := sorted(extra.secrets.keys() - set(extra.added)):
            raise InvalidJob(
                f"a template keeps no secrets, and extra_data has {printable(secrets[0])}",
                field="extra_data",
                advice="leave it out here, and give it with each job as extra_data",
            )
        plan = self._intake.planner.plan(request, document.graph, is_template=True)
        check_verdicts(plan.refused, plan.graph, {})
        put, is_changed = self._store.put(
            name,
            to_bytes(document.graph),
            owner=owner,
            graph_nodes=len(document.graph),
            extra_data=content.extra_data,
            expected=ABSENT if must_be_new else if_match or "",
        )
        if is_changed:
            now = put.template.etag
            self._actions.write("template.put", selection=name, owner=owner, detail=now)
        return put

    def list(self, *, owner: str | None = None) -> list[Template]:
        """Return the templates of an owner, or of all, by name."""
        return self._store.all(owner=None if owner is None else check_template_owner(owner))

    def get(self, name: str, *, owner: str = "") -> TemplateGraph:
        """Return a template with its graph; raises TemplateNotFound."""
        check_template_owner(owner)
        return self._store.get(checked(name, str, field="name"), owner=owner)

    def delete(self, name: str, *, owner: str = "", if_match: str | None = None) -> None:
        """Forget a template; jobs and batches that were made from it stay what they are.

        Raises:
            TemplateNotFound: the owner has none of this name.
            TemplateChanged: it is not the one of *if_match*, an etag.
        """
        check_template_owner(owner)
        self._store.delete(checked(name, str, field="name"), owner=owner, expected=if_match or "")
        self._actions.write("template.delete", selection=name, owner=owner)

    def check(
        self,
        graph: GraphLike,
        *,
        params: Mapping[str, Any] | None = None,
        pool: str | None = None,
        owner: str = "",
    ) -> GraphCheck:
        """Return which living nodes can run a graph, what the others lack, and which values jobs may set.

        Args:
            graph: as of `Producer.submit`; a `NamedGraph` names a template.
            params: set in it first.
            pool: its nodes alone; those of all pools by default.

        Raises:
            InvalidJob: it is no graph that any node could run, or a param names nothing.
            FleetUnreachable: Redis did not answer.
        """
        wanted = Request(graph=graph, params=params or {}, pool=pool or "", owner=owner)
        return self._intake.check_graph(wanted)


class AsyncTemplates(ThreadedTwin):
    """The same for asyncio; each call runs in a thread."""

    put = in_thread(Templates.put)
    put_once = in_thread(Templates.put_once)
    list = in_thread(Templates.list)
    get = in_thread(Templates.get)
    delete = in_thread(Templates.delete)
    check = in_thread(Templates.check)
