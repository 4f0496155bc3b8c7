"""The step: find champion."""
