"""Tests frozen candidate laws on problem sizes they were not found on. Plans what to measure; judges what was seen."""
