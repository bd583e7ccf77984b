"""Panels and dashboards in our manner, by Grafana's own typed builder of its format."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
"""The variable `source` of each dashboard: which Prometheus is asked."""

Query = tuple[str, str]
"""An expression of PromQL, and the name of what it gives, with labels as in {{instance}}."""

Item = str | stat.Panel | timeseries.Panel
"""A panel, or the title of the row that begins here."""


def number(title: str, what: str, unit: str, expr: str) -> stat.Panel:
    """Return a panel of one big number with its trend behind."""
    return (
        stat.Panel()
        .title(title)
        .description(what)
        .datasource(SOURCE)
        .unit(unit)
        .color_mode(BigValueColorMode.NONE)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target((expr, title), "A"))
        .height(4)
        .span(4)
    )


def curves(
    title: str,
    what: str,
    unit: str,
    *queries: Query,
    span: int = 8,
    least: float | None = None,
    stacked: bool = False,
) -> timeseries.Panel:
    """Return a panel of curves over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(what)
        .datasource(SOURCE)
        .unit(unit)
        .fill_opacity(30 if stacked else 0)
        .line_width(1)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .height(8)
        .span(span)
    )
    if least is not None:
        panel = panel.min(least)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for index, query in enumerate(queries):
        panel = panel.with_target(_target(query, chr(ord("A") + index)))
    return panel


def _target(query: Query, ref_id: str) -> prometheus.Dataquery:
    expr, legend = query
    return (
        prometheus.Dataquery()
        .datasource(SOURCE)
        .expr(expr)
        .legend_format(legend)
        .format(PromQueryFormat.TIME_SERIES)
        .ref_id(ref_id)
    )


def board(uid: str, title: str, what: str, items: Sequence[Item]) -> dashboard.Dashboard:
    """Return a dashboard of rows and panels, numbered in their order."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(what)
        .tags(["websim"])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus")
        )
        .annotation(
            dashboard.AnnotationQuery()
            .name("Rewards adopted or rolled back")
            .datasource(SOURCE)
            .enable(True)
            .icon_color("purple")
            .expr(
                "sum by(event) (increase(websim_learner_adaptation_events_total"
                '{event=~"adopted|rolled_back"}[30s])) > 0'
            )
        )
    )
    for number_, item in enumerate(items, 1):
        if isinstance(item, str):
            made = made.with_row(dashboard.Row(item).id(number_))
        else:
            made = made.with_panel(item.id(number_))
    return made
