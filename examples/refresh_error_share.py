"""Started by an asset: a pipeline's logs were materialized, so what is made from them is stale."""

from prefect import flow
from prefect.assets import add_asset_metadata, materialize


@flow(name="refresh-error-share")
def refresh_error_share(logs: str, dt: str, rows: int, errors: int) -> float:
    """Makes one asset from another: `logs` is the key of the pipeline's logs, the rest is their metadata."""
    asset = f"{logs.replace('s3://', 'dashboard://', 1)}/error-share"

    @materialize(asset, asset_deps=[logs])
    def error_share() -> float:
        share = errors / rows if rows else 0.0
        add_asset_metadata(asset, {"dt": dt, "share": share})
        return share

    return error_share()
