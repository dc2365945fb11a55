"""The code flow's page: the owner signs in, sees who asks for what, and allows or denies (`{auth}/oauth2/auth`)."""

import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.http_answers import read_body
from sandbox.options import OWNER_PASSWORD
from sandbox.services.html_pages import Markup, render_hidden_fields, render_list_items, render_page
from sandbox.tokens import Client
from sandbox.world import World

MAX_TICKETS = 1000
TICKET_S = 600
_ASKED = ("client_id", "response_type", "redirect_uri", "state", "scope")


@dataclass(frozen=True, slots=True)
class _Ticket:
    """A signed-in owner who has not decided yet."""

    client: Client
    asked: dict[str, str]
    email: str
    expires_at: float


class AuthorizeService:
    """Login, consent, and back to the application with a code."""

    def __init__(self, world: World) -> None:
        """Serve the clients and owners of `world`."""
        self._world = world
        self._tickets: OrderedDict[str, _Ticket] = OrderedDict()

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route("/oauth2/auth", self.show_login, methods=["GET"]),
            Route("/oauth2/auth/login", self.check_login, methods=["POST"]),
            Route("/oauth2/auth/decide", self.note_decision, methods=["POST"]),
        ]

    async def show_login(self, request: Request) -> Response:
        """The login page of a valid request."""
        asked = {name: request.query_params[name] for name in _ASKED if name in request.query_params}
        client = self._find_client(asked)
        return _build_login_page(client, asked) if isinstance(client, Client) else client

    async def check_login(self, request: Request) -> Response:
        """Check the owner's password and show what is asked for."""
        form = await _read_form(request)
        asked = {name: form[name] for name in _ASKED if name in form}
        client = self._find_client(asked)
        if not isinstance(client, Client):
            return client
        email = form.get("email", "").strip().lower()
        right = hmac.compare_digest(form.get("password", "").encode(), OWNER_PASSWORD.encode())
        if not right or not self._world.is_owner(email):
            return _build_login_page(
                client, asked, email=email, error="The e-mail address or the password is wrong. Try again."
            )
        return self._build_consent_page(_Ticket(client, asked, email, self._world.clock.now() + TICKET_S))

    async def note_decision(self, request: Request) -> Response:
        """Send the owner back to the application, with a code or with `access_denied`."""
        form = await _read_form(request)
        ticket = self._tickets.pop(form.get("ticket", ""), None)
        if ticket is None or ticket.expires_at <= self._world.clock.now():
            return _build_problem(
                "This page has expired or was used before.",
                "Return to the application and start the login again.",
            )
        answer = {"error": "access_denied"}
        if form.get("decision") == "allow":
            offline = "offline_access" in ticket.asked.get("scope", "").split()
            redirect = ticket.asked["redirect_uri"]
            answer = {
                "session_state": secrets.token_hex(16),
                "code": self._world.tokens.new_code(ticket.client, ticket.email, redirect, offline=offline),
            }
        if "state" in ticket.asked:
            answer["state"] = ticket.asked["state"]
        return RedirectResponse(_add_query(ticket.asked["redirect_uri"], answer), 302)

    def _find_client(self, asked: dict[str, str]) -> Client | Response:
        """The client of a valid request, or the page that says what is wrong."""
        client = self._world.clients.get(asked.get("client_id", ""))
        if client is None:
            return _build_problem("The application is unknown.", "Check the parameter client_id.")
        if client.flow != "code":
            return _build_problem(
                "This application may not use the code flow.", "Use the client of the code flow."
            )
        if asked.get("response_type") != "code":
            return _build_problem(
                "Only response_type=code is supported.", "Check the parameter response_type."
            )
        try:
            target = urlsplit(asked.get("redirect_uri", ""))
            good = target.scheme in ("http", "https") and bool(target.hostname) and not target.fragment
        except ValueError:
            good = False
        if not good:
            return _build_problem(
                "The address of the application is missing or wrong.",
                "redirect_uri must be an http(s) address.",
            )
        return client

    def _build_consent_page(self, ticket: _Ticket) -> Response:
        key = secrets.token_urlsafe(24)
        self._tickets[key] = ticket
        if len(self._tickets) > MAX_TICKETS:
            self._tickets.popitem(last=False)
        names = [source.plant.name for source in self._world.sources() if source.plant.owner == ticket.email]
        offline = "offline_access" in ticket.asked.get("scope", "").split()
        values = {
            "client": ticket.client.client_id,
            "email": ticket.email,
            "duration": ", until you revoke it" if offline else "",
            "count": "1 plant" if len(names) == 1 else f"{len(names)} plants",
            "plants": render_list_items(names),
            "fields": render_hidden_fields({"ticket": key}),
        }
        return render_page("consent", "Allow access?", values)


def _build_login_page(client: Client, asked: dict[str, str], *, email: str = "", error: str = "") -> Response:
    values = {
        "client": client.client_id,
        "fields": render_hidden_fields(asked),
        "email": email,
        "error": Markup(f'<p class="error" role="alert">{error}</p>') if error else "",
        "password": OWNER_PASSWORD,
    }
    return render_page("login", "Sign in", values, 401 if error else 200)


def _build_problem(problem: str, cure: str) -> Response:
    return render_page("problem", "This request can't be completed", {"problem": problem, "cure": cure}, 400)


def _add_query(address: str, more: dict[str, str]) -> str:
    parts = urlsplit(address)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *more.items()])
    return parts._replace(query=query).geturl()


async def _read_form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await read_body(request)).decode("utf-8", "replace"), keep_blank_values=True))
