"""Routes `/standin/faults`, by which tests set, list and remove fault rules."""

from __future__ import annotations

from aiohttp import web

from infra.standin.faults import FaultRule, Faults, InvalidRule


class FaultRoutes:
    """Handlers that set, list and remove rules; no rule applies to them."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, which ComfyUI does not have."""
        return [
            web.get("/standin/faults", self.show),
            web.post("/standin/faults", self.set),
            web.delete("/standin/faults", self.clear),
            web.delete("/standin/faults/{id}", self.clear_one),
        ]

    async def show(self, _request: web.Request) -> web.Response:
        return web.json_response([rule.as_message() for rule in self._faults.rules()])

    async def set(self, request: web.Request) -> web.Response:
        given = await request.json()
        try:
            rules = [FaultRule.read(one) for one in (given if isinstance(given, list) else [given])]
        except InvalidRule as exc:
            return web.json_response({"error": str(exc)}, status=400)
        self._faults.add(*rules)
        return web.json_response([rule.id for rule in rules])

    async def clear(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return web.Response()

    async def clear_one(self, request: web.Request) -> web.Response:
        self._faults.clear(int(request.match_info["id"]))
        return web.Response()
