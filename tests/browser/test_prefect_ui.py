"""From an empty Prefect server to an archived day and its alert, in the browser, as a newcomer clicks through it.

The steps that change something are fixtures of the module: each is done once, whatever tests are chosen.
"""

from __future__ import annotations

import gzip
import inspect
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from prefect_deepset import flows
from prefect_deepset.alerts.events import ARCHIVED, CROSSED
from prefect_deepset.alerts.rules import ErrorCount
from prefect_deepset.blocks import AlertRules, DeepsetCredentials, LogArchive

from .conftest import BUCKET, KEY, PREFIX, WORKSPACE, Screen, World

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

RUN_PATIENCE = 240_000
THRESHOLD = 200
"""Only `chat` has as many errors."""
BOTH = pytest.mark.parametrize("screen", ["light", "dark"], indirect=True)


def field(page: Page, title: str) -> Locator:
    """The input of a form's field; Prefect adds to the titles of those that may stay empty."""
    return page.get_by_label(re.compile(rf"^{re.escape(title)}( \(Optional\))?$"))


def create_block(screen: Screen, slug: str, height: int = 800) -> Page:
    page = screen.open(f"/blocks/catalog/{slug}/create", height)
    page.get_by_role("button", name="Save").wait_for()
    return page


def send(page: Page, button: str, path: str) -> None:
    """Presses the button; again while Prefect's database is busy (503), which its UI leaves to whoever sits before it."""
    for _ in range(30):
        with page.expect_response(lambda answer: answer.request.method == "POST" and answer.url.endswith(path)) as sent:
            page.get_by_role("button", name=button).click()
        if sent.value.status != 503:
            return
        page.wait_for_timeout(1000)


def save_block(page: Page) -> None:
    send(page, "Save", "/block_documents/")
    page.get_by_text("Paste this snippet into your flows").wait_for()


def saved(world: World, slug: str) -> bool:
    found = world.prefect.api.get(f"/block_types/slug/{slug}/block_documents/name/default")
    return found.status_code == 200


@pytest.fixture
def credentials_saved(screen: Screen, world: World) -> None:
    """The key, put in through its form."""
    if saved(world, "deepset-credentials"):
        return
    page = create_block(screen, "deepset-credentials", 460)
    field(page, "Name").fill("default")
    field(page, "API Key").fill(KEY)
    assert field(page, "API Key").get_attribute("type") == "password"
    screen.shoot("block-credentials")
    field(page, "API URL").fill(world.deepset.url)
    save_block(page)


@pytest.fixture
def archive_saved(screen: Screen, world: World) -> None:
    """The archive, put in through its form."""
    if saved(world, "deepset-log-archive"):
        return
    page = create_block(screen, "deepset-log-archive", 1500)
    field(page, "Name").fill("default")
    field(page, "Bucket").fill(BUCKET)
    field(page, "Prefix").fill(PREFIX)
    page.get_by_role("button", name="Select a block").click()
    page.get_by_role("option", name="archivist").click()
    page.get_by_role("button", name="Select Addressing Style").click()
    page.get_by_role("option", name="path").click()
    page.get_by_role("option", name="path").wait_for(state="detached")
    screen.shoot("block-archive")
    save_block(page)


@pytest.fixture
def run_id(screen: Screen, world: World, credentials_saved: None, archive_saved: None) -> str:
    """A run of the daily flow that was started through its form, and that is over."""
    deployment = world.prefect.deployments()["archive-daily-logs"]
    chosen = {"flow_runs": {"deployment_id": {"any_": [deployment["id"]]}, "state": {"type": {"any_": ["COMPLETED"]}}}}
    if done := world.prefect.post("/flow_runs/filter", **chosen):
        return done[0]["id"]
    page = screen.open(f"/deployments/deployment/{deployment['id']}/run", 1620)
    page.get_by_role("button", name="Select a block").last.wait_for()
    field(page, "Run Name").fill("by-hand")
    field(page, "workspace").fill(WORKSPACE)
    page.get_by_role("tabpanel", name="int").get_by_role("spinbutton").fill(str(THRESHOLD))
    screen.shoot("run-form")
    send(page, "Submit", "/create_flow_run")
    page.wait_for_url("**/deployments/deployment/*?tab=Runs", wait_until="commit")
    mine = {"deployment_id": {"any_": [deployment["id"]]}}
    [run, *_] = world.prefect.post("/flow_runs/filter", flow_runs=mine, sort="EXPECTED_START_TIME_DESC")
    page = screen.open(f"/runs/flow-run/{run['id']}", 720)
    page.get_by_text(re.compile("^(Completed|Failed|Crashed)$")).first.wait_for(timeout=RUN_PATIENCE)
    logs = world.prefect.post("/logs/filter", logs={"flow_run_id": {"any_": [run["id"]]}})
    assert page.get_by_text("Completed", exact=True).count(), [log["message"] for log in logs]
    return run["id"]


