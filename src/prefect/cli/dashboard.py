"""`prefect dashboard`: the pages of the server."""

from __future__ import annotations

import webbrowser

from cyclopts import App

from prefect.cli import _console
from prefect.settings import get_current_settings

app = App(name="dashboard", help="See the pages of the server.")


@app.command(name="open")
def open_pages() -> None:
    """Open the pages of the server in a browser."""
    url = get_current_settings().ui_url
    if not url:
        _console.fail(
            "There are no pages to open: nothing says where a server is. `prefect server start` starts one, and "
            "PREFECT_API_URL (or PREFECT_UI_URL) names it."
        )
    if webbrowser.open_new_tab(url):
        print(f"Opened {url}")
    else:
        print(f"No browser could be started. The pages are at {url}")
