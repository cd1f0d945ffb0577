"""What draws the dependencies between the tasks of a flow; see `Flow.visualize`."""

from __future__ import annotations

from prefect._visualize import (
    FlowVisualizationError,
    GraphvizExecutableNotFoundError,
    GraphvizImportError,
    TaskVizTracker,
    TaskVizTrackerState,
    VisualizationUnsupportedError,
    VizTask,
    build_mermaid_dependencies,
    build_task_dependencies,
    get_task_viz_tracker,
    track_viz_map,
    track_viz_submit,
    track_viz_task,
    visualize_task_dependencies,
)

__all__ = [
    "FlowVisualizationError",
    "GraphvizExecutableNotFoundError",
    "GraphvizImportError",
    "TaskVizTracker",
    "TaskVizTrackerState",
    "VisualizationUnsupportedError",
    "VizTask",
    "build_mermaid_dependencies",
    "build_task_dependencies",
    "get_task_viz_tracker",
    "track_viz_map",
    "track_viz_submit",
    "track_viz_task",
    "visualize_task_dependencies",
]
