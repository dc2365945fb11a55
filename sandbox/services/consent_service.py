"""Owner consent by e-mail, the custom flow (`{consent}/oauth2/v2/bc-authorize`)."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.granted_consents import POLL_INTERVAL_S, SandboxConsentState, UnknownOwnerError
from sandbox.http_answers import ApiError, build_json_answer, build_not_found, read_json_object
from sandbox.services.gateway import read_access
from sandbox.world import World

_PATH = "/oauth2/v2/bc-authorize"


class ConsentService:
    """Ask for consent, get its state, and answer as the owner."""

    def __init__(self, world: World) -> None:
        """Serve the consents of `world`."""
        self._world = world

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route(_PATH, self.ask_owner, methods=["POST"]),
            Route(f"{_PATH}/{{login_hint}}", self.show_state, methods=["GET"]),
            Route(f"{_PATH}/{{login_hint}}/status", self.play_owner, methods=["PUT"]),
        ]

    async def ask_owner(self, request: Request) -> Response:
        """Ask an owner: 201 for a new request, 200 if it is there already. May be repeated for new plants."""
        client_id = _find_custom_client(request)
        login = (await read_json_object(request)).get("loginHint")
        if not isinstance(login, str) or not login.strip():
            raise ApiError(400, "loginHint is required")
        try:
            _, new = self._world.consents.ask(client_id, login)
        except UnknownOwnerError as error:
            raise ApiError(400, "The user used as loginHint is not a system owner") from error
        return build_json_answer(self._build_answer(client_id, login), 201 if new else 200)

    async def show_state(self, request: Request) -> Response:
        """How the latest request stands; 404 if there was none."""
        return build_json_answer(
            self._build_answer(_find_custom_client(request), request.path_params["login_hint"])
        )

    async def play_owner(self, request: Request) -> Response:
        """The owner's answer. SMA's sandbox has this too; whether it says `status` or `state` is open: both work."""
        client_id, login = _find_custom_client(request), request.path_params["login_hint"]
        body = await read_json_object(request)
        text = body.get("status", body.get("state"))
        state = _read_state(text)
        if not self._world.consents.answer(client_id, login, state):
            raise build_not_found()
        self._world.version += 1
        return build_json_answer(self._build_answer(client_id, login))

    def _build_answer(self, client_id: str, login: str) -> dict[str, object]:
        state = self._world.consents.state(client_id, login)
        if state is None:
            raise build_not_found()
        return {
            "loginHint": login,
            "state": state.value,
            "expirationDate": self._world.consents.format_expiry(client_id, login),
            "interval": POLL_INTERVAL_S,
        }


def parse_state(text: object) -> SandboxConsentState | None:
    """The state of this name in any case, None for anything else."""
    return (
        {state.value.lower(): state for state in SandboxConsentState}.get(text.lower())
        if isinstance(text, str)
        else None
    )


def _read_state(text: object) -> SandboxConsentState:
    state = parse_state(text)
    if state is None or state is SandboxConsentState.PENDING:
        raise ApiError(400, "status must be Accepted, Rejected, Expired or Revoked")
    return state


def _find_custom_client(request: Request) -> str:
    """The caller's client; a client of the code flow has no business here."""
    client = read_access(request).client
    if client.flow != "custom":
        raise ApiError(403, "Forbidden")
    return client.client_id
