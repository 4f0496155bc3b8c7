"""The one error that a user can mend."""


class UserError(Exception):
    """Wrong input or settings. The message says what is wrong, what was found and what to do, on one line.

    `xlnet` prints it as `error: <message>` and exits with 2; inside a pipeline step it fails the step.
    """


class MissingError(UserError):
    """A file that is not there."""


def require(holds: bool, name: str, found: object, wanted: str) -> None:
    """Raises UserError, with the value that was found and what is wanted, where a setting does not hold."""
    if not holds:
        raise UserError(f"{name} is {found!r}, wanted is {wanted}")
