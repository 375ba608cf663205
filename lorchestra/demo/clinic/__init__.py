"""A made-up clinic: what its mailboxes and forms hold on each day, the same each time."""

from lorchestra.demo.clinic.correspondence import ACCOUNTS
from lorchestra.demo.clinic.holdings import Holdings, of_day
from lorchestra.demo.clinic.questions import FORMS

__all__ = ["ACCOUNTS", "FORMS", "Holdings", "of_day"]
