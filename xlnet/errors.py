"""The one error that a user can mend."""


class UserError(Exception):
    """Wrong input or settings. The message says what is wrong, what was found and what to do, on one line.

    `xlnet` prints it as `error: <message>` and exits with 2; inside a pipeline step it fails the step.
    """
