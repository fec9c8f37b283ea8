"""One stage for the whole room: deepset, S3, Prefect's server and worker, and a browser that looks at them."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.sources import LogSource
from prefect_deepset.archive.day import archive_day
from prefect_deepset.archive.store import S3Store, s3_config
from prefect_deepset.testing import FakeDeepset, even_day, skewed_day

from ..servers.ministack import S3Handle
from .stage import ROOT, PrefectStage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOG = logging.getLogger(__name__)
IMAGES = ROOT / "docs" / "images"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
NAVIGATION = 256
"""Pixels that the navigation takes at the left of each page."""
PATIENCE = 90_000
"""Milliseconds that an element may take to appear, unless more is said."""

WORKSPACE, BUCKET, PREFIX, KEY = "support", "deepset-logs", "logs", "api_canary-41c7e0"
PAST_DAYS = 12
KINDS = [*[("info", "haystack"), ("warning", "querypipeline")] * 5, ("error", "haystack")]


class World(NamedTuple):
    """What there is before the browser opens."""

    deepset: FakeDeepset
    s3: S3Handle
    prefect: PrefectStage
    day: str
    """Yesterday: the day that is to be archived."""


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is; skips with what to install where there is none."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make .venv/.all`")
    found = os.environ.get("PREFECT_DEEPSET_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium), and PREFECT_DEEPSET_CHROMIUM names none")
    return found


@pytest.fixture(scope="package")
def world(chromium: str, s3: S3Handle, empty_prefect: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A platform with two pipelines, one of them archived for some days; Prefect without any block of ours."""
    folder = tmp_path_factory.mktemp("prefect-ui")
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    s3.bucket(BUCKET)
    with FakeDeepset(api_key=KEY) as deepset:
        deepset.add_pipeline(WORKSPACE, "search", even_day(f"{yesterday}T00:00:00Z", 1_000))
        deepset.add_pipeline(WORKSPACE, "chat", skewed_day(f"{yesterday}T00:00:00Z", 3_000, share=0.4, kinds=KINDS[4:]))
        with PrefectStage(folder, empty_prefect, {"PREFECT_DEEPSET_SPOOL": str(folder / "spool")}) as prefect:
            archive_past(deepset, s3, folder)  # while the server starts
            prefect.set_up()
            prefect.save_block("aws-credentials", "archivist", {
                "aws_access_key_id": s3.access_key, "aws_secret_access_key": s3.secret_key, "region_name": "us-east-1",
                "aws_client_parameters": {"endpoint_url": s3.endpoint_url}})
            yield World(deepset, s3, prefect, str(yesterday))


@pytest.fixture(scope="module")
def browser(chromium: str, world: World) -> Iterator[Browser]:
    """Chromium without a window, after the world and no longer than this room's tests.

    While playwright runs, its event loop is this thread's: what Prefect offers sync and async alike would return coroutines.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


def archive_past(deepset: FakeDeepset, s3: S3Handle, folder: Path) -> None:
    """Archives `chat` on each of the days before, as of the morning after it: what a trend is drawn from."""
    store = S3Store(s3.client(base=s3_config()), BUCKET, PREFIX)
    today = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0)
    at = [0.0]
    deepset.now = now = lambda: at[0]
    with DeepsetClient(KEY, deepset.url, clock=now) as client:
        for ago in range(PAST_DAYS + 1, 1, -1):
            day = (today - timedelta(days=ago)).date()
            rows = even_day(f"{day}T00:00:00Z", 1_200 if day.weekday() > 4 else 2_500, seed=ago, kinds=KINDS)
            deepset.add_rows(WORKSPACE, "chat", rows)
            for hours in (0, 6):  # sealed, then settled
                at[0] = (today - timedelta(days=ago - 1) + timedelta(hours=hours)).timestamp()
                archive_day(client, store, LogSource(WORKSPACE, "chat"), day, now=now, spool_root=folder / "spool")
    deepset.now = time.time


class Screen:
    """A page of the browser, on the world's Prefect server."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def open(self, path: str, height: int = 800, base: str = "/v2") -> Page:
        """Shows a page of the UI that a user gets by default; the classic one has no base."""
        self.page.set_viewport_size({"width": 1280, "height": height})
        self.page.goto(f"{self.url}{base}{path}")
        return self.page

    def shoot(self, name: str) -> None:
        """Writes a picture for the documentation, of all but the navigation, when UPDATE_SCREENSHOTS=1 asks for it."""
        if os.environ.get("UPDATE_SCREENSHOTS") == "1":
            IMAGES.mkdir(exist_ok=True)
            self.page.mouse.move(0, 0)
            size = self.page.viewport_size
            assert size
            clip = {"x": NAVIGATION, "y": 0, "width": size["width"] - NAVIGATION, "height": size["height"]}
            self.page.screenshot(path=IMAGES / f"{name}.png", clip=clip, animations="disabled", caret="hide")


@pytest.fixture(params=["light"])
def screen(request: pytest.FixtureRequest, browser: Browser, world: World) -> Iterator[Screen]:
    """A page of its own, with an empty browser profile; light unless the test is parametrized otherwise."""
    context = browser.new_context(color_scheme=request.param, reduced_motion="reduce", locale="en-US", timezone_id="UTC")
    context.set_default_timeout(PATIENCE)
    # Block types have logos on the internet, which a test does not visit.
    blank = "<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>"
    context.route(lambda url: not url.startswith((world.prefect.url, "data:")),
                  lambda route: route.fulfill(content_type="image/svg+xml", body=blank)
                  if route.request.resource_type == "image" else route.abort())
    # Shown with a test that fails.
    context.on("response", lambda answer: answer.status >= 500 and LOG.warning("%d from %s", answer.status, answer.url))
    yield Screen(context.new_page(), world.prefect.url)
    context.close()