def properties(block: type[Any]) -> dict[str, Any]:
    return block.model_json_schema()["properties"]


@pytest.mark.parametrize("block", [DeepsetCredentials, LogArchive, AlertRules])
def test_a_block_form_shows_each_field_with_title_and_description_in_order(block: type[Any], screen: Screen, world: World):
    page = create_block(screen, block.get_block_type_slug(), 1000)
    page.get_by_text(list(properties(block).values())[-1]["description"]).wait_for()
    text = page.locator("main").inner_text()
    places = [text.index(part) for one in properties(block).values() for part in (f"\n{one['title']}", one["description"])]
    assert places == sorted(places)


def test_a_block_form_says_what_is_wrong_with_a_name(screen: Screen, world: World):
    page = create_block(screen, "deepset-credentials")
    field(page, "Name").fill("On Call!")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Name must only contain lowercase letters, numbers, and dashes").wait_for()


def test_the_key_is_masked_in_its_form_and_nowhere_to_be_seen_once_saved(screen: Screen, world: World, credentials_saved: None):
    assert world.prefect.block_data("deepset-credentials", "default")["api_key"] == "********"
    page = screen.open("/blocks")
    page.get_by_role("link", name="default").first.click()
    page.get_by_text("Paste this snippet into your flows").wait_for()
    page.locator("main").filter(has_text='DeepsetCredentials.load("default")').wait_for()
    assert KEY not in page.content()


def test_what_is_left_empty_in_the_archive_form_is_left_to_the_bucket(screen: Screen, world: World, archive_saved: None):
    data = world.prefect.block_data("deepset-log-archive", "default")
    assert (data["bucket"], data["prefix"], data["addressing_style"]) == (BUCKET, PREFIX, "path")
    empty = ("sse_kms_key_id", "storage_class", "expected_bucket_owner", "signing_key", "tags")
    assert not [name for name in empty if data.get(name)]


def test_alert_rules_can_be_filled_in_and_loaded_as_rules(screen: Screen, world: World):
    page = create_block(screen, "deepset-alert-rules", 1720)
    field(page, "Name").fill("default")
    field(page, "Error Rows: Resolve Below").fill("50")
    field(page, "Error Ratio").fill("0.05")
    page.get_by_label("New Exceptions (Optional)").click()
    screen.shoot("block-alert-rules")
    save_block(page)
    rules = AlertRules.model_validate(world.prefect.block_data("deepset-alert-rules", "default")).get_rules().rules
    assert [rule.name for rule in rules] == ["error-threshold", "error-ratio", "new-exception"]
    assert isinstance(rules[0], ErrorCount)
    assert (rules[0].threshold, rules[0].resolve_below) == (100, 50)


def test_each_run_form_shows_the_parameters_of_its_flow_in_order(screen: Screen, world: World):
    for name, deployment in world.prefect.deployments().items():
        flow = getattr(flows, deployment["entrypoint"].rpartition(".")[2])
        page = screen.open(f"/deployments/deployment/{deployment['id']}/run", 1600)
        shown = deployment["parameter_openapi_schema"]["properties"].values()
        described = [" ".join(one["description"].split()) for one in shown]
        page.get_by_text(described[-1]).wait_for()
        lines = page.locator("main").inner_text().splitlines()
        parameters = inspect.signature(flow.fn).parameters.values()
        labels = [one.name if one.default is one.empty else f"{one.name} (Optional)" for one in parameters]
        assert [line for line in lines if line in labels] == labels, name
        assert [line for line in lines if line in described] == described, name


def test_a_run_form_refuses_what_its_flow_cannot_take(screen: Screen, world: World):
    deployment = world.prefect.deployments()["archive-daily-logs"]
    page = screen.open(f"/deployments/deployment/{deployment['id']}/run", 1600)
    field(page, "max_concurrency").fill("1.5")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("1.5 is not of type 'integer'", exact=True).wait_for()


