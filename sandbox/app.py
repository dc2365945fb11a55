"""The web application: all of SMA's services and the sandbox's own, on one address."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from sandbox.faults.fault_plan import FaultPlan, parse_fault
from sandbox.faults.middleware import FaultPlayer
from sandbox.http_answers import build_error_answer
from sandbox.services.authorize import AuthorizeService
from sandbox.services.consent_service import ConsentService
from sandbox.services.control import ControlService
from sandbox.services.express import Express
from sandbox.services.gateway import DateMiddleware, Gateway, TokenBucket
from sandbox.services.gridcontrol import GridControlService
from sandbox.services.hosts import HostCheck, SandboxHosts
from sandbox.services.live import LiveService
from sandbox.services.logs import LogService
from sandbox.services.measurements import MeasurementService
from sandbox.services.monitoring import MonitoringService
from sandbox.services.oauth import OAuthService
from sandbox.services.openapi import OpenApiService
from sandbox.services.truth import TruthService
from sandbox.world import World


def build_app(world: World) -> Starlette:
    """The ASGI application for `world`; the busiest routes come first. Raises FaultError for a fault that cannot be."""
    options = world.options
    bucket = TokenBucket(world.clock, options.requests_per_5_min, options.retry_after)
    hosts = SandboxHosts([options.host, *options.allowed_hosts])
    plan = FaultPlan(options.seed, world.clock)
    plan.replace([parse_fault(text) for text in options.faults])
    measurements = MeasurementService(world)
    services = (
        measurements,
        MonitoringService(world),
        LogService(world),
        OAuthService(world),
        ConsentService(world),
        AuthorizeService(world),
        LiveService(world),
        GridControlService(world),
        ControlService(world, plan, bucket),
        OpenApiService(),
        TruthService(world),
    )
    app = Starlette(
        routes=[route for service in services for route in service.routes()],
        middleware=[
            Middleware(DateMiddleware, clock=world.clock),
            Middleware(HostCheck, hosts=hosts),
            Middleware(FaultPlayer, world=world, plan=plan),
            Middleware(Gateway, world=world, bucket=bucket),
        ],
        exception_handlers={HTTPException: _answer_error},
    )
    app.router.redirect_slashes = False
    app.state.express = Express(world, plan, bucket, hosts, measurements)
    return app


def _answer_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return build_error_answer(error)
