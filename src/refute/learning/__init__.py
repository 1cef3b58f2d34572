"""Confidence, information, planner, calibration."""
