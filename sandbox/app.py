"""The web application: all of SMA's services and the sandbox's own, on one address."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from sandbox.services.gateway import Gateway, TokenBucket
from sandbox.services.http import error_answer
from sandbox.services.logs import LogService
from sandbox.services.measurements import MeasurementService
from sandbox.services.monitoring import MonitoringService
from sandbox.services.oauth import OAuthService
from sandbox.services.truth import TruthService
from sandbox.world import World


def build_app(world: World) -> Starlette:
    """The ASGI application for `world`; the busiest routes come first."""
    options = world.options
    bucket = TokenBucket(world.clock, options.requests_per_5_min, options.retry_after)
    services = (
        MeasurementService(world),
        MonitoringService(world),
        LogService(world),
        OAuthService(world),
        TruthService(world),
    )
    app = Starlette(
        routes=[route for service in services for route in service.routes()],
        middleware=[Middleware(Gateway, world=world, bucket=bucket)],
        exception_handlers={HTTPException: _in_sma_form},
    )
    app.router.redirect_slashes = False
    return app


def _in_sma_form(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return error_answer(error)
