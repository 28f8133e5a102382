"""What goes wrong with the local stack, in words for the person who typed the command."""


class LocalStackError(Exception):
    """The stack cannot do what was asked; the message says why and what helps."""


class NotReady(Exception):
    """A part does not answer as it should (yet); the message says how."""
