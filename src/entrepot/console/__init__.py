"""The web console: shell, theme and shared widgets. Pages call operations and hold no logic."""

from entrepot.console.desk import Desk
from entrepot.console.pages import Page, page

__all__ = ["Desk", "Page", "page"]
