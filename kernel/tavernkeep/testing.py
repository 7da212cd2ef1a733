"""The name under which tests of plugins find the fixtures of the plugin `devkit`: `pytest_plugins = ["tavernkeep.testing"]`."""

from tavernkeep_devkit.testing import Ran, RunNode, RunWorkflow, Tavern, WorkflowFailed, run_node, run_workflow, tavern

__all__ = ["Ran", "RunNode", "RunWorkflow", "Tavern", "WorkflowFailed", "run_node", "run_workflow", "tavern"]
