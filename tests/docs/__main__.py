"""`python -m tests.docs`: writes what the documentation takes from the code."""

from __future__ import annotations

from tests import guarantees
from tests.docs.written import write_all

write_all()
guarantees.PAGE.write_text(guarantees.page())
