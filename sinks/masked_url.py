"""Masks passwords in URLs, for logs, errors and ``onramp settings``."""

from __future__ import annotations

import re

# Greedy up to the last @, because a password may contain @, / or : that was not escaped.
_USER_INFO = re.compile(r"^([A-Za-z][\w+.-]*://)([^:@/]*):.*@", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


def mask_url(url: str) -> str:
    """Return ``url`` with every password replaced by ``***``. Does not raise, even if the text is not a URL."""
    return _SECRET_PARAMETER.sub(r"\1***", _USER_INFO.sub(r"\1\2:***@", url))
