"""Hands for faults of processes, networks and disks on this host. All are journalled: any process can undo them from the handle."""
