"""What any scheduler must do, as tests: `from tavernkeep_devkit.conformance.scheduler import SchedulerConformance`.

This package imports nothing by itself: servers load its `plugin`, and have none of what tests need.
"""
