"""Addresses as they may be shown: logs, errors and ``onramp settings`` never print a password."""

from __future__ import annotations

import re

# Greedy up to the last @, because a password may hold @, / or : that somebody forgot to escape.
_USER_INFO = re.compile(r"^([A-Za-z][\w+.-]*://)([^:@/]*):.*@", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


def mask_url(url: str) -> str:
    """Return ``url`` with the password replaced by ``***``, wherever it stands. Never raises, whatever the text is."""
    return _SECRET_PARAMETER.sub(r"\1***", _USER_INFO.sub(r"\1\2:***@", url))
