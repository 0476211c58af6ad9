"""Scores of many texts, their metrics, reports and plots."""
