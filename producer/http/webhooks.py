"""Routes of webhooks: who is told of ends, and what has come of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producer.access_keys import allowing
from producer.contract.access import Scope
from producer.contract.errors import InvalidJob
from producer.contract.webhooks import OF_NODES, Delivery, Webhook
from producer.http.access import Fleet, Reader, Submitter
from producer.http.problems import ProblemType, problem_of
from producer.http.requests import Name
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute
from producer.http.views import answer

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=StrictRoute)

HookName = Annotated[str, Path(max_length=100)]
DeliveryId = Annotated[str, Path(max_length=200)]


class WebhookRequest(BaseModel):
    """A receiver to register: jobs name it as their `hook`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "orders", "url": "https://shop.example/hooks"}]},
    )

    name: Name
    url: Annotated[str, Field(max_length=2_000)]
    events: list[str] = Field(default_factory=list, max_length=50)
    body: Literal["thin", "full"] = "thin"


class RotateRequest(BaseModel):
    """How long messages are signed with the old secret beside the new one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"keep_s": 3_600}]})

    keep_s: Annotated[float, Field(strict=True, ge=0, le=604_800)] = 86_400


class NewWebhookView(Webhook):
    """A webhook just registered, with the secret by which its messages are verified: it is shown this once."""

    secret: str


class WebhooksView(BaseModel):
    """The webhooks of an owner, by name."""

    webhooks: list[Webhook]


class DeliveriesView(BaseModel):
    """What waits to be told, then what is settled, the newest first."""

    deliveries: list[Delivery]


@router.post(
    "",
    status_code=201,
    response_model=NewWebhookView,
    responses=answers(400, 403, 408, 413, 415, 422, 503),
)
async def create(body: WebhookRequest, fleet: Fleet, key: Submitter) -> Response:
    """Register a webhook. Events of nodes take the scope `operate`, too: they tell of the fleet."""
    if set(body.events) & set(OF_NODES):
        allowing(key, Scope.OPERATE)
    made = await fleet.webhooks.create(
        body.name, body.url, owner=key.owner, events=body.events, body=body.body
    )
    view = NewWebhookView(**made.webhook.model_dump(), secret=made.secret.get_secret_value())
    return answer(view, status=201, headers={"Location": f"/v1/webhooks/{body.name}"})


@router.get("", response_model=WebhooksView, responses=answers(403, 503))
async def list_webhooks(fleet: Fleet, key: Reader) -> Response:
    """List the webhooks of the key's owner."""
    return answer(WebhooksView(webhooks=await fleet.webhooks.list(owner=key.owner)))


@router.get("/{name}", response_model=Webhook, responses=answers(403, 404, 503))
async def read(name: HookName, fleet: Fleet, key: Reader) -> Response:
    """Read a webhook."""
    return answer(await fleet.webhooks.get(name, owner=key.owner))


@router.delete("/{name}", status_code=204, responses=answers(403, 404, 503))
async def delete(name: HookName, fleet: Fleet, key: Submitter) -> Response:
    """Forget a webhook, and what was to be told to it."""
    await fleet.webhooks.delete(name, owner=key.owner)
    return Response(status_code=204)


@router.post("/{name}/enable", response_model=Webhook, responses=answers(403, 404, 503))
async def enable(name: HookName, fleet: Fleet, key: Submitter) -> Response:
    """Tell a webhook again that was disabled, and what has waited for it."""
    return answer(await fleet.webhooks.enable(name, owner=key.owner))


@router.post(
    "/{name}/rotate",
    response_model=NewWebhookView,
    responses=answers(400, 403, 404, 408, 413, 415, 422, 503),
)
async def rotate(
    name: HookName, fleet: Fleet, key: Submitter, body: RotateRequest | None = None
) -> Response:
    """Give a webhook a new secret, shown this once; for a time its messages are signed with the old one, too."""
    keep = timedelta(seconds=(body or RotateRequest()).keep_s)
    secret = await fleet.webhooks.rotate(name, owner=key.owner, keep=keep)
    told = (await fleet.webhooks.get(name, owner=key.owner)).model_dump()
    return answer(NewWebhookView(**told, secret=secret.get_secret_value()))


@router.post(
    "/{name}/test", status_code=202, response_model=Delivery, responses=answers(403, 404, 409, 503)
)
async def test(name: HookName, fleet: Fleet, key: Submitter) -> Response:
    """Send a webhook a message of the type `webhook.test`."""
    return await _sent(fleet.webhooks.test(name, owner=key.owner))


@router.get(
    "/{name}/deliveries", response_model=DeliveriesView, responses=answers(403, 404, 422, 503)
)
async def deliveries(
    name: HookName, fleet: Fleet, key: Reader, limit: Annotated[int, Query(ge=1, le=1_000)] = 50
) -> Response:
    """List deliveries to a webhook, with the receiver's answers."""
    found = await fleet.webhooks.deliveries(name, owner=key.owner, limit=limit)
    return answer(DeliveriesView(deliveries=list(found)))


@router.get(
    "/{name}/deliveries/{delivery_id}", response_model=Delivery, responses=answers(403, 404, 503)
)
async def delivery(name: HookName, delivery_id: DeliveryId, fleet: Fleet, key: Reader) -> Response:
    """Read one delivery to a webhook."""
    return answer(await fleet.webhooks.delivery(name, delivery_id, owner=key.owner))


@router.post(
    "/{name}/deliveries/{delivery_id}/redeliver",
    status_code=202,
    response_model=Delivery,
    responses=answers(403, 404, 409, 503),
)
async def redeliver(
    name: HookName, delivery_id: DeliveryId, fleet: Fleet, key: Submitter
) -> Response:
    """Send a message again, whatever came of it."""
    return await _sent(fleet.webhooks.redeliver(name, delivery_id, owner=key.owner))


async def _sent(sending: Any) -> Response:
    try:
        return answer(await sending, status=202)
    except InvalidJob as exc:  # it is disabled
        raise problem_of(exc, ProblemType.CONFLICT) from exc
