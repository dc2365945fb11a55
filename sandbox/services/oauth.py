"""The authorization server: token, authorize and logout endpoints (`{auth}/oauth2/…`)."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.http_answers import build_json_answer, read_body
from sandbox.tokens import Client, TokenError
from sandbox.world import World


class OAuthService:
    """Token and logout endpoints."""

    def __init__(self, world: World) -> None:
        """Serve the clients and tokens of `world`."""
        self._world = world

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route("/oauth2/token", self.send_token, methods=["POST"]),
            Route("/oauth2/logout", self.end_login, methods=["POST"]),
        ]

    async def send_token(self, request: Request) -> Response:
        """All three grants."""
        values = await _read_parameters(request)
        try:
            client = self._find_client(request, values)
            return build_json_answer(
                self._grant(client, values), headers={"Cache-Control": "no-store", "Pragma": "no-cache"}
            )
        except TokenError as error:
            return _build_refusal(error)

    async def end_login(self, request: Request) -> Response:
        """End the session of a refresh token."""
        values = await _read_parameters(request)
        try:
            client = self._find_client(request, values)
            self._world.tokens.end(client, values.get("refresh_token", ""))
        except TokenError as error:
            return _build_refusal(error)
        return Response(status_code=204)

    def _grant(self, client: Client, values: Mapping[str, str]) -> dict[str, object]:
        tokens = self._world.tokens
        grant = values.get("grant_type", "")
        offline = "offline_access" in values.get("scope", "").split()
        if grant == "client_credentials":
            if client.flow != "custom":
                raise TokenError(401, "unauthorized_client", "Client not enabled to retrieve service account")
            return tokens.start(client, None, offline=offline)
        if grant == "authorization_code":
            if client.flow != "code":
                raise TokenError(401, "unauthorized_client", "Client not allowed for the code flow")
            return tokens.redeem(client, values.get("code", ""), values.get("redirect_uri", ""))
        if grant == "refresh_token":
            return tokens.refresh(client, values.get("refresh_token", ""))
        if not grant:
            raise TokenError(400, "invalid_request", "Missing form parameter: grant_type")
        raise TokenError(400, "unsupported_grant_type", "Unsupported grant_type")

    def _find_client(self, request: Request, values: Mapping[str, str]) -> Client:
        """The client by HTTP Basic or by parameters; Basic wins."""
        client_id, secret = _read_basic(request) or (
            values.get("client_id", ""),
            values.get("client_secret", ""),
        )
        client = self._world.clients.get(client_id)
        if client is None or not hmac.compare_digest(client.secret.encode(), secret.encode()):
            raise TokenError(401, "invalid_client", "Invalid client or Invalid client credentials")
        return client


def _build_refusal(error: TokenError) -> Response:
    return build_json_answer({"error": error.error, "error_description": error.description}, error.status)


def _read_basic(request: Request) -> tuple[str, str] | None:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote_plus(client_id), unquote_plus(secret)


async def _read_parameters(request: Request) -> dict[str, str]:
    """Parameters of the query and of the form; the form wins."""
    form = (await read_body(request)).decode("utf-8", "replace")
    return {**dict(request.query_params.multi_items()), **dict(parse_qsl(form, keep_blank_values=True))}
