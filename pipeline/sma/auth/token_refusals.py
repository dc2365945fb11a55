"""Whether another access token may help after a 401: some refusals are of the token, others of what was asked for."""

from dataclasses import dataclass, field

# So many refusals in a row may be of a token that has ended early, whoever they are of.
REFUSED_IN_A_ROW = 4


@dataclass(slots=True)
class TokenRefusals:
    """Counts the requests that were answered with 401, and knows what refused a token that SMA had just issued.

    A renewal counts as a request, and in the code flow trades in the login. What refuses each token would have one for
    each of its requests.
    """

    _refusing: set[tuple[str, str]] = field(default_factory=set)
    _in_a_row: int = 0
    _limit: int = REFUSED_IN_A_ROW

    def is_renewal_due(self, plant_id: str, endpoint: str) -> bool:
        """Whether to try again with another token after a 401 of this plant and endpoint, which this counts."""
        self._in_a_row += 1
        if (plant_id, endpoint) not in self._refusing:
            return True
        if self._in_a_row < self._limit:
            return False
        # As long as nothing is answered, renewals become rarer.
        self._limit *= 2
        return True

    def note_refusal(self, plant_id: str, endpoint: str) -> None:
        """A request was answered with 401 for the second time, with a token that had just been issued."""
        self._refusing.add((plant_id, endpoint))

    def note_answer(self, plant_id: str, endpoint: str) -> None:
        """A request was answered with something else."""
        self._refusing.discard((plant_id, endpoint))
        self._in_a_row, self._limit = 0, REFUSED_IN_A_ROW
