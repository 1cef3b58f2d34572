"""What breaks what: a posterior over how an application responds to failing calls. Needs numpy (`pip install 'refute[planner]'`)."""