def test_a_run_started_in_the_browser_archives_the_day_as_it_is_on_the_platform(screen: Screen, world: World, run_id: str):
    for pipeline in ("chat", "search"):
        folder = f"{PREFIX}/jsonl/workspace={WORKSPACE}/pipeline={pipeline}/dt={world.day}/"
        parts = [world.s3.read(BUCKET, key) for key in world.s3.keys(BUCKET, folder)]
        archived = sorted(json.loads(line)["log_id"] for part in parts for line in gzip.decompress(part).splitlines())
        truth = world.deepset.truth(WORKSPACE, pipeline)
        assert archived == sorted(row.log_id for row in truth if row.logged_at.startswith(world.day))


def test_the_run_page_shows_its_tasks_and_its_log(screen: Screen, world: World, run_id: str):
    page = screen.open(f"/runs/flow-run/{run_id}", 900)
    page.get_by_text(f"Workspace {WORKSPACE}: 2 sources").wait_for()
    page.get_by_role("tab", name="Task Runs").click()
    page.get_by_text(f"report-{WORKSPACE}").first.wait_for()
    screen.shoot("flow-run")


def report_id(world: World) -> str:
    [report] = world.prefect.post("/artifacts/latest/filter", artifacts={"key": {"like_": f"deepset-logs-{WORKSPACE}"}})
    return report["latest_id"] if "latest_id" in report else report["id"]


def plots(page: Page) -> dict[str, list[int]]:
    """Natural width and height of each picture in the report, by its text, once the day's and the trend's are there."""
    for beginning in ("3,000 rows and ", "rows and errors by day"):
        page.locator(f"img[alt^='{beginning}']").first.wait_for()
    return page.locator("img[alt*='rows and']").evaluate_all("""async all => {
        await Promise.all(all.map(one => one.decode()))
        return Object.fromEntries(all.map(one => [one.alt, [one.naturalWidth, one.naturalHeight]]))
    }""")


@BOTH
def test_the_report_shows_its_plots(screen: Screen, world: World, run_id: str, request: pytest.FixtureRequest):
    page = screen.open(f"/artifacts/artifact/{report_id(world)}", 1400)
    page.get_by_role("heading", name="chat").wait_for()
    assert all(width > 0 and height > 0 for width, height in plots(page).values())
    screen.shoot(f"report-{request.node.callspec.params['screen']}")


def test_the_classic_ui_shows_the_report_and_checks_what_a_block_needs(screen: Screen, world: World, run_id: str):
    page = screen.open(f"/artifacts/artifact/{report_id(world)}", 1240, base="")
    assert all(width > 0 and height > 0 for width, height in plots(page).values())
    page = screen.open("/blocks/catalog/deepset-log-archive/create", base="")
    page.get_by_role("button", name="Create").click()
    page.get_by_text("Bucket is required").wait_for()


def test_the_alert_is_in_the_event_feed_with_what_crossed_the_threshold(screen: Screen, world: World, run_id: str):
    # By kind, since a page of the feed may be full of other events; up to tomorrow, since its "past day" ends a little
    # before now.
    kinds, now = quote(json.dumps([CROSSED, ARCHIVED])), datetime.now(UTC)
    start, end = (quote((now + timedelta(days=days)).isoformat(timespec="seconds")) for days in (-1, 1))
    page = screen.open(f"/events?events={kinds}&rangeType=range&start={start}&end={end}", 900)
    page.get_by_text("Deepset Logs Archived").first.wait_for()
    assert page.get_by_text("Deepset Logs Error Threshold Crossed").count() == 1
    assert f"{WORKSPACE}/chat" in page.locator("main").inner_text()
    screen.shoot("event-feed")


def test_a_value_that_no_form_checks_is_explained_in_the_log_of_the_run(screen: Screen, world: World):
    page = create_block(screen, "deepset-log-archive")
    field(page, "Name").fill("wrong")
    field(page, "Bucket").fill(f"s3://{BUCKET}")
    save_block(page)
    parameters = {"archive": {"$ref": {"block_document_slug": "deepset-log-archive/wrong"}}, "workspace": WORKSPACE}
    deployment = world.prefect.deployments()["verify-archive"]
    run = world.prefect.post(f"/deployments/{deployment['id']}/create_flow_run", parameters=parameters)
    page = screen.open(f"/runs/flow-run/{run['id']}")
    page.get_by_text("Failed", exact=True).first.wait_for(timeout=RUN_PATIENCE)
    page.reload()
    page.get_by_text("give the bucket's name only, without s3://").wait_for()
