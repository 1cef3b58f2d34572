"""Which experiment next: choosers that ask the propagation model. Needs numpy (`pip install 'refute[planner]'`)."""
